//! Audio modules (KSPROPSETID_AudioModule, Windows 10, 1703), keyword detectors, posture, interleaved audio,
//! resource groups: what newer Windows asks of filters that have them. From the pages of `ksmedia.h`.
use super::property::KSPROPERTY;
use crate::guid::GUID;
use crate::layout;

/// Audio module property: all modules.
pub const KSPROPERTY_AUDIOMODULE_DESCRIPTORS: u32 = 1;
/// Audio module property: a command to one.
pub const KSPROPERTY_AUDIOMODULE_COMMAND: u32 = 2;
/// Audio module property: the device of the notifications.
pub const KSPROPERTY_AUDIOMODULE_NOTIFICATION_DEVICE_ID: u32 = 3;
/// Posture property: how the device is turned, [`AUDIOPOSTURE_ORIENTATION_NOTROTATED`] ...
pub const KSPROPERTY_AUDIOPOSTURE_ORIENTATION: u32 = 1;
/// Resource property: a group is acquired or released.
pub const KSPROPERTY_AUDIORESOURCEMANAGEMENT_RESOURCEGROUP: u32 = 0;
/// Signal-processing property: the modes of a pin.
pub const KSPROPERTY_AUDIOSIGNALPROCESSING_MODES: u32 = 0;
/// Interleaved audio property: which channels are the reference.
pub const KSPROPERTY_INTERLEAVEDAUDIO_FORMATINFORMATION: u32 = 1;
/// Keyword detector property: kinds of patterns.
pub const KSPROPERTY_SOUNDDETECTOR_SUPPORTEDPATTERNS: u32 = 1;
/// Keyword detector property: what to listen for.
pub const KSPROPERTY_SOUNDDETECTOR_PATTERNS: u32 = 2;
/// Keyword detector property: listens.
pub const KSPROPERTY_SOUNDDETECTOR_ARMED: u32 = 3;
/// Keyword detector property: what it heard.
pub const KSPROPERTY_SOUNDDETECTOR_MATCHRESULT: u32 = 4;
/// Keyword detector property: begins anew.
pub const KSPROPERTY_SOUNDDETECTOR_RESET: u32 = 5;
/// Keyword detector property: can stream what it heard.
pub const KSPROPERTY_SOUNDDETECTOR_STREAMINGSUPPORT: u32 = 6;

/// Posture: upright.
pub const AUDIOPOSTURE_ORIENTATION_NOTROTATED: i32 = 0;
/// Posture: a quarter against the clock.
pub const AUDIOPOSTURE_ORIENTATION_ROTATED90DEGREESCOUNTERCLOCKWISE: i32 = 1;
/// Posture: upside down.
pub const AUDIOPOSTURE_ORIENTATION_ROTATED180DEGREESCOUNTERCLOCKWISE: i32 = 2;
/// Posture: three quarters against the clock.
pub const AUDIOPOSTURE_ORIENTATION_ROTATED270DEGREESCOUNTERCLOCKWISE: i32 = 3;

/// An audio module of a filter or pin.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KSAUDIOMODULE_DESCRIPTOR {
    /// What it is.
    pub ClassId: GUID,
    /// Which of them.
    pub InstanceId: u32,
    /// Of the protocol of its commands.
    pub VersionMajor: u32,
    /// The same.
    pub VersionMinor: u32,
    /// UTF-16, ends in NUL.
    pub Name: [u16; 128],
}
layout!(KSAUDIOMODULE_DESCRIPTOR, 284, ClassId @ 0, InstanceId @ 16, VersionMajor @ 20, VersionMinor @ 24, Name @ 28);

/// A command to an audio module.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KSAUDIOMODULE_PROPERTY {
    /// The request.
    pub Property: KSPROPERTY,
    /// What it is for.
    pub ClassId: GUID,
    /// Which of them.
    pub InstanceId: u32,
}
layout!(KSAUDIOMODULE_PROPERTY, 48, ClassId @ 24, InstanceId @ 40);

/// Head of an audio module's notification. (In C a union with a 64-bit integer, hence the alignment.)
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KSAUDIOMODULE_NOTIFICATION {
    /// The device that was named by KSPROPERTY_AUDIOMODULE_NOTIFICATION_DEVICE_ID.
    pub DeviceId: GUID,
    /// Of the module.
    pub ClassId: GUID,
    /// Which of them.
    pub InstanceId: u32,
    /// 0.
    pub Reserved: u32,
}
layout!(KSAUDIOMODULE_NOTIFICATION, 40, DeviceId @ 0, ClassId @ 16, InstanceId @ 32, Reserved @ 36);

/// Head of a pattern that a keyword detector listens for.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SOUNDDETECTOR_PATTERNHEADER {
    /// Bytes with this head.
    pub Size: u32,
    /// Kind.
    pub PatternType: GUID,
}
layout!(SOUNDDETECTOR_PATTERNHEADER, 20, PatternType @ 4);

/// A request to one of several keyword detectors.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KSSOUNDDETECTORPROPERTY {
    /// The request.
    pub Property: KSPROPERTY,
    /// Which.
    pub EventId: GUID,
}
layout!(KSSOUNDDETECTORPROPERTY, 40, EventId @ 24);

/// Which channels of a stream are what was recorded and which are what played meanwhile.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct INTERLEAVED_AUDIO_FORMAT_INFORMATION {
    /// Bytes of this structure.
    pub Size: u32,
    /// Channels recorded.
    pub PrimaryChannelCount: u32,
    /// The first of them.
    pub PrimaryChannelStartPosition: u32,
    /// Their places.
    pub PrimaryChannelMask: u32,
    /// Channels of the reference.
    pub InterleavedChannelCount: u32,
    /// The first of them.
    pub InterleavedChannelStartPosition: u32,
    /// Their places.
    pub InterleavedChannelMask: u32,
}
layout!(INTERLEAVED_AUDIO_FORMAT_INFORMATION, 28, PrimaryChannelCount @ 4, PrimaryChannelStartPosition @ 8, PrimaryChannelMask @ 12, InterleavedChannelCount @ 16, InterleavedChannelStartPosition @ 20, InterleavedChannelMask @ 24);
