//! Descriptor tables and the way in and out of interrupts.
//!
//! Exceptions end the run (see `fault`); they get a stack of their own, so that a thread's overflowing
//! stack can be named. Interrupts run at the IRQL their vector's priority class says: device interrupts
//! on the interrupt stack, DPCs on the DPC stack, as on Windows, so that a thread's 24 KiB are its own.

use core::arch::{asm, global_asm, naked_asm};
use core::cell::Cell;
use core::ffi::c_void;

use super::processor::{self, MOST, PerProcessor};
use super::sync::IrqLock;
use super::{
    apic, cpu, dpc, fault, image, interrupt, irql, lock_watch, paged, paging, reenter, sleep, thread, timer,
    violation,
};

/// What the stubs below leave on the stack.
#[repr(C)]
pub struct Frame {
    /// r15, r14, r13, r12, r11, r10, r9, r8, rbp, rdi, rsi, rdx, rcx, rbx, rax.
    pub registers: [u64; 15],
    /// Vector.
    pub vector: u64,
    /// Error code, 0 for vectors without one.
    pub error: u64,
    /// Where it happened.
    pub rip: u64,
    cs: u64,
    /// Flags.
    pub rflags: u64,
    /// Stack pointer.
    pub rsp: u64,
    ss: u64,
}

// 256 entries of 16 bytes: push an error code where the processor pushed none, then the vector.
global_asm!(
    ".balign 16",
    ".global ntguest_stubs",
    "ntguest_stubs:",
    ".set v, 0",
    ".rept 256",
    ".balign 16",
    ".if (v==8)||(v==10)||(v==11)||(v==12)||(v==13)||(v==14)||(v==17)||(v==21)||(v==29)||(v==30)",
    ".else",
    "pushq $0",
    ".endif",
    "pushq $v",
    "jmp {common}",
    ".set v, v+1",
    ".endr",
    common = sym common,
    options(att_syntax)
);
unsafe extern "C" {
    static ntguest_stubs: [u8; 4096];
}

/// Where a vector comes in.
pub fn stub(vector: u64) -> u64 {
    (&raw const ntguest_stubs) as u64 + vector * 16
}

/// Whether the processor pushes an error code with this exception.
pub const fn has_error_code(vector: u64) -> bool {
    matches!(vector, 8 | 10..=14 | 17 | 21 | 29 | 30)
}

#[unsafe(naked)]
unsafe extern "C" fn common() {
    naked_asm!(
        "push rax", "push rbx", "push rcx", "push rdx", "push rsi", "push rdi", "push rbp",
        "push r8", "push r9", "push r10", "push r11", "push r12", "push r13", "push r14", "push r15",
        "cld",
        "mov rcx, rsp", "mov rbp, rsp",
        "and rsp, -16", "sub rsp, 512", "fxsave64 [rsp]",
        "sub rsp, 32", "call {entered}", "add rsp, 32",
        "fxrstor64 [rsp]", "mov rsp, rbp",
        "pop r15", "pop r14", "pop r13", "pop r12", "pop r11", "pop r10", "pop r9", "pop r8",
        "pop rbp", "pop rdi", "pop rsi", "pop rdx", "pop rcx", "pop rbx", "pop rax",
        "add rsp, 16",
        "iretq",
        entered = sym entered,
    )
}

const STACK: usize = 32768;
#[repr(C, align(4096))]
struct Stack([u8; STACK]);
/// The stacks of a processor.
#[repr(C)]
struct Stacks {
    exception: Stack,
    interrupt: Stack,
    dpc: Stack,
}
static mut STACKS: [Stacks; MOST] =
    [const { Stacks { exception: Stack([0; STACK]), interrupt: Stack([0; STACK]), dpc: Stack([0; STACK]) } };
        MOST];

/// The stacks of processor `number`.
fn stacks(number: usize) -> *mut Stacks {
    // SAFETY: an address is computed; there are at most as many processors.
    unsafe { (&raw mut STACKS).cast::<Stacks>().add(number) }
}

/// End of a stack that processor `number` can begin on.
pub fn start_stack(number: usize) -> u64 {
    // SAFETY: as above. A call aligns it as a function would find it.
    unsafe { (&raw const (*stacks(number)).dpc) as u64 + STACK as u64 - 32 }
}

#[repr(C, packed)]
struct Tss {
    reserved: u32,
    rsp: [u64; 3],
    reserved2: u64,
    ist: [u64; 7],
    reserved3: u64,
    reserved4: u16,
    io_map: u16,
}
static mut TSS: [Tss; MOST] = [const {
    Tss { reserved: 0, rsp: [0; 3], reserved2: 0, ist: [0; 7], reserved3: 0, reserved4: 0, io_map: 104 }
}; MOST];
/// Null, code, data, task state (two words).
static mut GDT: [[u64; 5]; MOST] = [[0, 0x00af_9a00_0000_ffff, 0x00cf_9200_0000_ffff, 0, 0]; MOST];
/// One for all processors.
static mut IDT: [[u64; 2]; 256] = [[0; 2]; 256];
const CODE_SELECTOR: u64 = 8;
/// The debug exception.
const DEBUG: u8 = 1;
/// The page fault.
const PAGE_FAULT: u8 = 14;
/// The trap flag of RFLAGS: a debug exception after the next instruction.
pub const TRAP: u64 = 1 << 8;

#[repr(C, packed)]
struct Descriptor {
    limit: u16,
    base: u64,
}

/// Loads the descriptor tables of this processor, which is number `number`. Interrupts stay off.
pub fn init(number: usize) {
    // SAFETY: called once by each processor, with interrupts off; the interrupt table gets the same contents
    // each time, the others are this processor's; all are statics that live for ever, and
    // the selectors loaded are those of the new table.
    unsafe {
        let tss = (&raw const TSS[number]) as u64;
        TSS[number].ist[0] = (&raw const (*stacks(number)).exception) as u64 + STACK as u64;
        GDT[number][3] = 0x0000_8900_0000_0067 | (tss & 0xff_ffff) << 16 | (tss >> 24 & 0xff) << 56;
        GDT[number][4] = tss >> 32;
        for vector in 0..256u64 {
            let at = stub(vector);
            let ist = u64::from(vector < 32);
            let low = at & 0xffff | CODE_SELECTOR << 16 | ist << 32 | 0x8e00 << 32 | at >> 16 << 48;
            IDT[vector as usize] = [low, at >> 32];
        }
        let gdt = Descriptor { limit: 39, base: (&raw const GDT[number]) as u64 };
        let idt = Descriptor { limit: 4095, base: (&raw const IDT) as u64 };
        asm!("lgdt [{gdt}]", "lidt [{idt}]", "mov ax, 16", "mov ds, ax", "mov es, ax", "mov ss, ax",
             "xor eax, eax", "mov fs, ax", "mov gs, ax",
             "push 8", "lea rax, [rip + 2f]", "push rax", "retfq", "2:", "mov ax, 24", "ltr ax",
             gdt = in(reg) &raw const gdt, idt = in(reg) &raw const idt, out("rax") _);
    }
}

/// What `divert` leaves on the stack of the interrupted code: whom to call, and how to go on.
#[repr(C)]
struct Diversion {
    f: extern "win64" fn(),
    rip: u64,
    cs: u64,
    rflags: u64,
    rsp: u64,
    ss: u64,
}
/// Below the stack pointer of the interrupted code: no red zone on Windows, and some distance.
const BELOW: u64 = 256;

/// Lets the interrupted code call `f` before it goes on: on its own stack, at its own level, with its
/// registers kept. Unlike a call from the handler this leaves the exceptions' stack free, so that `f` may
/// fault.
pub fn divert(frame: &mut Frame, f: extern "win64" fn()) {
    let at = (frame.rsp & !15) - BELOW - size_of::<Diversion>() as u64;
    let Frame { rip, cs, rflags, rsp, ss, .. } = *frame;
    // SAFETY: the stack of the interrupted code, below what it uses, and mapped: stacks have room for
    // interrupts.
    unsafe { (at as *mut Diversion).write(Diversion { f, rip, cs, rflags, rsp, ss }) };
    frame.rip = diverted as *const () as u64;
    frame.rsp = at;
}

#[unsafe(naked)]
unsafe extern "C" fn diverted() {
    naked_asm!(
        "push rax",
        "push rbx",
        "push rcx",
        "push rdx",
        "push rsi",
        "push rdi",
        "push rbp",
        "push r8",
        "push r9",
        "push r10",
        "push r11",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "cld",
        "mov rbp, rsp",
        "mov rax, [rsp + 120]",
        "and rsp, -16",
        "sub rsp, 512",
        "fxsave64 [rsp]",
        "sub rsp, 32",
        "call rax",
        "add rsp, 32",
        "fxrstor64 [rsp]",
        "mov rsp, rbp",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop r11",
        "pop r10",
        "pop r9",
        "pop r8",
        "pop rbp",
        "pop rdi",
        "pop rsi",
        "pop rdx",
        "pop rcx",
        "pop rbx",
        "pop rax",
        "add rsp, 8",
        "iretq",
    )
}

/// Calls `f(arg)` on another stack.
#[unsafe(naked)]
unsafe extern "win64" fn on_stack(top: u64, f: extern "win64" fn(*mut c_void), arg: *mut c_void) {
    naked_asm!(
        "push rbp",
        "mov rbp, rsp",
        "lea rsp, [rcx - 32]",
        "mov rcx, r8",
        "call rdx",
        "mov rsp, rbp",
        "pop rbp",
        "ret"
    )
}

fn inside(stack: u64, at: u64) -> bool {
    (stack..stack + STACK as u64).contains(&at)
}

/// Clock ticks in a row that found the processor at DISPATCH or above.
static BUSY: PerProcessor<Cell<u32>> = PerProcessor::new(0);
/// So many (about five seconds) are a hang: Windows' DPC watchdog would end it too.
const BUSY_LIMIT: u32 = 5000;

/// This processor waits for another one that the host does not let run: that is no hang.
pub fn host_is_late() {
    BUSY.set(0);
}

/// Ends a run that does not come down from DISPATCH any more, and says where it hangs.
fn watch(level: u8, frame: &Frame) {
    if level < irql::DISPATCH {
        BUSY.set(0);
    } else if BUSY.replace(BUSY.get() + 1) > BUSY_LIMIT {
        super::fatal(
            "dpc-watchdog",
            format_args!(
                "at IRQL {level} for {BUSY_LIMIT} ticks, now at {}",
                image::describe(frame.rip as usize)
            ),
        );
    }
}

/// Interrupts that came without anybody connected.
static UNEXPECTED: IrqLock<u32> = IrqLock::new(0);

extern "win64" fn entered(frame: &mut Frame) {
    let vector = frame.vector as u8;
    if vector == DEBUG {
        let watched = lock_watch::on_single_step(frame);
        if reenter::step(frame) {
            return;
        }
        if watched {
            frame.rflags &= !TRAP;
            return;
        }
    }
    // Bit 1 of the error code: a write.
    if vector == PAGE_FAULT && lock_watch::fault(frame, cpu::read_cr2(), frame.error & 2 != 0) {
        return;
    }
    if vector < 32 {
        fault::exception(frame);
        return;
    }
    if vector == apic::SPURIOUS_VECTOR {
        return;
    }
    let old = cpu::read_cr8();
    let level = vector >> 4;
    let last_call = image::last_call();
    cpu::write_cr8(level);
    paging::catch_up();
    if vector == apic::IPI_VECTOR {
        // Nothing else is asked for with it but to stop before the machine sleeps.
        apic::eoi();
        sleep::stop_if_asked();
        cpu::write_cr8(old);
        return;
    }
    if old < irql::DISPATCH {
        paged::present(false);
    }
    if vector == apic::CLOCK_VECTOR {
        watch(old, frame);
    }
    if vector == apic::DISPATCH_VECTOR {
        // Acknowledged first, so that the next request is remembered; CR8 holds it off until then.
        apic::eoi();
        cpu::sti();
        // SAFETY: the DPC stack is free: only code below DISPATCH comes here, and that is never a DPC.
        unsafe {
            let stack = (&raw const (*stacks(processor::current())).dpc) as u64;
            on_stack(stack + STACK as u64, dpc::drain, core::ptr::null_mut());
        }
        thread::reschedule_if_requested();
        cpu::interrupts_off();
    } else {
        let arg = usize::from(vector) as *mut c_void;
        // SAFETY: an address is computed.
        let stack = unsafe { &raw const (*stacks(processor::current())).interrupt } as u64;
        if inside(stack, (&raw const *frame) as u64) {
            service(arg);
        } else {
            // SAFETY: the interrupted code is not on the interrupt stack, so nobody is.
            unsafe { on_stack(stack + STACK as u64, service, arg) };
        }
        apic::eoi();
    }
    if old < irql::DISPATCH {
        paged::present(true);
    }
    image::set_last_call(last_call);
    cpu::write_cr8(old);
}

/// Runs the service routine of a vector, at its IRQL, with higher interrupts allowed.
extern "win64" fn service(vector: *mut c_void) {
    let vector = vector as usize as u8;
    cpu::sti();
    if vector == apic::CLOCK_VECTOR {
        timer::tick();
    } else if !interrupt::deliver(vector) {
        let mut seen = UNEXPECTED.lock();
        *seen += 1;
        let first = *seen == 1;
        drop(seen);
        if first {
            violation(
                "unexpected-interrupt",
                format_args!("vector {vector:#x} has no connected service routine"),
            );
        }
    }
    cpu::interrupts_off();
}
