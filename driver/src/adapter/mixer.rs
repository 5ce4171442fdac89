//! Volume and mute of every stream, as clients set them: what they read back, and what the card is given
//! again when it comes back from sleep, for a reset makes it forget (DATASHEET 2 and 5.8).
//!
//! A value and the register that holds it change under one mutex, so that a SET that comes while the card
//! wakes up is not undone by an older value. Not under a spin lock, for a register is a message: properties
//! and power come at PASSIVE_LEVEL, and so must every caller.

use nt::NtResult;
use nt::mutex::Mutex;

use crate::hw::format::CHANNELS_MAX;
use crate::hw::{Card, STREAMS_MAX};

/// The most channels of a stream.
const CHANNELS: usize = CHANNELS_MAX as usize;

/// Volume and mute of one stream. As after a reset of the card: 0 dB, nothing muted.
#[derive(Clone, Copy, Debug, Default)]
struct Levels {
    /// In 1/65536 dB.
    volumes: [i32; CHANNELS],
    /// Bit c: channel c is muted.
    muted: u32,
}

/// Volume and mute of every stream of a card.
pub struct Mixer(Mutex<[Levels; STREAMS_MAX as usize]>);

impl Mixer {
    /// 0 dB, nothing muted.
    ///
    /// # Errors
    /// `STATUS_INSUFFICIENT_RESOURCES`.
    pub fn try_new() -> NtResult<Self> {
        Mutex::try_new([Levels::default(); STREAMS_MAX as usize]).map(Self)
    }

    /// Volume of a channel in 1/65536 dB; 0 of one that does not exist.
    pub fn volume(&self, stream: u32, channel: u32) -> i32 {
        let streams = self.0.lock();
        let levels = streams.get(stream as usize);
        levels.and_then(|levels| levels.volumes.get(channel as usize).copied()).unwrap_or(0)
    }

    /// Sets the volume of a channel, in 1/65536 dB, -96 dB to 0. Whether it was another one before.
    pub fn set_volume(&self, card: &dyn Card, stream: u32, channel: u32, volume: i32) -> bool {
        let mut streams = self.0.lock();
        let levels = streams.get_mut(stream as usize);
        let Some(place) = levels.and_then(|levels| levels.volumes.get_mut(channel as usize)) else {
            return false;
        };
        let changed = core::mem::replace(place, volume) != volume;
        if changed {
            card.set_volume(stream, channel, volume);
        }
        changed
    }

    /// Whether a channel is muted.
    pub fn muted(&self, stream: u32, channel: u32) -> bool {
        self.0.lock().get(stream as usize).is_some_and(|levels| levels.muted & bit(channel) != 0)
    }

    /// Mutes or unmutes the channels below `end`, from `first` on. Whether one of them was otherwise before.
    pub fn set_muted(&self, card: &dyn Card, stream: u32, (first, end): (u32, u32), mute: bool) -> bool {
        let channels = (first..end).fold(0, |bits, channel| bits | bit(channel));
        let mut streams = self.0.lock();
        let Some(levels) = streams.get_mut(stream as usize) else { return false };
        let muted = if mute { levels.muted | channels } else { levels.muted & !channels };
        let changed = core::mem::replace(&mut levels.muted, muted) != muted;
        if changed {
            card.set_mute(stream, muted);
        }
        changed
    }

    /// Gives the card what it may have forgotten of a stream.
    pub fn restore(&self, card: &dyn Card, stream: u32) {
        let streams = self.0.lock();
        let Some(levels) = streams.get(stream as usize) else { return };
        for (channel, volume) in (0..CHANNELS_MAX).zip(levels.volumes) {
            card.set_volume(stream, channel, volume);
        }
        card.set_mute(stream, levels.muted);
    }
}

/// The bit of a channel; none of a channel that no card has.
const fn bit(channel: u32) -> u32 {
    if channel < CHANNELS_MAX { 1 << channel } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hw::fake::{FakeCard, RecordedCall};

    #[test]
    fn what_changes_reaches_the_card_and_nothing_else() {
        let (mixer, card) = (Mixer::try_new().unwrap(), FakeCard::default());
        assert!(mixer.set_volume(&card, 1, 7, -65_536) && !mixer.set_volume(&card, 1, 7, -65_536));
        assert!(mixer.set_muted(&card, 1, (1, 8), true) && !mixer.set_muted(&card, 1, (3, 4), true));
        assert!(mixer.set_muted(&card, 1, (3, 4), false));
        let expected =
            [RecordedCall::Volume(1, 7, -65_536), RecordedCall::Mute(1, 0xFE), RecordedCall::Mute(1, 0xF6)];
        assert_eq!(card.take_calls(), expected);
        assert_eq!((mixer.volume(1, 7), mixer.volume(1, 6), mixer.volume(0, 7)), (-65_536, 0, 0));
        assert_eq!([0, 1, 3].map(|channel| mixer.muted(1, channel)), [false, true, false]);
    }

    #[test]
    fn what_no_card_has_changes_nothing() {
        let (mixer, card) = (Mixer::try_new().unwrap(), FakeCard::default());
        assert!(!mixer.set_volume(&card, 0, 8, -1) && !mixer.set_volume(&card, 16, 0, -1));
        assert!(!mixer.set_muted(&card, 0, (8, u32::from(u16::MAX)), true) && !mixer.muted(0, 40));
        assert_eq!((mixer.volume(0, 8), mixer.volume(16, 0), card.take_calls()), (0, 0, vec![]));
    }

    #[test]
    fn what_is_set_in_sleep_reaches_the_card_when_it_is_awake() {
        let (mixer, card) = (Mixer::try_new().unwrap(), FakeCard::default());
        mixer.set_volume(&card, 0, 1, -100);
        card.set_power(false);
        assert!(mixer.set_volume(&card, 0, 1, -200) && mixer.set_muted(&card, 0, (0, 1), true));
        card.take_calls();
        assert_eq!((mixer.volume(0, 1), mixer.muted(0, 0)), (-200, true), "told to clients at once");
        card.set_power(true);
        mixer.restore(&card, 0);
        let calls = card.take_calls();
        assert_eq!(calls.len(), 9);
        assert!(
            calls.contains(&RecordedCall::Volume(0, 1, -200))
                && calls.contains(&RecordedCall::Volume(0, 7, 0))
        );
        assert_eq!(calls.last(), Some(&RecordedCall::Mute(0, 1)));
    }
}
