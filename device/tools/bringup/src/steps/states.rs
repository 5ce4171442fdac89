//! The state machine of each stream: every transition, allowed and refused, and what ACQUIRE checks. DATASHEET 5.1.

use ringwave_regs::error::{Error, NONE};
use ringwave_regs::{format, global, stream};

use crate::stream::{Mode, Setup, Stream, state_name};
use crate::walk::{Stepped, Walk, error_name};

const STATES: [u32; 4] = [stream::STATE_STOP, stream::STATE_ACQUIRE, stream::STATE_PAUSE, stream::STATE_RUN];

/// The step.
pub fn run(walk: &mut Walk<'_>) -> Stepped {
    let mode = Mode::announced(walk)?.first().copied().unwrap_or(Mode::Contiguous);
    for its in walk.streams()? {
        let setup = its.usual(mode);
        acquire_checks(walk, &its, &setup)?;
        walk.configure(&its, &setup)?;
        for from in STATES {
            transitions(walk, &its, from)?;
        }
        only_in_stop(walk, &its)?;
        stop_clears(walk, &its)?;
        walk.state(&its, stream::STATE_STOP)?;
    }
    Ok(())
}

/// From one state to every other, and to one that there is not.
fn transitions(walk: &mut Walk<'_>, its: &Stream, from: u32) -> Stepped {
    let (mut expected, mut seen) = (Vec::new(), Vec::new());
    for to in STATES.into_iter().chain([4]) {
        walk.state(its, stream::STATE_STOP)?;
        walk.reach(its, from)?;
        walk.take_stream_error(its)?;
        let state = walk.state(its, to)?;
        let error = walk.take_stream_error(its)?;
        let page = walk.status(its)?.state;
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
        walk.check(name, true, format!("{up}, else BAD_STATE"), format!("{up}, else BAD_STATE"));
    } else {
        let join = |side: Vec<&String>| side.into_iter().cloned().collect::<Vec<_>>().join("; ");
        let (expected, seen): (Vec<_>, Vec<_>) = wrong.into_iter().unzip();
        walk.check(name, false, join(expected), join(seen)).means(
            "upwards one step at a time, downwards any number; the status page says what the register says",
        );
    }
    Ok(())
}

/// STOP to ACQUIRE checks the registers, in the order of section 5.1.
fn acquire_checks(walk: &mut Walk<'_>, its: &Stream, good: &Setup) -> Stepped {
    walk.take_stream_error(its)?;
    acquire(walk, its, "nothing set", Error::BadFormat)?;
    walk.stream_set(its, stream::FORMAT, format::pack(good.code, good.channels))?;
    acquire(walk, its, "no RATE", Error::BadRate)?;
    walk.stream_set(its, stream::RATE, good.rate)?;
    acquire(walk, its, "no PACKETS", Error::BadPackets)?;
    for (name, packets) in [("3 PACKETS", 3), ("more PACKETS than CAPS", its.packets_max() + 1)] {
        walk.stream_set(its, stream::PACKETS, packets)?;
        acquire(walk, its, name, Error::BadPackets)?;
    }
    walk.stream_set(its, stream::PACKETS, good.packets)?;
    acquire(walk, its, "no RING_BYTES", Error::BadRing)?;
    let longest = walk.get(global::RING_BYTES_MAX)?;
    let unit = good.packets * good.frame_bytes();
    let too_long = (longest / unit).saturating_add(1).saturating_mul(unit);
    for (name, bytes) in [
        ("RING_BYTES above RING_BYTES_MAX", too_long),
        ("RING_BYTES not whole frames", good.ring_bytes() + 1),
    ] {
        walk.stream_set(its, stream::RING_BYTES, bytes)?;
        acquire(walk, its, name, Error::BadRing)?;
    }
    let shortest = stream::packet_frames_min(good.rate);
    walk.stream_set(its, stream::RING_BYTES, (shortest - 1) * unit)?;
    acquire(walk, its, "packet below a millisecond", Error::BadPackets)?;
    let fifo = walk.stream_get(its, stream::FIFO_FRAMES)?;
    walk.equal(its.name("FIFO_FRAMES while ACQUIRE would refuse"), 0, fifo);
    walk.stream_set(its, stream::RING_BYTES, good.ring_bytes())?;
    let fifo = walk.stream_get(its, stream::FIFO_FRAMES)?;
    walk.equal(its.name("FIFO_FRAMES"), stream::fifo_frames(good.rate, good.packet_frames), fifo);
    Ok(())
}

fn acquire(walk: &mut Walk<'_>, its: &Stream, name: &str, error: Error) -> Stepped {
    let state = walk.state(its, stream::STATE_ACQUIRE)?;
    let code = walk.take_stream_error(its)?;
    let text = |state: u32, code: u32| format!("{}, {}", state_name(state), error_name(code));
    let expected = text(stream::STATE_STOP, error.code());
    walk.equal(its.name(format!("ACQUIRE with {name}")), expected, text(state, code));
    walk.state(its, stream::STATE_STOP)?;
    Ok(())
}

/// Registers "W in STOP" refuse a write in every other state, and keep their value.
fn only_in_stop(walk: &mut Walk<'_>, its: &Stream) -> Stepped {
    let registers =
        stream::REGISTERS.iter().filter(|its| (stream::FORMAT..=stream::DMA_ADDR_HI).contains(&its.offset));
    for state in [stream::STATE_ACQUIRE, stream::STATE_PAUSE, stream::STATE_RUN] {
        walk.state(its, stream::STATE_STOP)?;
        walk.reach(its, state)?;
        let mut wrong = Vec::new();
        for register in registers.clone() {
            walk.take_stream_error(its)?;
            let before = walk.stream_get(its, register.offset)?;
            // A value that would be good in STOP, but for DMA_MODE where 0 or 1 is.
            walk.stream_set(its, register.offset, before ^ 1)?;
            let code = walk.take_stream_error(its)?;
            let after = walk.stream_get(its, register.offset)?;
            if (after, code) != (before, Error::BadState.code()) {
                wrong.push(format!("{} {after:#x} {}", register.name, error_name(code)));
            }
        }
        let seen = if wrong.is_empty() { "BAD_STATE for all".to_owned() } else { wrong.join(", ") };
        let name = its.name(format!("registers \"W in STOP\" in {}", state_name(state)));
        walk.check(name, wrong.is_empty(), "BAD_STATE for all", seen);
    }
    Ok(())
}

/// STOP sets to 0 what counts, and leaves what was configured.
fn stop_clears(walk: &mut Walk<'_>, its: &Stream) -> Stepped {
    walk.state(its, stream::STATE_STOP)?;
    walk.reach(its, stream::STATE_RUN)?;
    let setup = its.usual(Mode::Contiguous);
    let limit = setup.time(setup.packet_frames.into()) + crate::walk::PATIENCE;
    let (seen, there) = walk.wait_status(its, limit, |page| page.packet_count != 0)?;
    walk.check(its.name("a packet passes"), there, "1 or more", seen.packet_count)
        .means("the card's time stands still: nothing drives its engine");
    let rate = walk.stream_get(its, stream::RATE)?;
    walk.state(its, stream::STATE_STOP)?;
    let (count, position) = (walk.stream_get(its, stream::PACKET_COUNT)?, walk.position(its)?);
    let page = walk.status(its)?;
    walk.equal(its.name("STOP: PACKET_COUNT, position"), "0, 0".to_owned(), format!("{count}, {position}"));
    let text = format!("{}, {}, {}", page.packet_count, page.anchor_frame, page.rate_num);
    walk.equal(its.name("STOP: page's count, frame, rate"), "0, 0, 0".to_owned(), text);
    let after = walk.stream_get(its, stream::RATE)?;
    walk.equal(its.name("STOP: RATE stays"), rate, after);
    // In STOP nothing is WRITTEN, ended, or started anywhere else (5.3, 5.5, 5.6).
    let features = walk.get(global::FEATURES)?;
    let has = |bit: u32| features & bit != 0;
    for (register, name, there) in [
        (stream::WRITTEN, "WRITTEN", has(global::FEATURE_WRITTEN)),
        // A capture stream has no EOS, in whatever state (4.1).
        (stream::EOS, "EOS", has(global::FEATURE_WRITTEN) && !its.captures()),
        (stream::START_PACKET, "START_PACKET", has(global::FEATURE_START_FRAME)),
    ] {
        walk.take_stream_error(its)?;
        walk.stream_set(its, register, 0)?;
        let code = walk.take_stream_error(its)?;
        let expected = if there { Error::BadState } else { Error::NotSupported };
        walk.error(its.name(format!("{name} in STOP")), Some(expected), code);
    }
    Ok(())
}
