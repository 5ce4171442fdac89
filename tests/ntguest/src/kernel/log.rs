//! The debug console (port 0x402): lines that programs on the host read.

use core::fmt::{self, Write};

use super::{cpu, sync};

const DEBUG_CONSOLE: u16 = 0x402;
const LINE: usize = 480;

/// Prints `ntguest: info ...`.
#[macro_export]
macro_rules! kprintln {
    ($($arg:tt)*) => { $crate::kernel::log::line("ntguest: info ", format_args!($($arg)*)) };
}

/// Prints `ntguest: result ...`.
#[macro_export]
macro_rules! kresult {
    ($($arg:tt)*) => { $crate::kernel::log::line("ntguest: result ", format_args!($($arg)*)) };
}

/// One line on its way out: collected first, so that lines of threads and interrupts never mix.
struct Line {
    bytes: [u8; LINE],
    used: usize,
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            let byte = if byte == b'\n' || byte == b'\r' { b' ' } else { byte };
            // The last byte is kept for the end of the line; what is too long is cut.
            if let Some(slot) = self.bytes[..LINE - 1].get_mut(self.used) {
                *slot = byte;
                self.used += 1;
            }
        }
        Ok(())
    }
}

/// Prints one line; line ends inside the text become spaces.
pub fn line(prefix: &str, text: fmt::Arguments<'_>) {
    let mut out = Line { bytes: [0; LINE], used: 0 };
    let _ = out.write_str(prefix);
    let _ = out.write_fmt(text);
    out.bytes[out.used] = b'\n';
    sync::exclusive(|| cpu::outsb(DEBUG_CONSOLE, &out.bytes[..=out.used]));
}
