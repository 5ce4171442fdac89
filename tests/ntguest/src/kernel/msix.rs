//! MSI-X: the table of messages in one of the card's BARs (PCI Express base specification, 7.7.2).
//!
//! The bus driver programs it, the card's driver does not touch it (rule `msix-table`; what that one may
//! change goes through GUID_MSIX_TABLE_CONFIG_INTERFACE, "Dynamically Configuring MSI-X", which is not
//! offered here). Each message has an address and data of its own, so that each gets an IRQL of its own here:
//! a message of a higher one interrupts the service routine of a lower one, as it does on Windows.

use alloc::vec::Vec;

use super::message_count::granted;
use super::page_map::PAGE;
use super::paging::{self, Region, bits};
use super::pci::{self, Card, Message};
use super::sync::IrqLock;
use super::{bad_input, cfg, gone, lock_watch, processor, violation};

/// Capability id.
pub const CAP_MSIX: u8 = 0x11;
/// Message Control: enable, function mask, and the size of the table less one.
pub const ENABLE: u16 = 1 << 15;
const FUNCTION_MASK: u16 = 1 << 14;
const SIZE: u16 = 0x7ff;
/// Bytes of a table entry: address, upper address, data, vector control (bit 0 masks).
const ENTRY: u64 = 16;
/// IRQL of message 0; the next ones are above it, up to the highest that devices get.
const FIRST_IRQL: u8 = 5;
const LAST_IRQL: u8 = 11;
/// Messages that there are: one for each IRQL.
const MOST: u64 = (LAST_IRQL - FIRST_IRQL + 1) as u64;

/// The table as it was programmed.
#[derive(Clone)]
struct Table {
    /// Where ntguest has it mapped.
    va: u64,
    entries: Vec<[u32; 4]>,
    /// Message Control, in configuration space.
    control: u16,
}

static TABLE: IrqLock<Option<Table>> = IrqLock::new(None);

/// Programs the table and enables it; empty when the card has no MSI-X, or is granted no message. Entries
/// beyond the messages send message 0 ("Dynamically Configuring MSI-X").
pub fn assign(card: &Card, wanted: u64) -> Vec<Message> {
    *TABLE.lock() = None;
    let Some(at) = pci::capability(card, CAP_MSIX) else { return Vec::new() };
    let offered = u64::from(pci::read16(card, at + 2) & SIZE) + 1;
    let granted = granted(wanted, offered, cfg::get_u64("msi_free", MOST).min(MOST));
    let messages = (0..granted).map(message).collect::<Vec<_>>();
    let Some(first) = messages.first() else { return messages };
    let entry = |m: &Message| [m.address as u32, (m.address >> 32) as u32, m.data, 0];
    let entries = (0..offered as usize).map(|number| entry(messages.get(number).unwrap_or(first))).collect();
    let table = Table { va: map(card, at, offered), entries, control: at + 2 };
    program(card, &table);
    *TABLE.lock() = Some(table);
    messages
}

/// Maps the table; it must lie in a BAR.
fn map(card: &Card, capability: u16, entries: u64) -> u64 {
    let location = pci::read32(card, capability + 4);
    let (index, offset) = ((location & 7) as u8, u64::from(location & !7));
    let inside = |b: &&pci::Bar| b.index == index && !b.is_io && offset + entries * ENTRY <= b.len;
    let Some(bar) = card.bars.iter().find(inside) else {
        bad_input(format_args!("the MSI-X table of the card, {location:#x}, is in none of its BARs"));
    };
    let start = bar.base + offset;
    let first = start & !(PAGE - 1);
    let pages = (start + entries * ENTRY - first).div_ceil(PAGE);
    let va = paging::reserve(Region::Io, pages);
    (0..pages).for_each(|page| paging::map(va + page * PAGE, first + page * PAGE, bits::DEVICE));
    va + (start - first)
}

/// Memory decoding is off while BARs are sized: the table is reached with it on and the function masked.
fn program(card: &Card, table: &Table) {
    let control = pci::read16(card, table.control);
    pci::with_memory(card, || {
        pci::write16(card, table.control, control | ENABLE | FUNCTION_MASK);
        for (entry, words) in (0..).zip(&table.entries) {
            for (word, value) in words.iter().enumerate() {
                // SAFETY: inside the table, which is mapped; the card decodes memory.
                unsafe { ((table.va + entry * ENTRY) as *mut u32).add(word).write_volatile(*value) };
            }
        }
        pci::write16(card, table.control, control & !FUNCTION_MASK | ENABLE);
    });
}

/// Whether table and Message Control are still what was programmed (rule `msix-table`). A card that is pulled
/// out or in D3 has none to look at. Each change is named once.
pub fn check() {
    let card = pci::card();
    if gone::is_gone() || lock_watch::is_asleep(card.number) || !card.msix {
        return;
    }
    let Some(table) = TABLE.lock().clone() else { return };
    let control = pci::read16(card, table.control);
    if control & (ENABLE | FUNCTION_MASK) != ENABLE {
        violation("msix-table", format_args!("Message Control is {control:#06x}: not as it was programmed"));
    }
    let mut found = table.clone();
    pci::with_memory(card, || {
        for (entry, words) in (0..).zip(&mut found.entries) {
            for (word, value) in words.iter_mut().enumerate() {
                // SAFETY: inside the table, which is mapped; the card decodes memory.
                *value = unsafe { ((table.va + entry * ENTRY) as *const u32).add(word).read_volatile() };
            }
        }
    });
    for (number, (is, was)) in found.entries.iter().zip(&table.entries).enumerate() {
        if is != was {
            violation(
                "msix-table",
                format_args!("entry {number} is {is:#x?}, the bus driver has programmed {was:#x?}"),
            );
        }
    }
    *TABLE.lock() = Some(found);
}

/// Message `number`.
fn message(number: u64) -> Message {
    let irql = FIRST_IRQL + number as u8;
    let vector = u32::from(irql) << 4;
    let address = pci::message_address();
    Message { vector, irql, affinity: processor::all(), address, data: vector }
}
