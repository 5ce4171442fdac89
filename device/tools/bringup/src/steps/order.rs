//! In what order a write is judged: is there such a register, has the card its feature, does the state allow
//! it, and then the value. DATASHEET 4.1.

use ringwave_regs::error::{Error, NONE};
use ringwave_regs::{global, stream};

use crate::bringup::{Bringup, StepResult, error_name};
use crate::stream::{Mode, Stream, state_name};

/// A value that is good in hardly any register, but for those that take every one.
const WILD: u32 = 0xFFFF_FFF7;
/// Where a stream's block has no register.
const HOLE: u32 = 0xA0;

/// The step. Every write here is wrong in all the later ways, too, where there are such.
pub fn run(bringup: &mut Bringup<'_>) -> StepResult {
    let mode = Mode::announced(bringup)?.first().copied().unwrap_or(Mode::Contiguous);
    let features = bringup.get(global::FEATURES)?;
    for its in bringup.streams()? {
        bringup.configure(&its, &its.usual(mode))?;
        for state in [stream::STATE_STOP, stream::STATE_PAUSE, stream::STATE_RUN] {
            bringup.state(&its, stream::STATE_STOP)?;
            bringup.step_to(&its, state)?;
            check_order(bringup, &its, state, features)?;
        }
        bringup.state(&its, stream::STATE_STOP)?;
    }
    Ok(())
}

/// Writes what must be refused in this state.
fn check_order(bringup: &mut Bringup<'_>, its: &Stream, state: u32, features: u32) -> StepResult {
    let mut wrong = Vec::new();
    bringup.take_stream_error(its)?;
    for (register, error) in refusals(its.captures(), state, features) {
        let before = if register == HOLE { None } else { Some(bringup.stream_get(its, register)?) };
        bringup.stream_set(its, register, WILD)?;
        let code = bringup.take_stream_error(its)?;
        let after = if register == HOLE { None } else { Some(bringup.stream_get(its, register)?) };
        if code != error.code() {
            let seen = if code == NONE { "taken" } else { &error_name(code) };
            wrong.push(format!("{:#04x}: {seen}, not {}", register, error.name()));
        } else if before != after {
            wrong.push(format!("{register:#04x}: refused, but changed"));
        }
    }
    let seen = if wrong.is_empty() { "as listed in 4.1".to_owned() } else { wrong.join("; ") };
    bringup.check(
        its.name(format!("writes in {}", state_name(state))),
        wrong.is_empty(),
        "as listed in 4.1",
        seen,
    )
    .means(
        "no register: BAD_ACCESS, no feature: NOT_SUPPORTED, not in this state: BAD_STATE, then the value",
    );
    Ok(())
}

/// What a wild value is refused with, register by register.
fn refusals(captures: bool, state: u32, features: u32) -> Vec<(u32, Error)> {
    let stopped = state == stream::STATE_STOP;
    let has = |bit: u32| features & bit != 0;
    let mut list = vec![(HOLE, Error::BadAccess), (stream::STATE, Error::BadState)];
    if captures || !has(global::FEATURE_WRITTEN) {
        list.push((stream::EOS, Error::NotSupported));
    } else {
        list.push((stream::EOS, if stopped { Error::BadState } else { Error::BadEos }));
    }
    if !has(global::FEATURE_WRITTEN) {
        list.push((stream::WRITTEN, Error::NotSupported));
    } else if stopped {
        list.push((stream::WRITTEN, Error::BadState));
    }
    if !has(global::FEATURE_START_FRAME) {
        list.push((stream::START_FRAME_LO, Error::NotSupported));
    } else if state != stream::STATE_PAUSE {
        list.push((stream::START_FRAME_LO, Error::BadState));
    }
    if !has(global::FEATURE_WRITTEN) {
        list.push((stream::LOCKSTEP, Error::NotSupported));
    } else if state == stream::STATE_RUN {
        list.push((stream::LOCKSTEP, Error::BadState));
    }
    if !has(global::FEATURE_MARK_PAGE) {
        list.push((stream::LOOK, Error::NotSupported));
    }
    if !has(global::FEATURE_POSITION_PAGE) {
        list.push((stream::POSITION_CONTROL, Error::NotSupported));
    }
    // As a volume the wild value is a good one: the step `volume` has others.
    if !has(global::FEATURE_VOLUME) {
        list.extend([(stream::MUTE, Error::NotSupported), (stream::VOLUME_0, Error::NotSupported)]);
    }
    let registers = [stream::FORMAT, stream::RATE, stream::DMA_MODE];
    let values = [Error::BadFormat, Error::BadRate, Error::NotSupported];
    list.extend(registers.into_iter().zip(values.map(|value| if stopped { value } else { Error::BadState })));
    if !stopped {
        list.extend([stream::RING_BYTES, stream::DMA_ADDR_HI].map(|register| (register, Error::BadState)));
    }
    list
}
