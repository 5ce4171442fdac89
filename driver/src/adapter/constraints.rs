//! Packet-size constraints: packets may be as short as 1 ms. Without them the audio engine uses 10 ms. wavert-facts 4.9.
//!
//! They are a property of the wave filter's KSCATEGORY_AUDIO interface and must be there before PcRegisterSubdevice enables it.
//! IoRegisterDeviceInterface with the class and reference string that PortCls will use names that interface; registering it twice is
//! documented to give the same one, and Microsoft's sample does it in the same order. Not tried on Windows.

use nt::status::STATUS_NOT_SUPPORTED;
use nt::sys::DEVICE_OBJECT;
use portcls_sys::calls::interface_property::{
    DEVPKEY_KsAudio_PacketSize_Constraints2, set_interface_property,
};
use portcls_sys::guid::KSCATEGORY_AUDIO;

/// The shortest packet, in 100 ns: 1 ms. The card takes `max(8, rate / 1000)` frames (DATASHEET 5.1), which is 1 ms at every rate it has.
const PACKET_PERIOD_MIN: u32 = 10_000;
/// Bytes of a KSAUDIO_PACKETSIZE_CONSTRAINTS2 with its one element, used or not.
const BYTES: usize = 40;

/// KSAUDIO_PACKETSIZE_CONSTRAINTS2: shortest period, alignment (FILE_BYTE_ALIGNMENT: any), longest packet in bytes (0: no limit), number
/// of modes with constraints of their own (none; room for one stays zero).
fn constraints() -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    if let Some(period) = bytes.first_chunk_mut() {
        *period = PACKET_PERIOD_MIN.to_le_bytes();
    }
    bytes
}

/// Tells it of the wave filter `name`. A failure is no reason not to start: packets are longer, then. PASSIVE_LEVEL.
///
/// # Safety
/// `pdo` is the physical device object of a device of this driver, being started.
pub unsafe fn announce(pdo: *mut DEVICE_OBJECT, name: &'static [u16]) {
    let key = &DEVPKEY_KsAudio_PacketSize_Constraints2;
    // SAFETY: by contract.
    match unsafe { set_interface_property(pdo, &KSCATEGORY_AUDIO, name, key, &constraints()) } {
        Ok(()) => {}
        Err(STATUS_NOT_SUPPORTED) => log::info!("this Windows has no packet-size constraints"),
        Err(status) => log::warn!("packet-size constraints can't be set: {status:#010x}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_may_be_one_millisecond_and_nothing_else_is_constrained() {
        let bytes = constraints();
        assert_eq!(bytes[..4], [0x10, 0x27, 0, 0]);
        assert_eq!(bytes[4..], [0; 36]);
    }

    #[test]
    fn a_windows_without_them_starts_all_the_same() {
        // The host's kernel has no such calls.
        // SAFETY: nothing is called with it.
        unsafe { announce(core::ptr::null_mut(), nt::wide!("Wave")) };
    }
}
