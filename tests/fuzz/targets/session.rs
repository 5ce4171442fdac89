//! From bytes to DMA: a client's messages through [`Session`] into the real card with its maps, interrupts
//! and pages. An input is a conversation of well-formed and of malformed messages; time is turned by hand,
//! and there is no engine and no socket.
//!
//! Whatever was said: every command is answered, once, by its id; memory that is not mapped for writing stays
//! as it is; and at the end the card answers a good conversation as a fresh one does.
#![no_main]

use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use ringwave_card::controller::Config;
use ringwave_card::env::ClockMode;
use ringwave_card::pci::{Identity, layout};
use ringwave_card::{Card, CardConfig, Function};
use ringwave_engine::clock::{HostClock, Speed};
use ringwave_engine::sources::NoSources;
use ringwave_fuzz::client::{Answer, FILE_BYTES, PAGE, PAGES, eventfds, memory, reply_to};
use ringwave_regs::{format, global, pci, stream as regs};
use ringwave_served::HostRequests;
use ringwave_vfio_user::wire::{HEADER_BYTES, MESSAGE_BYTES_MAX, command, header_flags, pci as region};
use ringwave_vfio_user::{Session, Step};

/// Where clients of this target map memory.
const BASE: u64 = 0x10_0000;

#[derive(Arbitrary, Debug)]
struct Input {
    lockstep: bool,
    /// How many bytes arrive at a time.
    piece: u8,
    messages: Vec<Message>,
}

#[derive(Arbitrary, Debug)]
enum Message {
    Read {
        region: u8,
        offset: u16,
        count: u16,
    },
    Write {
        region: u8,
        offset: u16,
        data: [u8; 8],
        count: u8,
    },
    /// A register of stream 0.
    Register {
        number: u8,
        value: u32,
    },
    State(u8),
    Global {
        number: u8,
        value: u32,
    },
    SetUp {
        page: u8,
        offset: u16,
        entries: u8,
    },
    Slot {
        page: u8,
        slot: u8,
        data: u8,
        offset: u16,
        length: u16,
        flags: u8,
    },
    SelfTest {
        page: u8,
        offset: u16,
        bytes: u16,
    },
    BusMaster(bool),
    Msi {
        enable: bool,
        granted: u8,
    },
    FunctionLevelReset,
    Power(u8),
    Reset,
    Map {
        page: u8,
        pages: u8,
        file: u8,
        from: u8,
        flags: u8,
        fds: u8,
    },
    Unmap {
        page: u8,
        pages: u8,
    },
    UnmapAll,
    Irqs {
        index: u8,
        start: u8,
        count: u8,
        flags: u8,
        fds: u8,
    },
    Info {
        command: u8,
        index: u8,
        argsz: u16,
    },
    Multi {
        count: u8,
        offset: u16,
        data: u32,
    },
    Any {
        command: u8,
        flags: u8,
        payload: Vec<u8>,
        fds: u8,
    },
    Time(u32),
    /// The host plugs something in, or pulls it out.
    Jack {
        stream: u8,
        plugged: bool,
    },
    Volume {
        channel: u8,
        value: u32,
    },
}

/// A client's map of shared memory, as the client remembers it.
#[derive(Clone, Copy, Debug)]
struct Mapped {
    first: u64,
    pages: u64,
    file: usize,
    from: u64,
    writable: bool,
}

struct Client {
    card: Arc<Card>,
    function: Function,
    session: Session,
    piece: usize,
    id: u16,
    maps: Vec<Mapped>,
    contents: [Vec<u8>; 2],
    closed: bool,
}

impl Client {
    fn new(input: &Input) -> Self {
        let clock = if input.lockstep { ClockMode::Lockstep } else { ClockMode::Realtime };
        let config = CardConfig {
            controller: Config { clock, ..Config::default() },
            identity: Identity::default(),
            speed: Speed::REAL,
            trace: false,
        };
        let card =
            Arc::new(config.power_on_with(HostClock::by_hand(), Box::new(NoSources)).expect("a page BAR"));
        let contents = [vec![0x11; FILE_BYTES], vec![0x22; FILE_BYTES]];
        for (file, contents) in memory().iter().zip(&contents) {
            file.write_all_at(contents, 0).expect("a memfd takes it");
        }
        let mut client = Self {
            function: Function::new(Arc::clone(&card)),
            card,
            session: Session::new(),
            piece: usize::from(input.piece) + 1,
            id: 0,
            maps: Vec::new(),
            contents,
            closed: false,
        };
        let hello = b"\0\0\x01\0{\"capabilities\":{\"write_multiple\":true}}\0";
        client.say(command::VERSION, hello, Vec::new()).expect("VERSION is taken");
        client.config(layout::COMMAND, &[6]).expect("Bus Master Enable is taken");
        client
    }

    /// Says a command and gives the answer to it.
    fn say(&mut self, command: u16, payload: &[u8], fds: Vec<OwnedFd>) -> Answer {
        let answer = self.send(command, 0, payload, fds);
        if self.closed { Err(0) } else { answer.expect("every command is answered") }
    }

    /// Sends a message in pieces. What comes back is checked here.
    fn send(&mut self, command: u16, flags: u32, payload: &[u8], fds: Vec<OwnedFd>) -> Option<Answer> {
        if self.closed {
            return None;
        }
        self.id = self.id.wrapping_add(1);
        let mut message = Vec::with_capacity(HEADER_BYTES + payload.len());
        message.extend(self.id.to_ne_bytes());
        message.extend(command.to_ne_bytes());
        message.extend(((HEADER_BYTES + payload.len()) as u32).to_ne_bytes());
        message.extend(flags.to_ne_bytes());
        message.extend(0_u32.to_ne_bytes());
        message.extend(payload);
        let mut fds = Some(fds);
        let mut answer = None;
        for mut piece in message.chunks(self.piece) {
            while !piece.is_empty() {
                assert!(self.session.wanted() <= MESSAGE_BYTES_MAX as usize && answer.is_none());
                let fds = fds.take().unwrap_or_default();
                match self.session.receive(&mut self.function, &mut piece, fds, false) {
                    Step::Continue => {}
                    Step::Reply(reply) => answer = Some(reply_to(self.id, command, &reply.bytes)),
                    Step::Close(..) => {
                        self.closed = true;
                        return None;
                    }
                }
            }
        }
        assert!(!self.session.mid_message(), "out of step");
        let silent = flags & header_flags::NO_REPLY != 0 || flags & header_flags::TYPE == header_flags::REPLY;
        assert_eq!(answer.is_none(), silent, "flags {flags:#x}");
        self.check_memory();
        answer
    }

    /// What the card may not write is as it was; what it may, it has written by the self-test.
    fn check_memory(&mut self) {
        for (number, file) in memory().iter().enumerate() {
            let mut there = vec![0; FILE_BYTES];
            file.read_exact_at(&mut there, 0).expect("a memfd gives it");
            for page in 0..PAGES {
                let bytes = (page * PAGE) as usize..((page + 1) * PAGE) as usize;
                let writable = self.maps.iter().any(|map| {
                    map.writable && map.file == number && (map.from..map.from + map.pages).contains(&page)
                });
                assert!(
                    writable || there[bytes.clone()] == self.contents[number][bytes],
                    "page {page} of file {number} was written to"
                );
            }
            self.contents[number] = there;
        }
    }

    fn write(&mut self, index: u32, offset: u64, data: &[u8]) -> Answer {
        let payload =
            [&offset.to_ne_bytes()[..], &index.to_ne_bytes(), &(data.len() as u32).to_ne_bytes(), data]
                .concat();
        self.say(command::REGION_WRITE, &payload, Vec::new())
    }

    fn read(&mut self, index: u32, offset: u64, count: u32) -> Answer {
        let payload = [&offset.to_ne_bytes()[..], &index.to_ne_bytes(), &count.to_ne_bytes()].concat();
        let answer = self.say(command::REGION_READ, &payload, Vec::new())?;
        assert_eq!(answer.len(), 16 + count as usize);
        Ok(answer[16..].to_vec())
    }

    fn register(&mut self, offset: u32, value: u32) {
        let _ = self.write(pci::REGISTERS_BAR, offset.into(), &value.to_le_bytes());
    }

    fn stream(&mut self, register: u32, value: u32) {
        self.register(regs::BLOCK_BASE + register, value);
    }

    fn map(&mut self, page: u8, pages: u8, file: u8, from: u8, flags: u8, fds: u8) {
        let file = usize::from(file & 1);
        let (page, from) = (u64::from(page) % 8, u64::from(from) % PAGES);
        let pages = (u64::from(pages) % PAGES + 1).min(PAGES - from);
        // Readable and writable, or only readable, more often than not.
        let flags = if flags < 0xC0 { 1 + 2 * u32::from(flags < 0x80) } else { u32::from(flags & 7) };
        let first = BASE + page * PAGE;
        let payload = [
            &32_u32.to_ne_bytes()[..],
            &flags.to_ne_bytes(),
            &(from * PAGE).to_ne_bytes(),
            &first.to_ne_bytes(),
            &(pages * PAGE).to_ne_bytes(),
        ]
        .concat();
        let fds: Vec<OwnedFd> = match fds {
            0xF0..=0xFF => Vec::new(),
            0xE0..=0xEF => eventfds(fds & 3),
            _ => vec![memory()[file].try_clone().expect("a descriptor").into()],
        };
        let shared = fds.len() == 1;
        let taken = self.say(command::DMA_MAP, &payload, fds).is_ok();
        let overlaps = self
            .maps
            .iter()
            .any(|map| map.first < first + pages * PAGE && first < map.first + map.pages * PAGE);
        assert!(!(taken && overlaps), "a map over another");
        if taken {
            self.maps.push(Mapped { first, pages, file, from, writable: shared && flags & 2 != 0 });
        }
    }

    fn unmap(&mut self, first: u64, bytes: u64, flags: u32) {
        let payload =
            [&24_u32.to_ne_bytes()[..], &flags.to_ne_bytes(), &first.to_ne_bytes(), &bytes.to_ne_bytes()]
                .concat();
        let before = self.maps.clone();
        if flags == 0 {
            let inside = |map: &Mapped| map.first >= first && map.first + map.pages * PAGE <= first + bytes;
            self.maps.retain(|map| !inside(map));
        } else {
            self.maps.clear();
        }
        if self.say(command::DMA_UNMAP, &payload, Vec::new()).is_err() {
            self.maps = before;
        }
    }

    /// An address, more often than not in a map that is there.
    fn address(&self, page: u8, offset: u16) -> u64 {
        let map = self.maps.get(usize::from(page) % self.maps.len().max(1)).filter(|_| page < 0xC0);
        map.map_or(BASE + u64::from(page) % 8 * PAGE, |map| map.first) + u64::from(offset) % PAGE
    }

    fn set_up(&mut self, page: u8, offset: u16, entries: u8) {
        let address = self.address(page, offset);
        let entries = u32::from(entries) % 4;
        let address = if entries == 0 { address } else { address & !15 };
        for (register, value) in [
            (regs::STATE, 0),
            (regs::FORMAT, format::pack(format::S16, 2)),
            (regs::RATE, 48_000),
            (regs::RING_BYTES, 1024),
            (regs::PACKETS, 2),
            (regs::DMA_MODE, u32::from(entries != 0)),
            (regs::SG_ENTRIES, entries),
            (regs::DMA_ADDR_LO, address as u32),
            (regs::DMA_ADDR_HI, 0),
            (regs::INT_ENABLE, 3),
            (regs::LOCKSTEP, regs::LOCKSTEP_ASK),
            (regs::STATE, 1),
            (regs::STATE, 2),
        ] {
            self.stream(register, value);
        }
    }

    /// The client itself stores a slot: 64 of them in each page of the first file.
    fn slot(&mut self, page: u8, slot: u8, data: u64, length: u32, flags: u32) {
        let offset = u64::from(page) % PAGES * PAGE + u64::from(slot) % 64 * 16;
        let bytes = [&data.to_le_bytes()[..], &length.to_le_bytes(), &flags.to_le_bytes()].concat();
        memory()[0].write_all_at(&bytes, offset).expect("a memfd takes it");
        let offset = offset as usize;
        self.contents[0][offset..offset + 16].copy_from_slice(&bytes);
    }

    fn self_test(&mut self, page: u8, offset: u16, bytes: u16) {
        let address = self.address(page, offset);
        for (register, value) in [
            (global::SELFTEST_ADDR_LO, address as u32),
            (global::SELFTEST_BYTES, (u32::from(bytes) % 4100) & !3),
            (global::SELFTEST, 7),
        ] {
            self.register(register, value);
        }
    }

    fn irqs(&mut self, index: u8, start: u8, count: u8, flags: u8, fds: u8) {
        let fds = eventfds(fds % 5);
        let payload =
            [20, u32::from(flags & 0x3F), u32::from(index) % 6, u32::from(start) % 3, u32::from(count) % 5]
                .map(u32::to_ne_bytes)
                .concat();
        let bools = [1, 0, 1, 0, 1];
        let bools = &bools[..if flags & 2 != 0 { usize::from(count) % 5 } else { 0 }];
        let _ = self.say(command::DEVICE_SET_IRQS, &[&payload, bools].concat(), fds);
    }

    fn flr(&mut self) {
        let _ = self.config(layout::DEVICE_CONTROL, &layout::DEVICE_CONTROL_FLR.to_le_bytes());
        if self.closed {
            return;
        }
        let state = self.read(pci::REGISTERS_BAR, (regs::BLOCK_BASE + regs::STATE).into(), 4);
        let command = self.read(region::CONFIG_REGION, layout::COMMAND as u64, 2);
        assert_eq!((state, command), (Ok(vec![0; 4]), Ok(vec![0; 2])), "after a function-level reset");
    }

    /// D1 and D2 are not there.
    fn power(&mut self, state: u8) {
        let _ = self.config(layout::PMCSR, &[state]);
        let magic = self.read(pci::REGISTERS_BAR, global::MAGIC.into(), 4);
        match state {
            _ if self.closed => {}
            0 => assert_eq!(magic.as_deref(), Ok(&b"RWAV"[..]), "in D0"),
            3 => assert_eq!(magic, Ok(vec![0xFF; 4]), "in D3hot"),
            _ => {}
        }
    }

    fn config(&mut self, offset: usize, data: &[u8]) -> Answer {
        self.write(region::CONFIG_REGION, offset as u64, data)
    }

    fn act(&mut self, message: &Message) {
        match *message {
            Message::Read { region, offset, count } => {
                let index = u32::from(region) % 10;
                let read = self.read(index, offset.into(), u32::from(count) % 5000);
                assert!(
                    read.is_err()
                        || matches!(index, pci::REGISTERS_BAR | pci::PAGES_BAR | region::CONFIG_REGION)
                );
            }
            Message::Write { region, offset, data, count } => {
                let _ = self.write(u32::from(region) % 10, offset.into(), &data[..usize::from(count) % 9]);
            }
            Message::Register { number, value } => {
                let register = regs::REGISTERS[usize::from(number) % regs::REGISTERS.len()].offset;
                self.stream(register, value);
            }
            Message::State(state) => self.stream(regs::STATE, u32::from(state) % 5),
            Message::Global { number, value } => {
                self.register(global::REGISTERS[usize::from(number) % global::REGISTERS.len()].offset, value);
            }
            Message::SetUp { page, offset, entries } => self.set_up(page, offset, entries),
            Message::Slot { page, slot, data, offset, length, flags } => {
                let data = BASE + u64::from(data) % 8 * PAGE + u64::from(offset) % PAGE;
                let flags = if flags < 0xC0 { 0 } else { u32::from(flags & 3) };
                let length = if flags & 1 != 0 { 0 } else { u32::from(length) % 1025 };
                self.slot(page, slot, if flags & 1 != 0 { data & !15 } else { data }, length, flags);
            }
            Message::SelfTest { page, offset, bytes } => self.self_test(page, offset, bytes),
            Message::BusMaster(on) => {
                let _ = self.config(layout::COMMAND, &[if on { 6 } else { 2 }]);
            }
            Message::Msi { enable, granted } => {
                let _ = self.config(layout::MSI_CONTROL, &[u8::from(enable) | (granted & 7) << 4]);
            }
            Message::FunctionLevelReset => self.flr(),
            Message::Power(state) => self.power(state & 3),
            Message::Reset => {
                let _ = self.say(command::DEVICE_RESET, &[], Vec::new());
            }
            Message::Map { page, pages, file, from, flags, fds } => {
                self.map(page, pages, file, from, flags, fds)
            }
            Message::Unmap { page, pages } => {
                self.unmap(BASE + u64::from(page) % 8 * PAGE, (u64::from(pages) % 8 + 1) * PAGE, 0);
            }
            Message::UnmapAll => self.unmap(0, 0, 2),
            Message::Irqs { index, start, count, flags, fds } => self.irqs(index, start, count, flags, fds),
            Message::Info { command, index, argsz } => {
                let command = command::DEVICE_GET_INFO + u16::from(command) % 4;
                let payload =
                    [u32::from(argsz) % 64, 0, u32::from(index) % 10, 0].map(u32::to_ne_bytes).concat();
                let _ = self.say(command, &payload, Vec::new());
            }
            Message::Multi { count, offset, data } => {
                let count = u64::from(count) % 4;
                let one = [
                    &u64::from(offset & 0x3FFC).to_ne_bytes()[..],
                    &pci::REGISTERS_BAR.to_ne_bytes(),
                    &4_u32.to_ne_bytes(),
                    &data.to_ne_bytes(),
                    &[0; 4],
                ]
                .concat();
                let payload = [&count.to_ne_bytes()[..], &one.repeat(count as usize)].concat();
                let _ = self.say(command::REGION_WRITE_MULTI, &payload, Vec::new());
            }
            Message::Any { command, flags, ref payload, fds } => {
                // What a map of unknown contents maps is not followed; the others are all allowed.
                let command = if command == 2 { 20 } else { u16::from(command) % 20 };
                let command =
                    if command == command::DMA_MAP || command == command::DMA_UNMAP { 19 } else { command };
                let payload = &payload[..payload.len().min(600)];
                let fds = if fds < 0xC0 { 0 } else { fds % 12 };
                let _ = self.send(command, u32::from(flags), payload, eventfds(fds));
            }
            Message::Jack { stream, plugged } => {
                let stream = u32::from(stream) % 4;
                // Two streams, one of each kind; a card whose host side hangs may say no.
                assert!(stream < 2 || self.card.set_jack(stream, plugged).is_err());
                let _ = self.card.set_jack(stream, plugged);
            }
            Message::Volume { channel, value } => {
                self.stream(regs::VOLUME_0 + 4 * (u32::from(channel) % 9), value);
            }
            Message::Time(ticks) => self.card.clock().turn(u64::from(ticks) % 300_000_000),
        }
    }

    /// The same at the end of every conversation.
    fn farewell(&mut self) {
        if self.closed {
            return;
        }
        self.unmap(0, 0, 2);
        assert!(self.closed || self.maps.is_empty(), "unmap-all is always taken");
        assert_eq!(self.say(command::DEVICE_RESET, &[], Vec::new()), Ok(Vec::new()));
        let magic = self.read(pci::REGISTERS_BAR, global::MAGIC.into(), 4);
        assert_eq!(magic.as_deref(), Ok(&b"RWAV"[..]));
        let state = self.read(pci::PAGES_BAR, 0x1_0004, 4);
        assert_eq!(state, Ok(vec![0; 4]), "the status page says STOP");
        self.config(layout::COMMAND, &[6]).expect("Bus Master Enable is taken");
        self.map(0, 3, 0, 0, 0, 0);
        let inverted: Vec<u8> = self.contents[0][..64].iter().map(|byte| !byte).collect();
        self.self_test(0, 0, 64);
        let result = self.read(pci::REGISTERS_BAR, global::SELFTEST.into(), 4);
        assert_eq!(result, Ok(vec![0; 4]), "the self-test works");
        assert_eq!(self.contents[0][..64], inverted, "and has written");
    }
}

fuzz_target!(|input: Input| {
    let mut client = Client::new(&input);
    for message in input.messages.iter().take(48) {
        client.act(message);
    }
    client.farewell();
});
