//! Hostile clients beside one that plays (cfg `client=hostile`), while power and PnP queries come and go and
//! memory is short for everybody but the one that plays.
//!
//! * properties of every filter, node and pin, with any verb, instance and room ([`requests`]);
//! * pins over their number, formats that lie, buffers of any size, states and packets in any order,
//!   processes that end without closing anything ([`pins`]);
//! * D3 and back, QUERY_STOP and QUERY_REMOVE taken back;
//! * calls of the driver that fail at random, as the low resources simulation of Driver Verifier makes them,
//!   but never in the thread of the client that plays.
//!
//! `hostile_seed=` gives each thread its events; how they meet is the schedule's. The file is played as by
//! `play`, and afterwards a second round without it leaves the driver with no more than the first did.

mod pins;
mod requests;

use super::held_resources::HeldResources;
use super::stress::finding;
use super::walk::{self, Random, gated};
use crate::kernel::thread::{self, DRIVER_STACK, ThreadId};
use crate::kernel::{self, cfg, inject};
use crate::portcls::status::Status;
use crate::portcls::{endpoint, pnp, power};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ffi::c_void;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Events of each thread in the round that nobody plays in.
const SECOND_ROUND: u64 = 60;
/// A call that fails is so many calls away at most.
const FAILS_WITHIN: u32 = 4;

/// What a client may be told, whatever it asks: the statuses that the pages of the requests and methods name.
pub const ANSWERS: [Status; 14] = [
    Status::SUCCESS,
    Status::BUFFER_OVERFLOW,
    Status::BUFFER_TOO_SMALL,
    Status::INVALID_PARAMETER,
    Status::INVALID_DEVICE_REQUEST,
    Status::INVALID_DEVICE_STATE,
    Status::NOT_SUPPORTED,
    Status::NOT_IMPLEMENTED,
    Status::NOT_FOUND,
    Status::NO_MATCH,
    Status::INSUFFICIENT_RESOURCES,
    Status::DEVICE_NOT_READY,
    Status::DATA_LATE_ERROR,
    Status::DATA_OVERRUN,
];

/// A refusal must be one that a page names.
pub fn answer(what: core::fmt::Arguments<'_>, status: Status) {
    if !ANSWERS.contains(&status) {
        finding(format_args!("{what}: {status} is no answer that a page names"));
    }
}

/// Who is hostile.
enum Who {
    Requests(requests::Requests),
    Pins(Box<pins::HostilePin>),
    Power,
    Memory,
}

/// A thread, and what it has done.
struct Hostile {
    who: Who,
    random: Random,
    /// How many events, or as long as the file plays.
    most: Option<u64>,
    /// The thread of the client that plays.
    spared: usize,
}

/// The file has been played.
static ENOUGH: AtomicBool = AtomicBool::new(false);
static EVENTS: AtomicU64 = AtomicU64::new(0);

/// Plays by `play` among hostile clients; true when the file was played.
pub fn run(play: impl FnOnce() -> bool) -> bool {
    let seed = cfg::get_u64("hostile_seed", 1);
    crate::kprintln!("hostile_seed={seed}");
    let mut starter = Starter { seed, spared: thread::current_object(), threads: Vec::new() };
    // SAFETY: this function waits for the thread's end, and touches the value only afterwards.
    let waiting =
        thread::spawn("hostile clients", start_when_it_plays, (&raw mut starter).cast(), DRIVER_STACK);
    let played = play();
    ENOUGH.store(true, Ordering::Release);
    thread::join(waiting);
    core::mem::take(&mut starter.threads).into_iter().for_each(thread::join);
    inject::disarm();
    let first = HeldResources::read();
    starter.start(Some(SECOND_ROUND));
    core::mem::take(&mut starter.threads).into_iter().for_each(thread::join);
    inject::disarm();
    let second = HeldResources::read();
    if second != first {
        kernel::violation(
            "cycle-leak",
            format_args!("after a second round {second:?}, after the first {first:?}"),
        );
    }
    let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
    crate::kresult!(
        "hostile_events={} hostile_requests={} hostile_requests_accepted={}",
        count(&EVENTS),
        count(&requests::SENT),
        count(&requests::ACCEPTED)
    );
    crate::kresult!(
        "hostile_formats={} hostile_formats_accepted={} hostile_buffers={} hostile_buffers_accepted={} \
         hostile_over_instances={} hostile_failed_calls={}",
        count(&pins::FORMATS),
        count(&pins::FORMATS_ACCEPTED),
        count(&pins::BUFFERS),
        count(&pins::BUFFERS_ACCEPTED),
        count(&pins::OVER_INSTANCES),
        inject::random_failures()
    );
    played
}

/// Whether the file has been played.
fn has_ended() -> bool {
    ENOUGH.load(Ordering::Acquire)
}

struct Starter {
    seed: u64,
    spared: usize,
    threads: Vec<ThreadId>,
}

impl Starter {
    fn start(&mut self, most: Option<u64>) {
        let mut who = Vec::from([Who::Requests(requests::Requests::new()), Who::Power, Who::Memory]);
        let endpoints = [false, true].into_iter().flat_map(endpoint::all);
        // While the file is played its pin is in use; every other one is the hostile clients'.
        let pin = |(number, endpoint)| {
            Who::Pins(Box::new(pins::HostilePin::new(endpoint, number == 0 && most.is_none())))
        };
        who.extend(endpoints.enumerate().map(pin));
        for (number, who) in who.into_iter().enumerate() {
            let random = Random::new(self.seed.wrapping_mul(1000).wrapping_add(number as u64));
            let hostile = Box::into_raw(Box::new(Hostile { who, random, most, spared: self.spared }));
            self.threads.push(thread::spawn("hostile client", be_hostile, hostile.cast(), DRIVER_STACK));
        }
    }
}

/// What the client that plays does before RUN it does alone.
fn start_when_it_plays(starter: *mut c_void) {
    while !power::any_pin_runs() {
        if ENOUGH.load(Ordering::Acquire) {
            return;
        }
        thread::sleep_100ns(10_000);
    }
    // SAFETY: `run` keeps it until it has joined this thread, and does not touch it before.
    unsafe { (*starter.cast::<Starter>()).start(None) };
}

fn be_hostile(argument: *mut c_void) {
    // SAFETY: from `Box::into_raw` in `start`; this thread is its only user.
    let Hostile { mut who, mut random, most, spared } = *unsafe { Box::from_raw(argument.cast::<Hostile>()) };
    let mut done = 0;
    while most.map_or(!ENOUGH.load(Ordering::Acquire), |most| done < most) {
        match &mut who {
            Who::Requests(requests) => {
                requests.step(&mut random);
                // The others have their turn too.
                if random.once_in(4) {
                    random.sleep(1);
                }
            }
            Who::Pins(pin) => pin.step(&mut random),
            Who::Power => take_power_or_ask(&mut random),
            Who::Memory => {
                inject::fail_soon(1 + random.below(FAILS_WITHIN), random.below(2) as usize, spared);
                random.sleep(4);
            }
        }
        done += 1;
    }
    EVENTS.fetch_add(done, Ordering::Relaxed);
    if let Who::Pins(mut pin) = who {
        pin.close(&mut random);
    }
}

/// D3 and back, or a query that is taken back.
fn take_power_or_ask(random: &mut Random) {
    match random.below(3) {
        0 => walk::lose_power(random),
        kind => {
            let removal = kind == 1;
            let status = gated(|| pnp::query_and_cancel(removal));
            if !status.is_success() {
                finding(format_args!("a query of PnP, removal {removal}: {status}, SUCCESS is due"));
            }
            random.sleep(20);
        }
    }
}
