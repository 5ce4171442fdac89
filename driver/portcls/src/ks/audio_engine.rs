//! Hardware-offloaded audio: what audio engine nodes answer (KSPROPSETID_AudioEngine). Windows 8. From the
//! pages of `ksmedia.h`'s structures; PortCls handles the properties with
//! [`IMiniportAudioEngineNode`](crate::interfaces::IMiniportAudioEngineNode) and its kin.
use crate::layout;

/// Audio engine property: local effects work.
pub const KSPROPERTY_AUDIOENGINE_LFXENABLE: u32 = 0;
/// Audio engine property: global effects work.
pub const KSPROPERTY_AUDIOENGINE_GFXENABLE: u32 = 1;
/// Audio engine property: what the mixer makes.
pub const KSPROPERTY_AUDIOENGINE_MIXFORMAT: u32 = 2;
/// Audio engine property: what the converter gets.
pub const KSPROPERTY_AUDIOENGINE_DEVICEFORMAT: u32 = 4;
/// Audio engine property: what the converter can get.
pub const KSPROPERTY_AUDIOENGINE_SUPPORTEDDEVICEFORMATS: u32 = 5;
/// Audio engine property: its pins.
pub const KSPROPERTY_AUDIOENGINE_DESCRIPTOR: u32 = 6;
/// Audio engine property: sizes of buffers.
pub const KSPROPERTY_AUDIOENGINE_BUFFER_SIZE_RANGE: u32 = 7;
/// Audio engine property: what plays is not looped back.
pub const KSPROPERTY_AUDIOENGINE_LOOPBACK_PROTECTION: u32 = 8;
/// Audio engine property: volume along a curve.
pub const KSPROPERTY_AUDIOENGINE_VOLUMELEVEL: u32 = 9;
/// Audio engine property: which controls are the device's own.
pub const KSPROPERTY_AUDIOENGINE_DEVICECONTROLS: u32 = 10;

/// How a volume gets to its target.
pub type AUDIO_CURVE_TYPE = i32;
/// At once.
pub const AUDIO_CURVE_TYPE_NONE: AUDIO_CURVE_TYPE = 0;
/// By Windows' fade.
pub const AUDIO_CURVE_TYPE_WINDOWS_FADE: AUDIO_CURVE_TYPE = 1;

/// What a loopback may have of a stream.
pub type CONSTRICTOR_OPTION = i32;
/// All.
pub const CONSTRICTOR_OPTION_DISABLE: CONSTRICTOR_OPTION = 0;
/// Silence.
pub const CONSTRICTOR_OPTION_MUTE: CONSTRICTOR_OPTION = 1;

/// Which pins an audio engine stands between.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KSAUDIOENGINE_DESCRIPTOR {
    /// Of the host process' streams.
    pub nHostPinId: u32,
    /// Of offloaded streams.
    pub nOffloadPinId: u32,
    /// Of the mix, looped back.
    pub nLoopbackPinId: u32,
}
layout!(KSAUDIOENGINE_DESCRIPTOR, 12, nHostPinId @ 0, nOffloadPinId @ 4, nLoopbackPinId @ 8);

/// Sizes of an offload buffer.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KSAUDIOENGINE_BUFFER_SIZE_RANGE {
    /// The least that does not glitch often.
    pub MinBufferBytes: u32,
    /// The greatest there is now.
    pub MaxBufferBytes: u32,
}
layout!(KSAUDIOENGINE_BUFFER_SIZE_RANGE, 8, MinBufferBytes @ 0, MaxBufferBytes @ 4);

/// A volume and how to get there.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KSAUDIOENGINE_VOLUMELEVEL {
    /// 1/65536 dB.
    pub TargetVolume: i32,
    /// The curve.
    pub CurveType: AUDIO_CURVE_TYPE,
    /// 100 ns.
    pub CurveDuration: u64,
}
layout!(KSAUDIOENGINE_VOLUMELEVEL, 16, TargetVolume @ 0, CurveType @ 4, CurveDuration @ 8);

/// Which controls are the device's own: 0 none, 1 the primary ones, 2 secondary ones.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KSAUDIOENGINE_DEVICECONTROLS {
    /// Volume.
    pub Volume: i32,
    /// Mute.
    pub Mute: i32,
    /// Peak meter.
    pub PeakMeter: i32,
}
layout!(KSAUDIOENGINE_DEVICECONTROLS, 12, Volume @ 0, Mute @ 4, PeakMeter @ 8);
