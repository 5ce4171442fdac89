//! The little of UEFI that is needed: memory, one volume, the memory map. Layouts: UEFI specification 2.10,
//! sections 4 (tables), 7 (boot services) and 13 (file protocol).

use alloc::vec::Vec;
use core::ffi::c_void;
use core::ptr::null_mut;

use crate::kernel::page_map::PAGE;

type Status = usize;
type Unused = *const c_void;

#[repr(C)]
struct Header {
    signature: u64,
    revision: u32,
    size: u32,
    crc: u32,
    reserved: u32,
}

/// EFI_SYSTEM_TABLE.
#[repr(C)]
pub struct SystemTable {
    header: Header,
    vendor: *const u16,
    revision: u32,
    consoles: [Unused; 6],
    runtime: Unused,
    boot: *const BootServices,
    table_count: usize,
    tables: *const ConfigurationTable,
}

/// EFI_CONFIGURATION_TABLE.
#[repr(C)]
struct ConfigurationTable {
    id: [u8; 16],
    at: u64,
}

#[repr(C)]
#[expect(clippy::struct_field_names, reason = "the specification's names")]
struct BootServices {
    header: Header,
    raise_tpl: Unused,
    restore_tpl: Unused,
    allocate_pages: unsafe extern "efiapi" fn(u32, u32, usize, *mut u64) -> Status,
    free_pages: Unused,
    get_memory_map:
        unsafe extern "efiapi" fn(*mut usize, *mut u8, *mut usize, *mut usize, *mut u32) -> Status,
    pool: [Unused; 2],
    events: [Unused; 6],
    install: [Unused; 3],
    handle_protocol: unsafe extern "efiapi" fn(*mut c_void, *const [u8; 16], *mut *mut c_void) -> Status,
    reserved: Unused,
    handles: [Unused; 4],
    images: [Unused; 4],
    exit_boot_services: unsafe extern "efiapi" fn(*mut c_void, usize) -> Status,
    more: [Unused; 2],
    set_watchdog: unsafe extern "efiapi" fn(usize, u64, usize, *const u16) -> Status,
}
const _: () = assert!(core::mem::offset_of!(BootServices, exit_boot_services) == 0xe8);

#[repr(C)]
struct LoadedImage {
    revision: u32,
    parent: *mut c_void,
    system: *mut c_void,
    device: *mut c_void,
}

#[repr(C)]
struct FileSystem {
    revision: u64,
    open_volume: unsafe extern "efiapi" fn(*mut FileSystem, *mut *mut File) -> Status,
}

#[repr(C)]
struct File {
    revision: u64,
    open: unsafe extern "efiapi" fn(*mut File, *mut *mut File, *const u16, u64, u64) -> Status,
    close: unsafe extern "efiapi" fn(*mut File) -> Status,
    delete: Unused,
    read: unsafe extern "efiapi" fn(*mut File, *mut usize, *mut u8) -> Status,
    write: Unused,
    get_position: unsafe extern "efiapi" fn(*mut File, *mut u64) -> Status,
    set_position: unsafe extern "efiapi" fn(*mut File, u64) -> Status,
}

const LOADED_IMAGE: [u8; 16] =
    guid(0x5b1b_31a1, 0x9562, 0x11d2, [0x8e, 0x3f, 0x00, 0xa0, 0xc9, 0x69, 0x72, 0x3b]);
const FILE_SYSTEM: [u8; 16] =
    guid(0x964e_5b22, 0x6459, 0x11d2, [0x8e, 0x39, 0x00, 0xa0, 0xc9, 0x69, 0x72, 0x3b]);

/// EFI_ACPI_20_TABLE_GUID.
const ACPI: [u8; 16] = guid(0x8868_e871, 0xe4f1, 0x11d3, [0xbc, 0x22, 0x00, 0x80, 0xc7, 0x3c, 0x88, 0x81]);

const fn guid(a: u32, b: u16, c: u16, d: [u8; 8]) -> [u8; 16] {
    let (a, b, c) = (a.to_le_bytes(), b.to_le_bytes(), c.to_le_bytes());
    [a[0], a[1], a[2], a[3], b[0], b[1], c[0], c[1], d[0], d[1], d[2], d[3], d[4], d[5], d[6], d[7]]
}

const LOADER_CODE: u32 = 1;
const LOADER_DATA: u32 = 2;
const BOOT_CODE: u32 = 3;
const BOOT_DATA: u32 = 4;
const CONVENTIONAL: u32 = 7;
const ALLOCATE_ANY: u32 = 0;
const ALLOCATE_MAX_ADDRESS: u32 = 1;
/// Bytes per read: small enough for any file system driver, large enough to be quick.
const READ: usize = 4 << 20;
const MAP_BYTES: u64 = 64 << 10;

/// The firmware while it still serves.
pub struct Firmware {
    image: *mut c_void,
    boot: *const BootServices,
    tables: &'static [ConfigurationTable],
    volume: *mut File,
}

/// A part of the memory map: kind, start, end.
type Range = (u32, u64, u64);

/// The memory map as it was at the end of boot services.
pub struct Memory(Vec<Range>);

impl Memory {
    fn of(&self, kinds: &'static [u32]) -> impl Iterator<Item = (u64, u64)> {
        self.0.iter().filter(|(k, _, _)| kinds.contains(k)).map(|(_, s, e)| (*s, *e))
    }
    /// Free and never used by the firmware.
    pub fn free_now(&self) -> impl Iterator<Item = (u64, u64)> {
        self.of(&[CONVENTIONAL])
    }
    /// Free once the firmware's tables and stack are left.
    pub fn free_later(&self) -> impl Iterator<Item = (u64, u64)> {
        self.of(&[BOOT_CODE, BOOT_DATA])
    }
    /// ntguest's image, heap and files.
    pub fn ours(&self) -> impl Iterator<Item = (u64, u64)> {
        self.of(&[LOADER_CODE, LOADER_DATA])
    }
    /// End of the highest RAM.
    pub fn top(&self) -> u64 {
        self.0
            .iter()
            .filter(|(k, _, _)| (LOADER_CODE..=CONVENTIONAL).contains(k))
            .map(|(_, _, e)| *e)
            .max()
            .unwrap_or(0)
    }
}

impl Firmware {
    /// # Safety
    /// The arguments of the entry point.
    pub unsafe fn new(image: *mut c_void, table: *const SystemTable) -> Self {
        // SAFETY: by the contract above the table is valid, and so is the list that it names.
        let (boot, tables) = unsafe {
            let SystemTable { boot, table_count, tables, .. } = &*table;
            (*boot, if tables.is_null() { &[] } else { core::slice::from_raw_parts(*tables, *table_count) })
        };
        let mut firmware = Self { image, boot, tables, volume: null_mut() };
        // SAFETY: protocols of the specification on the handles it names; a failure leaves `volume` null.
        unsafe {
            ((*boot).set_watchdog)(0, 0, 0, core::ptr::null());
            let (mut loaded, mut system, mut root) = (null_mut(), null_mut(), null_mut());
            if ((*boot).handle_protocol)(image, &LOADED_IMAGE, &raw mut loaded) == 0 {
                let device = (*loaded.cast::<LoadedImage>()).device;
                if ((*boot).handle_protocol)(device, &FILE_SYSTEM, &raw mut system) == 0 {
                    let system = system.cast::<FileSystem>();
                    if ((*system).open_volume)(system, &raw mut root) == 0 {
                        firmware.volume = root;
                    }
                }
            }
        }
        firmware
    }

    /// Where ACPI's tables begin: the RSDP.
    pub fn acpi_root(&self) -> Option<u64> {
        self.tables.iter().find(|table| table.id == ACPI).map(|table| table.at)
    }

    /// Pages of loader data, or nothing.
    pub fn allocate(&self, bytes: u64) -> Option<u64> {
        self.allocate_pages(ALLOCATE_ANY, 0, bytes)
    }

    /// The same below an address.
    pub fn allocate_below(&self, end: u64, bytes: u64) -> Option<u64> {
        self.allocate_pages(ALLOCATE_MAX_ADDRESS, end - 1, bytes)
    }

    fn allocate_pages(&self, kind: u32, mut at: u64, bytes: u64) -> Option<u64> {
        // SAFETY: boot services are still there.
        let status = unsafe {
            ((*self.boot).allocate_pages)(kind, LOADER_DATA, bytes.div_ceil(PAGE) as usize, &raw mut at)
        };
        (status == 0).then_some(at)
    }

    /// A whole file of the volume ntguest was started from, in pages of its own.
    pub fn read(&self, path: &str) -> Option<&'static [u8]> {
        if self.volume.is_null() {
            return None;
        }
        let name: Vec<u16> = path.encode_utf16().chain([0]).collect();
        let mut file = null_mut();
        let mut size = 0u64;
        // SAFETY: calls of the file protocol on handles it gave out, with buffers that live long enough.
        unsafe {
            if ((*self.volume).open)(self.volume, &raw mut file, name.as_ptr(), 1, 0) != 0 {
                return None;
            }
            // A position of all ones is the end of the file.
            ((*file).set_position)(file, u64::MAX);
            ((*file).get_position)(file, &raw mut size);
            ((*file).set_position)(file, 0);
            let buffer = self.allocate(size.max(1))?;
            let mut done = 0u64;
            while done < size {
                let mut n = READ.min((size - done) as usize);
                if ((*file).read)(file, &raw mut n, (buffer + done) as *mut u8) != 0 || n == 0 {
                    return None;
                }
                done += n as u64;
            }
            ((*file).close)(file);
            Some(core::slice::from_raw_parts(buffer as *const u8, size as usize))
        }
    }

    fn memory_map(&self, buffer: u64) -> Option<(Memory, usize)> {
        let (mut bytes, mut key, mut stride, mut version) = (MAP_BYTES as usize, 0, 0, 0);
        // SAFETY: the buffer has MAP_BYTES bytes.
        let status = unsafe {
            ((*self.boot).get_memory_map)(
                &raw mut bytes,
                buffer as *mut u8,
                &raw mut key,
                &raw mut stride,
                &raw mut version,
            )
        };
        if status != 0 || stride == 0 {
            return None;
        }
        // Type u32 at 0, start u64 at 8, pages u64 at 24.
        let read = |at: usize| {
            // SAFETY: `at` is a descriptor inside what the firmware wrote.
            unsafe {
                let d = (buffer as usize + at) as *const u8;
                let start = d.add(8).cast::<u64>().read();
                (d.cast::<u32>().read(), start, start + d.add(24).cast::<u64>().read() * PAGE)
            }
        };
        let ranges: Vec<Range> = (0..bytes / stride).map(|i| read(i * stride)).collect();
        Some((Memory(ranges), key))
    }

    /// End of the highest RAM.
    pub fn top_of_ram(&self) -> u64 {
        self.allocate(MAP_BYTES).and_then(|b| self.memory_map(b)).map_or(0, |(m, _)| m.top())
    }

    /// Ends boot services.
    pub fn leave(self) -> Memory {
        let buffer = self.allocate(MAP_BYTES).unwrap_or(0);
        // The map may change while it is being taken; the second try is allowed and enough.
        for _ in 0..4 {
            let Some((memory, key)) = self.memory_map(buffer) else { break };
            // SAFETY: the image's own handle and the map's key.
            if unsafe { ((*self.boot).exit_boot_services)(self.image, key) } == 0 {
                return memory;
            }
        }
        crate::kernel::bad_input(format_args!("the firmware does not end its boot services"))
    }
}
