//! Events: kinds, sets and ids. Kinds are from mingw-w64 10.0.0's `ks.h` (KSEVENT_TYPE_..., which `portcls.h`
//! names PCEVENT_ITEM_FLAG_...). Ids are the places in the headers' enumerations: KSEVENT_CONTROL_CHANGE is
//! the only one of its set (mingw-w64's `ksmedia.h`); of KSEVENT_PINCAPS_CHANGENOTIFICATIONS, which mingw-w64
//! has not, the second (three bindings made from Microsoft's headers count FORMATCHANGE 0, JACKINFOCHANGE 1;
//! one that counts from 1 contradicts C).

/// Kind: signalled each time, until the client takes it back.
pub const KSEVENT_TYPE_ENABLE: u32 = 1;
/// Kind: only asks whether it is supported.
pub const KSEVENT_TYPE_BASICSUPPORT: u32 = 0x200;

/// A control has another value (KSEVENTSETID_AudioControlChange), at a node.
pub const KSEVENT_CONTROL_CHANGE: u32 = 0;
/// Something was plugged or unplugged (KSEVENTSETID_PinCapsChange), at a pin. Since Windows 7.
pub const KSEVENT_PINCAPS_JACKINFOCHANGE: u32 = 1;
/// A pin's formats changed (KSEVENTSETID_PinCapsChange).
pub const KSEVENT_PINCAPS_FORMATCHANGE: u32 = 0;
/// A stream must be made anew with another format (KSEVENTSETID_DynamicFormatChange), at a pin.
pub const KSEVENT_DYNAMIC_FORMAT_CHANGE: u32 = 0;
/// A keyword was heard (KSEVENTSETID_SoundDetector), at the filter.
pub const KSEVENT_SOUNDDETECTOR_MATCHDETECTED: u32 = 1;
/// The volume is limited or no longer (KSEVENTSETID_VolumeLimit).
pub const KSEVENT_VOLUMELIMIT_CHANGED: u32 = 0;
/// Telephony's endpoints changed (KSEVENTSETID_Telephony).
pub const KSEVENT_TELEPHONY_ENDPOINTPAIRS_CHANGED: u32 = 0;

/// Kind: signalled once.
pub const KSEVENT_TYPE_ONESHOT: u32 = 2;
/// Kind: signalled with data that waits.
pub const KSEVENT_TYPE_ENABLEBUFFERED: u32 = 4;
/// Kind: whether the set is supported.
pub const KSEVENT_TYPE_SETSUPPORT: u32 = 0x100;
/// Kind: asks for the data that waits.
pub const KSEVENT_TYPE_QUERYBUFFER: u32 = 0x400;
/// Kind's flag: the request names a node.
pub const KSEVENT_TYPE_TOPOLOGY: u32 = 0x1000_0000;
