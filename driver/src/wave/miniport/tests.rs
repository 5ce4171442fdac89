//! Tests of [`super`]: what the port and the endpoint builder would notice.

use nt::status::{STATUS_BUFFER_OVERFLOW, STATUS_BUFFER_TOO_SMALL};
use portcls_sys::guid::{
    AUDIO_SIGNALPROCESSINGMODE_DEFAULT, AUDIO_SIGNALPROCESSINGMODE_RAW, GUID_NULL,
    KSATTRIBUTEID_AUDIOSIGNALPROCESSING_MODE, KSDATAFORMAT_SPECIFIER_NONE, KSDATAFORMAT_TYPE_AUDIO,
    KSNODETYPE_ADC, KSNODETYPE_DAC,
};
use portcls_sys::ks::{KSATTRIBUTE_LIST, KSDATARANGE_AUDIO};
use portcls_sys::pc::{PCCONNECTION_DESCRIPTOR, PCFILTER_NODE};
use portcls_sys::{ComRef, InOut};

use super::*;
use crate::default_format::{DefaultFormat, STANDARD};
use crate::hw::Direction;
use crate::hw::fake::FakeCard;
use crate::hw::format::SampleFormat;
use crate::page_end::AtPageEnd;
use crate::wave::descriptors::bridge_pin;
use crate::wave::fake_port::FakePort;
use crate::wave::format::FORMAT_BYTES_MAX;

const PIN_HOST: u32 = host_pin(Direction::Render);
const PIN_BRIDGE: u32 = bridge_pin(Direction::Render);

fn miniport() -> (Com<WaveMiniport>, Com<Adapter>) {
    of_stream(0)
}

/// The miniport of one of the card's streams: 0 renders, 1 captures.
fn of_stream(stream: u32) -> (Com<WaveMiniport>, Com<Adapter>) {
    configured(stream, RegistryConfig::default())
}

/// The same as the registry wants it.
fn configured(stream: u32, config: RegistryConfig) -> (Com<WaveMiniport>, Com<Adapter>) {
    let adapter = Adapter::try_new(core::ptr::null_mut(), Box::new(FakeCard::default())).unwrap();
    let endpoint = adapter.card().endpoint(stream).unwrap();
    (crate::wave::new_miniport(adapter.clone(), endpoint, config).unwrap(), adapter)
}

fn filter(miniport: &WaveMiniport) -> PCFILTER_DESCRIPTOR {
    let mut description = core::ptr::null();
    miniport.get_description(Out::new(&mut description)).unwrap();
    // SAFETY: alive as long as the miniport.
    unsafe { *description }
}

/// The number of the pin that clients open.
fn miniport_host(miniport: &WaveMiniport) -> usize {
    host_pin(miniport.endpoint.direction) as usize
}

/// The host pin's data ranges, read as the port reads them.
fn host_ranges(miniport: &WaveMiniport) -> Vec<KSDATARANGE_AUDIO> {
    // SAFETY: alive as long as the miniport, as long as they say.
    unsafe {
        let pin = &(*filter(miniport).Pins.add(miniport_host(miniport))).KsPinDescriptor;
        let entries = pin.DataRanges.cast::<*const KSDATARANGE_AUDIO>();
        let (ranges, lists): (Vec<_>, Vec<_>) =
            (0..pin.DataRangesCount as usize).partition(|index| index.is_multiple_of(2));
        assert_eq!(ranges.len(), lists.len(), "a list behind each range");
        for list in lists {
            let list = *entries.add(list).cast::<*const KSATTRIBUTE_LIST>();
            let attribute = **(*list).Attributes;
            assert_eq!(((*list).Count, attribute.Size), (1, 24));
            assert_eq!(attribute.Attribute, KSATTRIBUTEID_AUDIOSIGNALPROCESSING_MODE);
        }
        ranges.into_iter().map(|index| **entries.add(index)).collect()
    }
}

/// Status, reported length and format of an intersection with `length` bytes of room.
fn intersect(pin: u32, ours: &KSDATARANGE_AUDIO, length: u32) -> (NtResult, u32, [u8; FORMAT_BYTES_MAX]) {
    let (miniport, _adapter) = miniport();
    let client = KSDATARANGE_AUDIO { MaximumChannels: u32::MAX, MaximumSampleFrequency: u32::MAX, ..*ours };
    let (mut reported, mut format) = (0, [0xEE; FORMAT_BYTES_MAX]);
    let result = miniport.data_range_intersection(
        pin,
        In::new(&client.DataRange),
        In::new(&ours.DataRange),
        OutFormat::new(&mut format[..length as usize], &mut reported),
    );
    (result, reported, format)
}

#[test]
fn what_the_ranges_announce_can_be_opened() {
    for stream in [0, 1] {
        let (miniport, _adapter) = of_stream(stream);
        let pin = host_pin(miniport.endpoint.direction);
        let ranges = host_ranges(&miniport);
        assert_eq!(ranges.len(), 60, "four kinds of samples at fifteen rates");
        for range in &ranges {
            assert_eq!((range.DataRange.FormatSize, range.DataRange.Flags), (88, 2));
            assert_eq!(range.DataRange.MajorFormat, KSDATAFORMAT_TYPE_AUDIO);
            assert_eq!(range.MinimumSampleFrequency, range.MaximumSampleFrequency);
            let sample = match (range.MaximumBitsPerSample, range.DataRange.SubFormat) {
                (16, kind) if kind == SampleFormat::S16.subformat() => SampleFormat::S16,
                (24, kind) if kind == SampleFormat::S24In32.subformat() => SampleFormat::S24In32,
                (32, kind) if kind == SampleFormat::S32.subformat() => SampleFormat::S32,
                _ => SampleFormat::F32,
            };
            for channels in [1, range.MaximumChannels] {
                let format = AudioFormat { sample, channels, rate: range.MinimumSampleFrequency }.to_bytes();
                let opened = open(&miniport, format.as_slice(), pin, u8::from(stream == 1)).unwrap();
                // One instance: a second one is refused while the first is open.
                assert!(open(&miniport, format.as_slice(), pin, u8::from(stream == 1)).is_err());
                drop(opened);
            }
        }
    }
}

/// Opens a pin as the port does.
fn open(
    miniport: &WaveMiniport,
    format: &[u8],
    pin: u32,
    capture: BOOLEAN,
) -> NtResult<ComRef<IMiniportWaveRTStream>> {
    let (port_stream, _account) = FakePort::make();
    let mut stream = core::ptr::dangling_mut();
    // SAFETY: as long as it says.
    let format = unsafe { In::from_raw(format.as_ptr().cast()) };
    let result =
        miniport.new_stream(ComOut::new(&mut stream), ComIn::new(&port_stream), pin, capture, format);
    assert_eq!(result.is_err(), stream.is_null(), "NULL exactly if it failed");
    // SAFETY: a reference that is ours.
    result.map(|()| unsafe { ComRef::from_raw(stream) }.unwrap())
}

#[test]
fn other_pins_directions_and_formats_are_refused() {
    let (miniport, _adapter) = miniport();
    let good =
        AudioFormat { sample: SampleFormat::S16, channels: 2, rate: 48_000 }.to_bytes().as_slice().to_vec();
    assert_eq!(open(&miniport, &good, PIN_BRIDGE, 0).err(), Some(STATUS_INVALID_PARAMETER));
    assert_eq!(open(&miniport, &good, PIN_HOST, 1).err(), Some(STATUS_INVALID_PARAMETER));
    let other = AudioFormat { sample: SampleFormat::S16, channels: 2, rate: 96_001 }.to_bytes();
    assert_eq!(open(&miniport, other.as_slice(), PIN_HOST, 0).err(), Some(STATUS_NO_MATCH));
    let mut short = good.clone();
    short[0] = 70;
    assert_eq!(open(&miniport, &short, PIN_HOST, 0).err(), Some(STATUS_INVALID_PARAMETER));
    assert!(open(&miniport, &good, PIN_HOST, 0).is_ok(), "refusals leave the pin free");
}

#[test]
fn intersection_follows_the_protocol_of_sizes() {
    let ranges = host_ranges(&miniport().0);
    for ours in &ranges {
        let (result, length, format) = intersect(PIN_HOST, ours, 104);
        // WAVEFORMATEXTENSIBLE, always.
        assert_eq!((result, length, &format[64..66]), (Ok(()), 104, &[0xFE, 0xFF][..]));
        let parsed = AudioFormat::parse(&format).unwrap();
        assert_eq!((parsed.channels, parsed.rate), (2, ours.MinimumSampleFrequency));
        assert_eq!(u32::from(parsed.sample.valid_bits()), ours.MaximumBitsPerSample);
        assert_eq!(parsed.sample.subformat(), ours.DataRange.SubFormat);
        for (room, status) in
            [(0, STATUS_BUFFER_OVERFLOW), (1, STATUS_BUFFER_TOO_SMALL), (103, STATUS_BUFFER_TOO_SMALL)]
        {
            let (result, length, format) = intersect(PIN_HOST, ours, room);
            assert_eq!((result, length), (Err(status), 104));
            assert_eq!(format, [0xEE; FORMAT_BYTES_MAX], "nothing is written");
        }
    }
    assert_eq!(intersect(PIN_BRIDGE, &ranges[0], 104).0, Err(STATUS_NOT_IMPLEMENTED));
    let mut other = ranges[0];
    other.DataRange.Specifier = KSDATAFORMAT_SPECIFIER_NONE;
    assert_eq!(intersect(PIN_HOST, &other, 104).0, Err(STATUS_NO_MATCH));
}

#[test]
fn room_for_a_waveformatex_gets_one_or_no_match() {
    for ours in &host_ranges(&miniport().0) {
        for room in [82, 88] {
            let (result, length, format) = intersect(PIN_HOST, ours, room);
            // KS goes on to the next range after NO_MATCH: 24 bits in 32 need more than a WAVEFORMATEX.
            let extensible = ours.MaximumBitsPerSample == 24;
            assert_eq!(result, if extensible { Err(STATUS_NO_MATCH) } else { Ok(()) });
            if !extensible {
                assert_eq!((length, format[0]), (82, 82));
                let parsed = AudioFormat::parse(&format[..82]).unwrap();
                assert_eq!(u32::from(parsed.sample.bits()), ours.MaximumBitsPerSample);
            }
        }
    }
}

/// The proposal, the answer for a wildcard and the nodes' channels are one format, which the registry
/// changes.
#[test]
fn what_is_proposed_is_what_a_wildcard_gets() {
    for (stream, default_format) in [STANDARD, DefaultFormat::from_registry(44_100, 16, 1, 2)]
        .into_iter()
        .flat_map(|default| [(0, default), (1, default)])
    {
        let (miniport, _adapter) =
            configured(stream, RegistryConfig { default_format, ..RegistryConfig::default() });
        let ours = host_ranges(&miniport)[0];
        let mut wildcard = KSDATARANGE_AUDIO { MaximumChannels: u32::MAX, ..ours };
        (wildcard.MinimumBitsPerSample, wildcard.MaximumBitsPerSample) = (0, u32::MAX);
        (wildcard.MinimumSampleFrequency, wildcard.MaximumSampleFrequency) = (0, u32::MAX);
        wildcard.DataRange.SubFormat = GUID_NULL;
        let (mut length, mut format) = (0, [0xEE; FORMAT_BYTES_MAX]);
        let pin = host_pin(miniport.endpoint.direction);
        let (client, mine) = (In::new(&wildcard.DataRange), In::new(&ours.DataRange));
        let place = OutFormat::new(&mut format[..104], &mut length);
        miniport.data_range_intersection(pin, client, mine, place).unwrap();
        assert_eq!(AudioFormat::parse(&format).ok(), miniport.default_format());
        let expected = default_format.of(miniport.endpoint.direction, miniport.endpoint.can);
        assert_eq!(miniport.default_format(), expected);
        let channels = default_format.channels(miniport.endpoint.direction, miniport.endpoint.can);
        assert_eq!(expected.map(|format| format.channels), Some(channels));
        // And it opens.
        assert!(open(&miniport, &format, pin, u8::from(stream == 1)).is_ok());
    }
}

/// A WAVEFORMATEX of 18 bytes, whatever its cbSize and FormatSize say, is read no further; an extensible one
/// needs its cbSize.
#[test]
fn nothing_is_read_behind_a_format_at_the_end_of_a_page() {
    let (miniport, _adapter) = miniport();
    let whole = AudioFormat { sample: SampleFormat::S16, channels: 2, rate: 48_000 };
    let (short, long) = (whole.to_short_bytes().unwrap(), whole.to_bytes());
    let with = |bytes: &[u8], size: u32, extra: u16| {
        let mut bytes = bytes.to_vec();
        bytes[..4].copy_from_slice(&size.to_le_bytes());
        bytes[80..82].copy_from_slice(&extra.to_le_bytes());
        AtPageEnd::new(&bytes)
    };
    let opened = |format: &AtPageEnd| {
        let (port_stream, _account) = FakePort::make();
        let mut stream = core::ptr::null_mut();
        // SAFETY: as long as KS checks that it is.
        let format = unsafe { In::from_raw(format.as_ptr()) };
        let (place, port) = (ComOut::new(&mut stream), ComIn::new(&port_stream));
        let result = miniport.new_stream(place, port, PIN_HOST, 0, format);
        // SAFETY: NULL or a reference that is ours.
        drop(unsafe { ComRef::from_raw(stream) });
        result
    };
    for extra in [0, 22, u16::MAX] {
        assert_eq!(
            opened(&with(short.as_slice(), 82, extra)),
            Ok(()),
            "cbSize {extra} of PCM counts for nothing"
        );
    }
    // What FormatSize claims beyond the memory is not touched for PCM.
    assert_eq!(opened(&with(short.as_slice(), 104, 0)), Ok(()));
    assert_eq!(opened(&with(long.as_slice(), 104, 22)), Ok(()));
    assert_eq!(opened(&with(long.as_slice(), 104, u16::MAX)), Ok(()), "more than is there");
    for extra in [0, 21] {
        let refused = opened(&with(long.as_slice(), 104, extra));
        assert_eq!(refused, Err(STATUS_INVALID_PARAMETER), "cbSize {extra} denies what the tag says");
    }
    // An extensible tag in a format that ends with its WAVEFORMATEX.
    let mut cut = short.as_slice().to_vec();
    cut[64..66].copy_from_slice(&[0xFE, 0xFF]);
    assert_eq!(opened(&with(&cut, 82, 22)), Err(STATUS_INVALID_PARAMETER));
    let cut = AtPageEnd::new(&[&70_u32.to_le_bytes()[..], &short.as_slice()[4..70]].concat());
    assert_eq!(opened(&cut), Err(STATUS_INVALID_PARAMETER));
}

#[test]
fn bridges_have_no_instances_and_the_host_pin_leads_to_one_or_back() {
    for (stream, host, bridge, flows) in [(0, 0, 1, (1, 2)), (1, 1, 0, (2, 1))] {
        let (miniport, _adapter) = of_stream(stream);
        let filter = filter(&miniport);
        assert_eq!((filter.PinCount, filter.PinSize, filter.ConnectionCount), (2, 112, 2));
        // SAFETY: alive as long as the miniport, as long as they say.
        let (host, bridge, into, out) = unsafe {
            let connections = filter.Connections;
            (*filter.Pins.add(host), *filter.Pins.add(bridge), *connections, *connections.add(1))
        };
        assert_eq!((host.KsPinDescriptor.DataFlow, host.KsPinDescriptor.Communication), (flows.0, 1));
        assert_eq!((bridge.MaxGlobalInstanceCount, bridge.MaxFilterInstanceCount), (0, 0));
        assert_eq!((bridge.KsPinDescriptor.DataFlow, bridge.KsPinDescriptor.Communication), (flows.1, 0));
        // From pin 0 through the node, whose input is its pin 1, to pin 1.
        let ends = |it: PCCONNECTION_DESCRIPTOR| (it.FromNode, it.FromNodePin, it.ToNode, it.ToNodePin);
        assert_eq!((ends(into), ends(out)), ((PCFILTER_NODE, 0, 0, 1), (0, 0, PCFILTER_NODE, 1)));
        assert_eq!((filter.NodeCount, filter.NodeSize), (1, 32));
        // SAFETY: as above.
        unsafe {
            let node = *filter.Nodes;
            assert_eq!(*node.Type, if stream == 0 { KSNODETYPE_DAC } else { KSNODETYPE_ADC });
            assert!(node.AutomationTable.is_null() && node.Name.is_null());
        }
    }
}

#[test]
fn a_microphone_is_no_speaker() {
    let (miniport, _adapter) = of_stream(1);
    let good = AudioFormat { sample: SampleFormat::F32, channels: 2, rate: 48_000 }.to_bytes();
    let good = good.as_slice();
    assert_eq!(open(&miniport, good, 1, 0).err(), Some(STATUS_INVALID_PARAMETER));
    assert_eq!(open(&miniport, good, 0, 1).err(), Some(STATUS_INVALID_PARAMETER));
    assert!(open(&miniport, good, 1, 1).is_ok());
}

#[test]
fn the_device_description_is_whole() {
    let (miniport, _adapter) = miniport();
    // SAFETY: numbers, for which zeroes are good values.
    let mut description: DEVICE_DESCRIPTION = unsafe { core::mem::zeroed() };
    miniport.get_device_description(Out::new(&mut description)).unwrap();
    assert_eq!((description.Master, description.ScatterGather, description.Dma64BitAddresses), (1, 1, 1));
    assert_eq!((description.Version, description.MaximumLength), (0, u32::MAX));
}

/// Status, count and modes of GetModes with room for `count`; `None`: no place. `both`: as the registry can
/// ask.
fn modes_of(stream: u32, both: bool, pin: u32, room: Option<u32>) -> (NtResult, u32, Vec<GUID>) {
    let (miniport, _adapter) =
        configured(stream, RegistryConfig { both_modes: both, ..RegistryConfig::default() });
    let mut modes = vec![GUID_NULL; room.unwrap_or(0) as usize];
    let mut count = room.unwrap_or(77);
    let place = room.is_some().then_some(modes.as_mut_slice());
    let result = miniport.get_modes(pin, OutModes::new(place, &mut count));
    (result, count, modes)
}

#[test]
fn modes_follow_the_protocol_of_sizes() {
    let (default, raw) = (AUDIO_SIGNALPROCESSINGMODE_DEFAULT, AUDIO_SIGNALPROCESSINGMODE_RAW);
    for (stream, host, bridge, own) in [(0, 0, 1, default), (1, 1, 0, raw)] {
        let asked = |pin, room| modes_of(stream, false, pin, room);
        assert_eq!(asked(host, None), (Ok(()), 1, vec![]));
        assert_eq!(asked(host, Some(0)), (Err(STATUS_BUFFER_TOO_SMALL), 1, vec![]));
        assert_eq!(asked(host, Some(1)), (Ok(()), 1, vec![own]));
        assert_eq!(asked(host, Some(2)), (Ok(()), 1, vec![own, GUID_NULL]));
        for pin in [2, 99, u32::MAX] {
            assert_eq!(asked(pin, None).0, Err(STATUS_INVALID_PARAMETER));
        }
        assert_eq!(asked(bridge, None).0, Err(STATUS_NOT_SUPPORTED));
        let both = |room| modes_of(stream, true, host, room);
        assert_eq!(both(Some(1)), (Err(STATUS_BUFFER_TOO_SMALL), 2, vec![GUID_NULL]));
        assert_eq!(both(Some(2)), (Ok(()), 2, vec![default, raw]));
    }
    let (miniport, _adapter) = miniport();
    // As a port calls it: a place and its room, one by one.
    let by_table: ComRef<IMiniportAudioSignalProcessing> = miniport.to_interface();
    let (mut count, mut modes) = (2, [GUID_NULL; 2]);
    // SAFETY: room for two modes; NULL, which both types allow.
    unsafe {
        by_table.get_modes(0, modes.as_mut_ptr(), InOut::new(&mut count)).unwrap();
        let nowhere = core::mem::zeroed::<InOut<'_, u32>>();
        assert_eq!(by_table.get_modes(0, core::ptr::null_mut(), nowhere), Err(STATUS_INVALID_PARAMETER));
    }
    assert_eq!((count, modes), (1, [default, GUID_NULL]));
}

#[test]
fn a_host_pin_has_as_many_instances_as_modes() {
    for (stream, both) in [(0, false), (1, false), (0, true), (1, true)] {
        let (miniport, _adapter) =
            configured(stream, RegistryConfig { both_modes: both, ..RegistryConfig::default() });
        // SAFETY: alive as long as the miniport, as long as it says.
        let host = unsafe { *filter(&miniport).Pins.add(miniport_host(&miniport)) };
        let instances = (host.MaxGlobalInstanceCount, host.MaxFilterInstanceCount);
        assert_eq!(instances, if both { (2, 2) } else { (1, 1) });
        assert_eq!(miniport.modes().len(), instances.1 as usize);
    }
}

#[test]
fn the_port_finds_the_modes_by_their_interface() {
    let (miniport, _adapter) = miniport();
    let modes = miniport.to_unknown().query::<IMiniportAudioSignalProcessing>();
    assert!(modes.is_ok());
}

#[test]
fn a_stream_opens_in_a_mode_that_is_listed_and_in_no_other() {
    let format = AudioFormat { sample: SampleFormat::S16, channels: 2, rate: 48_000 }.to_bytes();
    let with = |modes: &[GUID]| {
        let mut bytes = format.as_slice().to_vec();
        bytes[4] = 2;
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        bytes.extend(modes::list(modes));
        bytes
    };
    let (default, raw) = (AUDIO_SIGNALPROCESSINGMODE_DEFAULT, AUDIO_SIGNALPROCESSINGMODE_RAW);
    for (stream, both, listed) in [
        (0, false, &[default][..]),
        (1, false, &[raw]),
        (0, true, &[default, raw]),
        (1, true, &[default, raw]),
    ] {
        let (miniport, _adapter) =
            configured(stream, RegistryConfig { both_modes: both, ..RegistryConfig::default() });
        let pin = host_pin(miniport.endpoint.direction);
        let status = |mode| open(&miniport, &with(&[mode]), pin, u8::from(stream == 1)).err();
        for mode in [default, raw, GUID_NULL] {
            let expected = (!listed.contains(&mode)).then_some(STATUS_NOT_SUPPORTED);
            assert_eq!(status(mode), expected, "{mode} of stream {stream}");
        }
    }
}
