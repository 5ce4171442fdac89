//! The codec: nodes that answer verbs. HDA.md 4; specification chapter 7.
//!
//! [`tree`] says which nodes there are; here is what they know and how they answer. Every command has one
//! answer, 0 where there is nothing to say.

mod parameters;
pub mod tree;

use ringwave_audio::gain::{Gain, VOLUME_UNITS};
use tree::{AFG, FIRST_WIDGET, TreeConfig, Widget, WidgetKind, widgets};

/// Amplifier steps: 0 to -74 dB by 1 dB; the highest is 0 dB.
pub const AMP_STEPS: u8 = 0x4A;
/// Mute of an amplifier.
pub const AMP_MUTE: u8 = 0x80;
/// Bits of verb 708h: enable 7, tag 5:0.
const UNSOLICITED: u8 = 0xBF;

/// What a widget knows.
#[derive(Clone, Copy, Debug)]
struct WidgetState {
    format: u16,
    /// Stream tag 7:4, lowest channel 3:0.
    stream: u8,
    /// Amplifier, left and right.
    amp: [u8; 2],
    pin_control: u8,
    /// EAPD and balanced input.
    eapd: u8,
    /// Unsolicited responses.
    unsolicited: u8,
    digital: u16,
    power: u8,
    default: u32,
}

impl WidgetState {
    fn new(widget: &Widget) -> Self {
        Self {
            format: 0,
            stream: 0,
            amp: [AMP_STEPS; 2],
            pin_control: match widget.kind {
                WidgetKind::OutputPin => 0x40,
                WidgetKind::InputPin => 0x20,
                WidgetKind::Output | WidgetKind::Input => 0,
            },
            eapd: 0x02,
            unsolicited: 0,
            digital: 0,
            power: 0,
            default: widget.default,
        }
    }
}

/// The codec.
#[derive(Debug)]
pub struct Codec {
    config: TreeConfig,
    widgets: Vec<(Widget, WidgetState)>,
    /// The function group's power state.
    power: u8,
    /// The function group's unsolicited responses, of which there are none: kept as it was written.
    unsolicited: u8,
    subsystem: u32,
    /// Of each endpoint: something is plugged in.
    plugged: Vec<bool>,
}

impl Codec {
    /// The codec after power-on.
    pub fn new(config: TreeConfig) -> Self {
        let widgets: Vec<_> = widgets(&config).into_iter().map(|w| (w, WidgetState::new(&w))).collect();
        let endpoints = widgets.iter().map(|(widget, _)| widget.endpoint as usize + 1).max().unwrap_or(0);
        let plugged = vec![true; endpoints];
        Self { config, widgets, power: 0, unsolicited: 0, subsystem: parameters::SUBSYSTEM, plugged }
    }

    /// Everything as after power-on, but for what is plugged in: that is the host's.
    pub fn power_on(&mut self) {
        self.reset();
        self.subsystem = parameters::SUBSYSTEM;
        for (widget, state) in &mut self.widgets {
            state.default = widget.default;
        }
    }

    /// Reset of the link or of the function group (7.3.3.33). Pin defaults and the subsystem id stay as they
    /// were set: firmware writes them once, and drivers that come later reset the link (7.3.3.31).
    pub fn reset(&mut self) {
        (self.power, self.unsolicited) = (0, 0);
        for (widget, state) in &mut self.widgets {
            *state = WidgetState { default: state.default, ..WidgetState::new(widget) };
        }
    }

    /// Number of endpoints.
    pub fn endpoints(&self) -> u32 {
        u32::try_from(self.plugged.len()).unwrap_or(0)
    }

    /// The endpoint of the converter that has this stream tag, the first if there are several; tag 0 is none.
    pub fn endpoint_of(&self, tag: u8, capture: bool) -> Option<u32> {
        let kind = if capture { WidgetKind::Input } else { WidgetKind::Output };
        let has = |(widget, state): &&(Widget, WidgetState)| {
            widget.kind == kind && widget.primary && tag != 0 && state.stream >> 4 == tag
        };
        self.widgets.iter().find(has).map(|(widget, _)| widget.endpoint)
    }

    /// The stream tag that the converter of an endpoint has; `None` while it has none.
    pub fn tag_of(&self, endpoint: u32) -> Option<u8> {
        let is_it = |(widget, _): &&(Widget, WidgetState)| {
            widget.endpoint == endpoint && widget.primary && !widget.kind.is_pin()
        };
        self.widgets.iter().find(is_it).map(|(_, state)| state.stream >> 4).filter(|tag| *tag != 0)
    }

    /// What the amplifiers of an endpoint's converters make of its stream: each of the two channels that it
    /// takes, from the one on that verb 706h has named.
    pub fn gain(&self, endpoint: u32) -> Gain {
        let Some(tag) = self.tag_of(endpoint) else { return Gain::default() };
        let hears = |(widget, state): &&(Widget, WidgetState)| {
            let converter = matches!(widget.kind, WidgetKind::Output | WidgetKind::Input);
            widget.endpoint == endpoint && converter && !widget.digital && state.stream >> 4 == tag
        };
        // The first converter of a channel is the one that counts, so it comes last.
        let hear = self.widgets.iter().rev().filter(hears);
        let sides = hear.flat_map(|(_, state)| (usize::from(state.stream & 0xF)..).zip(state.amp));
        sides.fold(Gain::default(), |gain, (channel, amp)| amplified(gain, channel, amp))
    }

    /// Whether something is plugged into the jack of an endpoint; `None`: no such endpoint.
    pub fn jack(&self, endpoint: u32) -> Option<bool> {
        self.plugged.get(endpoint as usize).copied()
    }

    /// Something was plugged in or pulled: gives the unsolicited responses that come of it (7.1.5).
    pub fn set_jack(&mut self, endpoint: u32, plugged: bool) -> Vec<u32> {
        let Some(before) = self.plugged.get_mut(endpoint as usize) else { return Vec::new() };
        if core::mem::replace(before, plugged) == plugged {
            return Vec::new();
        }
        let tell = |(widget, state): &(Widget, WidgetState)| {
            (widget.endpoint == endpoint && widget.presence && state.unsolicited & 0x80 != 0)
                .then(|| u32::from(state.unsolicited & 0x3F) << 26)
        };
        self.widgets.iter().filter_map(tell).collect()
    }

    /// Carries a command out and gives its response. Codec address 31:28, node 27:20, verb and payload below.
    pub fn command(&mut self, command: u32) -> u32 {
        if command >> 28 != 0 {
            return 0;
        }
        let [payload, low, mid, high] = command.to_le_bytes();
        let nid = high << 4 | mid >> 4;
        let verb = match mid & 0xF {
            // Verbs of 12 bits with 8 bits of payload.
            short @ (0x7 | 0xF) => Verb::Short(u16::from(short) << 8 | u16::from(low), payload),
            // Verbs of 4 bits with 16 bits of payload.
            long => Verb::Long(long, u16::from(low) << 8 | u16::from(payload)),
        };
        match (nid, verb) {
            (0, Verb::Short(0xF00, id)) => parameters::root(id),
            (AFG, verb) => self.group(verb),
            _ => self.widget(nid, verb),
        }
    }

    fn group(&mut self, verb: Verb) -> u32 {
        match verb {
            Verb::Short(0xF00, id) => {
                let widgets = u32::try_from(self.widgets.len()).unwrap_or(0);
                parameters::group(id, widgets, &self.config)
            }
            Verb::Short(0x705, state) => {
                self.power = state & 0xF;
                0
            }
            Verb::Short(0xF05, _) => power(self.power),
            Verb::Short(0x708, payload) => {
                self.unsolicited = payload & UNSOLICITED;
                0
            }
            Verb::Short(0xF08, _) => u32::from(self.unsolicited),
            Verb::Short(0xF20..=0xF23, _) => self.subsystem,
            Verb::Short(verb @ 0x720..=0x723, byte) => {
                set_byte(&mut self.subsystem, verb - 0x720, byte);
                0
            }
            Verb::Short(0x7FF, _) => {
                self.reset();
                0
            }
            Verb::Short(..) | Verb::Long(..) => 0,
        }
    }

    fn widget(&mut self, nid: u8, verb: Verb) -> u32 {
        let index = nid.checked_sub(FIRST_WIDGET).map(usize::from);
        let Some((widget, state)) = index.and_then(|index| self.widgets.get_mut(index)) else { return 0 };
        let plugged = self.plugged.get(widget.endpoint as usize).copied().unwrap_or(true);
        match verb {
            Verb::Short(0xF00, id) => parameters::widget(id, widget, &self.config),
            Verb::Short(0xF02, from) => connection_list(widget, from),
            Verb::Short(verb, _) if verb & 0xF00 == 0xF00 => get(widget, state, plugged, verb),
            Verb::Short(verb, payload) => {
                set(widget, state, verb, payload);
                0
            }
            Verb::Long(0x2, format) if !widget.kind.is_pin() => {
                state.format = format;
                0
            }
            Verb::Long(0xA, _) => u32::from(state.format),
            Verb::Long(0x3, payload) => {
                set_amp(widget, state, payload);
                0
            }
            Verb::Long(0xB, payload) => u32::from(amp(widget, state, payload)),
            Verb::Long(..) => 0,
        }
    }
}

/// A verb with its payload.
#[derive(Clone, Copy, Debug)]
enum Verb {
    /// 12 bits, payload of 8.
    Short(u16, u8),
    /// 4 bits, payload of 16.
    Long(u8, u16),
}

/// 7.3.3.3: the list has one entry or none.
fn connection_list(widget: &Widget, from: u8) -> u32 {
    match (widget.connection, from) {
        (Some(nid), 0) => u32::from(nid),
        _ => 0,
    }
}

/// The setting, and that the node is there.
fn power(state: u8) -> u32 {
    u32::from(state | state << 4)
}

fn get(widget: &Widget, state: &WidgetState, plugged: bool, verb: u16) -> u32 {
    match verb {
        0xF05 => power(state.power),
        0xF06 if !widget.kind.is_pin() => u32::from(state.stream),
        0xF07 if widget.kind.is_pin() => u32::from(state.pin_control),
        0xF08 => u32::from(state.unsolicited),
        0xF09 if widget.kind.is_pin() => u32::from(plugged || !widget.presence) << 31,
        0xF0C if widget.eapd() => u32::from(state.eapd),
        0xF0D if widget.digital => u32::from(state.digital),
        0xF1C..=0xF1F if widget.kind.is_pin() => state.default,
        _ => 0,
    }
}

fn set(widget: &Widget, state: &mut WidgetState, verb: u16, payload: u8) {
    match verb {
        0x705 => state.power = payload & 0xF,
        0x706 if !widget.kind.is_pin() => state.stream = payload,
        0x707 if widget.kind == WidgetKind::OutputPin => state.pin_control = payload & 0xC0,
        0x707 if widget.kind == WidgetKind::InputPin => state.pin_control = payload & 0x27,
        0x708 if widget.presence && widget.kind.is_pin() => state.unsolicited = payload & UNSOLICITED,
        0x70C if widget.eapd() => state.eapd = payload & 0x02,
        0x70D if widget.digital => state.digital = state.digital & 0xFF00 | u16::from(payload),
        0x70E if widget.digital => state.digital = state.digital & 0x00FF | u16::from(payload & 0x7F) << 8,
        0x71C..=0x71F if widget.kind.is_pin() => set_byte(&mut state.default, verb - 0x71C, payload),
        _ => {}
    }
}

/// Bits of an amplifier's payload: output, input, left, right.
const AMP_OUT: u16 = 1 << 15;
const AMP_IN: u16 = 1 << 14;
const AMP_LEFT: u16 = 1 << 13;
const AMP_RIGHT: u16 = 1 << 12;

/// 7.3.3.7. The only input amplifier has index 0.
fn set_amp(widget: &Widget, state: &mut WidgetState, payload: u16) {
    let meant = match widget.kind {
        WidgetKind::Output if !widget.digital => payload & AMP_OUT != 0,
        WidgetKind::Input => payload & AMP_IN != 0 && index(payload >> 8) == 0,
        _ => false,
    };
    let [value, _] = payload.to_le_bytes();
    let gain = (value & 0x7F).min(AMP_STEPS) | value & AMP_MUTE;
    for (side, amp) in [AMP_LEFT, AMP_RIGHT].into_iter().zip(&mut state.amp) {
        if meant && payload & side != 0 {
            *amp = gain;
        }
    }
}

/// The index of an amplifier, in the low bits.
const fn index(payload: u16) -> u16 {
    payload & 0xF
}

fn amp(widget: &Widget, state: &WidgetState, payload: u16) -> u8 {
    let meant = match widget.kind {
        WidgetKind::Output => payload & AMP_OUT != 0 && !widget.digital,
        WidgetKind::Input => payload & AMP_OUT == 0 && index(payload) == 0,
        _ => false,
    };
    let [left, right] = state.amp;
    if meant { if payload & AMP_LEFT != 0 { left } else { right } } else { 0 }
}

/// `gain` with an amplifier in front of a channel; the same for a channel that no stream has.
fn amplified(gain: Gain, channel: usize, amp: u8) -> Gain {
    let below = i32::from(AMP_STEPS) - i32::from(amp & !AMP_MUTE);
    let volume = Some(-below * VOLUME_UNITS).filter(|volume| gain.volume(channel) != Some(*volume));
    let gain = volume.and_then(|volume| gain.with_volume(channel, volume)).unwrap_or(gain);
    let bit = u32::try_from(channel).ok().and_then(|channel| 1_u32.checked_shl(channel)).unwrap_or(0);
    gain.with_mute(if amp & AMP_MUTE == 0 { gain.mute() & !bit } else { gain.mute() | bit })
}

/// Byte number `index` (0 to 3) of a register that is written by bytes.
fn set_byte(register: &mut u32, index: u16, byte: u8) {
    let shift = u32::from(index & 3) * 8;
    *register = *register & !(0xFF << shift) | u32::from(byte) << shift;
}

#[cfg(test)]
mod tests;
