//! Capture close up: what was captured is in memory at most a FIFO after the position has passed it, and
//! anchors come as often. DATASHEET 5.2.

use std::time::Instant;

use ringwave_regs::{global, stream};

use crate::bringup::{Bringup, LOOK_EVERY, PATIENCE, StepEnd, StepResult};
use crate::stream::{Mode, Setup, Stream};

/// What stands in the cyclic buffer before anything is captured: no sample that is likely.
const MARK: u32 = 0xA5C3_3C5A;

/// The step.
pub fn run(bringup: &mut Bringup<'_>) -> StepResult {
    if bringup.get(global::FEATURES)? & global::FEATURE_CAPTURE == 0 {
        return Err(StepEnd::Skipped("FEATURES has no CAPTURE".to_owned()));
    }
    for mode in Mode::announced(bringup)? {
        for its in bringup.streams()?.into_iter().filter(Stream::captures) {
            let setup = its.usual(mode);
            bringup.configure(&its, &setup)?;
            bringup.mark_ring(&setup, MARK);
            bringup.step_to(&its, stream::STATE_RUN)?;
            close_up(bringup, &its, &setup)?;
            bringup.state(&its, stream::STATE_STOP)?;
        }
    }
    Ok(())
}

/// Looks at position, memory and page until the buffer is full and an end of a piece was seen that is no end
/// of a packet.
fn close_up(bringup: &mut Bringup<'_>, its: &Stream, setup: &Setup) -> StepResult {
    let fifo = bringup.stream_get(its, stream::FIFO_FRAMES)?.max(1);
    let packet = u64::from(setup.packet_frames.max(1));
    let ring = packet * u64::from(setup.packets);
    let (mut missing, mut odd, mut between) = (0_u64, 0_u64, false);
    let end = Instant::now() + setup.time(ring) + PATIENCE;
    loop {
        let late = Instant::now() >= end;
        let frame = bringup.position(its)?;
        // Everything before this was stored when the position was read.
        let there = frame.saturating_sub(fifo.into()).min(ring) * u64::from(setup.frame_bytes()) / 4;
        let there = usize::try_from(there).unwrap_or(usize::MAX);
        let marks = bringup.ring_words(setup).take(there).filter(|word| *word == MARK).count() as u64;
        missing = missing.max(marks);
        let page = bringup.status(its)?;
        let in_packet = page.anchor_frame % packet;
        odd += u64::from(!in_packet.is_multiple_of(fifo.into()));
        between |= in_packet != 0;
        if late || frame >= ring && (between || u64::from(fifo) >= packet) {
            break;
        }
        bringup.wait(LOOK_EVERY)?;
    }
    let name = |what: &str| its.name(format!("{}: {what}", setup.mode));
    bringup
        .equal(name("words missing a FIFO behind the position"), 0, missing)
        .means("a piece is stored whole when the position reaches its end");
    let seen = if odd != 0 {
        "elsewhere"
    } else if between {
        "there"
    } else {
        "at ends of packets only"
    };
    let right = odd == 0 && (between || u64::from(fifo) >= packet);
    bringup
        .check(name("anchors"), right, format!("every {fifo} frames"), seen)
        .means("the anchor is renewed at every end of a piece, and a piece is one FIFO long");
    Ok(())
}
