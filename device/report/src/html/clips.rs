//! The sound around a difference, as a WAV file in the page itself.
//!
//! The page stays small: all clips of a page have `BYTES_MAX` bytes of samples together. As much as fits is
//! kept, in this order: two seconds of every channel; of the one channel that is worst; of that in 16 bits;
//! then fewer seconds. Where something is left over, what was sent is there beside what was heard.

use base64ct::{Base64, Encoding};
use ringwave_audio::wav::{Samples, file_of};
use ringwave_audio::{SampleFormat, StreamFormat};

use super::differences::Difference;
use super::numbers::f64_of;
use super::survey::read;

/// Differences that can be listened to.
pub const CLIPS: usize = 10;
/// Seconds around each.
pub const SECONDS: u64 = 2;
/// Bytes of samples of all clips of a page.
pub const BYTES_MAX: u64 = 2_400_000;
/// A browser plays no more channels everywhere.
const CHANNELS_MAX: u32 = 8;

/// What can be listened to at a difference.
#[derive(Clone, Debug)]
pub struct Clip {
    /// The first heard frame of it.
    pub at: u64,
    /// How many frames.
    pub frames: u64,
    /// The one channel that it has; `None`: all.
    pub channel: Option<u32>,
    /// Fewer bits than the sound itself.
    pub rounded: bool,
    /// What was heard, as a `data:` URI.
    pub heard: String,
    /// What was sent, if there was room.
    pub sent: Option<String>,
}

/// How clips are cut.
#[derive(Clone, Copy)]
struct Cut {
    format: StreamFormat,
    one: bool,
    frames: u64,
}

/// Of the first differences; takes what it needs of `budget`.
pub fn clips(places: &[Difference], sent: &Samples<'_>, heard: &Samples<'_>, budget: &mut u64) -> Vec<Clip> {
    let places = places.get(..CLIPS.min(places.len())).unwrap_or_default();
    let Some(each) = budget.checked_div(places.len() as u64) else { return Vec::new() };
    let cut = cut(heard.format(), each);
    let mut clips: Vec<Clip> = Vec::new();
    for place in places {
        // The place is in the middle, as far as there is sound around it.
        let middle = place.at + place.frames.min(cut.frames / 2) / 2;
        let at = middle.saturating_sub(cut.frames / 2).min(heard.len().saturating_sub(cut.frames));
        let frames = cut.frames.min(heard.len().saturating_sub(at));
        let channel = cut.one.then_some(place.channel.unwrap_or(0));
        let bytes = wav(heard, at, frames, cut, channel);
        *budget = budget.saturating_sub(bytes.len() as u64);
        let rounded = cut.format.sample.valid_bits() < heard.format().sample.valid_bits();
        clips.push(Clip { at, frames, channel, rounded, heard: uri(&bytes), sent: None });
    }
    let alike =
        (sent.format().channels, sent.format().rate) == (heard.format().channels, heard.format().rate);
    for (clip, place) in clips.iter_mut().zip(places).filter(|_| alike) {
        let from = clip.at.saturating_add(place.expected_at).saturating_sub(place.at);
        let cut = Cut { format: StreamFormat { sample: cut.format.sample, ..sent.format() }, ..cut };
        let bytes = wav(sent, from, clip.frames, cut, clip.channel);
        if bytes.len() as u64 <= *budget {
            *budget -= bytes.len() as u64;
            clip.sent = Some(uri(&bytes));
        }
    }
    clips
}

/// What fits into so many bytes.
fn cut(format: StreamFormat, bytes: u64) -> Cut {
    // Browsers take no 24 bits in 32.
    let sample = match format.sample {
        SampleFormat::S24In32 | SampleFormat::S32 => SampleFormat::S24,
        other => other,
    };
    let frames = u64::from(format.rate).saturating_mul(SECONDS);
    let sixteen = if sample == SampleFormat::U8 { sample } else { SampleFormat::S16 };
    let size = |sample: SampleFormat, channels: u32| u64::from(sample.bytes()) * u64::from(channels);
    let all = format.channels.clamp(1, CHANNELS_MAX);
    let fits = |size: u64| frames.saturating_mul(size) <= bytes;
    if format.channels <= CHANNELS_MAX && fits(size(sample, all)) {
        return Cut { format: StreamFormat { sample, ..format }, one: false, frames };
    }
    let sample = if fits(size(sample, 1)) { sample } else { sixteen };
    let frames = frames.min(bytes / size(sample, 1));
    Cut { format: StreamFormat { sample, ..format }, one: true, frames }
}

/// Frames as a WAV file: all channels, or one.
fn wav(samples: &Samples<'_>, at: u64, frames: u64, cut: Cut, channel: Option<u32>) -> Vec<u8> {
    let format = samples.format();
    // Block by block: a frame of a file may have thousands of channels.
    let size = u64::from(format.frame_bytes().max(1));
    let block = ((64 << 10) / size).max(1);
    let mut out = Vec::new();
    let mut done = 0;
    while done < frames {
        let part = block.min(frames - done);
        let bytes = read(samples, at.saturating_add(done), part);
        let chosen = match channel {
            None => bytes,
            Some(channel) => {
                let sample = format.sample.bytes().max(1) as usize;
                let skip = sample.saturating_mul(channel as usize);
                let of_frame = bytes.chunks(usize::try_from(size).unwrap_or(1));
                of_frame
                    .flat_map(|frame| frame.get(skip..skip + sample).unwrap_or_default())
                    .copied()
                    .collect()
            }
        };
        let count = chosen.len() / format.sample.bytes().max(1) as usize;
        let mut converted = vec![0; count * cut.format.sample.bytes() as usize];
        format.sample.convert(&chosen, cut.format.sample, &mut converted);
        out.extend(converted);
        done += part;
    }
    let channels = if channel.is_some() { 1 } else { format.channels };
    file_of(StreamFormat { channels, ..cut.format }, &out)
}

fn uri(bytes: &[u8]) -> String {
    format!("data:audio/wav;base64,{}", Base64::encode_string(bytes))
}

/// Bytes as the URI of a picture.
pub fn png_uri(bytes: &[u8]) -> String {
    format!("data:image/png;base64,{}", Base64::encode_string(bytes))
}

/// Seconds of a clip.
pub fn seconds(clip: &Clip, rate: u32) -> f64 {
    f64_of(clip.frames) / f64::from(rate.max(1))
}
