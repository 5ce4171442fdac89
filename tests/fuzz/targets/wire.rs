//! Everything a vfio-user client can send, into a [`Session`]: no panic, bounded replies, in step.
//!
//! The first byte of an input says whether `VERSION` was agreed on already, the second how many bytes arrive
//! at a time. Where a byte of a message's id is odd, descriptors come with it. There is no socket and no
//! thread: an input is one deterministic conversation.
#![no_main]

use std::ops::RangeInclusive;
use std::os::fd::{AsFd, OwnedFd};

use libfuzzer_sys::fuzz_target;
use ringwave_vfio_user::wire::{HEADER_BYTES, MESSAGE_BYTES_MAX, MESSAGE_FDS_MAX, irq_flags};
use ringwave_vfio_user::{
    Area, Device, DmaMap, Errno, IrqChange, IrqInfo, MappedRegion, RegionInfo, Session, Step,
};

/// `VERSION` 0.1, as a client sends it.
const HELLO: &[u8] =
    b"\x01\x00\x01\x00\x3C\x00\x00\x00\0\0\0\0\0\0\0\0\0\0\x01\0{\"capabilities\":{\"write_multiple\":true}}";

/// The lengths of the device's regions.
const SIZES: [u64; 9] = [0x1000, 0x4000, 16, 0, 1 << 33, 0, 0, 256, 0];

/// A device that checks what it is promised.
struct CheckedDevice {
    memory: OwnedFd,
    /// Every map, as the device sees them.
    maps: Vec<RangeInclusive<u64>>,
}

impl CheckedDevice {
    fn inside(&self, region: u32, offset: u64, bytes: usize) {
        let size = self.region(region).size;
        assert!(bytes != 0 && offset.checked_add(bytes as u64).is_some_and(|end| end <= size));
    }
}

impl Device for CheckedDevice {
    fn region(&self, index: u32) -> RegionInfo<'_> {
        assert!(index < self.regions());
        let areas = vec![Area { offset: 0x1000, size: 0x1000 }; 3];
        let mapped = (index == 1).then(|| MappedRegion { fd: self.memory.as_fd(), offset: 0, areas });
        RegionInfo { size: SIZES[index as usize], read: index != 2, write: true, mapped }
    }

    fn irq(&self, index: u32) -> IrqInfo {
        assert!(index < self.irqs());
        let all = irq_flags::EVENTFD | irq_flags::MASKABLE;
        IrqInfo { count: [1, 32, 0, 1, 0][index as usize], flags: if index == 3 { 0 } else { all } }
    }

    fn region_read(&mut self, region: u32, offset: u64, data: &mut [u8]) -> Result<(), Errno> {
        self.inside(region, offset, data.len());
        assert_ne!(region, 2);
        if offset == 0x40 { Err(Errno::IO) } else { Ok(()) }
    }

    fn region_write(&mut self, region: u32, offset: u64, data: &[u8]) -> Result<(), Errno> {
        self.inside(region, offset, data.len());
        if offset == 0x40 { Err(Errno::IO) } else { Ok(()) }
    }

    fn dma_map(&mut self, map: DmaMap) -> Result<(), Errno> {
        let range = map.address..=map.address.checked_add(map.size - 1).expect("within 2^64");
        assert!(range.start().is_multiple_of(4096) && map.size.is_multiple_of(4096));
        assert!(self.maps.iter().all(|other| other.end() < range.start() || other.start() > range.end()));
        self.maps.push(range);
        Ok(())
    }

    fn dma_unmap(&mut self, addresses: RangeInclusive<u64>) {
        let before = self.maps.len();
        self.maps.retain(|map| {
            let (first, last) = (addresses.contains(map.start()), addresses.contains(map.end()));
            assert_eq!(first, last, "no map is cut in two");
            !first
        });
        assert!(self.maps.len() < before, "something was unmapped");
    }

    fn set_irqs(&mut self, index: u32, change: IrqChange<'_>) -> Result<(), Errno> {
        let count = self.irq(index).count;
        match change {
            IrqChange::Disable => assert!(count != 0),
            IrqChange::Assign { start, fds, .. } => {
                assert!(!fds.is_empty() && start as usize + fds.len() <= count as usize);
            }
            IrqChange::Deassign { vectors, .. } | IrqChange::Act { vectors, .. } => {
                assert!(vectors.count() != 0 && vectors.iter().all(|number| number < count));
            }
        }
        Ok(())
    }

    fn reset(&mut self) -> Result<(), Errno> {
        Ok(())
    }

    fn client_left(&mut self) {}
}

fn descriptors(count: usize) -> Vec<OwnedFd> {
    let flags = rustix::event::EventfdFlags::NONBLOCK;
    (0..count).map(|_| rustix::event::eventfd(0, flags).expect("an eventfd")).collect()
}

/// Where bounds go wrong: an access at the end of a region, a little before it or beyond. It is taken exactly
/// if it is inside. Whatever was said before it, the conversation is in step.
fn probe(session: &mut Session, device: &mut CheckedDevice, mode: u8, piece: u8) {
    let region = usize::from(piece % 9);
    let count = u64::from(mode >> 2 & 15) + 1;
    let Some(offset) = (SIZES[region] + u64::from(piece / 9 % 5)).checked_sub(count + 2) else { return };
    let write = mode & 2 != 0;
    let data = if write { count as usize } else { 0 };
    let mut message = [7_u16.to_ne_bytes(), (9 + u16::from(write)).to_ne_bytes()].concat();
    message.extend((32 + data as u32).to_ne_bytes());
    message.extend([0; 8]);
    message.extend(offset.to_ne_bytes());
    message.extend((region as u32).to_ne_bytes());
    message.extend((count as u32).to_ne_bytes());
    message.resize(32 + data, 0);
    let mut message = &message[..];
    let mut answer = None;
    while !message.is_empty() {
        if let Step::Reply(reply) = session.receive(device, &mut message, Vec::new(), false) {
            answer = Some(reply);
        }
    }
    let taken = answer.expect("an answer").bytes[8] & 0x20 == 0;
    let inside = offset + count <= SIZES[region] && (write || region != 2) && offset != 0x40;
    assert_eq!(taken, inside, "region {region}, offset {offset:#x}, {count} bytes, write: {write}");
}

fuzz_target!(|input: &[u8]| {
    let [mode, piece, bytes @ ..] = input else { return };
    let memory = rustix::fs::memfd_create("fuzz", rustix::fs::MemfdFlags::CLOEXEC).expect("a memfd");
    let mut device = CheckedDevice { memory, maps: Vec::new() };
    let mut session = Session::new();
    if mode & 1 != 0 {
        let mut hello = [HELLO, b"\0"].concat();
        let length = hello.len() as u32;
        hello[4..8].copy_from_slice(&length.to_ne_bytes());
        let mut hello = &hello[..];
        while !hello.is_empty() {
            assert!(!matches!(session.receive(&mut device, &mut hello, Vec::new(), false), Step::Close(..)));
        }
    }
    for mut bytes in bytes.chunks(usize::from(*piece) + 1) {
        while !bytes.is_empty() {
            let begins = session.wanted() == HEADER_BYTES && !session.mid_message();
            let fds = if begins && bytes[0] & 1 != 0 { usize::from(bytes[0] >> 1) % 10 } else { 0 };
            assert!(session.wanted() <= MESSAGE_BYTES_MAX as usize);
            let before = bytes.len();
            let step = session.receive(&mut device, &mut bytes, descriptors(fds), false);
            match step {
                Step::Continue => assert!(bytes.len() < before),
                Step::Reply(reply) => {
                    assert!(
                        reply.bytes.len() >= HEADER_BYTES && reply.bytes.len() <= MESSAGE_BYTES_MAX as usize
                    );
                    assert!(reply.fds.len() <= MESSAGE_FDS_MAX as usize);
                    let size = u32::from_ne_bytes(reply.bytes[4..8].try_into().expect("four bytes"));
                    assert_eq!(size as usize, reply.bytes.len());
                    assert!(!session.mid_message(), "a reply comes at a message's end");
                }
                Step::Close(..) => {
                    assert_eq!(session.wanted(), 0);
                    return;
                }
            }
        }
    }
    if mode & 1 != 0 && !session.mid_message() {
        probe(&mut session, &mut device, *mode, *piece);
    }
});
