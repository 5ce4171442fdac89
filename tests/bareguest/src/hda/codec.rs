//! The codec: its tree of nodes, from parameters alone, and paths through it.

use super::controller::Controller;
use crate::verdict::{Step, expect};
use crate::{say, wrong};

/// Parameters. (7.3.4)
mod parameter {
    pub const VENDOR: u32 = 0x00;
    pub const NODES: u32 = 0x04;
    pub const GROUP: u32 = 0x05;
    pub const WIDGET: u32 = 0x09;
    pub const RATES: u32 = 0x0A;
    pub const STREAMS: u32 = 0x0B;
    pub const PIN: u32 = 0x0C;
    pub const INPUT_AMP: u32 = 0x0D;
    pub const CONNECTIONS: u32 = 0x0E;
    pub const OUTPUT_AMP: u32 = 0x12;
}

/// Verbs: of 12 bits with 8 bits of data, and (`FORMAT`, `AMP`) of 4 bits with 16. (7.3.3)
pub mod verb {
    pub const GET_PARAMETER: u32 = 0xF00;
    pub const SET_FORMAT: u32 = 0x2;
    pub const GET_FORMAT: u32 = 0xA;
    pub const SET_AMP: u32 = 0x3;
    pub const GET_AMP: u32 = 0xB;
    pub const SELECT: u32 = 0x701;
    pub const CONNECTION_LIST: u32 = 0xF02;
    pub const SET_POWER: u32 = 0x705;
    pub const GET_POWER: u32 = 0xF05;
    pub const SET_STREAM: u32 = 0x706;
    pub const GET_STREAM: u32 = 0xF06;
    pub const SET_PIN: u32 = 0x707;
    pub const GET_PIN: u32 = 0xF07;
    pub const SET_UNSOLICITED: u32 = 0x708;
    pub const GET_UNSOLICITED: u32 = 0xF08;
    pub const GET_SENSE: u32 = 0xF09;
    pub const SET_EAPD: u32 = 0x70C;
    pub const GET_EAPD: u32 = 0xF0C;
    pub const GET_DEFAULT: u32 = 0xF1C;
    pub const RESET: u32 = 0x7FF;
}

/// Widget capabilities.
const IN_AMP: u32 = 1 << 1;
const OUT_AMP: u32 = 1 << 2;
const AMP_OVERRIDE: u32 = 1 << 3;
const FORMAT_OVERRIDE: u32 = 1 << 4;
const UNSOLICITED: u32 = 1 << 7;
const CONNECTION_LIST: u32 = 1 << 8;
const POWER: u32 = 1 << 10;
/// Types of widgets.
const OUTPUT: u32 = 0;
const INPUT: u32 = 1;
const PIN: u32 = 4;
/// Pin capabilities.
const PRESENCE: u32 = 1 << 2;
const HEADPHONES: u32 = 1 << 3;
const PIN_OUT: u32 = 1 << 4;
const PIN_IN: u32 = 1 << 5;
const EAPD: u32 = 1 << 16;
/// Configuration default: no sense pin behind this pin.
const NO_PRESENCE: u32 = 1 << 8;
/// Default device: headphones.
const HEADPHONES_OUT: u32 = 2;
/// Connectivity: nothing is connected.
const NOTHING: u32 = 1;
/// `GET_SENSE`: plugged.
const PLUGGED: u32 = 1 << 31;

const NODES: usize = 64;
const LIST: usize = 16;
const DEPTH: usize = 4;
/// The most pins of an output of several channels.
const PINS: usize = 4;

/// A widget.
#[derive(Clone, Copy, Default)]
struct Widget {
    nid: u32,
    caps: u32,
    pin: u32,
    config: u32,
    list: [u32; LIST],
    count: usize,
}

impl Widget {
    fn is(&self, kind: u32) -> bool {
        self.nid != 0 && self.caps >> 20 & 0xF == kind
    }

    /// A pin of this direction that something is connected to.
    fn is_connected_pin(&self, direction: u32) -> bool {
        self.is(PIN) && self.pin & direction != 0 && self.config >> 30 != NOTHING
    }

    fn association(&self) -> u32 {
        self.config >> 4 & 0xF
    }

    fn sequence(&self) -> u32 {
        self.config & 0xF
    }

    fn is_headphones(&self) -> bool {
        self.config >> 20 & 0xF == HEADPHONES_OUT
    }

    fn sees_jack(&self) -> bool {
        self.pin & PRESENCE != 0 && self.config & NO_PRESENCE == 0 && self.caps & UNSOLICITED != 0
    }
}

/// A way between a pin and a converter, from the one whose connection list names the next, and which of its
/// entries that is.
#[derive(Clone, Copy, Default)]
pub struct Path {
    steps: [(u32, u32); DEPTH],
    length: usize,
}

impl Path {
    fn first(&self) -> u32 {
        self.steps[0].0
    }

    fn last(&self) -> u32 {
        self.steps[self.length - 1].0
    }
}

/// The codec.
pub struct Codec {
    address: u32,
    group: u32,
    widgets: [Widget; NODES],
}

impl Codec {
    /// Reads the whole tree of the codec at this address.
    pub fn walk(controller: &mut Controller, address: u32) -> Step<Self> {
        let mut codec = Self { address, group: 0, widgets: [Widget::default(); NODES] };
        let vendor = codec.parameter(controller, 0, parameter::VENDOR)?;
        for nid in children(codec.parameter(controller, 0, parameter::NODES)?) {
            if codec.parameter(controller, nid, parameter::GROUP)? & 0xFF == 1 {
                codec.group = nid;
            }
        }
        if codec.group == 0 || matches!(vendor >> 16, 0 | 0xFFFF) {
            return Err(wrong!("codec {address} of vendor {vendor:#x}: no audio function group"));
        }
        let (group, nodes) = (codec.group, codec.parameter(controller, codec.group, parameter::NODES)?);
        say!("codec address={address} vendor={vendor:#x} group={group} widgets={}", nodes & 0xFF);
        for (place, nid) in (0..NODES).zip(children(nodes)) {
            codec.widgets[place] = codec.widget(controller, nid)?;
        }
        Ok(codec)
    }

    fn widget(&self, controller: &mut Controller, nid: u32) -> Step<Widget> {
        let caps = self.parameter(controller, nid, parameter::WIDGET)?;
        let mut widget = Widget { nid, caps, ..Widget::default() };
        if widget.is(PIN) {
            widget.pin = self.parameter(controller, nid, parameter::PIN)?;
            widget.config = self.ask(controller, nid, verb::GET_DEFAULT, 0)?;
        }
        if caps & CONNECTION_LIST != 0 {
            self.read_list(controller, &mut widget)?;
        }
        let Widget { pin, config, list, count, .. } = widget;
        say!("widget nid={nid} caps={caps:#x} pin={pin:#x} config={config:#x} list={:?}", &list[..count]);
        Ok(widget)
    }

    /// The connection list, whose entries are short or long, and may be ranges. (7.1.2)
    fn read_list(&self, controller: &mut Controller, widget: &mut Widget) -> Step {
        let length = self.parameter(controller, widget.nid, parameter::CONNECTIONS)?;
        let (per_answer, bits) = if length & 0x80 == 0 { (4, 8) } else { (2, 16) };
        let range = 1 << (bits - 1);
        let (mut answer, mut previous) = (0, 0);
        for index in 0..length & 0x7F {
            if index % per_answer == 0 {
                answer = self.ask(controller, widget.nid, verb::CONNECTION_LIST, index)?;
            }
            let entry = answer >> (bits * (index % per_answer)) & ((range << 1) - 1);
            let to = entry & !range;
            for nid in if entry & range == 0 { to..=to } else { previous + 1..=to } {
                let Some(place) = widget.list.get_mut(widget.count) else {
                    return Err(wrong!("node {}: a list of more than {LIST}", widget.nid));
                };
                *place = nid;
                widget.count += 1;
            }
            previous = to;
        }
        Ok(())
    }

    fn find(&self, nid: u32) -> Option<&Widget> {
        self.widgets.iter().find(|widget| widget.nid == nid && nid != 0)
    }

    /// A path from the list of `from` to a widget that is wanted.
    fn path(&self, from: &Widget, wanted: impl Fn(&Widget) -> bool + Copy) -> Option<Path> {
        let mut path = Path::default();
        self.extend(from, wanted, &mut path).then_some(path)
    }

    fn extend(&self, at: &Widget, wanted: impl Fn(&Widget) -> bool + Copy, path: &mut Path) -> bool {
        let Some(place) = path.steps.get_mut(path.length) else { return false };
        let here = path.length;
        *place = (at.nid, 0);
        path.length += 1;
        if here > 0 && wanted(at) {
            return true;
        }
        for (index, nid) in (0..).zip(&at.list[..at.count]) {
            path.steps[here].1 = index;
            if self.find(*nid).is_some_and(|next| self.extend(next, wanted, path)) {
                return true;
            }
        }
        path.length = here;
        false
    }

    /// The paths of the output with the lowest association, by sequence.
    pub fn outputs(&self) -> ([Path; PINS], usize) {
        let pins =
            || self.widgets.iter().filter(|pin| pin.is_connected_pin(PIN_OUT) && pin.association() > 0);
        let first = pins().map(Widget::association).min();
        let (mut paths, mut count) = ([Path::default(); PINS], 0);
        for sequence in 0..16 {
            let pin = pins().find(|pin| Some(pin.association()) == first && pin.sequence() == sequence);
            let path = pin.and_then(|pin| self.path(pin, |widget| widget.is(OUTPUT)));
            if let (Some(path), Some(place)) = (path, paths.get_mut(count)) {
                *place = path;
                count += 1;
            }
        }
        (paths, count)
    }

    /// The path of the first input.
    pub fn input(&self) -> Step<Path> {
        let mut converters = self.widgets.iter().filter(|widget| widget.is(INPUT));
        converters
            .find_map(|converter| self.path(converter, |widget| widget.is_connected_pin(PIN_IN)))
            .ok_or_else(|| wrong!("no input converter reaches a pin"))
    }

    /// Opens a path for sound and connects its converter (`first` of an input) to a stream.
    pub fn open(&self, controller: &mut Controller, path: &Path, format: u32, stream: (u32, u32)) -> Step {
        for &(nid, index) in &path.steps[..path.length] {
            let Some(widget) = self.find(nid) else { return Err(wrong!("no node {nid}")) };
            self.power(controller, nid, 0)?;
            if widget.count > 1 && widget.is(PIN) {
                self.ask(controller, nid, verb::SELECT, index)?;
            }
            self.amplifier(controller, widget, OUT_AMP)?;
            self.amplifier(controller, widget, IN_AMP)?;
        }
        let ends = [path.first(), path.last()].map(|nid| self.find(nid).copied().unwrap_or_default());
        let [pin, converter] = if ends[0].is(PIN) { ends } else { [ends[1], ends[0]] };
        let headphones = if pin.pin & HEADPHONES != 0 { 0x80 } else { 0 };
        let control = if converter.is(OUTPUT) { 0x40 | headphones } else { 0x20 };
        self.set(controller, pin.nid, (verb::SET_PIN, verb::GET_PIN), control)?;
        if pin.pin & EAPD != 0 {
            self.set(controller, pin.nid, (verb::SET_EAPD, verb::GET_EAPD), 1 << 1)?;
        }
        self.expect_format(controller, &converter, format)?;
        self.set(controller, converter.nid, (verb::SET_FORMAT, verb::GET_FORMAT), format)?;
        let stream = stream.0 << 4 | stream.1;
        self.set(controller, converter.nid, (verb::SET_STREAM, verb::GET_STREAM), stream)?;
        say!("path pin={} converter={} stream={stream:#x}", pin.nid, converter.nid);
        Ok(())
    }

    /// Sees that the converter says it can do this format.
    fn expect_format(&self, controller: &mut Controller, converter: &Widget, format: u32) -> Step {
        let from = if converter.caps & FORMAT_OVERRIDE != 0 { converter.nid } else { self.group };
        let rates = self.parameter(controller, from, parameter::RATES)?;
        expect("PCM is offered", (self.parameter(controller, from, parameter::STREAMS)? & 1).into(), 1)?;
        let bits = 16 + (format >> 4 & 7);
        expect("the width is offered", u64::from(rates >> bits & 1), 1)?;
        // 44.1 kHz, 48 kHz and their doubles.
        let rate = match format >> 11 & 0xF {
            0 => 6,
            1 => 8,
            8 => 5,
            9 => 7,
            other => return Err(wrong!("rate {other} of this program's is not known to it")),
        };
        expect("the rate is offered", u64::from(rates >> rate & 1), 1)
    }

    /// Gain and mute of an amplifier, per channel, can be set and read; leaves it open, at 0 dB. (7.3.3.7)
    fn amplifier(&self, controller: &mut Controller, widget: &Widget, which: u32) -> Step {
        const MUTE: u32 = 1 << 7;
        if widget.caps & which == 0 {
            return Ok(());
        }
        let output = which == OUT_AMP;
        let from = if widget.caps & AMP_OVERRIDE != 0 { widget.nid } else { self.group };
        let number = if output { parameter::OUTPUT_AMP } else { parameter::INPUT_AMP };
        let caps = self.parameter(controller, from, number)?;
        let (offset, steps, mutes) = (caps & 0x7F, caps >> 8 & 0x7F, caps >> 31);
        let direction = if output { 1 << 15 } else { 1 << 14 };
        let (left, right) = (1 << 13, 1 << 12);
        let mute = MUTE * mutes;
        for (sides, value, [on_left, on_right]) in [
            (left | right, offset, [offset; 2]),
            (left, mute | steps, [mute | steps, offset]),
            (right, mute, [mute | steps, mute]),
            (left | right, offset, [offset; 2]),
        ] {
            self.ask(controller, widget.nid, verb::SET_AMP, direction | sides | value)?;
            for (side, wanted) in [(1 << 13, on_left), (0, on_right)] {
                let asked = if output { 1 << 15 } else { 0 } | side;
                let seen = self.ask(controller, widget.nid, verb::GET_AMP, asked)?;
                expect("gain and mute", seen.into(), wanted.into())?;
            }
        }
        say!("amplifier nid={} output={output} caps={caps:#x}", widget.nid);
        Ok(())
    }

    /// Brings a node into a power state, and waits for it. (7.3.3.10)
    pub fn power(&self, controller: &mut Controller, nid: u32, state: u32) -> Step {
        if nid != self.group && self.find(nid).is_none_or(|widget| widget.caps & POWER == 0) {
            return Ok(());
        }
        self.ask(controller, nid, verb::SET_POWER, state)?;
        for _ in 0..100 {
            if self.ask(controller, nid, verb::GET_POWER, 0)? & 0xFF == state << 4 | state {
                return Ok(());
            }
            controller.firmware.stall(1000);
        }
        Err(wrong!("node {nid} does not reach D{state}"))
    }

    /// The group goes to D3 and comes back.
    pub fn power_cycle(&self, controller: &mut Controller) -> Step {
        self.power(controller, self.group, 3)?;
        self.power(controller, self.group, 0)
    }

    /// A function reset, which is a RESET verb twice, takes what was set. (7.3.3.33)
    pub fn reset(&self, controller: &mut Controller) -> Step {
        let Some(converter) = self.widgets.iter().find(|widget| widget.is(OUTPUT)).map(|widget| widget.nid)
        else {
            return Err(wrong!("no output converter"));
        };
        self.set(controller, converter, (verb::SET_STREAM, verb::GET_STREAM), 0x51)?;
        for _ in 0..2 {
            self.ask(controller, self.group, verb::RESET, 0)?;
        }
        controller.firmware.stall(1000);
        let stream = self.ask(controller, converter, verb::GET_STREAM, 0)?;
        expect("stream and channel after a function reset", stream.into(), 0)?;
        self.power(controller, self.group, 0)
    }

    /// Sees that what is not there is answered all the same: with 0, where the specification says so.
    pub fn expect_answers(&self, controller: &mut Controller) -> Step {
        let absent = self.word(0x7E, verb::GET_PARAMETER, parameter::WIDGET);
        let words = [
            self.word(self.group, verb::GET_PARAMETER, 0x55),
            self.word(0, 0xFFE, 0),
            self.word(self.group, 0x7AA, 0x12),
            self.word(self.widgets[0].nid, 0x6, 0x1234),
            absent,
            self.word(0, verb::GET_PARAMETER, parameter::VENDOR),
        ];
        let mut answers = [u32::MAX; 6];
        controller.batch(&words, &mut answers)?;
        say!("answers to what is not there: {answers:x?}");
        expect("a parameter that is not there", answers[0].into(), 0)?;
        expect("the last of a batch", answers[5].into(), controller.command(words[5])?.into())
    }

    /// More commands at once than an interrupt's worth, over the end of both rings.
    pub fn expect_batches(&self, controller: &mut Controller) -> Step {
        const MANY: usize = 250;
        let word = |parameter| self.word(self.group, verb::GET_PARAMETER, parameter);
        let words = [parameter::NODES, parameter::GROUP, parameter::RATES].map(word);
        let mut known = [0; 3];
        controller.batch(&words, &mut known)?;
        let mut answers = [0; MANY];
        for _ in 0..2 {
            let many = core::array::from_fn::<u32, MANY, _>(|at| words[at % 3]);
            controller.batch(&many, &mut answers)?;
            for (at, answer) in answers.iter().enumerate() {
                expect("an answer of many", u64::from(*answer), u64::from(known[at % 3]))?;
            }
        }
        Ok(())
    }

    /// The pin of the headphones, whose jack can be seen.
    pub fn headphones(&self) -> Step<u32> {
        let wanted = |pin: &&Widget| pin.is_connected_pin(PIN_OUT) && pin.is_headphones() && pin.sees_jack();
        let pin = self.widgets.iter().find(wanted);
        pin.map(|pin| pin.nid).ok_or_else(|| wrong!("no headphones with presence detection"))
    }

    /// Asks for unsolicited responses with this tag.
    pub fn listen(&self, controller: &mut Controller, pin: u32, tag: u32) -> Step {
        self.set(controller, pin, (verb::SET_UNSOLICITED, verb::GET_UNSOLICITED), 0x80 | tag)
    }

    /// Whether something is plugged.
    pub fn plugged(&self, controller: &mut Controller, pin: u32) -> Step<bool> {
        Ok(self.ask(controller, pin, verb::GET_SENSE, 0)? & PLUGGED != 0)
    }

    /// The word that asks for the vendor.
    pub fn vendor_word(&self) -> u32 {
        self.word(0, verb::GET_PARAMETER, parameter::VENDOR)
    }

    fn word(&self, nid: u32, verb: u32, data: u32) -> u32 {
        let verb = if verb < 0x10 { verb << 16 } else { verb << 8 };
        self.address << 28 | nid << 20 | verb | data
    }

    fn ask(&self, controller: &mut Controller, nid: u32, verb: u32, data: u32) -> Step<u32> {
        controller.command(self.word(nid, verb, data))
    }

    /// Sets something and reads it back.
    fn set(&self, controller: &mut Controller, nid: u32, (set, get): (u32, u32), value: u32) -> Step {
        self.ask(controller, nid, set, value)?;
        let seen = self.ask(controller, nid, get, 0)?;
        if seen == value {
            return Ok(());
        }
        Err(wrong!("node {nid}: {set:#x} {value:#x}, but {get:#x} reads {seen:#x}"))
    }

    fn parameter(&self, controller: &mut Controller, nid: u32, number: u32) -> Step<u32> {
        self.ask(controller, nid, verb::GET_PARAMETER, number)
    }
}

/// The nodes of a "subordinate node count" parameter.
fn children(answer: u32) -> core::ops::Range<u32> {
    let first = answer >> 16 & 0xFF;
    first..first + (answer & 0xFF)
}
