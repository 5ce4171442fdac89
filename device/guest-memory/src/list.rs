//! Lists of addresses: a buffer of the device that lies scattered in guest memory.
//!
//! [`ScatterGatherList`] is the snapshot that a device takes when it starts: each entry of the guest's list
//! is read once, in order, and never looked at again, so that a guest that changes the list meanwhile changes
//! nothing. The format of an entry is the card's: its [`BusMaster`] reads one as an [`Entry`]. Every format
//! that a sound card has uses 16 bytes (a scatter-gather slot with links, a BDL entry of HD Audio, which has
//! none, a virtqueue descriptor, whose chain goes by index and is a walk of its own when a card needs it).

/// Bytes of one entry.
pub const ENTRY_BYTES: u32 = 16;
/// The most entries of any list: what a guest can make the device read and keep is bounded by it.
pub const ENTRIES_MAX: u32 = 4096;

/// One entry of a list, as it lies in guest memory: any values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Guest physical address of the data, or with `link` of the entry where the list goes on.
    pub address: u64,
    /// Length of the data in bytes, not 0; a link has 0.
    pub bytes: u32,
    /// The list goes on elsewhere. A link does not count as an entry, and a data entry follows it.
    pub link: bool,
    /// It has bits that mean nothing.
    pub reserved: bool,
}

/// What can be wrong with a list or a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    /// No entries, or too many.
    #[error("the number of entries")]
    Count,
    /// An entry of no bytes, or with bits that mean nothing.
    #[error("an entry with length 0 or reserved bits")]
    Entry,
    /// A link with a length, or one that leads to a link.
    #[error("a link with a length, or to a link")]
    Link,
    /// The entries do not add up to the buffer.
    #[error("the entries do not add up to the buffer")]
    Length,
    /// Beyond the end of the address space, or of the buffer.
    #[error("beyond the end")]
    Range,
}

/// The device's way to guest memory, with everything that may forbid it (Bus Master Enable, the address
/// width) and whoever watches it (a trace).
pub trait BusMaster {
    /// Why a transfer was refused, in the card's own terms.
    type Error;

    /// The card's own term for what is wrong with a list or a range.
    fn refuse(error: ListError) -> Self::Error;

    /// Whether there can be a transfer at all (Bus Master Enable).
    fn enabled(&self) -> Result<(), Self::Error>;
    /// Whether the device could transfer `bytes` (not 0) at `address` right now. Touches nothing.
    fn check(&self, address: u64, bytes: u64, write: bool) -> Result<(), Self::Error>;
    /// Reads data.
    fn read(&mut self, address: u64, into: &mut [u8]) -> Result<(), Self::Error>;
    /// Stores data.
    fn write(&mut self, address: u64, from: &[u8]) -> Result<(), Self::Error>;
    /// Reads the entry of a list that is at `address`.
    fn read_entry(&mut self, address: u64) -> Result<Entry, Self::Error>;
}

/// One range of the buffer that is contiguous in guest memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Segment {
    /// Offset in the buffer of its first byte.
    start: u32,
    /// Guest physical address of its first byte.
    address: u64,
    /// Length in bytes, not 0.
    bytes: u32,
}

impl Segment {
    /// The address of its byte `inside`, and how many bytes there are from it to the segment's end; an error
    /// if it does not have that byte.
    #[inline]
    fn from(&self, inside: u32) -> Result<(u64, usize), ListError> {
        if inside >= self.bytes {
            return Err(ListError::Range);
        }
        let address = self.address.checked_add(inside.into()).ok_or(ListError::Range)?;
        Ok((address, (self.bytes - inside) as usize))
    }
}

/// The snapshot of a buffer: where each of its bytes lies in guest memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScatterGatherList {
    /// In the order of the buffer, without gaps.
    segments: Vec<Segment>,
    /// Length of the buffer in bytes.
    bytes: u32,
}

impl ScatterGatherList {
    /// A buffer in one range. With `write` the device must be able to store to it.
    pub fn contiguous<B: BusMaster>(
        bus: &B,
        address: u64,
        bytes: u32,
        write: bool,
    ) -> Result<Self, B::Error> {
        bus.check(address, u64::from(bytes), write)?;
        Ok(Self { segments: vec![Segment { start: 0, address, bytes }], bytes })
    }

    /// A buffer by a list of `entries` data entries (1 to `entries_max`) whose first entry is at `table`.
    /// Reads each entry once, in order, and gives the first error of the list; then it checks whether the
    /// memory can be reached.
    pub fn scatter_gather<B: BusMaster>(
        bus: &mut B,
        table: u64,
        entries: u32,
        entries_max: u32,
        bytes: u32,
        write: bool,
    ) -> Result<Self, B::Error> {
        bus.enabled()?;
        if entries == 0 || entries > entries_max.min(ENTRIES_MAX) {
            return Err(B::refuse(ListError::Count));
        }
        let mut segments = Vec::with_capacity(entries as usize);
        let mut next = Some(table);
        let mut start = 0_u32;
        for _ in 0..entries {
            // A list that runs over the end of the address space is out of reach, not misaligned.
            let mut at = next.ok_or_else(|| B::refuse(ListError::Range))?;
            let mut entry = bus.read_entry(at)?;
            check_entry(entry).map_err(B::refuse)?;
            if entry.link {
                at = entry.address;
                entry = bus.read_entry(at)?;
                if entry.link {
                    return Err(B::refuse(ListError::Link));
                }
                check_entry(entry).map_err(B::refuse)?;
            }
            let end = start.checked_add(entry.bytes).filter(|&end| end <= bytes);
            let end = end.ok_or_else(|| B::refuse(ListError::Length))?;
            segments.push(Segment { start, address: entry.address, bytes: entry.bytes });
            start = end;
            next = at.checked_add(u64::from(ENTRY_BYTES));
        }
        if start != bytes {
            return Err(B::refuse(ListError::Length));
        }
        for segment in &segments {
            bus.check(segment.address, u64::from(segment.bytes), write)?;
        }
        Ok(Self { segments, bytes })
    }

    /// A buffer of `bytes` bytes in ranges that the device has read itself, address and length of each in their
    /// order. What they have beyond the buffer is left out. Then it checks whether the memory can be reached.
    pub fn of_ranges<B: BusMaster>(
        bus: &B,
        ranges: impl IntoIterator<Item = (u64, u32)>,
        bytes: u32,
        write: bool,
    ) -> Result<Self, B::Error> {
        let mut segments = Vec::new();
        let mut start = 0_u32;
        for (address, length) in ranges.into_iter().take(ENTRIES_MAX as usize) {
            let length = length.min(bytes.saturating_sub(start));
            if length == 0 {
                break;
            }
            bus.check(address, u64::from(length), write)?;
            segments.push(Segment { start, address, bytes: length });
            start = start.saturating_add(length);
        }
        if start == 0 || start != bytes {
            return Err(B::refuse(ListError::Length));
        }
        Ok(Self { segments, bytes })
    }

    /// Data entries in the snapshot.
    pub fn entries(&self) -> u32 {
        u32::try_from(self.segments.len()).unwrap_or(u32::MAX)
    }

    /// Copies the buffer's bytes from `offset` on into `into`. The range must not go beyond the buffer's end
    /// (nothing wraps); if it does, that is [`ListError::Range`].
    pub fn read<B: BusMaster>(&self, bus: &mut B, offset: u32, into: &mut [u8]) -> Result<(), B::Error> {
        let mut rest = into;
        let (segments, mut inside) = self.from(offset);
        for segment in segments {
            if rest.is_empty() {
                break;
            }
            let (address, bytes) = segment.from(inside).map_err(B::refuse)?;
            let (now, later) = rest.split_at_mut(bytes.min(rest.len()));
            bus.read(address, now)?;
            (rest, inside) = (later, 0);
        }
        if rest.is_empty() { Ok(()) } else { Err(B::refuse(ListError::Range)) }
    }

    /// Copies `from` into the buffer from `offset` on, like [`Self::read`].
    pub fn write<B: BusMaster>(&self, bus: &mut B, offset: u32, from: &[u8]) -> Result<(), B::Error> {
        let mut rest = from;
        let (segments, mut inside) = self.from(offset);
        for segment in segments {
            if rest.is_empty() {
                break;
            }
            let (address, bytes) = segment.from(inside).map_err(B::refuse)?;
            let (now, later) = rest.split_at(bytes.min(rest.len()));
            bus.write(address, now)?;
            (rest, inside) = (later, 0);
        }
        if rest.is_empty() { Ok(()) } else { Err(B::refuse(ListError::Range)) }
    }

    /// The segment that has the buffer's byte `offset` and those behind it, and where in the first of them
    /// that byte is. Only that one is searched for: each is the next one's neighbour.
    #[inline]
    fn from(&self, offset: u32) -> (&[Segment], u32) {
        let index = self.segments.partition_point(|segment| segment.start <= offset).saturating_sub(1);
        let segments = self.segments.get(index..).unwrap_or_default();
        (segments, segments.first().map_or(0, |first| offset.saturating_sub(first.start)))
    }
}

/// An entry on its own: what can be wrong with it wherever it stands.
fn check_entry(entry: Entry) -> Result<(), ListError> {
    match (entry.reserved, entry.link, entry.bytes) {
        (true, ..) | (false, false, 0) => Err(ListError::Entry),
        (false, true, 1..) => Err(ListError::Link),
        (false, true, 0) | (false, false, 1..) => Ok(()),
    }
}
