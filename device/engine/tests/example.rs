//! The example card plays, by both of its threads.

#[allow(dead_code, reason = "its main plays for the user")]
#[path = "../examples/ramp_card.rs"]
mod ramp_card;

use std::time::Duration;

#[test]
fn the_example_card_plays_every_frame_in_its_place() {
    let played = ramp_card::play(Duration::from_millis(100));
    // At least the packets that a busy machine cannot have missed: one is fetched at the start, whole.
    assert!(played >= 480 && played.is_multiple_of(480), "{played}");
}
