//! Properties of audio nodes (KSPROPSETID_Audio): ids and values. A node of a kind has the properties that
//! the kind's page ("KSNODETYPE_...") lists.
use super::property::KSNODEPROPERTY;
use crate::layout;
use core::ffi::c_void;

/// Audio property: delay of a stream, 100 ns.
pub const KSPROPERTY_AUDIO_LATENCY: u32 = 1;
/// Audio property: copyright of a stream.
pub const KSPROPERTY_AUDIO_COPY_PROTECTION: u32 = 2;
/// Audio property: speakers.
pub const KSPROPERTY_AUDIO_CHANNEL_CONFIG: u32 = 3;
/// Audio property: volume, 1/65536 dB.
pub const KSPROPERTY_AUDIO_VOLUMELEVEL: u32 = 4;
/// Audio property: play and write position.
pub const KSPROPERTY_AUDIO_POSITION: u32 = 5;
/// Audio property: how far the dynamic range is compressed.
pub const KSPROPERTY_AUDIO_DYNAMIC_RANGE: u32 = 6;
/// Audio property: quality of a sample-rate conversion.
pub const KSPROPERTY_AUDIO_QUALITY: u32 = 7;
/// Audio property: Hz.
pub const KSPROPERTY_AUDIO_SAMPLING_RATE: u32 = 8;
/// Audio property: the rate follows the reference.
pub const KSPROPERTY_AUDIO_DYNAMIC_SAMPLING_RATE: u32 = 9;
/// Audio property: levels of a mixing matrix.
pub const KSPROPERTY_AUDIO_MIX_LEVEL_TABLE: u32 = 10;
/// Audio property: ranges of a mixing matrix.
pub const KSPROPERTY_AUDIO_MIX_LEVEL_CAPS: u32 = 11;
/// Audio property: which input is selected.
pub const KSPROPERTY_AUDIO_MUX_SOURCE: u32 = 12;
/// Audio property: mute.
pub const KSPROPERTY_AUDIO_MUTE: u32 = 13;
/// Audio property: bass, 1/65536 dB.
pub const KSPROPERTY_AUDIO_BASS: u32 = 14;
/// Audio property: mid-range, 1/65536 dB.
pub const KSPROPERTY_AUDIO_MID: u32 = 15;
/// Audio property: treble, 1/65536 dB.
pub const KSPROPERTY_AUDIO_TREBLE: u32 = 16;
/// Audio property: bass boost.
pub const KSPROPERTY_AUDIO_BASS_BOOST: u32 = 17;
/// Audio property: level of a band.
pub const KSPROPERTY_AUDIO_EQ_LEVEL: u32 = 18;
/// Audio property: bands of an equaliser.
pub const KSPROPERTY_AUDIO_NUM_EQ_BANDS: u32 = 19;
/// Audio property: centres of the bands.
pub const KSPROPERTY_AUDIO_EQ_BANDS: u32 = 20;
/// Audio property: automatic gain control.
pub const KSPROPERTY_AUDIO_AGC: u32 = 21;
/// Audio property: delay.
pub const KSPROPERTY_AUDIO_DELAY: u32 = 22;
/// Audio property: loudness.
pub const KSPROPERTY_AUDIO_LOUDNESS: u32 = 23;
/// Audio property: reserved.
pub const KSPROPERTY_AUDIO_WIDE_MODE: u32 = 24;
/// Audio property: width of the stereo image.
pub const KSPROPERTY_AUDIO_WIDENESS: u32 = 25;
/// Audio property: level of the reverberation.
pub const KSPROPERTY_AUDIO_REVERB_LEVEL: u32 = 26;
/// Audio property: level of the chorus.
pub const KSPROPERTY_AUDIO_CHORUS_LEVEL: u32 = 27;
/// Audio property: specific to the device.
pub const KSPROPERTY_AUDIO_DEV_SPECIFIC: u32 = 28;
/// Audio property: which output is selected.
pub const KSPROPERTY_AUDIO_DEMUX_DEST: u32 = 29;
/// Audio property: stereo enhancement.
pub const KSPROPERTY_AUDIO_STEREO_ENHANCE: u32 = 30;
/// Audio property: who made it.
pub const KSPROPERTY_AUDIO_MANUFACTURE_GUID: u32 = 31;
/// Audio property: what it is.
pub const KSPROPERTY_AUDIO_PRODUCT_GUID: u32 = 32;
/// Audio property: whether the processor does it.
pub const KSPROPERTY_AUDIO_CPU_RESOURCES: u32 = 33;
/// Audio property: angle of the speakers.
pub const KSPROPERTY_AUDIO_STEREO_SPEAKER_GEOMETRY: u32 = 34;
/// Audio property: surround encoding.
pub const KSPROPERTY_AUDIO_SURROUND_ENCODE: u32 = 35;
/// Audio property: 3D algorithm.
pub const KSPROPERTY_AUDIO_3D_INTERFACE: u32 = 36;
/// Audio property: peak since the last question.
pub const KSPROPERTY_AUDIO_PEAKMETER: u32 = 37;
/// Audio property: which algorithm of a filter.
pub const KSPROPERTY_AUDIO_ALGORITHM_INSTANCE: u32 = 38;
/// Audio property: which filters work.
pub const KSPROPERTY_AUDIO_FILTER_STATE: u32 = 39;
/// Audio property: the device is the preferred one.
pub const KSPROPERTY_AUDIO_PREFERRED_STATUS: u32 = 40;
/// Audio property: bands of a parametric equaliser, at most.
pub const KSPROPERTY_AUDIO_PEQ_MAX_BANDS: u32 = 41;
/// Audio property: bands of a parametric equaliser.
pub const KSPROPERTY_AUDIO_PEQ_NUM_BANDS: u32 = 42;
/// Audio property: centre of a band.
pub const KSPROPERTY_AUDIO_PEQ_BAND_CENTER_FREQ: u32 = 43;
/// Audio property: Q of a band.
pub const KSPROPERTY_AUDIO_PEQ_BAND_Q_FACTOR: u32 = 44;
/// Audio property: level of a band.
pub const KSPROPERTY_AUDIO_PEQ_BAND_LEVEL: u32 = 45;
/// Audio property: rate of the chorus.
pub const KSPROPERTY_AUDIO_CHORUS_MODULATION_RATE: u32 = 46;
/// Audio property: depth of the chorus.
pub const KSPROPERTY_AUDIO_CHORUS_MODULATION_DEPTH: u32 = 47;
/// Audio property: reverberation time.
pub const KSPROPERTY_AUDIO_REVERB_TIME: u32 = 48;
/// Audio property: feedback of the reverberation.
pub const KSPROPERTY_AUDIO_REVERB_DELAY_FEEDBACK: u32 = 49;
/// Audio property: position between two time stamps.
pub const KSPROPERTY_AUDIO_POSITIONEX: u32 = 50;
/// Audio property: where the microphones are.
pub const KSPROPERTY_AUDIO_MIC_ARRAY_GEOMETRY: u32 = 51;
/// Audio property: frames that left the speaker.
pub const KSPROPERTY_AUDIO_PRESENTATION_POSITION: u32 = 52;
/// Audio property: up to where an offloaded client has written.
pub const KSPROPERTY_AUDIO_WAVERT_CURRENT_WRITE_POSITION: u32 = 53;
/// Audio property: bytes fetched since the beginning.
pub const KSPROPERTY_AUDIO_LINEAR_BUFFER_POSITION: u32 = 54;
/// Audio property: peak, since Windows 8.
pub const KSPROPERTY_AUDIO_PEAKMETER2: u32 = 55;
/// Audio property: where the last buffer ends.
pub const KSPROPERTY_AUDIO_WAVERT_CURRENT_WRITE_LASTBUFFER_POSITION: u32 = 56;
/// Audio property: the volume is limited.
pub const KSPROPERTY_AUDIO_VOLUMELIMIT_ENGAGED: u32 = 57;
/// Audio property: sensitivity of a microphone.
pub const KSPROPERTY_AUDIO_MIC_SENSITIVITY: u32 = 58;
/// Audio property: signal-to-noise ratio of a microphone.
pub const KSPROPERTY_AUDIO_MIC_SNR: u32 = 59;
/// Audio property: sensitivity of a microphone, with a sign.
pub const KSPROPERTY_AUDIO_MIC_SENSITIVITY2: u32 = 60;

/// Place of a speaker: front left.
pub const SPEAKER_FRONT_LEFT: u32 = 0x1;
/// Place of a speaker: front right.
pub const SPEAKER_FRONT_RIGHT: u32 = 0x2;
/// Place of a speaker: front center.
pub const SPEAKER_FRONT_CENTER: u32 = 0x4;
/// Place of a speaker: low frequency.
pub const SPEAKER_LOW_FREQUENCY: u32 = 0x8;
/// Place of a speaker: back left.
pub const SPEAKER_BACK_LEFT: u32 = 0x10;
/// Place of a speaker: back right.
pub const SPEAKER_BACK_RIGHT: u32 = 0x20;
/// Place of a speaker: front left of center.
pub const SPEAKER_FRONT_LEFT_OF_CENTER: u32 = 0x40;
/// Place of a speaker: front right of center.
pub const SPEAKER_FRONT_RIGHT_OF_CENTER: u32 = 0x80;
/// Place of a speaker: back center.
pub const SPEAKER_BACK_CENTER: u32 = 0x100;
/// Place of a speaker: side left.
pub const SPEAKER_SIDE_LEFT: u32 = 0x200;
/// Place of a speaker: side right.
pub const SPEAKER_SIDE_RIGHT: u32 = 0x400;
/// Place of a speaker: top center.
pub const SPEAKER_TOP_CENTER: u32 = 0x800;
/// Place of a speaker: top front left.
pub const SPEAKER_TOP_FRONT_LEFT: u32 = 0x1000;
/// Place of a speaker: top front center.
pub const SPEAKER_TOP_FRONT_CENTER: u32 = 0x2000;
/// Place of a speaker: top front right.
pub const SPEAKER_TOP_FRONT_RIGHT: u32 = 0x4000;
/// Place of a speaker: top back left.
pub const SPEAKER_TOP_BACK_LEFT: u32 = 0x8000;
/// Place of a speaker: top back center.
pub const SPEAKER_TOP_BACK_CENTER: u32 = 0x10000;
/// Place of a speaker: top back right.
pub const SPEAKER_TOP_BACK_RIGHT: u32 = 0x20000;

/// KSPROPERTY_AUDIO_CPU_RESOURCES: the device does it.
pub const KSAUDIO_CPU_RESOURCES_NOT_HOST_CPU: u32 = 0;
/// KSPROPERTY_AUDIO_CPU_RESOURCES: the processor does it.
pub const KSAUDIO_CPU_RESOURCES_HOST_CPU: u32 = 0x7FFF_FFFF;

/// A node property request of an application.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct KSNODEPROPERTY_AUDIO_PROPERTY {
    /// The request.
    pub NodeProperty: KSNODEPROPERTY,
    /// Whose.
    pub AppContext: *mut c_void,
    /// Bytes.
    pub Length: u32,
}
layout!(KSNODEPROPERTY_AUDIO_PROPERTY, 48, AppContext @ 32, Length @ 40);

/// A node property request that is specific to the device.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct KSNODEPROPERTY_AUDIO_DEV_SPECIFIC {
    /// The request.
    pub NodeProperty: KSNODEPROPERTY,
    /// Which.
    pub DevSpecificId: u32,
    /// The device's.
    pub DeviceInfo: u32,
    /// Bytes.
    pub Length: u32,
}
layout!(KSNODEPROPERTY_AUDIO_DEV_SPECIFIC, 48, DevSpecificId @ 32, DeviceInfo @ 36, Length @ 40);

/// Value of KSPROPERTY_AUDIO_CHANNEL_CONFIG.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KSAUDIO_CHANNEL_CONFIG {
    /// `SPEAKER_...`, added.
    pub ActiveSpeakerPositions: i32,
}
layout!(KSAUDIO_CHANNEL_CONFIG, 4);

/// Value of KSPROPERTY_AUDIO_COPY_PROTECTION. BOOLs of 32 bits.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KSAUDIO_COPY_PROTECTION {
    /// Somebody's.
    pub fCopyrighted: i32,
    /// No copy.
    pub fOriginal: i32,
}
layout!(KSAUDIO_COPY_PROTECTION, 8, fOriginal @ 4);

/// Value of KSPROPERTY_AUDIO_DYNAMIC_RANGE.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KSAUDIO_DYNAMIC_RANGE {
    /// Of what is quiet.
    pub QuietCompression: u32,
    /// Of what is loud.
    pub LoudCompression: u32,
}
layout!(KSAUDIO_DYNAMIC_RANGE, 8, LoudCompression @ 4);

/// An element of a mixing matrix.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KSAUDIO_MIXLEVEL {
    /// BOOL.
    pub Mute: i32,
    /// 1/65536 dB.
    pub Level: i32,
}
layout!(KSAUDIO_MIXLEVEL, 8, Level @ 4);

/// Range of an element of a mixing matrix.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KSAUDIO_MIX_CAPS {
    /// BOOL: it can be muted.
    pub Mute: i32,
    /// 1/65536 dB.
    pub Minimum: i32,
    /// 1/65536 dB.
    pub Maximum: i32,
    /// 1/65536 dB. (In C a union with `Reset`, which is the same number.)
    pub Resolution: i32,
}
layout!(KSAUDIO_MIX_CAPS, 16, Minimum @ 4, Maximum @ 8, Resolution @ 12);

/// Value of KSPROPERTY_AUDIO_POSITIONEX: a position and the counter before and after it was read.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KSAUDIO_POSITIONEX {
    /// Hz.
    pub TimerFrequency: i64,
    /// Before.
    pub TimeStamp1: i64,
    /// The position.
    pub Position: super::KSAUDIO_POSITION,
    /// After.
    pub TimeStamp2: i64,
}
layout!(KSAUDIO_POSITIONEX, 40, TimeStamp1 @ 8, Position @ 16, TimeStamp2 @ 32);

/// Where a microphone is: millimetres and 1/10,000 radian.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KSAUDIO_MICROPHONE_COORDINATES {
    /// KSMICARRAY_MICTYPE.
    pub usType: u16,
    /// To the right.
    pub wXCoord: i16,
    /// To the front.
    pub wYCoord: i16,
    /// Up.
    pub wZCoord: i16,
    /// Up and down.
    pub wVerticalAngle: i16,
    /// Left and right.
    pub wHorizontalAngle: i16,
}
layout!(KSAUDIO_MICROPHONE_COORDINATES, 12, wXCoord @ 2, wYCoord @ 4, wZCoord @ 6, wVerticalAngle @ 8, wHorizontalAngle @ 10);

/// Value of KSPROPERTY_AUDIO_MIC_ARRAY_GEOMETRY; further coordinates follow.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KSAUDIO_MIC_ARRAY_GEOMETRY {
    /// 0x100.
    pub usVersion: u16,
    /// KSMICARRAY_MICARRAYTYPE.
    pub usMicArrayType: u16,
    /// Of the working volume.
    pub wVerticalAngleBegin: i16,
    /// Of the working volume.
    pub wVerticalAngleEnd: i16,
    /// Of the working volume.
    pub wHorizontalAngleBegin: i16,
    /// Of the working volume.
    pub wHorizontalAngleEnd: i16,
    /// Hz.
    pub usFrequencyBandLo: u16,
    /// Hz.
    pub usFrequencyBandHi: u16,
    /// How many.
    pub usNumberOfMicrophones: u16,
    /// The first.
    pub KsMicCoord: [KSAUDIO_MICROPHONE_COORDINATES; 1],
}
layout!(KSAUDIO_MIC_ARRAY_GEOMETRY, 30, usMicArrayType @ 2, wVerticalAngleBegin @ 4, wVerticalAngleEnd @ 6, wHorizontalAngleBegin @ 8, wHorizontalAngleEnd @ 10, usFrequencyBandLo @ 12, usFrequencyBandHi @ 14, usNumberOfMicrophones @ 16, KsMicCoord @ 18);
