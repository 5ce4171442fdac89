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
/// Verb: bytes of the payload.
pub const KSPROPERTY_TYPE_GETPAYLOADSIZE: u32 = 4;
/// Verb: whether the set is supported.
pub const KSPROPERTY_TYPE_SETSUPPORT: u32 = 0x100;
/// Verb: what can be done.
pub const KSPROPERTY_TYPE_BASICSUPPORT: u32 = 0x200;
/// Verb: related properties.
pub const KSPROPERTY_TYPE_RELATIONS: u32 = 0x400;
/// Verb: all of the set as one value.
pub const KSPROPERTY_TYPE_SERIALIZESET: u32 = 0x800;
/// Verb: the reverse.
pub const KSPROPERTY_TYPE_UNSERIALIZESET: u32 = 0x1000;
/// Verb: the value for serialisation.
pub const KSPROPERTY_TYPE_SERIALIZERAW: u32 = 0x2000;
/// Verb: the reverse.
pub const KSPROPERTY_TYPE_UNSERIALIZERAW: u32 = 0x4000;
/// Verb: bytes of that value.
pub const KSPROPERTY_TYPE_SERIALIZESIZE: u32 = 0x8000;
/// Verb: the default values.
pub const KSPROPERTY_TYPE_DEFAULTVALUES: u32 = 0x1_0000;
/// Verb's flag: the request names a node.
pub const KSPROPERTY_TYPE_TOPOLOGY: u32 = 0x1000_0000;

/// Pin property (KSPROPSETID_Pin): instances of it on the filter.
pub const KSPROPERTY_PIN_CINSTANCES: u32 = 0;
/// Pin property (KSPROPSETID_Pin): how many kinds of pins there are.
pub const KSPROPERTY_PIN_CTYPES: u32 = 1;
/// Pin property (KSPROPSETID_Pin): its direction.
pub const KSPROPERTY_PIN_DATAFLOW: u32 = 2;
/// Pin property (KSPROPSETID_Pin): its data ranges.
pub const KSPROPERTY_PIN_DATARANGES: u32 = 3;
/// Pin property (KSPROPSETID_Pin): the best format of a range.
pub const KSPROPERTY_PIN_DATAINTERSECTION: u32 = 4;
/// Pin property (KSPROPSETID_Pin): its interfaces.
pub const KSPROPERTY_PIN_INTERFACES: u32 = 5;
/// Pin property (KSPROPSETID_Pin): its mediums.
pub const KSPROPERTY_PIN_MEDIUMS: u32 = 6;
/// Pin property (KSPROPSETID_Pin): its communication.
pub const KSPROPERTY_PIN_COMMUNICATION: u32 = 7;
/// Pin property (KSPROPSETID_Pin): instances of it on all filters.
pub const KSPROPERTY_PIN_GLOBALCINSTANCES: u32 = 8;
/// Pin property (KSPROPSETID_Pin): instances needed.
pub const KSPROPERTY_PIN_NECESSARYINSTANCES: u32 = 9;
/// Pin property (KSPROPSETID_Pin): what it is connected to.
pub const KSPROPERTY_PIN_PHYSICALCONNECTION: u32 = 10;
/// Pin property (KSPROPSETID_Pin): what it is.
pub const KSPROPERTY_PIN_CATEGORY: u32 = 11;
/// Pin property (KSPROPSETID_Pin): its name.
pub const KSPROPERTY_PIN_NAME: u32 = 12;
/// Pin property (KSPROPSETID_Pin): its data ranges as things are.
pub const KSPROPERTY_PIN_CONSTRAINEDDATARANGES: u32 = 13;
/// Pin property (KSPROPSETID_Pin): whether a format could be opened.
pub const KSPROPERTY_PIN_PROPOSEDATAFORMAT: u32 = 14;
/// Pin property (KSPROPSETID_Pin): a format that could be opened in a mode.
pub const KSPROPERTY_PIN_PROPOSEDATAFORMAT2: u32 = 15;
/// Pin property (KSPROPSETID_Pin): the formats of a mode.
pub const KSPROPERTY_PIN_MODEDATAFORMATS: u32 = 16;
/// Jack property: description (KSPROPSETID_Jack).
pub const KSPROPERTY_JACK_DESCRIPTION: u32 = 1;
/// Jack property: capabilities (KSPROPSETID_Jack).
pub const KSPROPERTY_JACK_DESCRIPTION2: u32 = 2;
/// Jack property: what is plugged into a digital jack (KSPROPSETID_Jack).
pub const KSPROPERTY_JACK_SINK_INFO: u32 = 3;
/// Jack property: the container that it belongs to (KSPROPSETID_Jack).
pub const KSPROPERTY_JACK_CONTAINERID: u32 = 4;
/// Jack property: number of the endpoint's configuration (KSPROPSETID_Jack).
pub const KSPROPERTY_JACK_DESCRIPTION3: u32 = 5;
/// Topology property: categories (KSPROPSETID_Topology).
pub const KSPROPERTY_TOPOLOGY_CATEGORIES: u32 = 0;
/// Topology property: kinds of nodes (KSPROPSETID_Topology).
pub const KSPROPERTY_TOPOLOGY_NODES: u32 = 1;
/// Topology property: connections (KSPROPSETID_Topology).
pub const KSPROPERTY_TOPOLOGY_CONNECTIONS: u32 = 2;
/// Topology property: a node's name (KSPROPSETID_Topology).
pub const KSPROPERTY_TOPOLOGY_NAME: u32 = 3;
/// Node property: works (KSPROPSETID_TopologyNode).
pub const KSPROPERTY_TOPOLOGYNODE_ENABLE: u32 = 1;
/// Node property: begins anew (KSPROPSETID_TopologyNode).
pub const KSPROPERTY_TOPOLOGYNODE_RESET: u32 = 2;
/// Connection property: state (KSPROPSETID_Connection).
pub const KSPROPERTY_CONNECTION_STATE: u32 = 0;
/// Connection property: priority (KSPROPSETID_Connection).
pub const KSPROPERTY_CONNECTION_PRIORITY: u32 = 1;
/// Connection property: format (KSPROPSETID_Connection).
pub const KSPROPERTY_CONNECTION_DATAFORMAT: u32 = 2;
/// Connection property: framing (KSPROPSETID_Connection).
pub const KSPROPERTY_CONNECTION_ALLOCATORFRAMING: u32 = 3;
/// Connection property: whether a format could be set (KSPROPSETID_Connection).
pub const KSPROPERTY_CONNECTION_PROPOSEDATAFORMAT: u32 = 4;
/// Connection property: states go down the graph in order (KSPROPSETID_Connection).
pub const KSPROPERTY_CONNECTION_ACQUIREORDERING: u32 = 5;
/// Connection property: framing, the long form (KSPROPSETID_Connection).
pub const KSPROPERTY_CONNECTION_ALLOCATORFRAMING_EX: u32 = 6;
/// Connection property: begins at a time (KSPROPSETID_Connection).
pub const KSPROPERTY_CONNECTION_STARTAT: u32 = 7;
/// General property: component id (KSPROPSETID_General).
pub const KSPROPERTY_GENERAL_COMPONENTID: u32 = 0;
/// DRM property: content id (KSPROPSETID_DrmAudioStream).
pub const KSPROPERTY_DRMAUDIOSTREAM_CONTENTID: u32 = 0;

/// Type of a property's value (KSPROPTYPESETID_General, a VARENUM): a signed number of 32 bits.
pub const VT_I4: u32 = 3;
/// Type of a property's value: a BOOL of 32 bits.
pub const VT_BOOL: u32 = 11;
/// Kind of members: least and greatest.
pub const KSPROPERTY_MEMBER_RANGES: u32 = 1;
/// Kind of members: values.
pub const KSPROPERTY_MEMBER_VALUES: u32 = 3;
/// Members are the default values.
pub const KSPROPERTY_MEMBER_FLAG_DEFAULT: u32 = 1;
/// Members are channels with one and the same range.
pub const KSPROPERTY_MEMBER_FLAG_BASICSUPPORT_UNIFORM: u32 = 4;
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

/// [`KSJACK_DESCRIPTION2`]: the formats change with what is plugged in.
pub const JACKDESC2_DYNAMIC_FORMAT_CHANGE_CAPABILITY: u32 = 2;

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

/// Which of an endpoint's configurations a driver has; another number makes Windows forget what it knows of
/// the endpoint.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KSJACK_DESCRIPTION3 {
    /// The driver's.
    pub ConfigId: u32,
}
layout!(KSJACK_DESCRIPTION3, 4);

/// What is plugged into a digital jack.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KSJACK_SINK_INFORMATION {
    /// 0 HDMI, 1 DisplayPort.
    pub ConnType: i32,
    /// Of its EDID.
    pub ManufacturerId: u16,
    /// Of its EDID.
    pub ProductId: u16,
    /// Milliseconds.
    pub AudioLatency: u16,
    /// BOOL.
    pub HDCPCapable: i32,
    /// BOOL: takes ACP, ISRC1 and ISRC2 packets.
    pub AICapable: i32,
    /// Characters of the description.
    pub SinkDescriptionLength: u8,
    /// UTF-16.
    pub SinkDescription: [u16; 32],
    /// A LUID.
    pub PortId: [u32; 2],
}
layout!(KSJACK_SINK_INFORMATION, 96, ManufacturerId @ 4, ProductId @ 6, AudioLatency @ 8, HDCPCapable @ 12, AICapable @ 16, SinkDescriptionLength @ 20, SinkDescription @ 22, PortId @ 88);

/// Instances of a pin.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KSPIN_CINSTANCES {
    /// At most.
    pub PossibleCount: u32,
    /// Now.
    pub CurrentCount: u32,
}
layout!(KSPIN_CINSTANCES, 8, CurrentCount @ 4);

/// What a bridge pin is connected to; the name goes on.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KSPIN_PHYSICALCONNECTION {
    /// Bytes with the name.
    pub Size: u32,
    /// Pin of the other filter.
    pub Pin: u32,
    /// Symbolic link of the other filter, UTF-16, ends in NUL.
    pub SymbolicLinkName: [u16; 1],
}
layout!(KSPIN_PHYSICALCONNECTION, 12, Pin @ 4, SymbolicLinkName @ 8);

/// A stepped range of a 64-bit value.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KSPROPERTY_STEPPING_LONGLONG {
    /// Step.
    pub SteppingDelta: u64,
    /// Least.
    pub SignedMinimum: i64,
    /// Greatest.
    pub SignedMaximum: i64,
}
layout!(KSPROPERTY_STEPPING_LONGLONG, 24, SignedMinimum @ 8, SignedMaximum @ 16);

/// Least and greatest of a 32-bit value.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KSPROPERTY_BOUNDS_LONG {
    /// Least.
    pub SignedMinimum: i32,
    /// Greatest.
    pub SignedMaximum: i32,
}
layout!(KSPROPERTY_BOUNDS_LONG, 8, SignedMaximum @ 4);

/// EPcxConnectionType: unknown.
pub const eConnTypeUnknown: u32 = 0;
/// EPcxConnectionType: 3.5 mm.
pub const eConnType3Point5mm: u32 = 1;
/// EPcxConnectionType: 6.35 mm.
pub const eConnTypeQuarter: u32 = 2;
/// EPcxConnectionType: internal ATAPI.
pub const eConnTypeAtapiInternal: u32 = 3;
/// EPcxConnectionType: RCA.
pub const eConnTypeRCA: u32 = 4;
/// EPcxConnectionType: optical.
pub const eConnTypeOptical: u32 = 5;
/// EPcxConnectionType: another digital one.
pub const eConnTypeOtherDigital: u32 = 6;
/// EPcxConnectionType: another analog one.
pub const eConnTypeOtherAnalog: u32 = 7;
/// EPcxConnectionType: DIN of several channels.
pub const eConnTypeMultichannelAnalogDIN: u32 = 8;
/// EPcxConnectionType: XLR.
pub const eConnTypeXlrProfessional: u32 = 9;
/// EPcxConnectionType: RJ-11.
pub const eConnTypeRJ11Modem: u32 = 10;
/// EPcxConnectionType: several in one.
pub const eConnTypeCombination: u32 = 11;

/// EPcxGeoLocation: back panel.
pub const eGeoLocRear: u32 = 1;
/// EPcxGeoLocation: front panel.
pub const eGeoLocFront: u32 = 2;
/// EPcxGeoLocation: left panel.
pub const eGeoLocLeft: u32 = 3;
/// EPcxGeoLocation: right panel.
pub const eGeoLocRight: u32 = 4;
/// EPcxGeoLocation: top panel.
pub const eGeoLocTop: u32 = 5;
/// EPcxGeoLocation: bottom panel.
pub const eGeoLocBottom: u32 = 6;
/// EPcxGeoLocation: a slide in the back panel.
pub const eGeoLocRearPanel: u32 = 7;
/// EPcxGeoLocation: riser card.
pub const eGeoLocRiser: u32 = 8;
/// EPcxGeoLocation: inside a lid.
pub const eGeoLocInsideMobileLid: u32 = 9;
/// EPcxGeoLocation: drive bay.
pub const eGeoLocDrivebay: u32 = 10;
/// EPcxGeoLocation: HDMI jack.
pub const eGeoLocHDMI: u32 = 11;
/// EPcxGeoLocation: outside of a lid.
pub const eGeoLocOutsideMobileLid: u32 = 12;
/// EPcxGeoLocation: ATAPI jack.
pub const eGeoLocATAPI: u32 = 13;
/// EPcxGeoLocation: none.
pub const eGeoLocNotApplicable: u32 = 14;
/// EPcxGeoLocation: reserved.
pub const eGeoLocReserved6: u32 = 15;

/// EPcxGenLocation: the main box.
pub const eGenLocPrimaryBox: u32 = 0;
/// EPcxGenLocation: inside.
pub const eGenLocInternal: u32 = 1;
/// EPcxGenLocation: another box.
pub const eGenLocSeparate: u32 = 2;
/// EPcxGenLocation: elsewhere.
pub const eGenLocOther: u32 = 3;

/// EPxcPortConnection: a jack.
pub const ePortConnJack: u32 = 0;
/// EPxcPortConnection: built in.
pub const ePortConnIntegratedDevice: u32 = 1;
/// EPxcPortConnection: both.
pub const ePortConnBothIntegratedAndJack: u32 = 2;
/// EPxcPortConnection: unknown.
pub const ePortConnUnknown: u32 = 3;
