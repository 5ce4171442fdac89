//! The bus driver's part of device power, as pci.sys does it: PMCSR is written after the function driver has
//! done its part of D3 and before it is told of D0, and the configuration that PnP gave (BARs, command,
//! messages) is saved before and restored after.
//!
//! Sources: "PCI power management and device drivers" (scenario 1: the PCI driver saves the configuration,
//! disables interrupts and BARs, and writes the state; scenario 2: the state, the configuration, then the
//! device driver), "Handling Device Power-Down IRPs", "Handling Device Power-Up IRPs", the page of
//! IAdapterPowerManagement::PowerChangeState; PCI Power Management 1.2 (5.6.1) for the times.
//!
//! Two rules are judged here. `register-in-d3`: from the moment that the driver has said that D3 may come,
//! until the function is in D0 with its configuration, the driver's mappings of its BARs are not present
//! ([`lock_watch`]). `interrupt-in-d3`: a driver disables its interrupts and leaves none pending, for with D0
//! the line is asserted again before the driver hears of it, and its service routine, which must not look at
//! a device in D3, disowns it: a storm (rule `interrupt-storm`). So the line of the card is held back until
//! an interrupt is pending, and let go in exactly that moment.

use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};

use super::page_map::PAGE;
use super::paging::{self, Region, bits};
use super::pci::{self, Card};
use super::sync::IrqLock;
use super::{cfg, dma, image, interrupt, lock_watch, msix, phys, thread, time, violation};

const COMMAND: u16 = 4;
const STATUS: u16 = 6;
/// Interrupt Status: the function's INTx is pending, whatever Interrupt Disable says.
const STATUS_INTERRUPT: u16 = 1 << 3;
/// I/O and memory decoding, and bus mastering.
const COMMAND_DECODES: u16 = 7;
const COMMAND_NO_INTX: u16 = 1 << 10;
/// What else the PnP manager or firmware configured: cache line size and latency timer, six BARs, the
/// expansion ROM, the interrupt line.
const CONFIGURED: [u16; 9] = [0x0c, 0x10, 0x14, 0x18, 0x1c, 0x20, 0x24, 0x30, 0x3c];
const CAP_POWER: u8 = 1;
const CAP_MSI: u8 = 5;
const CAP_PCIE: u8 = 0x10;
const CAP_MSIX: u8 = 0x11;
/// Enable bits of MSI and MSI-X in their control words.
const MSI_ENABLE: u16 = 1;
const MSI_WIDE: u16 = 1 << 7;
const MSIX_ENABLE: u16 = 1 << 15;
/// PMCSR, and the power state in it.
const PMCSR: u16 = 4;
const PMCSR_STATE: u16 = 3;
const D3HOT: u16 = 3;
/// Device Capabilities: function-level reset; Device Control: start one.
const DEVICE_CAPABILITIES: u16 = 4;
const HAS_RESET: u32 = 1 << 28;
const DEVICE_CONTROL: u16 = 8;
const START_RESET: u16 = 1 << 15;
/// What software waits after a change between D0 and D3hot, and after a function-level reset, 100-ns units.
const CHANGE: i64 = 100_000;
const RESET: i64 = 1_000_000;
/// How long to wait for an interrupt to become pending, milliseconds.
const PENDING_MS: u64 = 1000;
/// How long the function is in D0 before the driver is told, 100-ns units: what is pending comes meanwhile.
const BEFORE_SET_POWER: i64 = 200_000;
/// Bytes of BAR 0 that another card has too: what tells which one it is.
const OTHER_REGISTERS: u64 = 0x20;
/// Places in the driver that are named; further ones are only counted.
const NAMED: usize = 16;

/// What becomes of the function's registers in D3.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Context {
    /// The function keeps them (D3hot with No_Soft_Reset).
    Kept,
    /// It had no power, and comes back as from a reset: D3cold.
    Lost,
    /// The whole machine had none ([`super::sleep`]): the function is reset already.
    Slept,
}

struct Saved {
    command: u16,
    words: Vec<(u16, u32)>,
    /// Control words of MSI, MSI-X and PCI Express with what they hold, to be written last.
    controls: Vec<(u16, u16)>,
}

static SAVED: IrqLock<Option<Saved>> = IrqLock::new(None);
/// Where in the driver rule `register-in-d3` was broken.
static REPORTED: IrqLock<Vec<usize>> = IrqLock::new(Vec::new());
/// A page with the registers of another card.
static OTHER_CARD: IrqLock<Option<u64>> = IrqLock::new(None);
/// How often the function went to D3 with an interrupt pending that nobody had served.
static PENDING: AtomicU32 = AtomicU32::new(0);

/// An access to a BAR of the function in D3 (rule `register-in-d3`).
pub fn check_access(rip: usize, pa: u64, write: bool) {
    let new = {
        let mut reported = REPORTED.lock();
        let new = !reported.contains(&rip) && reported.len() < NAMED;
        if new {
            reported.push(rip);
        }
        new
    };
    let bar = pci::card().bars.iter().find(|bar| !bar.is_io && pa >= bar.base && pa - bar.base < bar.len);
    if new && let Some(bar) = bar {
        let what = if write { "writes" } else { "reads" };
        violation(
            "register-in-d3",
            format_args!(
                "{} {what} {:#x} of BAR {} while the device is in D3",
                image::describe(rip),
                pa - bar.base,
                bar.index
            ),
        );
    }
}

/// The card has a line and an interrupt of it is pending at the card.
fn is_pending(card: &Card) -> bool {
    card.line.is_some() && pci::read16(card, STATUS) & STATUS_INTERRUPT != 0
}

/// Before the driver hears of D3. Its line is held back; if a stream `runs`, until an interrupt is pending
/// that it can't have served.
pub fn hold_interrupts(runs: bool) {
    let card = pci::card();
    pci::hold_line_back();
    let deadline = time::ms() + if card.line.is_some() && runs { PENDING_MS } else { 0 };
    while !is_pending(card) && time::ms() < deadline {
        thread::sleep_100ns(10_000);
    }
    PENDING.fetch_add(u32::from(is_pending(card)), Ordering::Relaxed);
}

/// The function driver has done its part: to D3. What may be wrong with the device by now is judged (rule
/// `interrupt-in-d3`).
pub fn power_down() {
    let card = pci::card();
    if is_pending(card) {
        violation("interrupt-in-d3", format_args!("an interrupt is pending when the device goes to D3"));
    }
    for (offset, mask) in quiet_registers() {
        let value = read_register(card, offset);
        if value & mask != 0 {
            violation(
                "interrupt-in-d3",
                format_args!(
                    "register {offset:#x} is {value:#x} when the device goes to D3, {mask:#x} of it must be 0"
                ),
            );
        }
    }
    msix::check();
    lock_watch::set_asleep(true);
    save(card);
    pci::write16(card, COMMAND, pci::read16(card, COMMAND) & !COMMAND_DECODES | COMMAND_NO_INTX);
    if let Some(at) = pci::capability(card, CAP_POWER) {
        let state = pci::read16(card, at + PMCSR) & !PMCSR_STATE;
        pci::write16(card, at + PMCSR, state | D3HOT);
        thread::sleep_100ns(CHANGE);
        let now = pci::read16(card, at + PMCSR) & PMCSR_STATE;
        crate::kprintln!("the function is in D{now}");
    }
    // Another device on the line: the routine must find out that it is not its own without touching the
    // device, and say so.
    if card.line.is_some() && interrupt::deliver_of_another() {
        violation(
            "interrupt-in-d3",
            format_args!("in D3 the service routine claims an interrupt of another device"),
        );
    }
}

/// To D0, with the configuration from before; the line is let go and the function driver has some time not to
/// know it.
pub fn power_up(context: Context) {
    let card = pci::card();
    if let Some(at) = pci::capability(card, CAP_POWER) {
        pci::write16(card, at + PMCSR, pci::read16(card, at + PMCSR) & !PMCSR_STATE);
        thread::sleep_100ns(CHANGE);
    }
    if context == Context::Lost {
        reset(card);
    }
    restore(card);
    lock_watch::set_asleep(false);
    dma::card_is_back();
    pci::let_line_go();
    thread::sleep_100ns(BEFORE_SET_POWER);
}

/// How often it went to D3 with an interrupt pending.
pub fn pending() -> u32 {
    PENDING.load(Ordering::Relaxed)
}

/// What a function is after it had no power: reset, by itself (PCI Express base specification, 6.6.2).
fn reset(card: &Card) {
    let express = pci::capability(card, CAP_PCIE);
    let express = express.filter(|at| pci::read32(card, at + DEVICE_CAPABILITIES) & HAS_RESET != 0);
    let Some(at) = express else {
        super::bad_input(format_args!("a card that is to come back reset has no function-level reset"))
    };
    pci::write16(card, at + DEVICE_CONTROL, pci::read16(card, at + DEVICE_CONTROL) | START_RESET);
    thread::sleep_100ns(RESET);
}

/// A function-level reset that keeps the configuration, as of a card that is put in again.
pub fn reset_function() {
    let card = pci::card();
    save(card);
    reset(card);
    restore(card);
}

fn save(card: &Card) {
    let mut words: Vec<(u16, u32)> = CONFIGURED.map(|at| (at, pci::read32(card, at))).into();
    let mut controls = Vec::new();
    if let Some(at) = pci::capability(card, CAP_MSI) {
        let control = pci::read16(card, at + 2);
        // Address and data, with the upper half of the address between them where there is one.
        let last = if control & MSI_WIDE == 0 { 8 } else { 12 };
        words.extend((4..=last).step_by(4).map(|word| (at + word, pci::read32(card, at + word))));
        controls.push((at + 2, control));
        pci::write16(card, at + 2, control & !MSI_ENABLE);
    }
    if let Some(at) = pci::capability(card, CAP_MSIX) {
        controls.push((at + 2, pci::read16(card, at + 2)));
        pci::write16(card, at + 2, pci::read16(card, at + 2) & !MSIX_ENABLE);
    }
    if let Some(at) = pci::capability(card, CAP_PCIE) {
        controls.push((at + DEVICE_CONTROL, pci::read16(card, at + DEVICE_CONTROL)));
    }
    let command = pci::read16(card, COMMAND);
    *SAVED.lock() = Some(Saved { command, words, controls });
}

/// The command last: with it an INTx that is pending comes.
fn restore(card: &Card) {
    let Some(Saved { command, words, controls }) = SAVED.lock().take() else { return };
    for (at, word) in words {
        pci::write32(card, at, word);
    }
    if card.msix {
        // Its table is in a BAR, and is gone with the rest.
        msix::assign(card, card.messages.len() as u64);
    }
    for (at, control) in controls {
        pci::write16(card, at, control);
    }
    pci::write16(card, COMMAND, command);
}

/// The registers of BAR 0 that must read 0 under a mask when the device goes to D3 (cfg
/// `quiet_regs=OFFSET:MASK,...`): where the card says whether it may interrupt, and for what.
fn quiet_registers() -> Vec<(u64, u32)> {
    let list = cfg::get("quiet_regs").into_iter().flat_map(|list| list.split(','));
    let one = |text: &str| {
        let (offset, mask) = text.split_once(':')?;
        let (offset, mask) = (cfg::number(offset)?, u32::try_from(cfg::number(mask)?).ok()?);
        let bar = pci::card().bars.iter().find(|bar| bar.index == 0 && !bar.is_io)?;
        (offset % 4 == 0 && offset + 4 <= bar.len).then_some((offset, mask))
    };
    list.map(|text| {
        one(text).unwrap_or_else(|| {
            super::bad_input(format_args!("ntguest.cfg: quiet_regs={text} is not OFFSET:MASK in BAR 0"))
        })
    })
    .collect()
}

/// The registers of the card that will be found at D0, in memory: those of this one but for one (cfg
/// `other_card=OFFSET:VALUE`); without the key all ones, as where there is none. To be had in D0.
pub fn prepare_other_card() -> u64 {
    let page = *OTHER_CARD.lock().get_or_insert_with(phys::alloc_kernel);
    for (offset, word) in (0..).step_by(4).zip(other_words()) {
        // SAFETY: an aligned word of a page that is ntguest's alone.
        unsafe { paging::phys_ptr(page + offset).cast::<u32>().write_volatile(word) }
    }
    page
}

/// Whether the driver has written nothing to that card.
pub fn other_card_is_untouched() -> bool {
    let Some(page) = *OTHER_CARD.lock() else { return true };
    // SAFETY: as above.
    let found = |offset: u64| unsafe { paging::phys_ptr(page + offset).cast::<u32>().read_volatile() };
    (0..).step_by(4).zip(other_words()).all(|(offset, word)| found(offset) == word)
}

/// The words of its page. Registers that change by themselves are left out: only what is asked for at once.
fn other_words() -> Vec<u32> {
    let all = PAGE as usize / 4;
    let Some(text) = cfg::get("other_card") else { return alloc::vec![u32::MAX; all] };
    let parsed = text.split_once(':').and_then(|(at, value)| Some((cfg::number(at)?, cfg::number(value)?)));
    let Some((at, value)) = parsed.filter(|(at, _)| at % 4 == 0 && *at < OTHER_REGISTERS) else {
        super::bad_input(format_args!(
            "ntguest.cfg: other_card={text} is not OFFSET:VALUE of the card's first registers"
        ))
    };
    let known = (0..OTHER_REGISTERS).step_by(4);
    let mut words: Vec<u32> = known
        .map(|offset| if offset == at { value as u32 } else { read_register(pci::card(), offset) })
        .collect();
    words.resize(all, 0);
    words
}

/// By a mapping of ntguest's own.
fn read_register(card: &Card, offset: u64) -> u32 {
    static AT: IrqLock<Option<u64>> = IrqLock::new(None);
    let Some(bar) = card.bars.iter().find(|bar| bar.index == 0 && !bar.is_io) else { return 0 };
    let pa = bar.base + offset;
    let va = *AT.lock().get_or_insert_with(|| paging::reserve(Region::Io, 1));
    paging::map(va, pa & !(PAGE - 1), bits::DEVICE);
    // SAFETY: an aligned register inside the page that was just mapped; the card is in D0 and decodes memory.
    unsafe { ((va + pa % PAGE) as *const u32).read_volatile() }
}

/// Does `f`, and what the driver writes to its registers meanwhile is lost: as a driver does that writes
/// nothing.
pub fn deaf<R>(f: impl FnOnce() -> R) -> R {
    static STAND_IN: IrqLock<Option<u64>> = IrqLock::new(None);
    let page = *STAND_IN.lock().get_or_insert_with(phys::alloc_kernel);
    lock_watch::with_stand_in(page, f)
}
