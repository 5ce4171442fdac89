//! What is asked of the card's device before the program runs, in the stage `device`: WINDOWS.md, 7.

use std::fmt;

/// Minutes of the stage for anything.
const MINUTES: u32 = 5;
/// Minutes of a cycle: behind each of three steps sound is waited for, 2 minutes at most.
const CYCLE_MINUTES: u32 = 10;

/// What is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeviceSteps {
    /// So many times: disable, enable, restart, reinstall.
    pub cycles: Option<u32>,
}

impl DeviceSteps {
    /// Whether there is anything.
    pub fn is_any(self) -> bool {
        self != Self::default()
    }

    /// How many minutes it may take.
    pub fn minutes(self) -> u32 {
        self.cycles.unwrap_or(0).saturating_mul(CYCLE_MINUTES).saturating_add(MINUTES)
    }

    /// The lines of `settings.cmd`, name and value.
    pub(super) fn settings(self) -> [(&'static str, String); 1] {
        [("CYCLES", self.cycles.map_or(String::new(), |count| count.to_string()))]
    }
}

/// As it was done, for a person.
impl fmt::Display for DeviceSteps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.cycles {
            Some(count) => write!(f, "disabled, enabled, restarted and reinstalled, {count} times"),
            None => f.write_str("nothing"),
        }
    }
}
