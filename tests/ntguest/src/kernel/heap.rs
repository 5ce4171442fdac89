//! ntguest's own heap: power-of-two classes over one arena, apart from everything the driver gets.

use core::alloc::{GlobalAlloc, Layout};
use core::ptr::null_mut;

use super::sync::IrqLock;

/// Smallest block: 16 bytes.
const MIN_SHIFT: u32 = 4;
const CLASSES: usize = 28;

struct Classes {
    free: [*mut u8; CLASSES],
    next: usize,
    end: usize,
}

static HEAP: IrqLock<Classes> = IrqLock::new(Classes { free: [null_mut(); CLASSES], next: 0, end: 0 });

/// Gives the heap its arena. Once, before the first allocation.
pub fn init(base: usize, bytes: usize) {
    let mut heap = HEAP.lock();
    heap.next = base;
    heap.end = base + bytes;
}

struct Heap;

#[global_allocator]
static GLOBAL: Heap = Heap;

/// The class of a layout: blocks are aligned to their size, up to a page.
fn class(layout: Layout) -> usize {
    let bytes = layout.size().max(layout.align()).max(1 << MIN_SHIFT).next_power_of_two();
    (bytes.trailing_zeros() - MIN_SHIFT) as usize
}

// SAFETY: blocks come from an arena nobody else uses; a block is in a free list or out, never both; a
// block of 2^n bytes is aligned to min(2^n, 4096), and larger alignments are refused.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let class = class(layout);
        if class >= CLASSES || layout.align() > 4096 {
            return null_mut();
        }
        let mut heap = HEAP.lock();
        let block = heap.free[class];
        if !block.is_null() {
            // SAFETY: the first word of a free block holds the next free block.
            heap.free[class] = unsafe { *block.cast::<*mut u8>() };
            return block;
        }
        let bytes = 1usize << (class as u32 + MIN_SHIFT);
        let start = heap.next.next_multiple_of(bytes.min(4096));
        match start.checked_add(bytes) {
            Some(end) if end <= heap.end => {
                heap.next = end;
                start as *mut u8
            }
            _ => null_mut(),
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let class = class(layout);
        let mut heap = HEAP.lock();
        // SAFETY: the block is at least 16 bytes and its owner gave it up.
        unsafe { *block.cast::<*mut u8>() = heap.free[class] };
        heap.free[class] = block;
    }
}
