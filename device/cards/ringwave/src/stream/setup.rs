//! How a stream is set up: the registers that can be written in STOP, and what they come to at ACQUIRE.
//! DATASHEET 4 and 5.1.

use super::format_register::sample_format;
use ringwave_audio::StreamFormat;
use ringwave_engine::stream::params::{BufferGeometry, BurstFrames, Direction, StreamParams};
use ringwave_engine::stream::validity::Validity;
use ringwave_regs::error::Error;
use ringwave_regs::{format, global, stream as regs};

/// What a card's streams can do.
#[derive(Clone, Copy, Debug)]
pub struct Capabilities {
    /// Sample formats: bit n = code n.
    pub formats: u32,
    /// Rates: bits of [`format::RATES`].
    pub rates: u32,
    /// Most channels.
    pub channels_max: u32,
    /// Most packets per cyclic buffer.
    pub packets_max: u32,
    /// The stream captures.
    pub capture: bool,
    /// It has MUTE and the volumes.
    pub volume: bool,
}

impl Capabilities {
    fn has_format(self, value: u32) -> bool {
        let code = 1_u32.checked_shl(format::code(value)).unwrap_or(0);
        self.formats & code != 0 && (1..=self.channels_max).contains(&format::channels(value))
    }

    /// Whether the feature behind the register at `offset` is there. Every card of this crate has the others.
    pub(super) fn has_register(self, offset: u32) -> bool {
        match offset {
            regs::EOS => !self.capture,
            regs::MUTE | regs::VOLUME_0..=regs::VOLUME_7 => self.volume,
            _ => true,
        }
    }

    fn has_rate(self, rate: u32) -> bool {
        self.rates & format::rate_bit(rate) != 0
    }
}

/// The registers "W in STOP". They keep their values until they are written again or the function is reset.
#[derive(Clone, Copy, Debug, Default)]
pub struct Setup {
    /// FORMAT: 0 = never set.
    pub format: u32,
    /// RATE: 0 = never set.
    pub rate: u32,
    /// `RING_BYTES`
    pub ring_bytes: u32,
    /// PACKETS
    pub packets: u32,
    /// `DMA_MODE`
    pub dma_mode: u32,
    /// `SG_ENTRIES`
    pub sg_entries: u32,
    /// `DMA_ADDR_LO`, `DMA_ADDR_HI`
    pub dma_addr: [u32; 2],
}

impl Setup {
    /// The address of the buffer or of the table.
    pub fn dma_addr(&self) -> u64 {
        let [low, high] = self.dma_addr;
        u64::from(low) | u64::from(high) << 32
    }

    /// Value of the register at `offset` in the stream's block, if it is one of these.
    pub fn read(&self, offset: u32) -> Option<u32> {
        Some(match offset {
            regs::FORMAT => self.format,
            regs::RATE => self.rate,
            regs::RING_BYTES => self.ring_bytes,
            regs::PACKETS => self.packets,
            regs::DMA_MODE => self.dma_mode,
            regs::SG_ENTRIES => self.sg_entries,
            regs::DMA_ADDR_LO => self.dma_addr[0],
            regs::DMA_ADDR_HI => self.dma_addr[1],
            _ => return None,
        })
    }

    /// Writes the register at `offset`, which is one of these ([`Error::BadAccess`] if not). The caller has
    /// seen to it that the stream is in STOP.
    pub fn write(&mut self, offset: u32, value: u32, caps: Capabilities) -> Result<(), Error> {
        match offset {
            regs::FORMAT => {
                // Bits 31:16 are reserved.
                let value = value & 0xFFFF;
                if !caps.has_format(value) {
                    return Err(Error::BadFormat);
                }
                self.format = value;
            }
            regs::RATE if !caps.has_rate(value) => return Err(Error::BadRate),
            regs::RATE => self.rate = value,
            regs::RING_BYTES => self.ring_bytes = value,
            regs::PACKETS => self.packets = value,
            regs::DMA_MODE if value > regs::DMA_MODE_SCATTER_GATHER => return Err(Error::NotSupported),
            regs::DMA_MODE => self.dma_mode = value,
            regs::SG_ENTRIES => self.sg_entries = value,
            regs::DMA_ADDR_LO => self.dma_addr[0] = value,
            regs::DMA_ADDR_HI => self.dma_addr[1] = value,
            _ => return Err(Error::BadAccess),
        }
        Ok(())
    }

    /// The checks of ACQUIRE, in the order of DATASHEET 5.1.
    pub fn params(&self, caps: Capabilities) -> Result<StreamParams, Error> {
        if !caps.has_format(self.format) {
            return Err(Error::BadFormat);
        }
        if !caps.has_rate(self.rate) {
            return Err(Error::BadRate);
        }
        if !(1..=caps.packets_max).contains(&self.packets) {
            return Err(Error::BadPackets);
        }
        let format = StreamFormat {
            sample: sample_format(format::code(self.format)).ok_or(Error::BadFormat)?,
            channels: format::channels(self.format),
            rate: self.rate,
        };
        let frame_bytes = format.frame_bytes();
        let unit = frame_bytes.checked_mul(self.packets).filter(|&unit| unit > 0).ok_or(Error::BadFormat)?;
        let fits = (1..=global::RING_BYTES_MAX_VALUE).contains(&self.ring_bytes);
        if !fits || !self.ring_bytes.is_multiple_of(unit) {
            return Err(Error::BadRing);
        }
        let packet_frames = self.ring_bytes.checked_div(unit).unwrap_or(0);
        if packet_frames < regs::packet_frames_min(self.rate) {
            return Err(Error::BadPackets);
        }
        let burst_frames = |millis| regs::burst_frames(self.rate, packet_frames, millis);
        Ok(StreamParams {
            direction: if caps.capture { Direction::Capture } else { Direction::Render },
            geometry: BufferGeometry {
                format,
                frame_bytes,
                ring_bytes: self.ring_bytes,
                packets: self.packets,
                packet_frames,
            },
            bursts: BurstFrames {
                unmarked: regs::fifo_frames(self.rate, packet_frames),
                valid: burst_frames(regs::WRITTEN_BURST_MILLIS),
                late: burst_frames(regs::LATE_BURST_MILLIS),
            },
            validity: Validity::Unmarked,
        })
    }
}
