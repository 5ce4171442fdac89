//! The signal-processing modes that a wave filter's pins list, as the port asks for them by
//! `IMiniportAudioSignalProcessing::GetModes` (DDI page nf-portcls-iminiportaudiosignalprocessing-getmodes).
//! The protocol of that call is the client's business.

use super::com::Com;
use super::fault::{self, Fault};
use super::guid::{Guid, IID_MINIPORT_AUDIO_SIGNAL_PROCESSING, Named};
use super::object::Object;
use super::port::Port;
use super::status::Status;
use super::vtable::SignalProcessing;
use crate::kernel::call::driver_call;
use crate::kernel::harsh::harsh_violation;
use crate::kernel::irql;
use alloc::vec;
use alloc::vec::Vec;
use core::ptr;

/// More modes than there are.
const MOST: u32 = 32;
/// What a slot holds before the driver fills it.
const NO_MODE: Guid = Guid { data1: 0, data2: 0, data3: 0, data4: [0; 8] };

/// The modes of one pin; none when the miniport knows none.
fn of_pin(processing: &Com<SignalProcessing>, pin: u32) -> Vec<Guid> {
    let ask = |buffer: *mut Guid, count: &mut u32| {
        let (this, count) = (processing.this(), ptr::from_mut(count));
        driver_call("IMiniportAudioSignalProcessing::GetModes", irql::PASSIVE, || {
            // SAFETY: a live interface, no buffer or one with room for as many modes as the counter says, and
            // the counter.
            Status(unsafe { (processing.vtable().get_modes)(this, pin, buffer, count) })
        })
    };
    let mut count = 0;
    if !ask(ptr::null_mut(), &mut count).is_success() || !(1..=MOST).contains(&count) {
        return Vec::new();
    }
    let mut modes = vec![NO_MODE; count as usize];
    if !ask(modes.as_mut_ptr(), &mut count).is_success() {
        return Vec::new();
    }
    modes.truncate(count as usize);
    modes
}

/// The modes that the pins of a wave filter list, each once. A pin that lists more modes than it has
/// instances is none of the samples' (rule `modes`, harsher than Windows: no document says what the audio
/// engine makes of it).
pub fn listed(port: &Object) -> Vec<Guid> {
    let Some(body) = port.body::<Port>() else { return Vec::new() };
    let (Some(filter), Some(miniport)) = (body.filter(), body.wave_miniport()) else { return Vec::new() };
    let Ok(processing) = miniport.query::<SignalProcessing>(&IID_MINIPORT_AUDIO_SIGNAL_PROCESSING) else {
        return Vec::new();
    };
    let mut all: Vec<Guid> = Vec::new();
    for (pin, descriptor) in (0u32..).zip(&filter.pins).filter(|(_, pin)| pin.is_host()) {
        let modes = of_pin(&processing, pin);
        let instances = if fault::make(Fault::NoInstances) { 0 } else { descriptor.max_instances };
        if modes.len() > instances as usize {
            harsh_violation(
                "modes",
                format_args!("pin {pin} lists {} modes and has {instances} instance(s)", modes.len()),
            );
        }
        for mode in modes.into_iter().filter(|mode| *mode != NO_MODE) {
            if !all.contains(&mode) {
                crate::kprintln!("pin {pin} lists {}", Named(mode));
                all.push(mode);
            }
        }
    }
    all
}
