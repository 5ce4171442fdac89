//! The wave filter as PortCls and the endpoint builder see it: one pin that clients open, and the bridge to
//! the topology filter. WAVERT.md 5.2.
//!
//! PortCls keeps the addresses for the life of the miniport. What depends on the card (the data ranges) is
//! made once, beside the miniport that owns it; everything else is static.

use alloc::boxed::Box;
use alloc::vec::Vec;

use nt::NtResult;
use nt::pool::{try_box, try_push};
use nt::status::STATUS_INSUFFICIENT_RESOURCES;
use portcls_sys::GUID;
use portcls_sys::guid::{
    KSAUDFNAME_RECORDING_CONTROL, KSCATEGORY_AUDIO, KSCATEGORY_CAPTURE, KSCATEGORY_REALTIME,
    KSCATEGORY_RENDER, KSDATAFORMAT_SPECIFIER_NONE, KSDATAFORMAT_SUBTYPE_ANALOG, KSDATAFORMAT_TYPE_AUDIO,
    KSNODETYPE_ADC, KSNODETYPE_DAC,
};
use portcls_sys::ks::{KSDATARANGE, KSDATARANGE_AUDIO};
use portcls_sys::pc::{
    DataRangeEntry, KSPIN_COMMUNICATION_NONE, KSPIN_COMMUNICATION_SINK, KSPIN_DATAFLOW_IN,
    KSPIN_DATAFLOW_OUT, KSPIN_DESCRIPTOR, PCAUTOMATION_TABLE, PCCONNECTION_DESCRIPTOR, PCFILTER_DESCRIPTOR,
    PCFILTER_NODE, PCNODE_DESCRIPTOR, PCPIN_DESCRIPTOR,
};

use super::modes::ATTRIBUTES;
use super::ranges;
use crate::default_format::DefaultFormat;
use crate::hw::{Direction, Endpoint};

/// The pin that clients open. Sound enters a filter at pin 0 and leaves it at pin 1.
pub const fn host_pin(direction: Direction) -> u32 {
    match direction {
        Direction::Render => 0,
        Direction::Capture => 1,
    }
}

/// The pin that leads to the topology filter.
pub const fn bridge_pin(direction: Direction) -> u32 {
    1 - host_pin(direction)
}

/// What runs over a bridge: nothing that a client could open.
pub static BRIDGE_RANGE: KSDATARANGE = KSDATARANGE {
    FormatSize: 64,
    Flags: 0,
    SampleSize: 0,
    Reserved: 0,
    MajorFormat: KSDATAFORMAT_TYPE_AUDIO,
    SubFormat: KSDATAFORMAT_SUBTYPE_ANALOG,
    Specifier: KSDATAFORMAT_SPECIFIER_NONE,
};
/// The ranges of a bridge pin.
pub static BRIDGE_RANGES: [DataRangeEntry; 1] = [DataRangeEntry::range(&BRIDGE_RANGE)];

// Between the pins is what makes sound of numbers, or numbers of sound. *Doubt*: simpleaudiosample has an ADC
// node in its microphone's wave filter and nothing in its speakers', sysvad both in some filters; the
// endpoint builder wants neither. Old mixers find wave devices by them alone, and elsewhere they do no harm:
// they have no properties.
static DAC: [PCNODE_DESCRIPTOR; 1] = [PCNODE_DESCRIPTOR::plain(&KSNODETYPE_DAC)];
static ADC: [PCNODE_DESCRIPTOR; 1] = [PCNODE_DESCRIPTOR::plain(&KSNODETYPE_ADC)];

/// From the pin where sound enters through the node to the one where it leaves. A node's input is its pin 1,
/// its output pin 0.
static CONNECTIONS: [PCCONNECTION_DESCRIPTOR; 2] = [
    PCCONNECTION_DESCRIPTOR { FromNode: PCFILTER_NODE, FromNodePin: 0, ToNode: 0, ToNodePin: 1 },
    PCCONNECTION_DESCRIPTOR { FromNode: 0, FromNodePin: 0, ToNode: PCFILTER_NODE, ToNodePin: 1 },
];

static RENDER_CATEGORIES: [GUID; 3] = [KSCATEGORY_AUDIO, KSCATEGORY_RENDER, KSCATEGORY_REALTIME];
static CAPTURE_CATEGORIES: [GUID; 3] = [KSCATEGORY_AUDIO, KSCATEGORY_CAPTURE, KSCATEGORY_REALTIME];

/// The wave filter of an endpoint. What the descriptor points to is in the same box, or static.
pub struct WaveFilter {
    /// What PortCls gets.
    pub descriptor: PCFILTER_DESCRIPTOR,
    // Pointed to, and never touched again.
    _pins: Box<[PCPIN_DESCRIPTOR; 2]>,
    _entries: Vec<DataRangeEntry>,
    _ranges: Vec<KSDATARANGE_AUDIO>,
}

impl WaveFilter {
    /// The filter of `endpoint`, whose host pin lists so many signal-processing modes: it has as many
    /// instances ([`super::modes`]); `automation` has its properties.
    ///
    /// # Errors
    /// `STATUS_INSUFFICIENT_RESOURCES`.
    pub fn try_new(
        endpoint: &Endpoint,
        default: &DefaultFormat,
        modes: usize,
        automation: &'static PCAUTOMATION_TABLE,
    ) -> NtResult<Self> {
        let ranges = ranges::of_pin(endpoint.can, default)?;
        // SAFETY: here and below: what a vector or box points to stays where it is and is freed with this
        // filter, and the descriptors that point there are used no longer than it lives.
        let kept: &'static [KSDATARANGE_AUDIO] = unsafe { extend(&ranges) };
        let mut entries = Vec::new();
        entries.try_reserve_exact(2 * kept.len()).map_err(|_| STATUS_INSUFFICIENT_RESOURCES)?;
        // Behind each range its attributes, which count as an entry.
        let pairs =
            kept.iter().map(|range| [DataRangeEntry::audio(range), DataRangeEntry::attributes(&ATTRIBUTES)]);
        for entry in pairs.flatten() {
            try_push(&mut entries, entry)?;
        }
        // SAFETY: as above.
        let pins = try_box(pins(endpoint.direction, modes, unsafe { extend(&entries) }))?;
        let (nodes, categories) = match endpoint.direction {
            Direction::Render => (&DAC, &RENDER_CATEGORIES),
            Direction::Capture => (&ADC, &CAPTURE_CATEGORIES),
        };
        // SAFETY: as above.
        let kept: &'static [PCPIN_DESCRIPTOR] = unsafe { extend(&*pins) };
        let descriptor =
            PCFILTER_DESCRIPTOR::new(kept, nodes, &CONNECTIONS, categories).automated(automation);
        Ok(Self { descriptor, _pins: pins, _entries: entries, _ranges: ranges })
    }
}

// SAFETY: nobody writes what it points to.
unsafe impl Send for WaveFilter {}
// SAFETY: as above.
unsafe impl Sync for WaveFilter {}

/// # Safety
/// What `slice` points to stays in place for as long as the result is used.
unsafe fn extend<T>(slice: &[T]) -> &'static [T] {
    // SAFETY: by contract.
    unsafe { core::slice::from_raw_parts(slice.as_ptr(), slice.len()) }
}

/// Both pins, in their order.
fn pins(direction: Direction, instances: usize, ranges: &'static [DataRangeEntry]) -> [PCPIN_DESCRIPTOR; 2] {
    let instances = u32::try_from(instances).unwrap_or(1);
    let pin =
        |flow, communication, ranges| KSPIN_DESCRIPTOR::new(flow, communication, &KSCATEGORY_AUDIO, ranges);
    let (into, out) = (KSPIN_DATAFLOW_IN, KSPIN_DATAFLOW_OUT);
    match direction {
        Direction::Render => [
            PCPIN_DESCRIPTOR::new(instances, pin(into, KSPIN_COMMUNICATION_SINK, ranges)),
            PCPIN_DESCRIPTOR::new(0, pin(out, KSPIN_COMMUNICATION_NONE, &BRIDGE_RANGES)),
        ],
        Direction::Capture => [
            PCPIN_DESCRIPTOR::new(0, pin(into, KSPIN_COMMUNICATION_NONE, &BRIDGE_RANGES)),
            PCPIN_DESCRIPTOR::new(
                instances,
                pin(out, KSPIN_COMMUNICATION_SINK, ranges).named(&KSAUDFNAME_RECORDING_CONTROL),
            ),
        ],
    }
}
