//! The wave filter as PortCls and the endpoint builder see it: one pin that clients open, and the bridge to the topology filter.
//! wavert-facts 5.2. All of it is static: PortCls keeps the addresses.

use portcls_sys::GUID;
use portcls_sys::guid::{
    KSCATEGORY_AUDIO, KSCATEGORY_REALTIME, KSCATEGORY_RENDER, KSDATAFORMAT_SPECIFIER_NONE,
    KSDATAFORMAT_SPECIFIER_WAVEFORMATEX, KSDATAFORMAT_SUBTYPE_ANALOG, KSDATAFORMAT_SUBTYPE_PCM,
    KSDATAFORMAT_TYPE_AUDIO,
};
use portcls_sys::ks::{KSDATARANGE, KSDATARANGE_AUDIO};
use portcls_sys::pc::{
    DataRangeEntry, KSPIN_COMMUNICATION_NONE, KSPIN_COMMUNICATION_SINK, KSPIN_DATAFLOW_IN,
    KSPIN_DATAFLOW_OUT, KSPIN_DESCRIPTOR, PCCONNECTION_DESCRIPTOR, PCFILTER_DESCRIPTOR, PCFILTER_NODE,
    PCPIN_DESCRIPTOR,
};

use super::format::{CHANNELS_MAX, RATES, SAMPLE_BITS};

/// The pin that clients open.
pub const PIN_HOST: u32 = 0;
/// The pin that leads to the topology filter.
pub const PIN_BRIDGE: u32 = 1;
/// How many clients can have the host pin open: one, the card has one stream for it.
pub const HOST_INSTANCES: u32 = 1;

/// What the host pin takes at one rate: 16-bit PCM, mono or stereo.
const fn host_range(rate: u32) -> KSDATARANGE_AUDIO {
    KSDATARANGE_AUDIO {
        DataRange: KSDATARANGE {
            FormatSize: 88,
            // No KSDATARANGE_ATTRIBUTES: the pin has no signal-processing modes.
            Flags: 0,
            SampleSize: 0,
            Reserved: 0,
            MajorFormat: KSDATAFORMAT_TYPE_AUDIO,
            SubFormat: KSDATAFORMAT_SUBTYPE_PCM,
            Specifier: KSDATAFORMAT_SPECIFIER_WAVEFORMATEX,
        },
        MaximumChannels: CHANNELS_MAX,
        MinimumBitsPerSample: SAMPLE_BITS as u32,
        MaximumBitsPerSample: SAMPLE_BITS as u32,
        MinimumSampleFrequency: rate,
        MaximumSampleFrequency: rate,
        Padding: 0,
    }
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

// A range has one span of rates; 44.1 and 48 kHz without what lies between take two.
static HOST_LOW: KSDATARANGE_AUDIO = host_range(RATES[0]);
static HOST_HIGH: KSDATARANGE_AUDIO = host_range(RATES[1]);
static HOST_RANGES: [DataRangeEntry; 2] =
    [DataRangeEntry::audio(&HOST_LOW), DataRangeEntry::audio(&HOST_HIGH)];

static PINS: [PCPIN_DESCRIPTOR; 2] = [
    PCPIN_DESCRIPTOR::new(
        HOST_INSTANCES,
        KSPIN_DESCRIPTOR::new(KSPIN_DATAFLOW_IN, KSPIN_COMMUNICATION_SINK, &KSCATEGORY_AUDIO, &HOST_RANGES),
    ),
    PCPIN_DESCRIPTOR::new(
        0,
        KSPIN_DESCRIPTOR::new(
            KSPIN_DATAFLOW_OUT,
            KSPIN_COMMUNICATION_NONE,
            &KSCATEGORY_AUDIO,
            &BRIDGE_RANGES,
        ),
    ),
];

static CONNECTIONS: [PCCONNECTION_DESCRIPTOR; 1] = [PCCONNECTION_DESCRIPTOR {
    FromNode: PCFILTER_NODE,
    FromNodePin: PIN_HOST,
    ToNode: PCFILTER_NODE,
    ToNodePin: PIN_BRIDGE,
}];

static CATEGORIES: [GUID; 3] = [KSCATEGORY_AUDIO, KSCATEGORY_RENDER, KSCATEGORY_REALTIME];

/// The wave filter.
pub static FILTER: PCFILTER_DESCRIPTOR = PCFILTER_DESCRIPTOR::new(&PINS, &[], &CONNECTIONS, &CATEGORIES);
