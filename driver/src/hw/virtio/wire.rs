//! What a sound device is told and answers, as bytes: virtio 1.2, 5.14.6. Little-endian.

use crate::hw::Direction;
use crate::hw::format::{AudioFormat, CHANNELS_MAX, Capabilities, RATES, SampleFormat, rate_bit};

/// Bytes of the answer's head, and of a query's items.
pub const STATUS_BYTES: usize = 4;
/// virtio_snd_pcm_info.
pub const PCM_INFO_BYTES: usize = 32;
/// virtio_snd_jack_info.
pub const JACK_INFO_BYTES: usize = 24;
/// virtio_snd_chmap_info.
pub const CHMAP_INFO_BYTES: usize = 24;
/// virtio_snd_event.
pub const EVENT_BYTES: u32 = 8;
/// virtio_snd_pcm_xfer.
pub const XFER_BYTES: u32 = 4;
/// virtio_snd_pcm_status.
pub const PCM_STATUS_BYTES: u32 = 8;

/// Codes of requests.
pub mod code {
    /// VIRTIO_SND_R_JACK_INFO.
    pub const JACK_INFO: u32 = 1;
    /// VIRTIO_SND_R_PCM_INFO.
    pub const PCM_INFO: u32 = 0x100;
    /// VIRTIO_SND_R_PCM_SET_PARAMS.
    pub const SET_PARAMS: u32 = 0x101;
    /// VIRTIO_SND_R_PCM_PREPARE.
    pub const PREPARE: u32 = 0x102;
    /// VIRTIO_SND_R_PCM_RELEASE.
    pub const RELEASE: u32 = 0x103;
    /// VIRTIO_SND_R_PCM_START.
    pub const START: u32 = 0x104;
    /// VIRTIO_SND_R_PCM_STOP.
    pub const STOP: u32 = 0x105;
    /// VIRTIO_SND_R_CHMAP_INFO.
    pub const CHMAP_INFO: u32 = 0x200;
}

/// VIRTIO_SND_EVT_JACK_CONNECTED.
pub const JACK_CONNECTED: u32 = 0x1000;
/// VIRTIO_SND_EVT_JACK_DISCONNECTED.
pub const JACK_DISCONNECTED: u32 = 0x1001;

/// VIRTIO_SND_S_OK.
pub const OK: u32 = 0x8000;

/// The name of a status.
pub const fn status_name(status: u32) -> &'static str {
    match status {
        OK => "OK",
        0x8001 => "BAD_MSG",
        0x8002 => "NOT_SUPP",
        0x8003 => "IO_ERR",
        _ => "a status that does not exist",
    }
}

/// Puts words behind each other.
fn words<const N: usize>(words: &[u32]) -> [u8; N] {
    let mut bytes = [0; N];
    for (to, from) in bytes.chunks_exact_mut(4).zip(words) {
        to.copy_from_slice(&from.to_le_bytes());
    }
    bytes
}

/// virtio_snd_query_info of one item of so many bytes.
pub fn query(code: u32, item: u32, item_bytes: usize) -> [u8; 16] {
    words(&[code, item, 1, u32::try_from(item_bytes).unwrap_or(0)])
}

/// virtio_snd_pcm_hdr: a request about a stream that says no more.
pub fn pcm(code: u32, stream: u32) -> [u8; 8] {
    words(&[code, stream])
}

/// virtio_snd_pcm_set_params. No feature of the stream is selected.
pub fn set_params(stream: u32, buffer_bytes: u32, period_bytes: u32, format: AudioFormat) -> [u8; 24] {
    let channels = u8::try_from(format.channels).unwrap_or(u8::MAX);
    let last = u32::from_le_bytes([channels, format_code(format.sample), rate_code(format.rate), 0]);
    words(&[code::SET_PARAMS, stream, buffer_bytes, period_bytes, 0, last])
}

/// VIRTIO_SND_PCM_FMT_*. 24 bits in the upper end of 32 are S32 to a device; its S24 has them in the lower
/// end, where Windows never has them.
const fn format_code(sample: SampleFormat) -> u8 {
    match sample {
        SampleFormat::S16 => 5,
        SampleFormat::S24In32 | SampleFormat::S32 => 17,
        SampleFormat::F32 => 19,
    }
}

/// VIRTIO_SND_PCM_RATE_*: rates in Hz and their codes. The last two are of virtio 1.4.
const RATE_CODES: [(u32, u8); 15] = [
    (8_000, 1),
    (11_025, 2),
    (16_000, 3),
    (22_050, 4),
    (32_000, 5),
    (44_100, 6),
    (48_000, 7),
    (64_000, 8),
    (88_200, 9),
    (96_000, 10),
    (176_400, 11),
    (192_000, 12),
    (384_000, 13),
    (12_000, 14),
    (24_000, 15),
];

/// `u8::MAX` for a rate that no device has.
fn rate_code(rate: u32) -> u8 {
    RATE_CODES.iter().find(|(hz, _)| *hz == rate).map_or(u8::MAX, |(_, code)| *code)
}

/// What the driver takes of virtio_snd_pcm_info.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PcmInfo {
    /// The function group node: what belongs together has the same.
    pub node: u32,
    /// Which way sound goes.
    pub direction: Direction,
    /// The formats of it that this driver has.
    pub can: Capabilities,
    /// The least number of channels.
    pub channels_min: u32,
}

impl PcmInfo {
    /// Reads it; `None` for a direction that does not exist.
    pub fn parse(bytes: &[u8; PCM_INFO_BYTES]) -> Option<Self> {
        let (formats, rates) = (u64_at(bytes, 8)?, u64_at(bytes, 16)?);
        let direction = direction(*bytes.get(24)?)?;
        let has = |code: u8, bits: u64| bits >> code & 1 != 0;
        let sample_bits = SampleFormat::ALL.into_iter().filter(|sample| has(format_code(*sample), formats));
        let rate_bits = RATE_CODES.iter().filter(|(_, code)| has(*code, rates));
        let can = Capabilities {
            samples: sample_bits.fold(0, |bits, sample| bits | sample.bit()),
            rates: rate_bits.fold(0, |bits, (rate, _)| bits | rate_bit(*rate)),
            channels_max: u32::from(*bytes.get(26)?).min(CHANNELS_MAX),
        };
        Some(Self { node: u32_at(bytes, 0)?, direction, can, channels_min: u32::from(*bytes.get(25)?) })
    }

    /// Whether a client could open it.
    pub const fn is_usable(&self) -> bool {
        self.can.samples != 0
            && self.can.rates != 0
            && self.can.channels_max > 0
            && self.channels_min <= self.can.channels_max
    }
}

const _: () = assert!(RATE_CODES.len() == RATES.len());

/// What the driver takes of virtio_snd_jack_info.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JackInfo {
    /// The function group node.
    pub node: u32,
    /// Something is plugged in.
    pub connected: bool,
}

impl JackInfo {
    /// Reads it.
    pub fn parse(bytes: &[u8; JACK_INFO_BYTES]) -> Option<Self> {
        Some(Self { node: u32_at(bytes, 0)?, connected: *bytes.get(16)? != 0 })
    }
}

/// virtio_snd_chmap_info: where the channels of the streams of a node are heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelMap {
    /// The function group node.
    pub node: u32,
    /// Of streams of this direction.
    pub direction: Direction,
    /// How many channels.
    pub channels: u32,
    /// It is the order of WAV files, in which Windows has channels.
    pub is_wave_order: bool,
}

/// Positions by the number of channels, in the order of WAV files, as KSAUDIO_SPEAKER_* has them: FL 3, FR 4,
/// RL 5, RR 6, FC 7, LFE 8, SL 9, SR 10. Of 4 and 6 channels the last two are at the back or at the sides.
const WAVE_ORDERS: [&[u8]; 8] = [
    &[2],
    &[7],
    &[3, 4],
    &[3, 4, 5, 6],
    &[3, 4, 9, 10],
    &[3, 4, 7, 8, 5, 6],
    &[3, 4, 7, 8, 9, 10],
    &[3, 4, 7, 8, 5, 6, 9, 10],
];

impl ChannelMap {
    /// Reads it; `None` for a direction that does not exist.
    pub fn parse(bytes: &[u8; CHMAP_INFO_BYTES]) -> Option<Self> {
        let channels = *bytes.get(5)?;
        let positions = bytes.get(6..)?.get(..usize::from(channels))?;
        // None, not applicable: nobody says where they are.
        let unknown = positions.iter().all(|position| *position <= 1);
        Some(Self {
            node: u32_at(bytes, 0)?,
            direction: direction(*bytes.get(4)?)?,
            channels: channels.into(),
            is_wave_order: unknown || WAVE_ORDERS.contains(&positions),
        })
    }
}

/// VIRTIO_SND_D_*.
const fn direction(code: u8) -> Option<Direction> {
    match code {
        0 => Some(Direction::Render),
        1 => Some(Direction::Capture),
        _ => None,
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As QEMU 11.1 announces its streams.
    fn qemu_info() -> [u8; PCM_INFO_BYTES] {
        let mut info = [0; PCM_INFO_BYTES];
        info[8..16].copy_from_slice(&0xE_0078_u64.to_le_bytes());
        info[16..24].copy_from_slice(&0x3FFF_u64.to_le_bytes());
        info[24..27].copy_from_slice(&[0, 1, 2]);
        info
    }

    #[test]
    fn what_a_stream_announces_is_what_both_have() {
        let info = PcmInfo::parse(&qemu_info()).unwrap();
        assert_eq!((info.direction, info.channels_min, info.can.channels_max), (Direction::Render, 1, 2));
        assert!(SampleFormat::ALL.into_iter().all(|sample| info.can.has(sample)));
        // Of the rates all but those of virtio 1.4.
        let missing: Vec<u32> = RATES.into_iter().filter(|rate| !info.can.has_rate(*rate)).collect();
        assert_eq!(missing, [12_000, 24_000]);
        assert!(info.is_usable());
        let mut other = qemu_info();
        other[8..16].copy_from_slice(&(1_u64 << 5 | 1 << 15).to_le_bytes());
        assert_eq!(PcmInfo::parse(&other).unwrap().can.samples, SampleFormat::S16.bit(), "S24 is no S24In32");
        other[8..16].fill(0);
        assert!(!PcmInfo::parse(&other).unwrap().is_usable());
        let mut other = qemu_info();
        other[24..27].copy_from_slice(&[1, 4, 16]);
        let info = PcmInfo::parse(&other).unwrap();
        assert_eq!((info.direction, info.channels_min, info.can.channels_max), (Direction::Capture, 4, 8));
        other[24] = 2;
        assert_eq!(PcmInfo::parse(&other), None);
    }

    #[test]
    fn parameters_lie_as_the_specification_has_them() {
        let format = AudioFormat { sample: SampleFormat::S24In32, channels: 2, rate: 48_000 };
        let bytes = set_params(3, 0x1_0000, 0x4000, format);
        assert_eq!(
            bytes,
            [1, 1, 0, 0, 3, 0, 0, 0, 0, 0, 1, 0, 0, 0x40, 0, 0, 0, 0, 0, 0, 2, 17, 7, 0],
            "code, stream, buffer, period, features, channels, S32, 48 kHz"
        );
        assert_eq!(query(code::PCM_INFO, 5, 32), [0, 1, 0, 0, 5, 0, 0, 0, 1, 0, 0, 0, 32, 0, 0, 0]);
        assert_eq!(pcm(code::START, 2), [4, 1, 0, 0, 2, 0, 0, 0]);
    }

    #[test]
    fn a_channel_map_is_in_the_order_of_wav_files_or_not() {
        let map = |positions: &[u8]| {
            let mut bytes = [0; CHMAP_INFO_BYTES];
            bytes[0..6].copy_from_slice(&[9, 0, 0, 0, 1, u8::try_from(positions.len()).unwrap()]);
            bytes[6..6 + positions.len()].copy_from_slice(positions);
            ChannelMap::parse(&bytes).unwrap()
        };
        let expected =
            ChannelMap { node: 9, direction: Direction::Capture, channels: 2, is_wave_order: true };
        assert_eq!(map(&[3, 4]), expected);
        assert!(map(&[3, 4, 7, 8, 5, 6]).is_wave_order && map(&[0, 0, 0]).is_wave_order);
        assert!(!map(&[3, 4, 5, 6, 7, 8]).is_wave_order, "ALSA's order of 5.1");
        let mut bytes = [0; CHMAP_INFO_BYTES];
        bytes[5] = 19;
        assert_eq!(ChannelMap::parse(&bytes), None, "more than it has room for");
    }

    #[test]
    fn every_rate_has_a_code_of_its_own() {
        let mut codes: Vec<u8> = RATES.into_iter().map(rate_code).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!((codes.len(), codes.contains(&u8::MAX)), (15, false));
    }
}
