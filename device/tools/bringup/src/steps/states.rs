//! The state machine of each stream: every transition, allowed and refused, and what ACQUIRE checks.
//! DATASHEET 5.1.

use ringwave_regs::error::{Error, NONE};
use ringwave_regs::{format, global, stream};

use crate::bringup::{Bringup, StepResult, error_name};
use crate::stream::{Mode, Setup, Stream, state_name};

const STATES: [u32; 4] = [stream::STATE_STOP, stream::STATE_ACQUIRE, stream::STATE_PAUSE, stream::STATE_RUN];

/// The step.
pub fn run(bringup: &mut Bringup<'_>) -> StepResult {
    let mode = Mode::announced(bringup)?.first().copied().unwrap_or(Mode::Contiguous);
    for its in bringup.streams()? {
        let setup = its.usual(mode);
        acquire_checks(bringup, &its, &setup)?;
        bringup.configure(&its, &setup)?;
        for from in STATES {
            transitions(bringup, &its, from)?;
        }
        only_in_stop(bringup, &its)?;
        stop_clears(bringup, &its)?;
        bringup.state(&its, stream::STATE_STOP)?;
    }
    Ok(())
}

/// From one state to every other, and to one that there is not.
fn transitions(bringup: &mut Bringup<'_>, its: &Stream, from: u32) -> StepResult {
    let (mut expected, mut seen) = (Vec::new(), Vec::new());
    for to in STATES.into_iter().chain([4]) {
        bringup.state(its, stream::STATE_STOP)?;
        bringup.step_to(its, from)?;
        bringup.take_stream_error(its)?;
        let state = bringup.state(its, to)?;
        let error = bringup.take_stream_error(its)?;
        let page = bringup.status(its)?.state;
        let allowed = to <= from + 1 && to <= stream::STATE_RUN;
        let (then, code) = if allowed { (to, NONE) } else { (from, Error::BadState.code()) };
        let text = |then: u32, page: u32, code: u32| {
            let refused = if code == NONE { String::new() } else { format!(" {}", error_name(code)) };
            let differs = if page == then { String::new() } else { format!(" (page {})", state_name(page)) };
            let where_ = if then == to { "ok".to_owned() } else { format!("stays {}", state_name(then)) };
            format!("{} {where_}{differs}{refused}", state_name(to))
        };
        expected.push(text(then, then, code));
        seen.push(text(state, page, error));
    }
    // Only what is not as expected is worth a line.
    let wrong: Vec<_> = expected.iter().zip(&seen).filter(|(expected, seen)| expected != seen).collect();
    let name = its.name(format!("from {}", state_name(from)));
    let up =
        if from < stream::STATE_RUN { format!("up to {}", state_name(from + 1)) } else { "all".to_owned() };
    if wrong.is_empty() {
        bringup.check(name, true, format!("{up}, else BAD_STATE"), format!("{up}, else BAD_STATE"));
    } else {
        let join = |side: Vec<&String>| side.into_iter().cloned().collect::<Vec<_>>().join("; ");
        let (expected, seen): (Vec<_>, Vec<_>) = wrong.into_iter().unzip();
        bringup.check(name, false, join(expected), join(seen)).means(
            "upwards one step at a time, downwards any number; the status page says what the register says",
        );
    }
    Ok(())
}

/// STOP to ACQUIRE checks the registers, in the order of section 5.1.
fn acquire_checks(bringup: &mut Bringup<'_>, its: &Stream, good: &Setup) -> StepResult {
    bringup.take_stream_error(its)?;
    acquire(bringup, its, "nothing set", Error::BadFormat)?;
    bringup.stream_set(its, stream::FORMAT, format::pack(good.code, good.channels))?;
    acquire(bringup, its, "no RATE", Error::BadRate)?;
    bringup.stream_set(its, stream::RATE, good.rate)?;
    acquire(bringup, its, "no PACKETS", Error::BadPackets)?;
    for (name, packets) in [("3 PACKETS", 3), ("more PACKETS than CAPS", its.packets_max() + 1)] {
        bringup.stream_set(its, stream::PACKETS, packets)?;
        acquire(bringup, its, name, Error::BadPackets)?;
    }
    bringup.stream_set(its, stream::PACKETS, good.packets)?;
    acquire(bringup, its, "no RING_BYTES", Error::BadRing)?;
    let longest = bringup.get(global::RING_BYTES_MAX)?;
    let unit = good.packets * good.frame_bytes();
    let too_long = (longest / unit).saturating_add(1).saturating_mul(unit);
    for (name, bytes) in [
        ("RING_BYTES above RING_BYTES_MAX", too_long),
        ("RING_BYTES not whole frames", good.ring_bytes() + 1),
    ] {
        bringup.stream_set(its, stream::RING_BYTES, bytes)?;
        acquire(bringup, its, name, Error::BadRing)?;
    }
    let shortest = stream::packet_frames_min(good.rate);
    bringup.stream_set(its, stream::RING_BYTES, (shortest - 1) * unit)?;
    acquire(bringup, its, "packet below a millisecond", Error::BadPackets)?;
    let fifo = bringup.stream_get(its, stream::FIFO_FRAMES)?;
    bringup.equal(its.name("FIFO_FRAMES while ACQUIRE would refuse"), 0, fifo);
    bringup.stream_set(its, stream::RING_BYTES, good.ring_bytes())?;
    let fifo = bringup.stream_get(its, stream::FIFO_FRAMES)?;
    bringup.equal(its.name("FIFO_FRAMES"), stream::fifo_frames(good.rate, good.packet_frames), fifo);
    Ok(())
}

fn acquire(bringup: &mut Bringup<'_>, its: &Stream, name: &str, error: Error) -> StepResult {
    let state = bringup.state(its, stream::STATE_ACQUIRE)?;
    let code = bringup.take_stream_error(its)?;
    let text = |state: u32, code: u32| format!("{}, {}", state_name(state), error_name(code));
    let expected = text(stream::STATE_STOP, error.code());
    bringup.equal(its.name(format!("ACQUIRE with {name}")), expected, text(state, code));
    bringup.state(its, stream::STATE_STOP)?;
    Ok(())
}

/// Registers "W in STOP" refuse a write in every other state, and keep their value.
fn only_in_stop(bringup: &mut Bringup<'_>, its: &Stream) -> StepResult {
    let registers =
        stream::REGISTERS.iter().filter(|its| (stream::FORMAT..=stream::DMA_ADDR_HI).contains(&its.offset));
    for state in [stream::STATE_ACQUIRE, stream::STATE_PAUSE, stream::STATE_RUN] {
        bringup.state(its, stream::STATE_STOP)?;
        bringup.step_to(its, state)?;
        let mut wrong = Vec::new();
        for register in registers.clone() {
            bringup.take_stream_error(its)?;
            let before = bringup.stream_get(its, register.offset)?;
            // A value that would be good in STOP, but for DMA_MODE where 0 or 1 is.
            bringup.stream_set(its, register.offset, before ^ 1)?;
            let code = bringup.take_stream_error(its)?;
            let after = bringup.stream_get(its, register.offset)?;
            if (after, code) != (before, Error::BadState.code()) {
                wrong.push(format!("{} {after:#x} {}", register.name, error_name(code)));
            }
        }
        let seen = if wrong.is_empty() { "BAD_STATE for all".to_owned() } else { wrong.join(", ") };
        let name = its.name(format!("registers \"W in STOP\" in {}", state_name(state)));
        bringup.check(name, wrong.is_empty(), "BAD_STATE for all", seen);
    }
    Ok(())
}

/// STOP sets to 0 what counts, and leaves what was configured.
fn stop_clears(bringup: &mut Bringup<'_>, its: &Stream) -> StepResult {
    bringup.state(its, stream::STATE_STOP)?;
    bringup.step_to(its, stream::STATE_RUN)?;
    let setup = its.usual(Mode::Contiguous);
    let limit = setup.time(setup.packet_frames.into()) + crate::bringup::PATIENCE;
    let (seen, there) = bringup.wait_status(its, limit, |page| page.packet_count != 0)?;
    bringup
        .check(its.name("a packet passes"), there, "1 or more", seen.packet_count)
        .means("the card's time stands still: nothing drives its engine");
    let rate = bringup.stream_get(its, stream::RATE)?;
    bringup.state(its, stream::STATE_STOP)?;
    let (count, position) = (bringup.stream_get(its, stream::PACKET_COUNT)?, bringup.position(its)?);
    let page = bringup.status(its)?;
    bringup.equal(
        its.name("STOP: PACKET_COUNT, position"),
        "0, 0".to_owned(),
        format!("{count}, {position}"),
    );
    let text = format!("{}, {}, {}", page.packet_count, page.anchor_frame, page.rate_num);
    bringup.equal(its.name("STOP: page's count, frame, rate"), "0, 0, 0".to_owned(), text);
    let after = bringup.stream_get(its, stream::RATE)?;
    bringup.equal(its.name("STOP: RATE stays"), rate, after);
    // In STOP nothing is WRITTEN, ended, or started anywhere else (5.3, 5.5, 5.6).
    let features = bringup.get(global::FEATURES)?;
    let has = |bit: u32| features & bit != 0;
    for (register, name, there) in [
        (stream::WRITTEN, "WRITTEN", has(global::FEATURE_WRITTEN)),
        // A capture stream has no EOS, in whatever state (4.1).
        (stream::EOS, "EOS", has(global::FEATURE_WRITTEN) && !its.captures()),
        (stream::START_PACKET, "START_PACKET", has(global::FEATURE_START_FRAME)),
    ] {
        bringup.take_stream_error(its)?;
        bringup.stream_set(its, register, 0)?;
        let code = bringup.take_stream_error(its)?;
        let expected = if there { Error::BadState } else { Error::NotSupported };
        bringup.error(its.name(format!("{name} in STOP")), Some(expected), code);
    }
    Ok(())
}
