//! How many messages a device is granted.
//!
//! The INF asks for `MessageNumberLimit` at most ("Enabling Message-Signaled Interrupts in the Registry"),
//! the device for what its capability holds. A number that can't be had is not cut down: the device is
//! granted one message then ("Using Interrupt Resource Descriptors").

/// What is granted of a `limit` that the INF sets to a device that offers so many, when so many are `free`; 0
/// is the line.
pub fn granted(limit: u64, offered: u64, free: u64) -> u64 {
    let asked = limit.min(offered);
    if asked <= free { asked } else { free.min(1) }
}

/// The same for plain MSI, which has 1, 2, 4, 8 or 16 messages: a limit in between is the one below.
pub fn granted_of_msi(limit: u64, offered: u64, free: u64) -> u64 {
    let limit = limit.min(16);
    let below = if limit.is_power_of_two() { limit } else { limit.next_power_of_two() / 2 };
    granted(below, offered, free)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_cannot_be_had_is_one() {
        assert_eq!(granted(5, 2, 7), 2, "the device has no more");
        assert_eq!(granted(2, 5, 7), 2, "the INF wants no more");
        assert_eq!(granted(5, 5, 4), 1);
        assert_eq!(granted(2048, 2048, 7), 1);
        assert_eq!(granted(5, 5, 0), 0, "the line");
        assert_eq!(granted(0, 5, 7), 0, "the line");
    }

    #[test]
    fn plain_msi_has_powers_of_two() {
        let of_16 = |limit| granted_of_msi(limit, 16, 16);
        assert_eq!([0, 1, 2, 3, 4, 7, 8, 15, 16, 99].map(of_16), [0, 1, 2, 2, 4, 4, 8, 8, 16, 16]);
        assert_eq!(granted_of_msi(16, 8, 4), 1);
    }
}
