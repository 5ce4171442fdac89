//! 64-bit integers and addresses, which C spells as a union, as plain numbers.
use super::LARGE_INTEGER;

/// What [`LARGE_INTEGER`] and PHYSICAL_ADDRESS are made of.
pub trait LargeInteger {
    /// From a plain number.
    fn from_i64(value: i64) -> Self;
    /// From an address.
    fn from_u64(value: u64) -> Self;
    /// The plain number.
    fn as_i64(&self) -> i64;
    /// The number as an address.
    fn as_u64(&self) -> u64;
}

impl LargeInteger for LARGE_INTEGER {
    fn from_i64(value: i64) -> Self {
        Self { QuadPart: value }
    }
    fn from_u64(value: u64) -> Self {
        Self { QuadPart: value.cast_signed() }
    }
    fn as_i64(&self) -> i64 {
        // SAFETY: the union's members overlap exactly, and every bit pattern is a number.
        unsafe { self.QuadPart }
    }
    fn as_u64(&self) -> u64 {
        self.as_i64().cast_unsigned()
    }
}
