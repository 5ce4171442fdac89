//! The stream that most tests play.

use super::{RAM, SECOND, TestCard};
use ringwave_card::env::ClockMode;

/// A packet of 1000 frames at 44.1 kHz: not a multiple of the FIFO (441), and its end is between two ticks.
pub const PACKET: u32 = 1000;
pub const RATE: u32 = 44_100;

/// Device clock at which a stream that started to move at `start` has played `frames`.
pub fn clock_of(start: u64, frames: u64) -> u64 {
    start + (frames * SECOND).div_ceil(u64::from(RATE))
}

/// Frame 0 lies at the start of the buffer, PACKET at the second packet, and so on around.
pub fn fill_packet(dut: &TestCard, packet: u64) {
    let place = RAM + packet % 2 * u64::from(PACKET) * 4;
    dut.fill(place, packet * u64::from(PACKET), u64::from(PACKET));
}

/// A lockstep card with its stream in PAUSE.
pub fn lockstep() -> TestCard {
    let mut dut = TestCard::new(ClockMode::Lockstep);
    dut.ready(RATE, PACKET, 2);
    dut
}
