//! What capture and timer-driven clients call on a stream: `GetReadPacket`, and the cyclic buffer without notifications.

use super::packet_reads::ReadPacket;
use super::stream::{CyclicBuffer, PinStream, method};
use crate::kernel::call::driver_call;
use crate::kernel::{irql, time};
use crate::portcls::fault::{self, Fault};
use crate::portcls::oracle;
use crate::portcls::port_stream;
use crate::portcls::status::Status;
use core::ptr;

impl PinStream {
    /// Whether packet mode of capture is offered.
    pub fn has_read_packets(&self) -> bool {
        self.input.is_some()
    }

    /// `GetReadPacket`. The results are prefilled with what no driver may leave there ([`ReadPacket::UNWRITTEN`]).
    pub fn read_packet(&self) -> Result<ReadPacket, Status> {
        let input = self.input.as_ref().ok_or(Status::NOT_SUPPORTED)?;
        let mut packet = ReadPacket::UNWRITTEN;
        let (number, flags) = (&raw mut packet.number, &raw mut packet.flags);
        let (counter, more) = (&raw mut packet.counter, &raw mut packet.more);
        let status = Status(method!(
            self,
            "GetReadPacket",
            irql::PASSIVE,
            input,
            get_read_packet,
            oracle_get_read_packet(number, flags, counter, more)
        ));
        // The judge thinks in time since boot; what is not a time of the counter's stays what it is.
        if packet.counter != u64::MAX {
            packet.counter = time::of_counter(packet.counter);
        }
        bent(if status.is_success() { Ok(packet) } else { Err(status) })
    }

    /// `AllocateAudioBuffer`: a cyclic buffer that signals nothing.
    pub fn allocate_cyclic(&self, bytes: u32) -> Result<CyclicBuffer, Status> {
        let mut mdl = ptr::null_mut();
        let (mut size, mut offset, mut cache) = (0, 0, u32::MAX);
        let (mdl_out, size_out, offset_out, cache_out) =
            (&raw mut mdl, &raw mut size, &raw mut offset, &raw mut cache);
        let status = Status(method!(
            self,
            "AllocateAudioBuffer",
            irql::PASSIVE,
            self.stream,
            allocate_audio_buffer,
            oracle_allocate_audio_buffer(bytes, mdl_out, size_out, offset_out, cache_out)
        ));
        if status.is_success() {
            port_stream::check_cleared(mdl.cast(), offset, size);
            Ok(CyclicBuffer { mdl: mdl.cast(), size, offset, cache })
        } else {
            Err(status)
        }
    }

    /// `FreeAudioBuffer`, with what `allocate_cyclic` gave.
    pub fn free_cyclic(&self, buffer: &CyclicBuffer) {
        let (mdl, size) = (buffer.mdl.cast(), buffer.size);
        method!(
            self,
            "FreeAudioBuffer",
            irql::PASSIVE,
            self.stream,
            free_audio_buffer,
            oracle_free_audio_buffer(mdl, size)
        );
    }
}

/// An answer with the fault that the run asks for.
fn bent(answer: Result<ReadPacket, Status>) -> Result<ReadPacket, Status> {
    let mut packet = match answer {
        Err(Status::DEVICE_NOT_READY) if fault::make(Fault::ReadRefusal) => {
            return Err(Status::UNSUCCESSFUL);
        }
        answer => answer?,
    };
    if packet.number >= 5 && fault::make(Fault::ReadGap) {
        packet.number = packet.number.wrapping_add(1);
    }
    if fault::make(Fault::ReadTime) {
        packet.counter = time::interrupt_time_100ns();
    }
    if fault::make(Fault::ReadPromise) {
        packet.more = 1;
    }
    Ok(packet)
}
