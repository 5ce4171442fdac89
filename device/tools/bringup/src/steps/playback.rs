//! Packets from the first to the end of stream, in each DMA mode: counts, events, WRITTEN, EOS. DATASHEET 5.2 to 5.5.

use std::time::Duration;

use ringwave_regs::error::Error;
use ringwave_regs::pages::status;
use ringwave_regs::{global, stream};

use crate::stream::{Mode, Setup, Status, Stream};
use crate::walk::{PATIENCE, Stepped, Walk};

/// Packets of the stretch; the last one is not whole.
const PACKETS: u32 = 5;

/// The step.
pub fn run(walk: &mut Walk<'_>) -> Stepped {
    walk.connect_msi()?;
    walk.set(global::CONTROL, global::CONTROL_INT_ENABLE)?;
    for mode in Mode::announced(walk)? {
        for its in walk.streams()? {
            let setup = its.usual(mode);
            walk.lines.take();
            walk.configure(&its, &setup)?;
            // This step waits for the card, so the card may wait for it.
            walk.ask_lockstep(&its, true)?;
            if its.captures() {
                capture(walk, &its, &setup)?;
            } else if walk.get(global::FEATURES)? & global::FEATURE_WRITTEN == 0 {
                unmarked(walk, &its, &setup)?;
            } else {
                render(walk, &its, &setup)?;
            }
            walk.state(&its, stream::STATE_STOP)?;
            let error = walk.take_stream_error(&its)?;
            walk.error(named(&its, &setup, "ERROR"), None, error);
        }
    }
    Ok(())
}

fn named(its: &Stream, setup: &Setup, what: &str) -> String {
    its.name(format!("{}: {what}", setup.mode))
}

/// Waits until so many packets are complete, as long as they may take.
fn packets(walk: &mut Walk<'_>, its: &Stream, setup: &Setup, count: u32) -> Stepped<(Status, bool)> {
    let time = setup.time(u64::from(setup.packet_frames) * u64::from(count));
    walk.wait_status(its, time + PATIENCE, |page| page.packet_count >= count)
}

fn render(walk: &mut Walk<'_>, its: &Stream, setup: &Setup) -> Stepped {
    let lockstep = walk.get(global::CLOCK_MODE)? == global::CLOCK_MODE_LOCKSTEP;
    let (last, frame) = (PACKETS - 1, setup.frame_bytes());
    // Less than a FIFO, and no whole number of anything.
    let rest = setup.packet_frames / 2 + 1;
    walk.reach(its, stream::STATE_PAUSE)?;
    let before = walk.status(its)?;
    bad_ends(walk, its, setup)?;

    // Without lockstep nothing waits for a tool that comes too late, so everything is promised before RUN: the buffer is all silence.
    if lockstep {
        walk.stream_set(its, stream::WRITTEN, 0)?;
        walk.enter(its, stream::STATE_RUN)?;
        stalls(walk, its, setup)?;
        for number in 1..last {
            walk.stream_set(its, stream::WRITTEN, number)?;
            packets(walk, its, setup, number + 1)?;
        }
        walk.stream_set(its, stream::EOS, stream::EOS_ARM | (rest * frame))?;
        walk.stream_set(its, stream::WRITTEN, last)?;
    } else {
        walk.stream_set(its, stream::WRITTEN, last - 1)?;
        walk.stream_set(its, stream::EOS, stream::EOS_ARM | (rest * frame))?;
        walk.stream_set(its, stream::WRITTEN, last)?;
        walk.enter(its, stream::STATE_RUN)?;
    }
    let (page, there) = packets(walk, its, setup, PACKETS)?;
    walk.check(
        named(its, setup, "PACKET_COUNT"),
        there && page.packet_count == PACKETS,
        PACKETS,
        page.packet_count,
    )
    .means("the card's time stands still, or it waits for a packet that was WRITTEN");
    let ended = page.flags & status::FLAG_ENDED != 0;
    walk.check(named(its, setup, "EOS: ENDED"), ended, "set", if ended { "set" } else { "not set" });
    let frames = u64::from(last) * u64::from(setup.packet_frames) + u64::from(rest);
    let register = walk.position(its)?;
    let text = |register: u64, page: u64, rate: u32| format!("{register}, {page}, rate {rate}");
    let seen = text(register, page.anchor_frame, page.rate_num);
    walk.equal(named(its, setup, "frame by register and page"), text(frames, frames, 0), seen);
    walk.equal(named(its, setup, "PACKET_FRAME"), frames, page.packet_frame);
    counts(walk, its, setup, &before, &page, u64::from(PACKETS))
}

/// Ends of stream that must be refused: no whole frames, and longer than a packet.
fn bad_ends(walk: &mut Walk<'_>, its: &Stream, setup: &Setup) -> Stepped {
    for (name, bytes) in [
        ("EOS of no whole frames", setup.frame_bytes() + 1),
        ("EOS longer than a packet", setup.packet_bytes() + setup.frame_bytes()),
    ] {
        walk.stream_set(its, stream::EOS, stream::EOS_ARM | bytes)?;
        let error = walk.take_stream_error(its)?;
        walk.error(named(its, setup, name), Some(Error::BadEos), error);
    }
    walk.stream_set(its, stream::EOS, 0)
}

/// Lockstep: packet 1 was not WRITTEN, so time stands still before it.
fn stalls(walk: &mut Walk<'_>, its: &Stream, setup: &Setup) -> Stepped {
    let (page, _) = packets(walk, its, setup, 1)?;
    let at = u64::from(setup.packet_frames);
    let text = |count: u32, stalled: bool, packet: u32, frame: u64, rate: u32| {
        let stalled = if stalled { "STALLED" } else { "not stalled" };
        format!("{count}: {stalled} on {packet} at {frame}, rate {rate}")
    };
    let stalled = page.flags & status::FLAG_STALLED != 0;
    let seen = text(page.packet_count, stalled, page.stalled_packet, page.anchor_frame, page.rate_num);
    walk.equal(named(its, setup, "not WRITTEN"), text(1, true, 1, at, 0), seen)
        .means("in lockstep a card waits for a packet that is not WRITTEN");
    walk.stream_set(its, stream::WRITTEN, u32::MAX)?;
    let error = walk.take_stream_error(its)?;
    walk.error(named(its, setup, "WRITTEN goes back"), Some(Error::BadPacket), error);
    Ok(())
}

/// One event a packet, messages that may stand for several, and no silence.
fn counts(
    walk: &mut Walk<'_>,
    its: &Stream,
    setup: &Setup,
    before: &Status,
    after: &Status,
    packets: u64,
) -> Stepped {
    let events = after.events.wrapping_sub(before.events);
    walk.equal(named(its, setup, "EVENTS, one a packet"), packets, events.into());
    let raised: u64 = walk.interrupts(1, Duration::from_millis(3))?.iter().sum();
    walk.check(
        named(its, setup, "messages"),
        (1..=packets).contains(&raised),
        format!("1 to {packets}"),
        raised,
    )
    .means("the packets' messages do not arrive: CONTROL.INT_ENABLE, INT_ENABLE, MSI or its way");
    let (underruns, faults) =
        (after.underruns.wrapping_sub(before.underruns), after.dma_faults.wrapping_sub(before.dma_faults));
    let silence = after.silence_frames.wrapping_sub(before.silence_frames);
    let text = |underruns, faults, silence| format!("{underruns}, {faults}, {silence}");
    let name = named(its, setup, "underruns, DMA faults, silence");
    walk.equal(name, text(0, 0, 0), text(underruns, faults, silence));
    Ok(())
}

/// Without WRITTEN: the stream plays what is in the buffer until it is stopped.
fn unmarked(walk: &mut Walk<'_>, its: &Stream, setup: &Setup) -> Stepped {
    walk.reach(its, stream::STATE_PAUSE)?;
    let before = walk.status(its)?;
    walk.enter(its, stream::STATE_RUN)?;
    let (page, there) = packets(walk, its, setup, PACKETS)?;
    walk.check(named(its, setup, "PACKET_COUNT"), there, format!("{PACKETS} or more"), page.packet_count);
    walk.enter(its, stream::STATE_PAUSE)?;
    let page = walk.status(its)?;
    counts(walk, its, setup, &before, &page, page.packet_count.into())
}

/// Capture: packets are stored, and taken one after the other. EOS is not for it.
fn capture(walk: &mut Walk<'_>, its: &Stream, setup: &Setup) -> Stepped {
    walk.reach(its, stream::STATE_PAUSE)?;
    walk.stream_set(its, stream::EOS, stream::EOS_ARM)?;
    let error = walk.take_stream_error(its)?;
    walk.error(named(its, setup, "EOS"), Some(Error::NotSupported), error);
    let marks = walk.get(global::FEATURES)? & global::FEATURE_WRITTEN != 0;
    let before = walk.status(its)?;
    if marks {
        // Marks the stream, and takes nothing: the first packets need nothing.
        walk.stream_set(its, stream::WRITTEN, u32::MAX)?;
    }
    walk.enter(its, stream::STATE_RUN)?;
    for number in 0..PACKETS {
        let (page, there) = packets(walk, its, setup, number + 1)?;
        if !there {
            walk.check(named(its, setup, "PACKET_COUNT"), false, PACKETS, page.packet_count);
            break;
        }
        if marks {
            walk.stream_set(its, stream::WRITTEN, number)?;
        }
    }
    walk.enter(its, stream::STATE_PAUSE)?;
    let page = walk.status(its)?;
    let faults = page.dma_faults.wrapping_sub(before.dma_faults);
    walk.equal(named(its, setup, "DMA faults"), 0, faults);
    let events = page.events.wrapping_sub(before.events);
    walk.equal(named(its, setup, "EVENTS, one a packet"), page.packet_count, events);
    Ok(())
}
