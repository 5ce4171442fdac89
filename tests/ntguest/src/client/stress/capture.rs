//! The part of `client=stress` about capture packets and about cyclic buffers without notifications, of
//! either direction.

use super::{Stress, accepted, buffer_is_accepted, finding, refused};
use crate::client::packet_reads::{Finding, PacketReads};
use crate::client::player::SLOTS;
use crate::client::stream::{CyclicBuffer, PinStream, State};
use crate::kernel::event::{Event, EventKind, wait};
use crate::kernel::{pages, time};
use crate::portcls::status::Status;

/// How long to wait for a notification.
const TIMEOUT_MS: u32 = 2000;
/// Packets that are left unread, more than the buffer holds.
const UNREAD: u32 = 5;

/// `AllocateAudioBuffer` and `FreeAudioBuffer` (WAVERT.md 4.4).
pub fn cyclic_buffers(stress: &Stress) {
    let (block, usual) = (stress.block(), stress.buffer_bytes());
    for bytes in [0, block - 1, u32::MAX, u32::MAX - 4095] {
        let Some(stream) = stress.open() else { return };
        if let Ok(buffer) = stream.allocate_cyclic(bytes) {
            buffer_is_accepted(bytes, block, format_args!("no notifications"));
            stream.free_cyclic(&buffer);
        }
        stream.close();
    }
    for bytes in [usual, usual + 1, usual + block, block * 100] {
        let Some(stream) = stress.open() else { return };
        if let Ok(buffer) = stream.allocate_cyclic(bytes) {
            let held = pages::byte_count(buffer.mdl);
            let end = buffer.size.saturating_add(buffer.offset);
            if buffer.size < bytes || !buffer.size.is_multiple_of(block) || end > held {
                finding(format_args!("{bytes} bytes become {} in an MDL of {held}", buffer.size));
            }
            second_buffers(&stream, usual);
            stream.free_cyclic(&buffer);
        } else if bytes == usual {
            finding(format_args!("AllocateAudioBuffer of {bytes} bytes fails"));
        }
        stream.close();
    }
}

/// One buffer per stream, whichever kind comes first.
fn second_buffers(stream: &PinStream, usual: u32) {
    if let Ok(second) = stream.allocate_cyclic(usual) {
        finding(format_args!("a second buffer without notifications is accepted"));
        stream.free_cyclic(&second);
    }
    if let Ok(second) = stream.allocate(SLOTS, usual) {
        finding(format_args!("a buffer with notifications is accepted beside one without"));
        stream.free(&second);
    }
}

/// `GetReadPacket` of a client that does not read for longer than the buffer, in every state (WAVERT.md 4.7).
pub fn read_packets(stress: &Stress) {
    stress.with_buffer(|stream, buffer| {
        let event = Event::new(EventKind::Synchronization, false);
        accepted("RegisterNotificationEvent", stream.register(&event));
        for turn in 0..2 {
            unread_packets(stress, stream, buffer, &event, turn);
        }
        accepted("UnregisterNotificationEvent", stream.unregister(&event));
        event.poison();
    });
}

fn no_packet(stream: &PinStream, when: &str, due: Status) {
    match stream.read_packet() {
        Ok(packet) => finding(format_args!("GetReadPacket {when} gives packet {}", packet.number)),
        Err(status) => refused(when, status, &[due]),
    }
}

/// Once through the states; in RUN nothing is read until packets were overwritten.
fn unread_packets(stress: &Stress, stream: &PinStream, buffer: &CyclicBuffer, event: &Event, turn: u32) {
    no_packet(stream, "GetReadPacket in STOP", Status::INVALID_DEVICE_STATE);
    accepted("SetState(Acquire)", stream.set_state(State::Acquire));
    no_packet(stream, "GetReadPacket in ACQUIRE", Status::INVALID_DEVICE_STATE);
    accepted("SetState(Pause)", stream.set_state(State::Pause));
    no_packet(stream, "GetReadPacket in PAUSE before RUN", Status::DEVICE_NOT_READY);
    event.clear();
    let run = time::interrupt_time_100ns();
    accepted("SetState(Run)", stream.set_state(State::Run));
    no_packet(stream, "GetReadPacket right after RUN", Status::DEVICE_NOT_READY);
    let mut reads = PacketReads::new(stress.packet_100ns(buffer), run);
    for unread in 0..UNREAD {
        if !wait(event, TIMEOUT_MS) {
            finding(format_args!("turn {turn}: no event of packet {unread}, which nobody reads"));
        }
    }
    let report = |found: Result<(), Finding>| {
        if let Err(wrong) = found {
            finding(format_args!("turn {turn}, after {UNREAD} packets that nobody read: {wrong}"));
        }
    };
    // At most what the buffer holds, then nothing.
    let mut had = 0;
    loop {
        match stream.read_packet() {
            Ok(packet) => {
                had += 1;
                report(reads.check(packet, time::interrupt_time_100ns()));
                if packet.number + SLOTS < UNREAD - 1 {
                    finding(format_args!("packet {} was overwritten long ago", packet.number));
                }
            }
            Err(status) => {
                report(reads.check_refusal(status));
                break;
            }
        }
        if had > 2 * SLOTS {
            finding(format_args!("{had} packets at once from a buffer of {SLOTS}"));
            break;
        }
    }
    if had == 0 {
        finding(format_args!("turn {turn}: no packet after {UNREAD} events"));
    }
    accepted("SetState(Pause)", stream.set_state(State::Pause));
    // A packet that was complete before PAUSE may be had in PAUSE.
    let _ = stream.read_packet();
    no_packet(stream, "GetReadPacket twice in PAUSE", Status::DEVICE_NOT_READY);
    accepted("SetState(Stop)", stream.set_state(State::Stop));
    no_packet(stream, "GetReadPacket after STOP", Status::INVALID_DEVICE_STATE);
}
