//! The jack, as far as a guest can look at it: nobody here can plug anything in. DATASHEET 5.9.

use ringwave_regs::pages::status;
use ringwave_regs::{global, stream};

use crate::stream::{Mode, Stream};
use crate::walk::{Stepped, Walk};

/// The step.
pub fn run(walk: &mut Walk<'_>) -> Stepped {
    let there = walk.get(global::FEATURES)? & global::FEATURE_JACK != 0;
    let mode = Mode::announced(walk)?.first().copied().unwrap_or(Mode::Contiguous);
    for its in walk.streams()? {
        let stopped = jack(walk, &its)?;
        if !there {
            walk.equal(its.name("UNPLUGGED without JACK in FEATURES"), "plugged in", stopped);
            walk.skip(its.name("jack"), "FEATURES has no JACK");
            continue;
        }
        walk.check(its.name("jack"), true, "either", stopped);
        walk.configure(&its, &its.usual(mode))?;
        walk.reach(&its, stream::STATE_RUN)?;
        let running = jack(walk, &its)?;
        walk.equal(its.name("jack in RUN"), stopped, running);
        walk.set(global::CONTROL, global::CONTROL_RESET)?;
        let reset = jack(walk, &its)?;
        walk.equal(its.name("jack after CONTROL.RESET"), stopped, reset)
            .means("a reset leaves the jack as it is, and so does the state of the stream");
    }
    Ok(())
}

fn jack(walk: &mut Walk<'_>, its: &Stream) -> Stepped<&'static str> {
    let unplugged = walk.status(its)?.flags & status::FLAG_UNPLUGGED != 0;
    Ok(if unplugged { "not plugged in" } else { "plugged in" })
}
