//! What the driver implements for a stream.
use super::port::PMDL;
use crate::client_event::{self, StreamWithEvents};
use crate::com::interface::interface;
use crate::ks::{
    KSAUDIO_POSITION, KSAUDIO_PRESENTATION_POSITION, KSDATAFORMAT, KSRTAUDIO_HWLATENCY, KSRTAUDIO_HWREGISTER,
    KSSTATE,
};
use crate::{ComClass, IUnknown, In, Out};
use nt::sys::{KEVENT, MDL, MEMORY_CACHING_TYPE};

interface! {
    /// A stream of a WaveRT miniport.
    IMiniportWaveRTStream: IUnknown, "000AC9AB-FAAB-4F3D-9455-6FF8306A74A0", implemented as MiniportWaveRTStream: ComClass, table IMiniportWaveRTStreamVtbl {
        /// Another format; samples answer STATUS_NOT_SUPPORTED. STATUS_INVALID_PARAMETER.
        3 SetFormat as set_format(format: In<'_, KSDATAFORMAT>) -> status;
        /// Another state (WAVERT.md 4.3); be liberal with jumps and repeats.
        4 SetState as set_state(state: KSSTATE) -> status;
        /// Byte offsets in the cyclic buffer. At most DISPATCH_LEVEL: code and data must not be paged.
        5 GetPosition as get_position(position: Out<'_, KSAUDIO_POSITION>) -> status;
        /// A cyclic buffer without notifications: bytes asked for; MDL, bytes used, offset in the first page,
        /// cache type. STATUS_UNSUCCESSFUL if the size cannot be, STATUS_INSUFFICIENT_RESOURCES,
        /// STATUS_DEVICE_NOT_READY.
        6 AllocateAudioBuffer as allocate_audio_buffer(
            requested: u32, mdl: Out<'_, PMDL>, actual: Out<'_, u32>, offset: Out<'_, u32>, cache: Out<'_, MEMORY_CACHING_TYPE>,
        ) -> status;
        /// Frees it. The MDL may be NULL.
        7 FreeAudioBuffer as free_audio_buffer(mdl: *mut MDL, size: u32) -> void;
        /// Cannot fail: fill all three fields.
        8 GetHWLatency as get_hw_latency(latency: Out<'_, KSRTAUDIO_HWLATENCY>) -> void;
        /// A position register that a client may map; STATUS_NOT_SUPPORTED.
        9 GetPositionRegister as get_position_register(register: Out<'_, KSRTAUDIO_HWREGISTER>) -> status;
        /// A clock register that a client may map; STATUS_NOT_SUPPORTED.
        10 GetClockRegister as get_clock_register(register: Out<'_, KSRTAUDIO_HWREGISTER>) -> status;
    }

    /// A stream that signals events. Derived from [`IMiniportWaveRTStream`] (the documentation says IUnknown;
    /// the header is right).
    IMiniportWaveRTStreamNotification: IMiniportWaveRTStream, "23759128-96F1-423B-AB4D-81635BCF8CA1", implemented as MiniportWaveRTStreamNotification: StreamWithEvents, table IMiniportWaveRTStreamNotificationVtbl {
        /// A cyclic buffer of `notifications` (1 or 2) packets. Statuses as of AllocateAudioBuffer.
        11 AllocateBufferWithNotification as allocate_buffer_with_notification(
            notifications: u32, requested: u32, mdl: Out<'_, PMDL>, actual: Out<'_, u32>, offset: Out<'_, u32>, cache: Out<'_, MEMORY_CACHING_TYPE>,
        ) -> status;
        /// Frees it.
        12 FreeBufferWithNotification as free_buffer_with_notification(mdl: *mut MDL, size: u32) -> void;
        /// Signals this event too, at every packet's end; alive until it is unregistered.
        13 RegisterNotificationEvent as register_notification_event(event: *mut KEVENT) served by (client_event::register) -> status;
        /// Never touches it again once this has returned. STATUS_NOT_FOUND if it is unknown.
        14 UnregisterNotificationEvent as unregister_notification_event(event: *mut KEVENT) served by (client_event::unregister) -> status;
    }

    /// Packets of a capture stream.
    IMiniportWaveRTInputStream: IUnknown, "CD8E756A-5FC7-4624-984B-2AF02925B91F", implemented as MiniportWaveRTInputStream: ComClass, table IMiniportWaveRTInputStreamVtbl {
        /// The newest complete packet not read yet: number, flags 0, raw performance counter of its first
        /// frame, whether there is more. STATUS_DEVICE_NOT_READY if there is none.
        3 GetReadPacket as get_read_packet(number: Out<'_, u32>, flags: Out<'_, u32>, counter: Out<'_, u64>, more: Out<'_, i32>) -> status;
    }

    /// Packets of a render stream. The slots are in the header's order; the documentation lists them by
    /// alphabet.
    IMiniportWaveRTOutputStream: IUnknown, "831FC7BC-6347-44BC-B47B-C0C657B5BF73", implemented as MiniportWaveRTOutputStream: ComClass, table IMiniportWaveRTOutputStreamVtbl {
        /// A packet is valid in the buffer (WAVERT.md 4.7 for the rules of numbers). STATUS_DATA_LATE_ERROR,
        /// STATUS_DATA_OVERRUN, STATUS_INVALID_DEVICE_STATE, STATUS_INVALID_PARAMETER.
        3 SetWritePacket as set_write_packet(number: u32, flags: u32, end_of_stream_bytes: u32) -> status;
        /// Frames that left the speaker, and when.
        4 GetOutputStreamPresentationPosition as get_output_stream_presentation_position(position: Out<'_, KSAUDIO_PRESENTATION_POSITION>) -> status;
        /// Packets completely transferred since RUN after STOP.
        5 GetPacketCount as get_packet_count(count: Out<'_, u32>) -> status;
    }
}
