//! Everything a vhost-user client can send to the virtio-snd card's socket: messages with any bytes and with
//! descriptors of any kind, kicks, chains in memory that comes and goes, files that are cut short, clients
//! that leave.
//!
//! It is the program's own way in: `serve_client` with vhost-user-backend's daemon, a socket and its threads;
//! only the engine's thread and the I/O worker are played here. So an input is some hundred microseconds
//! long, and what the threads do in it is not the same each time.
//!
//! Held: nothing panics but vhost-user-backend's own thread of messages (see `backend.rs` of the card: then
//! the client is cut off); each client comes to its end; a reply is whole and to a message that was sent;
//! after the client no descriptor and no map of its memory is left; the next client finds a card that
//! answers. What the card does with chains is judged by the target `virtio`.

#![no_main]

use std::collections::HashSet;
use std::fs::File;
use std::io::{IoSlice, Read};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::FileExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::sync::{Arc, Once, OnceLock};
use std::thread::JoinHandle;

use arbitrary::{Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;
use ringwave_engine::clock::HostClock;
use ringwave_engine::device::Device;
use ringwave_engine::io_queue::{Feedback, IoQueue};
use ringwave_engine::sources::NoSources;
use ringwave_engine::timeline::ClockMode;
use ringwave_fuzz::virtio::descriptor;
use ringwave_virtio_snd::backend::serve_client;
use ringwave_virtio_snd::card::{CardConfig, VirtioCard};
use rustix::event::EventfdFlags;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

/// Bytes of each piece of guest memory: no region of a client can be larger than its file.
const FILE_BYTES: u64 = 0x1_0000;
/// Where the front end has the guest's memory.
const FRONT_END: u64 = 0x7000_0000_0000;
/// Entries of each queue that is set up as it should be.
const SIZE: u16 = 16;
/// Bytes of a message's header, and most bytes behind it.
const HEADER_BYTES: usize = 12;
const BODY_BYTES_MAX: usize = 0x1000;
/// Version 1 and "reply" in a header's flags, and "reply is needed".
const VERSION: u32 = 1;
const REPLY: u32 = 4;
const NEED_REPLY: u32 = 8;
/// Most descriptors with a message: one more than vhost-user-backend takes.
const FDS_MAX: usize = 33;

/// `VERSION_1`, `INDIRECT_DESC`, `EVENT_IDX`, `PROTOCOL_FEATURES`
const FEATURES: u64 = 1 << 32 | 1 << 28 | 1 << 29 | 1 << 30;
/// `MQ`, `REPLY_ACK`, `CONFIG`, `CONFIGURE_MEM_SLOTS`
const PROTOCOL_FEATURES: u64 = 1 | 1 << 3 | 1 << 9 | 1 << 15;

/// Codes of messages.
const GET_FEATURES: u32 = 1;
const SET_FEATURES: u32 = 2;
const SET_OWNER: u32 = 3;
const SET_MEM_TABLE: u32 = 5;
const SET_VRING_NUM: u32 = 8;
const SET_VRING_ADDR: u32 = 9;
const SET_VRING_BASE: u32 = 10;
const GET_VRING_BASE: u32 = 11;
const SET_VRING_KICK: u32 = 12;
const SET_VRING_CALL: u32 = 13;
const SET_VRING_ERR: u32 = 14;
const SET_PROTOCOL_FEATURES: u32 = 16;
const SET_VRING_ENABLE: u32 = 18;
const GET_CONFIG: u32 = 24;
const SET_CONFIG: u32 = 25;
const ADD_MEM_REG: u32 = 37;
const REM_MEM_REG: u32 = 38;

/// What a client hands over.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Fd {
    None,
    Eventfd,
    /// An eventfd whose reader waits.
    Waiting,
    /// Memory that stays.
    Sealed,
    /// Memory that can be cut short.
    Unsealed,
    /// One end of a pair.
    Socket,
}

/// A number near those where bounds are.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Number {
    /// So many 256 bytes.
    Low(u8),
    /// As the guest's memory is placed by the front end.
    FrontEnd(u16),
    /// So much below the end of the address space.
    High(u16),
    Any(u64),
}

impl Number {
    fn value(self) -> u64 {
        match self {
            Self::Low(pages) => u64::from(pages) << 8,
            Self::FrontEnd(offset) => FRONT_END + u64::from(offset),
            Self::High(below) => u64::MAX - u64::from(below),
            Self::Any(value) => value,
        }
    }
}

#[derive(Arbitrary, Clone, Copy, Debug)]
struct Region {
    guest: Number,
    bytes: Number,
    front_end: Number,
    offset: Number,
    fd: Fd,
}

#[derive(Arbitrary, Debug)]
enum Step {
    /// Everything that QEMU says until the queues run.
    Begin {
        event_idx: bool,
        /// In one message, or a message for each region.
        slots: bool,
        acknowledged: bool,
    },
    /// One message of a queue.
    Queue {
        what: u8,
        queue: u8,
        value: u16,
        fd: Fd,
    },
    Address {
        queue: u8,
        flags: bool,
        parts: [Number; 3],
    },
    MemoryTable(Vec<Region>),
    AddRegion(Region),
    RemoveRegion(Region),
    Features(u8, Number),
    Config {
        set: bool,
        offset: u16,
        bytes: u16,
        flags: u8,
        claims: Option<u16>,
    },
    /// Any message.
    Any {
        code: u8,
        flags: u8,
        claims: Option<u16>,
        body: Vec<u8>,
        fds: Vec<Fd>,
    },
    /// Bytes without a header.
    Bytes(Vec<u8>),
    /// Any bytes anywhere in guest memory.
    Poke(u16, [u8; 8]),
    /// A chain of a request or of a message, and a kick.
    Chain {
        queue: u8,
        code: u8,
        stream: u8,
        bytes: u16,
        kick: bool,
    },
    /// Signals an eventfd that the card has, or had.
    Kick(u8),
    /// Takes back what was signalled.
    Unkick(u8),
    /// The file that can be cut short is, or grows again.
    Cut(u8),
    /// The client waits until the card has taken what was sent.
    Wait,
    /// Time passes, in microseconds, and the engine's thread wakes.
    Turn(u16),
    /// The client leaves, and another one comes; whether the card has taken what it said before.
    Leave(bool),
}

/// Guest memory, as a client makes it.
struct Memory {
    sealed: File,
    unsealed: File,
}

impl Memory {
    fn new() -> Self {
        let file = || {
            let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
            let file = File::from(memfd_create("client", flags).expect("a memfd"));
            file.set_len(FILE_BYTES).expect("room");
            file
        };
        let memory = Self { sealed: file(), unsealed: file() };
        fcntl_add_seals(&memory.sealed, SealFlags::SHRINK).expect("a seal");
        memory
    }

    fn write(&self, address: u64, bytes: &[u8]) {
        let room = usize::try_from(FILE_BYTES - address % FILE_BYTES).unwrap_or(0);
        let bytes = &bytes[..bytes.len().min(room)];
        self.sealed.write_all_at(bytes, address % FILE_BYTES).expect("a memfd takes it");
    }

    /// Nobody has mapped it any more: only then it can be sealed against writers.
    fn check_unmapped(&self) {
        for file in [&self.sealed, &self.unsealed] {
            fcntl_add_seals(file, SealFlags::WRITE).expect("no map of a client's memory is left");
        }
    }
}

/// A client that is served by the program's own code.
struct Client {
    /// `None`: it was cut off.
    socket: Option<UnixStream>,
    server: JoinHandle<()>,
    /// Every message had the length that it claimed: the card is at the beginning of the next one.
    in_step: bool,
    received: Vec<u8>,
    sent: HashSet<u32>,
    replies_of: [u64; 2],
}

/// Everything of one input.
struct World {
    card: Arc<VirtioCard>,
    memory: Memory,
    eventfds: Vec<OwnedFd>,
    offered: [u16; 4],
    client: Option<Client>,
}

fn listener() -> &'static (UnixListener, SocketAddr) {
    static LISTENER: OnceLock<(UnixListener, SocketAddr)> = OnceLock::new();
    LISTENER.get_or_init(|| {
        let name = format!("ringwave-fuzz-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(name).expect("a short name");
        (UnixListener::bind_addr(&address).expect("a socket"), address)
    })
}

/// Ends the process at every panic but those that `backend.rs` of the card is prepared for: of
/// vhost-user-backend, in the thread that takes messages.
fn judge_panics() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let fails = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let file = info.location().map_or("", |location| location.file());
            let of_messages = std::thread::current().name() == Some("vhost-user");
            if !(of_messages && file.contains("/vhost-user-backend-")) {
                fails(info);
            }
        }));
    });
}

/// Descriptors of this process.
fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

impl Client {
    fn come(card: &Arc<VirtioCard>) -> Self {
        let (listener, address) = listener();
        let socket = UnixStream::connect_addr(address).expect("it listens");
        socket.set_nonblocking(true).expect("a socket");
        let card = Arc::clone(card);
        let serve = move || {
            card.client_came();
            let served = serve_client(&card, listener, |_| {});
            assert!(served.is_ok(), "{served:?}");
            card.client_left();
        };
        let server = std::thread::Builder::new().name("server".into()).spawn(serve).expect("a thread");
        Self {
            socket: Some(socket),
            server,
            in_step: true,
            received: Vec::new(),
            sent: HashSet::new(),
            replies_of: [0; 2],
        }
    }

    /// Takes what was answered.
    fn receive(&mut self) {
        let Some(mut socket) = self.socket.as_ref() else { return };
        let mut buffer = [0; 4096];
        loop {
            match socket.read(&mut buffer) {
                Ok(0) => self.socket = None,
                Ok(count) => {
                    self.received.extend_from_slice(&buffer[..count]);
                    continue;
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => self.socket = None,
            }
            break;
        }
        while let Some((header, rest)) = self.received.split_at_checked(HEADER_BYTES) {
            let word = |at: usize| u32::from_ne_bytes(header[at..at + 4].try_into().expect("four bytes"));
            let (code, flags, bytes) = (word(0), word(4), word(8) as usize);
            assert_eq!(flags & !NEED_REPLY, VERSION | REPLY, "flags of a reply");
            assert!(bytes <= BODY_BYTES_MAX, "{bytes} bytes of reply");
            assert!(!self.in_step || self.sent.contains(&code), "a reply to {code}, which was not sent");
            if rest.len() < bytes {
                break;
            }
            self.replies_of[usize::from(code == GET_FEATURES)] += 1;
            self.received.drain(..HEADER_BYTES + bytes);
        }
    }

    fn send_bytes(&mut self, mut bytes: &[u8], fds: &[BorrowedFd<'_>]) {
        let mut fds = &fds[..fds.len().min(FDS_MAX)];
        while !bytes.is_empty() {
            self.receive();
            let Some(socket) = &self.socket else { return };
            let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            if !fds.is_empty() {
                assert!(control.push(SendAncillaryMessage::ScmRights(fds)), "it has room");
            }
            match sendmsg(socket, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL) {
                Ok(count) => (bytes, fds) = (&bytes[count..], &[]),
                Err(Errno::AGAIN) => std::thread::yield_now(),
                Err(_) => self.socket = None,
            }
        }
    }

    /// A message with a header that claims so many bytes, or those that it has.
    fn send(&mut self, code: u32, flags: u32, claims: Option<u16>, body: &[u8], fds: &[BorrowedFd<'_>]) {
        let body = &body[..body.len().min(BODY_BYTES_MAX)];
        let length = claims.map_or(body.len() as u32, u32::from);
        self.in_step &= length as usize == body.len();
        self.sent.insert(code);
        let mut bytes = Vec::from(code.to_ne_bytes());
        bytes.extend(flags.to_ne_bytes());
        bytes.extend(length.to_ne_bytes());
        bytes.extend(body);
        self.send_bytes(&bytes, fds);
    }

    /// Waits until everything that was sent was taken, if that can be known.
    fn wait(&mut self) {
        if !self.in_step {
            return;
        }
        // Replies to this message are counted, not compared: it may have been sent before.
        let asked = self.replies_of[1];
        self.send(GET_FEATURES, VERSION, None, &[], &[]);
        while self.socket.is_some() && self.replies_of[1] == asked {
            std::thread::yield_now();
            self.receive();
        }
    }
}

impl World {
    fn new(lockstep: bool) -> Self {
        let config = CardConfig {
            render: 2,
            capture: 2,
            loopback: std::array::from_fn(|capture| (capture == 1).then_some(0)),
            clock: if lockstep { ClockMode::Lockstep } else { ClockMode::Realtime },
            channels_max: 8,
            trace: false,
        };
        let card = Arc::new(VirtioCard::new(config, HostClock::by_hand(), Box::new(NoSources)));
        Self { card, memory: Memory::new(), eventfds: Vec::new(), offered: [0; 4], client: None }
    }

    /// What the I/O worker does.
    fn drain(&self) {
        self.card.drain(&mut IoQueue::default(), &mut Feedback::default());
    }

    /// The client leaves, and is served to its end: `heard`, to the last byte that it has sent.
    fn leave(&mut self, heard: bool) {
        let Some(mut client) = self.client.take() else { return };
        if heard && let Some(socket) = &client.socket {
            // An error: it was cut off, which is its end too.
            let _ = socket.shutdown(Shutdown::Write);
        }
        while heard && client.socket.is_some() {
            client.receive();
            std::thread::yield_now();
        }
        drop(client.socket);
        while !client.server.is_finished() {
            self.drain();
            std::thread::yield_now();
        }
        client.server.join().expect("no panic");
    }

    /// The present client; one comes where there is none.
    fn client(&mut self) -> &mut Client {
        self.client.get_or_insert_with(|| Client::come(&self.card))
    }

    /// A descriptor of this kind, and what it leaves behind here.
    fn descriptor(&mut self, fd: Fd) -> Option<OwnedFd> {
        let eventfd = |flags| rustix::event::eventfd(0, flags).expect("an eventfd");
        let fd = match fd {
            Fd::None => return None,
            Fd::Eventfd => eventfd(EventfdFlags::NONBLOCK),
            Fd::Waiting => eventfd(EventfdFlags::empty()),
            Fd::Sealed => return self.memory.sealed.try_clone().ok().map(OwnedFd::from),
            Fd::Unsealed => return self.memory.unsealed.try_clone().ok().map(OwnedFd::from),
            Fd::Socket => return UnixStream::pair().ok().map(|(one, _)| OwnedFd::from(one)),
        };
        self.eventfds.push(fd.try_clone().expect("a descriptor"));
        Some(fd)
    }

    fn send(&mut self, code: u32, body: &[u8], fd: Fd) {
        let fd = self.descriptor(fd);
        let fds: Vec<BorrowedFd<'_>> = fd.iter().map(AsFd::as_fd).collect();
        self.client().send(code, VERSION | NEED_REPLY, None, body, &fds);
    }

    fn send_state(&mut self, code: u32, queue: u32, value: u32) {
        self.send(code, &[queue.to_ne_bytes(), value.to_ne_bytes()].concat(), Fd::None);
    }

    fn send_address(&mut self, queue: u32, flags: u32, parts: [u64; 3]) {
        let mut body = [queue.to_ne_bytes(), flags.to_ne_bytes()].concat();
        // The table, the used and the available ring, and a log that there is not.
        body.extend([parts[0], parts[2], parts[1], 0].iter().flat_map(|part| part.to_ne_bytes()));
        self.send(SET_VRING_ADDR, &body, Fd::None);
    }

    fn begin(&mut self, event_idx: bool, slots: bool, acknowledged: bool) {
        self.send(SET_OWNER, &[], Fd::None);
        let features = FEATURES & !(u64::from(!event_idx) << 29);
        self.send(SET_FEATURES, &features.to_ne_bytes(), Fd::None);
        let protocol = PROTOCOL_FEATURES & !(u64::from(!acknowledged) << 3);
        self.send(SET_PROTOCOL_FEATURES, &protocol.to_ne_bytes(), Fd::None);
        let region = [0, FILE_BYTES, FRONT_END, 0].map(u64::to_ne_bytes).concat();
        if slots {
            self.send(ADD_MEM_REG, &[&[0; 8][..], &region].concat(), Fd::Sealed);
        } else {
            self.send(SET_MEM_TABLE, &[&[1, 0, 0, 0, 0, 0, 0, 0][..], &region].concat(), Fd::Sealed);
        }
        for queue in 0..4 {
            self.send_state(SET_VRING_NUM, queue, SIZE.into());
            self.send_state(SET_VRING_BASE, queue, 0);
            self.send_address(queue, 0, ring(queue).map(|part| FRONT_END + part));
            self.send(SET_VRING_KICK, &u64::from(queue).to_ne_bytes(), Fd::Eventfd);
            self.send(SET_VRING_CALL, &u64::from(queue).to_ne_bytes(), Fd::Eventfd);
            self.send_state(SET_VRING_ENABLE, queue, 1);
        }
        self.offered = [0; 4];
    }

    fn send_regions(&mut self, regions: &[Region]) {
        let mut body = Vec::from((regions.len() as u64).to_ne_bytes());
        body.extend(regions.iter().flat_map(region_bytes));
        let fds: Vec<OwnedFd> = regions.iter().filter_map(|region| self.descriptor(region.fd)).collect();
        let fds: Vec<BorrowedFd<'_>> = fds.iter().map(AsFd::as_fd).collect();
        self.client().send(SET_MEM_TABLE, VERSION | NEED_REPLY, None, &body, &fds);
    }

    fn queue_message(&mut self, what: u8, queue: u8, value: u16, fd: Fd) {
        let codes = [SET_VRING_NUM, SET_VRING_BASE, GET_VRING_BASE, SET_VRING_ENABLE];
        match what % 8 {
            3 => self.send_state(SET_VRING_ENABLE, queue.into(), (value & 1).into()),
            at @ 0..=2 => self.send_state(codes[usize::from(at)], queue.into(), value.into()),
            at => {
                let code = [SET_VRING_KICK, SET_VRING_CALL, SET_VRING_ERR][usize::from(at) % 3];
                let none = u64::from(matches!(fd, Fd::None)) << 8;
                let body = u64::from(queue) | none | u64::from(value >> 12) << 9;
                self.send(code, &body.to_ne_bytes(), fd);
            }
        }
    }

    fn chain(&mut self, queue: u8, code: u8, stream: u8, bytes: u16, kick: bool) {
        let queue = usize::from(queue % 4);
        let [table, available, _] = ring(queue as u32);
        let number = self.offered[queue];
        self.offered[queue] = number.wrapping_add(1);
        // Two descriptors and 1 KiB of data for each of eight chains.
        let head = number % 8 * 2;
        let data = 0x8000 + (queue as u64 * 8 + u64::from(number % 8)) * 0x400;
        let stream = u32::from(stream % 5);
        let words: Vec<u32> = match (queue, code % 8) {
            // A period of 64 frames of 16-bit stereo at 48 kHz, four of them.
            (0, 0) => vec![0x101, stream, 1024, 256, 0, 0x0007_0502],
            (0, code @ 1..=4) => vec![0x101 + u32::from(code), stream],
            (0, 5) => vec![0x100, 0, 4, 32],
            (0, _) => vec![u32::from(code), stream, bytes.into(), 4],
            _ => vec![stream],
        };
        let words: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        self.memory.write(data, &words);
        let readable = words.len() + if queue == 2 { usize::from(bytes % 0x180) } else { 0 };
        let writable = 8 + usize::from(bytes % 0x180);
        let next = descriptor(data, readable, 1, head + 1);
        self.memory.write(table + u64::from(head) * 16, &next);
        self.memory.write(table + u64::from(head + 1) * 16, &descriptor(data + 0x200, writable, 2, 0));
        self.memory.write(available + 4 + u64::from(number % SIZE) * 2, &head.to_le_bytes());
        self.memory.write(available + 2, &self.offered[queue].to_le_bytes());
        if kick {
            // Kick and call of each queue, in turn: see `begin`.
            self.kick(u8::try_from(queue * 2).unwrap_or(0));
        }
    }

    fn kick(&self, number: u8) {
        if let Some(eventfd) = self.eventfds.get(usize::from(number) % self.eventfds.len().max(1)) {
            // No more than it holds: nobody waits.
            let _ = rustix::io::write(eventfd, &1_u64.to_ne_bytes());
        }
    }

    fn do_step(&mut self, step: Step) {
        match step {
            Step::Begin { event_idx, slots, acknowledged } => self.begin(event_idx, slots, acknowledged),
            Step::Queue { what, queue, value, fd } => self.queue_message(what, queue % 6, value, fd),
            Step::Address { queue, flags, parts } => {
                self.send_address(u32::from(queue % 6), flags.into(), parts.map(Number::value));
            }
            Step::MemoryTable(regions) => self.send_regions(&regions[..regions.len().min(40)]),
            Step::AddRegion(region) => {
                self.send(ADD_MEM_REG, &[&[0; 8][..], &region_bytes(&region)].concat(), region.fd);
            }
            Step::RemoveRegion(region) => {
                self.send(REM_MEM_REG, &[&[0; 8][..], &region_bytes(&region)].concat(), region.fd);
            }
            Step::Features(which, features) => {
                let code = [SET_FEATURES, SET_PROTOCOL_FEATURES][usize::from(which % 2)];
                self.send(code, &features.value().to_ne_bytes(), Fd::None);
            }
            Step::Config { set, offset, bytes, flags, claims } => {
                let words = [offset.into(), bytes.into(), u32::from(flags)].map(u32::to_ne_bytes).concat();
                let body = [words, vec![0; usize::from(bytes % 512)]].concat();
                let code = if set { SET_CONFIG } else { GET_CONFIG };
                self.client().send(code, VERSION | NEED_REPLY, claims, &body, &[]);
            }
            Step::Any { code, flags, claims, body, fds } => {
                let fds: Vec<OwnedFd> =
                    fds.into_iter().take(FDS_MAX).filter_map(|fd| self.descriptor(fd)).collect();
                let fds: Vec<BorrowedFd<'_>> = fds.iter().map(AsFd::as_fd).collect();
                let flags = if flags < 0xC0 { VERSION | u32::from(flags & 8) } else { flags.into() };
                self.client().send((code % 48).into(), flags, claims, &body, &fds);
            }
            Step::Bytes(bytes) => {
                self.client().in_step &= bytes.is_empty();
                self.client().send_bytes(&bytes, &[]);
            }
            Step::Poke(address, bytes) => self.memory.write(address.into(), &bytes),
            Step::Chain { queue, code, stream, bytes, kick } => self.chain(queue, code, stream, bytes, kick),
            Step::Kick(number) => self.kick(number),
            Step::Unkick(number) => {
                let eventfd = self.eventfds.get(usize::from(number) % self.eventfds.len().max(1));
                if let Some(eventfd) = eventfd.filter(|fd| is_nonblocking(fd)) {
                    let _ = rustix::io::read(eventfd, &mut [0_u8; 8]);
                }
            }
            Step::Cut(pages) => {
                self.memory.unsealed.set_len(u64::from(pages % 17) * 0x1000).expect("not sealed");
            }
            Step::Wait => self.client().wait(),
            Step::Turn(time) => {
                self.card.clock().turn(u64::from(time) * 1000);
                // Whatever the card says, it is not asked for ever.
                let _ = self.card.advance();
                self.drain();
            }
            Step::Leave(heard) => self.leave(heard),
        }
    }
}

fn is_nonblocking(fd: &OwnedFd) -> bool {
    rustix::fs::fcntl_getfl(fd).is_ok_and(|flags| flags.contains(rustix::fs::OFlags::NONBLOCK))
}

/// Where a queue lies that is set up as it should be: its table, available and used ring.
fn ring(queue: u32) -> [u64; 3] {
    [0, 0x400, 0x800].map(|part| 0x1000 * (u64::from(queue) + 1) + part)
}

fn region_bytes(region: &Region) -> Vec<u8> {
    let Region { guest, bytes, front_end, offset, .. } = region;
    [guest, bytes, front_end, offset].map(|number| number.value().to_ne_bytes()).concat()
}

/// Everything that is made once is there before descriptors are counted.
fn warm_up() {
    static WARM: Once = Once::new();
    WARM.call_once(|| {
        judge_panics();
        let mut world = World::new(false);
        world.begin(true, false, true);
        world.chain(0, 5, 0, 0, true);
        world.client().wait();
        world.leave(false);
    });
}

fuzz_target!(|data: &[u8]| {
    warm_up();
    let before = descriptors();
    let mut input = Unstructured::new(data);
    let Ok(lockstep) = input.arbitrary::<bool>() else { return };
    let mut world = World::new(lockstep);
    for _ in 0..100 {
        if input.is_empty() {
            break;
        }
        let Ok(step) = input.arbitrary::<Step>() else { break };
        world.do_step(step);
    }
    world.leave(true);
    // The next one does nothing wrong.
    world.client().wait();
    assert!(world.client().socket.is_some(), "a client that does nothing wrong is cut off");
    world.leave(false);
    let World { card, memory, eventfds, .. } = world;
    drop((card, eventfds));
    memory.check_unmapped();
    drop(memory);
    assert_eq!(descriptors(), before, "descriptors are left");
});
