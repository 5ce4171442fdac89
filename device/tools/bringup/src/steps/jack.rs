//! The jack, as far as a guest can look at it: nobody here can plug anything in. DATASHEET 5.9.

use ringwave_regs::pages::status;
use ringwave_regs::{global, stream};

use crate::bringup::{Bringup, StepResult};
use crate::stream::{Mode, Stream};

/// The step.
pub fn run(bringup: &mut Bringup<'_>) -> StepResult {
    let there = bringup.get(global::FEATURES)? & global::FEATURE_JACK != 0;
    let mode = Mode::announced(bringup)?.first().copied().unwrap_or(Mode::Contiguous);
    for its in bringup.streams()? {
        let stopped = jack(bringup, &its)?;
        if !there {
            bringup.equal(its.name("UNPLUGGED without JACK in FEATURES"), "plugged in", stopped);
            bringup.skip(its.name("jack"), "FEATURES has no JACK");
            continue;
        }
        bringup.check(its.name("jack"), true, "either", stopped);
        bringup.configure(&its, &its.usual(mode))?;
        bringup.step_to(&its, stream::STATE_RUN)?;
        let running = jack(bringup, &its)?;
        bringup.equal(its.name("jack in RUN"), stopped, running);
        bringup.set(global::CONTROL, global::CONTROL_RESET)?;
        let reset = jack(bringup, &its)?;
        bringup
            .equal(its.name("jack after CONTROL.RESET"), stopped, reset)
            .means("a reset leaves the jack as it is, and so does the state of the stream");
    }
    Ok(())
}

fn jack(bringup: &mut Bringup<'_>, its: &Stream) -> StepResult<&'static str> {
    let unplugged = bringup.status(its)?.flags & status::FLAG_UNPLUGGED != 0;
    Ok(if unplugged { "not plugged in" } else { "plugged in" })
}
