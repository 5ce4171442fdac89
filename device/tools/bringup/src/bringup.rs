//! What every step has in its hands: the registers, the pages, memory that the card reaches, the interrupts,
//! and the list of its checks.

use std::fmt::Display;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ringwave_regs::error::{Error, NONE};
use ringwave_regs::{global, stream};

use super::access::{AccessError, CardAccess};
use super::config::{self, Power};
use super::lines::Lines;
use super::memory::Memory;
use super::report::{Check, Outcome};

/// A page of memory, in bytes.
pub const PAGE: usize = 4096;
/// Address of the memory that the card reaches all the time: below 4 GiB, and clear of the first MiB and of
/// `0xFEE0_0000`, where an x86 IOMMU takes no maps.
pub const LOW: u64 = 0x1000_0000;
/// Where more of it is, above 4 GiB; within the 39 bits that the smallest intel-iommu has.
pub const HIGH: u64 = 0x1_0000_0000;
/// Addresses that a step may map and unmap as it likes, 16 MiB.
pub const PLAYGROUND: u64 = 0x2000_0000;
/// An address that nobody ever maps.
pub const NOWHERE: u64 = 0x3000_0000;
/// Bytes at [`LOW`].
pub const LOW_BYTES: usize = 0x8_0000;
/// Bytes at [`HIGH`].
pub const HIGH_BYTES: usize = 0x2_0000;
/// Offset of self-test memory in what is at [`LOW`], [`TABLES`] bytes long.
pub const SCRATCH: usize = 0;
/// Offset of scatter-gather tables.
pub const TABLES: usize = 0x1_0000;
/// Offset of cyclic buffers, to the end of what is at [`LOW`].
pub const RING: usize = 0x2_0000;

/// How long a thing that is due may take to be seen, on a machine that has other things to do.
pub const PATIENCE: Duration = Duration::from_secs(3);
/// In what rhythm something that comes without an interrupt is looked for.
pub const LOOK_EVERY: Duration = Duration::from_micros(300);

/// How often a card that is waited for is asked whether it is still there.
pub const ASK_EVERY: Duration = Duration::from_millis(250);

/// Why a step ended before its end.
#[derive(Debug)]
pub enum StepEnd {
    /// A check failed that the rest builds on.
    Failed,
    /// There is nothing to check: the card says it does not have it.
    Skipped(String),
    /// An access failed that should not.
    Refused(String),
    /// The card cannot be reached any more.
    Lost(String),
    /// The user wants an end.
    Interrupted,
}

impl From<AccessError> for StepEnd {
    fn from(error: AccessError) -> Self {
        match error {
            AccessError::Lost(why) => Self::Lost(why),
            AccessError::Refused(why) => Self::Refused(why),
        }
    }
}

/// What a step gives.
pub type StepResult<T = ()> = Result<T, StepEnd>;

/// What the bring-up is told on the command line.
#[derive(Clone, Copy, Debug)]
pub struct Choices {
    /// The vendor and device that the card must show.
    pub identity: (u16, u16),
    /// How long the tone is.
    pub tone: Duration,
}

/// The bring-up of one card.
pub struct Bringup<'a> {
    /// The way to the card.
    pub card: &'a mut dyn CardAccess,
    /// What the user chose.
    pub choices: Choices,
    /// What is at [`LOW`], then what is at [`HIGH`].
    pub memory: Memory,
    /// Whether [`HIGH`] is mapped, and within the card's reach.
    pub high: bool,
    /// The present interrupts.
    pub lines: Lines,
    checks: Vec<Check>,
    stop: &'a AtomicBool,
}

impl<'a> Bringup<'a> {
    /// A bring-up that has not touched the card yet.
    pub fn new(card: &'a mut dyn CardAccess, choices: Choices, stop: &'a AtomicBool) -> io::Result<Self> {
        let memory = Memory::new(LOW_BYTES + HIGH_BYTES)?;
        Ok(Self { card, choices, memory, high: false, lines: Lines::new(0)?, checks: Vec::new(), stop })
    }

    /// Lets the card reach the bring-up's memory.
    pub fn map_memory(&mut self) -> StepResult {
        self.card.map(LOW, &self.memory, 0, LOW_BYTES)?;
        self.high = self.get(global::DMA_BITS)? > 32;
        if self.high {
            self.card.map(HIGH, &self.memory, LOW_BYTES, HIGH_BYTES)?;
        }
        Ok(())
    }

    /// Brings the card to where a step begins: awake, bus mastering on, nothing connected, reset. Touches
    /// nothing behind a wrong MAGIC.
    pub fn fresh(&mut self) -> StepResult {
        self.wait(Duration::ZERO)?;
        self.wake()?;
        self.alive()?;
        self.card.disconnect()?;
        self.set(global::CONTROL, global::CONTROL_RESET)?;
        self.lines = Lines::new(0).map_err(|error| StepEnd::Refused(error.to_string()))?;
        Ok(())
    }

    /// Asks for MAGIC, which every card answers as long as it is there.
    pub fn alive(&mut self) -> StepResult {
        let magic = self.get(global::MAGIC)?;
        if magic == global::MAGIC_VALUE {
            return Ok(());
        }
        let gone = if magic == u32::MAX { ": the card is gone, or its process is dead" } else { "" };
        Err(StepEnd::Lost(format!("MAGIC reads {magic:#010x}{gone}")))
    }

    /// Power state D0, memory accesses and bus mastering on.
    pub fn wake(&mut self) -> StepResult {
        if config::power(self.card)? != 0 {
            config::set_power(self.card, Power::D0)?;
        }
        let on = config::COMMAND_MEMORY | config::COMMAND_BUS_MASTER;
        Ok(config::change16(self.card, config::COMMAND, on, config::COMMAND_INTERRUPT_DISABLE)?)
    }

    /// Bus Master Enable.
    pub fn bus_master(&mut self, on: bool) -> StepResult {
        let bit = config::COMMAND_BUS_MASTER;
        let (set, clear) = if on { (bit, 0) } else { (0, bit) };
        Ok(config::change16(self.card, config::COMMAND, set, clear)?)
    }

    /// Leaves the card as a next client would like to find it.
    pub fn leave(&mut self) {
        let _ = self.wake();
        let _ = self.card.disconnect();
        if self.get(global::MAGIC).is_ok_and(|magic| magic == global::MAGIC_VALUE) {
            let _ = self.set(global::CONTROL, global::CONTROL_RESET);
        }
        let _ = self.card.reset();
    }

    /// A register of BAR 0.
    pub fn get(&mut self, register: u32) -> StepResult<u32> {
        let mut bytes = [0xFF; 4];
        self.card.read(register, &mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    /// Writes a register of BAR 0.
    pub fn set(&mut self, register: u32, value: u32) -> StepResult {
        Ok(self.card.write(register, &value.to_le_bytes())?)
    }

    /// A pair of registers: the low one, which latches the high one.
    pub fn get64(&mut self, low: u32) -> StepResult<u64> {
        let value = self.get(low)?;
        Ok(u64::from(value) | u64::from(self.get(low.saturating_add(4))?) << 32)
    }

    /// Writes a pair of registers.
    pub fn set64(&mut self, low: u32, value: u64) -> StepResult {
        let half = |shift: u32| u32::try_from(value >> shift & u64::from(u32::MAX)).unwrap_or(0);
        self.set(low, half(0))?;
        self.set(low.saturating_add(4), half(32))
    }

    /// The global ERROR, which is cleared.
    pub fn take_error(&mut self) -> StepResult<u32> {
        let error = self.get(global::ERROR)?;
        if error != NONE {
            self.set(global::ERROR, 0)?;
        }
        Ok(error)
    }

    /// A word of BAR 2.
    pub fn page(&mut self, offset: u32) -> StepResult<u32> {
        Ok(self.card.page(offset)?)
    }

    /// Does nothing for a while, unless the user wants an end.
    pub fn wait(&self, time: Duration) -> StepResult {
        let end = Instant::now() + time;
        loop {
            if self.stop.load(Ordering::Relaxed) {
                return Err(StepEnd::Interrupted);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            std::thread::sleep(left.min(Duration::from_millis(50)));
        }
    }

    /// Connects as many MSI messages as the card offers, or is granted. Gives how many.
    pub fn connect_msi(&mut self) -> StepResult<u32> {
        let offered = self.get(global::MESSAGES)?.clamp(1, ringwave_regs::pci::MSI_MESSAGES_MAX);
        self.lines = Lines::new(offered).map_err(|error| StepEnd::Refused(error.to_string()))?;
        let granted = self.card.connect_msi(&self.lines.events())?;
        let enough = granted.is_power_of_two() && granted <= offered;
        self.check("MSI messages granted", enough, format!("1 to {offered}"), granted)
            .means("the MSI capability does not enable, or the kernel has no interrupt vector");
        self.must(enough)?;
        Ok(granted)
    }

    /// Connects INTx.
    pub fn connect_intx(&mut self) -> StepResult {
        self.lines = Lines::new(1).map_err(|error| StepEnd::Refused(error.to_string()))?;
        let events = self.lines.events();
        let Some(line) = events.first() else { return Err(StepEnd::Failed) };
        Ok(self.card.connect_intx(line)?)
    }

    /// Waits for interrupts until the sum over all lines is `wanted`, but no longer than [`PATIENCE`]; then
    /// `after` longer, for those that should not come. Gives how often each came.
    pub fn interrupts(&self, wanted: u64, after: Duration) -> StepResult<Vec<u64>> {
        let mut seen = self.lines.take();
        let end = Instant::now() + PATIENCE;
        while seen.iter().sum::<u64>() < wanted && Instant::now() < end {
            self.wait(Duration::ZERO)?;
            self.lines.wait(Duration::from_millis(20));
            self.add(&mut seen);
        }
        self.wait(after)?;
        self.add(&mut seen);
        Ok(seen)
    }

    fn add(&self, seen: &mut [u64]) {
        for (sum, more) in seen.iter_mut().zip(self.lines.take()) {
            *sum = sum.saturating_add(more);
        }
    }

    /// Puts a check on the list.
    pub fn check(
        &mut self,
        name: impl Into<String>,
        as_expected: bool,
        expected: impl Display,
        seen: impl Display,
    ) -> Checked<'_> {
        let outcome = if as_expected { Outcome::Ok } else { Outcome::Failed };
        let (expected, seen) = (expected.to_string(), seen.to_string());
        self.checks.push(Check { name: name.into(), expected, seen, outcome, meaning: None });
        Checked(self.checks.last_mut())
    }

    /// A check of two values that print themselves.
    pub fn equal<T: PartialEq + Display>(
        &mut self,
        name: impl Into<String>,
        expected: T,
        seen: T,
    ) -> Checked<'_> {
        self.check(name, expected == seen, expected, seen)
    }

    /// A check of a register's value.
    pub fn value(&mut self, name: impl Into<String>, expected: u32, seen: u32) -> Checked<'_> {
        self.check(name, expected == seen, format!("{expected:#010x}"), format!("{seen:#010x}"))
    }

    /// A check of an error code.
    pub fn error(&mut self, name: impl Into<String>, expected: Option<Error>, seen: u32) -> Checked<'_> {
        let code = expected.map_or(NONE, Error::code);
        self.check(name, code == seen, error_name(code), error_name(seen))
    }

    /// A check that is not made.
    pub fn skip(&mut self, name: impl Into<String>, why: impl Into<String>) {
        let outcome = Outcome::Skipped;
        let (name, seen) = (name.into(), why.into());
        self.checks.push(Check { name, expected: String::new(), seen, outcome, meaning: None });
    }

    /// Ends the step if what it builds on is not there.
    pub fn must(&self, there: bool) -> StepResult {
        if there { Ok(()) } else { Err(StepEnd::Failed) }
    }

    /// The checks since the last call.
    pub fn take_checks(&mut self) -> Vec<Check> {
        std::mem::take(&mut self.checks)
    }

    /// The streams that STREAMS announces, at most [`stream::STREAMS_MAX`].
    pub fn streams(&mut self) -> StepResult<Vec<super::stream::Stream>> {
        let streams = self.get(global::STREAMS)?;
        let (render, capture) = (streams & 0xFF, streams >> 8 & 0xFF);
        let all = render.saturating_add(capture).min(stream::STREAMS_MAX);
        (0..all).map(|index| super::stream::Stream::read(self, index)).collect()
    }
}

/// A check that was just made, to say what its failure may mean.
pub struct Checked<'a>(Option<&'a mut Check>);

impl Checked<'_> {
    /// What a failure may mean, and what to do next.
    pub fn means(self, meaning: impl Into<String>) {
        if let Some(check) = self.0 {
            check.meaning = Some(meaning.into());
        }
    }
}

/// The name of an error code.
pub fn error_name(code: u32) -> String {
    match Error::from_code(code) {
        _ if code == NONE => "no error".to_owned(),
        Some(error) => error.name().to_owned(),
        None => format!("error {code}, which is none"),
    }
}
