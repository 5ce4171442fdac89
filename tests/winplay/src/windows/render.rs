//! Plays a sound through a stream of any mode, and watches how it goes.

use alloc::format;

use ringwave_winplay::clicks;
use ringwave_winplay::hresult::Hresult;
use ringwave_winplay::json::Object;
use ringwave_winplay::outcome::{Cause, Failure};
use ringwave_winplay::position::Tracker;
use ringwave_winplay::wave_format::Format;
use windows::Win32::Media::Audio::Endpoints::IAudioMeterInformation;
use windows::Win32::Media::Audio::{IAudioClock, IAudioRenderClient};
use windows::Win32::System::Com::CLSCTX_ALL;

use crate::endpoints::Endpoint;
use crate::stream::{Report, Stream, Wanted};
use crate::{lines, watch};

/// A sound to play.
pub struct Source<'a> {
    pub format: Format,
    pub frames: u64,
    pub content: Content<'a>,
}

/// Where its samples come from.
pub enum Content<'a> {
    /// A file's, in the source's format.
    Bytes(&'a [u8]),
    /// Clicks.
    Clicks,
}

impl Source<'_> {
    /// Stores frames from one on in another format.
    fn write(&self, from: u64, to: &Format, into: &mut [u8]) {
        match self.content {
            Content::Bytes(bytes) => {
                let start =
                    usize::try_from(from).unwrap_or(usize::MAX).saturating_mul(self.format.frame_bytes());
                let bytes = bytes.get(start..).unwrap_or_default();
                if self.format.sample == to.sample {
                    let (into, bytes) = (into.iter_mut(), bytes.iter());
                    into.zip(bytes).for_each(|(into, byte)| *into = *byte);
                } else {
                    self.format.sample.convert(bytes, to.sample, into);
                }
            }
            Content::Clicks => {
                let channels = usize::from(to.channels);
                let levels =
                    (from..).flat_map(|frame| core::iter::repeat_n(clicks::level(frame, to.rate), channels));
                to.sample.encode(levels, into);
            }
        }
    }

    /// Whether a meter must see something: half a second, and somewhere above -60 dB.
    fn is_loud(&self) -> bool {
        let mut loud = false;
        if let Content::Bytes(bytes) = self.content {
            self.format.sample.decode(bytes, |level| loud |= !(-0.001..=0.001).contains(&level));
        }
        loud && self.frames > u64::from(self.format.rate) / 2
    }
}

/// What is known of a play, as far as it got.
#[derive(Default)]
pub struct Played {
    pub stream: Report,
    frames: Option<u64>,
    silence_frames: Option<u64>,
    wakes: Option<u64>,
    longest_gap: Option<u64>,
    underruns: Option<u64>,
    meter_peak: Option<f64>,
    meter_reads: u32,
    pub position: Option<Tracker>,
    started: Option<u64>,
    stopped: Option<u64>,
}

impl Played {
    pub fn write(&self, wanted: Wanted, to: &mut Object) {
        self.stream.write(wanted, to);
        to.set("frames", self.frames).set("silence_frames", self.silence_frames).set("wakes", self.wakes);
        to.set("longest_gap_us", self.longest_gap);
        to.set("underruns", self.underruns).set("glitches", self.underruns);
        to.set("meter_peak", self.meter_peak).set("position", self.position.as_ref().map(Tracker::object));
        to.set("started_ms", self.started).set("stopped_ms", self.stopped);
    }
}

/// How silence follows a sound: until the position is this far behind its end, in milliseconds.
const TAIL_MS: u64 = 300;

/// Plays all of a sound. `marks`: frames whose time is wanted. `each_wake` is called at each.
pub fn play(
    endpoint: &Endpoint,
    source: &Source<'_>,
    wanted: Wanted,
    marks: impl IntoIterator<Item = u64>,
    played: &mut Played,
    each_wake: &mut dyn FnMut() -> Result<(), Failure>,
) -> Result<(), Failure> {
    let stream = Stream::open(endpoint, &source.format, wanted, &mut played.stream)?;
    let render: IAudioRenderClient =
        ask!("IAudioClient::GetService(IAudioRenderClient)", stream.client.GetService())?;
    let clock: IAudioClock = ask!("IAudioClient::GetService(IAudioClock)", stream.client.GetService())?;
    let frequency = ask!("IAudioClock::GetFrequency", clock.GetFrequency())?;
    let meter: Option<IAudioMeterInformation> =
        ask!("IMMDevice::Activate(IAudioMeterInformation)", endpoint.device.Activate(CLSCTX_ALL, None)).ok();
    let mut feed = Feed { source, stream: &stream, render, given: 0, silence: 0 };
    feed.give(stream.buffer_frames, played)?;
    stream.start()?;
    played.started = Some(watch::since_start());
    played.position = Some(Tracker::new(watch::now(), marks));
    let run = Run { wanted, stream: &stream, clock, frequency, meter };
    let result = run.until_played(&mut feed, played, each_wake);
    if let Err(failure) = &result {
        lines::before(&failure.text);
    }
    let stopped = stream.stop();
    played.stopped = Some(watch::since_start());
    result.and(stopped)?;
    judge(source, wanted, played)
}

/// What only shows when all is over.
fn judge(source: &Source<'_>, wanted: Wanted, played: &Played) -> Result<(), Failure> {
    if let Some(times) = played.position.as_ref().map(Tracker::backwards).filter(|times| *times > 0) {
        return Err(Failure::new(Cause::PositionWrong, format!("the position went back {times} times")));
    }
    // *Doubt*: a meter shows the time since it was last read, or the last period: ten reads see some of a sound
    // that is loud all along.
    let silent = played.meter_reads > 10 && played.meter_peak == Some(0.0);
    if silent && !wanted.exclusive && source.is_loud() {
        let text = "the endpoint's meter saw no sound while one was played: session or endpoint are muted, or turned down";
        return Err(Failure::new(Cause::Silent, text));
    }
    Ok(())
}

/// Hands out frames: the sound, and silence behind it.
struct Feed<'a> {
    source: &'a Source<'a>,
    stream: &'a Stream,
    render: IAudioRenderClient,
    given: u64,
    silence: u64,
}

impl Feed<'_> {
    fn give(&mut self, frames: u32, played: &mut Played) -> Result<(), Failure> {
        if frames == 0 {
            return Ok(());
        }
        let format = &self.stream.format;
        let data = ask!("IAudioRenderClient::GetBuffer", self.render.GetBuffer(frames))?;
        if data.is_null() {
            return Err(Failure::call("IAudioRenderClient::GetBuffer", Hresult::OK));
        }
        let bytes = (frames as usize).saturating_mul(format.frame_bytes());
        // SAFETY: Windows gives a buffer of as many frames as were asked for, ours until ReleaseBuffer.
        let buffer = unsafe { core::slice::from_raw_parts_mut(data, bytes) };
        let left = self.source.frames.saturating_sub(self.given);
        let sound = u32::try_from(left).unwrap_or(u32::MAX).min(frames);
        let (loud, silent) =
            buffer.split_at_mut((sound as usize).saturating_mul(format.frame_bytes()).min(bytes));
        self.source.write(self.given, format, loud);
        silent.fill(format.sample.silence());
        ask!("IAudioRenderClient::ReleaseBuffer", self.render.ReleaseBuffer(frames, 0))?;
        self.given += u64::from(sound);
        self.silence += u64::from(frames - sound);
        played.frames = Some(self.given);
        played.silence_frames = Some(self.silence);
        Ok(())
    }

    fn is_sound_left(&self) -> bool {
        self.given < self.source.frames
    }
}

/// A stream that runs.
struct Run<'a> {
    wanted: Wanted,
    stream: &'a Stream,
    clock: IAudioClock,
    frequency: u64,
    meter: Option<IAudioMeterInformation>,
}

impl Run<'_> {
    fn until_played(
        &self,
        feed: &mut Feed<'_>,
        played: &mut Played,
        each_wake: &mut dyn FnMut() -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let rate = u64::from(self.stream.format.rate);
        let end = feed.source.frames + u64::from(self.stream.buffer_frames) + rate * TAIL_MS / 1000;
        let (mut wakes, mut gap, mut underruns, mut last) = (0_u64, 0, 0_u64, watch::now());
        loop {
            self.stream.wait()?;
            let now = watch::now();
            wakes += 1;
            gap = gap.max(now.saturating_sub(last));
            last = now;
            (played.wakes, played.longest_gap) = (Some(wakes), Some(gap));
            each_wake()?;
            let position = self.position(played)?;
            self.meter(played);
            let (free, starved) = self.room(feed, position)?;
            underruns += u64::from(starved && feed.is_sound_left());
            played.underruns = Some(underruns);
            if position >= end {
                return Ok(());
            }
            feed.give(free, played)?;
        }
    }

    /// Frames that may be given now, and whether nothing was left to play.
    fn room(&self, feed: &Feed<'_>, position: u64) -> Result<(u32, bool), Failure> {
        let buffer = self.stream.buffer_frames;
        if self.wanted.exclusive && self.wanted.event {
            // One buffer plays, the other one is ours. GetCurrentPadding means nothing here.
            return Ok((buffer, position > 0 && position >= feed.given + feed.silence));
        }
        let padding = ask!("IAudioClient::GetCurrentPadding", self.stream.client.GetCurrentPadding())?;
        Ok((buffer.saturating_sub(padding), padding == 0))
    }

    /// Reads the clock: frames that were played.
    fn position(&self, played: &mut Played) -> Result<u64, Failure> {
        let mut position = 0;
        ask!("IAudioClock::GetPosition", self.clock.GetPosition(&raw mut position, None))?;
        let now = watch::now();
        let rate = u128::from(self.stream.format.rate);
        let frames = (u128::from(position) * rate).checked_div(u128::from(self.frequency)).unwrap_or(0);
        let frames = u64::try_from(frames).unwrap_or(u64::MAX);
        let given = played.frames.unwrap_or(0) + played.silence_frames.unwrap_or(0);
        let Some(tracker) = &mut played.position else { return Ok(frames) };
        tracker.read(frames, now);
        if tracker.still(now) > watch::limit() {
            let text = format!("the stream runs, and its position stands at {frames}");
            return Err(Failure::new(Cause::NoProgress, text));
        }
        // An exclusive stream that is starved plays its buffer again, and its position goes on.
        if !self.wanted.exclusive && frames > given + u64::from(self.stream.buffer_frames) {
            let text = format!("the position is {frames}, and {given} frames were given");
            return Err(Failure::new(Cause::PositionWrong, text));
        }
        Ok(frames)
    }

    fn meter(&self, played: &mut Played) {
        let Some(meter) = &self.meter else { return };
        if let Ok(peak) = ask!("IAudioMeterInformation::GetPeakValue", meter.GetPeakValue()) {
            played.meter_reads += 1;
            played.meter_peak = Some(played.meter_peak.unwrap_or(0.0).max(f64::from(peak)));
        }
    }
}
