//! The DMA self-test (DATASHEET 3.2): the card reads words of ours, gives their sum, and puts their
//! complements in their place. It is the one step that proves that the card sees the very memory that the
//! tool sees, so its failures say most.

use std::time::Duration;

use ringwave_regs::dma::{SLOT_BYTES, Slot};
use ringwave_regs::error::Error;
use ringwave_regs::{global, stream};

use crate::bringup::{
    Bringup, HIGH, LOW, LOW_BYTES, NOWHERE, PAGE, PLAYGROUND, SCRATCH, StepEnd, StepResult,
};
use crate::stream::{Mode, state_name};

/// A range of memory: offset in the bring-up's memory, and bytes, both multiples of 4.
type Range = (usize, usize);

const SEED: u32 = 0x5EED_0001;
const NOT_SHARED: &str = "the card does not see this memory: guest RAM is a copy; give QEMU shared RAM (memory-backend-memfd,...,share=on)";

/// A test to run: what is written to the registers, and the memory that stands behind it in the order in
/// which the card comes by.
struct Test<'a> {
    name: &'a str,
    address: u64,
    entries: u32,
    ranges: &'a [Range],
}

/// Fills the ranges with words that tell which they are.
fn fill(bringup: &Bringup<'_>, ranges: &[Range]) {
    for (number, offset) in words(ranges).enumerate() {
        bringup.memory.store(offset, pattern(number));
    }
}

fn words(ranges: &[Range]) -> impl Iterator<Item = usize> {
    ranges.iter().flat_map(|(offset, bytes)| (*offset..offset + bytes).step_by(4))
}

fn pattern(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(0).wrapping_mul(0x9E37_79B9) ^ 0xC0DE_0000
}

/// Writes the registers; when the last write has returned the test is over. Gives its error code.
fn start(bringup: &mut Bringup<'_>, address: u64, bytes: u32, entries: u32) -> StepResult<u32> {
    bringup.set64(global::SELFTEST_ADDR_LO, address)?;
    bringup.set(global::SELFTEST_BYTES, bytes)?;
    bringup.set(global::SELFTEST_ENTRIES, entries)?;
    bringup.set(global::SELFTEST, SEED)?;
    bringup.get(global::SELFTEST)
}

/// A test that must succeed: error code, sum, and the memory.
fn succeeds(bringup: &mut Bringup<'_>, test: &Test<'_>) -> StepResult {
    let &Test { name, address, entries, ranges } = test;
    fill(bringup, ranges);
    let bytes: usize = ranges.iter().map(|(_, bytes)| bytes).sum();
    let code = start(bringup, address, u32::try_from(bytes).unwrap_or(0), entries)?;
    bringup.error(format!("{name}: SELFTEST"), None, code).means(if code == Error::DmaUnmapped.code() {
        format!("{NOT_SHARED}; or an IOMMU lets the card not through to it")
    } else {
        "see section 8 for the code".to_owned()
    });
    let count = bytes / 4;
    let sum = (0..count).fold(SEED, |sum, number| global::selftest_step(sum, pattern(number)));
    let seen = bringup.get(global::SELFTEST_SUM)?;
    bringup.value(format!("{name}: sum over what was read"), sum, seen).means(NOT_SHARED);
    let back = words(ranges)
        .enumerate()
        .filter(|(number, offset)| bringup.memory.load(*offset) == global::selftest_reply(pattern(*number)))
        .count();
    bringup.equal(format!("{name}: words written back"), count, back).means(NOT_SHARED);
    Ok(())
}

/// A test that must fail with this error and leave the memory as it is.
fn fails(bringup: &mut Bringup<'_>, test: &Test<'_>, bytes: u32, error: Error) -> StepResult {
    let &Test { name, address, entries, ranges } = test;
    fill(bringup, ranges);
    let code = start(bringup, address, bytes, entries)?;
    bringup.error(format!("{name}: SELFTEST"), Some(error), code);
    let changed = words(ranges)
        .enumerate()
        .filter(|(number, offset)| bringup.memory.load(*offset) != pattern(*number))
        .count();
    bringup
        .equal(format!("{name}: words changed"), 0, changed)
        .means("all is read before anything is written");
    Ok(())
}

/// One range.
pub fn contiguous(bringup: &mut Bringup<'_>) -> StepResult {
    let at = |offset: usize| LOW + offset as u64;
    let whole = [(SCRATCH, PAGE)];
    succeeds(bringup, &Test { name: "4,096 bytes", address: at(SCRATCH), entries: 0, ranges: &whole })?;
    succeeds(bringup, &Test { name: "4 bytes", address: at(SCRATCH), entries: 0, ranges: &[(SCRATCH, 4)] })?;
    let across = [(SCRATCH + PAGE - 64, 128)];
    succeeds(
        bringup,
        &Test { name: "across a page's end", address: at(SCRATCH + PAGE - 64), entries: 0, ranges: &across },
    )?;
    if bringup.high {
        let range = [(LOW_BYTES, PAGE)];
        succeeds(bringup, &Test { name: "above 4 GiB", address: HIGH, entries: 0, ranges: &range })?;
    } else {
        bringup.skip("above 4 GiB", "DMA_BITS is 32");
    }
    for (name, bytes, entries) in [
        ("0 bytes", 0, 0),
        ("6 bytes", 6, 0),
        ("4,100 bytes", 4100, 0),
        ("17 entries", 64, global::SELFTEST_ENTRIES_MAX + 1),
    ] {
        let test = Test { name, address: at(SCRATCH), entries, ranges: &whole };
        fails(bringup, &test, bytes, Error::BadLength)?;
    }
    let nowhere = Test { name: "unmapped", address: NOWHERE, entries: 0, ranges: &whole };
    fails(bringup, &nowhere, 64, Error::DmaUnmapped)?;
    let wraps = Test { name: "wraps 2^64", address: u64::MAX - 31, entries: 0, ranges: &whole };
    fails(bringup, &wraps, 64, Error::DmaUnmapped)
}

/// By a table.
pub fn scatter_gather(bringup: &mut Bringup<'_>) -> StepResult {
    if !Mode::announced(bringup)?.contains(&Mode::ScatterGather) {
        return Err(StepEnd::Skipped("FEATURES has no SCATTER_GATHER".to_owned()));
    }
    let one = [(SCRATCH + 0x40, PAGE)];
    let table = write_entries(bringup, &one);
    succeeds(bringup, &Test { name: "1 entry", address: table, entries: 1, ranges: &one })?;

    // Of different lengths, backwards, and for every second one above 4 GiB.
    let sixteen: Vec<Range> = (0..16)
        .map(|number| {
            let bytes = 4 * (number + 1);
            let offset = (15 - number) * 0x240;
            if bringup.high && number % 2 == 1 {
                (LOW_BYTES + offset, bytes)
            } else {
                (SCRATCH + offset, bytes)
            }
        })
        .collect();
    let table = write_entries(bringup, &sixteen);
    succeeds(
        bringup,
        &Test { name: "16 entries and a link", address: table, entries: 16, ranges: &sixteen },
    )?;
    let short = Test { name: "entries too short", address: table, entries: 16, ranges: &sixteen };
    let bytes: usize = sixteen.iter().map(|(_, bytes)| bytes).sum();
    fails(bringup, &short, u32::try_from(bytes + 4).unwrap_or(0), Error::SgLength)?;
    let hole = bringup.write_table(&[Slot::data(LOW, 32), Slot::data(NOWHERE, 32)]);
    let hole = Test { name: "second entry unmapped", address: hole, entries: 2, ranges: &[(SCRATCH, 32)] };
    fails(bringup, &hole, 64, Error::DmaUnmapped)
}

fn write_entries(bringup: &mut Bringup<'_>, ranges: &[Range]) -> u64 {
    let slots: Vec<Slot> = ranges
        .iter()
        .map(|(offset, bytes)| {
            let length = u32::try_from(*bytes).unwrap_or(0);
            match offset.checked_sub(LOW_BYTES) {
                Some(above) => Slot::data(HIGH + above as u64, length),
                None => Slot::data(LOW + *offset as u64, length),
            }
        })
        .collect();
    bringup.write_table(&slots)
}

/// A range over several maps.
pub fn across_maps(bringup: &mut Bringup<'_>) -> StepResult {
    // Three maps side by side whose memory lies in no order, a gap, and a fourth.
    let behind = [5, 2, 9, 7].map(|page| SCRATCH + page * PAGE);
    let places = [0, 1, 2, 4].map(|page| PLAYGROUND + page * PAGE as u64);
    for (address, offset) in places.into_iter().zip(behind) {
        bringup.card.map(address, &bringup.memory, offset, PAGE)?;
    }
    let checked = three_maps(bringup, behind);
    for address in places {
        bringup.card.unmap(address, PAGE)?;
    }
    checked?;
    let gone = Test { name: "after the unmap", address: PLAYGROUND, entries: 0, ranges: &[(SCRATCH, PAGE)] };
    fails(bringup, &gone, 64, Error::DmaUnmapped)
}

fn three_maps(bringup: &mut Bringup<'_>, [first, second, third, fourth]: [usize; 4]) -> StepResult {
    let page = PAGE as u64;
    let two = [(first + PAGE - 256, 256), (second, 256)];
    succeeds(
        bringup,
        &Test { name: "over 2 maps", address: PLAYGROUND + page - 256, entries: 0, ranges: &two },
    )?;
    if Mode::announced(bringup)?.contains(&Mode::ScatterGather) {
        // Two entries, of which each begins in one map and ends in the next.
        let slots =
            [Slot::data(PLAYGROUND + page - 1024, 2048), Slot::data(PLAYGROUND + 2 * page - 1024, 2048)];
        let table = bringup.write_table(&slots);
        let ranges =
            [(first + PAGE - 1024, 1024), (second, 1024), (second + PAGE - 1024, 1024), (third, 1024)];
        succeeds(bringup, &Test { name: "table over 3 maps", address: table, entries: 2, ranges: &ranges })?;
        // The table itself may lie over maps: its second slot is in the third one.
        let slot = SLOT_BYTES as usize;
        bringup.memory.fill(second + PAGE - slot, &Slot::data(LOW, 32).to_bytes());
        bringup.memory.fill(third, &Slot::data(LOW + 64, 32).to_bytes());
        let address = PLAYGROUND + 2 * page - slot as u64;
        let ranges = [(SCRATCH, 32), (SCRATCH + 64, 32)];
        succeeds(bringup, &Test { name: "table in 2 maps", address, entries: 2, ranges: &ranges })?;
    } else {
        bringup.skip("table over 3 maps", "FEATURES has no SCATTER_GATHER");
    }
    let gap = [(third + PAGE - 64, 64), (fourth, 64)];
    let gap = Test { name: "into a gap", address: PLAYGROUND + 3 * page - 64, entries: 0, ranges: &gap };
    fails(bringup, &gap, 128, Error::DmaUnmapped)?;
    let over = [(third, PAGE)];
    let over = Test { name: "over the end", address: PLAYGROUND + 5 * page - 64, entries: 0, ranges: &over };
    fails(bringup, &over, 128, Error::DmaUnmapped)
}

/// Bus Master Enable gates DMA and messages. DATASHEET section 2.
pub fn bus_master(bringup: &mut Bringup<'_>) -> StepResult {
    bringup.connect_msi()?;
    bringup.set(global::CONTROL, global::CONTROL_INT_ENABLE)?;
    let streams = bringup.streams()?;
    let mode = Mode::announced(bringup)?.first().copied().unwrap_or(Mode::Contiguous);
    for its in &streams {
        bringup.configure(its, &its.usual(mode))?;
        bringup.step_to(its, stream::STATE_PAUSE)?;
    }

    bringup.bus_master(false)?;
    let test = Test { name: "off", address: LOW, entries: 0, ranges: &[(SCRATCH, 64)] };
    fails(bringup, &test, 64, Error::BusMasterOff)?;
    for its in &streams {
        let state = bringup.state(its, stream::STATE_RUN)?;
        let error = bringup.take_stream_error(its)?;
        bringup.error(its.name("off: RUN"), Some(Error::BusMasterOff), error);
        bringup.equal(its.name("off: state"), "PAUSE".to_owned(), state_name(state));
    }
    bringup.set(global::INT_RAISE, 0)?;
    let error = bringup.take_error()?;
    bringup.error("off: INT_RAISE", Some(Error::BusMasterOff), error);
    let raised: u64 = bringup.interrupts(0, Duration::from_millis(5))?.iter().sum();
    bringup.equal("off: messages", 0, raised);

    bringup.bus_master(true)?;
    let raised: u64 = bringup.interrupts(0, Duration::from_millis(5))?.iter().sum();
    bringup.equal("on again: messages that were held back", 0, raised);
    succeeds(bringup, &Test { name: "on again", address: LOW, entries: 0, ranges: &[(SCRATCH, 64)] })?;
    for its in &streams {
        let state = bringup.state(its, stream::STATE_RUN)?;
        bringup.equal(its.name("on again: state"), "RUN".to_owned(), state_name(state));
        bringup.state(its, stream::STATE_STOP)?;
    }
    Ok(())
}
