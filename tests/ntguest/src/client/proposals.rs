//! Format proposals: what `KSPROPERTY_PIN_PROPOSEDATAFORMAT` accepts must open and what it refuses must not,
//! and the format that `PROPOSEDATAFORMAT2` calls the best for a mode opens in that mode (WAVERT.md 5.5; rule
//! `proposal`).

use super::attributes;
use super::format::{PcmFormat, SAMPLE_FORMATS};
use super::intersection;
use super::negotiate;
use super::negotiate_modes;
use super::property_protocol::{self, instance};
use super::stream::PinStream;
use crate::kernel;
use crate::portcls::controls_layout::{property, verb};
use crate::portcls::descriptor::Pin;
use crate::portcls::endpoint::Endpoint;
use crate::portcls::fault::{self, Fault};
use crate::portcls::guid::{
    ATTRIBUTE_AUDIO_SIGNAL_PROCESSING_MODE, Guid, IID_NOBODY, KSPROPSETID_PIN, MODE_RAW, Named,
};
use crate::portcls::port::Port;
use crate::portcls::property::{Property, Reply, UNTOUCHED};
use crate::portcls::status::Status;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

const RATES: [u32; 10] = [7_999, 8_000, 11_025, 44_100, 48_000, 48_001, 96_000, 192_000, 384_000, 768_000];
const CHANNELS: [u16; 5] = [1, 2, 6, 8, 9];
/// Bytes of a KSDATAFORMAT alone.
const HEADER: usize = 64;
/// `KSDATAFORMAT_SUBTYPE_ALAW`: no driver here has it.
const SUBTYPE_ALAW: Guid = Guid::parse("00000006-0000-0010-8000-00AA00389B71");

fn wrong(endpoint: &Endpoint, what: fmt::Arguments<'_>) {
    kernel::violation("proposal", format_args!("\"{}\": {what}", endpoint.name));
}

/// Against what Windows was seen to ask, or the samples to answer; the pages leave it open.
fn harsh(endpoint: &Endpoint, what: fmt::Arguments<'_>) {
    kernel::harsh_violation("proposal", format_args!("\"{}\": {what}", endpoint.name));
}

fn proposal<'a>(endpoint: &Endpoint, id: u32, instance: &'a [u8]) -> Property<'a> {
    Property { port: endpoint.port, node: None, set: KSPROPSETID_PIN, id, instance }
}

/// Everything; how many formats were proposed and how many accepted.
pub fn check(endpoint: &Endpoint, modes: &[Guid]) -> (u32, u32) {
    intersection::garbage(endpoint);
    for range in &endpoint.descriptor.ranges {
        if let Some(format) = negotiate::of_range(endpoint, range).filter(|format| !format.is_empty()) {
            expect_open(endpoint, &format, format_args!("the intersection of a range with itself"));
        }
    }
    let number = instance(endpoint.pin);
    let mut counts = (0, 0);
    let first = proposal(endpoint, property::PROPOSE, &number);
    if first.item().is_some() {
        counts = formats(endpoint, modes);
        ask_wrongly(endpoint, &first);
    }
    if proposal(endpoint, property::PROPOSE2, &number).item().is_some() {
        for mode in modes {
            best(endpoint, *mode);
        }
        garbage_lists(endpoint, modes.first().copied().unwrap_or(MODE_RAW));
        pins(endpoint, property::PROPOSE2, verb::GET);
        property_protocol::refuse_verbs(&proposal(endpoint, property::PROPOSE2, &number));
        let _ = property_protocol::basic_support(&proposal(endpoint, property::PROPOSE2, &number));
    }
    counts
}

/// What a proposal of this format comes to, if the driver has the property.
pub fn answer(endpoint: &Endpoint, format: &[u8]) -> Option<Status> {
    let number = instance(endpoint.pin);
    let property = proposal(endpoint, property::PROPOSE, &number);
    property.item().map(|_| property_protocol::set(&property, format))
}

/// Opens a stream with a format and closes it.
fn opens(endpoint: &Endpoint, format: &[u8]) -> Status {
    match PinStream::open(endpoint, format) {
        Ok(stream) => {
            stream.close();
            Status::SUCCESS
        }
        Err(status) => status,
    }
}

fn expect_open(endpoint: &Endpoint, format: &[u8], what: fmt::Arguments<'_>) {
    let status = opens(endpoint, format);
    if !status.is_success() {
        wrong(endpoint, format_args!("{what} is refused by NewStream: {status}"));
    }
}

fn propose(endpoint: &Endpoint, format: &[u8]) -> Status {
    let number = instance(endpoint.pin);
    let status = property_protocol::set(&proposal(endpoint, property::PROPOSE, &number), format);
    if fault::make(Fault::AnyProposal) { Status::SUCCESS } else { status }
}

/// Well-formed formats, announced or not: the proposal and NewStream are of one mind.
fn formats(endpoint: &Endpoint, modes: &[Guid]) -> (u32, u32) {
    let (mut proposed, mut accepted) = (0, 0);
    for (sample, rate) in SAMPLE_FORMATS.into_iter().flat_map(|sample| RATES.map(|rate| (sample, rate))) {
        for (channels, extensible) in CHANNELS.into_iter().flat_map(|n| [(n, false), (n, true)]) {
            let format = PcmFormat::of(sample, rate, channels, extensible);
            let whole = format.bytes();
            let (said, opened) = (propose(endpoint, &whole), opens(endpoint, &whole));
            proposed += 1;
            accepted += u32::from(said.is_success());
            if said.is_success() != opened.is_success() || !(said.is_success() || said == Status::NO_MATCH) {
                wrong(endpoint, format_args!("{format:?}: the proposal {said}, NewStream {opened}"));
            }
            if said.is_success() && rate == 48_000 && channels == 2 {
                in_modes(endpoint, &whole, modes);
            }
        }
    }
    (proposed, accepted)
}

/// The same format with a mode behind it.
fn in_modes(endpoint: &Endpoint, format: &[u8], modes: &[Guid]) {
    for mode in modes.iter().chain([&IID_NOBODY]) {
        let whole = attributes::with_mode(format, *mode);
        let (said, opened) = (propose(endpoint, &whole), opens(endpoint, &whole));
        // A proposal may pass over the attributes: it is asked for a format that any mode supports.
        let strict = modes.contains(mode);
        if strict && (!said.is_success() || !opened.is_success()) || opened.is_success() != strict {
            // A driver without modes may pass over an attribute that it never announced.
            let report = if modes.is_empty() { harsh } else { wrong };
            report(endpoint, format_args!("in {}: the proposal {said}, NewStream {opened}", Named(*mode)));
        }
    }
}

fn ask_wrongly(endpoint: &Endpoint, first: &Property<'_>) {
    let Some(good) = negotiate_modes::any_format(endpoint).map(|format| format.bytes()) else { return };
    let reply = first.call(verb::SET, &[]);
    if reply.status != Status::BUFFER_OVERFLOW || !(HEADER..=256).contains(&(reply.size as usize)) {
        harsh(
            endpoint,
            format_args!(
                "a proposal of 0 bytes: {}, ValueSize {}; BUFFER_OVERFLOW is due",
                reply.status, reply.size
            ),
        );
    }
    let refused = |value: &[u8], what: fmt::Arguments<'_>| {
        if propose(endpoint, value).is_success() {
            wrong(endpoint, format_args!("{what} is accepted"));
        }
    };
    for bytes in 1..good.len() {
        refused(&good[..bytes], format_args!("a proposal cut to {bytes} bytes"));
        let status = first.call(verb::SET, &good[..bytes]).status;
        if bytes < HEADER && status != Status::BUFFER_TOO_SMALL {
            harsh(endpoint, format_args!("a proposal of {bytes} bytes: {status}, BUFFER_TOO_SMALL is due"));
        }
    }
    header_alone(endpoint, &good);
    // 64 says that it is a header alone, which is a question of its own.
    for size in [0, 1, 63, 65, 81, 105, 112, 4096, 0x8000_0000, u32::MAX] {
        let mut lying = good.clone();
        lying[..4].copy_from_slice(&size.to_le_bytes());
        refused(&lying, format_args!("FormatSize {size} in {} bytes", good.len()));
    }
    for (at, what) in [(16, "MajorFormat"), (32, "SubFormat"), (48, "Specifier")] {
        let mut other = good.clone();
        other[at] ^= 1;
        refused(&other, format_args!("another {what}"));
    }
    for (at, value, what) in [
        (66, 0, "no channel"),
        (76, 0, "nBlockAlign 0"),
        (78, 0, "0 bits"),
        (72, 1, "another nAvgBytesPerSec"),
    ] {
        let mut other = good.clone();
        other[at..at + 2].copy_from_slice(&u16::to_le_bytes(value));
        let (said, opened) = (propose(endpoint, &other), opens(endpoint, &other));
        if said.is_success() != opened.is_success() {
            wrong(endpoint, format_args!("{what}: the proposal {said}, NewStream {opened}"));
        }
    }
    for length in 0..4 {
        let number = instance(endpoint.pin);
        let reply = proposal(endpoint, property::PROPOSE, &number[..length]).call(verb::SET, &good);
        if reply.status.is_success() {
            wrong(endpoint, format_args!("a proposal with {length} bytes of a pin is accepted"));
        }
    }
    pins(endpoint, property::PROPOSE, verb::SET);
    property_protocol::refuse_verbs(first);
    let _ = property_protocol::basic_support(first);
}

/// A KSDATAFORMAT without a WAVEFORMATEX, as the endpoint builder was seen to ask: is there this kind of
/// format at all? The pages know SUCCESS and NO_MATCH for a proposal.
fn header_alone(endpoint: &Endpoint, good: &[u8]) {
    let mut header: Vec<u8> = good.iter().take(HEADER).copied().collect();
    header[..4].copy_from_slice(&64u32.to_le_bytes());
    let mut other = header.clone();
    other[32..48].copy_from_slice(&SUBTYPE_ALAW.bytes());
    for (value, due, what) in
        [(&header, Status::SUCCESS, "that is announced"), (&other, Status::NO_MATCH, "of A-law")]
    {
        let status = if fault::make(Fault::HeaderRefused) {
            Status::BUFFER_TOO_SMALL
        } else {
            propose(endpoint, value)
        };
        if status != due {
            harsh(
                endpoint,
                format_args!("a proposal of a KSDATAFORMAT alone {what}: {status}, {due} is due"),
            );
        }
    }
}

/// Pins that are not the one: bridges NOT_SUPPORTED, others INVALID_PARAMETER; BASICSUPPORT is answered for
/// the one alone.
fn pins(endpoint: &Endpoint, id: u32, verb: u32) {
    let Some(filter) = endpoint.port.body::<Port>().and_then(Port::filter) else { return };
    let value = negotiate_modes::any_format(endpoint).map(|format| format.bytes()).unwrap_or_default();
    let count = u32::try_from(filter.pins.len()).unwrap_or(0);
    for pin in (0..count).chain([count, 99, u32::MAX]) {
        let due = match filter.pins.get(pin as usize).map(Pin::is_bridge) {
            Some(false) => continue,
            Some(true) => Status::NOT_SUPPORTED,
            None => Status::INVALID_PARAMETER,
        };
        let mut whole = instance(pin).to_vec();
        whole.extend(attributes::list(ATTRIBUTE_AUDIO_SIGNAL_PROCESSING_MODE, MODE_RAW));
        let used = if id == property::PROPOSE { &whole[..8] } else { &whole };
        for (verb, what) in [(verb, "the property"), (verb::BASIC_SUPPORT, "BASICSUPPORT")] {
            let value = if verb == verb::BASIC_SUPPORT { &vec![UNTOUCHED; 64] } else { &value };
            let asked = if verb == verb::BASIC_SUPPORT { any_pin(endpoint.pin, used) } else { used.to_vec() };
            let status = proposal(endpoint, id, &asked).call(verb, value).status;
            if status != due {
                // Which refusal it is the pages do not say, and nothing of BASICSUPPORT.
                let report = if status.is_success() && verb != verb::BASIC_SUPPORT { wrong } else { harsh };
                report(endpoint, format_args!("{what} {id} of pin {pin:#x}: {status}, {due} is due"));
            }
        }
    }
}

/// The instance of a question for a pin, or with the fault of the run for the one that has the property.
fn any_pin(right: u32, instance: &[u8]) -> Vec<u8> {
    let mut instance = instance.to_vec();
    if fault::make(Fault::AnyPin) {
        instance[..4].copy_from_slice(&right.to_le_bytes());
    }
    instance
}

/// The instance of a PROPOSEDATAFORMAT2: the pin, and the list with the mode.
fn for_mode(endpoint: &Endpoint, mode: Guid) -> Vec<u8> {
    let mut whole = instance(endpoint.pin).to_vec();
    whole.extend(attributes::list(ATTRIBUTE_AUDIO_SIGNAL_PROCESSING_MODE, mode));
    whole
}

/// What PROPOSEDATAFORMAT2 answers for a mode; `None` when it has no answer, or when the property is not
/// there.
pub fn best_of(endpoint: &Endpoint, mode: Guid) -> Option<Vec<u8>> {
    let whole = for_mode(endpoint, mode);
    let asked = proposal(endpoint, property::PROPOSE2, &whole);
    // A pin without a preferred format for the mode says NOT_SUPPORTED (its page).
    if asked.item().is_none() || property_protocol::get(&asked, 0).status == Status::NOT_SUPPORTED {
        return None;
    }
    property_protocol::size(&asked).and_then(|bytes| property_protocol::get_every_size(&asked, bytes))
}

/// The best format of a mode: every size, its attribute list, and that it opens.
fn best(endpoint: &Endpoint, mode: Guid) {
    let Some(made) = best_of(endpoint, mode) else { return };
    let Some((mut format, named)) = attributes::split(&made) else {
        wrong(endpoint, format_args!("the best format of {} is no format with a list", Named(mode)));
        return;
    };
    if named.as_deref() != Some(&mode.bytes()[..]) {
        wrong(endpoint, format_args!("the best format of {} is for another mode or none", Named(mode)));
    }
    let mut opened = made;
    if fault::make(Fault::BadDefault) {
        // The rate.
        (format[68], opened[68]) = (1, 1);
    }
    expect_open(endpoint, &opened, format_args!("the best format of {} with its list", Named(mode)));
    expect_open(endpoint, &format, format_args!("the best format of {} without a list", Named(mode)));
    let status = propose(endpoint, &format);
    if !status.is_success() && status != Status::NOT_FOUND {
        wrong(endpoint, format_args!("the best format of {} as a proposal: {status}", Named(mode)));
    }
}

/// A list whose `Size` is not what it is: the instance says how much there is, and the samples look at
/// nothing else. They give the list back as it came, so that only the format is compared.
fn lying_sizes(endpoint: &Endpoint, mode: Guid) {
    let whole = for_mode(endpoint, mode);
    let ask = |whole: &[u8]| proposal(endpoint, property::PROPOSE2, whole).call(verb::GET, &[UNTOUCHED; 512]);
    let right = ask(&whole);
    for size in [0, 7, 8, 47, 49, 4096, u32::MAX] {
        let mut lying = whole.clone();
        lying[8..12].copy_from_slice(&u32::to_le_bytes(size));
        let mut reply = ask(&lying);
        if fault::make(Fault::ListSize) {
            reply.status = Status::UNSUCCESSFUL;
        }
        let format = |reply: &Reply| reply.bytes().and_then(|bytes| bytes.get(..104)).map(<[u8]>::to_vec);
        let same = reply.status == right.status && format(&reply) == format(&right);
        if !same {
            harsh(
                endpoint,
                format_args!(
                    "PROPOSEDATAFORMAT2 with a list of Size {size}: {}, with the right Size {}",
                    reply.status, right.status
                ),
            );
        }
    }
}

/// Lists that are cut, that lie, or that name what nobody knows, each before an unmapped page.
fn garbage_lists(endpoint: &Endpoint, mode: Guid) {
    let pin = instance(endpoint.pin);
    let good = attributes::list(ATTRIBUTE_AUDIO_SIGNAL_PROCESSING_MODE, mode);
    let refused = |list: &[u8], what: fmt::Arguments<'_>| {
        let whole: Vec<u8> = pin.iter().chain(list).copied().collect();
        let reply = proposal(endpoint, property::PROPOSE2, &whole).call(verb::GET, &vec![UNTOUCHED; 512]);
        if reply.status.is_success() {
            wrong(endpoint, format_args!("PROPOSEDATAFORMAT2 with {what} succeeds"));
        }
    };
    for bytes in 1..good.len() {
        refused(&good[..bytes], format_args!("{bytes} bytes of a list of {}", good.len()));
    }
    for (at, values) in
        [(4, &[2, 1000, 0x2000_0000, u32::MAX][..]), (8, &[0, 1, 24, 39, 48, 0x8000_0000, u32::MAX])]
    {
        for value in values {
            let mut list = good.clone();
            list[at..at + 4].copy_from_slice(&value.to_le_bytes());
            refused(&list, format_args!("{value:#x} at byte {at} of the list"));
        }
    }
    lying_sizes(endpoint, mode);
    refused(
        &attributes::list(ATTRIBUTE_AUDIO_SIGNAL_PROCESSING_MODE, IID_NOBODY),
        format_args!("a mode that nobody has"),
    );
    refused(&attributes::list(IID_NOBODY, mode), format_args!("an attribute that nobody has"));
    for length in 0..4 {
        let reply =
            proposal(endpoint, property::PROPOSE2, &pin[..length]).call(verb::GET, &vec![UNTOUCHED; 512]);
        if reply.status.is_success() {
            wrong(endpoint, format_args!("PROPOSEDATAFORMAT2 with {length} bytes of a pin succeeds"));
        }
    }
    // Without a list, and with an empty one: a driver may have a best format for that or not.
    let mut empty = pin.to_vec();
    empty.extend([8, 0, 0, 0, 0, 0, 0, 0]);
    for whole in [&pin[..], &empty] {
        let reply = proposal(endpoint, property::PROPOSE2, whole).call(verb::GET, &vec![UNTOUCHED; 512]);
        if let Some((format, _)) = reply.bytes().and_then(attributes::split) {
            expect_open(endpoint, &format, format_args!("the best format of no mode"));
        }
    }
}
