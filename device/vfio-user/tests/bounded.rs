//! What a client says it will send, wants, or counts is not what is allocated: the most memory that is held
//! at a time, measured.
#![allow(clippy::unwrap_used, reason = "these are tests")]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use common::*;
use ringwave_vfio_user::Step;
use ringwave_vfio_user::wire::{command, irq_set_flags as set};

/// Counts what is allocated.
struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is passed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        MOST.fetch_max(now, Ordering::Relaxed);
        // SAFETY: the caller's contract is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's contract is the same.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The most bytes that `call` held beyond what there was.
fn held(call: impl FnOnce()) -> usize {
    let before = NOW.load(Ordering::Relaxed);
    MOST.store(before, Ordering::Relaxed);
    call();
    MOST.load(Ordering::Relaxed).saturating_sub(before)
}

// One test, so that nobody else allocates meanwhile.
#[test]
fn words_of_a_client_cost_nothing() {
    let mut board = Board::new();
    let mut session = open_session(&mut board);
    let access = |region, count| [0_u64.to_ne_bytes().to_vec(), words(&[region, count])].concat();
    let refused = [
        ("4 GiB to be read", message(command::REGION_READ, &access(5, u32::MAX))),
        ("a little too much", message(command::REGION_READ, &access(5, (1 << 20) + 1))),
        ("1 MiB of a small region", message(command::REGION_READ, &access(0, 1 << 20))),
        ("4 GiB written", message(command::REGION_WRITE, &access(5, u32::MAX))),
        ("2^64 writes", message(command::REGION_WRITE_MULTI, &[0xFF; 32])),
        (
            "2^32 interrupts",
            message(
                command::DEVICE_SET_IRQS,
                &words(&[20, set::DATA_BOOL | set::ACTION_TRIGGER, 1, 0, u32::MAX]),
            ),
        ),
        (
            "argsz of 4 GiB",
            message(command::DEVICE_GET_REGION_INFO, &words(&[u32::MAX, 0, 1, 0, 0, 0, 0, 0])),
        ),
        ("list of 4 GiB", message(command::DEVICE_GET_REGION_IO_FDS, &words(&[u32::MAX, 0, 1, 0]))),
        ("feature of 4 GiB", message(command::DEVICE_FEATURE, &words(&[u32::MAX, 1 << 16 | 1]))),
    ];
    // Logging, and what the first of everything costs.
    for (_, message) in &refused {
        exchange(&mut session, &mut board, message, Vec::new());
    }
    for (what, message) in &refused {
        let most = held(|| drop(exchange(&mut session, &mut board, message, Vec::new())));
        assert!(most < 8 << 10, "{what}: {most}");
    }

    // A message of 1 MiB is announced, and does not come.
    let mut header = message(command::REGION_WRITE, &[]);
    header[4..8].copy_from_slice(&((1_u32 << 20) + 32).to_ne_bytes());
    let most = held(|| {
        let step = session.receive(&mut board, &mut &header[..], Vec::new(), false);
        assert!(matches!(step, Step::Continue));
        assert_eq!(session.wanted(), (1 << 20) + 16);
    });
    assert!(most < 8 << 10, "announced: {most}");
    // It comes after all, and is not kept.
    let before = NOW.load(Ordering::Relaxed);
    let payload = vec![0; session.wanted()];
    let most = held(|| {
        exchange(&mut session, &mut board, &payload, Vec::new());
    });
    assert!(most < 3 << 20, "the message, as it grows: {most}");
    drop(payload);
    assert!(NOW.load(Ordering::Relaxed).saturating_sub(before) < 128 << 10, "and is given back");
}
