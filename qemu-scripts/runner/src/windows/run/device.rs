//! What is asked of the card's device before the program runs, in the stage `device`: WINDOWS.md, 7.

use std::fmt;

use crate::error::Error;
use crate::windows::machine::GuestCard;

/// Minutes of the stage for anything.
const MINUTES: u32 = 5;
/// Minutes of a cycle: behind each of three steps sound is waited for, 2 minutes at most.
const CYCLE_MINUTES: u32 = 10;
/// Minutes in which low-resources simulation fails nothing yet. Two pages of Microsoft's have two defaults, 7 and 8.
const DELAY_MINUTES: u32 = 7;

/// What Driver Verifier does to our driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Verifier {
    /// The standard rules, and those for audio drivers
    Standard,
    /// Allocations of the driver fail, 6 of 100
    LowResources,
}

impl Verifier {
    /// Its name on the command line and in `settings.cmd`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::LowResources => "low-resources",
        }
    }
}

/// What is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeviceSteps {
    /// So many times: disable, enable, restart, reinstall.
    pub cycles: Option<u32>,
    /// Driver Verifier is active.
    pub verifier: Option<Verifier>,
}

impl DeviceSteps {
    /// Whether there is anything.
    pub fn is_any(self) -> bool {
        self != Self::default()
    }

    /// Whether allocations fail on purpose.
    pub fn has_low_resources(self) -> bool {
        self.verifier == Some(Verifier::LowResources)
    }

    /// What is wrong with it, before anything is started.
    ///
    /// # Errors
    /// [`Error::BadInput`] with the next step.
    pub fn check(self, card: GuestCard) -> Result<(), Error> {
        let bad = |text: &str| Err(Error::BadInput(text.into()));
        if self.verifier.is_some() && card == GuestCard::Hda {
            return bad(
                "--verifier --card hda: its driver is Windows' own, and Driver Verifier is for ringwave.sys; take another card",
            );
        }
        if self.has_low_resources() && self.cycles.is_some() {
            return bad(
                "--verifier=low-resources --cycles: allocations fail on purpose, and so would a start; take --verifier=standard",
            );
        }
        Ok(())
    }

    /// How many minutes it may take.
    pub fn minutes(self) -> u32 {
        let delay = if self.has_low_resources() { DELAY_MINUTES + 3 } else { 0 };
        self.cycles.unwrap_or(0).saturating_mul(CYCLE_MINUTES).saturating_add(delay).saturating_add(MINUTES)
    }

    /// The lines of `settings.cmd`, name and value. Without KVM Windows takes longer until it is there.
    pub(super) fn settings(self, slower: u32) -> [(&'static str, String); 3] {
        let delay =
            if self.has_low_resources() { (DELAY_MINUTES * slower).to_string() } else { String::new() };
        [
            ("CYCLES", self.cycles.map_or(String::new(), |count| count.to_string())),
            ("VERIFIER", self.verifier.map_or("", Verifier::name).to_owned()),
            ("VERIFIER_DELAY", delay),
        ]
    }
}

/// As it was done, for a person.
impl fmt::Display for DeviceSteps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.verifier {
            Some(Verifier::Standard) => {
                f.write_str("Driver Verifier active: standard, with audio's rules")?;
            }
            Some(Verifier::LowResources) => {
                f.write_str("Driver Verifier active: low resources (logs/verifier-after.txt has how many allocations failed)")?;
            }
            None => {}
        }
        let Some(count) = self.cycles else { return Ok(()) };
        let comma = if self.verifier.is_some() { "; " } else { "" };
        write!(f, "{comma}disabled, enabled, restarted and reinstalled, {count} times")
    }
}
