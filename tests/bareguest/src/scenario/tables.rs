//! `tables`: every bad scatter-gather table there is. Each is refused with its error and leaves the stream in
//! PAUSE, and after each a good one plays. DATASHEET sections 5.1, 6 and 8.

use ringwave_regs::dma::{ENTRIES_MAX, SLOT_BYTES, SLOT_LINK, Slot};
use ringwave_regs::error::Error;
use ringwave_regs::pages::status;
use ringwave_regs::stream;

use super::Guest;
use crate::memory::{Buffer, Layout, Table, allocate};
use crate::player::{Song, set_up};
use crate::say;
use crate::verdict::{Step, expect};

/// Far beyond any RAM: 256 GiB.
const OUTSIDE: u64 = 0x40_0000_0000;
/// Where the firmware's flash lies: read-only memory that the client maps without a descriptor.
const FLASH: u64 = 0xFFFF_0000;
/// Bytes of the part of a buffer that is somewhere bad.
const BAD: u32 = 1024;

/// The scenario.
pub fn run(guest: &Guest<'_>) -> Step {
    let song = Song { frames: 1_200, ..guest.song() };
    let mut bench = TableCases {
        guest,
        song,
        table: Table::new(&guest.firmware)?,
        good: allocate(&guest.firmware, u64::from(song.ring_bytes()), true)?,
        playing: guest.buffer(song, Layout::ScatterGather)?,
        tried: 0,
    };
    bench.data_where_no_ram_is()?;
    bench.slots_that_are_wrong()?;
    bench.links_that_are_wrong()?;
    bench.tables_that_are_wrong()?;
    bench.without_a_table()?;
    say!("tables tried={}", bench.tried);
    Ok(())
}

/// Where the cases are tried.
struct TableCases<'a> {
    guest: &'a Guest<'a>,
    song: Song,
    table: Table,
    /// Memory of a whole cyclic buffer.
    good: u64,
    /// What the good table in between plays from.
    playing: Buffer,
    tried: u32,
}

impl TableCases<'_> {
    /// A data entry for a whole cyclic buffer.
    fn full_buffer(&self) -> Slot {
        Slot::data(self.good, self.song.ring_bytes())
    }

    fn data_where_no_ram_is(&mut self) -> Step {
        let card = self.guest.card;
        let ram_end = self.guest.config.number("low_ram_end", 0x1000_0000);
        let rest = Slot::data(self.good, self.song.ring_bytes() - BAD);
        for (name, address) in [
            ("outside-ram", OUTSIDE),
            ("own-registers", card.registers.address()),
            ("own-pages", card.pages.address()),
            ("hole-behind-ram", ram_end + (16 << 20)),
            ("across-the-end-of-ram", ram_end - u64::from(BAD / 2)),
            ("flash", FLASH),
            ("wrap", u64::MAX - u64::from(BAD / 2)),
        ] {
            self.case(name, Error::DmaUnmapped, 2, &[(0, Slot::data(address, BAD)), (1, rest)])?;
        }
        // The last entry counts as much as the first.
        self.case("outside-ram-last", Error::DmaUnmapped, 2, &[(0, rest), (1, Slot::data(OUTSIDE, BAD))])
    }

    fn slots_that_are_wrong(&mut self) -> Step {
        let whole = self.full_buffer();
        let short = Slot { length: whole.length - 4, ..whole };
        let long = Slot { length: whole.length + 4, ..whole };
        self.case("zero-length", Error::SgEntry, 2, &[(0, Slot::data(self.good, 0)), (1, whole)])?;
        self.case("reserved-flag", Error::SgEntry, 1, &[(0, Slot { flags: 2, ..whole })])?;
        let flagged = Slot { flags: SLOT_LINK | 1 << 31, ..Slot::link(self.table.slot(1)) };
        self.case("reserved-flag-on-link", Error::SgEntry, 1, &[(0, flagged), (1, whole)])?;
        self.case("sum-too-short", Error::SgLength, 1, &[(0, short)])?;
        self.case("sum-too-long", Error::SgLength, 1, &[(0, long)])?;
        let huge = Slot { length: u32::MAX, ..whole };
        self.case("sum-beyond-32-bits", Error::SgLength, 2, &[(0, huge), (1, huge)])
    }

    fn links_that_are_wrong(&mut self) -> Step {
        let (whole, table) = (self.full_buffer(), self.table);
        let to = |slot| Slot::link(table.slot(slot));
        self.case("link-to-itself", Error::SgLink, 1, &[(0, to(0))])?;
        self.case("links-in-a-loop", Error::SgLink, 1, &[(0, to(1)), (1, to(0))])?;
        self.case("link-to-link", Error::SgLink, 1, &[(0, to(1)), (1, to(2)), (2, whole)])?;
        // A loop with data in it ends when the buffer is full, or the count is reached.
        let little = Slot::data(self.good, 64);
        self.case("loop-through-data", Error::SgLength, ENTRIES_MAX, &[(0, little), (1, to(0))])?;
        self.case("link-with-length", Error::SgLink, 1, &[(0, Slot { length: 16, ..to(1) }), (1, whole)])?;
        let askew = Slot::link(table.slot(1) + 8);
        self.case("link-misaligned", Error::SgLink, 1, &[(0, askew), (1, whole)])?;
        self.case("link-outside-ram", Error::DmaUnmapped, 1, &[(0, Slot::link(OUTSIDE))])?;
        let own = Slot::link(self.guest.card.pages.address());
        self.case("link-to-own-pages", Error::DmaUnmapped, 1, &[(0, own)])
    }

    fn tables_that_are_wrong(&mut self) -> Step {
        let (whole, card) = (self.full_buffer(), self.guest.card);
        self.case("too-many-entries", Error::SgCount, ENTRIES_MAX + 1, &[(0, whole)])?;
        self.case("no-entries", Error::SgCount, 0, &[(0, whole)])?;
        let mode = stream::DMA_MODE_SCATTER_GATHER;
        for (name, error, address) in [
            ("table-misaligned", Error::SgLink, self.table.slot(0) + u64::from(SLOT_BYTES) / 2),
            ("table-outside-ram", Error::DmaUnmapped, OUTSIDE),
            ("table-in-own-registers", Error::DmaUnmapped, card.registers.address()),
            ("table-in-own-pages", Error::DmaUnmapped, card.pages.address()),
            ("table-at-the-top", Error::DmaUnmapped, u64::MAX - 15),
        ] {
            self.refused(name, error, mode, address, 1)?;
        }
        Ok(())
    }

    fn without_a_table(&mut self) -> Step {
        let card = self.guest.card;
        let mode = stream::DMA_MODE_CONTIGUOUS;
        self.refused("contiguous-outside-ram", Error::DmaUnmapped, mode, OUTSIDE, 0)?;
        self.refused("contiguous-in-own-pages", Error::DmaUnmapped, mode, card.pages.address(), 0)?;
        card.function.enable(false);
        let off = self.run_refused("bus-master-off", Error::BusMasterOff, mode, self.good, 0);
        card.function.enable(true);
        off?;
        self.plays()
    }

    /// Writes the slots and tries the table with `entries` data entries.
    fn case(&mut self, name: &str, error: Error, entries: u32, slots: &[(u32, Slot)]) -> Step {
        for (index, slot) in slots {
            self.table.put(*index, *slot);
        }
        self.refused(name, error, stream::DMA_MODE_SCATTER_GATHER, self.table.slot(0), entries)
    }

    /// The stream is refused, and after it a good one plays.
    fn refused(&mut self, name: &str, error: Error, mode: u32, address: u64, entries: u32) -> Step {
        self.run_refused(name, error, mode, address, entries)?;
        self.plays()
    }

    fn run_refused(&mut self, name: &str, error: Error, mode: u32, address: u64, entries: u32) -> Step {
        let card = self.guest.card;
        set_up(self.guest, self.song, mode, address, entries)?;
        card.set_stream(stream::STATE, stream::STATE_RUN);
        let (state, code) = (card.stream(stream::STATE), card.stream(stream::ERROR));
        say!("refused case={name} state={state} error={code}");
        expect("STATE", u64::from(state), u64::from(stream::STATE_PAUSE))?;
        expect("ERROR", u64::from(code), u64::from(error.code()))?;
        expect("STATE in the page", u64::from(card.status(status::STATE)), u64::from(stream::STATE_PAUSE))?;
        expect("ERROR in the page", u64::from(card.status(status::ERROR)), u64::from(error.code()))?;
        card.go(stream::STATE_STOP)?;
        card.set_stream(stream::ERROR, 0);
        self.tried += 1;
        Ok(())
    }

    /// A good table plays, with a seed of its own.
    fn plays(&self) -> Step {
        let seed = self.song.seed + self.tried;
        self.guest.play_in(&self.playing, Song { seed, ..self.song })
    }
}
