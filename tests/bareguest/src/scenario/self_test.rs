//! `self-test`: does the card see this guest's RAM? In one piece, and through a table. DATASHEET section 3.2.

use ringwave_regs::dma::Slot;
use ringwave_regs::error::Error;
use ringwave_regs::global;

use super::Guest;
use crate::machine::uefi::PAGE;
use crate::memory::{Table, allocate, load32, store};
use crate::verdict::Step;
use crate::{say, wrong};

const SEED: u32 = 0x1357_9BDF;
const WORDS: u32 = global::SELFTEST_BYTES_MAX / 4;

/// Word `index` before the test.
fn word(index: u32) -> u32 {
    index.wrapping_mul(0x9E37_79B1) ^ 0x5A5A_0000
}

/// The scenario.
pub fn run(guest: &Guest<'_>) -> Step {
    // Below and, if there is any, above 4 GiB.
    for below_4g in [true, false] {
        let page = allocate(&guest.firmware, PAGE, below_4g)?;
        one(guest, page, page, 0)?;
        let table = Table::new(&guest.firmware)?;
        table.put(0, Slot::data(page, 1000));
        table.put(1, Slot::data(page + 1000, global::SELFTEST_BYTES_MAX - 1000));
        one(guest, page, table.slot(0), 2)?;
    }
    Ok(())
}

/// One test of the page at `memory`; `address` and `entries` are what the card is told.
fn one(guest: &Guest<'_>, memory: u64, address: u64, entries: u32) -> Step {
    let card = guest.card;
    let mut sum = SEED;
    for index in 0..WORDS {
        store(memory + u64::from(index) * 4, &word(index).to_le_bytes());
        sum = global::selftest_step(sum, word(index));
    }
    card.write(global::SELFTEST_ADDR_LO, address as u32);
    card.write(global::SELFTEST_ADDR_HI, (address >> 32) as u32);
    card.write(global::SELFTEST_BYTES, global::SELFTEST_BYTES_MAX);
    card.write(global::SELFTEST_ENTRIES, entries);
    card.write(global::SELFTEST, SEED);
    let error = card.read(global::SELFTEST);
    let read = card.read(global::SELFTEST_SUM) == sum;
    let rewritten = (0..WORDS)
        .filter(|&index| load32(memory + u64::from(index) * 4) == global::selftest_reply(word(index)))
        .count();
    say!("self-test address={memory:#x} entries={entries} error={error} read={read} rewritten={rewritten}");
    if error == 0 && read && rewritten == WORDS as usize {
        return Ok(());
    }
    let name = Error::from_code(error).map_or("no error", Error::name);
    Err(wrong!(
        "self-test: the card does not see this guest's RAM ({name}): start QEMU with share=on on the memory backend"
    ))
}
