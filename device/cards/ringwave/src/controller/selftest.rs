//! The DMA self-test: proves to the guest that the card sees the guest's RAM. DATASHEET 3.2.

use crate::dma::{Bus, Ring};
use ringwave_regs::error::{self, Error};
use ringwave_regs::global;

/// The registers of the self-test.
#[derive(Debug, Default)]
pub(super) struct SelfTest {
    pub(super) addr: [u32; 2],
    pub(super) bytes: u32,
    pub(super) entries: u32,
    /// Error code of the last run.
    pub(super) result: u32,
    pub(super) sum: u32,
}

impl SelfTest {
    /// A write to SELFTEST: done when this returns. The sum changes only when the test was done.
    pub(super) fn run(&mut self, seed: u32, bus: &mut Bus<'_>) -> Result<(), Error> {
        let result = self.test(seed, bus);
        self.result = result.map_or_else(Error::code, |sum| {
            self.sum = sum;
            error::NONE
        });
        result.map(|_| ())
    }

    fn test(&self, seed: u32, bus: &mut Bus<'_>) -> Result<u32, Error> {
        if !bus.limits.bus_master {
            return Err(Error::BusMasterOff);
        }
        let right_length =
            (4..=global::SELFTEST_BYTES_MAX).contains(&self.bytes) && self.bytes.is_multiple_of(4);
        if !right_length || self.entries > global::SELFTEST_ENTRIES_MAX {
            return Err(Error::BadLength);
        }
        let address = u64::from(self.addr[0]) | u64::from(self.addr[1]) << 32;
        // Either way it is checked here that all of it can be read and stored to, so nothing is stored unless
        // everything can be.
        let memory = match self.entries {
            0 => Ring::contiguous(bus, address, self.bytes, true)?,
            entries => {
                Ring::scatter_gather(bus, address, entries, global::SELFTEST_ENTRIES_MAX, self.bytes, true)?
            }
        };
        let mut data = vec![0; self.bytes as usize];
        memory.read(bus, 0, &mut data)?;
        let mut sum = seed;
        for word in data.as_chunks_mut::<4>().0 {
            let value = u32::from_le_bytes(*word);
            sum = global::selftest_step(sum, value);
            *word = global::selftest_reply(value).to_le_bytes();
        }
        memory.write(bus, 0, &data)?;
        Ok(sum)
    }

    /// Value of the register at `offset`, if it is one of these.
    pub(super) fn read(&self, offset: u32) -> Option<u32> {
        Some(match offset {
            global::SELFTEST_ADDR_LO => self.addr[0],
            global::SELFTEST_ADDR_HI => self.addr[1],
            global::SELFTEST_BYTES => self.bytes,
            global::SELFTEST_ENTRIES => self.entries,
            global::SELFTEST => self.result,
            global::SELFTEST_SUM => self.sum,
            _ => return None,
        })
    }
}
