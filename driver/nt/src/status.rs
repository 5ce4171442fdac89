//! NTSTATUS values and the way from a status to a [`Result`].
//!
//! The values are those of `ntstatus.h`; the list is what the driver and its callers need, not more.
use crate::sys::NTSTATUS;

/// What a kernel routine of ours answers: the error is always a failing status (top bit set).
pub type NtResult<T = ()> = Result<T, NTSTATUS>;

/// `NT_SUCCESS`: success and informational statuses are not negative.
pub const fn nt_success(status: NTSTATUS) -> bool {
    status >= 0
}

/// Turns a status into a result. `STATUS_PENDING` and other informational statuses count as success.
pub const fn check(status: NTSTATUS) -> NtResult {
    if nt_success(status) { Ok(()) } else { Err(status) }
}

macro_rules! statuses {
    ($($(#[$doc:meta])* $name:ident = $value:literal;)*) => {
        $($(#[$doc])* pub const $name: NTSTATUS = ($value as u32).cast_signed();)*
    };
}

statuses! {
    /// Done.
    STATUS_SUCCESS = 0x0000_0000;
    /// A wait ended because its time was up. A success status.
    STATUS_TIMEOUT = 0x0000_0102;
    /// The request goes on elsewhere. A success status.
    STATUS_PENDING = 0x0000_0103;
    /// A buffer was too small for the variable part (a warning: `nt_success` is false).
    STATUS_BUFFER_OVERFLOW = 0x8000_0005;
    /// No better word.
    STATUS_UNSUCCESSFUL = 0xC000_0001;
    /// The method is not there; PortCls may do its own default.
    STATUS_NOT_IMPLEMENTED = 0xC000_0002;
    /// A parameter is out of its range.
    STATUS_INVALID_PARAMETER = 0xC000_000D;
    /// The device does not know the request (for example an unknown property verb).
    STATUS_INVALID_DEVICE_REQUEST = 0xC000_0010;
    /// The buffer does not even hold the fixed part.
    STATUS_BUFFER_TOO_SMALL = 0xC000_0023;
    /// A registry value or another named object does not exist.
    STATUS_OBJECT_NAME_NOT_FOUND = 0xC000_0034;
    /// There is one of that name already.
    STATUS_OBJECT_NAME_COLLISION = 0xC000_0035;
    /// `SetWritePacket`: the packet does not fit in the ring yet.
    STATUS_DATA_OVERRUN = 0xC000_003C;
    /// `SetWritePacket`: the packet was or is being transferred already.
    STATUS_DATA_LATE_ERROR = 0xC000_003D;
    /// An allocation failed.
    STATUS_INSUFFICIENT_RESOURCES = 0xC000_009A;
    /// Nothing to hand out yet, or the device is not in a state to answer.
    STATUS_DEVICE_NOT_READY = 0xC000_00A3;
    /// The request is legal but not offered here.
    STATUS_NOT_SUPPORTED = 0xC000_00BB;
    /// The caller did something that is not allowed in this order.
    STATUS_INVALID_DEVICE_STATE = 0xC000_0184;
    /// The resources of the device are not what the driver needs.
    STATUS_DEVICE_CONFIGURATION_ERROR = 0xC000_0182;
    /// The device answered something it must not.
    STATUS_DEVICE_PROTOCOL_ERROR = 0xC000_0186;
    /// The device did not answer in time.
    STATUS_IO_TIMEOUT = 0xC000_00B5;
    /// The device was removed.
    STATUS_DEVICE_REMOVED = 0xC000_02B6;
    /// The hardware reported an error.
    STATUS_DEVICE_HARDWARE_ERROR = 0xC000_0483;
    /// Driver and device speak different major versions.
    STATUS_REVISION_MISMATCH = 0xC000_0059;
    /// No such thing (an event that was never registered, for example).
    STATUS_NOT_FOUND = 0xC000_0225;
    /// The format is not one of ours.
    STATUS_NO_MATCH = 0xC000_0272;
    /// `QueryInterface`: the object has no such interface.
    STATUS_NOINTERFACE = 0xC000_02B9;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn success_is_the_sign_bit() {
        assert!(nt_success(STATUS_SUCCESS) && nt_success(STATUS_PENDING) && nt_success(STATUS_TIMEOUT));
        assert!(!nt_success(STATUS_BUFFER_OVERFLOW), "a warning is not a success");
        assert_eq!(check(STATUS_NO_MATCH), Err(0xC000_0272_u32.cast_signed()));
        assert_eq!(check(STATUS_PENDING), Ok(()));
    }
}
