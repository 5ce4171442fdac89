//! What a client hands over, descriptors of memory and of interrupts, and how it reads a reply.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::OnceLock;

use ringwave_vfio_user::wire::{HEADER_BYTES, header_flags};

/// Pages of each piece of client memory.
pub const PAGES: u64 = 4;
/// Bytes of a page.
pub const PAGE: u64 = 4096;
/// Bytes of each piece of client memory.
pub const FILE_BYTES: usize = (PAGES * PAGE) as usize;

/// Two pieces of client memory: one that cannot be cut short, one that can.
pub fn memory() -> &'static [File; 2] {
    static FILES: OnceLock<[File; 2]> = OnceLock::new();
    FILES.get_or_init(|| {
        [true, false].map(|sealed| {
            let flags = rustix::fs::MemfdFlags::CLOEXEC | rustix::fs::MemfdFlags::ALLOW_SEALING;
            let file = File::from(rustix::fs::memfd_create("client", flags).expect("a memfd"));
            file.set_len(FILE_BYTES as u64).expect("room");
            if sealed {
                rustix::fs::fcntl_add_seals(&file, rustix::fs::SealFlags::SHRINK).expect("a seal");
            }
            file
        })
    })
}

/// Descriptors that can be signalled, and read by nobody.
pub fn eventfds(count: u8) -> Vec<OwnedFd> {
    let flags = rustix::event::EventfdFlags::NONBLOCK;
    (0..count).map(|_| rustix::event::eventfd(0, flags).expect("an eventfd")).collect()
}

/// What was answered: the payload, or the errno.
pub type Answer = Result<Vec<u8>, u32>;

/// Takes apart the reply to the command with this id.
pub fn reply_to(id: u16, command: u16, bytes: &[u8]) -> Answer {
    let word = |at: usize| u32::from_ne_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
    assert_eq!(word(0), u32::from(command) << 16 | u32::from(id), "id and command come back");
    assert_eq!(word(4) as usize, bytes.len());
    assert_eq!(word(8) & header_flags::TYPE, header_flags::REPLY);
    if word(8) & header_flags::ERROR == 0 {
        return Ok(bytes[HEADER_BYTES..].to_vec());
    }
    assert!(bytes.len() == HEADER_BYTES && word(12) != 0, "an error has an errno and nothing else");
    Err(word(12))
}
