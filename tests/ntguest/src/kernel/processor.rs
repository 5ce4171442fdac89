//! The processors: how many there are, which one this is, what each has of its own, and how the others are
//! started (`cpus=` of `ntguest.cfg`).
//!
//! They are started as Intel's MultiProcessor Specification and SDM (volume 3, "MP Initialization") say:
//! INIT, then STARTUP with the page of a trampoline below 1 MiB, one processor after the other, so that their
//! numbers are those of their local APICs in ascending order. The firmware's own start of them is over by
//! then. The trampoline goes from real to long mode at once, on tables of its own, which lie below 4 GiB.

use core::arch::{asm, global_asm};
use core::cell::Cell;
use core::ffi::c_void;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use super::page_map::PAGE;
use super::paging::{self, bits};
use super::{apic, cfg, cpu, idt, thread, time, user_data};

/// Processors that ntguest can have.
pub const MOST: usize = 4;
/// Pages that the trampoline needs below 1 MiB: itself and three page tables.
pub const LOW_PAGES: u64 = 4;
/// How long a processor may take to come.
const START_MS: u64 = 2000;

/// Physical address of the low pages; 0 if there are none.
static LOW: AtomicU64 = AtomicU64::new(0);
/// Processors that run.
static COUNT: AtomicUsize = AtomicUsize::new(1);
/// GS is set up, and more than one processor may ask who it is.
static KNOWN: AtomicBool = AtomicBool::new(false);
/// Numbers of the local APICs.
static APIC_IDS: [AtomicU32; MOST] = [const { AtomicU32::new(0) }; MOST];

/// How many processors run.
pub fn count() -> usize {
    COUNT.load(Ordering::Relaxed)
}

/// The mask of all processors.
pub fn all() -> u64 {
    (1 << count()) - 1
}

/// How many processors the run asks for.
pub fn wanted() -> usize {
    let wanted = cfg::get_u64("cpus", 1);
    match usize::try_from(wanted) {
        Ok(count @ 1..=MOST) => count,
        _ => super::bad_input(format_args!("ntguest.cfg: cpus={wanted} is not from 1 to {MOST}")),
    }
}

/// The number of this processor. A thread below DISPATCH_LEVEL may be on another one right afterwards.
pub fn current() -> usize {
    if KNOWN.load(Ordering::Relaxed) { user_data::processor_number() } else { 0 }
}

/// The local APIC of processor `number`.
pub fn apic_id(number: usize) -> u32 {
    APIC_IDS.get(number).map_or(0, |id| id.load(Ordering::Relaxed))
}

/// What each processor has of its own. Reached with interrupts off, so that nobody moves meanwhile.
pub struct PerProcessor<T>([T; MOST]);

// SAFETY: a processor reaches its own value only, with interrupts off for the whole access.
unsafe impl<T> Sync for PerProcessor<Cell<T>> {}

impl<T: Copy> PerProcessor<Cell<T>> {
    /// One for each.
    pub const fn new(each: T) -> Self {
        Self([Cell::new(each), Cell::new(each), Cell::new(each), Cell::new(each)])
    }

    /// This processor's.
    pub fn get(&self) -> T {
        self.with(Cell::get)
    }

    /// Sets this processor's.
    pub fn set(&self, value: T) {
        self.with(|cell| cell.set(value));
    }

    /// Sets this processor's and returns what was there.
    pub fn replace(&self, value: T) -> T {
        self.with(|cell| cell.replace(value))
    }

    fn with<R>(&self, f: impl FnOnce(&Cell<T>) -> R) -> R {
        let were_on = cpu::interrupts_off();
        let result = f(&self.0[current()]);
        cpu::interrupts_restore(were_on);
        result
    }
}

/// Where a processor comes out of the trampoline, which gets its number: on its own tables, interrupts off.
type Entry = extern "win64" fn(usize) -> !;

/// Keeps the pages below 1 MiB that the firmware gave.
pub fn keep_low_pages(base: u64) {
    LOW.store(base, Ordering::Relaxed);
}

// Where the trampoline finds what it needs, in its own page.
const TEMPORARY_ROOT: usize = 0xf00;
const GDT_POINTER: usize = 0xf08;
const FAR_POINTER: usize = 0xf10;
const ROOT: usize = 0xf18;
const STACK: usize = 0xf20;
const ENTRY: usize = 0xf28;
const NUMBER: usize = 0xf30;
const GDT: usize = 0xf40;

global_asm!(
    ".balign 16",
    ".global ntguest_trampoline",
    "ntguest_trampoline:",
    ".code16",
    "cli",
    "cld",
    "movw %cs, %ax",
    "movw %ax, %ds",
    "lgdtl 0xf08",
    // PAE, OSFXSR, OSXMMEXCPT.
    "movl %cr4, %eax",
    "orl $0x620, %eax",
    "movl %eax, %cr4",
    "movl 0xf00, %eax",
    "movl %eax, %cr3",
    // EFER: long mode and NX.
    "movl $0xc0000080, %ecx",
    "rdmsr",
    "orl $0x900, %eax",
    "wrmsr",
    // Protected mode, paging, write protection, NE and MP; caches on, no emulation, no task switched.
    "movl %cr0, %eax",
    "andl $0x1ffffff3, %eax",
    "orl $0x80010023, %eax",
    "movl %eax, %cr0",
    "ljmpl *0xf10",
    ".code64",
    ".global ntguest_trampoline_long",
    "ntguest_trampoline_long:",
    "movl $16, %eax",
    "movl %eax, %ds",
    "movl %eax, %es",
    "movl %eax, %ss",
    "leaq ntguest_trampoline_long(%rip), %rbx",
    "andq $-4096, %rbx",
    "movq 0xf18(%rbx), %rax",
    "movq %rax, %cr3",
    "movq 0xf20(%rbx), %rsp",
    "movq 0xf30(%rbx), %rcx",
    "callq *0xf28(%rbx)",
    "ud2",
    ".global ntguest_trampoline_end",
    "ntguest_trampoline_end:",
    options(att_syntax)
);
unsafe extern "C" {
    static ntguest_trampoline: u8;
    static ntguest_trampoline_long: u8;
    static ntguest_trampoline_end: u8;
}

/// Starts the processors that the run asks for. Once, on the first one, which becomes number 0, with its
/// interrupts off.
pub fn start_others() {
    APIC_IDS[0].store(apic::id(), Ordering::Relaxed);
    KNOWN.store(true, Ordering::Relaxed);
    let wanted = wanted();
    if wanted == 1 {
        return;
    }
    let low = LOW.load(Ordering::Relaxed);
    if low == 0 {
        super::bad_input(format_args!("cpus={wanted}: no memory below 1 MiB for the other processors"));
    }
    prepare(low, entered);
    for (number, id) in APIC_IDS.iter().enumerate().take(wanted).skip(1) {
        // QEMU counts local APICs from 0, as its processors.
        id.store(number as u32, Ordering::Relaxed);
        paging::add_processor(number);
        aim_trampoline(number, idt::start_stack(number));
        start(number, || count() > number);
    }
    crate::kprintln!("{wanted} processors");
}

/// The trampoline is for processor `number` next, which begins on this stack.
pub fn aim_trampoline(number: usize, stack: u64) {
    let low = LOW.load(Ordering::Relaxed);
    put(low, ROOT, paging::root_of(number));
    put(low, STACK, stack);
    put(low, NUMBER, number as u64);
}

/// Lays the trampoline out for processors that come back from a reset, through `entry`.
pub fn prepare_to_wake(entry: Entry) -> Result<(), &'static str> {
    let low = LOW.load(Ordering::Relaxed);
    if low == 0 {
        return Err("no memory below 1 MiB for the waking vector");
    }
    prepare(low, entry);
    Ok(())
}

/// The physical address of the trampoline: below 1 MiB, and of a page.
pub fn waking_vector() -> u32 {
    LOW.load(Ordering::Relaxed) as u32
}

fn put(page: u64, offset: usize, value: u64) {
    // SAFETY: inside the trampoline's page, which is ours; all offsets are below its size and aligned.
    unsafe { paging::phys_ptr(page).add(offset).cast::<u64>().write_volatile(value) }
}

/// Copies the trampoline into the first page, and lays out tables that map the first 2 MiB as they are.
fn prepare(low: u64, entry: Entry) {
    let begin = &raw const ntguest_trampoline;
    let bytes = (&raw const ntguest_trampoline_end).addr() - begin.addr();
    let long = (&raw const ntguest_trampoline_long).addr() - begin.addr();
    assert!(bytes <= TEMPORARY_ROOT, "the trampoline is longer than its page");
    // SAFETY: the page is ours, and the trampoline is shorter.
    unsafe { core::ptr::copy_nonoverlapping(begin, paging::phys_ptr(low), bytes) };
    let [root, middle, last] = [low + PAGE, low + 2 * PAGE, low + 3 * PAGE];
    for table in [root, middle, last] {
        // SAFETY: a page of ours.
        unsafe { paging::phys_ptr(table).write_bytes(0, PAGE as usize) };
    }
    put(root, 0, middle | bits::PRESENT | bits::WRITE);
    put(middle, 0, last | bits::PRESENT | bits::WRITE);
    put(last, 0, bits::PRESENT | bits::WRITE | bits::LARGE);
    put(low, TEMPORARY_ROOT, root);
    // Limit and base of the table; its base is below 4 GiB.
    put(low, GDT_POINTER, 0x17 | (low + GDT as u64) << 16);
    put(low, FAR_POINTER, (low + long as u64) | 8 << 32);
    put(low, ENTRY, entry as *const () as u64);
    for (i, descriptor) in [0, 0x00af_9a00_0000_ffff, 0x00cf_9200_0000_ffff].into_iter().enumerate() {
        put(low, GDT + i * 8, descriptor);
    }
}

/// INIT and STARTUP, and waits until it is there.
pub fn start(number: usize, is_there: impl Fn() -> bool) {
    let (target, low) = (apic_id(number), LOW.load(Ordering::Relaxed));
    apic::init_processor(target);
    pause(10_000);
    for _ in 0..2 {
        apic::start_processor(target, (low / PAGE) as u8);
        let deadline = time::ms() + START_MS / 2;
        while !is_there() && time::ms() < deadline {
            core::hint::spin_loop();
        }
        if is_there() {
            return;
        }
    }
    super::bad_input(format_args!(
        "cpus={}: processor {number} does not start: QEMU needs -smp {}",
        wanted(),
        wanted()
    ));
}

fn pause(microseconds: u64) {
    let until = time::interrupt_time_100ns() + microseconds * 10;
    while time::interrupt_time_100ns() < until {
        core::hint::spin_loop();
    }
}

/// Where a further processor comes out of it at boot.
extern "win64" fn entered(number: usize) -> ! {
    idt::init(number);
    user_data::init_processor(number);
    // SAFETY: no AVX, as on the first processor, so that a driver that uses it is caught.
    unsafe { asm!("mov {t}, cr4", "btr {t}, 18", "mov cr4, {t}", t = out(reg) _, options(nostack)) };
    apic::init_local();
    thread::begin_idle(started, core::ptr::without_provenance_mut::<c_void>(number))
}

/// The processor's idle thread runs.
fn started(number: *mut c_void) {
    apic::start_clock();
    COUNT.store(number.addr() + 1, Ordering::Release);
}
