//! The NTSTATUS values that cross between PortCls and a WaveRT driver (WAVERT.md 0).

use core::fmt;

/// A status as the ABI carries it; negative means failure.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Status(pub i32);

macro_rules! statuses {
    ($($name:ident = $value:literal;)*) => {
        impl Status {
            $(#[doc = concat!("`STATUS_", stringify!($name), "`")]
            pub const $name: Self = Self(u32::cast_signed($value));)*
        }
        const NAMES: &[(Status, &str)] = &[$((Status::$name, stringify!($name))),*];
    };
}

statuses! {
    SUCCESS = 0;
    PENDING = 0x103;
    OBJECT_NAME_EXISTS = 0x4000_0000;
    BUFFER_OVERFLOW = 0x8000_0005;
    NO_MORE_ENTRIES = 0x8000_001A;
    UNSUCCESSFUL = 0xC000_0001;
    NOT_IMPLEMENTED = 0xC000_0002;
    INVALID_PARAMETER = 0xC000_000D;
    INVALID_DEVICE_REQUEST = 0xC000_0010;
    BUFFER_TOO_SMALL = 0xC000_0023;
    OBJECT_NAME_NOT_FOUND = 0xC000_0034;
    OBJECT_NAME_COLLISION = 0xC000_0035;
    DATA_OVERRUN = 0xC000_003C;
    DATA_LATE_ERROR = 0xC000_003D;
    ALLOTTED_SPACE_EXCEEDED = 0xC000_0099;
    INSUFFICIENT_RESOURCES = 0xC000_009A;
    DEVICE_NOT_READY = 0xC000_00A3;
    NOT_SUPPORTED = 0xC000_00BB;
    DEVICE_CONFIGURATION_ERROR = 0xC000_0182;
    INVALID_DEVICE_STATE = 0xC000_0184;
    NOT_FOUND = 0xC000_0225;
    NO_MATCH = 0xC000_0272;
    NOINTERFACE = 0xC000_02B9;
}

impl Status {
    /// What `NT_SUCCESS` says: success and information, not warnings and errors.
    pub const fn is_success(self) -> bool {
        self.0 >= 0
    }
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.iter().find(|(status, _)| status == self) {
            Some((_, name)) => f.write_str(name),
            None => write!(f, "{:#010x}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn errors_and_warnings_are_not_success() {
        assert!(Status::SUCCESS.is_success() && Status::PENDING.is_success());
        assert!(!Status::BUFFER_OVERFLOW.is_success() && !Status::NO_MATCH.is_success());
    }

    #[test]
    fn messages_carry_the_name() {
        assert_eq!(Status::DATA_LATE_ERROR.to_string(), "DATA_LATE_ERROR");
        assert_eq!(Status(u32::cast_signed(0xC000_0098)).to_string(), "0xc0000098");
    }
}
