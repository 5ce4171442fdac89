//! Everything a guest can do to the function: configuration space, registers of every width, maps, power,
//! resets, time. The card's shell ([`ringwave_pci_card`]) is left out, with its threads and its clock; what
//! it does between configuration space and controller is done here.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use ringwave_card::controller::{Config, Controller};
use ringwave_card::env::ClockMode;
use ringwave_card::pci::{Identity, layout, spec};
use ringwave_fuzz::bench::Bench;
use ringwave_fuzz::ram::{GuestAddress, MapSpec, Ram};
use ringwave_fuzz::watch::Watch;
use ringwave_pci::config::{ConfigSpace, Settings};
use ringwave_regs::dma::Slot;
use ringwave_regs::{format, global, pages, pci, stream as regs};
use ringwave_vfio_user::pci::{ControlRequest, PowerState};

#[derive(Arbitrary, Debug)]
struct Input {
    sealed: bool,
    lockstep: bool,
    streams: u8,
    dma_bits: u8,
    maps: [MapSpec; 2],
    ops: Vec<Op>,
}

#[derive(Arbitrary, Debug)]
enum Op {
    /// STOP, a set-up that can be played, and up to PAUSE.
    SetUp {
        stream: u8,
        packet: u8,
        two: bool,
        mono: bool,
        slow: bool,
        at: GuestAddress,
        table: Option<u8>,
    },
    State {
        stream: u8,
        state: u8,
    },
    /// A store to the mark page: relative to the packet count, with the tag of the day or one beside it,
    /// whole or one half, told or not.
    Mark {
        stream: u8,
        ahead: i8,
        tag: i8,
        half: u8,
        told: u8,
    },
    /// Relative to the packet count.
    Written {
        stream: u8,
        ahead: i8,
    },
    EndOfStream {
        stream: u8,
        armed: bool,
        frames: u16,
    },
    Start {
        stream: u8,
        frame: u64,
        wrong: bool,
    },
    IntEnable {
        stream: u8,
        bits: u8,
    },
    Register {
        stream: u8,
        number: u8,
        value: u32,
    },
    Global {
        number: u8,
        value: u32,
    },
    Raw {
        offset: u64,
        near: bool,
        length: u8,
        value: u64,
        write: bool,
    },
    Wait(u32),
    WaitLong(u16),
    /// Exactly to the next deadline, or a tick before it.
    ToDeadline(bool),
    ClockGoesBack(u32),
    Config {
        offset: u16,
        bytes: [u8; 4],
        length: u8,
    },
    Command {
        bus_master: bool,
        interrupt_disable: bool,
    },
    Msi {
        enable: bool,
        granted: u8,
        connected: u8,
    },
    Power(u8),
    FunctionLevelReset,
    DeviceReset,
    Map(MapSpec),
    Unmap(u8, u8),
    UnmapAll,
    Slot {
        at: GuestAddress,
        data: GuestAddress,
        length: u16,
        link: bool,
    },
    SelfTest {
        at: GuestAddress,
        bytes: u16,
        entries: u8,
    },
    Scribble(u32, u8),
    HostFails(u8),
    Volume {
        stream: u8,
        channel: u8,
        value: i32,
    },
    Mute {
        stream: u8,
        channels: u8,
    },
    Jack {
        stream: u8,
        plugged: bool,
    },
    /// Ticks of `RATE_DEN` off nominal.
    Pace {
        stream: u8,
        off: i32,
    },
}

struct Function {
    bench: Bench,
    config: ConfigSpace,
    watches: Vec<Watch>,
    /// The registers after reset, in the order of `registers`.
    fresh: Vec<u32>,
    connected: u32,
}

/// Offset of every register that a card with so many streams has, but the clock's.
fn registers(streams: u32) -> impl Iterator<Item = u32> {
    let globals = global::REGISTERS.iter().map(|register| register.offset);
    let globals = globals.filter(|offset| !(global::CLOCK_LO..=global::CLOCK_HI).contains(offset));
    let blocks = (0..streams).filter_map(regs::block);
    globals
        .chain(blocks.flat_map(|block| regs::REGISTERS.iter().map(move |register| block + register.offset)))
}

impl Function {
    fn new(input: &Input) -> Self {
        let dma_bits = if input.dma_bits < 0xC0 { 64 } else { 32 + u32::from(input.dma_bits) % 32 };
        let mut ram = Ram::new(input.sealed);
        for map in input.maps {
            ram.map(map);
        }
        let clock = if input.lockstep { ClockMode::Lockstep } else { ClockMode::Realtime };
        let render = 1 + u32::from(input.streams) % 3;
        let config = Config { clock, dma_bits, render, ..Config::default() };
        let mut bench = Bench::new(config, ram);
        let streams = bench.card.streams();
        let fresh = registers(streams).map(|offset| bench.get(offset)).collect();
        let mut function = Self {
            config: ConfigSpace::new(&spec(Identity::default(), bench.card.messages())),
            bench,
            watches: (0..streams).map(|stream| Watch::new(stream, stream >= render)).collect(),
            fresh,
            connected: 16,
        };
        function.follow_config();
        function.command(true, false);
        function
    }

    /// What the card's shell does after configuration space was written.
    fn follow_config(&mut self) {
        self.bench.call(Controller::advance);
        self.hear();
        let Settings { bus_master, msi, power, .. } = self.config.settings();
        self.bench.bus_master(bus_master);
        self.bench.msi(msi.map(|granted| granted.min(self.connected.max(1))));
        self.bench.d3hot(power == PowerState::D3hot);
        self.hear();
    }

    fn hear(&mut self) {
        self.watches.iter_mut().for_each(|watch| watch.hear(&self.bench));
        self.config.show_interrupt(self.bench.card.intx());
    }

    fn call<R>(&mut self, act: impl FnOnce(&mut Bench) -> R) -> R {
        let result = act(&mut self.bench);
        self.hear();
        result
    }

    /// What a write asks besides configuration space says; here is a second opinion.
    fn write_config(&mut self, offset: usize, data: &[u8]) {
        let before = self.config.settings();
        let write = self.config.write(offset as u64, data);
        let after = self.config.settings();
        assert_eq!(write.settings, (before != after).then_some(after));
        self.follow_config();
        let written = |place: usize| place.checked_sub(offset).and_then(|at| data.get(at).copied());
        let reset = written(layout::DEVICE_CONTROL + 1).is_some_and(|byte| byte & 0x80 != 0);
        let power = match written(layout::PMCSR).map(|byte| byte & 3) {
            Some(0) => Some(PowerState::D0),
            Some(3) => Some(PowerState::D3hot),
            _ => None,
        };
        let power = power.filter(|state| *state != before.power);
        let asked =
            if reset { Some(ControlRequest::FunctionLevelReset) } else { power.map(ControlRequest::Power) };
        assert_eq!(write.request, asked, "{data:02x?} at {offset:#x}");
        if reset {
            self.reset();
        } else if let Some(state) = power {
            self.config.set_power(state);
            self.follow_config();
        }
    }

    fn command(&mut self, bus_master: bool, interrupt_disable: bool) {
        let bits = layout::COMMAND_MEMORY
            | if bus_master { layout::COMMAND_BUS_MASTER } else { 0 }
            | if interrupt_disable { layout::COMMAND_INTERRUPT_DISABLE } else { 0 };
        self.write_config(layout::COMMAND, &bits.to_le_bytes());
        let settings = self.config.settings();
        assert_eq!((settings.bus_master, settings.interrupt_disable), (bus_master, interrupt_disable));
    }

    /// Everything is as it was at first.
    fn reset(&mut self) {
        self.config.reset();
        self.call(Bench::reset);
        self.follow_config();
        assert_eq!(self.config.settings(), Settings::default());
        for (offset, fresh) in registers(self.bench.card.streams()).zip(self.fresh.clone()) {
            assert_eq!(self.bench.get(offset), fresh, "register {offset:#x} after reset");
        }
        assert_eq!(self.bench.card.next_deadline(), None);
    }

    fn stream(&self, stream: u8) -> usize {
        usize::from(stream) % self.watches.len()
    }

    fn block(&self, stream: u8) -> u32 {
        regs::block(self.stream(stream) as u32).expect("a stream")
    }

    fn set(&mut self, stream: u8, register: u32, value: u32) {
        let offset = self.block(stream) + register;
        self.call(|bench| bench.set(offset, value));
    }

    fn packet_count(&mut self, stream: u8) -> u32 {
        let offset = self.block(stream) + regs::PACKET_COUNT;
        self.bench.get(offset)
    }

    fn set_up(&mut self, stream: u8, packet: u32, shape: [bool; 3], at: GuestAddress, table: Option<u8>) {
        let [two, mono, slow] = shape;
        let index = self.stream(stream);
        self.watches[index].may_jump();
        let address = if table.is_some() { at.slot() } else { at.address() };
        let packets = 1 + u32::from(two);
        for (register, value) in [
            (regs::STATE, regs::STATE_STOP),
            (regs::FORMAT, format::pack(format::S16, if mono { 1 } else { 2 })),
            (regs::RATE, if slow { 44_100 } else { 48_000 }),
            (regs::RING_BYTES, packet * packets * if mono { 2 } else { 4 }),
            (regs::PACKETS, packets),
            (regs::DMA_MODE, u32::from(table.is_some())),
            (regs::SG_ENTRIES, table.unwrap_or(0).into()),
            (regs::DMA_ADDR_LO, address as u32),
            (regs::DMA_ADDR_HI, (address >> 32) as u32),
            (regs::LOCKSTEP, regs::LOCKSTEP_ASK),
            (regs::STATE, regs::STATE_ACQUIRE),
            (regs::STATE, regs::STATE_PAUSE),
        ] {
            self.set(stream, register, value);
        }
    }

    fn mark(&mut self, stream: u8, packet: u32, off: i32, half: u8, told: u8) {
        let index = self.stream(stream) as u32;
        let (status, page) =
            pages::status_page(index).zip(pages::mark_page(index)).expect("a stream has pages");
        let tag = self.bench.bar.u32(status + pages::status::MARK_TAG).wrapping_add_signed(off);
        let word = pages::mark::word(packet, tag).to_le_bytes();
        let (at, bytes) = match half % 4 {
            0 => (4, &word[4..]),
            1 => (0, &word[..4]),
            _ => (0, &word[..]),
        };
        self.bench.bar.poke(page + pages::mark::MARK + at, bytes);
        match told % 4 {
            0 => {}
            1 => {
                let (offset, length) = (u64::from(page + at), bytes.len() as u64);
                self.call(|bench| bench.call(|card, env| card.pages_stored(offset, length, env)));
            }
            _ => self.set(stream, regs::LOOK, 0),
        }
    }

    fn wait(&mut self, ticks: u64) {
        let idle = self.bench.card.next_deadline().is_none();
        self.bench.now = self.bench.now.saturating_add(ticks);
        self.call(|bench| bench.call(Controller::advance));
        let quiet = self.bench.events == 0 && self.bench.messages == 0 && self.bench.sounds.is_empty();
        assert!(
            !idle || quiet && self.bench.ram.touched.borrow().is_empty(),
            "something moves that stands still"
        );
    }

    fn raw(&mut self, offset: u64, length: usize, value: u64, write: bool) {
        let mut data = value.to_le_bytes().repeat(9);
        data.truncate(length);
        self.watches.iter_mut().for_each(Watch::may_jump);
        let odd = !matches!((length, offset % 8), (4, 0 | 4) | (8, 0));
        if write {
            self.call(|bench| bench.call(|card, env| card.write(offset, &data, env)));
            assert!(
                !odd || self.bench.ram.touched.borrow().is_empty()
                    || self.bench.events != 0
                    || !self.bench.sounds.is_empty()
            );
        } else {
            self.call(|bench| bench.call(|card, env| card.read(offset, &mut data, env)));
            let d3hot = self.bench.is_d3hot();
            let beyond = offset >= u64::from(regs::BLOCK_BASE + regs::STREAMS_MAX * regs::BLOCK_STRIDE);
            assert!(!(d3hot || beyond) || data.iter().all(|byte| *byte == 0xFF), "not all ones");
        }
    }

    fn state(&mut self, stream: u8, state: u8) {
        let index = self.stream(stream);
        // A RUN may take START.
        self.watches[index].may_jump();
        self.set(stream, regs::STATE, state.into());
        let lowered = state < 3 && !self.bench.is_d3hot();
        if lowered && self.bench.card.next_deadline().is_none() {
            self.wait(300_000_000);
        }
    }

    fn act(&mut self, op: &Op) {
        match *op {
            Op::SetUp { stream, packet, two, mono, slow, at, table } => {
                self.set_up(stream, 40 + 2 * u32::from(packet), [two, mono, slow], at, table);
            }
            Op::State { stream, state } => self.state(stream, state % 5),
            Op::Mark { stream, ahead, tag, half, told } => {
                let count = self.packet_count(stream).wrapping_add_signed(i32::from(ahead) / 8);
                self.mark(stream, count, i32::from(tag) / 32, half, told);
            }
            Op::Written { stream, ahead } => {
                let packet = self.packet_count(stream).wrapping_add_signed(i32::from(ahead) / 8);
                self.set(stream, regs::WRITTEN, packet);
            }
            Op::EndOfStream { stream, armed, frames } => {
                let bytes = u32::from(frames) % 0x900;
                self.set(stream, regs::EOS, (u32::from(armed) * regs::EOS_ARM) | bytes);
            }
            Op::Start { stream, frame, wrong } => {
                let frame = frame >> 14;
                let block = self.block(stream);
                let ring = self.bench.get(block + regs::RING_BYTES);
                let frame_bytes = 2 * format::channels(self.bench.get(block + regs::FORMAT)).max(1);
                let packets = self.bench.get(block + regs::PACKETS).max(1);
                let packet = (frame / u64::from(ring / packets / frame_bytes).max(1)) as u32;
                self.set(stream, regs::START_FRAME_LO, frame as u32);
                self.set(stream, regs::START_FRAME_HI, (frame >> 32) as u32);
                self.set(stream, regs::START_PACKET, packet.wrapping_add(wrong.into()));
            }
            Op::IntEnable { stream, bits } => {
                self.set(stream, regs::INT_ENABLE, bits.into());
                self.call(|bench| bench.set(global::CONTROL, u32::from(bits >> 2 & 1)));
            }
            Op::Register { stream, number, value } => {
                let index = self.stream(stream);
                self.watches[index].may_jump();
                let register = regs::REGISTERS[usize::from(number) % regs::REGISTERS.len()].offset;
                self.set(stream, register, value);
            }
            Op::Global { number, value } => {
                let offset = global::REGISTERS[usize::from(number) % global::REGISTERS.len()].offset;
                self.call(|bench| bench.set(offset, value));
            }
            Op::Raw { offset, near, length, value, write } => {
                let offset = if near { offset % 0x2100 } else { offset };
                let length =
                    if length < 0x80 { [4, 8][usize::from(length) % 2] } else { usize::from(length) % 70 };
                self.raw(offset, length, value, write);
            }
            Op::Wait(ticks) => self.wait(u64::from(ticks) % 40_000_000),
            Op::WaitLong(millis) => self.wait(u64::from(millis) * 1_000_000),
            Op::ToDeadline(early) => {
                let due = self.bench.card.next_deadline();
                self.wait(due.map_or(0, |due| due - self.bench.now - u64::from(early)));
            }
            Op::ClockGoesBack(ticks) => {
                let now = self.bench.now;
                self.bench.now = now.saturating_sub(ticks.into());
                self.call(|bench| bench.call(Controller::advance));
                self.bench.now = now;
            }
            Op::Config { offset, bytes, length } => {
                self.write_config(usize::from(offset) % 0x1010, &bytes[..usize::from(length) % 5]);
            }
            Op::Command { bus_master, interrupt_disable } => self.command(bus_master, interrupt_disable),
            Op::Msi { enable, granted, connected } => {
                self.connected = u32::from(connected) % 17;
                let control = (u16::from(enable) * layout::MSI_ENABLE)
                    | (u16::from(granted & 7) << layout::MSI_GRANTED_SHIFT);
                self.write_config(layout::MSI_CONTROL, &control.to_le_bytes());
                assert_eq!(self.config.settings().msi.is_some(), enable);
            }
            Op::Power(state) => {
                self.write_config(layout::PMCSR, &[state & 3]);
                let d3hot = self.config.settings().power == PowerState::D3hot;
                assert!(d3hot == (state & 3 == 3) || matches!(state & 3, 1 | 2));
            }
            Op::FunctionLevelReset => {
                self.write_config(layout::DEVICE_CONTROL, &layout::DEVICE_CONTROL_FLR.to_le_bytes());
            }
            Op::DeviceReset => self.reset(),
            Op::Map(map) => self.bench.ram.map(map),
            Op::Unmap(area, pages) => self.bench.ram.unmap(area, pages),
            Op::UnmapAll => self.bench.ram.unmap_all(),
            Op::Slot { at, data, length, link } => {
                let slot = if link {
                    Slot::link(data.slot())
                } else {
                    Slot::data(data.address(), u32::from(length) % 2048)
                };
                self.bench.ram.poke(at.slot(), &slot.to_bytes());
            }
            Op::SelfTest { at, bytes, entries } => {
                let address = if entries % 18 == 0 { at.address() } else { at.slot() };
                for (register, value) in [
                    (global::SELFTEST_ADDR_LO, address as u32),
                    (global::SELFTEST_ADDR_HI, (address >> 32) as u32),
                    (global::SELFTEST_BYTES, (u32::from(bytes) % 4200) & !3),
                    (global::SELFTEST_ENTRIES, u32::from(entries) % 18),
                    (global::SELFTEST, 1),
                ] {
                    self.call(|bench| bench.set(register, value));
                }
            }
            // Everywhere but where `Watch` reads: what stands there may stay until the card stores it again.
            Op::Scribble(offset, value) => {
                let offset = offset % pci::PAGES_BYTES;
                if !self.watched(offset) {
                    self.bench.bar.scribble(offset, value);
                }
            }
            Op::HostFails(stream) => {
                let stream = self.stream(stream) as u32;
                self.call(|bench| bench.call(|card, env| card.host_failed(stream, env)));
            }
            // Most are in the range of a volume.
            Op::Volume { stream, channel, value } => {
                self.set(stream, regs::VOLUME_0 + 4 * u32::from(channel % 8), (value >> 8).cast_unsigned());
            }
            Op::Mute { stream, channels } => self.set(stream, regs::MUTE, channels.into()),
            Op::Jack { stream, plugged } => {
                // One that is not there, too.
                let stream = u32::from(stream) % 8;
                self.call(|bench| bench.jack(stream, plugged));
            }
            Op::Pace { stream, off } => {
                let stream = u32::from(stream) % 8;
                self.bench
                    .card
                    .set_rate_den(stream, global::CLOCK_HZ_VALUE.saturating_add_signed(off / 1000));
            }
        }
    }

    fn watched(&self, offset: u32) -> bool {
        let page = offset / pages::PAGE_BYTES * pages::PAGE_BYTES;
        page == pages::CLOCK_PAGE
            || (0..self.bench.card.streams()).any(|stream| {
                [pages::status_page(stream), pages::position_page(stream)].contains(&Some(page))
            })
    }

    /// What always holds.
    fn check(&mut self) {
        self.check_config();
        for index in 0..self.watches.len() {
            self.watches[index].check(&mut self.bench);
        }
        let now = self.bench.now;
        if let Some(due) = self.bench.card.next_deadline() {
            assert!(due > now && due <= now + 10_010_011, "deadline {due}, now {now}");
        }
    }

    /// Who the function is and where its capabilities are cannot be changed.
    fn check_config(&self) {
        let read = |offset: usize| {
            let mut data = [0; 4];
            self.config.read(offset as u64, &mut data);
            u32::from_le_bytes(data)
        };
        assert_eq!(read(0), u32::from(pci::DEVICE) << 16 | u32::from(pci::VENDOR));
        assert_eq!(read(8) >> 8, pci::CLASS);
        assert_eq!(read(0x10) & (pci::REGISTERS_BYTES - 1), 0);
        assert_eq!(read(0x18) & (pci::PAGES_BYTES - 1), 0);
        assert_eq!([0x14, 0x1C, 0x20, 0x24, 0x30].map(read), [0; 5], "no other BAR, no ROM");
        assert_eq!(read(0x34) & 0xFF, layout::PM as u32);
        let next = |capability: usize| read(capability) & 0xFFFF;
        assert_eq!([next(layout::PM), next(layout::MSI), next(layout::PCIE)], [0x5001, 0x7005, 0x0010]);
        assert_eq!(read(layout::DEVICE_CONTROL) >> 15 & 1, 0, "FLR reads 0");
        assert!(matches!(read(layout::PMCSR) & 3, 0 | 3));
        assert_eq!(read(layout::COMMAND) >> 19 & 1 != 0, self.bench.card.intx(), "Status.Interrupt");
        assert!(self.config.settings().msi.is_none_or(|granted| granted <= self.config.msi_offered()));
    }
}

fuzz_target!(|input: Input| {
    let mut function = Function::new(&input);
    for op in input.ops.iter().take(64) {
        function.act(op);
        function.check();
    }
    function.bench.ram.check_contents();
});
