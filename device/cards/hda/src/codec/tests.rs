use super::*;
use proptest::prelude::*;

fn codec() -> Codec {
    Codec::new(TreeConfig { render: 2, capture: 1, channels: 2, bits_32: true })
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
    codec.command(short(1, 0x7FF, 0));
    assert_eq!(codec.command(short(3, 0xF1C, 0)), 0x0101_4099, "stays over a reset of the group");
    codec.reset();
    assert_eq!(codec.command(short(3, 0xF1C, 0)), 0x0101_4010);
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
