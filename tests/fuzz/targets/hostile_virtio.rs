//! A virtio sound device that lies, to the driver: used rings, answers, features, messages and sizes. What it
//! asserts is in `driver/src/hostile_virtio.rs`, which also runs some inputs as a unit test.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| ringwave_driver::hostile_virtio::drive(input));
