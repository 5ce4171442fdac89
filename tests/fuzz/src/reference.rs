//! DATASHEET sections 5.8 and 6 once more, from its text alone and without a thought for speed: which slots a
//! table makes the card read, which errors may be told, and where each byte of the cyclic buffer lies; and
//! what a sample is at a volume.

use std::collections::BTreeSet;

use ringwave_regs::error::Error;
use ringwave_regs::global::SELFTEST_ENTRIES_MAX;

use crate::ram::Ram;

/// The buffer that a guest described.
#[derive(Clone, Copy, Debug)]
pub struct Described {
    /// `DMA_ADDR`, or the self-test's address.
    pub address: u64,
    /// The number of data entries; `None` = contiguous.
    pub entries: Option<u32>,
    /// The most entries that are allowed.
    pub entries_max: u32,
    /// `RING_BYTES`, or the self-test's length.
    pub bytes: u32,
    /// The card is to store to it.
    pub write: bool,
    /// `DMA_BITS`
    pub dma_bits: u32,
}

/// What the DATASHEET says of it.
#[derive(Debug, Default)]
pub struct Verdict {
    /// Codes of the errors that the card may tell; none = it is good.
    pub errors: BTreeSet<u32>,
    /// Addresses of the slots, in the order in which they are read. With an error the card may stop at any of
    /// them.
    pub slots: Vec<u64>,
    /// The address of every byte of the buffer, if it is good.
    pub buffer: Vec<u64>,
}

/// 6.2: what stands in one slot.
struct Slot {
    address: u64,
    length: u32,
    flags: u32,
}

impl Described {
    /// 6: a byte that the card can reach.
    fn reaches(&self, ram: &Ram, address: u64, write: bool) -> bool {
        let driven = self.dma_bits == 64 || address >> self.dma_bits == 0;
        driven && ram.byte(address, write).is_some()
    }

    fn slot(&self, ram: &Ram, at: u64) -> Result<Slot, Error> {
        if !at.is_multiple_of(16) {
            return Err(Error::SgLink);
        }
        let mut bytes = [0; 16];
        for (index, byte) in bytes.iter_mut().enumerate() {
            let address = at + index as u64;
            if !self.reaches(ram, address, false) {
                return Err(Error::DmaUnmapped);
            }
            *byte = ram.byte(address, false).ok_or(Error::DmaUnmapped)?;
        }
        let [a0, a1, a2, a3, a4, a5, a6, a7, l0, l1, l2, l3, f0, f1, f2, f3] = bytes;
        Ok(Slot {
            address: u64::from_le_bytes([a0, a1, a2, a3, a4, a5, a6, a7]),
            length: u32::from_le_bytes([l0, l1, l2, l3]),
            flags: u32::from_le_bytes([f0, f1, f2, f3]),
        })
    }

    /// The data entries, each a range, as far as the table can be followed.
    fn entries(&self, ram: &Ram, count: u32, verdict: &mut Verdict) -> Vec<(u64, u32)> {
        let mut data = Vec::new();
        let (mut at, mut linked) = (self.address, false);
        while data.len() < count as usize {
            let slot = match self.slot(ram, at) {
                Ok(slot) => slot,
                Err(error) => {
                    verdict.errors.insert(error.code());
                    return data;
                }
            };
            verdict.slots.push(at);
            let mut wrong = Vec::new();
            let link = slot.flags & 1 != 0;
            if slot.flags > 1 || !link && slot.length == 0 {
                wrong.push(Error::SgEntry);
            }
            if link && (slot.length != 0 || linked) {
                wrong.push(Error::SgLink);
            }
            if !wrong.is_empty() {
                verdict.errors.extend(wrong.into_iter().map(Error::code));
                return data;
            }
            linked = link;
            if link {
                at = slot.address;
                continue;
            }
            data.push((slot.address, slot.length));
            match at.checked_add(16) {
                Some(next) => at = next,
                None if data.len() == count as usize => {}
                // There is no next slot; what that is called the DATASHEET does not say.
                None => {
                    verdict.errors.extend([Error::SgLink.code(), Error::DmaUnmapped.code()]);
                    return data;
                }
            }
        }
        data
    }

    /// What the card is to make of it. Bus Master Enable is on.
    pub fn verdict(&self, ram: &Ram) -> Verdict {
        let mut verdict = Verdict::default();
        let data = match self.entries {
            None => vec![(self.address, self.bytes)],
            Some(count) if count == 0 || count > self.entries_max => {
                let few = self.entries_max == SELFTEST_ENTRIES_MAX;
                verdict.errors.insert(if few { Error::BadLength } else { Error::SgCount }.code());
                return verdict;
            }
            Some(count) => self.entries(ram, count, &mut verdict),
        };
        let sum: u64 = data.iter().map(|&(_, length)| u64::from(length)).sum();
        let bytes = u64::from(self.bytes);
        // A table that can't be followed to its end may be too long already.
        if sum > bytes || sum < bytes && verdict.errors.is_empty() {
            verdict.errors.insert(Error::SgLength.code());
        }
        // The table's errors come before those of the ranges.
        if !verdict.errors.is_empty() {
            return verdict;
        }
        for (address, length) in data {
            for offset in 0..u64::from(length) {
                match address.checked_add(offset).filter(|&byte| self.reaches(ram, byte, self.write)) {
                    Some(byte) => verdict.buffer.push(byte),
                    None => {
                        verdict.errors.insert(Error::DmaUnmapped.code());
                        return verdict;
                    }
                }
            }
        }
        verdict
    }
}

/// 5.8: the volumes of a stream as they were accepted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Volumes {
    /// In 1/65536 dB.
    pub volumes: [i32; 8],
    /// Bit c: channel c is silent.
    pub mute: u32,
}

impl Volumes {
    /// What S16 frames of so many channels are after it.
    pub fn heard(&self, frames: &[u8], channels: usize) -> Vec<u8> {
        let samples = frames.chunks_exact(2).enumerate();
        let each = samples.flat_map(|(index, sample)| {
            let channel = index % channels;
            let sample = i16::from_le_bytes([sample[0], sample[1]]);
            self.sample(sample, channel).to_le_bytes()
        });
        each.collect()
    }

    fn sample(&self, sample: i16, channel: usize) -> i16 {
        if self.mute >> channel & 1 == 1 {
            return 0;
        }
        let decibels = f64::from(self.volumes[channel]) / 65_536.0;
        let factor = (2_f64.powi(30) * 10_f64.powf(decibels / 20.0)).round() as i128;
        let product = i128::from(sample) * factor + 2_i128.pow(29);
        i16::try_from(product.div_euclid(2_i128.pow(30))).expect("no louder than it was")
    }
}
