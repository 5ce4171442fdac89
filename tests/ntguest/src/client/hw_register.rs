//! The position register and the clock register of a stream, as a client uses them: mapped to user mode once
//! per pin, then read with plain loads (WAVERT.md 4.6, DATASHEET 7.3). Without the registry value
//! `PositionRegister` (cfg `reg.PositionRegister=1`) the driver has to refuse both (rule `hw-register`).

use super::play::Label;
use super::position::PositionChecker;
use super::register_checker::{ClockRegisterChecker, Finding, PositionRegisterChecker};
use super::stream::PinStream;
use crate::kernel::thread::{self, DRIVER_STACK, ThreadId};
use crate::kernel::user_page::UserPage;
use crate::kernel::{self, cfg, gone, irql, memory, time};
use crate::portcls::fault::{self, Fault};
use crate::portcls::layout::KsRtAudioHwRegister;
use crate::portcls::power;
use crate::portcls::status::Status;
use alloc::boxed::Box;
use core::ffi::c_void;
use core::sync::atomic::{AtomicBool, Ordering};

/// The only BAR and its part that may be shown to user mode: the position pages (DATASHEET 7). What lies
/// elsewhere tells more, or can be written with effect.
const SHOWN: (u8, core::ops::Range<u64>) = (2, 0x20000..0x30000);
/// Between two reads, 100-ns units.
const INTERVAL: i64 = 20_000;
/// How long a register that must stand is watched, 100-ns units.
const WATCH: i64 = 300_000;

/// A register that was mapped.
struct Register {
    page: UserPage,
    at: u64,
    told: KsRtAudioHwRegister,
}

impl Register {
    /// What both kinds promise; `None` after a violation.
    fn map(what: &str, told: KsRtAudioHwRegister) -> Option<Self> {
        let wrong = |why: &str| kernel::violation("hw-register", format_args!("{what} {why}: {told:x?}"));
        if told.width != 32 && told.width != 64 {
            wrong("has neither 32 nor 64 bits");
            return None;
        }
        let at = told.register as u64 % 4096;
        if !at.is_multiple_of(u64::from(told.width / 8)) {
            wrong("is not aligned to its width");
            return None;
        }
        let page = UserPage::map(told.register).inspect_err(|why| wrong(why)).ok()?;
        let offset = if fault::make(Fault::RegisterPage) { SHOWN.1.end } else { page.offset };
        if page.bar != SHOWN.0 || !SHOWN.1.contains(&offset) {
            wrong("is on a page that user mode must not see");
        }
        Some(Self { page, at, told })
    }

    fn read(&self) -> u64 {
        if self.told.width == 32 { u64::from(self.page.read32(self.at)) } else { self.page.read64(self.at) }
    }
}

/// The registers of one stream; unmapped when they are dropped, which must be before the buffer is freed.
pub struct HwRegisters {
    position: Option<Register>,
    clock: Option<Register>,
    size: u64,
    label: Label,
}

impl HwRegisters {
    /// Asks the stream once for both and maps them. `bytes_per_second` is the format's, whatever the speed of
    /// the card.
    ///
    /// A capture stream may refuse its position register though it is allowed: what the register shows is a
    /// FIFO ahead of what is in memory (DATASHEET 5.2).
    pub fn of(stream: &PinStream, size: u32, block: u64, bytes_per_second: u64, label: Label) -> Self {
        let (position, clock) = stream.registers();
        let shown = |answer: &Result<KsRtAudioHwRegister, Status>| answer.err().unwrap_or(Status::SUCCESS);
        crate::kprintln!("position register {}, clock register {}", shown(&position), shown(&clock));
        let allowed = cfg::get("reg.PositionRegister") == Some("1") && !fault::make(Fault::RegisterUnasked);
        let due = |what: &str, may_refuse: bool, answer: Result<KsRtAudioHwRegister, Status>| match answer {
            Ok(told) if allowed => Some(told),
            Ok(_) => {
                let why = "answers without the registry value PositionRegister";
                kernel::violation("hw-register", format_args!("{what} {why}"));
                None
            }
            Err(Status::NOT_SUPPORTED | Status::NOT_IMPLEMENTED) if !allowed || may_refuse => None,
            Err(status) => {
                let why = if allowed { "though PositionRegister is 1" } else { "due is NOT_SUPPORTED" };
                kernel::violation("hw-register", format_args!("{what}: {status}, {why}"));
                None
            }
        };
        let size = u64::from(size);
        let position = due("GetPositionRegister", stream.has_read_packets(), position).and_then(|told| {
            // The card ticks every millisecond (DATASHEET 7.3), and the accuracy is how far it goes between
            // two ticks.
            let tick = bytes_per_second / 1000 / block.max(1) * block;
            if !(tick..=size).contains(&u64::from(told.accuracy)) {
                kernel::violation(
                    "hw-register",
                    format_args!("GetPositionRegister: accuracy {} of {tick} to {size} bytes", told.accuracy),
                );
            }
            Register::map("the position register", told)
        });
        let clock = due("GetClockRegister", false, clock).and_then(|told| {
            let frequency = told.numerator.checked_div(told.denominator).unwrap_or(0);
            if frequency == 0 || told.accuracy == 0 || u64::from(told.accuracy) > frequency {
                kernel::violation(
                    "hw-register",
                    format_args!("GetClockRegister: no frequency or no accuracy: {told:?}"),
                );
                return None;
            }
            Register::map("the clock register", told)
        });
        Self { position, clock, size, label }
    }

    /// The driver has kept what it showed: the port holds the address as long as the client's mapping lives
    /// (rule `removal`). How many registers there are.
    pub fn expect_mapped(&self, when: &str) -> u32 {
        let registers = [("position", &self.position), ("clock", &self.clock)];
        let mut count = 0;
        for (what, register) in registers.into_iter().filter_map(|(what, at)| Some((what, at.as_ref()?))) {
            count += 1;
            let gone = fault::make(Fault::RegisterGone);
            let address = if gone { 0 } else { register.told.register as u64 };
            if memory::device_page(address).is_none() {
                kernel::violation(
                    "removal",
                    format_args!("the {what} register is unmapped {when}, and a client still has it"),
                );
            }
        }
        count
    }

    /// In STOP the position register is 0 (rule `position-register`).
    pub fn expect_zero(&self, when: &str) {
        let value = self.position.as_ref().map_or(0, Register::read);
        if value != 0 {
            kernel::violation("position-register", format_args!("{when}: {value}, not 0"));
        }
    }

    /// In PAUSE the position register stands, where `GetPosition` says within its accuracy and what is in the
    /// FIFO (rule `position-register`).
    pub fn expect_frozen(&self, stream: &PinStream) {
        let Some(register) = &self.position else { return };
        // What is read in D3 nobody can judge.
        let Some(power) = in_d0() else { return };
        let before = register.read();
        let clock = self.clock.as_ref().map(Register::read);
        thread::sleep_100ns(WATCH);
        let runs = u64::from(fault::make(Fault::RegisterRuns)) * 4;
        let after = register.read() + runs;
        if power::time_in_d0() != Some(power) {
            return;
        }
        if after != before {
            kernel::violation("position-register", format_args!("goes from {before} to {after} in PAUSE"));
        }
        if let (Some(then), Some(clock)) = (clock, &self.clock) {
            // It may: it is the card's clock, not the stream's.
            crate::kresult!("{}clock_register_runs_in_pause={}", self.label, u8::from(clock.read() != then));
        }
        let (status, position) = stream.position(irql::PASSIVE);
        let apart = (before % self.size + self.size - position.play_offset % self.size) % self.size;
        let most = u64::from(register.told.accuracy) + u64::from(stream.hw_latency().fifo_size);
        if !status.is_success() || apart.min(self.size - apart) > most {
            kernel::violation(
                "position-register",
                format_args!(
                    "{before} in PAUSE, GetPosition {status} {}, {most} apart at most",
                    position.play_offset
                ),
            );
        }
    }

    /// Begins to read both on a thread, if there are any; the stream is in RUN. `judge` is for its positions.
    /// With `steady` the stream never stands still, so that the register must tick, and the clock keep its
    /// time.
    pub fn watch(&self, checker: PositionChecker, steady: bool) -> Watch<'_> {
        if self.position.is_none() && self.clock.is_none() {
            return Watch(None);
        }
        let told = self.clock.as_ref().map_or((1, 1), |clock| (clock.told.numerator, clock.told.denominator));
        let shared = Box::into_raw(Box::new(Shared {
            registers: self,
            position: PositionRegisterChecker::new(checker),
            clock: ClockRegisterChecker::new(told.0, told.1),
            steady,
            stop: AtomicBool::new(false),
        }));
        Watch(Some((shared, thread::spawn("register reader", read, shared.cast(), DRIVER_STACK))))
    }
}

struct Shared<'a> {
    registers: &'a HwRegisters,
    position: PositionRegisterChecker,
    clock: ClockRegisterChecker,
    steady: bool,
    stop: AtomicBool,
}

/// A reader that runs; it must be stopped.
pub struct Watch<'a>(Option<(*mut Shared<'a>, ThreadId)>);

impl Watch<'_> {
    /// Ends the thread and says what it saw.
    pub fn stop(self) {
        let Some((shared, thread)) = self.0 else { return };
        // SAFETY: the shared part lives until the end of this function; its flag is atomic.
        unsafe { (*shared).stop.store(true, Ordering::Release) };
        thread::join(thread);
        // SAFETY: from `Box::into_raw` in `watch`, and the thread, its only other user, has ended.
        let shared = unsafe { Box::from_raw(shared) };
        let Shared { position, clock, registers: HwRegisters { label, .. }, .. } = &*shared;
        if shared.steady {
            report(position.expect_ticks());
            report(clock.expect_rate());
        }
        let (reads, stood) = position.reads();
        crate::kresult!(
            "{label}register_reads={reads} {label}register_stood={stood} {label}register_worst_us={} {label}clock_register_ppm={}",
            position.worst_us(),
            clock.ppm().unwrap_or(0)
        );
    }
}

fn read(argument: *mut c_void) {
    let shared = argument.cast::<Shared<'_>>();
    // SAFETY: alive until `stop` has joined this thread; `stop` touches only the atomic flag, and nobody but
    // this thread the judges.
    let (registers, position, clock, stop) =
        unsafe { ((*shared).registers, &mut (*shared).position, &mut (*shared).clock, &(*shared).stop) };
    let mut first = None;
    while !stop.load(Ordering::Acquire) {
        if let Some((mut value, begun, ended)) = registers.position.as_ref().and_then(read_in_d0) {
            if fault::make(Fault::RegisterStands) {
                value = *first.get_or_insert(value);
            }
            report(position.observe(value, begun, ended));
        }
        if let Some((mut value, _, ended)) = registers.clock.as_ref().and_then(read_in_d0) {
            if fault::make(Fault::RegisterClock) {
                value += value / 100 * 3;
            }
            report(clock.observe(value, ended));
        }
        thread::sleep_100ns(INTERVAL);
    }
}

/// Waits for D0, but not for ever; which time in D0 it is.
fn in_d0() -> Option<u32> {
    for _ in 0..1000 {
        if let Some(number) = power::time_in_d0() {
            return Some(number);
        }
        thread::sleep_100ns(10_000);
    }
    None
}

/// A value and the times before and after it was read. A client that knows of no D3 reads in D3 too, and gets
/// what nobody can judge.
fn read_in_d0(register: &Register) -> Option<(u64, u64, u64)> {
    let (power, begun) = (power::time_in_d0(), time::interrupt_time_100ns());
    let value = register.read();
    let ended = time::interrupt_time_100ns();
    // A card that did not come back has no registers.
    let there = power.is_some() && power::time_in_d0() == power && !gone::is_gone();
    there.then_some((value, begun, ended))
}

fn report(found: Result<(), Finding>) {
    if let Err(finding) = found {
        let rule = match finding {
            Finding::Position(_) | Finding::Stands(..) => "position-register",
            Finding::ClockBackwards(..) | Finding::ClockRate(_) => "clock-register",
        };
        kernel::violation(rule, format_args!("{finding}"));
    }
}
