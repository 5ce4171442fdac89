//! The Ringwave sound card's datasheet in code.
//!
//! Every register offset, bit, descriptor and page layout is written down here and nowhere else; the device,
//! the driver, the guest tools and the tests all use this crate. `device/DATASHEET.md` says the same in
//! prose, section by section, and `tests/datasheet.rs` holds the two together. Everything is little-endian.
#![no_std]

pub mod dma;
pub mod error;
pub mod format;
pub mod global;
pub mod pages;
pub mod pci;
pub mod stream;

/// One named place in a register block or a page, for tests, traces and tools that print names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named {
    /// The name as the DATASHEET spells it.
    pub name: &'static str,
    /// Offset in bytes from the start of its block.
    pub offset: u32,
    /// Width in bytes: 4 or 8.
    pub bytes: u32,
}

/// Declares named offsets once: a constant for each, and the table of all of them.
macro_rules! offsets {
    ($(#[$table_doc:meta])* $table:ident { $($(#[$doc:meta])* $name:ident = $offset:literal : $bytes:literal;)* }) => {
        $($(#[$doc])* pub const $name: u32 = $offset;)*
        $(#[$table_doc])*
        pub const $table: &[crate::Named] = &[
            $(crate::Named { name: stringify!($name), offset: $offset, bytes: $bytes },)*
        ];
        const _: () = {
            $(assert!($offset % $bytes == 0, "an offset must be a multiple of its width");)*
        };
    };
}
pub(crate) use offsets;
