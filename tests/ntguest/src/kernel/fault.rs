//! A processor exception ends the run: it is named by what was touched, with the driver's own address. (A
//! self-test may go on behind it.)

use super::idt::Frame;
use super::paging::{self, Region};
use super::selftest::resume;
use super::{cpu, image, irql, log, pages, pool, thread};

const NAMES: [&str; 32] = [
    "divide-error",
    "debug",
    "nmi",
    "breakpoint",
    "overflow",
    "bound",
    "invalid-opcode",
    "no-fpu",
    "double-fault",
    "exception-9",
    "invalid-tss",
    "segment",
    "stack-segment",
    "general-protection",
    "page-fault",
    "exception-15",
    "x87",
    "alignment",
    "machine-check",
    "simd",
    "virtualization",
    "control-protection",
    "exception-22",
    "exception-23",
    "exception-24",
    "exception-25",
    "exception-26",
    "exception-27",
    "hypervisor",
    "vmm",
    "security",
    "exception-31",
];
const REGISTERS: [&str; 15] =
    ["r15", "r14", "r13", "r12", "r11", "r10", "r9", "r8", "rbp", "rdi", "rsi", "rdx", "rcx", "rbx", "rax"];
const PAGE_FAULT: u64 = 14;
const PRESENT: u64 = 1;
const WRITE: u64 = 2;
const FETCH: u64 = 16;

/// The rule that a page fault at `va` breaks.
fn rule(va: u64, error: u64) -> &'static str {
    // SAFETY: interrupts are off. Either the run ends here, or an attempt does, and those have one processor
    // alone.
    let (_, overflow) = unsafe { thread::describe(va) };
    if overflow {
        return "stack-overflow";
    }
    if va < 0x1_0000 {
        return "null-pointer";
    }
    if error & FETCH != 0 && error & PRESENT != 0 {
        return "execute-data";
    }
    if let Some(rule) = image::fault_rule(va as usize, error & WRITE != 0) {
        return rule;
    }
    match paging::region_of(va) {
        Some(Region::Pool) => pool::fault_rule(va as usize),
        Some(Region::Guarded) => "read-past-end",
        Some(Region::Io) => "mmio-not-mapped",
        Some(Region::Maps | Region::Views) => pages::fault_rule(va),
        Some(Region::Stacks) => "stack-freed",
        // Physical addresses and addresses of user mode look like this; ntguest maps neither for a driver.
        _ if va < 1 << 47 => "low-address",
        _ => "page-fault",
    }
}

/// Ends the run, or the attempt of a self-test.
fn end(frame: &mut Frame, rule: &'static str, detail: core::fmt::Arguments<'_>) {
    match resume::point(frame.rsp) {
        Some(point) => {
            super::violation(rule, detail);
            resume::divert(frame, point);
        }
        None => super::fatal(rule, detail),
    }
}

/// Reports and ends the run.
pub fn exception(frame: &mut Frame) {
    let cr2 = cpu::read_cr2();
    let level = irql::current();
    // SAFETY: interrupts are off. Either the run ends here, or an attempt does, and those have one processor
    // alone.
    let (name, _) = unsafe { thread::describe(cr2) };
    let number = frame.vector as usize & 31;
    let rip = frame.rip as usize;
    let mut line = 0;
    while let Some(pair) = REGISTERS.get(line..(line + 5).min(REGISTERS.len())).filter(|p| !p.is_empty()) {
        log::line("ntguest: info ", format_args!("registers {}", Registers(pair, &frame.registers[line..])));
        line += 5;
    }
    log::line(
        "ntguest: info ",
        format_args!("rsp={:#x} rflags={:#x} error={:#x} cr2={cr2:#x}", frame.rsp, frame.rflags, frame.error),
    );
    backtrace(frame);
    if frame.vector == PAGE_FAULT {
        let what = if frame.error & FETCH != 0 {
            "executes"
        } else if frame.error & WRITE != 0 {
            "writes"
        } else {
            "reads"
        };
        let rule = rule(cr2, frame.error);
        return end(
            frame,
            rule,
            format_args!(
                "{} {what} {cr2:#x} at IRQL {level} in thread {name}, last call {}",
                image::describe(rip),
                super::caller()
            ),
        );
    }
    let error = frame.error;
    end(
        frame,
        NAMES[number],
        format_args!(
            "{} at IRQL {level} in thread {name}, error {error:#x}, last call {}",
            image::describe(rip),
            super::caller()
        ),
    );
}

struct Registers<'a>(&'a [&'static str], &'a [u64]);
impl core::fmt::Display for Registers<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.0.iter().zip(self.1).try_for_each(|(name, value)| write!(f, "{name}={value:#x} "))
    }
}

/// Words on the stack that point into the driver: not an unwinder, but it shows the way.
fn backtrace(frame: &Frame) {
    let mut found = 0;
    for at in (frame.rsp & !7..).step_by(8).take(256) {
        if paging::region_of(at) != Some(Region::Stacks) || paging::physical(at).is_none() {
            break;
        }
        // SAFETY: the page is mapped.
        let word = unsafe { (at as *const usize).read_volatile() };
        if image::image_contains(word) && found < 12 {
            log::line("ntguest: info ", format_args!("stack {at:#x}: {}", image::describe(word)));
            found += 1;
        }
    }
}
