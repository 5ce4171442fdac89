//! Tests of [`super`]: what the port and the endpoint builder would notice.

use portcls_sys::ComRef;
use portcls_sys::guid::{KSDATAFORMAT_SPECIFIER_NONE, KSDATAFORMAT_TYPE_AUDIO};
use portcls_sys::ks::KSDATARANGE_AUDIO;

use super::*;
use crate::hw::fake::FakeCard;
use crate::wave::descriptors::PIN_BRIDGE;
use crate::wave::fake_port::FakePort;

fn miniport() -> (Com<WaveMiniport>, Com<Adapter>) {
    let adapter = Adapter::try_new(core::ptr::null_mut(), Box::new(FakeCard::default())).unwrap();
    (WaveMiniport::try_new(adapter.clone()).unwrap(), adapter)
}

fn filter(miniport: &WaveMiniport) -> PCFILTER_DESCRIPTOR {
    let mut description = core::ptr::null();
    miniport.get_description(Out::new(&mut description)).unwrap();
    // SAFETY: a static.
    unsafe { *description }
}

/// The host pin's data ranges, read as the port reads them.
fn host_ranges(miniport: &WaveMiniport) -> Vec<KSDATARANGE_AUDIO> {
    // SAFETY: statics, as long as they say.
    unsafe {
        let pin = &(*filter(miniport).Pins).KsPinDescriptor;
        let entries = pin.DataRanges.cast::<*const KSDATARANGE_AUDIO>();
        (0..pin.DataRangesCount as usize).map(|index| **entries.add(index)).collect()
    }
}

/// Status, reported length and format of an intersection with `length` bytes of room.
fn intersect(pin: u32, ours: &KSDATARANGE_AUDIO, length: u32) -> (NtResult, u32, [u8; FORMAT_BYTES]) {
    let (miniport, _adapter) = miniport();
    let client = KSDATARANGE_AUDIO { MaximumChannels: u32::MAX, MaximumSampleFrequency: u32::MAX, ..*ours };
    let (mut reported, mut format) = (0, [0xEE; FORMAT_BYTES]);
    let result = miniport.data_range_intersection(
        pin,
        In::new(&client.DataRange),
        In::new(&ours.DataRange),
        length,
        format.as_mut_ptr().cast(),
        Out::new(&mut reported),
    );
    (result, reported, format)
}

#[test]
fn what_the_ranges_announce_can_be_opened() {
    let (miniport, _adapter) = miniport();
    let ranges = host_ranges(&miniport);
    assert_eq!(ranges.len(), 2);
    for range in &ranges {
        assert_eq!(range.DataRange.FormatSize, 88);
        assert_eq!(range.DataRange.MajorFormat, KSDATAFORMAT_TYPE_AUDIO);
        assert_eq!(range.MinimumSampleFrequency, range.MaximumSampleFrequency);
        for channels in 1..=range.MaximumChannels {
            let format = AudioFormat { channels, rate: range.MinimumSampleFrequency };
            let stream = open(&miniport, &format.to_bytes(), PIN_HOST, 0).unwrap();
            // One instance: a second one is refused while the first is open.
            assert!(open(&miniport, &format.to_bytes(), PIN_HOST, 0).is_err());
            drop(stream);
        }
    }
}

/// Opens a pin as the port does.
fn open(
    miniport: &WaveMiniport,
    format: &[u8; FORMAT_BYTES],
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
    let good = AudioFormat { channels: 2, rate: 48_000 }.to_bytes();
    assert_eq!(open(&miniport, &good, PIN_BRIDGE, 0).err(), Some(STATUS_INVALID_PARAMETER));
    assert_eq!(open(&miniport, &good, PIN_HOST, 1).err(), Some(STATUS_INVALID_PARAMETER));
    let other = AudioFormat { channels: 2, rate: 96_000 }.to_bytes();
    assert_eq!(open(&miniport, &other, PIN_HOST, 0).err(), Some(STATUS_NO_MATCH));
    let mut short = good;
    short[0] = 70;
    assert_eq!(open(&miniport, &short, PIN_HOST, 0).err(), Some(STATUS_INVALID_PARAMETER));
    assert!(open(&miniport, &good, PIN_HOST, 0).is_ok(), "refusals leave the pin free");
}

#[test]
fn intersection_follows_the_protocol_of_sizes() {
    let ranges = host_ranges(&miniport().0);
    for ours in &ranges {
        let (result, length, format) = intersect(PIN_HOST, ours, 88);
        assert_eq!((result, length), (Ok(()), 88));
        let expected = AudioFormat { channels: 2, rate: ours.MinimumSampleFrequency };
        assert_eq!(AudioFormat::parse(&format), Ok(expected));
        for (room, status) in
            [(0, STATUS_BUFFER_OVERFLOW), (1, STATUS_BUFFER_TOO_SMALL), (87, STATUS_BUFFER_TOO_SMALL)]
        {
            let (result, length, format) = intersect(PIN_HOST, ours, room);
            assert_eq!((result, length), (Err(status), 88));
            assert_eq!(format, [0xEE; FORMAT_BYTES], "nothing is written");
        }
    }
    assert_eq!(intersect(PIN_BRIDGE, &ranges[0], 88).0, Err(STATUS_NOT_IMPLEMENTED));
    let mut other = ranges[0];
    other.DataRange.Specifier = KSDATAFORMAT_SPECIFIER_NONE;
    assert_eq!(intersect(PIN_HOST, &other, 88).0, Err(STATUS_NO_MATCH));
}

#[test]
fn bridges_have_no_instances_and_the_host_pin_leads_to_one() {
    let filter = filter(&miniport().0);
    assert_eq!((filter.PinCount, filter.PinSize, filter.ConnectionCount), (2, 112, 1));
    // SAFETY: statics, as long as they say.
    let (host, bridge, connection) = unsafe { (*filter.Pins, *filter.Pins.add(1), *filter.Connections) };
    assert_eq!((host.MaxGlobalInstanceCount, host.MaxFilterInstanceCount), (1, 1));
    assert_eq!((host.KsPinDescriptor.DataFlow, host.KsPinDescriptor.Communication), (1, 1));
    assert_eq!((bridge.MaxGlobalInstanceCount, bridge.MaxFilterInstanceCount), (0, 0));
    assert_eq!((bridge.KsPinDescriptor.DataFlow, bridge.KsPinDescriptor.Communication), (2, 0));
    assert_eq!((connection.FromNodePin, connection.ToNodePin), (PIN_HOST, PIN_BRIDGE));
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
