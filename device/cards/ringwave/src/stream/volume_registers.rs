//! MUTE and the volumes: registers in front of a [`Gain`]. DATASHEET 4 and 5.8.

use ringwave_audio::gain::{self, Gain};
use ringwave_regs::error::Error;
use ringwave_regs::{format, stream as regs};

const _: () = assert!(gain::VOLUME_MIN == regs::VOLUME_MIN && gain::VOLUME_UNITS == regs::VOLUME_UNITS);
const _: () =
    assert!(gain::GAIN_ONE == regs::GAIN_ONE && ringwave_audio::CHANNELS_MAX == format::CHANNELS_MAX);

/// Value of the register at `offset` in the stream's block, if it is MUTE or a volume.
pub fn read(gain: &Gain, offset: u32) -> Option<u32> {
    if offset == regs::MUTE {
        return Some(gain.mute());
    }
    gain.volume(channel_at(offset)?).map(i32::cast_unsigned)
}

/// What a write of the register at `offset` makes of `gain`. [`Error::BadVolume`] above 0 dB and below the
/// lowest volume, [`Error::BadAccess`] if the register is neither MUTE nor a volume.
pub fn written(gain: Gain, offset: u32, value: u32) -> Result<Gain, Error> {
    if offset == regs::MUTE {
        return Ok(gain.with_mute(value & regs::MUTE_CHANNELS));
    }
    let channel = channel_at(offset).ok_or(Error::BadAccess)?;
    gain.with_volume(channel, value.cast_signed()).ok_or(Error::BadVolume)
}

/// The channel whose volume is at `offset` in the block.
fn channel_at(offset: u32) -> Option<usize> {
    (0..format::CHANNELS_MAX).position(|channel| regs::volume(channel) == Some(offset))
}
