//! The driver in memory: mapped high with the rights its sections ask for, its imports bound to thunks
//! that note who calls what.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::arch::naked_asm;
use core::cell::Cell;
use core::fmt;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::layout::{DriverExtension, DriverObject, UnicodeString};
use super::page_map::{Owner, PAGE};
use super::paging::{self, Region, bits};
use super::pe::{Import, Pe, Section};
use super::processor::PerProcessor;
use super::sync::IrqLock;
use super::{cfg, exports, fatal, gone, harsh_violation, irql, log, paged, phys, schedule, time, violation};

/// DriverEntry.
pub type DriverEntry = unsafe extern "win64" fn(*mut DriverObject, *mut UnicodeString) -> i32;

struct Mapped {
    name: &'static str,
    base: u64,
    size: u64,
    sections: Vec<Section>,
    discarded: bool,
    unloaded: bool,
}

/// The most stack that a function may take, in bytes: a sixth of a thread's.
const FRAME_BYTES_MAX: u32 = 4096;

struct Binding {
    name: String,
    target: usize,
    max_irql: u8,
}

static IMAGE: IrqLock<Option<Mapped>> = IrqLock::new(None);
static BINDINGS: IrqLock<Vec<Binding>> = IrqLock::new(Vec::new());
static DRIVER_OBJECT: AtomicUsize = AtomicUsize::new(0);
static TRACE: AtomicBool = AtomicBool::new(false);

/// (return address, binding) of the driver's last call of an import, in this thread or interrupt.
static LAST_CALL: PerProcessor<Cell<(usize, u32)>> = PerProcessor::new((0, 0));

/// The driver's last call of an import: return address and number of the import.
pub fn last_call() -> (usize, u32) {
    LAST_CALL.get()
}

/// Gives a context its last call back.
pub fn set_last_call(call: (usize, u32)) {
    LAST_CALL.set(call);
}

/// The driver, loaded and bound.
pub struct LoadedDriver {
    /// DriverEntry.
    pub entry: DriverEntry,
    /// Its driver object.
    pub driver_object: *mut DriverObject,
    /// Its registry path.
    pub registry_path: *mut UnicodeString,
}

/// A UNICODE_STRING that lives for ever.
pub fn unicode(text: &str) -> UnicodeString {
    let units: Vec<u16> = text.encode_utf16().chain([0]).collect();
    let length = (units.len() - 1) as u16 * 2;
    UnicodeString {
        length,
        maximum_length: length + 2,
        buffer: Box::leak(units.into_boxed_slice()).as_mut_ptr(),
    }
}

/// Loads a driver. Anything wrong with it ends the run before DriverEntry.
pub fn load(name: &'static str, file: &[u8]) -> LoadedDriver {
    TRACE.store(cfg::get_bool("trace", false), Ordering::Relaxed);
    let bad = |why: String| -> ! { fatal("bad-image", format_args!("{name}: {why}")) };
    let pe = Pe::parse(file).unwrap_or_else(|e| bad(e));
    let mut image = pe.lay_out(file).unwrap_or_else(|e| bad(e));
    let base = paging::reserve(Region::Images, u64::from(pe.size) / PAGE);
    let cookie = time::qpc() as u64 & 0x0000_ffff_ffff_ffff ^ 0x0000_4711_0815_2b99;
    pe.set_cookie(&mut image, cookie).unwrap_or_else(|e| bad(e));
    let moved = pe.relocate(&mut image, base).unwrap_or_else(|e| bad(e));
    let imports = pe.imports(&image).unwrap_or_else(|e| bad(e));
    bind(name, &mut image, &imports);
    map_sections(&pe, &image, base);
    crate::kprintln!(
        "{name} at {base:#x} bytes {:#x} relocations {moved} imports {}",
        pe.size,
        imports.len()
    );
    for s in &pe.sections {
        let rights = (if s.writable() { "w" } else { "-" }, if s.executable() { "x" } else { "-" });
        crate::kprintln!("section {} rva {:#x} bytes {:#x} r{}{}", s.name, s.rva, s.size, rights.0, rights.1);
    }
    check_not_paged(name, &pe);
    if let Some(section) = pe.executable_import_table(&imports) {
        harsh_violation(
            "import-table",
            format_args!("{name}: the addresses of imports are in section {section}, which is executable"),
        );
    }
    check_frames(name, &pe, &image);
    let driver = driver_object(name, base, &pe);
    let size = u64::from(pe.size);
    *IMAGE.lock() =
        Some(Mapped { name, base, size, sections: pe.sections, discarded: false, unloaded: false });
    driver
}

/// Sections that are neither PAGE* nor thrown away must stay in memory: the linker of the kit marks them
/// IMAGE_SCN_MEM_NOT_PAGED.
///
/// Doubt: a driver's sections are resident by default ("Making drivers pageable": only sections named PAGE*
/// are paged), and no page says that the loader reads the flag; so the rule is harsher than Windows.
fn check_not_paged(name: &str, pe: &Pe) {
    for section in pe.unmarked() {
        harsh_violation(
            "section-not-paged",
            format_args!("{name}: section {section} is not marked as staying in memory"),
        );
    }
}

/// The largest frame of the driver, and whether it is too large a part of a stack of 24 KiB that others use
/// too. The bound is ours: the warning C6262 of the kit's analysis comes at 1 KiB already.
fn check_frames(name: &str, pe: &Pe, image: &[u8]) {
    let Some((function, bytes)) = pe.largest_frame(image) else { return };
    crate::kresult!("largest_frame_bytes={bytes}");
    if bytes > FRAME_BYTES_MAX {
        harsh_violation("stack-frame", format_args!("{name}+{function:#x} takes {bytes} bytes of stack"));
    }
}

fn driver_object(name: &str, base: u64, pe: &Pe) -> LoadedDriver {
    let stem = name.trim_end_matches(".sys");
    // SAFETY: all-zero is valid for both: numbers, raw pointers and optional functions.
    let (mut object, mut extension): (Box<DriverObject>, Box<DriverExtension>) =
        unsafe { (Box::new(core::mem::zeroed()), Box::new(core::mem::zeroed())) };
    let entry = base as usize + pe.entry as usize;
    object.kind = 4;
    object.size = size_of::<DriverObject>() as i16;
    object.driver_start = base as *mut _;
    object.driver_size = pe.size;
    object.driver_init = entry;
    object.driver_name = unicode(&alloc::format!("\\Driver\\{stem}"));
    extension.service_key_name = unicode(stem);
    let extension = Box::leak(extension);
    object.driver_extension = extension;
    let object = Box::into_raw(object);
    extension.driver_object = object;
    DRIVER_OBJECT.store(object as usize, Ordering::Relaxed);
    let path = unicode(&alloc::format!("\\REGISTRY\\MACHINE\\SYSTEM\\ControlSet001\\Services\\{stem}"));
    LoadedDriver {
        // SAFETY: the entry point lies in an executable section, checked by the reader.
        entry: unsafe { core::mem::transmute::<usize, DriverEntry>(entry) },
        driver_object: object,
        registry_path: Box::into_raw(Box::new(path)),
    }
}

/// Resolves every import, or ends the run with the names that are missing.
fn bind(name: &str, image: &mut [u8], imports: &[Import]) {
    let mut missing: Vec<&Import> = Vec::new();
    let pages = (imports.len() as u64 * THUNK as u64).div_ceil(PAGE).max(1);
    let base = paging::reserve(Region::Thunks, pages);
    let mut code = alloc::vec![0xccu8; (pages * PAGE) as usize];
    for (i, import) in imports.iter().enumerate() {
        let dll = import.dll.to_ascii_lowercase();
        let Some(export) = exports::lookup(&dll, &import.name) else {
            missing.push(import);
            continue;
        };
        let address = if export.thunk {
            write_thunk(&mut code[i * THUNK..(i + 1) * THUNK], add_binding(&import.name, export));
            base + (i * THUNK) as u64
        } else {
            export.address as u64
        };
        if let Err(why) = Pe::bind(image, import.slot, address) {
            fatal("bad-image", format_args!("{name}: {why}"));
        }
    }
    if !missing.is_empty() {
        name_missing(&missing);
        fatal(
            "unresolved-import",
            format_args!(
                "{name} imports {} function(s) that ntguest does not offer: the list is above",
                missing.len()
            ),
        );
    }
    copy_pages(base, &code, |_| bits::CODE);
}

/// The one list of what is not offered, by the module it would come from.
fn name_missing(missing: &[&Import]) {
    /// Names on one line: as many as a line of the log holds.
    const A_LINE: usize = 8;
    let mut modules: Vec<&str> = missing.iter().map(|import| import.dll.as_str()).collect();
    modules.sort_unstable();
    modules.dedup();
    for module in modules {
        let names: Vec<&str> = missing.iter().filter(|i| i.dll == module).map(|i| i.name.as_str()).collect();
        for line in names.chunks(A_LINE) {
            crate::kprintln!("not offered: {module}: {}", line.join(", "));
        }
        if module.eq_ignore_ascii_case("wdfldr.sys") {
            crate::kprintln!(
                "{module}: this is a driver of the framework (KMDF), which ntguest does not have"
            );
        }
    }
}

fn add_binding(name: &str, found: exports::Found) -> u32 {
    let mut bindings = BINDINGS.lock();
    bindings.push(Binding { name: name.to_string(), target: found.address, max_irql: found.max_irql });
    bindings.len() as u32 - 1
}

/// Bytes of a thunk: push number; mov r11, address; jmp r11.
const THUNK: usize = 24;

fn write_thunk(out: &mut [u8], index: u32) {
    out[0] = 0x68;
    out[1..5].copy_from_slice(&index.to_le_bytes());
    out[5..7].copy_from_slice(&[0x49, 0xbb]);
    out[7..15].copy_from_slice(&(import_entered as *const () as u64).to_le_bytes());
    out[15..18].copy_from_slice(&[0x41, 0xff, 0xe3]);
}

/// A thunk for a function the driver looked up while running (MmGetSystemRoutineAddress).
pub fn late_thunk(name: &str, found: exports::Found) -> usize {
    let index = add_binding(name, found);
    let base = paging::reserve(Region::Thunks, 1);
    let mut code = [0xccu8; PAGE as usize];
    write_thunk(&mut code, index);
    copy_pages(base, &code, |_| bits::CODE);
    base as usize
}

/// Every call of an import passes here with its number pushed: checks it, then goes to the service with
/// registers and stack as the driver left them.
#[unsafe(naked)]
unsafe extern "C" fn import_entered() {
    naked_asm!(
        "push rcx", "push rdx", "push r8", "push r9",
        "mov ecx, [rsp + 32]", "mov rdx, [rsp + 40]", "sub rsp, 32",
        "call {check}",
        "add rsp, 32", "pop r9", "pop r8", "pop rdx", "pop rcx",
        "add rsp, 8", "jmp rax",
        check = sym check_import,
    )
}

extern "win64" fn check_import(index: u32, from: usize) -> usize {
    set_last_call((from, index));
    paging::catch_up();
    gone::count_call();
    let level = irql::current();
    let (target, max) = {
        let bindings = BINDINGS.lock();
        let binding = &bindings[index as usize];
        (binding.target, binding.max_irql)
    };
    if TRACE.load(Ordering::Relaxed) {
        log::line("ntguest: info ", format_args!("call at IRQL {level} {}", super::caller()));
    }
    if level > max {
        violation("irql", format_args!("called at IRQL {level}, allowed is {max}: {}", super::caller()));
    }
    schedule::at(schedule::Point::Import, from);
    target
}

/// Name of an import by its number.
pub fn binding_name(index: u32) -> String {
    BINDINGS.lock().get(index as usize).map_or_else(String::new, |b| b.name.clone())
}

fn copy_pages(base: u64, bytes: &[u8], rights: impl Fn(u64) -> u64) {
    for (i, page) in bytes.chunks(PAGE as usize).enumerate() {
        let pa = phys::alloc_kernel();
        // SAFETY: a fresh page in the direct map.
        unsafe { core::ptr::copy_nonoverlapping(page.as_ptr(), paging::phys_ptr(pa), page.len()) };
        let offset = i as u64 * PAGE;
        let rights = rights(offset);
        if rights != 0 {
            paging::map(base + offset, pa, rights);
        }
    }
}

fn map_sections(pe: &Pe, image: &[u8], base: u64) {
    copy_pages(base, image, |offset| match pe.section_of(offset as u32) {
        Some(s) if s.executable() => bits::CODE,
        Some(s) if s.writable() => bits::DATA,
        Some(_) => bits::PRESENT | bits::NX,
        // Headers are readable; gaps between sections are not there.
        None if offset == 0 => bits::PRESENT | bits::NX,
        None => 0,
    });
    for s in pe.sections.iter().filter(|s| s.paged()) {
        for page in (u64::from(s.rva)..u64::from(s.rva + s.size)).step_by(PAGE as usize) {
            let va = base + page;
            let rights = if s.executable() {
                bits::CODE
            } else if s.writable() {
                bits::DATA
            } else {
                bits::PRESENT | bits::NX
            };
            if let Some(pa) = paging::physical(va) {
                paged::add(va, pa, rights);
            }
        }
    }
}

impl LoadedDriver {
    /// Throws the INIT sections away, as Windows does when DriverEntry has returned.
    #[expect(clippy::unused_self, reason = "the driver in hand is the one that is mapped")]
    pub fn discard_init(&mut self) {
        let mut image = IMAGE.lock();
        let Some(mapped) = image.as_mut() else { return };
        mapped.discarded = true;
        for s in mapped.sections.iter().filter(|s| s.discardable()) {
            for page in (u64::from(s.rva)..u64::from(s.rva + s.size)).step_by(PAGE as usize) {
                if let Some(pa) = paging::unmap(mapped.base + page) {
                    phys::free(pa, Owner::Kernel);
                }
            }
        }
        drop(image);
        paging::shoot_down();
    }

    /// Unmaps the image: any later call into it is a named fault.
    #[expect(clippy::unused_self, reason = "takes the driver away from the caller: nobody can call it again")]
    pub fn unload(self) {
        let mut image = IMAGE.lock();
        let Some(mapped) = image.as_mut() else { return };
        paged::remove(mapped.base, mapped.base + mapped.size);
        mapped.unloaded = true;
        for page in (0..mapped.size).step_by(PAGE as usize) {
            if let Some(pa) = paging::unmap(mapped.base + page) {
                phys::free(pa, Owner::Kernel);
            }
        }
        drop(image);
        paging::shoot_down();
    }
}

/// The name of the driver's service: its file's name without `.sys`.
pub fn service_name() -> &'static str {
    let name = IMAGE.lock().as_ref().map_or("ringwave.sys", |mapped| mapped.name);
    name.strip_suffix(".sys").unwrap_or(name)
}

/// Whether this is the driver's object.
pub fn is_driver_object(object: *const DriverObject) -> bool {
    DRIVER_OBJECT.load(Ordering::Relaxed) == object as usize
}

/// Whether an address is that of a thunk: a call of an import begins there.
pub fn is_thunk(address: u64) -> bool {
    paging::region_of(address) == Some(Region::Thunks)
}

/// Where a section of the driver begins, relative to its image.
pub fn section(name: &str) -> Option<u32> {
    let image = IMAGE.lock();
    image.as_ref()?.sections.iter().find(|section| section.name == name).map(|section| section.rva)
}

/// Whether an address lies in the driver.
pub fn image_contains(address: usize) -> bool {
    IMAGE.lock().as_ref().is_some_and(|m| (m.base..m.base + m.size).contains(&(address as u64)))
}

/// An address in the driver from its first byte on, which is the same in every run; another one as it is.
pub fn offset(address: usize) -> usize {
    let image = IMAGE.lock();
    let inside = image.as_ref().filter(|m| (m.base..m.base + m.size).contains(&(address as u64)));
    inside.map_or(address, |m| address - m.base as usize)
}

/// The rule a fault inside the image breaks.
pub fn fault_rule(address: usize, write: bool) -> Option<&'static str> {
    let image = IMAGE.lock();
    let mapped = image.as_ref().filter(|m| (m.base..m.base + m.size).contains(&(address as u64)))?;
    let rva = (address as u64 - mapped.base) as u32;
    let section = mapped.sections.iter().find(|s| rva >= s.rva && rva < s.rva + s.size);
    Some(match section {
        _ if mapped.unloaded => "call-after-unload",
        Some(s) if s.discardable() && mapped.discarded => "init-discarded",
        Some(s) if s.paged() && irql::current() >= irql::DISPATCH => "paged-code",
        Some(s) if write && !s.writable() => "write-to-read-only",
        _ => "image-access",
    })
}

/// An address as `ringwave.sys+0x1234`, or as it is when it is not the driver's.
pub fn describe(address: usize) -> impl fmt::Display {
    struct At(usize, Option<(&'static str, u64)>);
    impl fmt::Display for At {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            match self.1 {
                Some((name, base)) => write!(f, "{name}+{:#x}", self.0 as u64 - base),
                // A routine that ends in a jump to an import returns to ntguest, which called it.
                None if self.0 < 1 << 47 => f.write_str("ntguest (or a tail call)"),
                None => write!(f, "{:#x}", self.0),
            }
        }
    }
    let image = IMAGE.lock();
    let inside = image.as_ref().filter(|m| (m.base..m.base + m.size).contains(&(address as u64)));
    At(address, inside.map(|m| (m.name, m.base)))
}
