//! One file that a client shared, mapped once, whole.
//!
//! The memory belongs to somebody else, who writes to it at any time, so there is never a Rust reference into
//! it: vm-memory copies with volatile accesses. The somebody can also see to it that there is no page behind
//! an address any more (cut the file short, punch a hole where no huge page is free), and a load of ours
//! would be a SIGBUS. So loads and stores are ours only where no page can be missing: a memfd, sealed against
//! shrinking, of small pages, on a host that overcommits (what QEMU's `memory-backend-memfd` is by default).
//! A sealed file on a tmpfs that can fill up does not exist: only `memfd_create` makes files that can be
//! sealed, and its own tmpfs has no limit.
//!
//! Everything else (QEMU 11.1's `memory-backend-memfd,seal=off`, `-file` and `-shm`, huge pages, strict
//! accounting) is copied by the kernel, which answers where a load of ours would be a signal. It is read as a
//! file: the page cache is what is mapped, and where the file was cut short it ends. It cannot be written as
//! a file, for that would make it longer again; so writes are `process_vm_writev` on ourselves, which needs
//! no permission (the kernel's `mm_access` asks only for another's memory) and says "bad address". A read is
//! about 0.5 us beside 0.08 for a direct copy of 4 KiB, a write 1.2; a stream makes a hundred or two in a
//! second. One call for many entries would bring a write down to 0.5 us too. It is not made: an audio packet
//! of 10 ms is one entry or two, and what it needs (a transfer of several ranges, through the trait and the
//! table of maps, all or nothing) is more to get wrong than it saves. A handler of SIGBUS would do as well;
//! the calls need no handler, no table of addresses and no process-wide state.
//!
//! A file of a network or of another process (FUSE) is not taken: one of its pages may take for ever, and the
//! card's lock is held.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt};
use std::sync::{Once, OnceLock};

use rustix::fs::{OFlags, SealFlags, fcntl_get_seals, fcntl_getfl, fstatfs};
use vm_memory::mmap::MmapRegionBuilder;
use vm_memory::{FileOffset, MmapRegion, VolatileMemory, VolatileSlice};

/// Which file a descriptor is open on, whatever its number is. Two ids are equal when the files are, even if
/// one has grown.
#[derive(Clone, Copy, Debug)]
pub struct FileId {
    device: u64,
    inode: u64,
    writable: bool,
    length: u64,
}

impl FileId {
    /// Asks the kernel. Only regular files (memfds are) can be guest RAM.
    pub fn of(file: &File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        let kind = metadata.file_type();
        if !kind.is_file() {
            let what = if kind.is_char_device() { "a device" } else { "not a file" };
            return Err(io::Error::other(format!("the descriptor is {what}")));
        }
        if file_system(file)? == FileSystem::Remote {
            let line =
                "the descriptor is a file of a network or of another process; use memory-backend-memfd";
            return Err(io::Error::other(line));
        }
        Ok(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            writable: open_for_writing(file)?,
            length: metadata.len(),
        })
    }

    /// Length of the file in bytes when it was asked.
    pub fn length(&self) -> u64 {
        self.length
    }

    fn key(&self) -> (u64, u64, bool) {
        (self.device, self.inode, self.writable)
    }
}

impl PartialEq for FileId {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for FileId {}

impl std::hash::Hash for FileId {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

/// The mapping. It keeps the descriptor, so that the inode is not given to another file.
pub struct SharedFile {
    region: MmapRegion,
    writable: bool,
    /// No page of it can be missing: loads and stores of ours are safe.
    whole: bool,
    /// The mapping's descriptor.
    file: File,
    /// This process, which does not fork: asking the kernel every time is a seventh of a write.
    own_pid: libc::pid_t,
    /// As the kernel knows it, quoted: it comes from the client.
    name: String,
}

impl SharedFile {
    /// Maps the first `length` bytes of `file`, for reading and, if the descriptor allows it, writing.
    /// `overcommits`: [`host_overcommits`].
    pub fn new(file: File, length: u64, overcommits: bool) -> io::Result<Self> {
        let size = usize::try_from(length).map_err(io::Error::other)?;
        let sealed = seals(&file).contains(SealFlags::SHRINK);
        // The length is asked after the seals: who seals a file that was cut in between has a shorter one.
        let whole = sealed
            && overcommits
            && file_system(&file)? == FileSystem::Tmpfs
            && file.metadata()?.len() >= length;
        let name = name(&file);
        if !whole {
            BY_KERNEL.call_once(|| {
                log::info!(
                    "guest memory {name} is copied by the kernel, which takes longer: it is no sealed memfd of small pages, or \
                     this host does not overcommit"
                );
            });
        }
        // A read of ours would have to be aligned, and go past what the guest has written to the mapping.
        if fcntl_getfl(&file)?.contains(OFlags::DIRECT) {
            return Err(io::Error::other("the descriptor is open with O_DIRECT"));
        }
        let own_pid = std::process::id().cast_signed();
        let map = |protection, file| {
            MmapRegionBuilder::new(size)
                .with_file_offset(FileOffset::new(file, 0))
                .with_mmap_prot(protection)
                .with_mmap_flags(libc::MAP_SHARED | libc::MAP_NORESERVE)
                .build()
                .map_err(io::Error::other)
        };
        // A file sealed against writing (F_SEAL_WRITE) can be open for writing and still not be mapped so.
        if open_for_writing(&file)?
            && let Ok(region) = map(libc::PROT_READ | libc::PROT_WRITE, file.try_clone()?)
        {
            return Ok(Self { region, writable: true, whole, file, own_pid, name });
        }
        let region = map(libc::PROT_READ, file.try_clone()?)?;
        Ok(Self { region, writable: false, whole, file, own_pid, name })
    }

    /// Bytes that are mapped.
    pub fn length(&self) -> u64 {
        self.region.size() as u64
    }

    /// Whether [`SharedFile::write`] can work.
    pub fn writable(&self) -> bool {
        self.writable
    }

    /// What the log calls it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `bytes` bytes of the file at `offset`; an error if it does not have them.
    #[inline]
    fn slice(&self, offset: u64, bytes: usize) -> io::Result<VolatileSlice<'_>> {
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        self.region.get_slice(offset, bytes).map_err(io::Error::other)
    }

    /// Copies bytes at `offset` out of the file. [`ErrorKind::UnexpectedEof`]: there is no memory behind some
    /// of it any more.
    ///
    /// [`ErrorKind::UnexpectedEof`]: io::ErrorKind::UnexpectedEof
    #[inline]
    pub fn read(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        let slice = self.slice(offset, into.len())?;
        if self.whole {
            slice.copy_to(into);
            return Ok(());
        }
        self.read_by_kernel(offset, into)
    }

    #[cold]
    fn read_by_kernel(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(into, offset).map_err(|error| match error.raw_os_error() {
            // A page that is broken, or cannot be fetched.
            Some(libc::EIO) => io::ErrorKind::UnexpectedEof.into(),
            _ => error,
        })
    }

    /// Copies bytes into the file at `offset`; errors as for [`SharedFile::read`].
    #[inline]
    pub fn write(&self, offset: u64, from: &[u8]) -> io::Result<()> {
        let slice = self.slice(offset, from.len())?;
        if !self.writable {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        if self.whole {
            slice.copy_from(from);
            return Ok(());
        }
        self.write_by_kernel(&slice, from)
    }

    #[cold]
    fn write_by_kernel(&self, slice: &VolatileSlice<'_>, from: &[u8]) -> io::Result<()> {
        let ours = libc::iovec { iov_base: from.as_ptr().cast_mut().cast(), iov_len: from.len() };
        let theirs = libc::iovec { iov_base: slice.ptr_guard_mut().as_ptr().cast(), iov_len: from.len() };
        // SAFETY: `ours` is exactly `from` and only read. `theirs` is inside our shared mapping, to which no
        // Rust reference exists, and is written by the kernel, which checks each page of it.
        let copied =
            unsafe { libc::process_vm_writev(self.own_pid, &raw const ours, 1, &raw const theirs, 1, 0) };
        check_copied(copied, from.len())
    }
}

fn check_copied(copied: isize, wanted: usize) -> io::Result<()> {
    match usize::try_from(copied) {
        Ok(copied) if copied == wanted => Ok(()),
        // Less than wanted: the memory ends in the middle of the range.
        Ok(_) => Err(io::ErrorKind::UnexpectedEof.into()),
        Err(_) => {
            let error = io::Error::last_os_error();
            match error.raw_os_error() {
                Some(libc::EFAULT) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Some(libc::ENOSYS | libc::EPERM) => FORBIDDEN.call_once(|| {
                    log::error!(
                        "process_vm_writev is not allowed here ({error}), and guest RAM is not a sealed memfd of small pages: \
                         use memory-backend-memfd, or allow process_vm_writev"
                    );
                }),
                _ => {}
            }
            Err(error)
        }
    }
}

/// That the kernel does not copy for us is said once.
static FORBIDDEN: Once = Once::new();
/// And that it has to.
static BY_KERNEL: Once = Once::new();

fn open_for_writing(file: &File) -> io::Result<bool> {
    Ok(fcntl_getfl(file)? & OFlags::RWMODE == OFlags::RDWR)
}

/// The file's seals; none if it is of a kind that has none.
fn seals(file: &File) -> SealFlags {
    fcntl_get_seals(file).unwrap_or(SealFlags::empty())
}

/// Where a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FileSystem {
    /// Small pages of memory: memfd, /dev/shm.
    Tmpfs,
    /// On this host: huge pages, a disk.
    Local,
    /// Behind somebody who may never answer.
    Remote,
}

/// File systems whose pages come from somebody else (statfs(2), linux/magic.h): AFS, Ceph, CIFS, FUSE, NFS,
/// SMB, SMB2, 9P.
const REMOTE: [u32; 8] =
    [0x5346_414F, 0x00C3_6400, 0xFF53_4D42, 0x6573_5546, 0x6969, 0x517B, 0xFE53_4D42, 0x0102_1997];

/// By the numbers of statfs(2).
fn file_system(file: &File) -> io::Result<FileSystem> {
    const TMPFS: u32 = 0x0102_1994;
    let kind = fstatfs(file)?.f_type;
    // The field's type differs between machines; the number has 32 bits.
    Ok(match u32::try_from(i128::from(kind) & 0xFFFF_FFFF) {
        Ok(TMPFS) => FileSystem::Tmpfs,
        Ok(number) if !REMOTE.contains(&number) => FileSystem::Local,
        _ => FileSystem::Remote,
    })
}

/// Whether memory of a client may be touched as memory, up to `end` bytes into its file: it cannot be cut
/// short, and is of small pages, so that only a host that does not overcommit can lack one
/// (`vm.overcommit_memory` = 2).
///
/// # Errors
/// It may not: what to do.
pub fn check_pages_stay(file: &File, end: u64) -> io::Result<()> {
    let why = if !seals(file).contains(SealFlags::SHRINK) {
        "can be cut short while it is read"
    } else if file_system(file)? != FileSystem::Tmpfs {
        "is of huge pages, of which one can be missing"
    } else if file.metadata()?.len() < end {
        "is shorter than its client says"
    } else {
        return Ok(());
    };
    let name = name(file);
    Err(io::Error::other(format!(
        "guest memory {name} {why}; start QEMU with -object memory-backend-memfd,share=on, without seal=off and hugetlb=on"
    )))
}

/// Whether a page of a memfd that is not there yet can always be had. Not so with strict accounting
/// (`vm.overcommit_memory` = 2): when the limit is reached a first access is a SIGBUS. If it cannot be known
/// it is taken for strict. (Root can change it later; only then this knows the wrong thing.)
///
/// The host is asked at the first call and never again: whoever closes a sandbox, in which nobody can ask,
/// calls this before. Else all memory of guests is copied by the kernel.
pub fn host_overcommits() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| {
        std::fs::read("/proc/sys/vm/overcommit_memory")
            .is_ok_and(|mode| matches!(mode.first(), Some(b'0' | b'1')))
    })
}

/// `"/memfd:ram (deleted)"`: quoted and escaped, and not longer than a line.
fn name(file: &File) -> String {
    let path = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap_or_default();
    let name: String = path.to_string_lossy().chars().take(80).collect();
    format!("{name:?}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memfd::memfd;

    /// Its client has cut it between two questions of ours, and sealed it then.
    #[test]
    fn what_is_sealed_shorter_than_its_map_is_copied_by_the_kernel() {
        let sealed = memfd(c"cut", 0x1000, true).unwrap();
        assert!(SharedFile::new(sealed.try_clone().unwrap(), 0x1000, true).unwrap().whole);
        assert!(!SharedFile::new(sealed, 0x2000, true).unwrap().whole, "the second page is a SIGBUS");
    }

    #[test]
    fn only_a_sealed_memfd_of_small_pages_may_be_touched() {
        let sealed = memfd(c"sealed", 0x2000, true).unwrap();
        check_pages_stay(&sealed, 0x2000).unwrap();
        let why = |file: &File, end| check_pages_stay(file, end).unwrap_err().to_string();
        assert!(why(&sealed, 0x2001).contains("is shorter"));
        let open = memfd(c"open", 0x2000, false).unwrap();
        let line = why(&open, 0x1000);
        assert!(
            line.contains("memfd:open")
                && line.contains("cut short")
                && line.contains("memory-backend-memfd")
        );
        assert!(why(&File::open("/proc/self/exe").unwrap(), 1).contains("cut short"), "nothing seals a disk");
    }
}
