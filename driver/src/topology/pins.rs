//! The numbers of the topology filter's pins and nodes.

use crate::hw::Direction;

/// The volume's node.
pub const NODE_VOLUME: u32 = 0;
/// The mute's node.
pub const NODE_MUTE: u32 = 1;

/// The pin that is connected to the wave filter. Sound enters a filter at pin 0 and leaves it at pin 1.
pub const fn wave_pin(direction: Direction) -> u32 {
    match direction {
        Direction::Render => 0,
        Direction::Capture => 1,
    }
}

/// The pin that is the jack.
pub const fn jack_pin(direction: Direction) -> u32 {
    1 - wave_pin(direction)
}
