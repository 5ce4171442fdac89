//! Packet-size constraints: how short packets may be. Without them the audio engine uses 10 ms.
//! WAVERT.md 4.9.
//!
//! They are a property of the wave filter's KSCATEGORY_AUDIO interface and must be there before
//! PcRegisterSubdevice enables it. IoRegisterDeviceInterface with the class and reference string that PortCls
//! will use names that interface; registering it twice is documented to give the same one, and Microsoft's
//! sample does it in the same order.
//!
//! Without an entry for the mode they have no effect on Windows 11, and an entry that equals the minimum is
//! ignored; with one, the mode's period is the shortest that clients get (WAVERT.md 4.9; others
//! saw this, it was not tried here). So there is one for each mode that the pin lists, strictly above the
//! minimum. *Doubt*: what was seen is an entry for DEFAULT; whether one for RAW alone, which is all that a
//! capture pin lists, has an effect nobody has seen. So DEFAULT has an entry there too: no stream runs in a
//! mode that the pin does not list, and an entry for it costs 24 bytes.

use nt::sys::DEVICE_OBJECT;
use portcls_sys::GUID;
use portcls_sys::calls::interface_property::{
    DEVPKEY_KsAudio_PacketSize_Constraints2, set_interface_property,
};
use portcls_sys::guid::{
    AUDIO_SIGNALPROCESSINGMODE_DEFAULT, AUDIO_SIGNALPROCESSINGMODE_RAW, KSCATEGORY_AUDIO,
};

use crate::hw::Direction;
use crate::registry::{MIN_PACKET_PERIOD, ModePeriod};
use crate::wave::modes;

/// Bytes of a KSAUDIO_PACKETSIZE_CONSTRAINTS2 before its array.
const HEAD: usize = 16;
/// Bytes of a KSAUDIO_PACKETSIZE_PROCESSINGMODE_CONSTRAINT.
const ENTRY: usize = 24;
/// The modes that there are.
const MODES: [GUID; 2] = [AUDIO_SIGNALPROCESSINGMODE_DEFAULT, AUDIO_SIGNALPROCESSINGMODE_RAW];

/// A KSAUDIO_PACKETSIZE_CONSTRAINTS2: how many of its bytes count, and room for every mode.
struct Constraints {
    bytes: [u8; HEAD + ENTRY * MODES.len()],
    length: usize,
}

impl Constraints {
    /// Of a host pin that lists `modes`.
    fn new(modes: &[GUID], period: ModePeriod) -> Self {
        let has_entry = |mode: &GUID| *mode == AUDIO_SIGNALPROCESSINGMODE_DEFAULT || modes.contains(mode);
        let entries = MODES.iter().filter(|mode| has_entry(mode));
        let count = entries.clone().count();
        let mut constraints =
            Self { bytes: [0; _], length: HEAD.saturating_add(ENTRY.saturating_mul(count)) };
        let (head, array) = constraints.bytes.split_at_mut(HEAD);
        // Shortest period, alignment (FILE_BYTE_ALIGNMENT: any), longest packet in bytes (0: no limit),
        // entries.
        let words = [MIN_PACKET_PERIOD, 0, 0, u32::try_from(count).unwrap_or(0)];
        head.copy_from_slice(words.map(u32::to_le_bytes).as_flattened());
        for (entry, mode) in array.chunks_exact_mut(ENTRY).zip(entries) {
            let (name, words) = entry.split_at_mut(16);
            name.copy_from_slice(&mode.to_bytes());
            // SamplesPerProcessingPacket (0: the duration counts), ProcessingPacketDurationInHns.
            words.copy_from_slice([0, period.hns()].map(u32::to_le_bytes).as_flattened());
        }
        constraints
    }

    fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

/// Tells them of the wave filter `name` of an endpoint; `both_modes`: its host pin lists both. A failure is
/// no reason not to start: packets are longer, then. PASSIVE_LEVEL.
///
/// # Safety
/// `pdo` is the physical device object of a device of this driver, being started.
pub unsafe fn announce(
    pdo: *mut DEVICE_OBJECT,
    name: &'static [u16],
    direction: Direction,
    both_modes: bool,
    period: ModePeriod,
) {
    let key = &DEVPKEY_KsAudio_PacketSize_Constraints2;
    let constraints = Constraints::new(modes::listed(direction, both_modes), period);
    // SAFETY: by contract.
    let set = unsafe { set_interface_property(pdo, &KSCATEGORY_AUDIO, name, key, constraints.as_slice()) };
    if let Err(status) = set {
        log::warn!("packet-size constraints can't be set: {status:#010x}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_mode_has_an_entry_above_the_minimum() {
        let (default, raw) = (AUDIO_SIGNALPROCESSINGMODE_DEFAULT, AUDIO_SIGNALPROCESSINGMODE_RAW);
        for (direction, both, entries) in [
            (Direction::Render, false, &[default][..]),
            (Direction::Capture, false, &[default, raw]),
            (Direction::Render, true, &[default, raw]),
            (Direction::Capture, true, &[default, raw]),
        ] {
            let listed = modes::listed(direction, both);
            let constraints = Constraints::new(listed, ModePeriod::default());
            let bytes = constraints.as_slice();
            assert_eq!(bytes.len(), 16 + 24 * entries.len());
            let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
            assert_eq!([4, 8, 12].map(word), [0, 0, u32::try_from(entries.len()).unwrap()]);
            let named: Vec<[u8; 16]> =
                bytes[16..].chunks_exact(24).map(|entry| *entry.first_chunk().unwrap()).collect();
            assert_eq!(named, entries.iter().map(GUID::to_bytes).collect::<Vec<_>>());
            assert!(listed.iter().all(|mode| named.contains(&mode.to_bytes())), "every listed mode");
            for entry in (16..bytes.len()).step_by(24) {
                assert_eq!(word(entry + 16), 0, "the duration counts");
                assert!(word(entry + 20) > word(0), "an entry that equals the minimum is ignored");
            }
        }
    }

    #[test]
    fn the_registry_sets_the_period_above_the_minimum_and_up_to_what_packets_have_without() {
        let period = |micros| {
            let default = &[AUDIO_SIGNALPROCESSINGMODE_DEFAULT];
            let constraints = Constraints::new(default, ModePeriod::from_micros(micros));
            u32::from_le_bytes(constraints.as_slice()[36..40].try_into().unwrap())
        };
        assert_eq!([0, 1_001, 2_000, 9_999, 10_000].map(period), [20_000, 10_010, 20_000, 99_990, 100_000]);
        for micros in [1, 999, 1_000, 10_001, u32::MAX / 10, u32::MAX] {
            assert_eq!(period(micros), 20_000, "{micros}");
        }
    }

    #[test]
    fn a_windows_without_them_starts_all_the_same() {
        // The host's kernel refuses the call.
        // SAFETY: nothing is called with it.
        unsafe {
            announce(
                core::ptr::null_mut(),
                nt::wide!("Wave"),
                Direction::Render,
                false,
                ModePeriod::default(),
            );
        };
    }
}
