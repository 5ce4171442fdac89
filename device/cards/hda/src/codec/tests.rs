use super::*;
use proptest::prelude::*;

fn codec() -> Codec {
    Codec::new(TreeConfig { render: 2, capture: 1, channels: 2, bits_32: true })
}

/// Every endpoint: node 2 + 2 * N is the converter of endpoint N, or of an input from 10 on, and the next its
/// pin.
fn full() -> Codec {
    Codec::new(TreeConfig { render: 4, capture: 4, channels: 2, bits_32: true })
}

/// What the node answers to each of these: a verb of 12 bits with its payload.
fn answers<const N: usize>(codec: &mut Codec, nid: u32, verbs: [(u32, u32); N]) -> [u32; N] {
    verbs.map(|(verb, payload)| codec.command(short(nid, verb, payload)))
}

fn short(nid: u32, verb: u32, payload: u32) -> u32 {
    nid << 20 | verb << 8 | payload
}

fn long(nid: u32, verb: u32, payload: u32) -> u32 {
    nid << 20 | verb << 16 | payload
}

#[test]
fn a_driver_finds_the_group_and_its_widgets() {
    let mut codec = codec();
    assert_eq!(codec.command(short(0, 0xF00, 0)), 0x1234_5248);
    assert_eq!(codec.command(short(0, 0xF00, 4)), 0x0001_0001);
    assert_eq!(codec.command(short(1, 0xF00, 5)) & 0x7F, 1, "an audio function group");
    assert_eq!(codec.command(short(1, 0xF00, 4)), 0x0002_0006);
    let types: Vec<u32> = (2..8).map(|nid| codec.command(short(nid, 0xF00, 9)) >> 20).collect();
    assert_eq!(types, [0, 4, 0, 4, 1, 4], "converter, pin; converter, pin; converter, pin");
    assert_eq!(codec.command(short(3, 0xF02, 0)), 2, "the speakers' pin takes from the converter");
    assert_eq!(codec.command(short(6, 0xF02, 0)), 7, "the input converter takes from its pin");
    assert_eq!(codec.command(short(2, 0xF00, 0xA)), 0x001E_07FF);
}

#[test]
fn a_tag_makes_an_endpoint_hear_a_stream_until_the_group_is_reset() {
    let mut codec = codec();
    assert_eq!(codec.endpoint_of(0, false), None, "tag 0 is none");
    codec.command(short(4, 0x706, 0x50));
    assert_eq!((codec.endpoint_of(5, false), codec.endpoint_of(5, true)), (Some(1), None));
    assert_eq!(codec.command(short(4, 0xF06, 0)), 0x50);
    codec.command(short(6, 0x706, 0x50));
    assert_eq!(codec.endpoint_of(5, true), Some(2), "inputs and outputs may share a number");
    codec.command(short(1, 0x7FF, 0));
    assert_eq!((codec.endpoint_of(5, false), codec.tag_of(2)), (None, None));
}

#[test]
fn a_jack_is_told_with_its_tag_if_the_guest_wants_it() {
    let mut codec = codec();
    assert!(codec.set_jack(1, false).is_empty(), "not asked for");
    codec.command(short(5, 0x708, 0x80 | 0x2A));
    assert_eq!(codec.command(short(5, 0xF09, 0)), 0, "pulled");
    assert_eq!(codec.set_jack(1, true), [0x2A << 26]);
    assert!(codec.set_jack(1, true).is_empty(), "it was so already");
    assert_eq!(codec.command(short(5, 0xF09, 0)), 1 << 31);
    assert!(codec.set_jack(9, true).is_empty());
}

#[test]
fn amplifiers_pins_and_power_read_back_what_was_set() {
    let mut codec = codec();
    codec.command(long(2, 0x3, 0xA000 | 0x12));
    codec.command(long(2, 0x3, 0x9000 | 0xFF));
    assert_eq!(codec.command(long(2, 0xB, 0xA000)), 0x12);
    assert_eq!(codec.command(long(2, 0xB, 0x8000)), 0xCA, "muted, and no higher than the steps");
    codec.command(short(1, 0x705, 3));
    assert_eq!(codec.command(short(1, 0xF05, 0)), 0x33);
    codec.command(short(3, 0x71C, 0x99));
    assert_eq!(codec.command(short(3, 0xF1C, 0)), 0x0101_4099);
    assert_eq!(
        answers(&mut codec, 1, [(0x723, 0x80), (0x708, 0xEA), (0xF08, 0)]),
        [0, 0, 0xAA],
        "bit 6 is reserved"
    );
    let seen = |codec: &mut Codec| {
        [(3, 0xF1C), (1, 0xF20), (1, 0xF08)].map(|(nid, verb)| codec.command(short(nid, verb, 0)))
    };
    codec.command(short(1, 0x7FF, 0));
    assert_eq!(seen(&mut codec), [0x0101_4099, 0x8034_0001, 0], "kept over a reset of the group");
    codec.reset();
    assert_eq!(seen(&mut codec), [0x0101_4099, 0x8034_0001, 0], "and of the link");
    codec.power_on();
    assert_eq!(seen(&mut codec), [0x0101_4010, 0x1234_0001, 0]);
}

#[test]
fn digital_output_has_a_converter_control_and_neither_amplifier_presence_nor_eapd() {
    let mut codec = full();
    let (converter, pin) = (6, 7);
    // Stereo, a format of its own, digital; its pin with a connection list.
    assert_eq!(answers(&mut codec, converter, [(0xF00, 9), (0xF00, 0x12)]), [0x0000_0211, 0]);
    assert_eq!(
        answers(&mut codec, pin, [(0xF00, 9), (0xF00, 0xC), (0xF02, 0)]),
        [0x0040_0301, 0x10, converter]
    );
    codec.command(long(converter, 0x3, 0xB000 | 0x12));
    assert_eq!(codec.command(long(converter, 0xB, 0x8000)), 0);
    // DigEn, V; the category; bit 7 of the second byte is reserved.
    let control = [(0x70D, 0x03), (0xF0D, 0), (0x70E, 0x82), (0xF0D, 0), (0x70D, 0x41), (0xF0D, 0)];
    assert_eq!(answers(&mut codec, converter, control), [0, 0x03, 0, 0x0203, 0, 0x0241]);
    assert_eq!(answers(&mut codec, 2, [(0x70D, 0x03), (0xF0D, 0)]), [0, 0], "an analog one has none");
    // Whatever the host says of its jack.
    assert_eq!(answers(&mut codec, pin, [(0x708, 0x85), (0xF08, 0), (0x70C, 2), (0xF0C, 0)]), [0; 4]);
    assert_eq!((codec.set_jack(2, false), codec.command(short(pin, 0xF09, 0))), (vec![], 1 << 31));
    assert_eq!(answers(&mut codec, 3, [(0xF0C, 0), (0x70C, 0), (0xF0C, 0)]), [2, 0, 0], "speakers have EAPD");
    codec.reset();
    assert_eq!(codec.command(short(converter, 0xF0D, 0)), 0);
}

#[test]
fn line_connectors_and_every_input_have_a_tag_an_amplifier_and_a_jack_of_their_own() {
    let mut codec = full();
    // Node of the converter, its pin's default, device and jack (out with EAPD, in), converter's amplifier.
    for (endpoint, nid, default, pin, amplifier) in [
        (3, 8, 0x0104_2050, 0x0001_0014, 0x12),
        (4, 10, 0x01A1_9030, 0x24, 0xD),
        (5, 12, 0x0181_3040, 0x24, 0xD),
        (6, 14, 0x02A1_9060, 0x24, 0xD),
        (7, 16, 0x0281_3070, 0x24, 0xD),
    ] {
        let (capture, tag) = (endpoint >= 4, 15 - endpoint);
        assert_eq!(
            answers(&mut codec, nid + 1, [(0xF1C, 0), (0xF00, 0xC)]),
            [default, pin],
            "endpoint {endpoint}"
        );
        let amplifiers = answers(&mut codec, nid, [(0xF00, amplifier), (0xF00, 0x12 ^ 0xD ^ amplifier)]);
        assert_eq!(amplifiers, [0x8003_4A4A, 0], "endpoint {endpoint}");
        let [from, to] = if capture { [nid, nid + 1] } else { [nid + 1, nid] };
        assert_eq!(codec.command(short(from, 0xF02, 0)), to, "endpoint {endpoint}");
        codec.command(short(nid, 0x706, tag << 4));
        codec.command(short(nid + 1, 0x708, 0x80 | tag));
        assert_eq!(codec.endpoint_of(u8::try_from(tag).expect("four bits"), capture), Some(endpoint));
        assert_eq!(codec.set_jack(endpoint, false), [tag << 26]);
        assert_eq!(codec.command(short(nid + 1, 0xF09, 0)), 0, "endpoint {endpoint} is pulled");
    }
}

#[test]
fn without_32_bits_the_group_and_each_converter_offer_16_to_24() {
    for (bits_32, formats) in [(true, 0x001E_07FF), (false, 0x000E_07FF)] {
        let mut codec = Codec::new(TreeConfig { render: 4, capture: 4, channels: 2, bits_32 });
        for nid in (1..=1).chain((2..18).step_by(2)) {
            assert_eq!(answers(&mut codec, nid, [(0xF00, 0xA), (0xF00, 0xB)]), [formats, 1], "node {nid}");
        }
    }
}

proptest! {
    /// Absent nodes, absent codecs, unknown verbs: an answer, and nothing breaks.
    #[test]
    fn every_command_is_answered(commands: Vec<u32>) {
        let mut codec = codec();
        for command in commands {
            let answer = codec.command(command);
            prop_assert!(command >> 28 == 0 || answer == 0);
        }
        prop_assert_eq!(codec.command(short(0, 0xF00, 0)), 0x1234_5248);
    }
}
