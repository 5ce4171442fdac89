//! The other end: a blocking client, for tests and for looking at a server. It trusts the server no more than
//! a server trusts it.

mod raw;

use std::io;
use std::ops::RangeInclusive;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use rustix::io::Errno;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

pub use raw::{Frame, RawClient};

use crate::device::{Area, IrqInfo};
use crate::mapping::Mapping;
use crate::version::{self, Peer};
use crate::wire::{
    self, CAP_SPARSE_MMAP, Header, MAJOR, MINOR, command, header_flags, irq_set_flags, map_flags,
    region_flags, unmap_flags,
};

/// How long a server may take for a reply.
const PATIENCE: Duration = Duration::from_secs(5);
/// The most areas of a region that are believed.
const AREAS_MAX: usize = 1024;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The connection broke, or the server took longer than five seconds.
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
    /// The server said no.
    #[error("{command} was refused: {errno}", command = command::name(*command))]
    Refused {
        /// What was asked, one of [`command`].
        command: u16,
        /// Why. [`Errno::IO`] when the server gave none.
        errno: Errno,
    },
    /// The server's reply is not what the specification says it is.
    #[error("the reply is not one to what was asked: {0}")]
    Protocol(&'static str),
}

/// What the server says about the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceReply {
    /// [`wire::device_flags`].
    pub flags: u32,
    /// How many regions.
    pub regions: u32,
    /// How many kinds of interrupts.
    pub irqs: u32,
}

/// What the server says about a region.
#[derive(Debug, Default)]
pub struct RegionReply {
    /// [`wire::region_flags`].
    pub flags: u32,
    /// Length in bytes.
    pub size: u64,
    /// Where the region begins in its descriptor, bytes.
    pub offset: u64,
    /// The parts that may be mapped; none = all, if it may be mapped at all.
    pub areas: Vec<Area>,
    /// Its memory.
    pub fd: Option<OwnedFd>,
}

impl RegionReply {
    /// Maps `bytes`, which must be within one of the areas, or the region if there are none.
    pub fn map(&self, bytes: RangeInclusive<u64>) -> Result<Mapping, ClientError> {
        let outside = ClientError::Protocol("this part of the region cannot be mapped");
        let whole = [Area { offset: 0, size: self.size }];
        let areas = if self.areas.is_empty() { &whole[..] } else { &self.areas };
        let inside = areas
            .iter()
            .any(|area| area.offset <= *bytes.start() && area.size > bytes.end().saturating_sub(area.offset));
        let Some(fd) = self.fd.as_ref().filter(|_| inside && bytes.start() <= bytes.end()) else {
            return Err(outside);
        };
        let length =
            (bytes.end() - bytes.start()).checked_add(1).and_then(|bytes| usize::try_from(bytes).ok());
        let offset = self.offset.checked_add(*bytes.start());
        let (Some(length), Some(offset)) = (length, offset) else { return Err(outside) };
        // An access beyond the end of the file is a SIGBUS. A server that cuts it short later can still bring
        // that about, unless it is sealed.
        let file = rustix::fs::fstat(fd).map_err(|errno| ClientError::Io(errno.into()))?;
        let there = u64::try_from(file.st_size).unwrap_or(0);
        if offset.checked_add(length as u64).is_none_or(|end| end > there) {
            return Err(ClientError::Protocol("the file behind the region is shorter than the region"));
        }
        Mapping::new(fd, offset, length).map_err(|errno| ClientError::Io(errno.into()))
    }
}

/// What was agreed on in `VERSION`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The minor version.
    pub minor: u16,
    /// The most descriptors in one message to the server.
    pub fds: u64,
    /// The most data in one access, bytes.
    pub data_bytes: u64,
    /// `REGION_WRITE_MULTI` may be sent.
    pub write_multiple: bool,
}

/// A client. Every call waits for the server's reply, at most five seconds.
#[derive(Debug)]
pub struct Client {
    raw: RawClient,
    limits: Limits,
    next_id: u16,
}

impl Client {
    /// Connects and agrees on a version.
    pub fn connect(path: &Path) -> Result<Self, ClientError> {
        Self::over(UnixStream::connect(path)?)
    }

    /// Agrees on a version over a connection that is there.
    pub fn over(stream: UnixStream) -> Result<Self, ClientError> {
        let raw = RawClient::over(stream, PATIENCE)?;
        let none = Limits { minor: MINOR, fds: 1, data_bytes: 0, write_multiple: false };
        let mut client = Self { raw, limits: none, next_id: 0 };
        let ours = wire::Version { major: MAJOR.into(), minor: MINOR.into() };
        let reply = client.ask(command::VERSION, &[ours.as_bytes(), &version::write(true)], &[])?;
        let (theirs, data) = fixed::<wire::Version>(&reply)?;
        if theirs.major.get() != MAJOR || theirs.minor.get() > MINOR {
            return Err(ClientError::Protocol("a version that was not proposed"));
        }
        let Peer { fds, data_bytes, write_multiple } =
            version::read(data).ok_or(ClientError::Protocol("malformed version data"))?;
        client.limits = Limits { minor: theirs.minor.get(), fds, data_bytes, write_multiple };
        Ok(client)
    }

    /// What was agreed on.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// The connection, to send anything at all. A reply that it leaves unread is what the next call gets.
    pub fn raw(&mut self) -> &mut RawClient {
        &mut self.raw
    }

    /// `DEVICE_GET_INFO`.
    pub fn device_info(&mut self) -> Result<DeviceReply, ClientError> {
        let asked = wire::DeviceInfo { argsz: size32::<wire::DeviceInfo>().into(), ..Default::default() };
        let reply = self.ask(command::DEVICE_GET_INFO, &[asked.as_bytes()], &[])?;
        let (info, _) = fixed::<wire::DeviceInfo>(&reply)?;
        Ok(DeviceReply {
            flags: info.flags.get(),
            regions: info.num_regions.get(),
            irqs: info.num_irqs.get(),
        })
    }

    /// `DEVICE_GET_REGION_INFO`, asked a second time when there is more than fits the first reply ("Message
    /// sizes").
    pub fn region_info(&mut self, index: u32) -> Result<RegionReply, ClientError> {
        let mut argsz = size32::<wire::RegionInfo>();
        for _ in 0..2 {
            let asked = wire::RegionInfo { argsz: argsz.into(), index: index.into(), ..Default::default() };
            let asked = asked.as_bytes();
            let (reply, mut fds) = self.ask_for_fds(command::DEVICE_GET_REGION_INFO, &[asked])?;
            let (info, _) = fixed::<wire::RegionInfo>(&reply)?;
            let there = info.argsz.get();
            if there > argsz && there as usize <= size_of::<wire::RegionInfo>() + (AREAS_MAX + 1) * 16 {
                argsz = there;
                continue;
            }
            let (flags, size, offset) = (info.flags.get(), info.size.get(), info.offset.get());
            let mapped = flags & region_flags::MMAP != 0;
            if mapped != (fds.len() == 1) {
                return Err(ClientError::Protocol("the flags and the descriptors contradict each other"));
            }
            let areas = if flags & region_flags::CAPS == 0 { Vec::new() } else { areas(&reply, info)? };
            return Ok(RegionReply { flags, size, offset, areas, fd: fds.pop() });
        }
        Err(ClientError::Protocol("argsz changes from one reply to the next"))
    }

    /// `DEVICE_GET_IRQ_INFO`.
    pub fn irq_info(&mut self, index: u32) -> Result<IrqInfo, ClientError> {
        let argsz = size32::<wire::IrqInfo>();
        let asked = wire::IrqInfo { argsz: argsz.into(), index: index.into(), ..Default::default() };
        let reply = self.ask(command::DEVICE_GET_IRQ_INFO, &[asked.as_bytes()], &[])?;
        let (info, _) = fixed::<wire::IrqInfo>(&reply)?;
        Ok(IrqInfo { count: info.count.get(), flags: info.flags.get() })
    }

    /// `REGION_READ`.
    pub fn read(&mut self, region: u32, offset: u64, into: &mut [u8]) -> Result<(), ClientError> {
        let asked = access(region, offset, into.len());
        let reply = self.ask(command::REGION_READ, &[asked.as_bytes()], &[])?;
        let (said, data) = fixed::<wire::RegionAccess>(&reply)?;
        if *said != asked || data.len() != into.len() {
            return Err(ClientError::Protocol("not the data that was asked for"));
        }
        into.copy_from_slice(data);
        Ok(())
    }

    /// `REGION_READ` of 32 bits.
    pub fn read32(&mut self, region: u32, offset: u64) -> Result<u32, ClientError> {
        let mut data = [0; 4];
        self.read(region, offset, &mut data)?;
        Ok(u32::from_le_bytes(data))
    }

    /// `REGION_WRITE`; when this returns the device has had it.
    pub fn write(&mut self, region: u32, offset: u64, data: &[u8]) -> Result<(), ClientError> {
        let asked = access(region, offset, data.len());
        let reply = self.ask(command::REGION_WRITE, &[asked.as_bytes(), data], &[])?;
        let (said, _) = fixed::<wire::RegionAccess>(&reply)?;
        if *said == asked { Ok(()) } else { Err(ClientError::Protocol("not the write that was asked for")) }
    }

    /// `REGION_WRITE` of 32 bits.
    pub fn write32(&mut self, region: u32, offset: u64, value: u32) -> Result<(), ClientError> {
        self.write(region, offset, &value.to_le_bytes())
    }

    /// `REGION_WRITE` without a reply: done before whatever is asked next.
    pub fn post(&mut self, region: u32, offset: u64, data: &[u8]) -> Result<(), ClientError> {
        let asked = access(region, offset, data.len());
        let header = self.header(command::REGION_WRITE, &[asked.as_bytes(), data]);
        let header = Header { flags: header_flags::NO_REPLY.into(), ..header };
        Ok(self.raw.send(&[header.as_bytes(), asked.as_bytes(), data].concat(), &[])?)
    }

    /// `DMA_MAP`, for reading and writing. `file`: the memory and where in it the map begins, bytes.
    pub fn dma_map(
        &mut self,
        address: u64,
        size: u64,
        file: Option<(BorrowedFd<'_>, u64)>,
    ) -> Result<(), ClientError> {
        let asked = wire::DmaMap {
            argsz: size32::<wire::DmaMap>().into(),
            flags: (map_flags::READ | map_flags::WRITE).into(),
            offset: file.map_or(0, |(_, offset)| offset).into(),
            address: address.into(),
            size: size.into(),
        };
        let fd = file.map(|(fd, _)| fd);
        self.ask(command::DMA_MAP, &[asked.as_bytes()], fd.as_slice()).map(drop)
    }

    /// `DMA_UNMAP` of a range.
    pub fn dma_unmap(&mut self, address: u64, size: u64) -> Result<(), ClientError> {
        self.unmap(0, address, size)
    }

    /// `DMA_UNMAP` of everything.
    pub fn dma_unmap_all(&mut self) -> Result<(), ClientError> {
        self.unmap(unmap_flags::ALL, 0, 0)
    }

    fn unmap(&mut self, flags: u32, address: u64, size: u64) -> Result<(), ClientError> {
        let asked = wire::DmaUnmap {
            argsz: size32::<wire::DmaUnmap>().into(),
            flags: flags.into(),
            address: address.into(),
            size: size.into(),
        };
        let reply = self.ask(command::DMA_UNMAP, &[asked.as_bytes()], &[])?;
        let (said, _) = fixed::<wire::DmaUnmap>(&reply)?;
        let same = said.address == asked.address && said.flags == asked.flags;
        if same { Ok(()) } else { Err(ClientError::Protocol("not the unmap that was asked for")) }
    }

    /// `DEVICE_SET_IRQS`: `fds` are to be signalled when the interrupts from `start` on are raised. In as
    /// many messages as the server's limit on descriptors asks for.
    pub fn connect_irqs(
        &mut self,
        index: u32,
        start: u32,
        fds: &[BorrowedFd<'_>],
    ) -> Result<(), ClientError> {
        let flags = irq_set_flags::DATA_EVENTFD | irq_set_flags::ACTION_TRIGGER;
        let most = usize::try_from(self.limits.fds).unwrap_or(usize::MAX).clamp(1, 64);
        let mut start = start;
        for fds in fds.chunks(most) {
            let count = u32::try_from(fds.len()).unwrap_or(u32::MAX);
            self.set_irqs(index, flags, start, count, &[], fds)?;
            start = start.saturating_add(count);
        }
        Ok(())
    }

    /// `DEVICE_SET_IRQS`: none of the kind `index` any more.
    pub fn disable_irqs(&mut self, index: u32) -> Result<(), ClientError> {
        self.set_irqs(index, irq_set_flags::DATA_NONE | irq_set_flags::ACTION_TRIGGER, 0, 0, &[], &[])
    }

    /// `DEVICE_SET_IRQS`, as it is on the wire: [`irq_set_flags`], with a byte or an eventfd for each
    /// interrupt.
    pub fn set_irqs(
        &mut self,
        index: u32,
        flags: u32,
        start: u32,
        count: u32,
        bools: &[u8],
        fds: &[BorrowedFd<'_>],
    ) -> Result<(), ClientError> {
        let argsz = u32::try_from(bools.len()).unwrap_or(u32::MAX).saturating_add(size32::<wire::IrqSet>());
        let asked = wire::IrqSet {
            argsz: argsz.into(),
            flags: flags.into(),
            index: index.into(),
            start: start.into(),
            count: count.into(),
        };
        self.ask(command::DEVICE_SET_IRQS, &[asked.as_bytes(), bools], fds).map(drop)
    }

    /// `DEVICE_RESET`.
    pub fn reset(&mut self) -> Result<(), ClientError> {
        self.ask(command::DEVICE_RESET, &[], &[]).map(drop)
    }

    /// Sends a command and gives the payload of its reply.
    pub fn ask(
        &mut self,
        command: u16,
        payload: &[&[u8]],
        fds: &[BorrowedFd<'_>],
    ) -> Result<Vec<u8>, ClientError> {
        let (payload, fds) = self.ask_with_fds(command, payload, fds)?;
        if fds.is_empty() {
            Ok(payload)
        } else {
            Err(ClientError::Protocol("descriptors that nobody asked for"))
        }
    }

    fn ask_for_fds(
        &mut self,
        command: u16,
        payload: &[&[u8]],
    ) -> Result<(Vec<u8>, Vec<OwnedFd>), ClientError> {
        self.ask_with_fds(command, payload, &[])
    }

    fn ask_with_fds(
        &mut self,
        command: u16,
        payload: &[&[u8]],
        fds: &[BorrowedFd<'_>],
    ) -> Result<(Vec<u8>, Vec<OwnedFd>), ClientError> {
        let header = self.header(command, payload);
        self.raw.send(&[header.as_bytes(), &payload.concat()].concat(), fds)?;
        let Frame { header: reply, payload, fds } = self.raw.receive()?;
        if reply.kind() != header_flags::REPLY || reply.id != header.id || reply.command != header.command {
            return Err(ClientError::Protocol("not a reply to this command"));
        }
        if reply.flags.get() & header_flags::ERROR != 0 {
            let errno = i32::try_from(reply.errno.get()).ok().filter(|errno| (1..4096).contains(errno));
            let errno = errno.map_or(Errno::IO, Errno::from_raw_os_error);
            return Err(ClientError::Refused { command, errno });
        }
        Ok((payload, fds))
    }

    fn header(&mut self, command: u16, payload: &[&[u8]]) -> Header {
        self.next_id = self.next_id.wrapping_add(1);
        let bytes = payload.iter().map(|part| part.len()).sum();
        Header::command(self.next_id, command, bytes)
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.raw.as_fd()
    }
}

/// The areas in the sparse mmap capability of a region info. The list of capabilities only goes forward, so
/// that it ends.
fn areas(reply: &[u8], info: &wire::RegionInfo) -> Result<Vec<Area>, ClientError> {
    let malformed = || ClientError::Protocol("a malformed list of capabilities");
    let mut areas = Vec::new();
    let mut at = info.cap_offset.get() as usize;
    let mut before = size_of::<wire::RegionInfo>() - 1;
    while at != 0 {
        if at <= before {
            return Err(malformed());
        }
        before = at;
        let rest = reply.get(at..).ok_or_else(malformed)?;
        let (cap, rest) = fixed::<wire::SparseCap>(rest).map_err(|_| malformed())?;
        at = cap.next.get() as usize;
        if cap.id.get() != CAP_SPARSE_MMAP {
            continue;
        }
        let count = cap.nr_areas.get() as usize;
        let told = <[wire::SparseArea]>::ref_from_prefix_with_elems(rest, count.min(AREAS_MAX + 1));
        let (told, _) = told.map_err(|_| malformed())?;
        areas.extend(told.iter().map(|area| Area { offset: area.offset.get(), size: area.size.get() }));
    }
    if areas.len() > AREAS_MAX { Err(malformed()) } else { Ok(areas) }
}

fn access(region: u32, offset: u64, bytes: usize) -> wire::RegionAccess {
    let count = u32::try_from(bytes).unwrap_or(u32::MAX);
    wire::RegionAccess { offset: offset.into(), region: region.into(), count: count.into() }
}

fn fixed<T: FromBytes + KnownLayout + Immutable + Unaligned>(
    payload: &[u8],
) -> Result<(&T, &[u8]), ClientError> {
    T::ref_from_prefix(payload).map_err(|_| ClientError::Protocol("the reply is too short"))
}

fn size32<T>() -> u32 {
    u32::try_from(size_of::<T>()).unwrap_or(u32::MAX)
}
