//! What arrived, compared with the song: what of it is the song's, and what may stand between.

use ringwave_audio::{
    SampleFormat, StreamFormat,
    compare::{Allowed, compare_sounds},
    wav::Sound,
};
use ringwave_report::Direction;

use super::{GuestCard, Report, Request};
use crate::input::Input;

/// Compares what arrived with the song.
pub fn judge(report: &mut Report, input: &Input, request: &Request) {
    let song = &input.sound;
    if let Some(heard) = song_heard(report, input, request) {
        let packet = period(report, input, request, Direction::Render);
        let allowed = if report.exact { Allowed::Nothing } else { Allowed::Around { packet } };
        report.played = Some(compare_sounds(song, &heard, allowed));
    }
    if let Some(recorded) = song_recorded(report, input, request) {
        let packet = period(report, input, request, Direction::Capture);
        report.recorded = Some(compare_sounds(song, &recorded, Allowed::Around { packet }));
    }
}

/// What the card heard first, without what player and driver play behind the song.
pub fn song_heard(report: &Report, input: &Input, request: &Request) -> Option<Sound> {
    let song = &input.sound;
    let mut heard = report.heard.first().cloned()?;
    match request.card {
        GuestCard::Virtio => {
            cut_last_period(&mut heard, song, period(report, input, request, Direction::Render));
        }
        GuestCard::Hda => cut_silence_behind(&mut heard, song, !request.more_steps.is_empty()),
    }
    Some(heard)
}

/// What the guest recorded, in the song's format if it is that.
pub fn song_recorded(report: &Report, input: &Input, request: &Request) -> Option<Sound> {
    let mut recorded = report.kept.iter().find(|(name, _)| name == "recorded")?.1.clone();
    if request.card == GuestCard::Hda && input.sound.format.sample == SampleFormat::S24In32 {
        take_24_of_32(&mut recorded);
    }
    Some(recorded)
}

/// Frames of a period. An HD Audio card knows none: nothing is silent within the song.
fn period(report: &Report, input: &Input, request: &Request, direction: Direction) -> u64 {
    let (song, sample) = (&input.sound, request.card.guest_sample(input));
    let frame_bytes = StreamFormat { sample, ..song.format }.frame_bytes();
    let frames = match request.card {
        GuestCard::Virtio => report.card.first(direction).map_or(1, |it| it.packet_frames(frame_bytes)),
        GuestCard::Hda => song.len(),
    };
    frames.max(1)
}

/// An HD Audio card plays on until the driver stops it: the kernel has silenced what lies behind the song.
/// `more`: other sounds follow, which are not judged.
fn cut_silence_behind(heard: &mut Sound, song: &Sound, more: bool) {
    let end = song.frames.len();
    let silent = heard.frames.get(end..).is_some_and(|rest| song.format.sample.is_silence(rest));
    if heard.format == song.format && (more || silent) {
        heard.frames.truncate(end);
    }
}

/// What ALSA calls 32 bits, if the lowest byte carries nothing.
pub fn take_24_of_32(recorded: &mut Sound) {
    let empty = recorded.frames.as_chunks::<4>().0.iter().all(|[low, ..]| *low == 0);
    if recorded.format.sample == SampleFormat::S32 && empty {
        recorded.format.sample = SampleFormat::S24In32;
    }
}

/// `aplay` fills the last period with silence, and what was played after the song is not judged.
fn cut_last_period(heard: &mut Sound, song: &Sound, period: u64) {
    let frame = u64::from(song.format.frame_bytes().max(1));
    let missing = song.len().next_multiple_of(period).saturating_sub(song.len());
    let at = |frames: u64| usize::try_from(frames.saturating_mul(frame)).unwrap_or(usize::MAX);
    let behind = heard.frames.get(at(song.len())..at(song.len().saturating_add(missing)));
    let silence = song.format.sample.silence();
    if heard.format == song.format && behind.is_some_and(|behind| behind.iter().all(|byte| *byte == silence))
    {
        heard.frames.truncate(at(song.len()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_behind_the_song_is_cut_and_nothing_else() {
        let format = StreamFormat { sample: SampleFormat::S16, channels: 1, rate: 8_000 };
        let sound = |frames: &[u8]| Sound { format, frames: frames.to_vec() };
        let cut = |heard: &[u8], more| {
            let mut heard = sound(heard);
            cut_silence_behind(&mut heard, &sound(&[1, 2, 3, 4]), more);
            heard.frames.len()
        };
        assert_eq!(cut(&[1, 2, 3, 4, 0, 0], false), 4);
        assert_eq!((cut(&[1, 2, 3, 4, 0, 5], false), cut(&[1, 2, 3, 4, 0, 5], true)), (6, 4));
        assert_eq!(cut(&[1, 2], false), 2, "what is missing stays missing");
    }
}
