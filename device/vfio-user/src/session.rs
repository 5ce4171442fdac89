//! One client's conversation: bytes and descriptors in, bytes and descriptors out. No sockets, no threads, no
//! clock.
//!
//! Staying in step: a message is taken apart by its size field and by nothing else, and it is always taken
//! whole, whatever is wrong with it. Only a size that no message can have ends the conversation, for then
//! nobody knows where the next message begins.
//!
//! Bounds: a message is stored as it arrives, so a client that says "1 MiB" and sends nothing costs nothing;
//! at most one message is held, and at most [`MESSAGE_FDS_MAX`] descriptors; a reply is at most as long as
//! one access may be, and is given out before the next message is read.

mod access;
mod describe;
mod dma;
mod irqs;

use std::os::fd::OwnedFd;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::device::Device;
use crate::maps::Maps;
use crate::pci::PowerState;
use crate::refusal::{CloseReason, Refusal};
use crate::version::{self, Peer};
use crate::wire::{
    self, HEADER_BYTES, Header, MAJOR, MESSAGE_BYTES_MAX, MESSAGE_FDS_MAX, MINOR, VERSION_BYTES_MAX, command,
    header_flags,
};

/// After so many lines about what a client does wrong there are no further ones in the log (but at level
/// debug).
const LOGGED_COMPLAINTS: u32 = 16;
/// What the buffer for a message keeps between messages, bytes.
const BUFFER_KEPT_BYTES: usize = 64 << 10;

/// A reply, to be sent in one go, with its descriptors: QEMU takes a header that comes in two parts for an
/// error.
#[derive(Debug, Default)]
pub struct Reply {
    /// The whole message.
    pub bytes: Vec<u8>,
    /// Descriptors to go with it.
    pub fds: Vec<OwnedFd>,
}

/// What came of some bytes.
#[derive(Debug)]
pub enum Step {
    /// Nothing to send: more bytes are wanted, or the message wanted no reply.
    Continue,
    /// A reply.
    Reply(Reply),
    /// The client is to be cut off, after this reply if there is one.
    Close(Option<Reply>, CloseReason),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Before `VERSION` ("Connection Initiation").
    Opening,
    Open,
    Closed(CloseReason),
}

/// One client's conversation.
#[derive(Debug)]
pub struct Session {
    phase: Phase,
    peer: Peer,
    maps: Maps,
    /// What the PCI function was last told.
    power: PowerState,
    /// The message that is arriving: header and as much of the payload as there is.
    message: Vec<u8>,
    /// Descriptors that came with any part of it.
    fds: Vec<OwnedFd>,
    /// There were more than one message may have; they are closed already.
    fds_lost: bool,
    /// What it did wrong and was logged, refusals among it.
    complaints: u32,
}

impl Default for Session {
    fn default() -> Self {
        Self::new()
    }
}

impl Session {
    /// A client has connected.
    pub fn new() -> Self {
        Self {
            phase: Phase::Opening,
            peer: Peer::default(),
            maps: Maps::default(),
            power: PowerState::D0,
            message: Vec::new(),
            fds: Vec::new(),
            fds_lost: false,
            complaints: 0,
        }
    }

    /// How many bytes are missing to the end of the header or of the message; 0 after [`Step::Close`].
    ///
    /// Descriptors belong to the message with whose bytes they came. The kernel hands out bytes that were
    /// sent before them together with theirs, but none of a later `sendmsg`: whoever reads further than this
    /// gives the descriptors of a read to the last message of it.
    pub fn wanted(&self) -> usize {
        match self.phase {
            Phase::Closed(_) => 0,
            _ => self.end().saturating_sub(self.message.len()),
        }
    }

    /// Whether part of a message is there and the rest is not.
    pub fn mid_message(&self) -> bool {
        !self.message.is_empty()
    }

    /// Takes up to [`Session::wanted`] bytes off the front of `bytes`, and the descriptors that came with
    /// them; handles the message if that was its end. `fds_lost`: there were more descriptors than could be
    /// received.
    pub fn receive(
        &mut self,
        device: &mut impl Device,
        bytes: &mut &[u8],
        fds: Vec<OwnedFd>,
        fds_lost: bool,
    ) -> Step {
        if let Phase::Closed(reason) = self.phase {
            *bytes = &[];
            return Step::Close(None, reason);
        }
        self.fds_lost |= fds_lost;
        for fd in fds {
            if self.fds.len() < MESSAGE_FDS_MAX as usize {
                self.fds.push(fd);
            } else {
                self.fds_lost = true;
            }
        }
        let (now, later) = bytes.split_at(self.wanted().min(bytes.len()));
        *bytes = later;
        self.message.extend_from_slice(now);
        let Some(header) = self.header() else { return Step::Continue };
        if let Some(reason) = self.impossible_size(&header) {
            return self.close(&header, reason);
        }
        if self.message.len() < self.end() {
            return Step::Continue;
        }
        let mut message = std::mem::take(&mut self.message);
        let fds = std::mem::take(&mut self.fds);
        let payload = message.get(HEADER_BYTES..).unwrap_or_default();
        let step = self.handle(device, &header, payload, fds);
        message.clear();
        message.shrink_to(BUFFER_KEPT_BYTES);
        self.message = message;
        self.fds_lost = false;
        step
    }

    /// The header, when it is there.
    fn header(&self) -> Option<Header> {
        Header::read_from_prefix(&self.message).ok().map(|(header, _)| header)
    }

    /// How long the message is, or what must be there to know it.
    fn end(&self) -> usize {
        let said = self.header().and_then(|header| usize::try_from(header.size.get()).ok());
        said.unwrap_or(HEADER_BYTES)
    }

    fn impossible_size(&self, header: &Header) -> Option<CloseReason> {
        let size = header.size.get();
        let most = if self.phase == Phase::Opening { VERSION_BYTES_MAX } else { MESSAGE_BYTES_MAX };
        if (size as usize) < HEADER_BYTES {
            Some(CloseReason::SizeTooSmall(size))
        } else if size > most {
            Some(CloseReason::SizeTooLarge(size))
        } else {
            None
        }
    }

    fn handle(
        &mut self,
        device: &mut impl Device,
        header: &Header,
        payload: &[u8],
        fds: Vec<OwnedFd>,
    ) -> Step {
        if header.kind() == header_flags::REPLY {
            // We have asked nothing. An answer to an answer is never sent.
            self.log_bounded(format_args!("a reply to nothing, of {} bytes, is ignored", header.size));
            return Step::Continue;
        }
        let opening = self.phase == Phase::Opening;
        let answer = if header.kind() != header_flags::COMMAND {
            Err(Refusal::Type)
        } else if self.fds_lost {
            Err(Refusal::Descriptors)
        } else {
            self.dispatch(device, header.command.get(), payload, fds)
        };
        match answer {
            Ok(_) if header.flags.get() & header_flags::NO_REPLY != 0 => Step::Continue,
            Ok(answer) => Step::Reply(answer.to(header)),
            Err(refusal) => {
                self.log_refusal(header.command.get(), refusal);
                if opening {
                    return self.close(header, CloseReason::Version(refusal));
                }
                refuse(header, refusal).map_or(Step::Continue, Step::Reply)
            }
        }
    }

    fn dispatch(
        &mut self,
        device: &mut impl Device,
        command: u16,
        payload: &[u8],
        fds: Vec<OwnedFd>,
    ) -> Result<Answer, Refusal> {
        if self.phase == Phase::Opening {
            no_fds(&fds)?;
            return if command == command::VERSION { self.version(payload) } else { Err(Refusal::Order) };
        }
        if !matches!(command, command::DMA_MAP | command::DEVICE_SET_IRQS) {
            no_fds(&fds)?;
        }
        match command {
            command::VERSION => Err(Refusal::Order),
            command::DMA_MAP => self.dma_map(device, payload, fds),
            command::DMA_UNMAP => self.dma_unmap(device, payload),
            command::DEVICE_GET_INFO => describe::device(device, payload),
            command::DEVICE_GET_REGION_INFO => describe::region(device, payload, self.peer.fds),
            command::DEVICE_GET_REGION_IO_FDS => describe::region_io_fds(device, payload),
            command::DEVICE_GET_IRQ_INFO => describe::irq(device, payload),
            command::DEVICE_SET_IRQS => irqs::set(device, payload, fds),
            command::REGION_READ => access::read(device, payload),
            command::REGION_WRITE => self.region_write(device, payload),
            command::REGION_WRITE_MULTI if self.peer.write_multiple => {
                self.region_write_multi(device, payload)
            }
            command::DEVICE_RESET => self.reset(device, payload),
            command::DEVICE_FEATURE => describe::feature(payload),
            command::DMA_READ
            | command::DMA_WRITE
            | command::DIRTY_PAGES
            | command::REGION_WRITE_MULTI
            | command::MIG_DATA_READ
            | command::MIG_DATA_WRITE => Err(Refusal::UnsupportedCommand),
            _ => Err(Refusal::UnknownCommand),
        }
    }

    /// "`VFIO_USER_VERSION`": the major must be ours, the minor of the reply is not above the client's.
    fn version(&mut self, payload: &[u8]) -> Result<Answer, Refusal> {
        let (theirs, data) = fixed::<wire::Version>(payload)?;
        if theirs.major.get() != MAJOR {
            return Err(Refusal::Major);
        }
        self.peer = version::read(data).ok_or(Refusal::VersionData)?;
        self.phase = Phase::Open;
        let minor = theirs.minor.get().min(MINOR);
        let version::Peer { fds, data_bytes, .. } = self.peer;
        log::debug!("VERSION {MAJOR}.{minor}, {fds} descriptors and {data_bytes} bytes in one message");
        let ours = wire::Version { major: MAJOR.into(), minor: minor.into() };
        Ok(Answer::of(&[ours.as_bytes(), &version::write(self.peer.write_multiple)]))
    }

    /// "`VFIO_USER_DEVICE_RESET`".
    fn reset(&mut self, device: &mut impl Device, payload: &[u8]) -> Result<Answer, Refusal> {
        if !payload.is_empty() {
            return Err(Refusal::PayloadLength);
        }
        if !device.can_reset() {
            return Err(Refusal::NoReset);
        }
        device.reset().map_err(Refusal::Device)?;
        self.power = PowerState::D0;
        Ok(Answer::of(&[]))
    }

    fn close(&mut self, header: &Header, reason: CloseReason) -> Step {
        self.phase = Phase::Closed(reason);
        self.message = Vec::new();
        self.fds = Vec::new();
        let refusal =
            if let CloseReason::Version(refusal) = reason { refusal } else { Refusal::PayloadLength };
        Step::Close(refuse(header, refusal), reason)
    }

    fn log_refusal(&mut self, command: u16, refusal: Refusal) {
        self.log_bounded(format_args!("{} ({command}) refused: {refusal}", command::name(command)));
    }

    /// Says what a client does wrong, as often as is good for a log.
    fn log_bounded(&mut self, what: std::fmt::Arguments<'_>) {
        self.complaints = self.complaints.saturating_add(1);
        let level = if self.complaints > LOGGED_COMPLAINTS { log::Level::Debug } else { log::Level::Warn };
        log::log!(level, "{what}");
        if self.complaints == LOGGED_COMPLAINTS {
            log::warn!("what else this client does wrong is logged at level debug");
        }
    }
}

/// The error reply to a command: only a header ("Header"). None to one that wants none, and none to a reply.
fn refuse(header: &Header, refusal: Refusal) -> Option<Reply> {
    if header.flags.get() & header_flags::NO_REPLY != 0 || header.kind() == header_flags::REPLY {
        return None;
    }
    let errno = refusal.errno().raw_os_error().unsigned_abs();
    let flags = header_flags::REPLY | header_flags::ERROR;
    let error = Header { flags: flags.into(), errno: errno.into(), ..Header::command(0, 0, 0) };
    let error = Header { id: header.id, command: header.command, ..error };
    Some(Reply { bytes: error.as_bytes().to_vec(), fds: Vec::new() })
}

/// The fixed part of a payload, in place, and what follows it.
fn fixed<T: FromBytes + KnownLayout + Immutable + Unaligned>(payload: &[u8]) -> Result<(&T, &[u8]), Refusal> {
    T::ref_from_prefix(payload).map_err(|_| Refusal::PayloadLength)
}

/// Refuses an `argsz` below the fixed part of `T` ("Message sizes").
fn argsz<T>(said: u32) -> Result<(), Refusal> {
    if (said as usize) < size_of::<T>() { Err(Refusal::Argsz) } else { Ok(()) }
}

fn no_fds(fds: &[OwnedFd]) -> Result<(), Refusal> {
    if fds.is_empty() { Ok(()) } else { Err(Refusal::Descriptors) }
}

/// The answer to a command, with room for its header.
#[derive(Debug)]
struct Answer(Reply);

impl Answer {
    /// With these parts as payload.
    fn of(parts: &[&[u8]]) -> Self {
        let mut bytes = vec![0; HEADER_BYTES];
        for part in parts {
            bytes.extend_from_slice(part);
        }
        Self(Reply { bytes, fds: Vec::new() })
    }

    /// As the reply to `header`.
    fn to(mut self, header: &Header) -> Reply {
        let payload = self.0.bytes.len().saturating_sub(HEADER_BYTES);
        let reply = Header::command(header.id.get(), header.command.get(), payload);
        let reply = Header { flags: header_flags::REPLY.into(), ..reply };
        if let Some(place) = self.0.bytes.get_mut(..HEADER_BYTES) {
            place.copy_from_slice(reply.as_bytes());
        }
        self.0
    }
}
