//! Opens and closes streams many times over all endpoints (cfg `client=cycles`): after every hundred, what
//! the driver holds is what it held after the first round (WAVERT.md 4.8: expect hundreds of cycles).

use super::buffer::{self, Kind};
use super::format::{BufferPlan, PcmFormat};
use super::held_resources::HeldResources;
use super::player::{self, Failed, SLOTS, buffer_ms};
use super::sweep;
use super::{negotiate, negotiate_modes};
use crate::kernel::{self, cfg, pool};
use crate::portcls::endpoint::{self, Endpoint};
use crate::portcls::fault::{self, Fault};
use alloc::vec::Vec;
use ringwave_audio::SampleFormat;

/// After so many cycles the books are compared.
const CHECKED: u64 = 100;

/// All cycles; true when each did its work.
pub fn run() -> bool {
    let mut endpoints = endpoint::all(false);
    endpoints.extend(endpoint::all(true));
    let cycles = cfg::get_u64("cycles", 1000);
    let formats = [SampleFormat::S16, SampleFormat::F32].map(|sample| PcmFormat::of(sample, 48_000, 2, true));
    // A driver that has none of these formats is asked for one of its own.
    let mut round: Vec<(&Endpoint, PcmFormat)> = Vec::new();
    for format in &formats {
        for endpoint in &endpoints {
            let covered = endpoint.descriptor.ranges.iter().any(|range| negotiate::covers(range, format));
            let format = covered.then_some(*format).into_iter();
            let own = negotiate_modes::any_format(endpoint).filter(|_| !covered);
            round.extend(format.chain(own).map(|format| (endpoint, format)));
        }
    }
    // The first round may make what lasts as long as the device.
    let warm = round.iter().all(|(endpoint, format)| cycle(endpoint, format).is_ok());
    let before = HeldResources::read();
    crate::kprintln!("cycles: {} endpoint(s), {before:?}", endpoints.len());
    let mut done = 0;
    while warm && !round.is_empty() && done < cycles {
        let Some((endpoint, format)) = round.get(done as usize % round.len()) else { break };
        if cycle(endpoint, format).is_err() {
            break;
        }
        done += 1;
        if done == CHECKED / 2 && fault::make(Fault::KeepBlock) {
            let _ = pool::allocate(100, u32::from_le_bytes(*b"Kept"), false, false);
        }
        if done % CHECKED == 0 || done == cycles {
            let now = HeldResources::read();
            if now != before {
                kernel::violation(
                    "cycle-leak",
                    format_args!("after {done} cycles {now:?}, before {before:?}"),
                );
                break;
            }
        }
    }
    crate::kresult!("cycles={done} pool_bytes={} references={}", before.pool_bytes, before.references);
    done == cycles
}

/// Open, allocate, RUN, a packet, STOP, free, close.
pub fn cycle(endpoint: &Endpoint, format: &PcmFormat) -> Result<(), Failed> {
    let stream = player::open(endpoint, format)?;
    let plan = BufferPlan::new(format, buffer_ms(), SLOTS).ok_or(Failed)?;
    let kind = Kind::Notification(SLOTS);
    let result = buffer::with(&stream, kind, format, plan.bytes, |_| sweep::some_packets(&stream, 1));
    stream.close();
    result
}
