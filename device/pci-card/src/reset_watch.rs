//! Whether a card that was reset under a guest is set up again.
//!
//! A machine that restarts resets its functions, and its firmware then gives them addresses. A machine into
//! which a snapshot is loaded resets them too (QEMU 11.1: `loadvm`, `DEVICE_RESET`), but what is loaded goes
//! on as if nothing was: the card has lost its addresses and its registers, QEMU does not restore them, and
//! no access of the guest arrives any more. Nothing tells the two apart but what comes after.

use std::time::Duration;

use ringwave_pci::config::ConfigWrite;

/// Longer than firmware takes from a reset to a function's addresses.
const PATIENCE: Duration = Duration::from_secs(10);
/// What is known of the present client.
#[derive(Clone, Copy, Debug, Default)]
pub struct ResetWatch {
    /// Somebody uses the card: its memory space was enabled since the last reset.
    used: bool,
    /// It was reset in use then, nanoseconds of real time, and was not set up since.
    since: Option<u64>,
    /// It is in the log. Once for each client: one that does it again and again is not to fill the log.
    reported: bool,
}

impl ResetWatch {
    /// `DEVICE_RESET`.
    pub fn reset(&mut self, now: u64) {
        if std::mem::take(&mut self.used) && !self.reported {
            self.since = Some(now);
        }
    }

    /// Configuration space was written. Zeros in the BARs are QEMU's own, right after the reset.
    pub fn config_written(&mut self, write: &ConfigWrite) {
        let enables = write.settings.is_some_and(|settings| settings.memory_space);
        self.used |= enables;
        if enables || write.addressed {
            self.since = None;
        }
    }

    /// How long until it has to be looked again.
    pub fn left(&self, now: u64) -> Option<Duration> {
        let since = self.since?;
        Some(PATIENCE.saturating_sub(Duration::from_nanos(now.saturating_sub(since))))
    }

    /// Whether it has to be in the log now.
    pub fn take_overdue(&mut self, now: u64) -> bool {
        let overdue = self.left(now).is_some_and(|left| left.is_zero());
        if overdue {
            self.since = None;
            self.reported = true;
        }
        overdue
    }
}

/// Puts it into the log.
pub fn report() {
    log::warn!(
        "the card was reset while the guest used it, and for {} s nobody has set it up again; if a snapshot was loaded, the guest \
         goes on without a card: unplug it (device_del) and plug it in again (device_add)",
        PATIENCE.as_secs()
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringwave_pci::config::Settings;

    const SECOND: u64 = 1_000_000_000;

    /// A write that sets Memory Space Enable to this.
    fn memory_space(on: bool) -> ConfigWrite {
        let settings = Settings { memory_space: on, ..Settings::default() };
        ConfigWrite { settings: Some(settings), ..ConfigWrite::default() }
    }

    fn used() -> ResetWatch {
        let mut watch = ResetWatch::default();
        watch.config_written(&memory_space(true));
        watch
    }

    #[test]
    fn loaded_snapshot_is_reported_once() {
        let mut watch = used();
        // As QEMU 11.1 does it (seen with loadvm).
        watch.config_written(&memory_space(false));
        watch.reset(5 * SECOND);
        watch.config_written(&ConfigWrite::default());
        assert_eq!(watch.left(6 * SECOND), Some(Duration::from_secs(9)));
        assert!(!watch.take_overdue(14 * SECOND));
        assert!(watch.take_overdue(15 * SECOND) && !watch.take_overdue(16 * SECOND));
        watch.config_written(&memory_space(true));
        watch.reset(20 * SECOND);
        assert_eq!(watch.left(21 * SECOND), None, "once for a client");
    }

    #[test]
    fn machine_that_starts_or_restarts_is_not() {
        let mut fresh = ResetWatch::default();
        fresh.reset(SECOND);
        assert_eq!(fresh.left(SECOND), None, "nobody used it");
        let addressed = ConfigWrite { addressed: true, ..ConfigWrite::default() };
        for write in [addressed, memory_space(true)] {
            let mut watch = used();
            watch.reset(SECOND);
            watch.config_written(&write);
            assert!(!watch.take_overdue(100 * SECOND), "{write:?}");
        }
    }
}
