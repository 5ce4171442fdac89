//! The format that an endpoint has until a user or client asks for another: **one** place, from which come
//!
//! * the answer to KSPROPERTY_PIN_PROPOSEDATAFORMAT2. Its page says that the system *always* uses that format
//!   for the mode, so this is not a proposal but the shared format for good, and a control panel's other
//!   formats are for exclusive clients. Not to support it was the other choice; Microsoft's samples do, and
//!   the registry values below change it;
//! * data intersection with a range that leaves things open (a wildcard), from which the endpoint's format
//!   comes when it is made, and where it is cached (WAVERT.md 5.4);
//! * the order of the data ranges, for intersection is asked range by range and the first that meets is
//!   taken;
//! * the channels of the volume and mute nodes and the speakers of the jack;
//! * the INF's PKEY_AudioEngine_OEMFormat, if it had one. It has none: PROPOSEDATAFORMAT2 decides before it,
//!   and a text in the INF could not follow the registry. A rule of `driver/inf` compares one that comes.
//!
//! The registry values `DefaultSampleRate` (Hz), `DefaultBits` (16, 24 or 32), `SpeakerChannels` and
//! `MicrophoneChannels` change it; 0, and what no card has, leaves it as it is. It counts for endpoints that
//! Windows has not seen yet.

use crate::hw::Direction;
use crate::hw::format::{AudioFormat, CHANNELS_MAX, Capabilities, RATES, SampleFormat, rate_bit};

/// What endpoints begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DefaultFormat {
    /// What a sample is: PCM.
    pub sample: SampleFormat,
    /// Frames per second.
    pub rate: u32,
    /// Channels of speakers.
    pub speaker_channels: u32,
    /// Channels of a microphone.
    pub microphone_channels: u32,
}

/// Unless the registry says otherwise: 24 bits (in 32) at 48 kHz; speakers are stereo, a microphone is mono.
pub const STANDARD: DefaultFormat = DefaultFormat {
    sample: SampleFormat::S24In32,
    rate: 48_000,
    speaker_channels: 2,
    microphone_channels: 1,
};

impl Default for DefaultFormat {
    fn default() -> Self {
        STANDARD
    }
}

impl DefaultFormat {
    /// The standard one with the registry's values in their place, where there are some that a card can have.
    pub fn from_registry(rate: u32, bits: u32, speaker_channels: u32, microphone_channels: u32) -> Self {
        let channels = |asked, standard| if (1..=CHANNELS_MAX).contains(&asked) { asked } else { standard };
        Self {
            sample: match bits {
                16 => SampleFormat::S16,
                24 => SampleFormat::S24In32,
                32 => SampleFormat::S32,
                _ => STANDARD.sample,
            },
            rate: if rate_bit(rate) == 0 { STANDARD.rate } else { rate },
            speaker_channels: channels(speaker_channels, STANDARD.speaker_channels),
            microphone_channels: channels(microphone_channels, STANDARD.microphone_channels),
        }
    }

    /// The format of an endpoint: this, or what comes nearest among what its stream takes; `None` if that is
    /// nothing.
    pub fn of(&self, direction: Direction, can: Capabilities) -> Option<AudioFormat> {
        let sample = self.samples().find(|sample| can.has(*sample))?;
        let rate = self.rates().find(|rate| can.has_rate(*rate))?;
        let format = AudioFormat { sample, channels: self.channels(direction, can), rate };
        can.takes(format).then_some(format)
    }

    /// Channels of an endpoint.
    pub fn channels(&self, direction: Direction, can: Capabilities) -> u32 {
        let wanted = match direction {
            Direction::Render => self.speaker_channels,
            Direction::Capture => self.microphone_channels,
        };
        wanted.min(can.channels_max)
    }

    /// Every kind of sample, the best first: this one, then the others by their bits, float last.
    pub fn samples(&self) -> impl Iterator<Item = SampleFormat> + use<> {
        let first = self.sample;
        let others =
            [SampleFormat::S24In32, SampleFormat::S32, SampleFormat::S16, SampleFormat::F32].into_iter();
        core::iter::once(first).chain(others.filter(move |sample| *sample != first))
    }

    /// Every rate of the card's list, the best first: this one, what most sound has, then the highest.
    pub fn rates(&self) -> impl Iterator<Item = u32> + use<> {
        let usual = [self.rate, 48_000, 44_100];
        let others = RATES.into_iter().rev();
        let all = usual.into_iter().chain(others).enumerate();
        // Each once: the first of its kind.
        all.filter(move |(at, rate)| !usual.iter().take(*at).any(|earlier| earlier == rate))
            .map(|(_, rate)| rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Capabilities = Capabilities::ALL;

    #[test]
    fn endpoints_begin_with_24_bits_at_48_khz() {
        let format = AudioFormat { sample: SampleFormat::S24In32, channels: 2, rate: 48_000 };
        assert_eq!(STANDARD.of(Direction::Render, ALL), Some(format));
        assert_eq!(STANDARD.of(Direction::Capture, ALL), Some(AudioFormat { channels: 1, ..format }));
    }

    #[test]
    fn or_with_what_comes_nearest() {
        let of = |samples, rates, channels_max| {
            STANDARD.of(Direction::Render, Capabilities { samples, rates, channels_max })
        };
        let rates = rate_bit(44_100) | rate_bit(192_000) | rate_bit(8_000);
        let format = AudioFormat { sample: SampleFormat::S16, channels: 1, rate: 44_100 };
        assert_eq!(of(SampleFormat::S16.bit(), rates, 1), Some(format));
        let wide = 1 << SampleFormat::S32 as u32 | SampleFormat::S16.bit();
        assert_eq!(
            of(wide, rates, 6).map(|format| (format.sample, format.channels)),
            Some((SampleFormat::S32, 2))
        );
        let rates = rate_bit(96_000) | rate_bit(8_000);
        let float = AudioFormat { sample: SampleFormat::F32, channels: 2, rate: 96_000 };
        assert_eq!(of(SampleFormat::F32.bit(), rates, 8), Some(float));
        for (samples, rates, channels) in [(0, rates, 2), (1, 0, 2), (1, rates, 0)] {
            assert_eq!(of(samples, rates, channels), None);
        }
    }

    #[test]
    fn the_registry_changes_it_where_a_card_can_have_that() {
        assert_eq!(DefaultFormat::from_registry(0, 0, 0, 0), STANDARD);
        assert_eq!(DefaultFormat::from_registry(47_999, 20, 9, u32::MAX), STANDARD);
        let configured = DefaultFormat::from_registry(96_000, 16, 6, 2);
        let format = AudioFormat { sample: SampleFormat::S16, channels: 6, rate: 96_000 };
        assert_eq!(configured.of(Direction::Render, ALL), Some(format));
        assert_eq!(configured.of(Direction::Capture, ALL), Some(AudioFormat { channels: 2, ..format }));
        assert_eq!(DefaultFormat::from_registry(0, 32, 0, 0).sample, SampleFormat::S32);
    }

    #[test]
    fn every_kind_and_rate_comes_once() {
        for format in [
            STANDARD,
            DefaultFormat::from_registry(96_000, 16, 0, 0),
            DefaultFormat::from_registry(44_100, 32, 0, 0),
        ] {
            let samples: Vec<_> = format.samples().collect();
            assert_eq!((samples.len(), samples[0]), (4, format.sample));
            let mut rates: Vec<_> = format.rates().collect();
            assert_eq!(rates[0], format.rate);
            rates.sort_unstable();
            assert_eq!(rates, RATES);
        }
        let rates: Vec<_> = STANDARD.rates().collect();
        assert_eq!(rates[..4], [48_000, 44_100, 384_000, 192_000], "the best of what is left");
    }
}
