//! Asleep the function answers nothing, awake again it has kept everything. DATASHEET section 2, "D3hot".

use ringwave_regs::{global, stream};

use crate::access::AccessError;
use crate::bringup::{Bringup, PATIENCE, StepEnd, StepResult};
use crate::config::{self, Power};
use crate::stream::{Mode, Stream, state_name};

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
pub fn run(bringup: &mut Bringup<'_>) -> StepResult {
    let mode = Mode::announced(bringup)?.first().copied().unwrap_or(Mode::Contiguous);
    let streams = bringup.streams()?;
    let volume = bringup.get(global::FEATURES)? & global::FEATURE_VOLUME != 0;
    let marks = bringup.get(global::FEATURES)? & global::FEATURE_WRITTEN != 0;
    let mut before = Vec::new();
    for its in &streams {
        bringup.configure(its, &its.usual(mode))?;
        if volume {
            bringup.stream_set(its, stream::MUTE, 0b10)?;
            bringup.stream_set(its, stream::VOLUME_1, u32::MAX)?;
        }
        bringup.step_to(its, stream::STATE_PAUSE)?;
        if marks {
            bringup.stream_set(its, stream::WRITTEN, 1000)?;
        }
        bringup.enter(its, stream::STATE_RUN)?;
        bringup.wait_status(its, PATIENCE, |page| page.packet_count >= 1)?;
        before.push(Before { frame: bringup.position(its)?, kept: kept(bringup, its)? });
    }
    bringup.set(global::SELFTEST_BYTES, 64)?;

    if !config::set_power(bringup.card, Power::D3hot)? {
        return Err(StepEnd::Skipped("the function has no power management".to_owned()));
    }
    let slept = asleep(bringup, &streams);
    config::set_power(bringup.card, Power::D0)?;
    slept?;
    let state = config::power(bringup.card)?;
    bringup.equal("D0: power state", 0, state);
    bringup.wake()?;
    let magic = bringup.get(global::MAGIC)?;
    bringup.value("D0: MAGIC", global::MAGIC_VALUE, magic);
    let bytes = bringup.get(global::SELFTEST_BYTES)?;
    bringup
        .equal("D0: SELFTEST_BYTES is kept", 64, bytes)
        .means("a write got through while it slept, or it forgot");
    for (its, before) in streams.iter().zip(&before) {
        awake(bringup, its, before)?;
    }
    Ok(())
}

struct Before {
    frame: u64,
    kept: Vec<u32>,
}

fn kept(bringup: &mut Bringup<'_>, its: &Stream) -> StepResult<Vec<u32>> {
    KEPT.iter().map(|register| bringup.stream_get(its, *register)).collect()
}

/// Registers read as all ones, writes are ignored. Nothing else is touched: a kernel in between takes the
/// pages away.
fn asleep(bringup: &mut Bringup<'_>, streams: &[Stream]) -> StepResult {
    let state = config::power(bringup.card)?;
    bringup.equal("D3hot: power state", 3, state);
    let registers = [("MAGIC", global::MAGIC), ("CONTROL", global::CONTROL), ("CLOCK_LO", global::CLOCK_LO)];
    let states = streams.iter().map(|its| ("STATE", its.block + stream::STATE));
    for (name, register) in registers.into_iter().chain(states) {
        let mut bytes = [0; 4];
        match bringup.card.read(register, &mut bytes) {
            Ok(()) => bringup
                .value(format!("D3hot: {name}"), u32::MAX, u32::from_le_bytes(bytes))
                .means("asleep the function answers no access"),
            // A kernel in between does not even ask the card, so what the card would say is not seen.
            Err(AccessError::Refused(why)) if !bringup.card.own_configuration() => {
                bringup.skip(format!("D3hot: {name}"), why);
            }
            Err(error) => return Err(error.into()),
        }
    }
    match bringup.card.write(global::SELFTEST_BYTES, &128_u32.to_le_bytes()) {
        Err(lost @ AccessError::Lost(_)) => Err(lost.into()),
        _ => Ok(()),
    }
}

fn awake(bringup: &mut Bringup<'_>, its: &Stream, before: &Before) -> StepResult {
    let state = bringup.stream_get(its, stream::STATE)?;
    bringup
        .equal(its.name("D0: state"), "PAUSE".to_owned(), state_name(state))
        .means("D3hot moves every stream in RUN to PAUSE, and keeps the others");
    let after = kept(bringup, its)?;
    let text = |values: &[u32]| values.iter().map(|value| format!("{value:x}")).collect::<Vec<_>>().join(" ");
    bringup.equal(its.name("D0: registers are kept"), text(&before.kept), text(&after));
    let frame = bringup.position(its)?;
    let count = bringup.stream_get(its, stream::PACKET_COUNT)?;
    let on = frame >= before.frame && count >= 1;
    bringup.check(its.name("D0: position is kept"), on, format!("{} or more", before.frame), frame);
    bringup.enter(its, stream::STATE_RUN)?;
    let (page, there) = bringup.wait_status(its, PATIENCE, |page| page.packet_count > count)?;
    bringup.check(its.name("RUN: the next packet"), there, format!("more than {count}"), page.packet_count);
    bringup.state(its, stream::STATE_STOP)?;
    Ok(())
}
