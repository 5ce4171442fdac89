//! The names that the driver and its INF must spell alike, in one place.

use nt::wide;
use portcls_sys::GUID;

use crate::hw::{Direction, STREAMS_MAX};

/// `REG_DWORD` under the device's hardware key: 1 asks for a physically contiguous cyclic buffer instead of
/// scatter-gather.
pub static CONTIGUOUS_BUFFER: &[u16] = wide!("ContiguousBuffer");
/// `REG_DWORD` under the device's hardware key: 1 lets a card with a lockstep clock wait for SetWritePacket
/// and GetReadPacket.
pub static LOCKSTEP: &[u16] = wide!("Lockstep");
/// `REG_DWORD` under the device's hardware key: 1 lets clients map the position page of their stream.
pub static POSITION_REGISTER: &[u16] = wide!("PositionRegister");

/// `REG_DWORD` under the device's hardware key: 1 lets every host pin list both signal-processing modes,
/// DEFAULT and RAW.
pub static BOTH_MODES: &[u16] = wide!("Modes");

/// `REG_DWORD` under the device's hardware key: the shortest packet that shared clients get, in microseconds,
/// 0: as [`crate::entry::constraints`] says.
pub static PACKET_MICROSECONDS: &[u16] = wide!("PacketMicroseconds");

/// `REG_DWORD` under the device's hardware key: frames per second of the default format, 0: as
/// [`crate::default_format`] says.
pub static DEFAULT_SAMPLE_RATE: &[u16] = wide!("DefaultSampleRate");
/// The same for its bits: 16, 24 (in 32) or 32.
pub static DEFAULT_BITS: &[u16] = wide!("DefaultBits");
/// The same for the channels of speakers.
pub static SPEAKER_CHANNELS: &[u16] = wide!("SpeakerChannels");
/// The same for those of a microphone.
pub static MICROPHONE_CHANNELS: &[u16] = wide!("MicrophoneChannels");

/// How many endpoints of each direction the INF lists. Those beyond it work, but the INF gives them no
/// `FriendlyName`, no class for ksproxy and no word that they can be driven by events.
pub const IN_THE_INF: usize = 4;

/// Names of the jacks of the second to fourth speakers: GUIDs of our own, for which the INF gives a text in
/// the device's own registry key (MediaCategories there counts since Windows 10 1809, the oldest that the INF
/// takes: *Friendly Names for Audio Endpoint Devices*).
pub static SPEAKER_JACKS: [GUID; IN_THE_INF - 1] = [
    GUID::parse("D4038465-41AE-4C02-8212-AAB15FC46AF1"),
    GUID::parse("AF619730-1A91-4DDA-870E-FC586029F946"),
    GUID::parse("93E1A2F6-9D1E-45E2-AE17-A9BD0D6CBDE2"),
];
/// The same of microphones.
pub static MICROPHONE_JACKS: [GUID; IN_THE_INF - 1] = [
    GUID::parse("952D8BAC-9E51-43D7-9999-5CF5A98E6C9E"),
    GUID::parse("AB9B6884-2EDE-4687-979B-95B345AA1C56"),
    GUID::parse("EE5FB635-BCD6-4B95-9189-0EAE5AF7744B"),
];

/// Names of one endpoint's subdevices: the third field of `AddInterface` in the INF, and the KS reference
/// strings. PortCls keeps the pointers, so they are static.
#[derive(Clone, Copy)]
pub struct Names {
    /// The wave filter.
    pub wave: &'static [u16],
    /// The topology filter.
    pub topology: &'static [u16],
}

/// Speakers, in the order of the card's render streams.
pub static SPEAKERS: [Names; STREAMS_MAX as usize] = [
    Names { wave: wide!("Wave"), topology: wide!("Topology") },
    Names { wave: wide!("Wave2"), topology: wide!("Topology2") },
    Names { wave: wide!("Wave3"), topology: wide!("Topology3") },
    Names { wave: wide!("Wave4"), topology: wide!("Topology4") },
    Names { wave: wide!("Wave5"), topology: wide!("Topology5") },
    Names { wave: wide!("Wave6"), topology: wide!("Topology6") },
    Names { wave: wide!("Wave7"), topology: wide!("Topology7") },
    Names { wave: wide!("Wave8"), topology: wide!("Topology8") },
    Names { wave: wide!("Wave9"), topology: wide!("Topology9") },
    Names { wave: wide!("Wave10"), topology: wide!("Topology10") },
    Names { wave: wide!("Wave11"), topology: wide!("Topology11") },
    Names { wave: wide!("Wave12"), topology: wide!("Topology12") },
    Names { wave: wide!("Wave13"), topology: wide!("Topology13") },
    Names { wave: wide!("Wave14"), topology: wide!("Topology14") },
    Names { wave: wide!("Wave15"), topology: wide!("Topology15") },
    Names { wave: wide!("Wave16"), topology: wide!("Topology16") },
];

/// Microphones, in the order of the card's capture streams.
pub static MICROPHONES: [Names; STREAMS_MAX as usize] = [
    Names { wave: wide!("WaveIn"), topology: wide!("TopologyIn") },
    Names { wave: wide!("WaveIn2"), topology: wide!("TopologyIn2") },
    Names { wave: wide!("WaveIn3"), topology: wide!("TopologyIn3") },
    Names { wave: wide!("WaveIn4"), topology: wide!("TopologyIn4") },
    Names { wave: wide!("WaveIn5"), topology: wide!("TopologyIn5") },
    Names { wave: wide!("WaveIn6"), topology: wide!("TopologyIn6") },
    Names { wave: wide!("WaveIn7"), topology: wide!("TopologyIn7") },
    Names { wave: wide!("WaveIn8"), topology: wide!("TopologyIn8") },
    Names { wave: wide!("WaveIn9"), topology: wide!("TopologyIn9") },
    Names { wave: wide!("WaveIn10"), topology: wide!("TopologyIn10") },
    Names { wave: wide!("WaveIn11"), topology: wide!("TopologyIn11") },
    Names { wave: wide!("WaveIn12"), topology: wide!("TopologyIn12") },
    Names { wave: wide!("WaveIn13"), topology: wide!("TopologyIn13") },
    Names { wave: wide!("WaveIn14"), topology: wide!("TopologyIn14") },
    Names { wave: wide!("WaveIn15"), topology: wide!("TopologyIn15") },
    Names { wave: wide!("WaveIn16"), topology: wide!("TopologyIn16") },
];

/// The names of endpoint number `index` (from 0) of a direction.
pub fn endpoint(direction: Direction, index: usize) -> Option<Names> {
    let names = match direction {
        Direction::Render => &SPEAKERS,
        Direction::Capture => &MICROPHONES,
    };
    names.get(index).copied()
}
