//! Packets from the first to the end of stream, in each DMA mode: counts, events, WRITTEN, EOS. DATASHEET 5.2
//! to 5.5.

use std::time::Duration;

use ringwave_regs::error::Error;
use ringwave_regs::pages::status;
use ringwave_regs::{global, stream};

use crate::bringup::{Bringup, PATIENCE, StepResult};
use crate::stream::{Mode, Setup, Status, Stream};

/// Packets of the stretch; the last one is not whole.
const PACKETS: u32 = 5;

/// The step.
pub fn run(bringup: &mut Bringup<'_>) -> StepResult {
    bringup.connect_msi()?;
    bringup.set(global::CONTROL, global::CONTROL_INT_ENABLE)?;
    for mode in Mode::announced(bringup)? {
        for its in bringup.streams()? {
            let setup = its.usual(mode);
            bringup.lines.take();
            bringup.configure(&its, &setup)?;
            // This step waits for the card, so the card may wait for it.
            bringup.ask_lockstep(&its, true)?;
            if its.captures() {
                capture(bringup, &its, &setup)?;
            } else if bringup.get(global::FEATURES)? & global::FEATURE_WRITTEN == 0 {
                unmarked(bringup, &its, &setup)?;
            } else {
                render(bringup, &its, &setup)?;
            }
            bringup.state(&its, stream::STATE_STOP)?;
            let error = bringup.take_stream_error(&its)?;
            bringup.error(named(&its, &setup, "ERROR"), None, error);
        }
    }
    Ok(())
}

fn named(its: &Stream, setup: &Setup, what: &str) -> String {
    its.name(format!("{}: {what}", setup.mode))
}

/// Waits until so many packets are complete, as long as they may take.
fn packets(bringup: &mut Bringup<'_>, its: &Stream, setup: &Setup, count: u32) -> StepResult<(Status, bool)> {
    let time = setup.time(u64::from(setup.packet_frames) * u64::from(count));
    bringup.wait_status(its, time + PATIENCE, |page| page.packet_count >= count)
}

fn render(bringup: &mut Bringup<'_>, its: &Stream, setup: &Setup) -> StepResult {
    let lockstep = bringup.get(global::CLOCK_MODE)? == global::CLOCK_MODE_LOCKSTEP;
    let (last, frame) = (PACKETS - 1, setup.frame_bytes());
    // Less than a FIFO, and no whole number of anything.
    let rest = setup.packet_frames / 2 + 1;
    bringup.step_to(its, stream::STATE_PAUSE)?;
    let before = bringup.status(its)?;
    bad_ends(bringup, its, setup)?;

    // Without lockstep nothing waits for a tool that comes too late, so everything is promised before RUN:
    // the buffer is all silence.
    if lockstep {
        bringup.stream_set(its, stream::WRITTEN, 0)?;
        bringup.enter(its, stream::STATE_RUN)?;
        stalls(bringup, its, setup)?;
        for number in 1..last {
            bringup.stream_set(its, stream::WRITTEN, number)?;
            packets(bringup, its, setup, number + 1)?;
        }
        bringup.stream_set(its, stream::EOS, stream::EOS_ARM | (rest * frame))?;
        bringup.stream_set(its, stream::WRITTEN, last)?;
    } else {
        bringup.stream_set(its, stream::WRITTEN, last - 1)?;
        bringup.stream_set(its, stream::EOS, stream::EOS_ARM | (rest * frame))?;
        bringup.stream_set(its, stream::WRITTEN, last)?;
        bringup.enter(its, stream::STATE_RUN)?;
    }
    let (page, there) = packets(bringup, its, setup, PACKETS)?;
    bringup
        .check(
            named(its, setup, "PACKET_COUNT"),
            there && page.packet_count == PACKETS,
            PACKETS,
            page.packet_count,
        )
        .means("the card's time stands still, or it waits for a packet that was WRITTEN");
    let ended = page.flags & status::FLAG_ENDED != 0;
    bringup.check(named(its, setup, "EOS: ENDED"), ended, "set", if ended { "set" } else { "not set" });
    let frames = u64::from(last) * u64::from(setup.packet_frames) + u64::from(rest);
    let register = bringup.position(its)?;
    let text = |register: u64, page: u64, rate: u32| format!("{register}, {page}, rate {rate}");
    let seen = text(register, page.anchor_frame, page.rate_num);
    bringup.equal(named(its, setup, "frame by register and page"), text(frames, frames, 0), seen);
    bringup.equal(named(its, setup, "PACKET_FRAME"), frames, page.packet_frame);
    counts(bringup, its, setup, &before, &page, u64::from(PACKETS))
}

/// Ends of stream that must be refused: no whole frames, and longer than a packet.
fn bad_ends(bringup: &mut Bringup<'_>, its: &Stream, setup: &Setup) -> StepResult {
    for (name, bytes) in [
        ("EOS of no whole frames", setup.frame_bytes() + 1),
        ("EOS longer than a packet", setup.packet_bytes() + setup.frame_bytes()),
    ] {
        bringup.stream_set(its, stream::EOS, stream::EOS_ARM | bytes)?;
        let error = bringup.take_stream_error(its)?;
        bringup.error(named(its, setup, name), Some(Error::BadEos), error);
    }
    bringup.stream_set(its, stream::EOS, 0)
}

/// Lockstep: packet 1 was not WRITTEN, so time stands still before it.
fn stalls(bringup: &mut Bringup<'_>, its: &Stream, setup: &Setup) -> StepResult {
    let (page, _) = packets(bringup, its, setup, 1)?;
    let at = u64::from(setup.packet_frames);
    let text = |count: u32, stalled: bool, packet: u32, frame: u64, rate: u32| {
        let stalled = if stalled { "STALLED" } else { "not stalled" };
        format!("{count}: {stalled} on {packet} at {frame}, rate {rate}")
    };
    let stalled = page.flags & status::FLAG_STALLED != 0;
    let seen = text(page.packet_count, stalled, page.stalled_packet, page.anchor_frame, page.rate_num);
    bringup
        .equal(named(its, setup, "not WRITTEN"), text(1, true, 1, at, 0), seen)
        .means("in lockstep a card waits for a packet that is not WRITTEN");
    bringup.stream_set(its, stream::WRITTEN, u32::MAX)?;
    let error = bringup.take_stream_error(its)?;
    bringup.error(named(its, setup, "WRITTEN goes back"), Some(Error::BadPacket), error);
    Ok(())
}

/// One event a packet, messages that may stand for several, and no silence.
fn counts(
    bringup: &mut Bringup<'_>,
    its: &Stream,
    setup: &Setup,
    before: &Status,
    after: &Status,
    packets: u64,
) -> StepResult {
    let events = after.events.wrapping_sub(before.events);
    bringup.equal(named(its, setup, "EVENTS, one a packet"), packets, events.into());
    let raised: u64 = bringup.interrupts(1, Duration::from_millis(3))?.iter().sum();
    bringup
        .check(
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
    bringup.equal(name, text(0, 0, 0), text(underruns, faults, silence));
    Ok(())
}

/// Without WRITTEN: the stream plays what is in the buffer until it is stopped.
fn unmarked(bringup: &mut Bringup<'_>, its: &Stream, setup: &Setup) -> StepResult {
    bringup.step_to(its, stream::STATE_PAUSE)?;
    let before = bringup.status(its)?;
    bringup.enter(its, stream::STATE_RUN)?;
    let (page, there) = packets(bringup, its, setup, PACKETS)?;
    bringup.check(named(its, setup, "PACKET_COUNT"), there, format!("{PACKETS} or more"), page.packet_count);
    bringup.enter(its, stream::STATE_PAUSE)?;
    let page = bringup.status(its)?;
    counts(bringup, its, setup, &before, &page, page.packet_count.into())
}

/// Capture: packets are stored, and taken one after the other. EOS is not for it.
fn capture(bringup: &mut Bringup<'_>, its: &Stream, setup: &Setup) -> StepResult {
    bringup.step_to(its, stream::STATE_PAUSE)?;
    bringup.stream_set(its, stream::EOS, stream::EOS_ARM)?;
    let error = bringup.take_stream_error(its)?;
    bringup.error(named(its, setup, "EOS"), Some(Error::NotSupported), error);
    let marks = bringup.get(global::FEATURES)? & global::FEATURE_WRITTEN != 0;
    let before = bringup.status(its)?;
    if marks {
        // Marks the stream, and takes nothing: the first packets need nothing.
        bringup.stream_set(its, stream::WRITTEN, u32::MAX)?;
    }
    bringup.enter(its, stream::STATE_RUN)?;
    for number in 0..PACKETS {
        let (page, there) = packets(bringup, its, setup, number + 1)?;
        if !there {
            bringup.check(named(its, setup, "PACKET_COUNT"), false, PACKETS, page.packet_count);
            break;
        }
        if marks {
            bringup.stream_set(its, stream::WRITTEN, number)?;
        }
    }
    bringup.enter(its, stream::STATE_PAUSE)?;
    let page = bringup.status(its)?;
    let faults = page.dma_faults.wrapping_sub(before.dma_faults);
    bringup.equal(named(its, setup, "DMA faults"), 0, faults);
    let events = page.events.wrapping_sub(before.events);
    bringup.equal(named(its, setup, "EVENTS, one a packet"), page.packet_count, events);
    Ok(())
}
