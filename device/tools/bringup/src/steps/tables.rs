//! Bad scatter-gather tables, and buffers that are no memory: the RUN fails with an error that says why, and
//! nothing else stops. DATASHEET 6.

use std::time::Duration;

use ringwave_regs::dma::{SLOT_LINK, Slot};
use ringwave_regs::error::Error;
use ringwave_regs::pci::PAGES_BYTES;
use ringwave_regs::{global, stream};

use crate::access::AccessError;
use crate::bringup::{Bringup, LOW, NOWHERE, PLAYGROUND, RING, StepResult, TABLES, error_name};
use crate::stream::{Mode, Setup, Stream, state_name};

/// Where the tables of this step begin.
const AT: u64 = LOW + TABLES as u64;
/// Where a link leads.
const THERE: u64 = AT + 0x400;

/// A table that must be refused.
struct Bad {
    name: &'static str,
    error: Error,
    /// `SG_ENTRIES`.
    entries: u32,
    /// `DMA_ADDR`.
    address: u64,
    /// What stands at [`AT`].
    slots: Vec<Slot>,
    /// What stands at [`THERE`].
    there: Vec<Slot>,
}

/// The step.
pub fn run(bringup: &mut Bringup<'_>) -> StepResult {
    let modes = Mode::announced(bringup)?;
    for its in bringup.streams()? {
        if modes.contains(&Mode::ScatterGather) {
            scatter_gather(bringup, &its)?;
        } else {
            bringup.skip(its.name("tables"), "FEATURES has no SCATTER_GATHER");
        }
        if modes.contains(&Mode::Contiguous) {
            contiguous(bringup, &its)?;
        } else {
            bringup.skip(its.name("ranges"), "FEATURES has no CONTIGUOUS");
        }
        own_pages(bringup, &its, &modes)?;
    }
    Ok(())
}

fn bad_tables(ring: u32, most: u32) -> Vec<Bad> {
    let data = LOW + RING as u64;
    let good = |length| Slot::data(data, length);
    let bad = |name, error, slots: Vec<Slot>| {
        let entries = slots.iter().filter(|slot| slot.flags & SLOT_LINK == 0).count();
        Bad {
            name,
            error,
            entries: u32::try_from(entries).unwrap_or(0).max(1),
            address: AT,
            slots,
            there: Vec::new(),
        }
    };
    let half = ring / 2;
    vec![
        Bad { entries: 0, ..bad("no entries", Error::SgCount, vec![good(ring)]) },
        Bad { entries: most.saturating_add(1), ..bad("too many entries", Error::SgCount, vec![good(ring)]) },
        bad("entry of length 0", Error::SgEntry, vec![good(half), good(0), good(ring - half)]),
        bad("reserved flags", Error::SgEntry, vec![Slot { flags: 2, ..good(ring) }]),
        bad(
            "link with other flags",
            Error::SgEntry,
            vec![Slot { flags: SLOT_LINK | 0x8000_0000, ..Slot::link(THERE) }],
        ),
        Bad { address: AT + 8, ..bad("misaligned table", Error::SgLink, vec![good(ring)]) },
        bad("misaligned link", Error::SgLink, vec![Slot::link(THERE + 4)]),
        bad("link with a length", Error::SgLink, vec![Slot { length: 16, ..Slot::link(THERE) }]),
        Bad {
            there: vec![Slot::link(AT)],
            ..bad("link to a link, in a circle", Error::SgLink, vec![Slot::link(THERE)])
        },
        bad("too short", Error::SgLength, vec![good(half)]),
        bad("too long", Error::SgLength, vec![good(ring), good(4)]),
        bad("second entry unmapped", Error::DmaUnmapped, vec![good(half), Slot::data(NOWHERE, ring - half)]),
        bad("entry wraps 2^64", Error::DmaUnmapped, vec![Slot::data(u64::MAX - 7, ring)]),
        bad("link to nowhere", Error::DmaUnmapped, vec![Slot::link(NOWHERE)]),
        Bad { address: NOWHERE, ..bad("table unmapped", Error::DmaUnmapped, vec![]) },
    ]
}

fn scatter_gather(bringup: &mut Bringup<'_>, its: &Stream) -> StepResult {
    let setup = its.usual(Mode::ScatterGather);
    let most = bringup.get(global::SG_ENTRIES_MAX)?;
    for bad in bad_tables(setup.ring_bytes(), most) {
        bringup.configure(its, &setup)?;
        for (base, slots) in [(AT, &bad.slots), (THERE, &bad.there)] {
            for (number, slot) in slots.iter().enumerate() {
                let offset = usize::try_from(base - LOW).unwrap_or(0);
                bringup.memory.fill(offset + 16 * number, &slot.to_bytes());
            }
        }
        bringup.stream_set(its, stream::SG_ENTRIES, bad.entries)?;
        bringup.set64(its.block + stream::DMA_ADDR_LO, bad.address)?;
        refused(bringup, its, bad.name, bad.error)?;
    }
    good_after_all(bringup, its, &setup)
}

fn contiguous(bringup: &mut Bringup<'_>, its: &Stream) -> StepResult {
    let setup = its.usual(Mode::Contiguous);
    for (name, address) in [
        ("range unmapped", NOWHERE),
        ("range over the end of its map", LOW + crate::bringup::LOW_BYTES as u64 - 64),
        ("range wraps 2^64", u64::MAX - 63),
    ] {
        bringup.configure(its, &setup)?;
        bringup.set64(its.block + stream::DMA_ADDR_LO, address)?;
        refused(bringup, its, name, Error::DmaUnmapped)?;
    }
    Ok(())
}

/// The card's own BAR is not guest RAM, even where the bus would let it through.
fn own_pages(bringup: &mut Bringup<'_>, its: &Stream, modes: &[Mode]) -> StepResult {
    let name = "the card's own BAR";
    match bringup.card.map_own_pages(PLAYGROUND) {
        Ok(()) => {}
        Err(AccessError::Refused(why)) => {
            bringup.skip(its.name(name), why);
            return Ok(());
        }
        Err(lost) => return Err(lost.into()),
    }
    let mode = modes.first().copied().unwrap_or(Mode::Contiguous);
    let setup = its.usual(mode);
    bringup.configure(its, &setup)?;
    if mode == Mode::ScatterGather {
        bringup.memory.fill(TABLES, &Slot::data(PLAYGROUND, setup.ring_bytes()).to_bytes());
        bringup.stream_set(its, stream::SG_ENTRIES, 1)?;
    }
    let address = if mode == Mode::ScatterGather { AT } else { PLAYGROUND };
    bringup.set64(its.block + stream::DMA_ADDR_LO, address)?;
    let checked = refused(bringup, its, name, Error::DmaUnmapped);
    bringup.card.unmap(PLAYGROUND, PAGES_BYTES as usize)?;
    checked
}

/// RUN is refused for this reason, the stream stays in PAUSE, and the page says the same. Takes the stream
/// from STOP back to STOP.
fn refused(bringup: &mut Bringup<'_>, its: &Stream, name: &str, error: Error) -> StepResult {
    bringup.take_stream_error(its)?;
    bringup.step_to(its, stream::STATE_PAUSE)?;
    let state = bringup.state(its, stream::STATE_RUN)?;
    let page = bringup.status(its)?;
    let code = bringup.take_stream_error(its)?;
    let text = |state: u32, code: u32| format!("{}, {}", state_name(state), error_name(code));
    let seen = if (page.state, page.error) == (state, code) {
        text(state, code)
    } else {
        format!("{} (page: {})", text(state, code), text(page.state, page.error))
    };
    bringup
        .equal(its.name(name), text(stream::STATE_PAUSE, error.code()), seen)
        .means("the card must check every slot and every range at RUN: what it takes here it will read from");
    bringup.state(its, stream::STATE_STOP)?;
    Ok(())
}

/// A good table runs after all of them, and is not looked at again until the next RUN.
fn good_after_all(bringup: &mut Bringup<'_>, its: &Stream, setup: &Setup) -> StepResult {
    bringup.configure(its, setup)?;
    bringup.take_stream_error(its)?;
    bringup.step_to(its, stream::STATE_PAUSE)?;
    let before = bringup.status(its)?;
    bringup.enter(its, stream::STATE_RUN)?;
    bringup.write_table(&[Slot::data(NOWHERE, 1), Slot::link(NOWHERE), Slot::default()]);
    let limit = setup.time(u64::from(setup.packet_frames) * 3) + crate::bringup::PATIENCE;
    let (page, there) = bringup.wait_status(its, limit, |page| page.packet_count >= 2)?;
    bringup.check(
        its.name("a good table runs then"),
        there,
        "2 packets",
        format!("{} packets", page.packet_count),
    );
    let faults = page.dma_faults.wrapping_sub(before.dma_faults);
    bringup
        .equal(its.name("overwritten while it runs: DMA_FAULTS"), 0, faults)
        .means("the card reads the table again after RUN: the guest's memory manager may have reused it");
    bringup.state(its, stream::STATE_STOP)?;
    let code = bringup.take_stream_error(its)?;
    bringup.error(its.name("and its ERROR"), None, code);
    bringup.wait(Duration::ZERO)
}
