//! Position is time: by register and by page, against the card's clock and against this host's, through PAUSE
//! and START. DATASHEET 5.2, 5.6, 7.2.

use std::time::{Duration, Instant};

use ringwave_regs::error::Error;
use ringwave_regs::{global, stream};

use crate::bringup::{Bringup, PATIENCE, StepResult};
use crate::stream::{Mode, Setup, Status, Stream, state_name};

/// How long the position is watched, and in what rhythm.
const WATCH: Duration = Duration::from_millis(120);
const RHYTHM: Duration = Duration::from_millis(2);
/// How far the card's clock may be from this host's: two quartzes differ by less.
const CLOCK_TOLERANCE: f64 = 0.001;
/// How far `RATE_DEN` of a stream that goes by realtime may be from nominal, as a part of it (section 5.4).
const RATE_LIMIT: f64 = 0.001;
/// Fewer looks in a watch than this are those of a tool that had no processor meanwhile: they judge nothing.
const LOOKS_MIN: usize = 10;
/// How often a watch is begun anew because the card's time was begun anew (its host slept for 100 ms, section
/// 5.2), or there were too few looks at it.
const TRIES: u32 = 10;
/// A packet that will not be reached: everything before it is promised.
const FAR: u32 = 1 << 20;

/// One look at the card: this host's clock before and after, and in between the card's clock, its position,
/// its clock again.
struct Sample {
    host: (Instant, Instant),
    clock: (u64, u64),
    frame: u64,
    page: Status,
}

/// The step `position`.
pub fn run(bringup: &mut Bringup<'_>) -> StepResult {
    let mode = Mode::announced(bringup)?.first().copied().unwrap_or(Mode::Contiguous);
    for its in bringup.streams()? {
        let setup = its.usual(mode);
        for attempt in 1..=TRIES {
            prepare(bringup, &its, &setup)?;
            bringup.enter(&its, stream::STATE_RUN)?;
            let samples = watch(bringup, &its)?;
            let end = bringup.status(&its)?;
            bringup.state(&its, stream::STATE_STOP)?;
            let paced = bringup.get(global::CLOCK_MODE)? != global::CLOCK_MODE_LOCKSTEP;
            // A host's clock that changed its rate is no break.
            let same = |a: &Status, b: &Status| a.epoch == b.epoch || paced && a.rate_den != b.rate_den;
            // A break in the last look is seen only after it.
            let pages: Vec<&Status> = samples.iter().map(|sample| &sample.page).chain([&end]).collect();
            let unbroken =
                samples.len() >= LOOKS_MIN && pages.windows(2).all(|two| matches!(two, [a, b] if same(a, b)));
            if unbroken || attempt == TRIES {
                check(bringup, &its, &setup, &samples, (unbroken, if paced { RATE_LIMIT } else { 0.0 }));
                break;
            }
        }
    }
    Ok(())
}

/// Takes the stream to PAUSE, with more promised than will be played.
fn prepare(bringup: &mut Bringup<'_>, its: &Stream, setup: &Setup) -> StepResult {
    bringup.configure(its, setup)?;
    bringup.step_to(its, stream::STATE_PAUSE)?;
    if bringup.get(global::FEATURES)? & global::FEATURE_WRITTEN != 0 {
        bringup.stream_set(its, stream::WRITTEN, FAR)?;
    }
    Ok(())
}

fn watch(bringup: &mut Bringup<'_>, its: &Stream) -> StepResult<Vec<Sample>> {
    let end = Instant::now() + WATCH;
    let mut samples = Vec::new();
    while Instant::now() < end {
        let page = bringup.status(its)?;
        let before = Instant::now();
        let first = bringup.get64(global::CLOCK_LO)?;
        let after = Instant::now();
        let frame = bringup.position(its)?;
        let second = bringup.get64(global::CLOCK_LO)?;
        samples.push(Sample { host: (before, after), clock: (first, second), frame, page });
        bringup.wait(RHYTHM)?;
    }
    Ok(samples)
}

/// `rate_limit`: how far the stream's clock may be from the card's.
fn check(
    bringup: &mut Bringup<'_>,
    its: &Stream,
    setup: &Setup,
    samples: &[Sample],
    (unbroken, rate_limit): (bool, f64),
) {
    let seen = match samples.len() {
        0..LOOKS_MIN => format!("{} looks", samples.len()),
        _ if unbroken => "one EPOCH".to_owned(),
        _ => "several".to_owned(),
    };
    bringup.check(its.name("watched without a break"), unbroken, "one EPOCH", seen)
        .means("card or tool was not let run for more than 100 ms, ten times: this machine is too busy to judge a clock");
    let rate = |num: u32, den: u32| format!("{num}/{den}");
    if let Some(sample) = samples.first() {
        let nominal = f64::from(sample.page.rate_den) / f64::from(global::CLOCK_HZ_VALUE);
        let same = sample.page.rate_num == setup.rate && (nominal - 1.0).abs() <= rate_limit;
        let expected = rate(setup.rate, global::CLOCK_HZ_VALUE);
        bringup.check(
            its.name("RATE_NUM / RATE_DEN"),
            same,
            expected,
            rate(sample.page.rate_num, sample.page.rate_den),
        );
    }
    host_clock(bringup, its, samples);
    monotonic(bringup, its, samples);
    on_the_line(bringup, its, samples);
    against_host(bringup, its, setup, samples, rate_limit);
}

/// The card's clock against this host's, between the two narrowest samples at either end.
fn host_clock(bringup: &mut Bringup<'_>, its: &Stream, samples: &[Sample]) {
    let name = its.name("device clock against this host's");
    let Some((first, last)) = ends(samples) else {
        bringup.check(name, false, "1.000", "nothing was seen");
        return;
    };
    let (passed, error) = host_time(first, last);
    let ratio = nanos(last.clock.0.saturating_sub(first.clock.0)) / passed;
    let bound = error / passed + CLOCK_TOLERANCE;
    let near = (ratio - 1.0).abs() <= bound;
    bringup
        .check(name, near, format!("1.0000 +- {bound:.4}"), format!("{ratio:.4}"))
        .means("the card's clock is not CLOCK_HZ: served with --speed, or its clock source is wrong");
}

/// Frames that passed against this host's time.
fn against_host(bringup: &mut Bringup<'_>, its: &Stream, setup: &Setup, samples: &[Sample], rate_limit: f64) {
    let name = its.name("frames against this host's clock");
    let Some((first, last)) = ends(samples) else {
        bringup.check(name, false, format!("{} Hz", setup.rate), "nothing was seen");
        return;
    };
    // The position was read after the clock was, at a time that the second clock reading bounds.
    let (passed, error) = host_time(first, last);
    let slack =
        nanos(first.clock.1.saturating_sub(first.clock.0)) + nanos(last.clock.1.saturating_sub(last.clock.0));
    let rate = f64::from(setup.rate);
    #[allow(clippy::cast_precision_loss, reason = "frames of a fraction of a second")]
    let frames = last.frame.saturating_sub(first.frame) as f64;
    let seen = frames / passed * 1e9;
    let bound = rate * ((error + slack) / passed + CLOCK_TOLERANCE + rate_limit) + 1e9 / passed;
    let near = (seen - rate).abs() <= bound;
    bringup
        .check(name, near, format!("{} Hz +- {bound:.0}", setup.rate), format!("{seen:.0} Hz"))
        .means("frames do not pass as fast as RATE says");
}

/// The narrowest samples of the first and of the last third.
fn ends(samples: &[Sample]) -> Option<(&Sample, &Sample)> {
    let third = samples.len() / 3;
    let width = |sample: &&Sample| {
        sample.host.1 - sample.host.0 + Duration::from_nanos(sample.clock.1.saturating_sub(sample.clock.0))
    };
    let first = samples.iter().take(third.max(1)).min_by_key(width)?;
    let last = samples.iter().rev().take(third.max(1)).min_by_key(width)?;
    (last.host.0 > first.host.1).then_some((first, last))
}

/// Host time from one look's clock to another's in nanoseconds, and by how much that may be wrong.
fn host_time(first: &Sample, last: &Sample) -> (f64, f64) {
    let duration = |from: Instant, to: Instant| to.saturating_duration_since(from).as_secs_f64() * 1e9;
    let (shortest, longest) = (duration(first.host.1, last.host.0), duration(first.host.0, last.host.1));
    (f64::midpoint(shortest, longest).max(1.0), (longest - shortest) / 2.0)
}

#[allow(clippy::cast_precision_loss, reason = "differences of a fraction of a second")]
fn nanos(ticks: u64) -> f64 {
    ticks as f64
}

/// Neither clock nor position goes back, by register or by page.
fn monotonic(bringup: &mut Bringup<'_>, its: &Stream, samples: &[Sample]) {
    let back = |value: fn(&Sample) -> u64| {
        samples.windows(2).filter(|two| matches!(two, [a, b] if value(b) < value(a))).count()
    };
    let seen = [
        back(|sample| sample.clock.0),
        back(|sample| sample.frame),
        back(|sample| sample.page.position(sample.clock.0)),
    ];
    let text = |[clock, frame, page]: [usize; 3]| format!("{clock}, {frame}, {page} of {}", samples.len());
    bringup.equal(its.name("clock, register, page: steps back"), text([0; 3]), text(seen));
}

/// What the register says lies on the line that the page's anchor gives, for the card's clock before and
/// after.
fn on_the_line(bringup: &mut Bringup<'_>, its: &Stream, samples: &[Sample]) {
    let off = |sample: &Sample| {
        let (from, to) = (sample.page.position(sample.clock.0), sample.page.position(sample.clock.1));
        from.saturating_sub(sample.frame).max(sample.frame.saturating_sub(to))
    };
    let worst = samples.iter().map(off).max().unwrap_or(0);
    let seen = format!("{worst} over {} looks", samples.len());
    bringup
        .check(its.name("register against the page's anchor"), worst <= 1, "at most 1 frame off", seen)
        .means("the anchor (clock, frame, rate) is not the line that the card itself goes by");
}

/// The step `pause-resume`.
pub fn pause_resume(bringup: &mut Bringup<'_>) -> StepResult {
    bringup.connect_msi()?;
    bringup.set(global::CONTROL, global::CONTROL_INT_ENABLE)?;
    let mode = Mode::announced(bringup)?.first().copied().unwrap_or(Mode::Contiguous);
    for its in bringup.streams()? {
        let setup = its.usual(mode);
        prepare(bringup, &its, &setup)?;
        frozen_and_on(bringup, &its, &setup)?;
        if bringup.get(global::FEATURES)? & global::FEATURE_START_FRAME == 0 {
            bringup.skip(its.name("START_FRAME"), "not in FEATURES");
        } else {
            start_frame(bringup, &its, &setup)?;
        }
        bringup.state(&its, stream::STATE_STOP)?;
    }
    Ok(())
}

fn frozen_and_on(bringup: &mut Bringup<'_>, its: &Stream, setup: &Setup) -> StepResult {
    bringup.enter(its, stream::STATE_RUN)?;
    let (running, _) = bringup.wait_status(its, PATIENCE, |page| page.packet_count >= 1)?;
    bringup.enter(its, stream::STATE_PAUSE)?;
    // Whatever was raised before is on its way; nothing may follow it.
    bringup.interrupts(0, Duration::from_millis(2))?;
    let (frame, page) = (bringup.position(its)?, bringup.status(its)?);
    let quiet: u64 = bringup.interrupts(0, setup.time(u64::from(setup.packet_frames)) * 2)?.iter().sum();
    let (later, page_later) = (bringup.position(its)?, bringup.status(its)?);
    bringup.check(its.name("PAUSE: moved before"), frame > 0, "more than 0", frame);
    bringup.equal(its.name("PAUSE: frame two packets later"), frame, later);
    let text = |frame: u64, rate: u32, count: u32| format!("{frame}, rate {rate}, {count} packets");
    let count = page.packet_count;
    let seen = text(page_later.anchor_frame, page_later.rate_num, page_later.packet_count);
    bringup.equal(its.name("PAUSE: by the page"), text(frame, 0, count), seen);
    bringup.equal(its.name("PAUSE: messages"), 0, quiet).means("after PAUSE has returned no event may come");
    let grown = page.epoch != running.epoch;
    bringup.check(its.name("PAUSE: EPOCH"), grown, format!("not {}", running.epoch), page.epoch);

    bringup.enter(its, stream::STATE_RUN)?;
    let again = bringup.status(its)?;
    let goes_on = again.epoch != page.epoch && again.anchor_frame >= frame && again.rate_num != 0;
    let at = |frame: u64, rate: &str| format!("from {frame}, rate {rate}");
    bringup.check(
        its.name("RUN: goes on"),
        goes_on,
        at(frame, "on"),
        at(again.anchor_frame, &again.rate_num.to_string()),
    );
    let (moved, there) = bringup.wait_status(its, PATIENCE, |page| page.packet_count > count)?;
    bringup.check(its.name("RUN: the next packet"), there, format!("more than {count}"), moved.packet_count);
    bringup.enter(its, stream::STATE_STOP)
}

/// A stream that starts in the middle of its fourth packet.
fn start_frame(bringup: &mut Bringup<'_>, its: &Stream, setup: &Setup) -> StepResult {
    let start = u64::from(setup.packet_frames) * 3 + 7;
    prepare(bringup, its, setup)?;
    bringup.set64(its.block + stream::START_FRAME_LO, start)?;
    bringup.stream_set(its, stream::START_PACKET, 2)?;
    bringup.take_stream_error(its)?;
    let state = bringup.state(its, stream::STATE_RUN)?;
    let error = bringup.take_stream_error(its)?;
    bringup.error(its.name("START_PACKET of another frame: RUN"), Some(Error::BadStart), error);
    bringup.equal(its.name("and the state"), "PAUSE".to_owned(), state_name(state));
    bringup.stream_set(its, stream::START_PACKET, 3)?;
    let fifo = bringup.stream_get(its, stream::FIFO_FRAMES)?.max(1);
    bringup.enter(its, stream::STATE_RUN)?;
    let (page, position) = (bringup.status(its)?, bringup.position(its)?);
    let text = |count: u32, from: u64| format!("{count} packets, from frame {from}");
    // A tool that is late sees an anchor that was renewed meanwhile at an end of a piece, but no earlier one,
    // and none of a time that has not passed yet.
    let ended = page.anchor_frame.checked_sub(start).map(|frames| frames % u64::from(fifo) == 0);
    let exact = page.packet_count == 3 && ended == Some(true);
    let later = page.packet_count > 3 && (start..start + u64::from(setup.rate)).contains(&page.anchor_frame);
    let seen = text(page.packet_count, page.anchor_frame);
    bringup.check(its.name("START_FRAME: RUN"), exact || later, text(3, start), seen);
    bringup.check(its.name("START_FRAME: position"), position >= start, format!("{start} or more"), position);
    let left = bringup.get64(its.block + stream::START_FRAME_LO)?;
    bringup.equal(its.name("START_FRAME reads after RUN"), 0, left);
    Ok(())
}
