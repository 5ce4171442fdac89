//! What is asked of the card's device before the program runs, in the stage `device`: WINDOWS.md, 7.

use std::fmt;

use crate::error::Error;
use crate::windows::machine::GuestCard;

/// Minutes of the stage for anything.
const MINUTES: u32 = 5;
/// Minutes of a cycle: behind each of three steps sound is waited for, 2 minutes at most.
const CYCLE_MINUTES: u32 = 10;
/// Minutes of the device's sleep.
const SUSPEND_MINUTES: u32 = 5;
/// Minutes in which low-resources simulation fails nothing yet. Two pages of Microsoft's have two defaults, 7
/// and 8.
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
    /// The device goes to D3 and back.
    pub suspend: bool,
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
        if self.has_low_resources() && (self.cycles.is_some() || self.suspend) {
            return bad(
                "--verifier=low-resources with --cycles or --suspend: allocations fail on purpose, and so would a start; take --verifier=standard",
            );
        }
        Ok(())
    }

    /// How many minutes it may take.
    pub fn minutes(self) -> u32 {
        let delay = if self.has_low_resources() { DELAY_MINUTES + 3 } else { 0 };
        let suspend = if self.suspend { SUSPEND_MINUTES } else { 0 };
        self.cycles.unwrap_or(0).saturating_mul(CYCLE_MINUTES).saturating_add(delay + suspend + MINUTES)
    }

    /// The lines of `settings.cmd`, name and value. Without KVM Windows takes longer until it is there.
    pub(super) fn settings(self, slower: u32) -> [(&'static str, String); 4] {
        let delay =
            if self.has_low_resources() { (DELAY_MINUTES * slower).to_string() } else { String::new() };
        [
            ("CYCLES", self.cycles.map_or(String::new(), |count| count.to_string())),
            ("VERIFIER", self.verifier.map_or("", Verifier::name).to_owned()),
            ("VERIFIER_DELAY", delay),
            ("SUSPEND", if self.suspend { "yes" } else { "" }.to_owned()),
        ]
    }
}

/// As it was done, for a person.
impl fmt::Display for DeviceSteps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verifier = self.verifier.map(|verifier| match verifier {
            Verifier::Standard => "Driver Verifier active: standard, with audio's rules".to_owned(),
            Verifier::LowResources => {
                "Driver Verifier active: low resources (logs/verifier-after.txt has how many allocations failed)".into()
            }
        });
        let suspend = self.suspend.then(|| "asleep (D3) and woken".to_owned());
        let cycles =
            self.cycles.map(|count| format!("disabled, enabled, restarted and reinstalled, {count} times"));
        let all: Vec<String> = [verifier, suspend, cycles].into_iter().flatten().collect();
        f.write_str(&all.join("; "))
    }
}
