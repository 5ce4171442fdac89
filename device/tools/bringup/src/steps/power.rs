//! Asleep the function answers nothing, awake again it has kept everything. DATASHEET section 2, "D3hot".

use ringwave_regs::{global, stream};

use crate::access::AccessError;
use crate::config::{self, Power};
use crate::stream::{Mode, Stream, state_name};
use crate::walk::{Ended, PATIENCE, Stepped, Walk};

/// What a function that sleeps keeps of a stream.
const KEPT: [u32; 10] = [
    stream::FORMAT,
    stream::RATE,
    stream::RING_BYTES,
    stream::PACKETS,
    stream::DMA_MODE,
    stream::DMA_ADDR_LO,
    stream::DMA_ADDR_HI,
    stream::INT_ENABLE,
    stream::MUTE,
    stream::VOLUME_1,
];

/// The step.
pub fn run(walk: &mut Walk<'_>) -> Stepped {
    let mode = Mode::announced(walk)?.first().copied().unwrap_or(Mode::Contiguous);
    let streams = walk.streams()?;
    let volume = walk.get(global::FEATURES)? & global::FEATURE_VOLUME != 0;
    let marks = walk.get(global::FEATURES)? & global::FEATURE_WRITTEN != 0;
    let mut before = Vec::new();
    for its in &streams {
        walk.configure(its, &its.usual(mode))?;
        if volume {
            walk.stream_set(its, stream::MUTE, 0b10)?;
            walk.stream_set(its, stream::VOLUME_1, u32::MAX)?;
        }
        walk.reach(its, stream::STATE_PAUSE)?;
        if marks {
            walk.stream_set(its, stream::WRITTEN, 1000)?;
        }
        walk.enter(its, stream::STATE_RUN)?;
        walk.wait_status(its, PATIENCE, |page| page.packet_count >= 1)?;
        before.push(Before { frame: walk.position(its)?, kept: kept(walk, its)? });
    }
    walk.set(global::SELFTEST_BYTES, 64)?;

    if !config::set_power(walk.card, Power::D3hot)? {
        return Err(Ended::Skipped("the function has no power management".to_owned()));
    }
    let slept = asleep(walk, &streams);
    config::set_power(walk.card, Power::D0)?;
    slept?;
    let state = config::power(walk.card)?;
    walk.equal("D0: power state", 0, state);
    walk.wake()?;
    let magic = walk.get(global::MAGIC)?;
    walk.value("D0: MAGIC", global::MAGIC_VALUE, magic);
    let bytes = walk.get(global::SELFTEST_BYTES)?;
    walk.equal("D0: SELFTEST_BYTES is kept", 64, bytes)
        .means("a write got through while it slept, or it forgot");
    for (its, before) in streams.iter().zip(&before) {
        awake(walk, its, before)?;
    }
    Ok(())
}

struct Before {
    frame: u64,
    kept: Vec<u32>,
}

fn kept(walk: &mut Walk<'_>, its: &Stream) -> Stepped<Vec<u32>> {
    KEPT.iter().map(|register| walk.stream_get(its, *register)).collect()
}

/// Registers read as all ones, writes are ignored. Nothing else is touched: a kernel in between takes the pages away.
fn asleep(walk: &mut Walk<'_>, streams: &[Stream]) -> Stepped {
    let state = config::power(walk.card)?;
    walk.equal("D3hot: power state", 3, state);
    let registers = [("MAGIC", global::MAGIC), ("CONTROL", global::CONTROL), ("CLOCK_LO", global::CLOCK_LO)];
    let states = streams.iter().map(|its| ("STATE", its.block + stream::STATE));
    for (name, register) in registers.into_iter().chain(states) {
        let mut bytes = [0; 4];
        match walk.card.read(register, &mut bytes) {
            Ok(()) => walk
                .value(format!("D3hot: {name}"), u32::MAX, u32::from_le_bytes(bytes))
                .means("asleep the function answers no access"),
            // A kernel in between does not even ask the card, so what the card would say is not seen.
            Err(AccessError::Refused(why)) if !walk.card.own_configuration() => {
                walk.skip(format!("D3hot: {name}"), why);
            }
            Err(error) => return Err(error.into()),
        }
    }
    match walk.card.write(global::SELFTEST_BYTES, &128_u32.to_le_bytes()) {
        Err(lost @ AccessError::Lost(_)) => Err(lost.into()),
        _ => Ok(()),
    }
}

fn awake(walk: &mut Walk<'_>, its: &Stream, before: &Before) -> Stepped {
    let state = walk.stream_get(its, stream::STATE)?;
    walk.equal(its.name("D0: state"), "PAUSE".to_owned(), state_name(state))
        .means("D3hot moves every stream in RUN to PAUSE, and keeps the others");
    let after = kept(walk, its)?;
    let text = |values: &[u32]| values.iter().map(|value| format!("{value:x}")).collect::<Vec<_>>().join(" ");
    walk.equal(its.name("D0: registers are kept"), text(&before.kept), text(&after));
    let frame = walk.position(its)?;
    let count = walk.stream_get(its, stream::PACKET_COUNT)?;
    let on = frame >= before.frame && count >= 1;
    walk.check(its.name("D0: position is kept"), on, format!("{} or more", before.frame), frame);
    walk.enter(its, stream::STATE_RUN)?;
    let (page, there) = walk.wait_status(its, PATIENCE, |page| page.packet_count > count)?;
    walk.check(its.name("RUN: the next packet"), there, format!("more than {count}"), page.packet_count);
    walk.state(its, stream::STATE_STOP)?;
    Ok(())
}
