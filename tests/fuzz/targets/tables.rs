//! Scatter-gather tables in random maps, against the [`ringwave_fuzz::reference`]: accepted or which error,
//! which slots and bytes are read and in which order, what is heard of them, what the self-test leaves in
//! memory. Time goes from one end of a burst to the next, so what is fetched when is known.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use ringwave_card::controller::{Config, Controller};
use ringwave_card::env::ClockMode;
use ringwave_fuzz::bench::{Bench, Sound};
use ringwave_fuzz::ram::{GuestAddress, MapSpec, Ram, Touch};
use ringwave_fuzz::reference::{Described, Verdict, Volumes};
use ringwave_regs::dma::{ENTRIES_MAX, Slot};
use ringwave_regs::error::Error;
use ringwave_regs::{format, global, pages, stream as regs};

#[derive(Arbitrary, Debug)]
struct Input {
    sealed: bool,
    maps: [MapSpec; 4],
    dma_bits: u8,
    /// Frames of a packet beyond the shortest.
    packet: u8,
    two_packets: bool,
    mono: bool,
    table: Table,
    moves: Vec<Move>,
}

/// A table as a driver lays it out, then perhaps spoilt.
#[derive(Arbitrary, Clone, Debug)]
struct Table {
    at: GuestAddress,
    /// Contiguous if empty.
    entries: Vec<Entry>,
    /// Most often the last entry's length is made right, sometimes nearly.
    misfit: u8,
    /// Now and then added to the number of entries that the card is told.
    more: i8,
    /// Now and then what stands in the slot with this number.
    spoilt: u8,
    spoil: (GuestAddress, u32, u32),
}

#[derive(Arbitrary, Clone, Copy, Debug)]
struct Entry {
    /// The slot comes after a link to here.
    link: Option<GuestAddress>,
    data: GuestAddress,
    /// Bytes; 0 can come.
    length: u16,
}

#[derive(Arbitrary, Debug)]
enum Move {
    /// The next end of a burst.
    End,
    Ends(u8),
    Run,
    Pause,
    /// STOP, and another table.
    Again(Table),
    /// Nothing may come of it before the next RUN.
    Slot(GuestAddress, GuestAddress, u16, bool),
    Poke(GuestAddress, u8),
    Map(MapSpec),
    Unmap(u8, u8),
    BusMaster(bool),
    SelfTest(Table, u16, u32),
    Volume(u8, i32),
    Mute(u8),
}

/// The stream as it should be.
struct Model {
    bench: Bench,
    geometry: BufferGeometry,
    described: Described,
    state: u32,
    /// The snapshot of this RUN.
    buffer: Vec<u64>,
    /// The frame at which the burst in the FIFO begins, and its bytes (`None` = silence).
    position: u64,
    burst: Option<Option<Vec<u8>>>,
    volumes: Volumes,
    /// Bursts that could not be fetched.
    faults: u32,
}

#[derive(Clone, Copy)]
struct BufferGeometry {
    packet: u64,
    packets: u64,
    frame_bytes: u64,
}

impl BufferGeometry {
    fn ring_bytes(self) -> u64 {
        self.packet * self.packets * self.frame_bytes
    }
    fn burst_end(self, frame: u64) -> u64 {
        (frame + 48 * u64::from(regs::FIFO_MILLIS)).min((frame / self.packet + 1) * self.packet)
    }
}

impl Table {
    /// Stores the table in guest memory and says what it is.
    fn lay(&self, ram: &Ram, bytes: u32, longest: u32) -> Described {
        let mut described = Described {
            address: self.at.slot(),
            entries: None,
            entries_max: ENTRIES_MAX,
            bytes,
            write: false,
            dma_bits: 64,
        };
        if self.entries.is_empty() {
            described.address = self.at.address();
            return described;
        }
        let (mut cursor, mut rest) = (described.address, bytes);
        let mut slots = Vec::new();
        let count = self.entries.len().min(40);
        let fit = self.misfit < 0xE0;
        let off = if (0xA0..0xC0).contains(&self.misfit) { i32::from(self.misfit) - 0xB0 } else { 0 };
        for (index, entry) in self.entries.iter().take(count).enumerate() {
            if let Some(link) = entry.link {
                slots.push((cursor, Slot::link(link.slot())));
                cursor = link.slot();
            }
            let last = index + 1 == count;
            let length = u32::from(entry.length) % (longest + 1);
            let length = match (fit, last) {
                (true, true) => rest.saturating_add_signed(off),
                (true, false) => length.min(rest),
                (false, _) => length,
            };
            rest = rest.saturating_sub(length);
            slots.push((cursor, Slot::data(entry.data.address(), length)));
            cursor = cursor.wrapping_add(16);
        }
        if self.spoilt >= 0xC0 {
            let (address, length, flags) = self.spoil;
            let index = usize::from(self.spoilt - 0xC0) % slots.len();
            slots[index].1 = Slot { address: address.address(), length, flags };
        }
        for (at, slot) in slots {
            ram.poke(at, &slot.to_bytes());
        }
        let more = if self.more < 0x60 { 0 } else { i32::from(self.more) - 0x70 };
        described.entries = Some((count as u32).wrapping_add_signed(more));
        described
    }
}

impl Model {
    fn new(input: &Input) -> Self {
        let dma_bits = if input.dma_bits < 0xC0 { 64 } else { 32 + u32::from(input.dma_bits) % 32 };
        let mut ram = Ram::new(input.sealed);
        for map in input.maps {
            ram.map(map);
        }
        let config = Config { clock: ClockMode::Realtime, dma_bits, ..Config::default() };
        let geometry = BufferGeometry {
            packet: 48 + 2 * u64::from(input.packet),
            packets: if input.two_packets { 2 } else { 1 },
            frame_bytes: if input.mono { 2 } else { 4 },
        };
        let mut model = Self {
            bench: Bench::new(config, ram),
            geometry,
            described: Described {
                address: 0,
                entries: None,
                entries_max: ENTRIES_MAX,
                bytes: 0,
                write: false,
                dma_bits,
            },
            state: regs::STATE_STOP,
            buffer: Vec::new(),
            position: 0,
            burst: None,
            volumes: Volumes::default(),
            faults: 0,
        };
        let write = |bench: &mut Bench, register, value| bench.write(register, value);
        write(&mut model.bench, regs::INT_ENABLE, regs::INT_ERROR);
        write(&mut model.bench, regs::FORMAT, format::pack(format::S16, if input.mono { 1 } else { 2 }));
        write(&mut model.bench, regs::RATE, 48_000);
        write(&mut model.bench, regs::RING_BYTES, geometry.ring_bytes() as u32);
        write(&mut model.bench, regs::PACKETS, geometry.packets as u32);
        model.again(&input.table);
        model
    }

    /// STOP, a table, PAUSE.
    fn again(&mut self, table: &Table) {
        self.bench.write(regs::STATE, regs::STATE_STOP);
        let bytes = self.geometry.ring_bytes() as u32;
        let described = table.lay(&self.bench.ram, bytes, bytes);
        self.described = Described { dma_bits: self.described.dma_bits, ..described };
        let set_up = [
            (regs::DMA_MODE, u32::from(described.entries.is_some())),
            (regs::SG_ENTRIES, described.entries.unwrap_or(7)),
            (regs::DMA_ADDR_LO, described.address as u32),
            (regs::DMA_ADDR_HI, (described.address >> 32) as u32),
            (regs::STATE, regs::STATE_ACQUIRE),
            (regs::STATE, regs::STATE_PAUSE),
        ];
        for (register, value) in set_up {
            self.bench.write(register, value);
            assert!(self.bench.ram.touched.borrow().is_empty(), "DMA before RUN");
        }
        assert_eq!(self.bench.read(regs::STATE), regs::STATE_PAUSE);
        (self.state, self.position, self.burst) = (regs::STATE_PAUSE, 0, None);
    }

    fn run(&mut self) {
        if self.state != regs::STATE_PAUSE {
            return;
        }
        self.bench.write(regs::ERROR, 0);
        let bus_master = self.bench.ram.bus_master.get();
        let verdict = if bus_master {
            self.described.verdict(&self.bench.ram)
        } else {
            Verdict { errors: [Error::BusMasterOff.code()].into(), ..Verdict::default() }
        };
        self.bench.write(regs::STATE, regs::STATE_RUN);
        let touched = self.bench.ram.touched.take();
        let events = self.bench.events;
        let error = self.bench.read(regs::ERROR);
        let accepted = self.bench.read(regs::STATE) == regs::STATE_RUN;
        assert_eq!(accepted, verdict.errors.is_empty(), "{verdict:?}, error {error}");
        let slots =
            touched.iter().take_while(|touch| verdict.slots.contains(&touch.address) && touch.bytes == 16);
        if !accepted {
            assert!(verdict.errors.contains(&error), "error {error}, {verdict:?}");
            let read: Vec<u64> = touched.iter().map(|touch| touch.address).collect();
            assert!(verdict.slots.starts_with(&read), "{touched:?}, {verdict:?}");
            assert!(slots.count() == touched.len(), "only slots are read");
            return;
        }
        assert_eq!(error, 0);
        let (table, data) = touched.split_at(verdict.slots.len());
        for (touch, &address) in table.iter().zip(&verdict.slots) {
            assert_eq!(*touch, Touch { address, bytes: 16, write: false });
        }
        self.state = regs::STATE_RUN;
        self.buffer = verdict.buffer;
        self.bench.events = events;
        if self.burst.is_none() {
            self.fetch(data);
        } else {
            assert!(data.is_empty(), "the FIFO is kept");
        }
    }

    /// The burst at the position was fetched, by these accesses.
    fn fetch(&mut self, touched: &[Touch]) {
        let BufferGeometry { frame_bytes, .. } = self.geometry;
        let (from, to) = (self.position, self.geometry.burst_end(self.position));
        let at = (from * frame_bytes % self.geometry.ring_bytes()) as usize;
        let bytes = &self.buffer[at..at + ((to - from) * frame_bytes) as usize];
        let ram = &self.bench.ram;
        let reach = |&byte: &u64| ram.byte(byte, false).filter(|_| ram.bus_master.get());
        let fetched: Option<Vec<u8>> = bytes.iter().map(reach).collect();
        let mut read = bytes;
        for touch in touched {
            assert!(!touch.write && read.len() as u64 >= touch.bytes, "reads beyond the burst");
            let (now, later) = read.split_at(touch.bytes as usize);
            assert!(now.iter().enumerate().all(|(index, &byte)| byte == touch.address + index as u64));
            read = later;
        }
        assert!(fetched.is_none() || read.is_empty(), "the burst was not read whole");
        // DATASHEET 5.7: a transfer fails, or Bus Master Enable is off.
        let failed = fetched.is_none();
        self.faults += u32::from(failed);
        assert_eq!(self.bench.events, u32::from(failed), "an event for each fault");
        let page = |field| self.bench.bar.u32(pages::STATUS_BASE + field);
        assert_eq!(page(pages::status::DMA_FAULTS), self.faults);
        let why = if ram.bus_master.get() { Error::DmaUnmapped } else { Error::BusMasterOff };
        assert!(!failed || page(pages::status::ERROR) == why.code());
        self.burst = Some(fetched);
    }

    /// Time goes on to the end of the burst.
    fn end(&mut self) {
        let Some(due) = self.bench.card.next_deadline() else {
            assert_ne!(self.state, regs::STATE_RUN);
            return;
        };
        assert_eq!(self.state, regs::STATE_RUN);
        self.bench.now = due;
        self.bench.call(Controller::advance);
        let end = self.geometry.burst_end(self.position);
        let heard = match self.burst.take().expect("a burst") {
            Some(bytes) => Sound::Frames(self.volumes.heard(&bytes, self.geometry.frame_bytes as usize / 2)),
            None => Sound::Silence(end - self.position),
        };
        assert!(self.bench.sounds == [(0, heard)], "frame {}: {:?}", self.position, self.bench.sounds);
        self.position = end;
        let touched = self.bench.ram.touched.take();
        self.fetch(&touched);
        let packets = self.position / self.geometry.packet;
        assert_eq!(u64::from(self.bench.read(regs::PACKET_COUNT)), packets);
        assert_eq!(u64::from(self.bench.read(regs::POSITION_LO)), self.position);
    }

    fn pause(&mut self) {
        if self.state == regs::STATE_RUN {
            self.bench.write(regs::STATE, regs::STATE_PAUSE);
            assert!(self.bench.ram.touched.borrow().is_empty() && self.bench.sounds.is_empty());
            self.state = regs::STATE_PAUSE;
        }
    }

    /// DATASHEET 3.2. The stream does not notice.
    fn self_test(&mut self, table: &Table, bytes: u16, seed: u32) {
        let bytes = (u32::from(bytes) % 4200) & if seed & 7 == 0 { !0 } else { !3 };
        let described = table.lay(&self.bench.ram, bytes, bytes);
        let described = Described {
            entries: described.entries.filter(|&entries| entries != 0),
            entries_max: global::SELFTEST_ENTRIES_MAX,
            write: true,
            dma_bits: self.described.dma_bits,
            ..described
        };
        let right_length = (4..=4096).contains(&bytes) && bytes % 4 == 0;
        let verdict = match (self.bench.ram.bus_master.get(), right_length) {
            (false, _) => Verdict { errors: [Error::BusMasterOff.code()].into(), ..Verdict::default() },
            (_, false) => Verdict { errors: [Error::BadLength.code()].into(), ..Verdict::default() },
            _ => described.verdict(&self.bench.ram),
        };
        let words: Vec<u8> =
            verdict.buffer.iter().map(|&byte| self.bench.ram.byte(byte, true).expect("reachable")).collect();
        let sum_before = self.bench.get(global::SELFTEST_SUM);
        self.bench.set(global::SELFTEST_ADDR_LO, described.address as u32);
        self.bench.set(global::SELFTEST_ADDR_HI, (described.address >> 32) as u32);
        self.bench.set(global::SELFTEST_BYTES, bytes);
        self.bench.set(global::SELFTEST_ENTRIES, described.entries.unwrap_or(0));
        self.bench.set(global::SELFTEST, seed);
        let touched = self.bench.ram.touched.take();
        let stored: Vec<u64> = touched
            .iter()
            .filter(|touch| touch.write)
            .flat_map(|touch| touch.address..=touch.address + (touch.bytes - 1))
            .collect();
        let result = self.bench.get(global::SELFTEST);
        let sum = self.bench.get(global::SELFTEST_SUM);
        if !verdict.errors.is_empty() {
            assert!(verdict.errors.contains(&result), "self-test {result}, {verdict:?}");
            assert!(stored.is_empty() && sum == sum_before, "nothing is stored unless everything can be");
            return;
        }
        assert_eq!(result, 0, "{verdict:?}");
        assert_eq!(stored, verdict.buffer);
        let expected = words.chunks_exact(4).fold(seed, |sum, word| {
            sum.rotate_left(5) ^ u32::from_le_bytes(word.try_into().expect("four bytes"))
        });
        assert_eq!(sum, expected);
        // Of a place that is there twice the last store counts; which bytes it stored is known from what was
        // read there.
        for (index, byte) in verdict.buffer.iter().enumerate().rev().take(64) {
            let aliased = verdict.buffer.len() > 1 && self.aliased(&verdict.buffer, index);
            assert!(aliased || self.bench.ram.byte(*byte, true) == Some(!words[index]));
        }
    }

    /// Whether the byte's old value shows somewhere else, so that two places may be one.
    fn aliased(&self, buffer: &[u64], index: usize) -> bool {
        let ram = &self.bench.ram;
        buffer.iter().enumerate().any(|(other, &byte)| other != index && ram.same_byte(byte, buffer[index]))
    }

    fn act(&mut self, action: &Move) {
        match action {
            Move::End => self.end(),
            Move::Ends(count) => (0..count % 16).for_each(|_| self.end()),
            Move::Run => self.run(),
            Move::Pause => self.pause(),
            Move::Again(table) => self.again(table),
            Move::Slot(at, data, length, link) => {
                let slot = if *link {
                    Slot::link(data.slot())
                } else {
                    Slot::data(data.address(), (*length).into())
                };
                self.bench.ram.poke(at.slot(), &slot.to_bytes());
            }
            Move::Poke(place, byte) => self.bench.ram.poke(place.address(), &[*byte]),
            Move::Map(map) => self.bench.ram.map(*map),
            Move::Unmap(area, pages) => self.bench.ram.unmap(*area, *pages),
            Move::BusMaster(on) => self.bench.bus_master(*on),
            Move::SelfTest(table, bytes, seed) => self.self_test(table, *bytes, *seed),
            // Time stands at the start of a burst, so the whole burst is heard so.
            Move::Volume(channel, value) => {
                let (channel, value) = (usize::from(channel % 8), value >> 8);
                self.bench.write(regs::VOLUME_0 + 4 * channel as u32, value.cast_unsigned());
                if (-96 * 65_536..=0).contains(&value) {
                    self.volumes.volumes[channel] = value;
                }
            }
            Move::Mute(channels) => {
                self.bench.write(regs::MUTE, (*channels).into());
                self.volumes.mute = (*channels).into();
            }
        }
    }
}

fuzz_target!(|input: Input| {
    let mut model = Model::new(&input);
    model.run();
    for action in input.moves.iter().take(48) {
        model.act(action);
    }
    model.bench.ram.check_contents();
});
