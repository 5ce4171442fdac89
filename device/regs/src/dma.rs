//! The scatter-gather table in guest memory. DATASHEET 6.

/// One slot of the table: 16 bytes, little-endian.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slot {
    /// Guest physical address: of the data, or of the next slot ([`SLOT_LINK`]). A slot's own address is a
    /// multiple of 16; data may start anywhere.
    pub address: u64,
    /// Length of the data in bytes, not 0; a link has 0.
    pub length: u32,
    /// `SLOT_*` bits; the others are 0.
    pub flags: u32,
}
const _: () = assert!(size_of::<Slot>() == SLOT_BYTES as usize);

/// Size of a slot in bytes; also the alignment of a slot's address.
pub const SLOT_BYTES: u32 = 16;
/// [`Slot::flags`]: the table goes on at [`Slot::address`]. A link does not count as an entry, and a data
/// entry follows it.
pub const SLOT_LINK: u32 = 1 << 0;
/// Value of [`crate::global::SG_ENTRIES_MAX`].
pub const ENTRIES_MAX: u32 = 4096;

impl Slot {
    /// A data entry.
    pub const fn data(address: u64, length: u32) -> Self {
        Self { address, length, flags: 0 }
    }

    /// A link to the slot at `address`.
    pub const fn link(address: u64) -> Self {
        Self { address, length: 0, flags: SLOT_LINK }
    }

    /// The slot as it lies in memory.
    pub const fn to_bytes(self) -> [u8; SLOT_BYTES as usize] {
        let value = self.address as u128 | (self.length as u128) << 64 | (self.flags as u128) << 96;
        value.to_le_bytes()
    }

    /// The slot that lies in memory as `bytes`.
    #[allow(
        clippy::cast_possible_truncation,
        reason = "the three fields are cut out of the 128 bits on purpose"
    )]
    pub const fn from_bytes(bytes: [u8; SLOT_BYTES as usize]) -> Self {
        let value = u128::from_le_bytes(bytes);
        Self { address: value as u64, length: (value >> 64) as u32, flags: (value >> 96) as u32 }
    }
}
