//! From the firmware to our own machine: reads the files, leaves boot services, switches to our own page
//! tables, and never comes back.

#[cfg(target_os = "uefi")]
pub mod files;
#[cfg(target_os = "uefi")]
mod uefi;

#[cfg(target_os = "uefi")]
mod start {
    use core::arch::asm;
    use core::ffi::c_void;

    use super::{files, uefi};
    use crate::kernel::page_map::{PAGE, PageMap};
    use crate::kernel::paging::bits;
    use crate::kernel::{self, cfg, cpu, heap, log, paging, phys, processor, sleep};

    /// ntguest's own heap.
    const HEAP: u64 = 32 << 20;
    /// Stack until the first thread runs.
    const BOOT_STACK: u64 = 64 << 10;
    const FOUR_GIB: u64 = 1 << 32;

    #[unsafe(no_mangle)]
    extern "efiapi" fn efi_main(image: *mut c_void, table: *const uefi::SystemTable) -> usize {
        // SAFETY: the firmware calls the entry point with its own table, valid until boot services end.
        let firmware = unsafe { uefi::Firmware::new(image, table) };
        let heap_base = firmware
            .allocate(HEAP)
            .unwrap_or_else(|| kernel::bad_input(format_args!("no memory for the heap")));
        heap::init(heap_base as usize, HEAP as usize);
        files::read_all(&firmware);
        let stack = firmware
            .allocate(BOOT_STACK)
            .unwrap_or_else(|| kernel::bad_input(format_args!("no memory for the stack")));
        let top = firmware.top_of_ram().next_multiple_of(2 << 20);
        let map_bytes = (top / PAGE).next_multiple_of(PAGE);
        let map = firmware
            .allocate(map_bytes)
            .unwrap_or_else(|| kernel::bad_input(format_args!("no memory for the page map")));
        // SAFETY: just allocated, and nobody else knows of it.
        let owners = unsafe { core::slice::from_raw_parts_mut(map as *mut u8, (top / PAGE) as usize) };
        let seed = cfg::get_u64("seed", 1);
        // For further processors, and for the first one when the machine has slept.
        let low = firmware.allocate_below(1 << 20, processor::LOW_PAGES * PAGE).unwrap_or(0);
        processor::keep_low_pages(low);
        sleep::keep_root(firmware.acpi_root().unwrap_or(0));
        let memory = firmware.leave();
        cpu::interrupts_off();

        // Still on the firmware's tables: they and its stack are in boot services memory, so only what was
        // free before is used.
        let mut pages = PageMap::new(owners, seed);
        memory.free_now().for_each(|(start, end)| pages.add_free(start.max(1 << 20), end));
        phys::init(pages);
        paging::build(top);
        for (start, end) in memory.ours() {
            for pa in (start..end).step_by(PAGE as usize) {
                paging::map(pa, pa, bits::PRESENT | bits::WRITE);
            }
        }
        enable_protections();
        files::remember_memory(memory, seed);
        let root = paging::root();
        // SAFETY: the new tables map this code (loader memory), the heap and the new stack at the addresses
        // they have now. Nothing on the old stack is used again.
        unsafe {
            asm!("mov cr3, {root}", "lea rsp, [{stack} - 32]", "call {next}", "ud2",
                 root = in(reg) root, stack = in(reg) stack + BOOT_STACK, next = sym on_our_own, options(noreturn));
        }
    }

    /// NX, and write protection in ring 0 too; no AVX, so that a driver that uses it is caught.
    fn enable_protections() {
        const EFER: u32 = 0xc000_0080;
        cpu::wrmsr(EFER, cpu::rdmsr(EFER) | 1 << 11);
        // SAFETY: sets WP and NE, clears TS, EM and OSXSAVE, sets OSFXSR: what the rest of ntguest expects.
        unsafe {
            asm!("mov {t}, cr0", "or {t}, 0x10022", "and {t}, -13", "mov cr0, {t}",
                 "mov {t}, cr4", "or {t}, 0x600", "btr {t}, 18", "mov cr4, {t}", t = out(reg) _, options(nostack));
        }
    }

    extern "win64" fn on_our_own() -> ! {
        // SAFETY: CR3 was just loaded.
        unsafe { paging::activated() };
        let (memory, seed) = files::take_memory();
        memory.free_later().for_each(|(start, end)| phys::add_free(start.max(1 << 20), end));
        let above = phys::free_above_4g();
        log::line("ntguest: start ", format_args!("seed={seed} ram_above_4g={above}"));
        crate::kprintln!("ram below 4 GiB: free {} KiB", (phys::free_bytes() - above) / 1024);
        debug_assert!(above == 0 || memory.top() > FOUR_GIB);
        kernel::run()
    }
}
