//! `play`: a card in reset state, the self-test, a song.

use super::{Guest, self_test};
use crate::verdict::Step;

/// The scenario.
pub fn run(guest: &Guest<'_>) -> Step {
    guest.card.expect_reset()?;
    self_test::run(guest)?;
    guest.play(guest.song(), guest.layout())
}
