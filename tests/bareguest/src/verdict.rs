//! What is said on the debug console, and how the run ends.

use core::fmt;
use core::fmt::Write as _;
use core::sync::atomic::{AtomicU32, Ordering};

use crate::machine::cpu;

/// Values for isa-debug-exit; QEMU's exit status is twice that plus one.
const EXIT_OK: u32 = 0x10;
const EXIT_FAILED: u32 = 0x11;
const EXIT_FATAL: u32 = 0x12;
const EXIT_BAD_INPUT: u32 = 0x13;
/// Lines about what is wrong that are printed; the rest is counted.
const PRINTED: u32 = 50;

static WRONG: AtomicU32 = AtomicU32::new(0);

/// Something was not as expected and what is being done cannot go on; it has been said.
#[derive(Debug)]
pub struct Failed;

/// A step of a scenario.
pub type Step<T = ()> = Result<T, Failed>;

struct Console;

impl fmt::Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.bytes().for_each(|byte| cpu::outb(0x402, byte));
        Ok(())
    }
}

/// One line.
pub fn say(what: fmt::Arguments<'_>) {
    let _ = writeln!(Console, "bare: {what}");
}

/// One line on the debug console: `say!("event key={}", value)`.
#[macro_export]
macro_rules! say {
    ($($words:tt)*) => { $crate::verdict::say(format_args!($($words)*)) };
}

/// An expectation was not met.
pub fn wrong(what: fmt::Arguments<'_>) -> Failed {
    if WRONG.fetch_add(1, Ordering::Relaxed) < PRINTED {
        say(format_args!("wrong {what}"));
    }
    Failed
}

/// `wrong!("text {}", value)`: says so, counts it, and gives [`Failed`] for those who cannot go on.
#[macro_export]
macro_rules! wrong {
    ($($words:tt)*) => { $crate::verdict::wrong(format_args!($($words)*)) };
}

/// Two values that must be equal; says which if they are not.
pub fn expect(name: &str, seen: u64, wanted: u64) -> Step {
    if seen == wanted {
        Ok(())
    } else {
        Err(wrong(format_args!("{name}: saw {seen:#x}, wanted {wanted:#x}")))
    }
}

/// The end of the run.
pub fn end() -> ! {
    let wrong = WRONG.load(Ordering::Relaxed);
    let (status, code) = if wrong == 0 { ("ok", EXIT_OK) } else { ("failed", EXIT_FAILED) };
    say(format_args!("end status={status} wrong={wrong}"));
    cpu::exit(code)
}

/// The volume or the machine is not what this program needs.
pub fn bad_input(why: &str) -> ! {
    say(format_args!("bad-input {why}"));
    cpu::exit(EXIT_BAD_INPUT)
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    say(format_args!("panic {info}"));
    cpu::exit(EXIT_FATAL)
}

/// Named by the unwind tables of a `core` that was built to unwind; nothing unwinds here.
#[unsafe(no_mangle)]
extern "C" fn __CxxFrameHandler3() -> ! {
    cpu::exit(EXIT_FATAL)
}
