//! Sets volume and mute before a stream runs (cfg `volume=`, `mute=`), so that the host can judge what it
//! hears.
//!
//! `volume=-394527` is -6.02 dB on all channels, `volume=0,-655360` one value for each channel, in 1/65536
//! dB; `mute=1` and `mute=0,1` likewise. The first try that fails is the violation `volume` or `mute`.

use super::level::Kind;
use crate::client::controls;
use crate::kernel::{self, cfg};
use crate::portcls::controls_layout::ALL_CHANNELS;
use crate::portcls::endpoint::Endpoint;
use alloc::vec::Vec;

/// Sets what the run asks for; false when it could not.
pub fn apply(endpoint: &Endpoint) -> bool {
    set(endpoint, Kind::Volume, "volume") && set(endpoint, Kind::Mute, "mute")
}

fn values(key: &'static str) -> Vec<i32> {
    let parse = |text: &str| {
        text.trim().parse().unwrap_or_else(|_| {
            kernel::bad_input(format_args!("ntguest.cfg: {key}={text} is no number of a control"))
        })
    };
    cfg::get(key).into_iter().flat_map(|list| list.split(',')).map(parse).collect()
}

fn set(endpoint: &Endpoint, kind: Kind, key: &'static str) -> bool {
    let values = values(key);
    if values.is_empty() {
        return true;
    }
    let Some(level) = controls::level(endpoint, kind) else {
        kernel::violation(key, format_args!("\"{}\" has no node for it", endpoint.name));
        return false;
    };
    let single = values.len() == 1;
    for (channel, value) in (0u32..).zip(&values) {
        let channel = if single { ALL_CHANNELS } else { channel };
        let status = level.set(channel, *value);
        let now = level.get(if single { 0 } else { channel });
        if !status.is_success() || now != Ok(*value) {
            kernel::violation(
                key,
                format_args!("channel {channel:#x} set to {value}: {status}, now {now:?}"),
            );
            return false;
        }
    }
    crate::kresult!("{key}_set={}", values.len());
    true
}
