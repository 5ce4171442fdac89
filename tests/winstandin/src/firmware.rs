//! What is needed of UEFI: the console, keys, time, reset, whole disks and CDs, files. Layouts: UEFI
//! specification 2.10, sections 4 (tables), 7 and 8 (services), 10 (device paths), 12 (console) and 13
//! (media).

use alloc::vec;
use alloc::vec::Vec;
use core::alloc::{GlobalAlloc, Layout};
use core::ffi::c_void;
use core::ptr::{null, null_mut};
use core::sync::atomic::{AtomicPtr, Ordering};

use crate::joliet::{SECTOR, Sectors};

pub type Status = usize;
pub type Handle = *mut c_void;
pub type Service = *const c_void;
pub type Guid = [u8; 16];

const ERROR: Status = 1 << (usize::BITS - 1);
/// What the programs of this CD and this disk give back when something else shall be started.
pub const TIMEOUT: Status = ERROR + 18;
pub const NOT_FOUND: Status = ERROR + 14;

/// `EFI_TABLE_HEADER`.
#[repr(C)]
struct TableHeader {
    signature: u64,
    sizes: [u32; 4],
}

/// `EFI_SYSTEM_TABLE` up to the boot services.
#[repr(C)]
pub struct SystemTable {
    header: TableHeader,
    firmware_vendor: *const u16,
    firmware_revision: u32,
    console_in_handle: Handle,
    console_in: *mut TextInput,
    console_out_handle: Handle,
    console_out: *mut TextOutput,
    standard_error: [Service; 2],
    runtime: *const RuntimeServices,
    boot: *const BootServices,
}

/// `EFI_BOOT_SERVICES` up to `ConnectController`.
#[repr(C)]
struct BootServices {
    header: TableHeader,
    from_raise_tpl: [Service; 5],
    allocate_pool: unsafe extern "efiapi" fn(u32, usize, *mut *mut c_void) -> Status,
    from_free_pool: [Service; 10],
    handle_protocol: unsafe extern "efiapi" fn(Handle, *const Guid, *mut *mut c_void) -> Status,
    from_reserved: [Service; 2],
    locate_handle: unsafe extern "efiapi" fn(u32, *const Guid, Service, *mut usize, *mut Handle) -> Status,
    from_locate_device_path: [Service; 8],
    stall: unsafe extern "efiapi" fn(usize) -> Status,
    set_watchdog_timer: unsafe extern "efiapi" fn(usize, u64, usize, *const u16) -> Status,
    connect_controller: unsafe extern "efiapi" fn(Handle, *const Handle, *const c_void, u8) -> Status,
}

/// `EFI_RUNTIME_SERVICES` up to the reset.
#[repr(C)]
struct RuntimeServices {
    header: TableHeader,
    from_get_time: [Service; 10],
    reset_system: unsafe extern "efiapi" fn(u32, Status, usize, *const c_void) -> !,
}

/// `EFI_SIMPLE_TEXT_INPUT_PROTOCOL`.
#[repr(C)]
struct TextInput {
    reset: Service,
    read_key: unsafe extern "efiapi" fn(*mut Self, *mut [u16; 2]) -> Status,
}

/// `EFI_SIMPLE_TEXT_OUTPUT_PROTOCOL` up to the text.
#[repr(C)]
struct TextOutput {
    reset: Service,
    output_string: unsafe extern "efiapi" fn(*mut Self, *const u16) -> Status,
}

/// `EFI_LOADED_IMAGE_PROTOCOL` up to the device.
#[repr(C)]
struct LoadedImage {
    revision: u32,
    parent: Handle,
    system_table: *mut c_void,
    device: Handle,
}

/// `EFI_SIMPLE_FILE_SYSTEM_PROTOCOL`.
#[repr(C)]
struct FileSystem {
    revision: u64,
    open_volume: unsafe extern "efiapi" fn(*mut Self, *mut *mut FileProtocol) -> Status,
}

/// `EFI_FILE_PROTOCOL`.
#[repr(C)]
struct FileProtocol {
    revision: u64,
    open: unsafe extern "efiapi" fn(*mut Self, *mut *mut Self, *const u16, u64, u64) -> Status,
    close: unsafe extern "efiapi" fn(*mut Self) -> Status,
    delete: Service,
    read: unsafe extern "efiapi" fn(*mut Self, *mut usize, *mut u8) -> Status,
    write: unsafe extern "efiapi" fn(*mut Self, *mut usize, *const u8) -> Status,
    get_position: Service,
    set_position: unsafe extern "efiapi" fn(*mut Self, u64) -> Status,
    information: [Service; 2],
    flush: unsafe extern "efiapi" fn(*mut Self) -> Status,
}

/// `EFI_BLOCK_IO_MEDIA` up to the last block.
#[repr(C)]
#[derive(Clone, Copy)]
struct Media {
    id: u32,
    removable: u8,
    present: u8,
    partition: u8,
    read_only: u8,
    write_caching: u8,
    block_bytes: u32,
    alignment: u32,
    last_block: u64,
}

/// `EFI_BLOCK_IO_PROTOCOL`.
#[repr(C)]
struct BlockIo {
    revision: u64,
    media: *const Media,
    reset: Service,
    read: unsafe extern "efiapi" fn(*mut Self, u32, u64, usize, *mut u8) -> Status,
    write: unsafe extern "efiapi" fn(*mut Self, u32, u64, usize, *const u8) -> Status,
    flush: unsafe extern "efiapi" fn(*mut Self) -> Status,
}

const _: () = {
    // Counted by hand in the specification, and the same as every other implementation has.
    assert!(core::mem::offset_of!(SystemTable, boot) == 0x60);
    assert!(core::mem::offset_of!(BootServices, allocate_pool) == 0x40);
    assert!(core::mem::offset_of!(BootServices, handle_protocol) == 0x98);
    assert!(core::mem::offset_of!(BootServices, locate_handle) == 0xB0);
    assert!(core::mem::offset_of!(BootServices, stall) == 0xF8);
    assert!(core::mem::offset_of!(BootServices, connect_controller) == 0x108);
    assert!(core::mem::offset_of!(RuntimeServices, reset_system) == 0x68);
    assert!(core::mem::offset_of!(Media, last_block) == 0x18);
};

const LOADED_IMAGE: Guid =
    [0xA1, 0x31, 0x1B, 0x5B, 0x62, 0x95, 0xD2, 0x11, 0x8E, 0x3F, 0x00, 0xA0, 0xC9, 0x69, 0x72, 0x3B];
const FILE_SYSTEM: Guid =
    [0x22, 0x5B, 0x4E, 0x96, 0x59, 0x64, 0xD2, 0x11, 0x8E, 0x39, 0x00, 0xA0, 0xC9, 0x69, 0x72, 0x3B];
const BLOCK_IO: Guid =
    [0x21, 0x5B, 0x4E, 0x96, 0x59, 0x64, 0xD2, 0x11, 0x8E, 0x39, 0x00, 0xA0, 0xC9, 0x69, 0x72, 0x3B];
const DEVICE_PATH: Guid =
    [0x91, 0x6E, 0x57, 0x09, 0x3F, 0x6D, 0xD2, 0x11, 0x8E, 0x39, 0x00, 0xA0, 0xC9, 0x69, 0x72, 0x3B];

/// `EfiLoaderData`; `AllHandles` and `ByProtocol`; `EFI_FILE_MODE_READ`; `EfiResetCold` and
/// `EfiResetShutdown`.
const LOADER_DATA: u32 = 2;
const ALL_HANDLES: u32 = 0;
const BY_PROTOCOL: u32 = 2;
/// More than any machine of the tests has; where there are more, none is found.
const MOST_HANDLES: usize = 1024;
const OPEN_READ: u64 = 1;
const OPEN_CREATE: u64 = 1 << 63 | 3;
const FOLDER: u64 = 0x10;
const TO_THE_END: u64 = u64::MAX;
const RESET_COLD: u32 = 0;
const RESET_SHUTDOWN: u32 = 2;
/// A device path's nodes: messaging, SATA; the end.
const SATA: [u8; 2] = [3, 18];
const PATH_END: u8 = 0x7F;
/// The alignment of what the pool gives, and of what disks are read into and written from.
const POOL_ALIGNMENT: usize = 8;
const BUFFER_ALIGNMENT: usize = 4096;
const KEY_POLL_MICROS: usize = 50_000;

/// The boot services, for the allocator, which has no argument.
static BOOT: AtomicPtr<BootServices> = AtomicPtr::new(null_mut());

/// Memory of the firmware's pool, never given back: the machine starts again soon.
struct Pool;

// SAFETY: `alloc` gives memory of the pool, larger by the alignment, from an aligned address in it on; nobody
// else gets it, and it is never freed.
unsafe impl GlobalAlloc for Pool {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let boot = BOOT.load(Ordering::Relaxed);
        if boot.is_null() {
            return null_mut();
        }
        let spare = if layout.align() > POOL_ALIGNMENT { layout.align() } else { 0 };
        let Some(bytes) = layout.size().checked_add(spare) else { return null_mut() };
        let mut memory = null_mut();
        // SAFETY: the firmware's service, with a place for its answer.
        let status = unsafe { ((*boot).allocate_pool)(LOADER_DATA, bytes, &raw mut memory) };
        if status != 0 {
            return null_mut();
        }
        let start = memory.cast::<u8>();
        start.wrapping_add(start.align_offset(layout.align()))
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static POOL: Pool = Pool;

fn ok(status: Status) -> Option<()> {
    (status == 0).then_some(())
}

/// UTF-16 with a 0 at the end.
fn wide(text: &str) -> Vec<u16> {
    text.encode_utf16().chain([0]).collect()
}

/// The firmware's services; they stay until the machine starts again.
#[derive(Clone, Copy)]
pub struct Firmware {
    image: Handle,
    system: &'static SystemTable,
    boot: &'static BootServices,
}

impl Firmware {
    /// The services behind the arguments of the entry point. Stops the watchdog, which would reset the
    /// machine after five minutes.
    ///
    /// # Safety
    /// The arguments of the entry point, and nobody ends the boot services.
    pub unsafe fn new(image: Handle, table: *const SystemTable) -> Self {
        // SAFETY: by the contract the table is valid, and so are the services it points to, for the life of
        // this program.
        let (system, boot) = unsafe { (&*table, &*(*table).boot) };
        BOOT.store((&raw const *boot).cast_mut(), Ordering::Relaxed);
        // SAFETY: a timeout of 0 disables the watchdog; there is no data.
        unsafe { (boot.set_watchdog_timer)(0, 0, 0, null()) };
        Self { image, system, boot }
    }

    /// Has every device found: OVMF looks only for those that QEMU gives a place in the boot order.
    pub fn connect_all(&self) {
        for handle in self.located(ALL_HANDLES, null()) {
            // SAFETY: a handle that the firmware gave out; any driver, every device below.
            unsafe { (self.boot.connect_controller)(handle, null(), null(), 1) };
        }
    }

    /// Writes to the console: in OVMF the screen, and COM1 behind a terminal's control sequences.
    pub fn print(&self, text: &str) {
        let text = wide(text);
        // SAFETY: the console's own protocol; the text ends with 0.
        unsafe { ((*self.system.console_out).output_string)(self.system.console_out, text.as_ptr()) };
    }

    /// Takes a key that was pressed, if one was.
    pub fn key(&self) -> bool {
        let mut key = [0; 2];
        // SAFETY: the console's own protocol, with a place for a key.
        unsafe { ((*self.system.console_in).read_key)(self.system.console_in, &raw mut key) == 0 }
    }

    /// Waits for a key, a second at most.
    pub fn key_within_a_second(&self) -> bool {
        (0..1_000_000 / KEY_POLL_MICROS).any(|_| {
            self.stall(KEY_POLL_MICROS);
            self.key()
        })
    }

    /// Lets time pass.
    pub fn stall(&self, micros: usize) {
        // SAFETY: a service without memory.
        unsafe { (self.boot.stall)(micros) };
    }

    /// Starts the machine again.
    pub fn reset(&self) -> ! {
        // SAFETY: a service that ends this program.
        unsafe { ((*self.system.runtime).reset_system)(RESET_COLD, 0, 0, null()) }
    }

    /// Turns the machine off.
    pub fn power_off(&self) -> ! {
        // SAFETY: see `reset`.
        unsafe { ((*self.system.runtime).reset_system)(RESET_SHUTDOWN, 0, 0, null()) }
    }

    /// A protocol of a handle.
    pub fn protocol<T>(&self, handle: Handle, guid: &Guid) -> Option<*mut T> {
        let mut found = null_mut();
        // SAFETY: a handle that the firmware gave out, and a place for the answer.
        ok(unsafe { (self.boot.handle_protocol)(handle, guid, &raw mut found) })?;
        (!found.is_null()).then_some(found.cast())
    }

    /// The handles that have a protocol.
    pub fn handles(&self, guid: &Guid) -> Vec<Handle> {
        self.located(BY_PROTOCOL, guid)
    }

    fn located(&self, which: u32, guid: *const Guid) -> Vec<Handle> {
        let mut handles = vec![null_mut(); MOST_HANDLES];
        let mut bytes = size_of_val(handles.as_slice());
        // SAFETY: `bytes` of the vector may be written.
        let status =
            unsafe { (self.boot.locate_handle)(which, guid, null(), &raw mut bytes, handles.as_mut_ptr()) };
        handles.truncate(if status == 0 { bytes / size_of::<Handle>() } else { 0 });
        handles
    }

    /// Opens a file of the volume that this program came from.
    pub fn own_file(&self, path: &str) -> Option<File> {
        let image = self.protocol::<LoadedImage>(self.image, &LOADED_IMAGE)?;
        // SAFETY: the protocol of this program's own image.
        let device = unsafe { (*image).device };
        self.file(device, path)
    }

    /// Opens a file of the first volume that has it.
    pub fn any_file(&self, path: &str) -> Option<File> {
        self.handles(&FILE_SYSTEM).into_iter().find_map(|handle| self.file(handle, path))
    }

    fn file(&self, device: Handle, path: &str) -> Option<File> {
        self.volume(device)?.open(path)
    }

    fn volume(&self, device: Handle) -> Option<File> {
        let system = self.protocol::<FileSystem>(device, &FILE_SYSTEM)?;
        let mut root = null_mut();
        // SAFETY: a protocol of the specification, with a place for its answer.
        ok(unsafe { ((*system).open_volume)(system, &raw mut root) })?;
        Some(File(root))
    }

    /// The root folder of the volume that this program came from.
    pub fn own_volume(&self) -> Option<File> {
        let image = self.protocol::<LoadedImage>(self.image, &LOADED_IMAGE)?;
        // SAFETY: the protocol of this program's own image.
        self.volume(unsafe { (*image).device })
    }

    /// The root folder of the first volume that has this file, and the port of its disk on AHCI.
    pub fn volume_with(&self, path: &str) -> Option<(File, Option<u16>)> {
        self.handles(&FILE_SYSTEM).into_iter().find_map(|handle| {
            let root = self.volume(handle)?;
            root.open(path)?;
            Some((root, self.protocol(handle, &DEVICE_PATH).and_then(sata_port)))
        })
    }

    /// Whole disks and CDs with a medium in them.
    pub fn disks(&self) -> Vec<Disk> {
        let disk = |handle: Handle| {
            let io = self.protocol::<BlockIo>(handle, &BLOCK_IO)?;
            // SAFETY: the protocol and its media structure, which the firmware keeps.
            let media = unsafe { *(*io).media };
            let port = self.protocol(handle, &DEVICE_PATH).and_then(sata_port);
            (media.present != 0 && media.partition == 0).then_some(Disk { io, media, port })
        };
        self.handles(&BLOCK_IO).into_iter().filter_map(disk).collect()
    }
}

/// The number of the first node of the path that is a port of an AHCI controller.
fn sata_port(path: *mut u8) -> Option<u16> {
    let mut node = path.cast_const();
    loop {
        // SAFETY: the device path of a handle: nodes of 4 bytes and more, the last of them of the type "end".
        let [kind, subtype, low, high] = unsafe { node.cast::<[u8; 4]>().read() };
        let length = u16::from_le_bytes([low, high]);
        if [kind, subtype] == SATA {
            // SAFETY: such a node goes on with the number of the port.
            return Some(unsafe { node.wrapping_add(4).cast::<u16>().read_unaligned() });
        }
        if kind == PATH_END || length < 4 {
            return None;
        }
        node = node.wrapping_add(usize::from(length));
    }
}

/// An open file or folder.
pub struct File(*mut FileProtocol);

impl Drop for File {
    fn drop(&mut self) {
        // SAFETY: an open file, which nobody uses any more. What was written reaches the disk.
        unsafe { ((*self.0).close)(self.0) };
    }
}

impl File {
    /// Opens what is in this folder.
    pub fn open(&self, path: &str) -> Option<Self> {
        self.opened(path, OPEN_READ, 0).ok()
    }

    /// Opens a file of this folder to be written, and makes it if it is not there.
    pub fn create(&self, path: &str) -> Result<Self, Status> {
        self.opened(path, OPEN_CREATE, 0)
    }

    /// Makes a folder in this one, if it is not there.
    pub fn create_folder(&self, path: &str) -> Result<Self, Status> {
        self.opened(path, OPEN_CREATE, FOLDER)
    }

    fn opened(&self, path: &str, mode: u64, attributes: u64) -> Result<Self, Status> {
        let (path, mut file) = (wide(path), null_mut());
        // SAFETY: an open folder, and a place for the answer; `path` ends with 0.
        match unsafe { ((*self.0).open)(self.0, &raw mut file, path.as_ptr(), mode, attributes) } {
            0 => Ok(Self(file)),
            status => Err(status),
        }
    }

    /// Writes behind what the file has, and has it reach the disk.
    pub fn append(&self, data: &[u8]) -> Result<(), Status> {
        let mut length = data.len();
        // SAFETY: an open file; `length` bytes of `data` are read.
        let status = unsafe {
            match ((*self.0).set_position)(self.0, TO_THE_END) {
                0 => match ((*self.0).write)(self.0, &raw mut length, data.as_ptr()) {
                    0 => ((*self.0).flush)(self.0),
                    status => status,
                },
                status => status,
            }
        };
        if status == 0 { Ok(()) } else { Err(status) }
    }

    /// Reads it from its beginning to its end, or to so many bytes.
    pub fn read_all(&self, most: usize) -> Option<Vec<u8>> {
        // SAFETY: an open file.
        ok(unsafe { ((*self.0).set_position)(self.0, 0) })?;
        let (mut all, mut part) = (Vec::new(), vec![0; 64 << 10]);
        while all.len() < most {
            match self.read(&mut part)? {
                0 => break,
                length => all.extend_from_slice(part.get(..length)?),
            }
        }
        Some(all)
    }

    /// Reads from the current place on; gives how many bytes: 0 at the end.
    pub fn read(&self, into: &mut [u8]) -> Option<usize> {
        let mut length = into.len();
        // SAFETY: an open file; `length` bytes of `into` may be written.
        ok(unsafe { ((*self.0).read)(self.0, &raw mut length, into.as_mut_ptr()) })?;
        Some(length)
    }

    /// Reads from a place in the file; none if it ends before `bytes`.
    pub fn read_at(&self, place: u64, bytes: usize) -> Option<Vec<u8>> {
        // SAFETY: an open file.
        ok(unsafe { ((*self.0).set_position)(self.0, place) })?;
        let mut data = vec![0; bytes];
        (self.read(&mut data)? == bytes).then_some(data)
    }
}

/// A whole disk or CD.
#[derive(Clone, Copy)]
pub struct Disk {
    io: *mut BlockIo,
    media: Media,
    port: Option<u16>,
}

impl Disk {
    /// A disk that can be written, a stick or a card reader also.
    pub fn is_writable(&self) -> bool {
        self.media.read_only == 0
    }

    /// No stick.
    pub fn is_fixed(&self) -> bool {
        self.media.removable == 0
    }

    /// On a port of an AHCI controller.
    pub fn is_on_sata(&self) -> bool {
        self.port.is_some()
    }

    /// Which port of an AHCI controller, from 0.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// A CD or DVD.
    pub fn is_cd(&self) -> bool {
        self.media.read_only != 0 && self.block_bytes() == SECTOR
    }

    /// Bytes of a block.
    pub fn block_bytes(&self) -> usize {
        self.media.block_bytes as usize
    }

    /// How many blocks it has.
    pub fn blocks(&self) -> u64 {
        self.media.last_block.saturating_add(1)
    }

    /// Reads blocks; `into` is a whole number of them, in a [`buffer`].
    fn read_blocks(&self, at: u64, into: &mut [u8]) -> bool {
        // SAFETY: the firmware's protocol; the slice may be written.
        unsafe { ((*self.io).read)(self.io, self.media.id, at, into.len(), into.as_mut_ptr()) == 0 }
    }

    /// Reads a block.
    pub fn block(&self, at: u64) -> Option<Vec<u8>> {
        let mut data = buffer(self.block_bytes());
        self.read_blocks(at, data.bytes()).then(|| data.bytes().to_vec())
    }

    /// Writes blocks; `data` is a whole number of them, in a [`buffer`].
    pub fn write(&self, at: u64, data: &[u8]) -> bool {
        // SAFETY: the firmware's protocol; it reads the slice.
        unsafe { ((*self.io).write)(self.io, self.media.id, at, data.len(), data.as_ptr()) == 0 }
    }

    /// Has all that was written reach the medium.
    pub fn flush(&self) -> bool {
        // SAFETY: the firmware's protocol.
        unsafe { ((*self.io).flush)(self.io) == 0 }
    }
}

impl Sectors for Disk {
    fn read(&self, at: u32, into: &mut [u8]) -> bool {
        let mut data = buffer(into.len());
        let read = self.read_blocks(u64::from(at), data.bytes());
        into.copy_from_slice(data.bytes());
        read
    }
}

/// Bytes that a disk may read into.
pub struct Buffer {
    memory: Vec<u8>,
    start: usize,
    length: usize,
}

/// A buffer of zeros, aligned as any disk asks for.
pub fn buffer(length: usize) -> Buffer {
    let memory = vec![0; length + BUFFER_ALIGNMENT];
    let start = memory.as_ptr().align_offset(BUFFER_ALIGNMENT);
    Buffer { memory, start, length }
}

impl Buffer {
    /// Its bytes.
    pub fn bytes(&mut self) -> &mut [u8] {
        self.memory.get_mut(self.start..self.start + self.length).unwrap_or_default()
    }
}
