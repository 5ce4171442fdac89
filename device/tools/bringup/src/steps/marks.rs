//! Packets that are marked by a store to the mark page: the tag, words that are nothing, and the handshake of
//! a stall. DATASHEET 5.3, 7.4.

use std::sync::atomic::{Ordering, fence};

use ringwave_regs::pages::{self, mark, status};
use ringwave_regs::{global, stream};

use crate::bringup::{Bringup, PATIENCE, StepEnd, StepResult};
use crate::stream::{Mode, Setup, Stream};

/// The step.
pub fn run(bringup: &mut Bringup<'_>) -> StepResult {
    if bringup.get(global::FEATURES)? & global::FEATURE_MARK_PAGE == 0 {
        return Err(StepEnd::Skipped("FEATURES has no MARK_PAGE".to_owned()));
    }
    let lockstep = bringup.get(global::CLOCK_MODE)? == global::CLOCK_MODE_LOCKSTEP;
    let mode = Mode::announced(bringup)?.first().copied().unwrap_or(Mode::Contiguous);
    for its in bringup.streams()? {
        let setup = its.usual(mode);
        bringup.configure(&its, &setup)?;
        bringup.ask_lockstep(&its, true)?;
        words(bringup, &its)?;
        bringup.enter(&its, stream::STATE_RUN)?;
        if lockstep {
            stalls(bringup, &its, &setup)?;
        } else {
            runs(bringup, &its)?;
        }
        bringup.state(&its, stream::STATE_STOP)?;
        bringup.ask_lockstep(&its, false)?;
    }
    Ok(())
}

fn tag(bringup: &mut Bringup<'_>, its: &Stream) -> StepResult<u32> {
    bringup.page(its.page + status::MARK_TAG)
}

/// Stores a word, whatever it is good for.
fn store(bringup: &mut Bringup<'_>, its: &Stream, packet: u32, tag: u32) -> StepResult {
    let page = pages::mark_page(its.index).unwrap_or(pages::MARK_BASE);
    bringup.card.store_page(page + mark::MARK, mark::word(packet, tag))?;
    // Before WAITING is read.
    fence(Ordering::SeqCst);
    Ok(())
}

/// What counts and what does not, before RUN: packet 0 is marked in the end.
fn words(bringup: &mut Bringup<'_>, its: &Stream) -> StepResult {
    let first = tag(bringup, its)?;
    bringup.step_to(its, stream::STATE_PAUSE)?;
    bringup.state(its, stream::STATE_STOP)?;
    let second = tag(bringup, its)?;
    bringup.check(
        its.name("MARK_TAG"),
        first != 0 && second != 0 && first != second,
        "never 0, another after STOP",
        format!("{first}, {second} after STOP"),
    );
    bringup.step_to(its, stream::STATE_PAUSE)?;
    for (name, packet, tag, expected) in [
        ("a mark of before STOP", 5, first, "not marked"),
        ("a tag that never was", 5, second.wrapping_add(1), "not marked"),
        ("no tag", 5, 0, "not marked"),
        ("packet 0 with the tag", 0, second, "marked, 0"),
        ("a packet before it", u32::MAX, second, "marked, 0"),
    ] {
        store(bringup, its, packet, tag)?;
        bringup.stream_set(its, stream::LOOK, 0)?;
        let (written, page) = (bringup.stream_get(its, stream::WRITTEN)?, bringup.status(its)?);
        let seen = match page.flags & status::FLAG_WRITTEN {
            0 => "not marked".to_owned(),
            _ => format!("marked, {written}"),
        };
        bringup.equal(its.name(name), expected.to_owned(), seen);
    }
    Ok(())
}

/// Lockstep: the card waits, says so, and goes on when it is told of the mark, or after some 5 ms when it is
/// not.
fn stalls(bringup: &mut Bringup<'_>, its: &Stream, setup: &Setup) -> StepResult {
    for told in [true, false] {
        let (page, _) = bringup.wait_status(its, PATIENCE, |page| page.flags & status::FLAG_STALLED != 0)?;
        let packet = page.stalled_packet;
        let waiting = bringup.page(its.page + status::WAITING)?;
        bringup.value(its.name("WAITING in a stall"), 1, waiting);
        // A recorder waits until the packet in whose place it stores was taken.
        let needed = if its.captures() { packet.wrapping_sub(setup.packets) } else { packet };
        let tag = tag(bringup, its)?;
        store(bringup, its, needed, tag)?;
        if told {
            bringup.stream_set(its, stream::LOOK, 0)?;
        }
        let over = |page: &crate::stream::Status| {
            page.flags & status::FLAG_STALLED == 0 || page.stalled_packet != packet
        };
        let (after, there) = if told {
            let page = bringup.status(its)?;
            (page, over(&page))
        } else {
            bringup.wait_status(its, PATIENCE, over)?
        };
        let name = if told { "LOOK ends the stall" } else { "the stall ends without LOOK" };
        let seen = format!("flags {:#x}, packet {}", after.flags, after.stalled_packet);
        bringup
            .check(its.name(name), there, "goes on", seen)
            .means("the card looks at LOOK, and every 5 ms while it is stalled");
    }
    Ok(())
}

/// Realtime: nothing waits, and what is marked is known when the card looks next.
fn runs(bringup: &mut Bringup<'_>, its: &Stream) -> StepResult {
    const FAR: u32 = 1 << 20;
    let tag = tag(bringup, its)?;
    store(bringup, its, FAR, tag)?;
    bringup.wait_status(its, PATIENCE, |page| page.packet_count >= 1)?;
    let waiting = bringup.page(its.page + status::WAITING)?;
    bringup.value(its.name("WAITING in realtime"), 0, waiting);
    let written = bringup.stream_get(its, stream::WRITTEN)?;
    bringup.equal(its.name("WRITTEN tells the mark"), FAR, written);
    Ok(())
}
