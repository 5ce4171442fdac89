//! Properties: requests, answers to basic support, jacks (WAVERT.md 5.1, 5.7).
use crate::guid::GUID;
use crate::layout;
use core::ffi::c_void;

/// Names a property, method, event, interface or medium. (In C a union with a 64-bit integer, hence the
/// alignment.)
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KSIDENTIFIER {
    /// The set.
    pub Set: GUID,
    /// Which of the set.
    pub Id: u32,
    /// Verbs.
    pub Flags: u32,
}
layout!(KSIDENTIFIER, 24, Set @ 0, Id @ 16, Flags @ 20);

/// A property request.
pub type KSPROPERTY = KSIDENTIFIER;

/// Verb: get.
pub const KSPROPERTY_TYPE_GET: u32 = 1;
/// Verb: set.
pub const KSPROPERTY_TYPE_SET: u32 = 2;
/// Verb: what can be done.
pub const KSPROPERTY_TYPE_BASICSUPPORT: u32 = 0x200;

/// Pin property: PROPOSEDATAFORMAT (KSPROPSETID_Pin).
pub const KSPROPERTY_PIN_PROPOSEDATAFORMAT: u32 = 14;
/// Pin property: PROPOSEDATAFORMAT2 (KSPROPSETID_Pin).
pub const KSPROPERTY_PIN_PROPOSEDATAFORMAT2: u32 = 15;
/// Jack property: description (KSPROPSETID_Jack).
pub const KSPROPERTY_JACK_DESCRIPTION: u32 = 1;
/// Jack property: capabilities (KSPROPSETID_Jack).
pub const KSPROPERTY_JACK_DESCRIPTION2: u32 = 2;
/// Audio property: volume (KSPROPSETID_Audio).
pub const KSPROPERTY_AUDIO_VOLUMELEVEL: u32 = 4;
/// Audio property: mute (KSPROPSETID_Audio).
pub const KSPROPERTY_AUDIO_MUTE: u32 = 13;
/// Audio property: speakers (KSPROPSETID_Audio).
pub const KSPROPERTY_AUDIO_CHANNEL_CONFIG: u32 = 3;
/// Audio property: whether the processor does it (KSPROPSETID_Audio).
pub const KSPROPERTY_AUDIO_CPU_RESOURCES: u32 = 33;

/// Type of a property's value (KSPROPTYPESETID_General, a VARENUM): a signed number of 32 bits.
pub const VT_I4: u32 = 3;
/// Type of a property's value: a BOOL of 32 bits.
pub const VT_BOOL: u32 = 11;
/// Kind of members: [`KSPROPERTY_STEPPING_LONG`].
pub const KSPROPERTY_MEMBER_STEPPEDRANGES: u32 = 2;
/// Members are channels, one each. Required of channel properties since Windows Vista (*Exposing Multichannel
/// Nodes*).
pub const KSPROPERTY_MEMBER_FLAG_BASICSUPPORT_MULTICHANNEL: u32 = 2;
/// As the channel of a request: all of them. Microsoft's samples call it ALL_CHANNELS_ID; no header does.
pub const ALL_CHANNELS_ID: u32 = u32::MAX;

/// A pin property request.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct KSP_PIN {
    /// The request.
    pub Property: KSPROPERTY,
    /// The pin.
    pub PinId: u32,
    /// 0.
    pub Reserved: u32,
}
layout!(KSP_PIN, 32, PinId @ 24);

/// A node property request.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct KSNODEPROPERTY {
    /// The request.
    pub Property: KSPROPERTY,
    /// The node.
    pub NodeId: u32,
    /// 0.
    pub Reserved: u32,
}
layout!(KSNODEPROPERTY, 32, NodeId @ 24);

/// A node property request for one channel.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct KSNODEPROPERTY_AUDIO_CHANNEL {
    /// The request.
    pub NodeProperty: KSNODEPROPERTY,
    /// The channel; 0xFFFFFFFF is all.
    pub Channel: i32,
    /// 0.
    pub Reserved: u32,
}
layout!(KSNODEPROPERTY_AUDIO_CHANNEL, 40, Channel @ 32);

/// Long answer to basic support.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct KSPROPERTY_DESCRIPTION {
    /// Verbs.
    pub AccessFlags: u32,
    /// Bytes with what follows.
    pub DescriptionSize: u32,
    /// Type of the value.
    pub PropTypeSet: KSIDENTIFIER,
    /// Lists that follow.
    pub MembersListCount: u32,
    /// 0.
    pub Reserved: u32,
}
layout!(KSPROPERTY_DESCRIPTION, 40, DescriptionSize @ 4, PropTypeSet @ 8, MembersListCount @ 32);

/// Head of one list of members.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct KSPROPERTY_MEMBERSHEADER {
    /// Kind of members.
    pub MembersFlags: u32,
    /// Bytes of one.
    pub MembersSize: u32,
    /// How many.
    pub MembersCount: u32,
    /// How they apply.
    pub Flags: u32,
}
layout!(KSPROPERTY_MEMBERSHEADER, 16, MembersSize @ 4, MembersCount @ 8, Flags @ 12);

/// A stepped range of a 32-bit value.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct KSPROPERTY_STEPPING_LONG {
    /// Step.
    pub SteppingDelta: u32,
    /// 0.
    pub Reserved: u32,
    /// Least.
    pub SignedMinimum: i32,
    /// Greatest.
    pub SignedMaximum: i32,
}
layout!(KSPROPERTY_STEPPING_LONG, 16, Reserved @ 4, SignedMinimum @ 8, SignedMaximum @ 12);

/// A request to connect to a pin; the format follows.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct KSPIN_CONNECT {
    /// Standard streaming.
    pub Interface: KSIDENTIFIER,
    /// Standard device I/O.
    pub Medium: KSIDENTIFIER,
    /// The pin.
    pub PinId: u32,
    /// Handle of the other end.
    pub PinToHandle: *mut c_void,
    /// Priority.
    pub Priority: [u32; 2],
}
layout!(KSPIN_CONNECT, 72, Medium @ 24, PinId @ 48, PinToHandle @ 56, Priority @ 64);

/// How a jack looks.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KSJACK_DESCRIPTION {
    /// Speakers.
    pub ChannelMapping: u32,
    /// 0x00RRGGBB.
    pub Color: u32,
    /// EPcxConnectionType.
    pub ConnectionType: u32,
    /// EPcxGeoLocation.
    pub GeoLocation: u32,
    /// EPcxGenLocation.
    pub GenLocation: u32,
    /// EPxcPortConnection.
    pub PortConnection: u32,
    /// Not 0: something is plugged in.
    pub IsConnected: i32,
}
layout!(KSJACK_DESCRIPTION, 28, Color @ 4, ConnectionType @ 8, GeoLocation @ 12, GenLocation @ 16, PortConnection @ 20, IsConnected @ 24);

/// [`KSJACK_DESCRIPTION2`]: the jack detects presence, so that `IsConnected` is to be taken at its word.
pub const JACKDESC2_PRESENCE_DETECT_CAPABILITY: u32 = 1;

/// What a jack can do.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KSJACK_DESCRIPTION2 {
    /// State.
    pub DeviceStateInfo: u32,
    /// Capabilities.
    pub JackCapabilities: u32,
}
layout!(KSJACK_DESCRIPTION2, 8, JackCapabilities @ 4);
