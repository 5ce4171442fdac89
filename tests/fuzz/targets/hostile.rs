//! A card that lies, to the driver: what it asserts is in `driver/src/hostile_card.rs`, which also runs some
//! inputs as a unit test. Calls of the driver are at the front of an input, lies of the card at its end.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| ringwave_driver::hostile_card::drive(input));
