//! The topology filter as PortCls and the endpoint builder see it: two bridge pins and what is between them.
//! WAVERT.md 5.3, 5.4.
//!
//! PortCls keeps the addresses for the life of the miniport: everything is static but the filter's own
//! descriptor, which is in the miniport.

use portcls_sys::GUID;
use portcls_sys::guid::{
    KSAUDFNAME_MASTER_MUTE, KSAUDFNAME_MASTER_VOLUME, KSAUDFNAME_MIC_MUTE, KSAUDFNAME_MIC_VOLUME,
    KSCATEGORY_AUDIO, KSCATEGORY_TOPOLOGY, KSNODETYPE_LINE_CONNECTOR, KSNODETYPE_MICROPHONE, KSNODETYPE_MUTE,
    KSNODETYPE_SPEAKER, KSNODETYPE_VOLUME,
};
use portcls_sys::pc::{
    KSPIN_COMMUNICATION_NONE, KSPIN_DATAFLOW_IN, KSPIN_DATAFLOW_OUT, KSPIN_DESCRIPTOR,
    PCCONNECTION_DESCRIPTOR, PCFILTER_DESCRIPTOR, PCFILTER_NODE, PCNODE_DESCRIPTOR, PCPIN_DESCRIPTOR,
};

use super::pins::{NODE_MUTE, NODE_VOLUME};
use super::{controls, jack};
use crate::hw::Direction;
use crate::hw::Limits;
use crate::names::{IN_THE_INF, MICROPHONE_JACKS, SPEAKER_JACKS};
use crate::wave::descriptors::BRIDGE_RANGES;

const fn bridge(flow: u32, category: &'static GUID) -> KSPIN_DESCRIPTOR {
    KSPIN_DESCRIPTOR::new(flow, KSPIN_COMMUNICATION_NONE, category, &BRIDGE_RANGES)
}

const fn pins(into: KSPIN_DESCRIPTOR, out: KSPIN_DESCRIPTOR) -> [PCPIN_DESCRIPTOR; 2] {
    [PCPIN_DESCRIPTOR::new(0, into), PCPIN_DESCRIPTOR::new(0, out)]
}

// The jack's category makes the endpoint what it is; its name, which the INF puts into the registry, what the
// endpoint is called. The first of a kind has no name: it is called what Windows calls the category, in the
// user's language.
//
// Speakers after the first are line connectors. Windows calls whatever has the category of speakers
// "Speakers" and cannot be told otherwise (IPinName's page; seen on Windows 11 by three drivers' authors,
// WAVERT.md 5.4), a line connector keeps its name. *Doubt*: should some Windows honour the name of a
// speaker's pin, nothing is lost, for the names stay where they are.
const SPEAKER: KSPIN_DESCRIPTOR = bridge(KSPIN_DATAFLOW_OUT, &KSNODETYPE_SPEAKER);
const LINE: KSPIN_DESCRIPTOR = bridge(KSPIN_DATAFLOW_OUT, &KSNODETYPE_LINE_CONNECTOR);
const MICROPHONE: KSPIN_DESCRIPTOR = bridge(KSPIN_DATAFLOW_IN, &KSNODETYPE_MICROPHONE);
const FROM_WAVE: KSPIN_DESCRIPTOR = bridge(KSPIN_DATAFLOW_IN, &KSCATEGORY_AUDIO);
const TO_WAVE: KSPIN_DESCRIPTOR = bridge(KSPIN_DATAFLOW_OUT, &KSCATEGORY_AUDIO);

static SPEAKERS: [[PCPIN_DESCRIPTOR; 2]; IN_THE_INF] = [
    pins(FROM_WAVE, SPEAKER),
    pins(FROM_WAVE, LINE.named(&SPEAKER_JACKS[0])),
    pins(FROM_WAVE, LINE.named(&SPEAKER_JACKS[1])),
    pins(FROM_WAVE, LINE.named(&SPEAKER_JACKS[2])),
];
/// Speakers beyond those that the INF has names for.
static FURTHER_SPEAKERS: [PCPIN_DESCRIPTOR; 2] = pins(FROM_WAVE, LINE);
static MICROPHONES: [[PCPIN_DESCRIPTOR; 2]; IN_THE_INF] = [
    pins(MICROPHONE, TO_WAVE),
    pins(MICROPHONE.named(&MICROPHONE_JACKS[0]), TO_WAVE),
    pins(MICROPHONE.named(&MICROPHONE_JACKS[1]), TO_WAVE),
    pins(MICROPHONE.named(&MICROPHONE_JACKS[2]), TO_WAVE),
];

static SPEAKER_NODES: [PCNODE_DESCRIPTOR; 2] = [
    PCNODE_DESCRIPTOR::new(&KSNODETYPE_VOLUME, &KSAUDFNAME_MASTER_VOLUME, &controls::VOLUME),
    PCNODE_DESCRIPTOR::new(&KSNODETYPE_MUTE, &KSAUDFNAME_MASTER_MUTE, &controls::MUTE),
];
static MICROPHONE_NODES: [PCNODE_DESCRIPTOR; 2] = [
    PCNODE_DESCRIPTOR::new(&KSNODETYPE_VOLUME, &KSAUDFNAME_MIC_VOLUME, &controls::VOLUME),
    PCNODE_DESCRIPTOR::new(&KSNODETYPE_MUTE, &KSAUDFNAME_MIC_MUTE, &controls::MUTE),
];

const fn connection(from: (u32, u32), to: (u32, u32)) -> PCCONNECTION_DESCRIPTOR {
    PCCONNECTION_DESCRIPTOR { FromNode: from.0, FromNodePin: from.1, ToNode: to.0, ToNodePin: to.1 }
}

static THROUGH: [PCCONNECTION_DESCRIPTOR; 1] = [connection((PCFILTER_NODE, 0), (PCFILTER_NODE, 1))];
// Volume before mute for microphones too: so it is in both of Microsoft's samples (micintoptable.h of sysvad,
// speakertoptable.h of simpleaudiosample).
static THROUGH_NODES: [PCCONNECTION_DESCRIPTOR; 3] = [
    connection((PCFILTER_NODE, 0), (NODE_VOLUME, 1)),
    connection((NODE_VOLUME, 0), (NODE_MUTE, 1)),
    connection((NODE_MUTE, 0), (PCFILTER_NODE, 1)),
];

static CATEGORIES: [GUID; 2] = [KSCATEGORY_AUDIO, KSCATEGORY_TOPOLOGY];

/// The filter of endpoint number `number` (from 0) of a direction, on a card that has `limits`.
pub fn describe(direction: Direction, number: usize, limits: Limits) -> PCFILTER_DESCRIPTOR {
    let [microphone, ..] = &MICROPHONES;
    let (all, further, nodes) = match direction {
        Direction::Render => (&SPEAKERS, &FURTHER_SPEAKERS, &SPEAKER_NODES),
        Direction::Capture => (&MICROPHONES, microphone, &MICROPHONE_NODES),
    };
    let pins = all.get(number).unwrap_or(further);
    let (nodes, connections): (&'static [_], &'static [_]) =
        if limits.volume_min.is_some() { (nodes, &THROUGH_NODES) } else { (&[], &THROUGH) };
    let jack = if limits.jack { &jack::NOTICING } else { &jack::AUTOMATION };
    PCFILTER_DESCRIPTOR::new(pins, nodes, connections, &CATEGORIES).automated(jack)
}
