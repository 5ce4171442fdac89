//! The codec's nodes as data: what `ringwave hda --describe` prints, the guest reads, and a test checks
//! against the rules of Microsoft's *Pin Configuration Guidelines*. HDA.md 4.

use std::fmt;

/// What the tree is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TreeConfig {
    /// Render endpoints, at most [`RENDER_MAX`].
    pub render: u32,
    /// Capture endpoints, at most [`CAPTURE_MAX`].
    pub capture: u32,
    /// Channels of the speakers: every two have a converter and a pin.
    pub channels: u32,
    /// Whether 32 bits are offered beside 16, 20 and 24.
    pub bits_32: bool,
}

/// Most render endpoints.
pub const RENDER_MAX: u32 = 4;
/// Most capture endpoints.
pub const CAPTURE_MAX: u32 = 4;

/// The audio function group.
pub const AFG: u8 = 1;
/// The first widget.
pub const FIRST_WIDGET: u8 = 2;

/// Sequences of the pins of up to 8 channels: front, centre and LFE, back, side. *Doubt*: HDA.md 4.
const SEQUENCES: [u32; 4] = [0, 1, 2, 4];

/// What a widget is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WidgetKind {
    /// A converter from the link to a pin.
    Output,
    /// A converter from a pin to the link.
    Input,
    /// A pin of an output.
    OutputPin,
    /// A pin of an input.
    InputPin,
}

impl WidgetKind {
    /// Whether it is a pin.
    pub const fn is_pin(self) -> bool {
        matches!(self, Self::OutputPin | Self::InputPin)
    }
}

/// A widget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Widget {
    /// Node id.
    pub nid: u8,
    /// What it is.
    pub kind: WidgetKind,
    /// The endpoint it is of: render endpoints first.
    pub endpoint: u32,
    /// The first of its endpoint and kind.
    pub primary: bool,
    /// The node it takes its sound from.
    pub connection: Option<u8>,
    /// SPDIF.
    pub digital: bool,
    /// Pins: whether it knows that something is plugged in.
    pub presence: bool,
    /// Pins: configuration default.
    pub default: u32,
}

impl Widget {
    /// Whether it is a pin with EAPD.
    pub fn eapd(&self) -> bool {
        self.kind == WidgetKind::OutputPin && !self.digital
    }
}

/// One endpoint of the tree.
struct EndpointSpec {
    default: u32,
    kind: WidgetKind,
    /// Stereo pairs.
    pairs: u32,
    digital: bool,
}

/// Endpoint number `index` of the render endpoints. Defaults: port, location, device, connection, colour,
/// then association and sequence in the low byte.
fn render_endpoint(index: u32, channels: u32) -> EndpointSpec {
    let (default, pairs, digital) = match index {
        0 => (0x0101_4010, channels.div_ceil(2).clamp(1, 4), false), // line out, 1/8", green: speakers
        1 => (0x0221_4020, 1, false),                                // headphones, front, green
        2 => (0x0145_11F0, 1, true),                                 // SPDIF out, optical
        _ => (0x0104_2050, 1, false),                                // line out, RCA: line connectors
    };
    EndpointSpec { default, kind: WidgetKind::OutputPin, pairs, digital }
}

fn capture_endpoint(index: u32) -> EndpointSpec {
    let default = match index {
        0 => 0x01A1_9030, // microphone, rear, pink
        1 => 0x0181_3040, // line in, rear, blue
        2 => 0x02A1_9060, // microphone, front
        _ => 0x0281_3070, // line in, front
    };
    EndpointSpec { default, kind: WidgetKind::InputPin, pairs: 1, digital: false }
}

/// The widgets, in the order of their node ids: converters of an endpoint, then its pins.
pub fn widgets(config: &TreeConfig) -> Vec<Widget> {
    let render = config.render.min(RENDER_MAX);
    let outputs = (0..render).map(|index| (index, render_endpoint(index, config.channels)));
    let inputs = (0..config.capture.min(CAPTURE_MAX)).map(|index| (render + index, capture_endpoint(index)));
    let mut widgets: Vec<Widget> = Vec::new();
    for (endpoint, spec) in outputs.chain(inputs) {
        add_endpoint(&mut widgets, endpoint, &spec);
    }
    widgets
}

fn add_endpoint(widgets: &mut Vec<Widget>, endpoint: u32, spec: &EndpointSpec) {
    let first = FIRST_WIDGET.saturating_add(u8::try_from(widgets.len()).unwrap_or(u8::MAX));
    let pairs = u8::try_from(spec.pairs).unwrap_or(1);
    let output = spec.kind == WidgetKind::OutputPin;
    let widget = |nid: u8, kind, pair: u8, connection| Widget {
        nid,
        kind,
        endpoint,
        primary: pair == 0,
        connection,
        digital: spec.digital,
        presence: !spec.digital,
        default: 0,
    };
    for pair in 0..pairs {
        let nid = first.saturating_add(pair);
        let pin = nid.saturating_add(pairs);
        let converter = if output {
            widget(nid, WidgetKind::Output, pair, None)
        } else {
            widget(nid, WidgetKind::Input, pair, Some(pin))
        };
        widgets.push(converter);
    }
    for (pair, sequence) in (0..pairs).zip(SEQUENCES) {
        let converter = first.saturating_add(pair);
        let pin = widget(converter.saturating_add(pairs), spec.kind, pair, output.then_some(converter));
        widgets.push(Widget { default: spec.default | sequence, ..pin });
    }
}

impl fmt::Display for Widget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            WidgetKind::Output => "output converter",
            WidgetKind::Input => "input converter",
            WidgetKind::OutputPin | WidgetKind::InputPin => "pin",
        };
        write!(f, "node {:#04x}  {kind}, endpoint {}", self.nid, self.endpoint)?;
        if self.digital {
            write!(f, ", digital")?;
        }
        if let Some(connection) = self.connection {
            write!(f, ", from {connection:#04x}")?;
        }
        if self.kind.is_pin() {
            write!(f, ", default {:#010x}", self.default)?;
            write!(f, " ({}, association {}", device(self.default), self.default >> 4 & 0xF)?;
            write!(f, ", sequence {})", self.default & 0xF)?;
        }
        Ok(())
    }
}

/// The device of a configuration default.
fn device(default: u32) -> &'static str {
    match default >> 20 & 0xF {
        0x0 => "line out",
        0x2 => "headphones",
        0x4 => "SPDIF out",
        0x8 => "line in",
        0xA => "microphone",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};

    fn all() -> impl Iterator<Item = (TreeConfig, Vec<Widget>)> {
        let counts =
            (0..=RENDER_MAX).flat_map(|render| (0..=CAPTURE_MAX).map(move |capture| (render, capture)));
        counts.flat_map(|(render, capture)| {
            (1..=8).map(move |channels| {
                let config = TreeConfig { render, capture, channels, bits_32: true };
                (config, widgets(&config))
            })
        })
    }

    /// Pin Configuration Guidelines, pages 5 to 12.
    #[test]
    fn every_tree_keeps_the_rules_of_pin_configuration() {
        for (config, widgets) in all() {
            let mut associations: BTreeMap<u32, Vec<&Widget>> = BTreeMap::new();
            for pin in widgets.iter().filter(|widget| widget.kind.is_pin()) {
                let association = pin.default >> 4 & 0xF;
                assert_ne!(association, 0, "association 0 is invalid: {pin}");
                assert_ne!(pin.default >> 30, 1, "nothing is connected to it: {pin}");
                assert_eq!(pin.default >> 8 & 1 == 1, !pin.presence, "no presence detect: {pin}");
                associations.entry(association).or_default().push(pin);
            }
            for (association, pins) in associations {
                let sequences: BTreeSet<u32> = pins.iter().map(|pin| pin.default & 0xF).collect();
                assert_eq!(sequences.len(), pins.len(), "{config:?}: sequences of {association} differ");
                assert!(
                    association != 0xF || sequences == BTreeSet::from([0]),
                    "single pins have sequence 0"
                );
                let endpoints: BTreeSet<u32> = pins.iter().map(|pin| pin.endpoint).collect();
                assert_eq!(endpoints.len(), 1, "an association is one endpoint");
                let connections: BTreeSet<u32> = pins.iter().map(|pin| pin.default >> 16 & 0xF).collect();
                assert_eq!(connections.len(), 1, "one type of connection");
            }
        }
    }

    #[test]
    fn every_pin_has_a_converter_of_its_own() {
        for (config, widgets) in all() {
            for (index, widget) in widgets.iter().enumerate() {
                assert_eq!(usize::from(widget.nid), index + usize::from(FIRST_WIDGET), "{config:?}");
            }
            let mut used = BTreeSet::new();
            for widget in &widgets {
                let Some(from) = widget.connection else { continue };
                let other = widgets[usize::from(from - FIRST_WIDGET)];
                assert_eq!(other.endpoint, widget.endpoint);
                assert_ne!(other.kind.is_pin(), widget.kind.is_pin());
                assert!(used.insert(from), "{widget} shares {from:#x}");
            }
            let speakers =
                widgets.iter().filter(|widget| widget.endpoint == 0 && widget.kind.is_pin()).count();
            assert!(config.render == 0 || speakers == config.channels.div_ceil(2) as usize);
            let endpoints: BTreeSet<u32> = widgets.iter().map(|widget| widget.endpoint).collect();
            assert_eq!(endpoints.len(), (config.render + config.capture) as usize);
        }
    }
}
