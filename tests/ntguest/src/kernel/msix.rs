//! MSI-X: the table of messages in one of the card's BARs (PCI Express base specification, 7.7.2).
//!
//! Each message has an address and data of its own, so that each gets an IRQL of its own here: a message of a
//! higher one interrupts the service routine of a lower one, as it does on Windows.

use alloc::vec::Vec;

use super::page_map::PAGE;
use super::paging::{self, Region, bits};
use super::pci::{self, Card, Message};
use super::{bad_input, processor};

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
/// Messages that are granted at most: one for each IRQL.
const MOST: u64 = (LAST_IRQL - FIRST_IRQL + 1) as u64;

/// Programs the table and enables it; empty when the card has no MSI-X. At most `wanted` messages; the rest
/// stays masked.
pub fn assign(card: &Card, wanted: u64) -> Vec<Message> {
    let Some(at) = pci::capability(card, CAP_MSIX) else { return Vec::new() };
    let control = pci::read16(card, at + 2);
    let offered = u64::from(control & SIZE) + 1;
    let location = pci::read32(card, at + 4);
    let (bar, offset) = ((location & 7) as u8, u64::from(location & !7));
    let Some(bar) =
        card.bars.iter().find(|b| b.index == bar && !b.is_io && offset + offered * ENTRY <= b.len)
    else {
        bad_input(format_args!("the MSI-X table of the card, {location:#x}, is in none of its BARs"));
    };
    let first = (bar.base + offset) & !(PAGE - 1);
    let pages = (bar.base + offset + offered * ENTRY - first).div_ceil(PAGE);
    let va = paging::reserve(Region::Io, pages);
    (0..pages).for_each(|page| paging::map(va + page * PAGE, first + page * PAGE, bits::DEVICE));
    let table = va + (bar.base + offset - first);
    let granted = wanted.min(offered).min(MOST);
    let messages = (0..granted).map(message).collect::<Vec<_>>();
    // Memory decoding is off while BARs are sized: the table is reached with it on and the function masked.
    pci::with_memory(card, || {
        pci::write16(card, at + 2, control | ENABLE | FUNCTION_MASK);
        for entry in 0..offered {
            let words =
                messages.get(entry as usize).map_or([0, 0, 0, 1], |m| [m.address as u32, 0, m.data, 0]);
            for (word, value) in words.into_iter().enumerate() {
                // SAFETY: inside the table, which is mapped; the card decodes memory.
                unsafe { ((table + entry * ENTRY) as *mut u32).add(word).write_volatile(value) };
            }
        }
        pci::write16(card, at + 2, control & !FUNCTION_MASK | ENABLE);
    });
    messages
}

/// Message `number`.
fn message(number: u64) -> Message {
    let irql = FIRST_IRQL + number as u8;
    let vector = u32::from(irql) << 4;
    let address = pci::message_address();
    Message { vector, irql, affinity: processor::all(), address, data: vector }
}
