//! The card as pci.sys would leave it: found, BARs sized, memory decoding and bus mastering on,
//! messages (or a line) assigned.

use alloc::vec::Vec;

use super::sync::IrqLock;
use super::{bad_input, cards, cfg, cpu, message_count, msix, paging, processor};

/// IRQL of the card's interrupts at its first start; their vectors are 0x90... A second card is one above.
const DEVICE_IRQL: u8 = 9;
/// And after a rebalance.
const OTHER_IRQL: u8 = 7;
/// Where BARs go at a rebalance: above the memory and below what the firmware hands out (QEMU's q35 decodes
/// all of it for PCI), another place for each.
const MOVED_BARS: u64 = 0x6000_0000;
const MOVED_BY: u64 = 0x0100_0000;
const COMMAND: u16 = 4;
const COMMAND_IO: u16 = 1;
const COMMAND_MEMORY: u16 = 2;
const COMMAND_MASTER: u16 = 4;
const COMMAND_NO_INTX: u16 = 1 << 10;
const STATUS: u16 = 6;
const STATUS_CAPABILITIES: u16 = 1 << 4;
const HEADER_TYPE: u16 = 0x0e;
const BAR0: u16 = 0x10;
const CAPABILITIES: u16 = 0x34;
const INTERRUPT_PIN: u16 = 0x3d;
const SECONDARY_BUS: u16 = 0x19;
const CAP_MSI: u8 = 5;
const CAP_PCIE: u8 = 0x10;
const IO_APIC: u64 = 0xfec0_0000;
/// Of an input of the I/O APIC.
const MASKED: u32 = 1 << 16;

/// A base address register.
#[derive(Clone, Copy, Debug)]
pub struct Bar {
    /// Number of the (first) register.
    pub index: u8,
    /// Physical address, or port.
    pub base: u64,
    /// Bytes.
    pub len: u64,
    /// May be prefetched.
    pub prefetchable: bool,
    /// Takes two registers.
    pub is_64: bool,
    /// Ports, not memory.
    pub is_io: bool,
}

/// A message granted to the card.
#[derive(Clone, Copy, Debug)]
pub struct Message {
    /// Vector of the processor.
    pub vector: u32,
    /// IRQL it is delivered at.
    pub irql: u8,
    /// Processors it may go to.
    pub affinity: u64,
    /// Address the card writes to.
    pub address: u64,
    /// What the card writes.
    pub data: u32,
}

/// A line interrupt.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    /// Vector of the processor.
    pub vector: u32,
    /// IRQL it is delivered at.
    pub irql: u8,
    /// Processors it may go to.
    pub affinity: u64,
    /// Input of the I/O APIC.
    pub raw: u32,
}

/// The card under test.
#[derive(Clone)]
pub struct Card {
    /// Which of the driver's cards ([`cards`]).
    pub number: usize,
    /// Bus.
    pub bus: u8,
    /// Device on the bus.
    pub dev: u8,
    /// Function of the device.
    pub func: u8,
    /// Vendor id.
    pub vendor: u16,
    /// Device id.
    pub device: u16,
    /// Its memory and ports.
    pub bars: Vec<Bar>,
    /// Its messages; empty when it has a line.
    pub messages: Vec<Message>,
    /// The messages are those of MSI-X: each has an interrupt descriptor of its own in the resource lists.
    pub msix: bool,
    /// Its line, when it has no messages.
    pub line: Option<Line>,
    /// No PCI function at all (`pci=none`): a device that the root bus enumerates, without resources.
    pub root: bool,
}

impl Card {
    /// A device that the root bus enumerates. Its configuration space is never asked for: [`read32`] of it is
    /// what an empty slot answers.
    fn of_root_bus() -> Self {
        Self { root: true, ..Self::function(0, 0, 0) }
    }

    /// A function of which nothing is known but its place.
    fn function(bus: u8, dev: u8, func: u8) -> Self {
        Self {
            number: 0,
            bus,
            dev,
            func,
            vendor: 0,
            device: 0,
            bars: Vec::new(),
            messages: Vec::new(),
            msix: false,
            line: None,
            root: false,
        }
    }
}

/// The card that PnP and power requests are for. Only after [`init`].
pub fn card() -> &'static Card {
    cards::get(cards::target()).expect("the card is found before anybody asks for it")
}

fn select(bus: u8, dev: u8, func: u8, offset: u16) {
    let address =
        u32::from(bus) << 16 | u32::from(dev) << 11 | u32::from(func) << 8 | u32::from(offset & 0xfc);
    cpu::outl(0xcf8, 1 << 31 | address);
}

/// One access to configuration space at a time: the address and data ports are a pair.
static PORTS: IrqLock<()> = IrqLock::new(());

fn config_read(bus: u8, dev: u8, func: u8, offset: u16) -> u32 {
    let _pair = PORTS.lock();
    select(bus, dev, func, offset);
    cpu::inl(0xcfc)
}

/// Reads 32 bits of the card's configuration space.
pub fn read32(card: &Card, offset: u16) -> u32 {
    if card.root {
        return u32::MAX;
    }
    config_read(card.bus, card.dev, card.func, offset)
}
/// Reads 16 bits.
pub fn read16(card: &Card, offset: u16) -> u16 {
    (read32(card, offset) >> (8 * (offset & 2))) as u16
}
/// Reads 8 bits.
pub fn read8(card: &Card, offset: u16) -> u8 {
    (read32(card, offset) >> (8 * (offset & 3))) as u8
}
/// Writes 32 bits.
pub fn write32(card: &Card, offset: u16, value: u32) {
    if card.root {
        return;
    }
    let _pair = PORTS.lock();
    select(card.bus, card.dev, card.func, offset);
    cpu::outl(0xcfc, value);
}
/// Writes 16 bits.
pub fn write16(card: &Card, offset: u16, value: u16) {
    if card.root {
        return;
    }
    let _pair = PORTS.lock();
    select(card.bus, card.dev, card.func, offset);
    cpu::outw(0xcfc + (offset & 2), value);
}
/// Writes 8 bits.
pub fn write8(card: &Card, offset: u16, value: u8) {
    if card.root {
        return;
    }
    let _pair = PORTS.lock();
    select(card.bus, card.dev, card.func, offset);
    cpu::outb(0xcfc + (offset & 3), value);
}
/// Walks the buses from 0 through every bridge; the first `count` functions with these ids.
fn find(vendor: u16, device: u16, count: usize) -> Vec<(u8, u8, u8)> {
    let wanted = u32::from(device) << 16 | u32::from(vendor);
    let mut buses: Vec<u8> = alloc::vec![0];
    let (mut next, mut found) = (0, Vec::new());
    while let Some(bus) = buses.get(next).copied() {
        next += 1;
        for dev in 0..32 {
            let several = config_read(bus, dev, 0, HEADER_TYPE & 0xfc) >> 23 & 1 != 0;
            for func in 0..if several { 8 } else { 1 } {
                let id = config_read(bus, dev, func, 0);
                if id & 0xffff == 0xffff {
                    continue;
                }
                if id == wanted {
                    found.push((bus, dev, func));
                    if found.len() == count {
                        return found;
                    }
                }
                let header = config_read(bus, dev, func, 0x0c) >> 16 & 0x7f;
                let below = (config_read(bus, dev, func, SECONDARY_BUS & 0xfc) >> 8) as u8;
                if header == 1 && below != 0 && !buses.contains(&below) {
                    buses.push(below);
                }
            }
        }
    }
    found
}

/// Finds the cards, assigns their interrupts and enables them.
pub fn init() {
    let id = cfg::get("pci").unwrap_or("1234:5257");
    if id == "none" {
        if cfg::get_u64("d3", 0) != 0 || cfg::get("client") == Some("power") {
            bad_input(format_args!(
                "ntguest.cfg: pci=none has no D3: PCI power management is what is modelled"
            ));
        }
        crate::kprintln!("card none: a device of the root bus, without resources");
        cards::set(Card::of_root_bus());
        return;
    }
    let Some((vendor, device)) = cfg::pci_id(id) else {
        bad_input(format_args!("ntguest.cfg: pci={id} is neither VVVV:DDDD nor none"));
    };
    let found = find(vendor, device, cards::wanted());
    if found.len() < cards::wanted() {
        bad_input(format_args!(
            "{} PCI function(s) {vendor:04x}:{device:04x} in this machine, {} wanted",
            found.len(),
            cards::wanted()
        ));
    }
    for (number, place) in found.into_iter().enumerate() {
        set_up(number, (vendor, device), place);
    }
}

/// Sizes the BARs of a function that was found, assigns its interrupts and enables it.
fn set_up(number: usize, (vendor, device): (u16, u16), (bus, dev, func): (u8, u8, u8)) {
    let mut card = Card { number, vendor, device, ..Card::function(bus, dev, func) };
    let command = read16(&card, COMMAND);
    write16(&card, COMMAND, command & !(COMMAND_IO | COMMAND_MEMORY | COMMAND_MASTER));
    size_bars(&mut card);
    assign_interrupts(&mut card, cfg::get_u64("msi", 1), DEVICE_IRQL + number as u8);
    let enabled = enable(&card, command);
    crate::kprintln!(
        "card {vendor:04x}:{device:04x} at {bus:02x}:{dev:02x}.{func} command {enabled:#06x} messages {} msix={}",
        card.messages.len(),
        card.msix
    );
    for bar in &card.bars {
        crate::kprintln!(
            "bar{} {:#x} bytes {:#x} io={} 64={}",
            bar.index,
            bar.base,
            bar.len,
            bar.is_io,
            bar.is_64
        );
    }
    cards::set(card);
}

/// Lets the card decode its BARs, and (cfg `bme=`) master the bus; what stands in its command register then.
fn enable(card: &Card, command: u16) -> u16 {
    let mut enabled = command | COMMAND_MEMORY;
    if card.bars.iter().any(|b| b.is_io) {
        enabled |= COMMAND_IO;
    }
    enabled = if cfg::get_bool("bme", true) { enabled | COMMAND_MASTER } else { enabled & !COMMAND_MASTER };
    enabled = if card.messages.is_empty() { enabled & !COMMAND_NO_INTX } else { enabled | COMMAND_NO_INTX };
    write16(card, COMMAND, enabled);
    enabled
}

/// Takes the card's resources away and gives it others, as the PnP manager does between STOP and START: every
/// BAR elsewhere, and at most so many messages, or the line for 0, at another IRQL and vector.
pub fn rebalance(messages: u64, round: u32) {
    let old = card();
    if old.bus != 0 {
        bad_input(format_args!("a card behind a bridge is not rebalanced: the bridge's windows stay"));
    }
    let command = read16(old, COMMAND);
    write16(old, COMMAND, command & !(COMMAND_IO | COMMAND_MEMORY | COMMAND_MASTER) | COMMAND_NO_INTX);
    if let Some(line) = &old.line {
        mask_line(line);
    }
    for capability in [CAP_MSI, msix::CAP_MSIX].into_iter().filter_map(|id| capability(old, id)) {
        let enable = if read8(old, capability) == CAP_MSI { 1 } else { msix::ENABLE };
        write16(old, capability + 2, read16(old, capability + 2) & !enable);
    }
    let mut card = Card { messages: Vec::new(), msix: false, line: None, ..old.clone() };
    let mut next = MOVED_BARS + u64::from(round) * MOVED_BY;
    for bar in card.bars.iter_mut().filter(|bar| !bar.is_io) {
        bar.base = next.next_multiple_of(bar.len);
        next = bar.base + bar.len;
    }
    write_bars(&card);
    for bar in card.bars.iter().filter(|bar| !bar.is_io) {
        crate::kprintln!("bar{} moves to {:#x}", bar.index, bar.base);
    }
    let irql = if round.is_multiple_of(2) { OTHER_IRQL } else { DEVICE_IRQL } + card.number as u8;
    assign_interrupts(&mut card, messages, irql);
    enable(&card, command);
    cards::set(card);
}

/// Another card of the target's kind is in its slot: the resources that were there before are given to it.
pub fn set_up_again() -> Result<(), &'static str> {
    let old = card();
    if read32(old, 0) != u32::from(old.device) << 16 | u32::from(old.vendor) {
        return Err("the card that was put in does not answer, or is another one");
    }
    let mut card = Card { messages: Vec::new(), msix: false, line: None, ..old.clone() };
    write_bars(&card);
    assign_interrupts(&mut card, old.messages.len() as u64, DEVICE_IRQL + old.number as u8);
    enable(&card, read16(&card, COMMAND));
    cards::set(card);
    Ok(())
}

/// Puts the places of a card's memory into its BARs.
fn write_bars(card: &Card) {
    for bar in card.bars.iter().filter(|bar| !bar.is_io) {
        let at = BAR0 + u16::from(bar.index) * 4;
        write32(card, at, bar.base as u32 | read32(card, at) & 15);
        if bar.is_64 {
            write32(card, at + 4, (bar.base >> 32) as u32);
        }
    }
}

/// A page of physical memory where reads are all ones and writes are lost: the configuration space of a
/// function that is not there, as QEMU's q35 maps it.
/// A BAR that nobody decodes reads as zeros in QEMU, where a real machine gives ones.
pub fn nobody() -> Option<u64> {
    const LAST_FUNCTION: u64 = 0xff << 20 | 0x1f << 15 | 7 << 12;
    Some(express_config()? + LAST_FUNCTION)
}

/// Where q35 maps the configuration space of every function (PCIEXBAR of the host bridge, offset 0x60, bit 0
/// enables): 4 KiB each.
fn express_config() -> Option<u64> {
    const PCIEXBAR: u16 = 0x60;
    let base = u64::from(config_read(0, 0, 0, PCIEXBAR));
    (base & 1 != 0).then_some(base & !0x0fff_ffff)
}

/// A byte of configuration space from 0x100 on, which only a PCI Express function has.
pub fn extended_read8(card: &Card, offset: u16) -> Option<u8> {
    let base = express_config().filter(|_| !card.root && capability(card, CAP_PCIE).is_some())?;
    let at = base + (u64::from(card.bus) << 20 | u64::from(card.dev) << 15 | u64::from(card.func) << 12);
    // SAFETY: a byte of a window below 4 GiB that the host bridge decodes, in the direct map.
    Some(unsafe { paging::phys_ptr(at + u64::from(offset & 0xfff)).read_volatile() })
}

/// The card is pulled out: nobody answers where it was, and what is read is all ones. Its line is held back:
/// QEMU lets an INTx of a vfio device go when a BAR is accessed next, not when it is disabled.
pub fn disappear() {
    let card = card();
    hold_line_back();
    let silent = read16(card, COMMAND) & !(COMMAND_IO | COMMAND_MEMORY | COMMAND_MASTER) | COMMAND_NO_INTX;
    write16(card, COMMAND, silent);
}

/// It is put in again, with the resources that it had.
pub fn reappear() {
    let card = card();
    enable(card, read16(card, COMMAND));
    let_line_go();
}

fn size_bars(card: &mut Card) {
    let mut index = 0u8;
    while index < 6 {
        let at = BAR0 + u16::from(index) * 4;
        let old = read32(card, at);
        write32(card, at, u32::MAX);
        let mask = read32(card, at);
        write32(card, at, old);
        let is_io = old & 1 != 0;
        let is_64 = !is_io && old & 6 == 4;
        if mask != 0 && is_io {
            let len = u64::from(!(mask & !3) & 0xffff) + 1;
            card.bars.push(Bar { index, base: u64::from(old & !3), len, prefetchable: false, is_64, is_io });
        } else if mask != 0 {
            let (mut base, mut wide) = (u64::from(old & !15), u64::from(mask & !15) | 0xffff_ffff << 32);
            if is_64 {
                let upper = read32(card, at + 4);
                write32(card, at + 4, u32::MAX);
                wide = u64::from(mask & !15) | u64::from(read32(card, at + 4)) << 32;
                write32(card, at + 4, upper);
                base |= u64::from(upper) << 32;
            }
            card.bars.push(Bar {
                index,
                base,
                len: (!wide).wrapping_add(1),
                prefetchable: old & 8 != 0,
                is_64,
                is_io,
            });
        }
        index += 1 + u8::from(is_64);
    }
}

/// Messages if the card has any, MSI-X before MSI as Windows does; else its line. `wanted` is what the INF
/// would ask for at most (MessageNumberLimit; 0 is MSISupported 0).
fn assign_interrupts(card: &mut Card, wanted: u64, irql: u8) {
    if wanted > 0 {
        card.messages = msix::assign(card, wanted);
        card.msix = !card.messages.is_empty();
        if card.msix || assign_messages(card, wanted, irql) {
            return;
        }
    }
    assign_line(card, irql);
}

/// Runs `f` while the card decodes memory.
pub fn with_memory(card: &Card, f: impl FnOnce()) {
    let command = read16(card, COMMAND);
    write16(card, COMMAND, command | COMMAND_MEMORY);
    f();
    write16(card, COMMAND, command);
}

/// Where a capability is.
pub fn capability(card: &Card, id: u8) -> Option<u16> {
    if read16(card, STATUS) & STATUS_CAPABILITIES == 0 {
        return None;
    }
    let mut at = u16::from(read8(card, CAPABILITIES) & 0xfc);
    // At most 48 capabilities fit: a loop in the list must not hang the run.
    for _ in 0..48 {
        if at == 0 {
            return None;
        }
        if read8(card, at) == id {
            return Some(at);
        }
        at = u16::from(read8(card, at + 1) & 0xfc);
    }
    None
}

/// The processor that the card interrupts (`irq_cpu=`): the last one, so that its service routine and DPC run
/// while threads run on the first, which keeps the time. Windows may take any that the affinity allows.
fn interrupt_target() -> usize {
    let last = processor::count() - 1;
    usize::try_from(cfg::get_u64("irq_cpu", last as u64)).unwrap_or(last).min(last)
}

/// Where the card writes its messages: a fixed interrupt of one processor.
pub fn message_address() -> u64 {
    0xfee0_0000 | u64::from(processor::apic_id(interrupt_target())) << 12
}

/// Programs the MSI capability with at most `wanted` messages; false when there is none, or none is granted.
fn assign_messages(card: &mut Card, wanted: u64, irql: u8) -> bool {
    let Some(at) = capability(card, CAP_MSI) else { return false };
    let control = read16(card, at + 2);
    let offered = 1u64 << (control >> 1 & 7).min(5);
    // All messages of one function share the aligned base vector: 16 fit into one IRQL.
    let granted = message_count::granted_of_msi(wanted, offered, cfg::get_u64("msi_free", 16));
    if granted == 0 {
        return false;
    }
    let address = message_address();
    let base = u32::from(irql) << 4;
    write32(card, at + 4, address as u32);
    let wide = control & 1 << 7 != 0;
    if wide {
        write32(card, at + 8, 0);
    }
    write16(card, at + if wide { 12 } else { 8 }, base as u16);
    let enable = granted.trailing_zeros() as u16;
    write16(card, at + 2, control & !(7 << 4) | enable << 4 | 1);
    card.messages = (0..granted as u32)
        .map(|i| Message { vector: base + i, irql, affinity: processor::all(), address, data: base + i })
        .collect();
    true
}

/// Routes the card's INTx pin through the I/O APIC. q35 sends pin P of device D on bus 0 to input
/// 20 + (D + P) % 4; a bridge between swizzles the pin by the device number.
fn assign_line(card: &mut Card, irql: u8) {
    let pin = read8(card, INTERRUPT_PIN);
    if pin == 0 {
        crate::kprintln!("the card has neither messages nor an interrupt pin");
        return;
    }
    let (mut bus, mut dev, mut pin) = (card.bus, card.dev, pin - 1);
    while bus != 0 {
        pin = (pin + dev) % 4;
        let Some((up_bus, up_dev)) = bridge_to(bus) else { return };
        (bus, dev) = (up_bus, up_dev);
    }
    let input = 20 + u32::from((dev + pin) % 4);
    let vector = u32::from(irql) << 4;
    let line = Line { vector, irql, affinity: processor::all(), raw: input };
    route(&line);
    line.control(0);
    card.line = Some(line);
}

/// To one processor.
fn route(line: &Line) {
    write_io_apic(0x11 + line.raw * 2, processor::apic_id(interrupt_target()) << 24);
}

fn write_io_apic(index: u32, value: u32) {
    // SAFETY: the I/O APIC's registers are in the direct map's device window.
    unsafe {
        paging::phys_ptr(IO_APIC).cast::<u32>().write_volatile(index);
        paging::phys_ptr(IO_APIC + 0x10).cast::<u32>().write_volatile(value);
    }
}

impl Line {
    /// Level triggered (bit 15), active low (bit 13), and masked or not: an input that is masked as edge
    /// triggered would forget what is pending.
    fn control(&self, mask: u32) {
        write_io_apic(0x10 + self.raw * 2, self.vector | 1 << 15 | 1 << 13 | mask);
    }
}

/// The I/O APIC was reset: the lines of cards as they were, held back.
pub fn route_lines_again() {
    for line in cards::all().filter_map(|card| card.line.as_ref()) {
        line.control(MASKED);
        route(line);
    }
}

/// Stops a line that nobody claims.
pub fn mask_line(line: &Line) {
    write_io_apic(0x10 + line.raw * 2, MASKED);
}

/// Holds the line back while `f` runs: what is pending comes right afterwards. Without a line there is
/// nothing to hold.
pub fn hold_line(f: impl FnOnce()) {
    hold_line_back();
    f();
    let_line_go();
}

/// Holds the line back until [`let_line_go`], as a device in D3 does.
pub fn hold_line_back() {
    set_line_mask(MASKED);
}

/// The line as it is; what is pending comes now.
pub fn let_line_go() {
    set_line_mask(0);
}

fn set_line_mask(mask: u32) {
    if let Some(line) = &card().line {
        line.control(mask);
    }
}

/// The bridge that a card is behind.
pub fn bridge_above(card: &Card) -> Option<Card> {
    let (bus, dev) = bridge_to(card.bus)?;
    Some(Card::function(bus, dev, 0))
}

/// What firmware configured of the bridges above a card, from the topmost down: place and words, the command
/// last.
pub struct SavedBridge {
    bridge: Card,
    words: [(u16, u32); 9],
}

/// Cache line size, bus numbers, windows, interrupt line and bridge control, then the command.
const BRIDGE_CONFIGURED: [u16; 9] = [0x0c, 0x18, 0x1c, 0x20, 0x24, 0x28, 0x2c, 0x3c, COMMAND];

/// Reads it before the machine sleeps.
pub fn save_bridges(card: &Card) -> Vec<SavedBridge> {
    let (mut saved, mut bus) = (Vec::new(), card.bus);
    while let Some((up, dev)) = bridge_to(bus) {
        let bridge = Card::function(up, dev, 0);
        let words = BRIDGE_CONFIGURED.map(|at| (at, read32(&bridge, at)));
        saved.insert(0, SavedBridge { bridge, words });
        bus = up;
    }
    saved
}

/// Writes it again.
pub fn restore_bridges(saved: &[SavedBridge]) {
    for SavedBridge { bridge, words } in saved {
        for (at, word) in words {
            // The upper half of the command's word is status, of which ones that are written clear bits.
            let word = if *at == COMMAND { word & 0xffff } else { *word };
            write32(bridge, *at, word);
        }
    }
}

/// Whether a BAR of the card holds an address: after a reset none does.
pub fn has_addresses(card: &Card) -> bool {
    card.bars.iter().any(|bar| read32(card, BAR0 + u16::from(bar.index) * 4) & !15 != 0)
}

fn bridge_to(bus: u8) -> Option<(u8, u8)> {
    for up in 0..bus {
        for dev in 0..32 {
            for func in 0..8 {
                let header = config_read(up, dev, func, 0x0c) >> 16 & 0x7f;
                let below = (config_read(up, dev, func, SECONDARY_BUS & 0xfc) >> 8) as u8;
                if config_read(up, dev, func, 0) & 0xffff != 0xffff && header == 1 && below == bus {
                    return Some((up, dev));
                }
            }
        }
    }
    None
}
