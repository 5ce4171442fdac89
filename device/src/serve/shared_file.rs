//! One file that a client shared, mapped once, whole.
//!
//! The memory belongs to somebody else, who writes to it at any time, so there is never a Rust reference into it: vm-memory copies
//! byte by byte with volatile accesses. The somebody can also cut the file short, which would turn an access into a SIGBUS. A file
//! sealed against that (QEMU's `memory-backend-memfd` is) is accessed directly; for any other the kernel does the copy
//! (`process_vm_readv` on ourselves), which answers "bad address" where a load would be a signal. The house plan has a SIGBUS handler for
//! this; the system call needs no handler, no table of addresses and no process-wide state, and a stream fetches only a hundred times a
//! second.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

use vm_memory::mmap::MmapRegionBuilder;
use vm_memory::{Bytes, FileOffset, MmapRegion, VolatileMemory};

/// Which file a descriptor is open on, whatever its number is. Two ids are equal when the files are, even if one has grown.
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
    /// It cannot get shorter.
    sealed: bool,
}

impl SharedFile {
    /// Maps the first `length` bytes of `file`, for reading and, if the descriptor allows it, writing.
    pub fn new(file: File, length: u64) -> io::Result<Self> {
        let size = usize::try_from(length).map_err(io::Error::other)?;
        let sealed = seals(&file) & libc::F_SEAL_SHRINK != 0;
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
            return Ok(Self { region, writable: true, sealed });
        }
        Ok(Self { region: map(libc::PROT_READ, file)?, writable: false, sealed })
    }

    /// Bytes that are mapped.
    pub fn length(&self) -> u64 {
        self.region.size() as u64
    }

    /// Whether [`SharedFile::write`] can work.
    pub fn writable(&self) -> bool {
        self.writable
    }

    /// Copies bytes at `offset` out of the file.
    pub fn read(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        let slice = self.region.get_slice(place(offset)?, into.len()).map_err(io::Error::other)?;
        if self.sealed {
            return slice.read_slice(into, 0).map_err(io::Error::other);
        }
        let ours = libc::iovec { iov_base: into.as_mut_ptr().cast(), iov_len: into.len() };
        let theirs =
            libc::iovec { iov_base: slice.ptr_guard().as_ptr().cast_mut().cast(), iov_len: into.len() };
        // SAFETY: `ours` is exactly `into`, exclusively borrowed. `theirs` is only read, and by the kernel, which checks each page of it.
        let copied =
            unsafe { libc::process_vm_readv(own_pid(), &raw const ours, 1, &raw const theirs, 1, 0) };
        whole(copied, into.len())
    }

    /// Copies bytes into the file at `offset`.
    pub fn write(&self, offset: u64, from: &[u8]) -> io::Result<()> {
        let slice = self.region.get_slice(place(offset)?, from.len()).map_err(io::Error::other)?;
        if !self.writable {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        if self.sealed {
            return slice.write_slice(from, 0).map_err(io::Error::other);
        }
        let ours = libc::iovec { iov_base: from.as_ptr().cast_mut().cast(), iov_len: from.len() };
        let theirs = libc::iovec { iov_base: slice.ptr_guard_mut().as_ptr().cast(), iov_len: from.len() };
        // SAFETY: `ours` is exactly `from` and only read. `theirs` is inside our shared mapping, to which no Rust reference exists,
        // and is written by the kernel, which checks each page of it.
        let copied =
            unsafe { libc::process_vm_writev(own_pid(), &raw const ours, 1, &raw const theirs, 1, 0) };
        whole(copied, from.len())
    }
}

fn place(offset: u64) -> io::Result<usize> {
    usize::try_from(offset).map_err(io::Error::other)
}

fn whole(copied: isize, wanted: usize) -> io::Result<()> {
    match usize::try_from(copied) {
        Ok(copied) if copied == wanted => Ok(()),
        // Less than wanted: the file was cut short in the middle of the range.
        Ok(_) => Err(io::ErrorKind::UnexpectedEof.into()),
        Err(_) => {
            let error = io::Error::last_os_error();
            if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) {
                FORBIDDEN.call_once(|| {
                    log::error!(
                        "process_vm_readv is not allowed here ({error}), and guest RAM is not sealed against shrinking: \
                         use memory-backend-memfd"
                    );
                });
            }
            Err(error)
        }
    }
}

/// That the kernel does not copy for us is said once.
static FORBIDDEN: std::sync::Once = std::sync::Once::new();

fn own_pid() -> libc::pid_t {
    // SAFETY: getpid has no preconditions.
    unsafe { libc::getpid() }
}

fn open_for_writing(file: &File) -> io::Result<bool> {
    // SAFETY: F_GETFL takes no argument and the descriptor is open.
    let flags = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETFL) };
    if flags < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(flags & libc::O_ACCMODE == libc::O_RDWR)
}

/// The file's seals; none if it is of a kind that has none.
fn seals(file: &File) -> libc::c_int {
    // SAFETY: F_GET_SEALS takes no argument and the descriptor is open.
    let seals = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GET_SEALS) };
    seals.max(0)
}
