//! Which endpoint is used, and what to say if there is none.

use alloc::format;
use alloc::vec::Vec;

use crate::outcome::{Cause, Failure, Suspect};

/// DEVICE_STATE_ of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It can be used.
    Active,
    /// A user has switched it off.
    Disabled,
    /// Its adapter is gone, or does not start.
    NotPresent,
    /// Its jack has no plug.
    Unplugged,
    /// None of these.
    Unknown,
}

impl State {
    /// As Windows numbers them.
    pub fn from_windows(number: u32) -> Self {
        match number {
            1 => Self::Active,
            2 => Self::Disabled,
            4 => Self::NotPresent,
            8 => Self::Unplugged,
            _ => Self::Unknown,
        }
    }

    /// As in the lines.
    pub fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Disabled => "disabled",
            Self::NotPresent => "not-present",
            Self::Unplugged => "unplugged",
            Self::Unknown => "unknown",
        }
    }
}

/// An endpoint of one direction.
#[derive(Clone, Copy)]
pub struct Candidate<'a> {
    /// Its id.
    pub id: &'a str,
    /// Whether it can be used.
    pub state: State,
    /// Whose it is, if it is ours.
    pub card: Option<&'static str>,
}

/// Takes the endpoint that was asked for, or the first active one of a card of ours. `flow`: its direction,
/// for the message.
pub fn pick(candidates: &[Candidate<'_>], flow: &str, asked: Option<&str>) -> Result<usize, Failure> {
    match asked {
        Some(id) => pick_named(candidates, flow, id),
        None => pick_ours(candidates, flow),
    }
}

fn pick_named(candidates: &[Candidate<'_>], flow: &str, id: &str) -> Result<usize, Failure> {
    let found = candidates.iter().position(|candidate| candidate.id.eq_ignore_ascii_case(id));
    match found.and_then(|at| candidates.get(at).map(|candidate| (at, candidate.state))) {
        Some((at, State::Active)) => Ok(at),
        Some((_, state)) => {
            let text = format!("the {flow} endpoint {id} is {}", state.name());
            Err(Failure::new(Cause::NoEndpoint, text).suspected(Suspect::Settings))
        }
        None => {
            let text = format!("no {flow} endpoint has the id {id}; winplay list says which there are");
            Err(Failure::new(Cause::NoEndpoint, text).suspected(Suspect::Command))
        }
    }
}

fn pick_ours(candidates: &[Candidate<'_>], flow: &str) -> Result<usize, Failure> {
    let ours = |candidate: &&Candidate<'_>| candidate.card.is_some();
    let active = |candidate: &Candidate<'_>| candidate.card.is_some() && candidate.state == State::Active;
    if let Some(at) = candidates.iter().position(active) {
        return Ok(at);
    }
    let states: Vec<State> = candidates.iter().filter(ours).map(|candidate| candidate.state).collect();
    let has = |state| states.contains(&state);
    let (text, suspect) = if has(State::Unplugged) {
        (
            format!("the card's {flow} endpoint is unplugged: ringwave control plugs its jack"),
            Suspect::Settings,
        )
    } else if has(State::Disabled) {
        (format!("the card's {flow} endpoint is disabled: Sound in the Control Panel"), Suspect::Settings)
    } else if states.is_empty() {
        let text = format!(
            "no {flow} endpoint belongs to the card: look at the device in Device Manager, and at the audio services"
        );
        (text, Suspect::Driver)
    } else {
        (format!("the card's {flow} endpoint is not present: its driver did not start"), Suspect::Driver)
    };
    Err(Failure::new(Cause::NoEndpoint, text).suspected(suspect))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate<'a>(id: &'a str, state: State, card: Option<&'static str>) -> Candidate<'a> {
        Candidate { id, state, card }
    }

    fn refused(candidates: &[Candidate<'_>], asked: Option<&str>) -> (Option<Suspect>, std::string::String) {
        let failure = pick(candidates, "render", asked).expect_err("none of them");
        assert_eq!(failure.cause, Cause::NoEndpoint);
        (failure.suspect, failure.text)
    }

    #[test]
    fn the_first_active_one_of_ours_is_taken_and_never_another() {
        let monitor = candidate("{monitor}", State::Active, None);
        let gone = candidate("{gone}", State::Unplugged, Some("ringwave"));
        let ours = candidate("{ours}", State::Active, Some("ringwave"));
        let second = candidate("{second}", State::Active, Some("hda"));
        let picked = pick(&[monitor, gone, ours, second], "render", None);
        assert_eq!(picked.expect("ours"), 2);
        let (suspect, text) = refused(&[monitor], None);
        assert_eq!(suspect, Some(Suspect::Driver));
        assert!(text.contains("belongs to the card"), "{text}");
    }

    #[test]
    fn what_is_in_the_way_is_named() {
        for (state, suspect, says) in [
            (State::Unplugged, Suspect::Settings, "jack"),
            (State::Disabled, Suspect::Settings, "disabled"),
            (State::NotPresent, Suspect::Driver, "did not start"),
        ] {
            let (suspected, text) = refused(&[candidate("{x}", state, Some("virtio"))], None);
            assert!(suspected == Some(suspect) && text.contains(says), "{text}");
        }
    }

    #[test]
    fn one_that_is_named_is_taken_whoever_it_belongs_to() {
        let all = [candidate("{A}", State::Active, None), candidate("{b}", State::Disabled, Some("hda"))];
        assert_eq!(pick(&all, "render", Some("{a}")).expect("it is there"), 0);
        assert_eq!(refused(&all, Some("{B}")).0, Some(Suspect::Settings));
        assert_eq!(refused(&all, Some("{c}")).0, Some(Suspect::Command));
    }

    #[test]
    fn states_have_windows_numbers() {
        let names = [1, 2, 4, 8, 16].map(|number| State::from_windows(number).name());
        assert_eq!(names, ["active", "disabled", "not-present", "unplugged", "unknown"]);
    }
}
