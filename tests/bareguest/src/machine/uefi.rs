//! The little of UEFI that is needed: memory, time, one file. Layouts: UEFI specification 2.10, sections 4
//! (tables), 7 (boot services) and 13 (file protocol).

use core::ffi::c_void;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicU64, Ordering};

type Status = usize;
type Service = *const c_void;
type Guid = [u8; 16];

/// Bytes of a page.
pub const PAGE: u64 = 4096;
/// End of what a 32-bit address reaches.
const BELOW_4G: u64 = 0xFFFF_FFFF;

/// `EFI_TABLE_HEADER`.
#[repr(C)]
struct TableHeader {
    signature: u64,
    revision: u32,
    header_size: u32,
    crc32: u32,
    reserved: u32,
}

/// `EFI_SYSTEM_TABLE` up to the boot services.
#[repr(C)]
pub struct SystemTable {
    header: TableHeader,
    firmware_vendor: *const u16,
    firmware_revision: u32,
    consoles: [Service; 6],
    runtime_services: Service,
    boot_services: *const BootServices,
}

/// `EFI_BOOT_SERVICES` up to the watchdog.
#[repr(C)]
struct BootServices {
    header: TableHeader,
    priorities: [Service; 2],
    allocate_pages: unsafe extern "efiapi" fn(u32, u32, usize, *mut u64) -> Status,
    from_free_pages: [Service; 13],
    handle_protocol: unsafe extern "efiapi" fn(*mut c_void, *const Guid, *mut *mut c_void) -> Status,
    from_reserved: [Service; 11],
    stall: unsafe extern "efiapi" fn(usize) -> Status,
    set_watchdog_timer: unsafe extern "efiapi" fn(usize, u64, usize, *const u16) -> Status,
}
const _: () = {
    // Counted by hand in the specification, and the same as every other implementation has.
    assert!(core::mem::offset_of!(BootServices, allocate_pages) == 0x28);
    assert!(core::mem::offset_of!(BootServices, handle_protocol) == 0x98);
    assert!(core::mem::offset_of!(BootServices, stall) == 0xF8);
};

/// `EFI_LOADED_IMAGE_PROTOCOL` up to the device.
#[repr(C)]
struct LoadedImage {
    revision: u32,
    parent: *mut c_void,
    system_table: *mut c_void,
    device: *mut c_void,
}

/// `EFI_SIMPLE_FILE_SYSTEM_PROTOCOL`.
#[repr(C)]
struct FileSystem {
    revision: u64,
    open_volume: unsafe extern "efiapi" fn(*mut Self, *mut *mut File) -> Status,
}

/// `EFI_FILE_PROTOCOL` up to `Read`.
#[repr(C)]
struct File {
    revision: u64,
    open: unsafe extern "efiapi" fn(*mut Self, *mut *mut Self, *const u16, u64, u64) -> Status,
    close: unsafe extern "efiapi" fn(*mut Self) -> Status,
    delete: Service,
    read: unsafe extern "efiapi" fn(*mut Self, *mut usize, *mut u8) -> Status,
}

const LOADED_IMAGE: Guid =
    [0xA1, 0x31, 0x1B, 0x5B, 0x62, 0x95, 0xD2, 0x11, 0x8E, 0x3F, 0x00, 0xA0, 0xC9, 0x69, 0x72, 0x3B];
const FILE_SYSTEM: Guid =
    [0x22, 0x5B, 0x4E, 0x96, 0x59, 0x64, 0xD2, 0x11, 0x8E, 0x39, 0x00, 0xA0, 0xC9, 0x69, 0x72, 0x3B];

/// `AllocateAnyPages`, `AllocateMaxAddress` and `AllocateAddress`.
const ANY: u32 = 0;
const AT_MOST: u32 = 1;
const EXACTLY: u32 = 2;
/// `EfiLoaderData`.
const LOADER_DATA: u32 = 2;
const OPEN_READ: u64 = 1;

/// The next page above 4 GiB to ask for: a little behind the beginning, so that it is nobody's.
static NEXT_ABOVE: AtomicU64 = AtomicU64::new((1 << 32) + (1 << 20));

/// The firmware's services; they stay until the machine goes.
#[derive(Clone, Copy)]
pub struct Firmware {
    image: *mut c_void,
    boot: &'static BootServices,
}

impl Firmware {
    /// The services behind the arguments of the entry point. Stops the watchdog, which would reset the
    /// machine after five minutes.
    ///
    /// # Safety
    /// The arguments of the entry point, and nobody ends the boot services.
    pub unsafe fn new(image: *mut c_void, table: *const SystemTable) -> Self {
        // SAFETY: by the contract the table is valid, and so are the services it points to, for the life of
        // this program.
        let boot = unsafe { &*(*table).boot_services };
        // SAFETY: a timeout of 0 disables the watchdog; there is no data.
        unsafe { (boot.set_watchdog_timer)(0, 0, 0, core::ptr::null()) };
        Self { image, boot }
    }

    /// Pages in a row, zeroed, below or (where there is memory, else anywhere) above 4 GiB. Never given back:
    /// the machine goes when this program ends.
    pub fn allocate(&self, bytes: u64, below_4g: bool) -> Option<u64> {
        let pages = bytes.div_ceil(PAGE) as usize;
        let address = if below_4g {
            self.pages(AT_MOST, pages, BELOW_4G)
        } else {
            // The firmware's own choice is below 4 GiB.
            let above = NEXT_ABOVE.fetch_add(pages as u64 * PAGE, Ordering::Relaxed);
            self.pages(EXACTLY, pages, above).or_else(|| self.pages(ANY, pages, 0))
        }?;
        // SAFETY: just allocated, mapped one to one, and nobody else knows of it.
        unsafe { core::ptr::write_bytes(address as *mut u8, 0, pages * PAGE as usize) };
        Some(address)
    }

    fn pages(&self, kind: u32, pages: usize, mut address: u64) -> Option<u64> {
        // SAFETY: a service of the firmware, with a place for its answer.
        let status = unsafe { (self.boot.allocate_pages)(kind, LOADER_DATA, pages, &raw mut address) };
        (status == 0).then_some(address)
    }

    /// Lets time pass, in microseconds.
    pub fn stall(&self, micros: usize) {
        // SAFETY: a service of the firmware without memory.
        unsafe { (self.boot.stall)(micros) };
    }

    /// Reads the file `name` (UTF-16 with a 0 at the end) of the volume this program came from into `into`;
    /// gives its length, cut to that.
    pub fn read_file(&self, name: &[u16], into: &mut [u8]) -> Option<usize> {
        let ok = |status: Status| (status == 0).then_some(());
        let (mut image, mut system, mut root, mut file) = (null_mut(), null_mut(), null_mut(), null_mut());
        let mut length = into.len();
        // SAFETY: protocols of the specification on the handles that the firmware gave out, each asked for
        // before it is used; `name` ends with 0, and `length` bytes of `into` may be written.
        unsafe {
            ok((self.boot.handle_protocol)(self.image, &LOADED_IMAGE, &raw mut image))?;
            let device = (*image.cast::<LoadedImage>()).device;
            ok((self.boot.handle_protocol)(device, &FILE_SYSTEM, &raw mut system))?;
            let system = system.cast::<FileSystem>();
            ok(((*system).open_volume)(system, &raw mut root))?;
            ok(((*root).open)(root, &raw mut file, name.as_ptr(), OPEN_READ, 0))?;
            let read = ((*file).read)(file, &raw mut length, into.as_mut_ptr());
            ((*file).close)(file);
            ok(read)?;
        }
        Some(length)
    }
}
