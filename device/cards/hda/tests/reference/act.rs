//! What a guest does.

use proptest::prelude::*;
use ringwave_served::host_requests::HostRequests;

use super::codec::{GROUP, Kind, command};
use super::compare::Look;
use super::guest::{CORB, Entry, MEMORY, RIRB};
use super::stream::{Flag, Stream};
use super::{DESCRIPTORS, IN_AREA, IN_BYTES, LATE, MS, Model, OUT_AREA, OUT_BYTES, POSITIONS, list};

/// A list and what goes with it.
#[derive(Clone, Debug)]
pub struct Shape {
    /// SDFMT.
    pub format: u16,
    /// For each entry: bytes, where outputs have it, IOC.
    pub entries: Vec<(u32, u16, bool)>,
    /// SDCBL beside the sum of the entries.
    pub beyond: i32,
    /// An entry that is in no memory.
    pub nowhere: bool,
}

/// A driver's step; descriptors by their number in [`DESCRIPTORS`].
#[derive(Clone, Debug)]
pub enum Op {
    Pass(u64),
    /// SRST, and everything but RUN.
    SetUp(usize, Shape),
    /// The list alone, whatever the stream does.
    List(usize, Shape),
    /// SDCBL, SDLVI, SDFMT or SDBDPL, as a whole or its first byte.
    Poke(usize, u8, u16, bool),
    /// The low byte of SDCTL.
    Control(usize, bool, u8),
    /// All of SDCTL and the status, with a tag.
    ControlAll(usize, bool, u8, u8, u8),
    Srst(usize),
    Clear(usize, u8),
    Ssync(u8, bool),
    Intctl(u32, bool),
    Wakeen(bool),
    /// STATESTS, RIRBSTS: what is cleared.
    ClearOthers(bool, u8),
    Crst(u64),
    Unsol(bool),
    Flush,
    Rintcnt(u8),
    Rings(bool, u8),
    /// CORBRP, CORBWP and RIRBWP, with both stopped.
    ResetPointers,
    Corb(Vec<(u8, u8, u16)>),
    /// The amplifier of a converter, by number: left, right, mute, gain.
    Amplify(u8, u8, bool, u8),
    /// Tag and channel of a converter.
    Connect(u8, u8),
    Immediate(u8, u8, u16),
    ClearImmediate,
    Positions(bool),
    BusMaster(bool),
    Msi(bool),
    IntxOff(bool),
    ServeLine(bool),
    Jack(u32, bool),
    Tune,
}

/// Tags with channels: more often than not of the first endpoint, so that its converters take the same
/// channels.
const CONNECTIONS: [u32; 10] = [0x10, 0x10, 0x11, 0x11, 0x12, 0x14, 0x30, 0x31, 0x20, 0x00];

const FORMATS: [u16; 20] = [
    0x0011, 0x0011, 0x0011, 0x0011, 0x4011, 0x4011, 0x0010, 0x0015, 0x0021, 0x0031, 0x0041, 0x0812, 0x0510,
    0x4311, 0x1847, 0x5810, 0x0001, 0x0018, 0x8011, 0x2011,
];

fn shape() -> impl Strategy<Value = Shape> {
    let bytes = prop_oneof![
        6 => 100..4000_u32,
        2 => (1..40_u32).prop_map(|frames| frames * 192),
        1 => 1..20_u32,
        1 => Just(4),
    ];
    let entry = (bytes, any::<u16>(), any::<bool>());
    let beyond = prop_oneof![12 => Just(0), 1 => -200..0, 1 => -3..3];
    let entries = prop_oneof![
        8 => prop::collection::vec(entry.clone(), 1..8),
        1 => prop::collection::vec((Just(0), any::<u16>(), any::<bool>()), 1..2),
        1 => prop::collection::vec((3..30_u32, any::<u16>(), any::<bool>()), 30..60),
    ];
    (0..FORMATS.len(), entries, beyond, prop::bool::weighted(0.04)).prop_map(
        |(format, entries, beyond, nowhere)| Shape { format: FORMATS[format], entries, beyond, nowhere },
    )
}

/// Any step, and what is looked at after it.
pub fn op() -> impl Strategy<Value = (Op, Look)> {
    let d = || 0..DESCRIPTORS.len();
    let streams = prop_oneof![
        40 => prop_oneof![6 => 0..5 * MS, 2 => 0..200_000_u64, 1 => 0..2_u64, 1 => 5 * MS..30 * MS].prop_map(Op::Pass),
        1 => (LATE..LATE + 200 * MS).prop_map(Op::Pass),
        12 => (d(), shape()).prop_map(|(d, shape)| Op::SetUp(d, shape)),
        1 => (d(), shape()).prop_map(|(d, shape)| Op::List(d, shape)),
        2 => (d(), 0..4_u8, any::<u16>(), any::<bool>()).prop_map(|(d, r, v, b)| Op::Poke(d, r, v, b)),
        18 => (d(), prop::bool::weighted(0.7), 0..8_u8).prop_map(|(d, run, bits)| Op::Control(d, run, bits)),
        6 => (d(), prop::bool::weighted(0.7), 0..8_u8, 0..3_u8, 0..8_u8)
            .prop_map(|(d, run, bits, tag, clear)| Op::ControlAll(d, run, bits, tag, clear)),
        1 => d().prop_map(Op::Srst),
        9 => (d(), 0..8_u8).prop_map(|(d, bits)| Op::Clear(d, bits)),
        2 => (prop_oneof![3 => Just(0), 1 => any::<u8>()], any::<bool>()).prop_map(|(bits, old)| Op::Ssync(bits, old)),
        2 => Just(Op::Tune),
    ];
    let controller = prop_oneof![
        4 => (prop_oneof![3 => Just(0xC000_00FF), 1 => any::<u32>()], any::<bool>()).prop_map(|(v, bytes)| Op::Intctl(v, bytes)),
        1 => any::<bool>().prop_map(Op::Wakeen),
        4 => (any::<bool>(), 0..8_u8).prop_map(|(state, bits)| Op::ClearOthers(state, bits)),
        1 => prop_oneof![0..2_u64, 0..3 * MS].prop_map(Op::Crst),
        1 => any::<bool>().prop_map(Op::Unsol),
        1 => Just(Op::Flush),
        1 => any::<u8>().prop_map(Op::Rintcnt),
        2 => (prop::bool::weighted(0.8), prop_oneof![4 => 3..4_u8, 1 => 0..8_u8]).prop_map(|(corb, rirb)| Op::Rings(corb, rirb)),
        1 => Just(Op::ResetPointers),
        8 => prop::collection::vec(any::<(u8, u8, u16)>(), 1..12).prop_map(Op::Corb),
        8 => (any::<u8>(), 1..4_u8, prop::bool::weighted(0.3), 0..0x4B_u8)
            .prop_map(|(n, sides, mute, gain)| Op::Amplify(n, sides, mute, gain)),
        4 => any::<(u8, u8)>().prop_map(|(n, tag)| Op::Connect(n, tag)),
        2 => any::<(u8, u8, u16)>().prop_map(|(n, v, p)| Op::Immediate(n, v, p)),
        1 => Just(Op::ClearImmediate),
        2 => prop::bool::weighted(0.8).prop_map(Op::Positions),
        4 => prop::bool::weighted(0.6).prop_map(Op::BusMaster),
        2 => any::<bool>().prop_map(Op::Msi),
        1 => any::<bool>().prop_map(Op::IntxOff),
        4 => any::<bool>().prop_map(Op::ServeLine),
        2 => (0..4_u32, any::<bool>()).prop_map(|(e, plugged)| Op::Jack(e, plugged)),
    ];
    let look = prop_oneof![Just(Look::Memory), Just(Look::Position)];
    (prop_oneof![2 => streams.boxed(), 1 => controller.boxed()], look)
}

fn base(index: usize) -> u64 {
    0x80 + 0x20 * index as u64
}

/// Tags: of the first descriptor of each direction 1 or 2, of the second 3. Both directions have the same.
fn tag(index: usize, choice: u8) -> u8 {
    if matches!(index, 0 | 4) { [0, 1, 2][usize::from(choice)] } else { [0, 3, 3][usize::from(choice)] }
}

impl Model {
    /// CRST, the rings, and everything connected to tag 1.
    pub fn start_up(&mut self) {
        self.step_outside(&Op::BusMaster(true));
        self.set_crst();
        self.start_rings();
        for kind in [Kind::Dac, Kind::Adc] {
            // All of the first endpoint have tag 1, and two channels each; the second has tag 3.
            let second = if kind == Kind::Dac { 1 } else { 3 };
            let mut channel = 0;
            let mut commands = Vec::new();
            for (nid, node) in self.codec.converters(kind) {
                let tag = if node.endpoint == second { 0x30 } else { 0x10 + channel };
                channel += 2;
                commands.push(nid << 20 | 0x70600 | tag);
            }
            self.corb(&commands);
        }
    }

    fn set_crst(&mut self) {
        self.write(0x08, [1, 0, 0, 0], |model| {
            model.crst = true;
            model.since = model.now;
            model.statests |= 1;
        });
    }

    fn start_rings(&mut self) {
        self.write(0x40, CORB.to_le_bytes(), |_| {});
        self.write(0x50, RIRB.to_le_bytes(), |_| {});
        self.write(0x4C, [2], |model| model.corb_ctl = 2);
        self.write(0x5C, [3], |model| model.rirb_ctl = 3);
    }

    /// Commands by the CORB, all by one write of CORBWP.
    fn corb(&mut self, commands: &[u32]) {
        let mut at = self.corb_wp;
        for command in commands {
            at = (at + 1) & 0xFF;
            self.guest.store(CORB + 4 * u64::from(at), &command.to_le_bytes());
        }
        self.write(0x48, at.to_le_bytes(), |model| model.run_corb(at));
    }

    pub fn step(&mut self, op: &Op) {
        match op {
            Op::Pass(nanoseconds) => self.pass(*nanoseconds),
            Op::Tune => self.tune(self.memory.version() % 100 + 1),
            Op::BusMaster(_) | Op::Msi(_) | Op::IntxOff(_) | Op::ServeLine(_) | Op::Jack(..) => {
                self.step_outside(op);
            }
            Op::SetUp(..)
            | Op::List(..)
            | Op::Poke(..)
            | Op::Control(..)
            | Op::ControlAll(..)
            | Op::Srst(_)
            | Op::Clear(..) => {
                self.step_stream(op);
            }
            _ => self.step_controller(op),
        }
    }

    fn step_controller(&mut self, op: &Op) {
        match *op {
            Op::Ssync(bits, old) => {
                let offset = if old { 0x34 } else { 0x38 };
                self.write(offset, [bits, 0, 0, 0], |model| {
                    model.ssync = bits.into();
                    model.update_lines();
                });
            }
            Op::Intctl(value, by_bytes) => {
                let value = value & 0xC000_00FF;
                let [low, .., high] = value.to_le_bytes();
                if by_bytes {
                    self.write(0x20, [low], |model| model.intctl = model.intctl & !0xFF | u32::from(low));
                    self.write(0x23, [high], |model| model.intctl = value);
                } else {
                    self.write(0x20, value.to_le_bytes(), |model| model.intctl = value);
                }
            }
            Op::Wakeen(on) => self.write(0x0C, [on.into(), 0], |model| model.wakeen = on.into()),
            Op::ClearOthers(true, bits) => {
                self.write(0x0E, [bits, 0], |model| model.statests &= !u16::from(bits));
            }
            Op::ClearOthers(false, bits) => self.write(0x5D, [bits], |model| {
                model.rirb_flag &= bits & 1 == 0;
                if bits & 4 != 0 {
                    model.overrun = Flag::default();
                }
            }),
            Op::Crst(nanoseconds) => self.reset_controller(nanoseconds),
            Op::Unsol(on) => self.write(0x08, [1, on.into(), 0, 0], |model| model.unsol = on),
            Op::Flush => {
                let unsol = u8::from(self.unsol);
                self.write(0x08, [3, unsol, 0, 0], |model| model.gsts = 2);
                self.compare(Look::Memory);
                self.write(0x10, [2, 0], |model| model.gsts = 0);
            }
            Op::Rintcnt(count) => self.write(0x5A, [count, 0], |model| model.rintcnt = count),
            Op::Positions(on) => {
                let value = POSITIONS as u32 | u32::from(on);
                self.write(0x70, value.to_le_bytes(), |model| {
                    model.dpl = value;
                    model.positions_since = model.now;
                });
            }
            _ => self.step_rings(op),
        }
    }

    fn reset_controller(&mut self, nanoseconds: u64) {
        self.write(0x08, [0; 4], Self::reset);
        self.compare(Look::Position);
        // But for WAKEEN and STATESTS writes have no effect.
        self.write(0x20, [0xFF; 4], |_| {});
        self.write(0x92, [0x11, 0], |_| {});
        self.compare(Look::Position);
        self.pass(nanoseconds);
        self.compare(Look::Position);
        self.start_up();
    }

    fn step_rings(&mut self, op: &Op) {
        match op {
            Op::Rings(corb, rirb) => {
                let corb = u8::from(*corb) << 1;
                self.write(0x5C, [*rirb], |model| model.rirb_ctl = *rirb);
                self.write(0x4C, [corb], |model| model.corb_ctl = corb);
                // With CORB stopped there are no commands to be fetched, so both pointers go on from there.
            }
            Op::ResetPointers => self.reset_pointers(),
            Op::Corb(numbers) => {
                if self.corb_ctl & 2 == 0 || !self.bus_master {
                    return;
                }
                let commands: Vec<u32> = numbers.iter().map(|&(n, v, p)| self.command(n, v, p)).collect();
                self.corb(&commands);
            }
            Op::Amplify(number, sides, mute, gain) => {
                let (nid, kind) = self.converter(*number);
                // What an input stores is compared to the bit: it is muted, or not changed.
                let gain = if kind == Kind::Adc && self.codec.amplifiers { 0x4A } else { u32::from(*gain) };
                let payload = 0xC000 | u32::from(*sides) << 12 | u32::from(*mute) << 7 | gain;
                self.immediately(nid << 20 | 0x3_0000 | payload);
            }
            Op::Connect(number, tag) => {
                let (nid, _) = self.converter(*number);
                let command = nid << 20 | 0x7_0600 | CONNECTIONS[usize::from(*tag) % CONNECTIONS.len()];
                self.immediately(self.unless_it_moves_inputs(command));
            }
            Op::Immediate(n, v, p) => {
                let command = self.command(*n, *v, *p);
                self.immediately(command);
            }
            Op::ClearImmediate => self.write(0x68, [2, 0], |model| model.immediate.2 = false),
            _ => unreachable!("{op:?}"),
        }
    }

    /// One of the converters.
    fn converter(&self, number: u8) -> (u32, Kind) {
        let nodes = self.codec.nodes.iter().filter(|(_, node)| !matches!(node.kind, Kind::Pin(_)));
        let converters: Vec<(u32, Kind)> = nodes.map(|(nid, node)| (*nid, node.kind)).collect();
        converters[usize::from(number) % converters.len()]
    }

    /// An immediate command.
    fn immediately(&mut self, command: u32) {
        self.write(0x60, command.to_le_bytes(), |model| model.immediate.0 = command);
        self.write(0x68, [1, 0], |model| {
            model.immediate.1 = model.codec.answer(command);
            model.immediate.2 = true;
        });
    }

    fn reset_pointers(&mut self) {
        let (corb, rirb) = (self.corb_ctl, self.rirb_ctl);
        self.write(0x4C, [corb & !2], |model| model.corb_ctl = corb & !2);
        self.write(0x5C, [rirb & !2], |model| model.rirb_ctl = rirb & !2);
        self.write(0x4A, 0x8000_u16.to_le_bytes(), |_| {});
        assert_eq!(self.guest.read16(0x4A), 0x8000, "CORBRPRST reads as it was written, and CORBRP is 0");
        self.write(0x4A, [0, 0], |_| {});
        self.write(0x48, [0, 0], |model| model.corb_wp = 0);
        self.write(0x58, 0x8000_u16.to_le_bytes(), |model| model.rirb_wp = 0);
        self.compare(Look::Memory);
        self.write(0x5C, [rirb], |model| model.rirb_ctl = rirb);
        self.write(0x4C, [corb], |model| model.corb_ctl = corb);
    }

    /// A command that does not change what a moving input is connected to.
    fn command(&self, node: u8, verb: u8, payload: u16) -> u32 {
        self.unless_it_moves_inputs(command(&self.codec, node, verb, payload))
    }

    fn unless_it_moves_inputs(&self, command: u32) -> u32 {
        let moving = self.streams[..2].iter().any(|stream| stream.line.is_some());
        if moving && self.codec.moves_inputs(command) { GROUP << 20 | 0xF0500 } else { command }
    }

    fn step_outside(&mut self, op: &Op) {
        match *op {
            Op::BusMaster(on) => {
                if on != self.bus_master {
                    self.bus_master_since = self.now;
                    // What an input has not stored of its burst is lost, or stored late.
                    for (input, stream) in self.inputs.iter_mut().zip(&self.streams) {
                        if stream.line.is_some() {
                            input.lost = Some(self.now);
                        }
                    }
                    if on {
                        self.memory.outage_ends(self.now);
                    } else {
                        self.memory.outage(self.now);
                    }
                }
                self.bus_master = on;
                self.configure();
            }
            Op::Msi(on) => {
                self.msi = on;
                self.guest.config(0x52, &[on.into(), 0]);
                self.settle(0, true);
            }
            Op::IntxOff(off) => {
                self.intx_off = off;
                self.configure();
            }
            Op::ServeLine(unmask) => self.serve_line(unmask),
            Op::Jack(endpoint, plugged) => self.jack(endpoint, plugged),
            _ => unreachable!("{op:?}"),
        }
    }

    fn configure(&mut self) {
        self.guest.config(4, &[2 | u8::from(self.bus_master) << 2, u8::from(self.intx_off) << 2]);
        self.settle(0, true);
    }

    fn jack(&mut self, endpoint: u32, plugged: bool) {
        self.guest.card.set_jack(endpoint, plugged).unwrap();
        let was = std::mem::replace(&mut self.codec.jacks[endpoint as usize], plugged);
        let pins: Vec<u8> =
            self.codec.converters(Kind::Pin(endpoint)).map(|(_, pin)| pin.unsolicited).collect();
        for pin in pins {
            if was != plugged && self.unsol && pin & 0x80 != 0 {
                self.respond(Some(u32::from(pin & 0x3F) << 26), 0x10);
            }
        }
        self.settle(0, false);
    }

    fn step_stream(&mut self, op: &Op) {
        match op {
            Op::SetUp(number, shape) => self.set_up(DESCRIPTORS[*number], shape),
            Op::List(number, shape) => self.store_list(DESCRIPTORS[*number], shape),
            Op::Poke(number, register, value, whole) => {
                self.poke(DESCRIPTORS[*number], *register, *value, *whole);
            }
            Op::Control(number, run, bits) => {
                let index = DESCRIPTORS[*number];
                let low = u8::from(*run) << 1 | bits << 2;
                self.write(base(index), [low], |model| model.control(index, low));
            }
            Op::ControlAll(number, run, bits, choice, clear) => {
                let index = DESCRIPTORS[*number];
                let moving_input = index < 2 && self.streams[index].line.is_some();
                let tag = if moving_input { self.streams[index].tag } else { tag(index, *choice) };
                let low = u8::from(*run) << 1 | bits << 2;
                let clear = clear << 2;
                let refused = *run && !self.streams[index].run && self.found(index).is_none();
                // Set and cleared by one write is nothing to be tested.
                let clear = if refused { clear & !0x10 } else { clear };
                self.write(base(index), [low, 0, tag << 4, clear], |model| {
                    model.clear(index, clear);
                    model.streams[index].tag = tag;
                    model.control(index, low);
                });
            }
            Op::Srst(number) => self.srst(DESCRIPTORS[*number]),
            Op::Clear(number, bits) => {
                let (index, bits) = (DESCRIPTORS[*number], bits << 2);
                self.write(base(index) + 3, [bits], |model| model.clear(index, bits));
            }
            _ => unreachable!("{op:?}"),
        }
    }

    fn control(&mut self, index: usize, low: u8) {
        self.streams[index].enables = low & 0x1C;
        if low & 2 == 0 {
            self.streams[index].run = false;
            self.update_lines();
        } else if !self.streams[index].run {
            self.run(index);
        }
    }

    fn clear(&mut self, index: usize, bits: u8) {
        let now = self.now;
        let stream = &mut self.streams[index];
        if bits & 4 != 0 {
            stream.bcis.set = false;
        }
        if bits & 8 != 0 {
            stream.fifoe.set = false;
            stream.fifoe_cleared = now;
        }
        stream.dese &= bits & 0x10 == 0;
    }

    fn srst(&mut self, index: usize) {
        self.write(base(index), [1], |model| {
            model.streams[index].run = false;
            model.update_lines();
            model.streams[index] = Stream::default();
        });
        assert_eq!(self.guest.read::<4>(base(index)), [1, 0, 4, 0], "SRST");
        self.write(base(index), [0], |_| {});
    }

    /// The list of a shape, stored where it is meant to be. Gives how long the ring is.
    fn store_list(&mut self, index: usize, shape: &Shape) {
        let mut next = IN_AREA[index % 2] + 3;
        for (at, &(bytes, place, ioc)) in (list(index)..).step_by(16).zip(&shape.entries) {
            let entry: Entry = if index < 4 {
                let begin = next;
                next += u64::from(bytes) + 5;
                (begin, bytes, ioc)
            } else {
                (OUT_AREA + u64::from(place) % (OUT_BYTES - 8192), bytes, ioc)
            };
            let address = if shape.nowhere { MEMORY - 1 } else { entry.0 };
            self.guest.store(at, &address.to_le_bytes());
            self.guest.store(at + 8, &bytes.to_le_bytes());
            self.guest.store(at + 12, &u32::from(ioc).to_le_bytes());
        }
        assert!(next <= IN_AREA[index % 2] + IN_BYTES);
    }

    fn set_up(&mut self, index: usize, shape: &Shape) {
        self.srst(index);
        self.store_list(index, shape);
        let sum: u32 = shape.entries.iter().map(|(bytes, ..)| bytes).sum();
        let bytes = sum.saturating_add_signed(shape.beyond);
        let lvi = shape.entries.len() as u16 - 1;
        self.write(base(index) + 8, bytes.to_le_bytes(), |model| model.streams[index].cbl = bytes);
        self.write(base(index) + 0xC, lvi.to_le_bytes(), |model| model.streams[index].lvi = lvi);
        self.set_format(index, shape.format.to_le_bytes());
        let bdl = list(index);
        self.write(base(index) + 0x18, bdl.to_le_bytes(), |model| model.streams[index].bdl = bdl);
        let tag = tag(index, 1);
        self.write(base(index) + 2, [tag << 4], |model| model.streams[index].tag = tag);
    }

    /// SDFMT; SDFIFOS is valid from then on, and static.
    fn set_format<const N: usize>(&mut self, index: usize, bytes: [u8; N]) {
        self.write(base(index) + 0x12, bytes, |model| {
            let mut format = model.streams[index].fmt.to_le_bytes();
            format[..N].copy_from_slice(&bytes);
            let fifos = model.guest.read16(base(index) + 0x10);
            let stream = &mut model.streams[index];
            // Bits 15 and 7 are reserved: 0.
            stream.fmt = u16::from_le_bytes(format) & 0x7F7F;
            stream.fifos = Some(fifos);
            assert_ne!(fifos, 0, "SDFIFOS");
            if let Some(format) = super::stream::format(stream.fmt) {
                let frames = (u32::from(fifos) + 1) / format.frame_bytes();
                assert!(frames * 1000 <= format.rate + 999 && frames > 0, "SDFIFOS: {frames} frames");
            }
        });
    }

    /// A register that keeps its value in RUN.
    fn poke(&mut self, index: usize, register: u8, value: u16, whole: bool) {
        let [low, high] = value.to_le_bytes();
        if self.streams[index].run {
            let offset = base(index) + [0x8, 0xC, 0x12, 0x18][usize::from(register)];
            if whole {
                self.write(offset, [low, high], |_| {});
            } else {
                self.write(offset, [low], |_| {});
            }
            return;
        }
        match (register, whole) {
            (0, true) => {
                let bytes = u32::from(value) % 0x3000;
                self.write(base(index) + 8, bytes.to_le_bytes(), |model| model.streams[index].cbl = bytes);
            }
            (0, false) => self.write(base(index) + 8, [low], |model| {
                model.streams[index].cbl = model.streams[index].cbl & !0xFF | u32::from(low);
            }),
            (1, true) => self
                .write(base(index) + 0xC, [low & 7, 0], |model| model.streams[index].lvi = (low & 7).into()),
            (1, false) => {
                self.write(base(index) + 0xC, [low & 7], |model| model.streams[index].lvi = (low & 7).into());
            }
            (2, true) => self.set_format(index, FORMATS[usize::from(high) % FORMATS.len()].to_le_bytes()),
            (2, false) => self.set_format(index, [0x11]),
            _ => {
                // The seven lowest bits are 0.
                let bdl = list(index);
                let address = bdl as u32 | u32::from(low & 0x7F);
                self.write(base(index) + 0x18, address.to_le_bytes(), |model| model.streams[index].bdl = bdl);
            }
        }
    }
}
