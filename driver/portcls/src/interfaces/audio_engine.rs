//! What a driver implements whose hardware mixes streams itself ("hardware-offloaded audio"): an audio engine
//! node between the host, offload and loopback pins. Windows 8.
//!
//! Sources: the genuine header's order; the pages of each method below IMiniportAudioEngineNode and
//! IMiniportStreamAudioEngineNode, which name neither level nor status. Microsoft's sysvad calls all of them
//! "at PASSIVE_LEVEL", from PortCls' own property handlers, and answers STATUS_INVALID_DEVICE_REQUEST for
//! another node and for an attribute that it does not have.
use crate::com::interface::interface;
use crate::ks::{
    AUDIO_CURVE_TYPE, CONSTRICTOR_OPTION, KSAUDIO_PRESENTATION_POSITION, KSAUDIOENGINE_BUFFER_SIZE_RANGE,
    KSAUDIOENGINE_DESCRIPTOR, KSDATAFORMAT, KSPROPERTY_STEPPING_LONG,
};
use crate::{ComClass, IUnknown, In, Out};
use core::ffi::c_void;

/// `eEngineFormatType`: [`eMixFormat`], [`eDeviceFormat`], [`eSupportedDeviceFormats`].
pub type eEngineFormatType = i32;
/// What the mixer makes.
pub const eMixFormat: eEngineFormatType = 0;
/// What the converter gets.
pub const eDeviceFormat: eEngineFormatType = 1;
/// The list of what the converter can get.
pub const eSupportedDeviceFormats: eEngineFormatType = 2;

/// `eChannelTargetType`: [`eVolumeAttribute`], [`eMuteAttribute`], [`ePeakMeterAttribute`].
pub type eChannelTargetType = i32;
/// Volume, in 1/65536 dB.
pub const eVolumeAttribute: eChannelTargetType = 0;
/// Mute, a BOOL.
pub const eMuteAttribute: eChannelTargetType = 1;
/// The greatest magnitude since the last question.
pub const ePeakMeterAttribute: eChannelTargetType = 2;

interface! {
    /// The audio engine of a filter; found by `query` on a WaveRT miniport. `node` is the number of a node of
    /// kind KSNODETYPE_AUDIO_ENGINE in the filter's descriptor.
    IMiniportAudioEngineNode: IUnknown, "2EBF536C-EF57-4C64-BEDC-25C1A6D668E6", implemented as MiniportAudioEngineNode: ComClass, table IMiniportAudioEngineNodeVtbl {
        /// Which pins it stands between.
        3 GetAudioEngineDescriptor as get_audio_engine_descriptor(node: u32, descriptor: Out<'_, KSAUDIOENGINE_DESCRIPTOR>) -> status;
        /// Whether its global effects work.
        4 GetGfxState as get_gfx_state(node: u32, enabled: Out<'_, i32>) -> status;
        /// Lets them work or not.
        5 SetGfxState as set_gfx_state(node: u32, enabled: i32) -> status;
        /// Bytes that the format methods below write for a kind of format.
        6 GetEngineFormatSize as get_engine_format_size(node: u32, kind: eEngineFormatType, bytes: Out<'_, u32>) -> status;
        /// What the mixer makes: `room` bytes, as many as GetEngineFormatSize said.
        7 GetMixFormat as get_mix_format(node: u32, format: *mut KSDATAFORMAT, room: u32) -> status;
        /// What the converter gets.
        8 GetDeviceFormat as get_device_format(node: u32, format: *mut KSDATAFORMAT, room: u32) -> status;
        /// Another one for the converter: `bytes` of format.
        9 SetDeviceFormat as set_device_format(node: u32, format: In<'_, KSDATAFORMAT>, bytes: u32) -> status;
        /// A KSMULTIPLE_ITEM and the formats that the converter can get.
        10 GetSupportedDeviceFormats as get_supported_device_formats(node: u32, formats: *mut c_void, room: u32) -> status;
        /// How many channels have the attribute.
        11 GetDeviceChannelCount as get_device_channel_count(node: u32, target: eChannelTargetType, channels: Out<'_, u32>) -> status;
        /// Range and step of the attribute, one for each channel; `bytes` of room.
        12 GetDeviceAttributeSteppings as get_device_attribute_steppings(
            node: u32, target: eChannelTargetType, steppings: *mut KSPROPERTY_STEPPING_LONG, bytes: u32,
        ) -> status;
        /// Volume of a channel, 1/65536 dB.
        13 GetDeviceChannelVolume as get_device_channel_volume(node: u32, channel: u32, volume: Out<'_, i32>) -> status;
        /// Another one.
        14 SetDeviceChannelVolume as set_device_channel_volume(node: u32, channel: u32, volume: i32) -> status;
        /// Whether a channel is mute.
        15 GetDeviceChannelMute as get_device_channel_mute(node: u32, channel: u32, mute: Out<'_, i32>) -> status;
        /// Mutes it or not.
        16 SetDeviceChannelMute as set_device_channel_mute(node: u32, channel: u32, mute: i32) -> status;
        /// The channel's peak.
        17 GetDeviceChannelPeakMeter as get_device_channel_peak_meter(node: u32, channel: u32, peak: Out<'_, i32>) -> status;
        /// The least and the greatest offload buffer for a format, in bytes, as things are now.
        18 GetBufferSizeRange as get_buffer_size_range(
            node: u32, format: In<'_, KSDATAFORMAT>, range: Out<'_, KSAUDIOENGINE_BUFFER_SIZE_RANGE>,
        ) -> status;
    }

    /// An offloaded stream's part of the audio engine; found by `query` on a stream.
    IMiniportStreamAudioEngineNode: IUnknown, "BD6EEB4B-E6E5-40FD-8D5A-5B1DCDE20C42", implemented as MiniportStreamAudioEngineNode: ComClass, table IMiniportStreamAudioEngineNodeVtbl {
        /// Whether the stream's local effects work.
        3 GetLfxState as get_lfx_state(enabled: Out<'_, i32>) -> status;
        /// Lets them work or not.
        4 SetLfxState as set_lfx_state(enabled: i32) -> status;
        /// How many channels have the attribute.
        5 GetStreamChannelCount as get_stream_channel_count(target: eChannelTargetType, channels: Out<'_, u32>) -> status;
        /// Range and step of the attribute, one for each channel; `bytes` of room.
        6 GetStreamAttributeSteppings as get_stream_attribute_steppings(
            target: eChannelTargetType, steppings: *mut KSPROPERTY_STEPPING_LONG, bytes: u32,
        ) -> status;
        /// Volume of a channel, 1/65536 dB.
        7 GetStreamChannelVolume as get_stream_channel_volume(channel: u32, volume: Out<'_, i32>) -> status;
        /// Another one, along a curve of `duration` (100 ns).
        8 SetStreamChannelVolume as set_stream_channel_volume(channel: u32, volume: i32, curve: AUDIO_CURVE_TYPE, duration: u64) -> status;
        /// Whether a channel is mute.
        9 GetStreamChannelMute as get_stream_channel_mute(channel: u32, mute: Out<'_, i32>) -> status;
        /// Mutes it or not.
        10 SetStreamChannelMute as set_stream_channel_mute(channel: u32, mute: i32) -> status;
        /// The channel's peak.
        11 GetStreamChannelPeakMeter as get_stream_channel_peak_meter(channel: u32, peak: Out<'_, i32>) -> status;
        /// Frames that left the speaker, and when.
        12 GetStreamPresentationPosition as get_stream_presentation_position(position: Out<'_, KSAUDIO_PRESENTATION_POSITION>) -> status;
        /// Up to which byte of the cyclic buffer the client has written.
        13 SetStreamCurrentWritePosition as set_stream_current_write_position(position: u32) -> status;
        /// Bytes that DMA has fetched since the stream began.
        14 GetStreamLinearBufferPosition as get_stream_linear_buffer_position(position: Out<'_, u64>) -> status;
        /// Whether the loopback pin may have what this stream plays.
        15 SetStreamLoopbackProtection as set_stream_loopback_protection(protection: CONSTRICTOR_OPTION) -> status;
    }

    /// The end of an offloaded stream; found by `query` on a stream. Windows 8.1.
    IMiniportStreamAudioEngineNode2: IUnknown, "AEB7F86A-6CBA-44CF-A2D2-B3FA5B696817", implemented as MiniportStreamAudioEngineNode2: ComClass, table IMiniportStreamAudioEngineNode2Vtbl {
        /// The same as SetStreamCurrentWritePosition for the last, perhaps partial, buffer: the client is
        /// told when its last byte has been rendered, not when it has been fetched.
        3 SetStreamCurrentWritePositionForLastBuffer as set_stream_current_write_position_for_last_buffer(position: u32) -> status;
    }
}
