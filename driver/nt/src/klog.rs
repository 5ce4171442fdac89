//! `log` to the kernel debugger.
//!
//! Nothing is allocated and nothing is locked: a line is formatted into 256 bytes on the stack and sent with
//! `DbgPrintEx` and the format `%s`, so that a text can never be taken for a format. Safe up to a device's
//! IRQL, as DbgPrintEx is. A line break in a message starts a new line of output; what is longer than a line
//! goes on in the next.
//!
//! On Windows errors are shown by default; for more set `Kd_IHVDRIVER_Mask` in the debugger (1 error, 2
//! warning, 4 debug and trace, 8 info).
use crate::sys;
use core::fmt::{self, Write};
use log::{Level, LevelFilter, Log, Metadata, Record};

/// Bytes of one line with its break and NUL. DbgPrintEx itself would send 512.
const LINE: usize = 256;
/// DPFLTR_IHVDRIVER_ID of dpfilter.h: a driver that is not Microsoft's.
const COMPONENT: u32 = 77;

struct DebuggerLog;

/// Makes the kernel debugger the place where `log` goes. Call first in DriverEntry; a second call only
/// changes the level.
pub fn init(level: LevelFilter) {
    // Fails if it is installed already, which is all right.
    let _ = log::set_logger(&DebuggerLog);
    log::set_max_level(level);
}

impl Log for DebuggerLog {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true // the level is log's own business
    }

    fn log(&self, record: &Record<'_>) {
        let level = record.level();
        let mut lines = Lines::new(|text: &[u8]| print(level, text));
        // Lines never fails; an error could only come from a Display of ours, and then the line ends early.
        let _ = write!(lines, "ringwave: {}: {}", name(level), record.args());
        lines.flush();
    }

    fn flush(&self) {}
}

fn name(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warn => "warning",
        Level::Info => "info",
        Level::Debug => "debug",
        Level::Trace => "trace",
    }
}

/// Sends one NUL-terminated text. Levels are those of dpfilter.h: error 0, warning 1, trace 2, info 3.
fn print(level: Level, text: &[u8]) {
    debug_assert!(text.last() == Some(&0));
    let level = match level {
        Level::Error => 0,
        Level::Warn => 1,
        Level::Debug | Level::Trace => 2,
        Level::Info => 3,
    };
    #[cfg(windows)]
    // SAFETY: both strings end in NUL, and `%s` takes exactly one.
    unsafe {
        sys::DbgPrintEx(COMPONENT, level, c"%s".as_ptr().cast(), text.as_ptr());
    }
    #[cfg(not(windows))]
    sys::debug_print(COMPONENT, level, text);
}

/// Says something when the logger may not be installed or trusted (a panic).
#[cfg_attr(not(all(windows, feature = "runtime")), allow(dead_code))]
pub(crate) fn emergency(args: fmt::Arguments<'_>) {
    let mut lines = Lines::new(|text: &[u8]| print(Level::Error, text));
    let _ = write!(lines, "ringwave: {args}");
    lines.flush();
}

/// Cuts what is written into lines of at most LINE bytes, each handed on with `\n` and NUL.
struct Lines<F: FnMut(&[u8])> {
    buffer: [u8; LINE],
    used: usize,
    send: F,
}

impl<F: FnMut(&[u8])> Lines<F> {
    fn new(send: F) -> Self {
        Self { buffer: [0; LINE], used: 0, send }
    }

    fn push(&mut self, byte: u8) {
        if byte == b'\n' || self.used >= LINE - 2 {
            self.flush();
        }
        if byte != b'\n'
            && byte != 0
            && let Some(place) = self.buffer.get_mut(self.used)
        {
            *place = byte;
            self.used += 1;
        }
    }

    /// Sends what there is.
    fn flush(&mut self) {
        if self.used == 0 {
            return;
        }
        if let Some(end) = self.buffer.get_mut(self.used..self.used + 2) {
            end.copy_from_slice(b"\n\0");
        }
        if let Some(line) = self.buffer.get(..self.used + 2) {
            (self.send)(line);
        }
        self.used = 0;
    }
}

impl<F: FnMut(&[u8])> Write for Lines<F> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.bytes().for_each(|byte| self.push(byte));
        Ok(())
    }
}

#[cfg(test)]
#[cfg(not(windows))]
mod tests {
    use super::*;
    use crate::host;

    fn lines_of(text: &str) -> Vec<String> {
        let mut out = Vec::new();
        let mut lines = Lines::new(|line: &[u8]| out.push(String::from_utf8(line.to_vec()).unwrap()));
        lines.write_str(text).unwrap();
        lines.flush();
        out
    }

    #[test]
    fn lines_are_cut_and_ended() {
        assert_eq!(lines_of("a\nb\n"), ["a\n\0", "b\n\0"]);
        let long = lines_of(&"x".repeat(600));
        assert_eq!(long.iter().map(String::len).collect::<Vec<_>>(), [256, 256, 94]);
        assert_eq!(long.concat().matches('x').count(), 600, "text was lost at a cut");
        assert_eq!(lines_of("nul\0inside"), ["nulinside\n\0"]);
        assert!(lines_of("").is_empty());
    }

    #[test]
    fn a_record_reaches_the_debugger_with_its_level() {
        init(LevelFilter::Info);
        log::warn!("100% of {}", 5);
        log::debug!("not shown");
        assert_eq!(host::take_debug_output(), [(77, 1, "ringwave: warning: 100% of 5\n".to_owned())]);
    }
}
