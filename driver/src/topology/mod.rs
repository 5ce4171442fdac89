//! The topology subdevice: from the wave filter to the jack, with nothing between. Windows does volume and mute in software.
//! wavert-facts 5.3.

use core::ffi::c_void;

use nt::NtResult;
use nt::status::STATUS_NOT_IMPLEMENTED;
use portcls_sys::com::params::UnknownIn;
use portcls_sys::guid::{KSCATEGORY_AUDIO, KSCATEGORY_TOPOLOGY, KSNODETYPE_SPEAKER};
use portcls_sys::interfaces::{IMiniportTopology, IPortTopology, IResourceList, Miniport, MiniportTopology};
use portcls_sys::ks::KSDATARANGE;
use portcls_sys::pc::{
    KSPIN_COMMUNICATION_NONE, KSPIN_DATAFLOW_IN, KSPIN_DATAFLOW_OUT, KSPIN_DESCRIPTOR,
    PCCONNECTION_DESCRIPTOR, PCFILTER_DESCRIPTOR, PCFILTER_NODE, PCPIN_DESCRIPTOR,
};
use portcls_sys::{Com, ComIn, GUID, In, Out, com_class};

use crate::wave::descriptors::BRIDGE_RANGES;

/// The pin that comes from the wave filter.
pub const PIN_WAVE: u32 = 0;
/// The pin that is the jack. Its category makes the endpoint a pair of speakers.
pub const PIN_JACK: u32 = 1;

static PINS: [PCPIN_DESCRIPTOR; 2] = [
    PCPIN_DESCRIPTOR::new(
        0,
        KSPIN_DESCRIPTOR::new(KSPIN_DATAFLOW_IN, KSPIN_COMMUNICATION_NONE, &KSCATEGORY_AUDIO, &BRIDGE_RANGES),
    ),
    PCPIN_DESCRIPTOR::new(
        0,
        KSPIN_DESCRIPTOR::new(
            KSPIN_DATAFLOW_OUT,
            KSPIN_COMMUNICATION_NONE,
            &KSNODETYPE_SPEAKER,
            &BRIDGE_RANGES,
        ),
    ),
];

static CONNECTIONS: [PCCONNECTION_DESCRIPTOR; 1] = [PCCONNECTION_DESCRIPTOR {
    FromNode: PCFILTER_NODE,
    FromNodePin: PIN_WAVE,
    ToNode: PCFILTER_NODE,
    ToNodePin: PIN_JACK,
}];

static CATEGORIES: [GUID; 2] = [KSCATEGORY_AUDIO, KSCATEGORY_TOPOLOGY];

static FILTER: PCFILTER_DESCRIPTOR = PCFILTER_DESCRIPTOR::new(&PINS, &[], &CONNECTIONS, &CATEGORIES);

/// The miniport of the topology filter.
pub struct TopologyMiniport(());

com_class! {
    TopologyMiniport {
        0 => IMiniportTopology,
    }
}

impl TopologyMiniport {
    /// The miniport.
    pub fn try_new() -> NtResult<Com<Self>> {
        Com::try_new(Self(()))
    }
}

impl Miniport for TopologyMiniport {
    fn get_description(&self, description: Out<'_, *const PCFILTER_DESCRIPTOR>) -> NtResult {
        description.write(&raw const FILTER)
    }

    /// No pin that a client could open, so no format.
    fn data_range_intersection(
        &self,
        _pin: u32,
        _client: In<'_, KSDATARANGE>,
        _ours: In<'_, KSDATARANGE>,
        _length: u32,
        _format: *mut c_void,
        _format_length: Out<'_, u32>,
    ) -> NtResult {
        Err(STATUS_NOT_IMPLEMENTED)
    }
}

impl MiniportTopology for TopologyMiniport {
    /// Nothing to keep.
    fn init(
        &self,
        _adapter: UnknownIn<'_>,
        _resources: ComIn<'_, IResourceList>,
        _port: ComIn<'_, IPortTopology>,
    ) -> NtResult {
        Ok(())
    }
}
