//! A device that writes down what it is asked for, and ways to talk to it: with a socket, and without one.
#![allow(dead_code, missing_docs, reason = "each test file uses a part")]
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "these are tests")]

use std::fs::File;
use std::ops::RangeInclusive;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};

use ringwave_vfio_user::pci::{Controls, PowerState};
use ringwave_vfio_user::wire::{HEADER_BYTES, Header, command, header_flags, irq_flags};
use ringwave_vfio_user::{
    Area, ClientEnd, Device, DmaAccess, DmaMap, Errno, IrqAction, IrqChange, IrqInfo, MappedRegion,
    RegionInfo, Reply, Session, Step, Stop, serve_client,
};
use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use zerocopy::{FromBytes, IntoBytes};

pub const INTX: u32 = 0;
pub const MSI: u32 = 1;
pub const MSIX: u32 = 2;
pub const ERR: u32 = 3;
pub const MSI_COUNT: u32 = 32;
/// Region 0 can be read and written.
pub const BAR0_BYTES: u64 = 0x100;
/// A write here is refused with `NODEV`, in regions 0 and 5.
pub const REFUSING_OFFSET: u64 = 0xF0;
/// Region 5 is as long as one access may be, and longer.
pub const LONG_BYTES: u64 = 3 << 20;

/// Stops a server when a test ends, also by a panic: a scope waits for its threads.
pub struct StopOnDrop<'a>(pub &'a Stop);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// Region 1 is mapped in one part, region 2 cannot be written, region 3 not read, region 4 is mapped whole,
/// region 5 is long.
pub struct Board {
    pub log: Arc<Mutex<Vec<String>>>,
    pub bar0: Vec<u8>,
    pub memory: OwnedFd,
    pub resets: bool,
    pub controls: Controls,
    pub eventfds: Vec<OwnedFd>,
}

impl Board {
    pub fn new() -> Self {
        let memory = memory(0x5000);
        Self {
            log: Arc::default(),
            bar0: vec![0; usize::try_from(BAR0_BYTES).unwrap()],
            memory,
            resets: true,
            controls: Controls::default(),
            eventfds: Vec::new(),
        }
    }

    fn note(&self, what: String) {
        self.log.lock().unwrap().push(what);
    }

    pub fn taken(&self) -> Vec<String> {
        std::mem::take(&mut *self.log.lock().unwrap())
    }

    fn mapped(&self, areas: Vec<Area>) -> MappedRegion<'_> {
        MappedRegion { fd: self.memory.as_fd(), offset: 0x1000, areas }
    }
}

impl Device for Board {
    fn region(&self, index: u32) -> RegionInfo<'_> {
        let plain = RegionInfo { size: 0, read: true, write: true, mapped: None };
        match index {
            0 => RegionInfo { size: BAR0_BYTES, ..plain },
            1 => {
                let mapped = self.mapped(vec![Area { offset: 0x1000, size: 0x1000 }]);
                RegionInfo { size: 0x3000, mapped: Some(mapped), ..plain }
            }
            2 => RegionInfo { size: 16, write: false, ..plain },
            3 => RegionInfo { size: 16, read: false, ..plain },
            4 => RegionInfo { size: 0x2000, mapped: Some(self.mapped(Vec::new())), ..plain },
            5 => RegionInfo { size: LONG_BYTES, ..plain },
            7 => RegionInfo { size: 256, ..plain },
            _ => RegionInfo::default(),
        }
    }

    fn irq(&self, index: u32) -> IrqInfo {
        match index {
            INTX => {
                IrqInfo { count: 1, flags: irq_flags::EVENTFD | irq_flags::MASKABLE | irq_flags::AUTOMASKED }
            }
            MSI => IrqInfo { count: MSI_COUNT, flags: irq_flags::EVENTFD | irq_flags::NORESIZE },
            ERR => IrqInfo { count: 1, flags: 0 },
            _ => IrqInfo::default(),
        }
    }

    fn region_read(&mut self, region: u32, offset: u64, data: &mut [u8]) -> Result<(), Errno> {
        self.note(format!("read {region} {offset:#x} {}", data.len()));
        if offset == REFUSING_OFFSET {
            return Err(Errno::NODEV);
        }
        if region == 0 {
            let from = usize::try_from(offset).unwrap();
            data.copy_from_slice(&self.bar0[from..from + data.len()]);
        } else {
            data.fill(u8::try_from(region).unwrap());
        }
        Ok(())
    }

    fn region_write(&mut self, region: u32, offset: u64, data: &[u8]) -> Result<(), Errno> {
        if offset == REFUSING_OFFSET {
            return Err(Errno::NODEV);
        }
        self.note(format!("write {region} {offset:#x} {}", data.len()));
        if region == 0 {
            let from = usize::try_from(offset).unwrap();
            self.bar0[from..from + data.len()].copy_from_slice(data);
        }
        Ok(())
    }

    fn dma_map(&mut self, map: DmaMap) -> Result<(), Errno> {
        let access = match &map.access {
            DmaAccess::Unreachable => "unreachable".to_owned(),
            DmaAccess::Map { fd, offset } => format!("map {} from {offset:#x}", bytes_of(fd)),
            DmaAccess::FileIo { fd, offset } => format!("file {} from {offset:#x}", bytes_of(fd)),
        };
        let DmaMap { address, size, read, write, .. } = map;
        if address == 0xBAD_0000 {
            return Err(Errno::NOMEM);
        }
        self.note(format!("map {address:#x} {size:#x} read {read} write {write} {access}"));
        Ok(())
    }

    fn dma_unmap(&mut self, addresses: RangeInclusive<u64>) {
        self.note(format!("unmap {:#x}..={:#x}", addresses.start(), addresses.end()));
    }

    fn set_irqs(&mut self, index: u32, change: IrqChange<'_>) -> Result<(), Errno> {
        let what = match change {
            IrqChange::Disable => "disable".to_owned(),
            IrqChange::Assign { action, start, fds } => {
                let what = format!("{action:?} to {} eventfds from {start}", fds.len());
                for (value, fd) in (start + 1..).zip(&fds) {
                    rustix::io::write(fd, &u64::from(value).to_ne_bytes())?;
                }
                self.eventfds = fds;
                what
            }
            IrqChange::Deassign { action, vectors } => {
                format!("{action:?} to none, {} from {}", vectors.count(), vectors.start())
            }
            IrqChange::Act { action: IrqAction::Trigger, vectors } if vectors.start() == 31 => {
                self.note(format!("refused {:?}", vectors.iter().collect::<Vec<_>>()));
                return Err(Errno::BUSY);
            }
            IrqChange::Act { action, vectors } => {
                format!("{action:?} {:?}", vectors.iter().collect::<Vec<_>>())
            }
        };
        self.note(format!("irq {index}: {what}"));
        Ok(())
    }

    fn can_reset(&self) -> bool {
        self.resets
    }

    fn reset(&mut self) -> Result<(), Errno> {
        self.note("reset".into());
        Ok(())
    }

    fn pci_controls(&self) -> Controls {
        self.controls
    }

    fn function_level_reset(&mut self) {
        self.note("function-level reset".into());
    }

    fn power_state(&mut self, state: PowerState) {
        self.note(format!("power {state:?}"));
    }

    fn client_left(&mut self) {
        self.eventfds.clear();
        self.bar0.fill(0);
        self.note("left".into());
    }
}

fn bytes_of(fd: &OwnedFd) -> u64 {
    File::from(fd.try_clone().unwrap()).metadata().unwrap().len()
}

pub fn memory(bytes: u64) -> OwnedFd {
    let memory = memfd_create("test", MemfdFlags::CLOEXEC).unwrap();
    ftruncate(&memory, bytes).unwrap();
    memory
}

pub fn event() -> OwnedFd {
    eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).unwrap()
}

/// What was added to an eventfd since the last call.
pub fn count(event: &OwnedFd) -> u64 {
    let mut count = [0; 8];
    match rustix::io::read(event, &mut count) {
        Ok(_) => u64::from_ne_bytes(count),
        Err(_) => 0,
    }
}

/// Descriptors to send, and what sees when the last of them is closed.
pub fn watched_fds(count: usize) -> (UnixStream, Vec<OwnedFd>) {
    let (witness, sent) = UnixStream::pair().unwrap();
    witness.set_nonblocking(true).unwrap();
    (witness, (0..count).map(|_| sent.try_clone().unwrap().into()).collect())
}

/// Whether none of the [`watched_fds`] is open any more.
pub fn all_closed(mut witness: &UnixStream) -> bool {
    matches!(std::io::Read::read(&mut witness, &mut [0]), Ok(0))
}

/// Serves a board on one end of a socket pair while `talk` has the other. Gives how the client's time ended,
/// and what the board was asked.
pub fn with_board(talk: impl FnOnce(UnixStream, &Mutex<Vec<String>>)) -> (ClientEnd, Vec<String>) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut board = Board::new();
    let log = Arc::clone(&board.log);
    let stop = Stop::new().unwrap();
    let server = std::thread::spawn(move || {
        let end = serve_client(&theirs, &mut board, &stop);
        (end, board.taken())
    });
    talk(ours, &log);
    server.join().unwrap()
}

/// A whole command.
pub fn message(command: u16, payload: &[u8]) -> Vec<u8> {
    message_with(command, 0, payload)
}

pub fn message_with(command: u16, flags: u32, payload: &[u8]) -> Vec<u8> {
    let header = Header { flags: flags.into(), ..Header::command(0x1234, command, payload.len()) };
    [header.as_bytes(), payload].concat()
}

/// A `VERSION` as QEMU sends it.
pub fn hello() -> Vec<u8> {
    let json =
        b"{\"capabilities\":{\"max_msg_fds\":8,\"max_data_xfer_size\":1048576,\"write_multiple\":true}}\0";
    message(command::VERSION, &[&[0, 0, 0, 0], &json[..]].concat())
}

pub fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

/// Everything a session says to these bytes, with the descriptors on the first, and whether it closes.
pub fn exchange(
    session: &mut Session,
    board: &mut Board,
    mut bytes: &[u8],
    fds: Vec<OwnedFd>,
) -> (Vec<Reply>, bool) {
    let mut replies = Vec::new();
    let mut fds = Some(fds);
    while !bytes.is_empty() {
        match session.receive(board, &mut bytes, fds.take().unwrap_or_default(), false) {
            Step::Continue => {}
            Step::Reply(reply) => replies.push(reply),
            Step::Close(reply, _) => {
                replies.extend(reply);
                return (replies, true);
            }
        }
    }
    (replies, false)
}

/// A session after `VERSION`.
pub fn open_session(board: &mut Board) -> Session {
    let mut session = Session::new();
    let (replies, closed) = exchange(&mut session, board, &hello(), Vec::new());
    assert!(!closed && errno(&replies[0]) == 0);
    session
}

pub fn header(reply: &Reply) -> Header {
    Header::read_from_prefix(&reply.bytes).unwrap().0
}

/// 0, or the errno of an error reply, which must be nothing but a header.
pub fn errno(reply: &Reply) -> i32 {
    let header = header(reply);
    assert_eq!(header.kind(), header_flags::REPLY);
    assert_eq!(header.size.get() as usize, reply.bytes.len());
    if header.flags.get() & header_flags::ERROR == 0 {
        return 0;
    }
    assert_eq!(reply.bytes.len(), HEADER_BYTES, "an error reply has no payload");
    assert_ne!(header.errno.get(), 0, "QEMU takes errno 0 for success");
    header.errno.get().cast_signed()
}

pub fn borrow(fds: &[OwnedFd]) -> Vec<BorrowedFd<'_>> {
    fds.iter().map(AsFd::as_fd).collect()
}
