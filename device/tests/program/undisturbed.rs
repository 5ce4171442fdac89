//! What a test does anew when this machine gave it, or the card, no processor for longer than it can bear.

const ATTEMPTS: u32 = 8;

/// What the first attempt gives that was not disturbed; one that was gives `None`.
#[track_caller]
pub fn undisturbed<T>(mut attempt: impl FnMut() -> Option<T>) -> T {
    (0..ATTEMPTS).find_map(|_| attempt()).unwrap_or_else(|| panic!("disturbed {ATTEMPTS} times"))
}
