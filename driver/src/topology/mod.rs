//! The topology subdevice: from the wave filter to the jack (or back), with nothing between. wavert-facts 5.3.
//!
//! There are no volume and mute nodes, because the card has no gain: a node that Windows turns and nobody hears is worse than none
//! (wavert-facts 5.7). Without them Windows does both in software. Nor can anything be plugged: [`jack`] says so, and there are no events.

pub mod jack;

use core::ffi::c_void;

use nt::NtResult;
use nt::status::STATUS_NOT_IMPLEMENTED;
use portcls_sys::com::params::UnknownIn;
use portcls_sys::guid::{KSCATEGORY_AUDIO, KSCATEGORY_TOPOLOGY, KSNODETYPE_MICROPHONE, KSNODETYPE_SPEAKER};
use portcls_sys::interfaces::{IMiniportTopology, IPortTopology, IResourceList, Miniport, MiniportTopology};
use portcls_sys::ks::KSDATARANGE;
use portcls_sys::pc::{
    KSPIN_COMMUNICATION_NONE, KSPIN_DATAFLOW_IN, KSPIN_DATAFLOW_OUT, KSPIN_DESCRIPTOR,
    PCCONNECTION_DESCRIPTOR, PCFILTER_DESCRIPTOR, PCFILTER_NODE, PCPIN_DESCRIPTOR,
};
use portcls_sys::{Com, ComIn, GUID, In, Out, com_class};

use crate::endpoint::Direction;
use crate::wave::descriptors::BRIDGE_RANGES;

/// The pin that is connected to the wave filter. Sound enters a filter at pin 0 and leaves it at pin 1.
pub const fn wave_pin(direction: Direction) -> u32 {
    match direction {
        Direction::Render => 0,
        Direction::Capture => 1,
    }
}

const fn bridge(flow: u32, category: &'static GUID) -> PCPIN_DESCRIPTOR {
    PCPIN_DESCRIPTOR::new(0, KSPIN_DESCRIPTOR::new(flow, KSPIN_COMMUNICATION_NONE, category, &BRIDGE_RANGES))
}

// The jack's category makes the endpoint what it is.
static SPEAKER_PINS: [PCPIN_DESCRIPTOR; 2] =
    [bridge(KSPIN_DATAFLOW_IN, &KSCATEGORY_AUDIO), bridge(KSPIN_DATAFLOW_OUT, &KSNODETYPE_SPEAKER)];
static MICROPHONE_PINS: [PCPIN_DESCRIPTOR; 2] =
    [bridge(KSPIN_DATAFLOW_IN, &KSNODETYPE_MICROPHONE), bridge(KSPIN_DATAFLOW_OUT, &KSCATEGORY_AUDIO)];

static CONNECTIONS: [PCCONNECTION_DESCRIPTOR; 1] = [PCCONNECTION_DESCRIPTOR {
    FromNode: PCFILTER_NODE,
    FromNodePin: 0,
    ToNode: PCFILTER_NODE,
    ToNodePin: 1,
}];

static CATEGORIES: [GUID; 2] = [KSCATEGORY_AUDIO, KSCATEGORY_TOPOLOGY];

static SPEAKER: PCFILTER_DESCRIPTOR =
    PCFILTER_DESCRIPTOR::new(&SPEAKER_PINS, &[], &CONNECTIONS, &CATEGORIES).automated(&jack::AUTOMATION);
static MICROPHONE: PCFILTER_DESCRIPTOR =
    PCFILTER_DESCRIPTOR::new(&MICROPHONE_PINS, &[], &CONNECTIONS, &CATEGORIES).automated(&jack::AUTOMATION);

/// The miniport of the topology filter.
pub struct TopologyMiniport(Direction);

com_class! {
    TopologyMiniport {
        0 => IMiniportTopology,
    }
}

impl TopologyMiniport {
    /// The miniport of an endpoint.
    pub fn try_new(direction: Direction) -> NtResult<Com<Self>> {
        Com::try_new(Self(direction))
    }
}

impl Miniport for TopologyMiniport {
    fn get_description(&self, description: Out<'_, *const PCFILTER_DESCRIPTOR>) -> NtResult {
        description.write(match self.0 {
            Direction::Render => &raw const SPEAKER,
            Direction::Capture => &raw const MICROPHONE,
        })
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
