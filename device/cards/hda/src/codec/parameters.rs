//! What `GET_PARAMETER` (verb F00h) tells of each node: specification 7.3.4.

use super::AMP_STEPS;
use super::tree::{FIRST_WIDGET, TreeConfig, Widget, WidgetKind};

/// Vendor and device id of the codec. The vendor is the one the Ringwave card borrows (device/README.md).
const VENDOR: u32 = 0x1234_5248;
/// Subsystem id of the function group.
pub const SUBSYSTEM: u32 = 0x1234_0001;
/// Revision 1.0 of the specification, the codec's own 1.
const REVISION: u32 = 0x0010_0101;

/// Sample rates of 8 to 192 kHz.
const RATES: u32 = 0x07FF;
/// 16, 20, 24 and 32 bits.
const BITS_16_TO_24: u32 = 0x000E_0000;
const BITS_32: u32 = 1 << 20;

/// An amplifier with mute and steps of 1 dB, the highest of which is 0 dB.
const AMP: u32 = 1 << 31 | 3 << 16 | (AMP_STEPS as u32) << 8 | AMP_STEPS as u32;

/// Of the root node.
pub fn root(id: u8) -> u32 {
    match id {
        0x00 => VENDOR,
        0x02 => REVISION,
        0x04 => 1 << 16 | 1,
        _ => 0,
    }
}

/// Of the audio function group.
pub fn group(id: u8, widgets: u32, config: &TreeConfig) -> u32 {
    match id {
        // Node count: first, number.
        0x04 => u32::from(FIRST_WIDGET) << 16 | widgets,
        // An audio function group that can send unsolicited responses.
        0x05 => 1 << 8 | 1,
        0x0A => formats(config),
        0x0B => 1,
        // D0 to D3.
        0x0F => 0xF,
        _ => 0,
    }
}

/// Of a widget.
pub fn widget(id: u8, widget: &Widget, config: &TreeConfig) -> u32 {
    let converter = !widget.kind.is_pin();
    match id {
        0x09 => capabilities(widget),
        0x0A if converter => formats(config),
        0x0B if converter => 1,
        0x0C if widget.kind.is_pin() => pin_capabilities(widget),
        0x0D if widget.kind == WidgetKind::Input => AMP,
        0x0E => u32::from(widget.connection.is_some()),
        0x12 if widget.kind == WidgetKind::Output && !widget.digital => AMP,
        _ => 0,
    }
}

fn formats(config: &TreeConfig) -> u32 {
    RATES | BITS_16_TO_24 | if config.bits_32 { BITS_32 } else { 0 }
}

/// Stereo 0, amplifiers 1 and 2 with parameters of their own 3, format of its own 4, unsolicited responses 7,
/// connection list 8, digital 9; type 23:20.
fn capabilities(widget: &Widget) -> u32 {
    let (kind, amplifiers) = match widget.kind {
        WidgetKind::Output if widget.digital => (0, 0),
        WidgetKind::Output => (0, 1 << 2 | 1 << 3),
        WidgetKind::Input => (1, 1 << 1 | 1 << 3),
        WidgetKind::OutputPin | WidgetKind::InputPin => (4, 0),
    };
    let pin = widget.kind.is_pin();
    let bits = [
        (true, 0),
        (!pin, 4),
        (pin && widget.presence, 7),
        (widget.connection.is_some(), 8),
        (widget.digital, 9),
    ];
    let flags = bits.into_iter().fold(0, |bits, (set, bit)| bits | u32::from(set) << bit);
    kind << 20 | amplifiers | flags
}

/// Presence detect 2, headphones 3, output 4, input 5, EAPD 16.
fn pin_capabilities(widget: &Widget) -> u32 {
    let presence = u32::from(widget.presence) << 2;
    let headphones = u32::from(widget.default >> 20 & 0xF == 2) << 3;
    let eapd = u32::from(widget.eapd()) << 16;
    match widget.kind {
        WidgetKind::OutputPin => presence | headphones | 1 << 4 | eapd,
        _ => presence | 1 << 5,
    }
}
