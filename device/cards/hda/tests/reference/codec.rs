//! The codec of HDA.md 4: what each command answers, and what it changes.

use std::collections::BTreeMap;

use super::guest::Guest;

/// What a node is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Dac,
    Adc,
    /// Of an endpoint: render endpoints first.
    Pin(u32),
}

#[derive(Clone, Debug)]
pub struct Node {
    pub kind: Kind,
    /// The endpoint it is of, render endpoints first.
    pub endpoint: u32,
    /// It is the first of its endpoint's nodes of that kind.
    pub first: bool,
    /// Stream tag and channel.
    pub converter: u8,
    format: u32,
    /// Left and right.
    amplifier: [u32; 2],
    pin_control: u32,
    pub unsolicited: u8,
    eapd: u32,
    pin_default: u32,
}

#[derive(Clone, Debug)]
pub struct Codec {
    pub nodes: BTreeMap<u32, Node>,
    power_on: BTreeMap<u32, Node>,
    power: u32,
    /// The group's.
    unsolicited: u32,
    pub jacks: [bool; 4],
    /// The amplifiers change what is heard and captured.
    pub amplifiers: bool,
}

/// For each channel of a stream: mute and gain, as the verb has them.
pub type Gains = [u32; 16];
/// No channel is changed.
pub const UNCHANGED: Gains = [FULL; 16];

pub const GROUP: u32 = 1;
const SET_TAG: u32 = 0x706;
const RESET: u32 = 0x7FF;
/// Gain of 0 dB, not muted.
const FULL: u32 = 0x4A;

impl Codec {
    /// What a driver finds on a card after its reset. What the contract leaves open is what is found.
    pub fn found(guest: &Guest, channels: u32, amplifiers: bool) -> Self {
        let count = guest.command(GROUP, 0xF0004);
        let (first, count) = (count >> 16, count & 0xFF);
        let mut nodes = BTreeMap::new();
        for nid in first..first + count {
            let capabilities = guest.command(nid, 0xF0009);
            let kind = match capabilities >> 20 & 0xF {
                0 => Kind::Dac,
                1 => Kind::Adc,
                4 => Kind::Pin(u32::MAX),
                other => panic!("node {nid}: a widget of type {other}"),
            };
            let node = Node {
                kind,
                endpoint: u32::MAX,
                first: false,
                converter: 0,
                format: guest.command(nid, 0xA0000),
                amplifier: [FULL; 2],
                pin_control: guest.command(nid, 0xF0700),
                unsolicited: 0,
                eapd: guest.command(nid, 0xF0C00),
                pin_default: guest.command(nid, 0xF1C00),
            };
            nodes.insert(nid, node);
        }
        find_endpoints(guest, &mut nodes);
        let pairs = |endpoint| nodes.values().filter(|node: &&Node| node.endpoint == endpoint).count() / 2;
        assert_eq!([0, 1, 2, 3].map(pairs), [channels as usize / 2, 1, 1, 1], "converters with a pin each");
        Self { power_on: nodes.clone(), nodes, power: 0, unsolicited: 0, jacks: [true; 4], amplifiers }
    }

    pub fn converters(&self, kind: Kind) -> impl Iterator<Item = (u32, &Node)> {
        self.nodes.iter().filter(move |(_, node)| node.kind == kind).map(|(nid, node)| (*nid, node))
    }

    /// The first converter of each endpoint.
    pub fn first_converters(&self, kind: Kind) -> impl Iterator<Item = (u32, &Node)> {
        self.converters(kind).filter(|(_, node)| node.first)
    }

    /// The first endpoint whose first converter has this tag: its number among those of that kind.
    pub fn endpoint_of(&self, kind: Kind, tag: u8) -> Option<usize> {
        self.first_converters(kind).position(|(_, node)| tag != 0 && node.converter >> 4 == tag)
    }

    /// What the amplifiers of an endpoint make of its stream: each converter with its tag takes two channels,
    /// and a channel goes through the first converter that takes it.
    pub fn gains(&self, endpoint: u32) -> Gains {
        let mut gains = UNCHANGED;
        let converters: Vec<&Node> = self
            .nodes
            .values()
            .filter(|node| node.endpoint == endpoint && matches!(node.kind, Kind::Dac | Kind::Adc))
            .collect();
        let tag = converters.iter().find(|node| node.first).unwrap().converter >> 4;
        if !self.amplifiers || tag == 0 {
            return gains;
        }
        for node in converters.into_iter().rev().filter(|node| node.converter >> 4 == tag) {
            let from = usize::from(node.converter & 0xF);
            for (gain, amplifier) in gains.iter_mut().skip(from).zip(node.amplifier) {
                *gain = amplifier;
            }
        }
        gains
    }

    /// Whether a command changes what inputs are connected to.
    pub fn moves_inputs(&self, command: u32) -> bool {
        let (nid, verb) = (command >> 20 & 0xFF, command >> 8 & 0xFFF);
        let adc = self.nodes.get(&nid).is_some_and(|node| node.kind == Kind::Adc);
        command >> 28 == 0 && (verb == SET_TAG && adc || verb == RESET && nid == GROUP)
    }

    /// Reset of the function group, or of the link.
    pub fn reset(&mut self) {
        for (nid, node) in &mut self.nodes {
            let pin_default = node.pin_default;
            *node = self.power_on[nid].clone();
            node.pin_default = pin_default;
        }
        (self.power, self.unsolicited) = (0, 0);
    }

    /// Does a command and gives its answer; `None`: the contract does not say.
    pub fn answer(&mut self, command: u32) -> Option<u32> {
        if command >> 28 != 0 {
            return Some(0);
        }
        let (nid, verb, payload) = (command >> 20 & 0xFF, command >> 8 & 0xFFF, command & 0xFF);
        match (nid, verb, payload) {
            (0, 0xF00, 0) => return Some(0x1234_5248),
            (0, 0xF00, 4) => return Some(0x0001_0001),
            (_, 0xF00, _) => return None,
            (GROUP, RESET, _) => {
                self.reset();
                return Some(0);
            }
            (GROUP, 0x705, _) => {
                self.power = payload;
                return Some(0);
            }
            (GROUP, 0xF05, _) => return Some(self.power << 4 | self.power),
            (GROUP, 0x708, _) => {
                self.unsolicited = payload;
                return Some(0);
            }
            (GROUP, 0xF08, _) => return Some(self.unsolicited),
            _ => {}
        }
        let plugged = self.jacks;
        let Some(node) = self.nodes.get_mut(&nid) else { return Some(0) };
        Some(node.answer(command, plugged))
    }
}

/// Which node is of which endpoint: pins of one association and their converters, in order of the pins,
/// outputs first. The first of them has the lowest sequence.
fn find_endpoints(guest: &Guest, nodes: &mut BTreeMap<u32, Node>) {
    let connected = |nid: u32| guest.command(nid, 0xF0200) & 0xFF;
    let pairs = |out: bool| {
        let mut pairs = Vec::new();
        for (nid, node) in nodes.iter() {
            match node.kind {
                Kind::Pin(_) if out && guest.command(*nid, 0xF000C) >> 4 & 1 != 0 => {
                    pairs.push((*nid, connected(*nid)));
                }
                Kind::Adc if !out => pairs.push((connected(*nid), *nid)),
                _ => {}
            }
        }
        pairs
    };
    let mut endpoint = 0;
    for pairs in [pairs(true), pairs(false)] {
        let mut associations: Vec<(u32, u32, u32)> = Vec::new();
        for (pin, converter) in pairs {
            let association = nodes[&pin].pin_default >> 4 & 0xF;
            let known = associations.iter().find(|(known, ..)| *known == association).copied();
            let (_, number, first) = known.unwrap_or_else(|| {
                associations.push((association, endpoint, converter));
                endpoint += 1;
                (association, endpoint - 1, converter)
            });
            for nid in [pin, converter] {
                let node = nodes.get_mut(&nid).unwrap();
                (node.endpoint, node.first) = (number, first == converter);
                if matches!(node.kind, Kind::Pin(_)) {
                    node.kind = Kind::Pin(number);
                }
            }
        }
    }
}

impl Node {
    fn answer(&mut self, command: u32, plugged: [bool; 4]) -> u32 {
        let (verb, payload) = (command >> 8 & 0xFFF, command & 0xFF);
        let converter = matches!(self.kind, Kind::Dac | Kind::Adc);
        match (verb >> 8, self.kind) {
            (0x2, _) if converter => self.format = command & 0xFFFF,
            (0xA, _) if converter => return self.format,
            (0x3, Kind::Dac | Kind::Adc) => self.set_amplifier(command & 0xFFFF),
            (0xB, Kind::Dac | Kind::Adc) => {
                let output = command >> 15 & 1 != 0;
                let left = command >> 13 & 1 != 0;
                let there = output == (self.kind == Kind::Dac);
                return if there { self.amplifier[usize::from(!left)] } else { 0 };
            }
            _ => {}
        }
        match (verb, self.kind) {
            (SET_TAG, _) if converter => self.converter = payload as u8,
            (0xF06, _) if converter => return self.converter.into(),
            (0x707, Kind::Pin(_)) => self.pin_control = payload,
            (0xF07, Kind::Pin(_)) => return self.pin_control,
            (0x708, Kind::Pin(_)) => self.unsolicited = payload as u8,
            (0xF08, Kind::Pin(_)) => return self.unsolicited.into(),
            (0xF09, Kind::Pin(endpoint)) => return u32::from(plugged[endpoint as usize]) << 31,
            (0x70C, Kind::Pin(0..2)) => self.eapd = payload,
            (0xF0C, Kind::Pin(0..2)) => return self.eapd,
            (0x71C..=0x71F, Kind::Pin(_)) => {
                let mut bytes = self.pin_default.to_le_bytes();
                bytes[(verb - 0x71C) as usize] = payload as u8;
                self.pin_default = u32::from_le_bytes(bytes);
            }
            (0xF1C, Kind::Pin(_)) => return self.pin_default,
            _ => {}
        }
        0
    }

    /// Output, input, left, right, index, mute and gain.
    fn set_amplifier(&mut self, payload: u32) {
        let own = if self.kind == Kind::Dac { 15 } else { 14 };
        if payload >> own & 1 == 0 || payload >> 8 & 0xF != 0 {
            return;
        }
        for (side, amplifier) in [13, 12].into_iter().zip(&mut self.amplifier) {
            if payload >> side & 1 != 0 {
                *amplifier = payload & 0xFF;
            }
        }
    }
}

/// A command out of numbers: only such as the specification gives a meaning to, or none at all.
pub fn command(codec: &Codec, node: u8, verb: u8, payload: u16) -> u32 {
    let low = u32::from(payload & 0xFF);
    let word = u32::from(payload);
    let tag = u32::from(payload % 4) << 4 | u32::from(payload >> 8 & 7);
    let nids: Vec<u32> = codec.nodes.keys().copied().collect();
    let nid = nids[usize::from(node) % nids.len()];
    let kind = codec.nodes[&nid].kind;
    let (nid, verb) = match verb % 20 {
        0..4 if matches!(kind, Kind::Pin(_)) => (nid, 0x70800 | low & 0xBF),
        0..4 => (nid, SET_TAG << 8 | tag),
        4 => (nid, 0xF0600),
        5 => (nid, 0x20000 | word),
        6 => (nid, 0xA0000),
        // What an input stores is compared to the bit: it is muted, or not changed.
        7 if kind == Kind::Adc && codec.amplifiers => (nid, 0x30000 | word & 0xF080 | FULL),
        7 => (nid, 0x30000 | word & 0xF080 | word % 0x4B),
        8 => (nid, 0xB0000 | word & 0xA000),
        9 if word & 0x100 != 0 => (GROUP, 0x70800 | low & 0xBF),
        9 => (GROUP, 0x70500 | if low & 1 != 0 { 3 } else { 0 }),
        10 => (GROUP, if low & 1 != 0 { 0xF0500 } else { 0xF0800 }),
        11 => match kind {
            Kind::Pin(0..2) => (nid, 0x70700 | low & 0x40),
            _ => (nid, 0x70700 | low & 0x20),
        },
        12 => (nid, 0xF0700 | u32::from(payload % 3) << 8),
        13 => (nid, 0x70C00 | low & 2),
        14 => (nid, 0xF0C00),
        15 => (nid, 0x71C00 + (word >> 8 & 3) * 0x100 | low),
        16 => (nid, 0xF1C00),
        17 => (GROUP, 0x7FF00),
        18 => match payload % 4 {
            // No such verb, no such node, no such codec.
            0 => (nid, 0xF7700 | low),
            1 => (nid, 0x74200 | low),
            2 => (0x7E, 0xF0000),
            _ => return (1 + u32::from(node % 14)) << 28 | nid << 20 | 0xF0000,
        },
        _ => (0, 0xF0000 | if low & 1 != 0 { 4 } else { 0 }),
    };
    nid << 20 | verb
}
