//! The driver before a virtio sound device that lies: what a byte string says is what the device does with
//! its queues and answers, and what is asked of the driver. As [`crate::hostile_card`] for a card with
//! registers; a test here makes such strings by a fixed seed, and the fuzz target `hostile_virtio` by
//! coverage.
//!
//! What is asserted, whatever the device does: no panic and no access outside of its BAR; no call takes
//! longer than the limits allow, or rings without an end; a position is inside of the cyclic buffer; a device
//! that gives back what it was not given is gone, and every question for it is an error; and in the end
//! nothing is left mapped, and nothing allocated but what a device may still write to.
#![allow(
    missing_docs,
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "a panic is how a test fails"
)]

use std::cell::RefCell;
use std::ptr::null_mut;
use std::time::{Duration, Instant};

use nt::host;
use nt::sys::_DEVICE_POWER_STATE::{PowerDeviceD0, PowerDeviceD3};
use portcls_sys::Com;
use portcls_sys::interfaces::{AdapterPowerManagement2, MiniportWaveRTStream};
use portcls_sys::ks::KSSTATE;

use crate::adapter::Adapter;
use crate::hostile_card::client::{Client, Driven, Jacks, describe};
use crate::hw::virtio::VirtioSound;
use crate::hw::virtio::simulated::SimulatedDevice;
use crate::hw::{STREAMS_MAX, StreamState};
use crate::registry::RegistryConfig;

/// The time that the driver gives it for an answer.
const LIMIT_MS: u64 = 2;
/// The most that is asked of the driver by one input.
const CALLS_MAX: u32 = 200;
/// The longest that a call may take: some answers that do not come, and a machine that is busy.
const LONGEST: Duration = Duration::from_secs(20);
/// Doorbells in one call: more is a loop.
const DOORBELLS_MAX: u32 = 2000;

/// A device that does what one does, unless the input says otherwise.
struct HostileDevice {
    device: SimulatedDevice,
    input: RefCell<std::vec::IntoIter<u8>>,
}

impl Driven for HostileDevice {
    fn call(&self) -> Option<u8> {
        self.input.borrow_mut().next()
    }

    fn number(&self) -> u32 {
        u32::from_le_bytes([(); 4].map(|()| self.call().unwrap_or(0)))
    }

    fn play(&self, stream: u32, count: u8) {
        for _ in 0..count % 8 {
            let streams = self.device.with(|inside| inside.sound.streams.len());
            if (stream as usize) < streams {
                self.device.with(|inside| inside.complete(stream as usize));
            }
            self.device.deliver();
        }
        host::run_dpcs();
    }
}

impl HostileDevice {
    /// One thing that no device should do.
    fn lie(&self, kind: u8) {
        let (number, other) = (self.number(), self.number());
        self.device.with(|inside| match kind % 16 {
            // An entry of the used ring that says anything.
            0 | 1 => {
                let queue = usize::from(kind >> 4) % 4;
                if inside.queues[queue].enabled {
                    inside.push(queue, if kind & 1 == 0 { number % 70 } else { number }, other);
                }
            }
            // A used index that says anything.
            2 => {
                let queue = usize::from(kind >> 4) % 4;
                if inside.queues[queue].enabled {
                    inside.queues[queue].ring.set_used_index(u16::try_from(number & 0xFFFF).unwrap());
                }
            }
            // An answer that says anything, and anything of its length.
            3..=6 => {
                let status = if kind & 1 == 0 { 0x8000 } else { number };
                let mut answer = Vec::from(status.to_le_bytes());
                answer.extend(other.to_le_bytes().repeat(8));
                let written = if kind >> 6 == 0 { number } else { 36 };
                inside.sound.answers.push_back((answer, written));
            }
            7 => inside.sound.mute = number & 1 != 0,
            8 => inside.sound.keeps = number & 1 != 0,
            9 => inside.stuck = number % 8 == 0,
            10 => inside.sound.needs_reset = number & 1 != 0,
            11 => inside.takes_features = number & 7 != 0,
            12 => inside.queue_size = u16::try_from(number & 0xFFFF).unwrap(),
            13 => inside.messages = u16::try_from(number & 7).unwrap(),
            14 => {
                let stream = &mut inside.sound.streams[usize::from(kind >> 7)];
                stream.fault = number;
                stream.formats = (1 << (other % 64)) | 1 << 5;
            }
            _ => inside.offered = u64::from(number) << 16 | u64::from(other),
        });
        self.device.deliver();
    }
}

/// Lets the driver find the device that `input` describes, and use it until the input ends.
pub fn drive(input: &[u8]) {
    let device = SimulatedDevice::new();
    device.with(|inside| inside.sound.lies = true);
    let hostile = HostileDevice { device, input: RefCell::new(Vec::from(input).into_iter()) };
    let mode = hostile.call().unwrap_or(0);
    host::grant_messages(u32::from(mode & 3));
    // What it says of itself at its start.
    for _ in 0..mode >> 6 {
        let kind = hostile.call().unwrap_or(0);
        hostile.lie(kind);
    }
    let begin = Instant::now();
    let (config, resources) = (hostile.device.config(), hostile.device.resources());
    // SAFETY: fake device memory.
    let found = unsafe { VirtioSound::find_within(&config, &resources, LIMIT_MS) };
    assert!(begin.elapsed() < LONGEST, "the start waits without an end");
    if let Ok(found) = found {
        use_device(&hostile, found, mode);
    }
    assert_eq!(host::io_mappings(), 0, "a BAR is still mapped");
    assert_eq!(host::interrupt(0), None, "an interrupt is still connected");
    hostile.device.forget();
    // What was left to a device that lies: it is gone now, and so is the driver.
    host::free_contiguous();
}

fn use_device(hostile: &HostileDevice, found: VirtioSound, mode: u8) {
    let adapter = Adapter::try_new(null_mut(), Box::new(found)).unwrap();
    // SAFETY: no device is looked at, and the adapter is stopped below.
    if unsafe { adapter.connect(null_mut()) }.is_err() {
        return;
    }
    let config = RegistryConfig { lockstep: mode & 8 != 0, ..RegistryConfig::default() };
    let _jacks = Jacks::listen(&adapter);
    describe(&adapter, config);
    let mut clients = Vec::new();
    for _ in 0..CALLS_MAX {
        let Some(call) = hostile.call() else { break };
        hostile.device.with(|inside| inside.doorbells = 0);
        let begin = Instant::now();
        step(hostile, &adapter, config, &mut clients, call);
        assert!(begin.elapsed() < LONGEST, "a call waits without an end");
        let doorbells = hostile.device.with(|inside| inside.doorbells);
        assert!(doorbells < DOORBELLS_MAX, "the driver rings without an end");
    }
    is_gone(hostile, &adapter, &clients);
    if mode & 32 != 0 {
        clients.drain(..).for_each(Client::abandon);
    }
    adapter.stop();
    clients.drain(..).for_each(Client::abandon);
}

/// One thing that is asked of the driver, or that the device does.
fn step(
    hostile: &HostileDevice,
    adapter: &Com<Adapter>,
    config: RegistryConfig,
    clients: &mut Vec<Client>,
    call: u8,
) {
    let which = usize::from(call & 1);
    match (call >> 1) & 31 {
        0 if clients.len() < 2 => clients.extend(Client::open(hostile, adapter, config, which)),
        1 if which < clients.len() => clients.remove(which).abandon(),
        2 => hostile.play(u32::from(call & 1), hostile.call().unwrap_or(1)),
        3 | 4 => {
            let kind = hostile.call().unwrap_or(0);
            hostile.lie(kind);
            host::run_dpcs();
        }
        5 => {
            let _ = host::interrupt(0);
            host::run_dpcs();
        }
        6 => adapter.power_change_state2(PowerDeviceD3, 0),
        7 => adapter.power_change_state2(PowerDeviceD0, 0),
        8 => {
            hostile.device.with(|inside| inside.plug(u32::from(call & 1), call & 64 != 0));
            hostile.device.deliver();
            host::run_dpcs();
        }
        other => {
            if let Some(client) = clients.get_mut(which) {
                client.step(hostile, other);
            }
        }
    }
}

/// From now on no device answers: every question for it is an error, and what goes down succeeds.
fn is_gone(hostile: &HostileDevice, adapter: &Com<Adapter>, clients: &[Client]) {
    hostile.device.with(|inside| inside.gone = true);
    let gone = adapter.card();
    for stream in 0..=STREAMS_MAX {
        assert_eq!(gone.state(stream), None);
        assert_eq!((gone.status(stream), gone.unplugged(stream)), (None, None));
        assert!(gone.set_state(stream, StreamState::Run).is_err(), "a device that is gone runs");
    }
    for client in clients {
        client.stream.set_state(KSSTATE(0)).unwrap();
        if client.buffer.is_some() && !gone.asleep() {
            assert!(client.stream.set_state(KSSTATE(3)).is_err(), "a device that is gone plays");
        }
        client.judge_position();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, rng_seed: RngSeed::Fixed(13), ..ProptestConfig::default() })]
        /// The claims of this module, which `drive` asserts.
        #[test]
        fn a_device_that_lies_does_no_harm(input in prop::collection::vec(any::<u8>(), 0..300)) {
            drive(&input);
        }
    }
}
