//! States, positions and WaveRT's structures (WAVERT.md 0, 4.1).
use super::property::KSPROPERTY;
use crate::layout;
use core::ffi::c_void;
use nt::sys::BOOLEAN;

/// WaveRT property (KSPROPSETID_RtAudio): not documented.
pub const KSPROPERTY_RTAUDIO_GETPOSITIONFUNCTION: u32 = 0;
/// WaveRT property (KSPROPSETID_RtAudio): a cyclic buffer.
pub const KSPROPERTY_RTAUDIO_BUFFER: u32 = 1;
/// WaveRT property (KSPROPSETID_RtAudio): latency.
pub const KSPROPERTY_RTAUDIO_HWLATENCY: u32 = 2;
/// WaveRT property (KSPROPSETID_RtAudio): the position register.
pub const KSPROPERTY_RTAUDIO_POSITIONREGISTER: u32 = 3;
/// WaveRT property (KSPROPSETID_RtAudio): the clock register.
pub const KSPROPERTY_RTAUDIO_CLOCKREGISTER: u32 = 4;
/// WaveRT property (KSPROPSETID_RtAudio): a cyclic buffer with notifications.
pub const KSPROPERTY_RTAUDIO_BUFFER_WITH_NOTIFICATION: u32 = 5;
/// WaveRT property (KSPROPSETID_RtAudio): an event more.
pub const KSPROPERTY_RTAUDIO_REGISTER_NOTIFICATION_EVENT: u32 = 6;
/// WaveRT property (KSPROPSETID_RtAudio): an event less.
pub const KSPROPERTY_RTAUDIO_UNREGISTER_NOTIFICATION_EVENT: u32 = 7;
/// WaveRT property (KSPROPSETID_RtAudio): whether there are notifications.
pub const KSPROPERTY_RTAUDIO_QUERY_NOTIFICATION_SUPPORT: u32 = 8;
/// WaveRT property (KSPROPSETID_RtAudio): packets transferred.
pub const KSPROPERTY_RTAUDIO_PACKETCOUNT: u32 = 9;
/// WaveRT property (KSPROPSETID_RtAudio): frames that left the speaker.
pub const KSPROPERTY_RTAUDIO_PRESENTATION_POSITION: u32 = 10;
/// WaveRT property (KSPROPSETID_RtAudio): the newest packet recorded.
pub const KSPROPERTY_RTAUDIO_GETREADPACKET: u32 = 11;
/// WaveRT property (KSPROPSETID_RtAudio): a packet is written.
pub const KSPROPERTY_RTAUDIO_SETWRITEPACKET: u32 = 12;
/// WaveRT property (KSPROPSETID_RtAudio): packets in memory that a client maps.
pub const KSPROPERTY_RTAUDIO_PACKETVREGISTER: u32 = 13;

/// State of a pin.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KSSTATE(pub u32);
impl KSSTATE {
    /// Halted, positions 0.
    pub const STOP: Self = Self(0);
    /// Resources taken.
    pub const ACQUIRE: Self = Self(1);
    /// Ready, or halted where it was.
    pub const PAUSE: Self = Self(2);
    /// Going.
    pub const RUN: Self = Self(3);
}
layout!(KSSTATE, 4);

/// What GetPosition answers: byte offsets in the cyclic buffer, each less than its size.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KSAUDIO_POSITION {
    /// The byte that plays now (render) or was captured last.
    pub PlayOffset: u64,
    /// Up to where the hardware has fetched (render) or data may be read (capture).
    pub WriteOffset: u64,
}
layout!(KSAUDIO_POSITION, 16, PlayOffset @ 0, WriteOffset @ 8);

/// What GetOutputStreamPresentationPosition answers.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KSAUDIO_PRESENTATION_POSITION {
    /// Frames that left the speaker since the stream began.
    pub u64PositionInBlocks: u64,
    /// Raw performance counter at that moment.
    pub u64QPCPosition: u64,
}
layout!(KSAUDIO_PRESENTATION_POSITION, 16, u64PositionInBlocks @ 0, u64QPCPosition @ 8);

/// A register that a client may read.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct KSRTAUDIO_HWREGISTER {
    /// Kernel address of the register.
    pub Register: *mut c_void,
    /// Bits: 32 or 64.
    pub Width: u32,
    /// Of the clock's frequency.
    pub Numerator: u64,
    /// Of the clock's frequency.
    pub Denominator: u64,
    /// Bytes (position) or ticks (clock).
    pub Accuracy: u32,
}
layout!(KSRTAUDIO_HWREGISTER, 40, Register @ 0, Width @ 8, Numerator @ 16, Denominator @ 24, Accuracy @ 32);

/// What GetHWLatency answers; all three must be filled.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KSRTAUDIO_HWLATENCY {
    /// Bytes between DMA and converter.
    pub FifoSize: u32,
    /// 100 ns.
    pub ChipsetDelay: u32,
    /// 100 ns.
    pub CodecDelay: u32,
}
layout!(KSRTAUDIO_HWLATENCY, 12, FifoSize @ 0, ChipsetDelay @ 4, CodecDelay @ 8);

/// Asks for a buffer.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct KSRTAUDIO_BUFFER_PROPERTY {
    /// The request.
    pub Property: KSPROPERTY,
    /// NULL: PortCls chooses.
    pub BaseAddress: *mut c_void,
    /// Bytes.
    pub RequestedBufferSize: u32,
}
layout!(KSRTAUDIO_BUFFER_PROPERTY, 40, Property @ 0, BaseAddress @ 24, RequestedBufferSize @ 32);

/// Asks for a buffer with notifications.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct KSRTAUDIO_BUFFER_PROPERTY_WITH_NOTIFICATION {
    /// The request.
    pub Property: KSPROPERTY,
    /// NULL: PortCls chooses.
    pub BaseAddress: *mut c_void,
    /// Bytes.
    pub RequestedBufferSize: u32,
    /// Per buffer: 1 or 2.
    pub NotificationCount: u32,
}
layout!(KSRTAUDIO_BUFFER_PROPERTY_WITH_NOTIFICATION, 40, RequestedBufferSize @ 32, NotificationCount @ 36);

/// The buffer granted.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct KSRTAUDIO_BUFFER {
    /// User address.
    pub BufferAddress: *mut c_void,
    /// Bytes.
    pub ActualBufferSize: u32,
    /// Not 0: writes are combined.
    pub CallMemoryBarrier: i32,
}
layout!(KSRTAUDIO_BUFFER, 16, BufferAddress @ 0, ActualBufferSize @ 8, CallMemoryBarrier @ 12);

/// Registers an event.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct KSRTAUDIO_NOTIFICATION_EVENT_PROPERTY {
    /// The request.
    pub Property: KSPROPERTY,
    /// User handle.
    pub NotificationEvent: *mut c_void,
}
layout!(KSRTAUDIO_NOTIFICATION_EVENT_PROPERTY, 32, NotificationEvent @ 24);

/// What GetReadPacket answers.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct KSRTAUDIO_GETREADPACKET_INFO {
    /// Of the packet.
    pub PacketNumber: u32,
    /// 0.
    pub Flags: u32,
    /// Raw performance counter of the packet's first frame.
    pub PerformanceCounterValue: u64,
    /// Not 0: a newer packet is there.
    pub MoreData: i32,
}
layout!(KSRTAUDIO_GETREADPACKET_INFO, 24, Flags @ 4, PerformanceCounterValue @ 8, MoreData @ 16);

/// What SetWritePacket is given.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct KSRTAUDIO_SETWRITEPACKET_INFO {
    /// Of the packet.
    pub PacketNumber: u32,
    /// [`KSSTREAM_HEADER_OPTIONSF_ENDOFSTREAM`] or 0.
    pub Flags: u32,
    /// Bytes of a last, partial packet.
    pub EosPacketLength: u32,
}
layout!(KSRTAUDIO_SETWRITEPACKET_INFO, 12, Flags @ 4, EosPacketLength @ 8);

/// Asks for a position or clock register.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct KSRTAUDIO_HWREGISTER_PROPERTY {
    /// The request.
    pub Property: KSPROPERTY,
    /// NULL: PortCls chooses.
    pub BaseAddress: *mut c_void,
}
layout!(KSRTAUDIO_HWREGISTER_PROPERTY, 32, BaseAddress @ 24);

/// Asks for the packets' counters in memory. No interface of a miniport answers it so far.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct KSRTAUDIO_PACKETVREGISTER_PROPERTY {
    /// The request.
    pub Property: KSPROPERTY,
    /// NULL: PortCls chooses.
    pub BaseAddress: *mut c_void,
}
layout!(KSRTAUDIO_PACKETVREGISTER_PROPERTY, 32, BaseAddress @ 24);

/// The packets' counters in memory.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct KSRTAUDIO_PACKETVREGISTER {
    /// How many.
    pub CompletedPacketCount: *mut u64,
    /// When the last was.
    pub CompletedPacketQPC: *mut u64,
    /// Both together.
    pub CompletedPacketHash: *mut u64,
}
layout!(KSRTAUDIO_PACKETVREGISTER, 24, CompletedPacketQPC @ 8, CompletedPacketHash @ 16);

/// SetWritePacket: this packet is the stream's last.
pub const KSSTREAM_HEADER_OPTIONSF_ENDOFSTREAM: u32 = 0x200;

const _: () = assert!(size_of::<BOOLEAN>() == 1);
