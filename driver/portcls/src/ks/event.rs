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
