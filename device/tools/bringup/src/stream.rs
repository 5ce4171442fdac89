//! A stream as the bring-up drives it: its registers, its status page, a cyclic buffer in either DMA mode.

use std::time::{Duration, Instant};

use ringwave_regs::dma::{SLOT_BYTES, Slot};
use ringwave_regs::error::NONE;
use ringwave_regs::pages::{self, status};
use ringwave_regs::{format, global, stream};

use super::bringup::{
    ASK_EVERY, Bringup, HIGH, HIGH_BYTES, LOOK_EVERY, LOW, LOW_BYTES, PAGE, PATIENCE, RING, StepEnd,
    StepResult, TABLES, error_name,
};

/// A stream that STREAMS announces, and what its constants say.
#[derive(Clone, Copy, Debug)]
pub struct Stream {
    /// Its number.
    pub index: u32,
    /// Where its registers are.
    pub block: u32,
    /// Where its status page is.
    pub page: u32,
    /// Where its position page is.
    pub position_page: u32,
    /// CAPS.
    pub caps: u32,
    /// FORMATS.
    pub formats: u32,
    /// RATES.
    pub rates: u32,
}

impl Stream {
    /// Reads the constants of stream `index`.
    pub fn read(bringup: &mut Bringup<'_>, index: u32) -> StepResult<Self> {
        let places = stream::block(index).zip(pages::status_page(index)).zip(pages::position_page(index));
        let Some(((block, page), position_page)) = places else { return Err(StepEnd::Failed) };
        Ok(Self {
            index,
            block,
            page,
            position_page,
            caps: bringup.get(block + stream::CAPS)?,
            formats: bringup.get(block + stream::FORMATS)?,
            rates: bringup.get(block + stream::RATES)?,
        })
    }

    /// `stream 0: what`, the name of a check.
    pub fn name(&self, what: impl std::fmt::Display) -> String {
        format!("stream {}: {what}", self.index)
    }

    /// Whether it captures.
    pub fn captures(&self) -> bool {
        self.caps & stream::CAPS_CAPTURE != 0
    }

    /// The most channels.
    pub fn channels_max(&self) -> u32 {
        self.caps >> stream::CAPS_CHANNELS_SHIFT & 0xFF
    }

    /// The most packets per cyclic buffer.
    pub fn packets_max(&self) -> u32 {
        self.caps >> stream::CAPS_PACKETS_SHIFT & 0xFF
    }

    /// The announced sample formats.
    pub fn sample_formats(&self) -> Vec<u32> {
        (0..32).filter(|code| self.formats >> code & 1 != 0).collect()
    }

    /// The announced rates in Hz.
    pub fn rates_hz(&self) -> Vec<u32> {
        let announced = format::RATES.iter().enumerate();
        announced.filter(|(bit, _)| self.rates >> bit & 1 != 0).map(|(_, rate)| *rate).collect()
    }

    /// What most steps play: 48 kHz stereo if there is such, packets of 10 ms, as many as the stream takes.
    pub fn usual(&self, mode: Mode) -> Setup {
        let rates = self.rates_hz();
        let rate = if rates.contains(&48_000) { 48_000 } else { rates.first().copied().unwrap_or(48_000) };
        let packet_frames = (rate / 100).max(stream::packet_frames_min(rate));
        Setup {
            code: self.sample_formats().first().copied().unwrap_or(format::S16),
            channels: self.channels_max().clamp(1, 2),
            rate,
            packet_frames,
            packets: self.packets_max().clamp(1, 2),
            mode,
        }
    }
}

/// How the cyclic buffer lies in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// One range.
    Contiguous,
    /// Pages in no good order, by a table in two pages.
    ScatterGather,
}

impl Mode {
    /// As `DMA_MODE` has it.
    pub fn register(self) -> u32 {
        match self {
            Self::Contiguous => stream::DMA_MODE_CONTIGUOUS,
            Self::ScatterGather => stream::DMA_MODE_SCATTER_GATHER,
        }
    }

    /// The modes that FEATURES announces.
    pub fn announced(bringup: &mut Bringup<'_>) -> StepResult<Vec<Self>> {
        let features = bringup.get(global::FEATURES)?;
        let modes = [
            (global::FEATURE_CONTIGUOUS, Self::Contiguous),
            (global::FEATURE_SCATTER_GATHER, Self::ScatterGather),
        ];
        Ok(modes.iter().filter(|(bit, _)| features & bit != 0).map(|(_, mode)| *mode).collect())
    }
}

impl std::fmt::Display for Mode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Contiguous => "contiguous",
            Self::ScatterGather => "scatter-gather",
        })
    }
}

/// How a stream is set up.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// Sample format.
    pub code: u32,
    /// Channels.
    pub channels: u32,
    /// Frames per second.
    pub rate: u32,
    /// Frames of a packet.
    pub packet_frames: u32,
    /// Packets in the cyclic buffer.
    pub packets: u32,
    /// Where it lies.
    pub mode: Mode,
}

impl Setup {
    /// Bytes of a frame.
    pub fn frame_bytes(&self) -> u32 {
        format::sample_bytes(self.code).unwrap_or(2).saturating_mul(self.channels)
    }

    /// Bytes of a packet.
    pub fn packet_bytes(&self) -> u32 {
        self.packet_frames.saturating_mul(self.frame_bytes())
    }

    /// Bytes of the cyclic buffer.
    pub fn ring_bytes(&self) -> u32 {
        self.packet_bytes().saturating_mul(self.packets)
    }

    /// How long so many frames last.
    pub fn time(&self, frames: u64) -> Duration {
        Duration::from_nanos(frames.saturating_mul(1_000_000_000) / u64::from(self.rate.max(1)))
    }

    /// Where the page `number` of the buffer lies: its address, and its offset in the bring-up's memory.
    /// Scatter-gather goes backwards and, where the card reaches that far, has every second page above 4 GiB.
    fn page(&self, number: usize, high: bool) -> (u64, usize) {
        let low_pages = (LOW_BYTES - RING) / PAGE;
        let offset = match self.mode {
            Mode::Contiguous => RING + number * PAGE,
            Mode::ScatterGather if high && !number.is_multiple_of(2) && number / 2 < HIGH_BYTES / PAGE => {
                let offset = HIGH_BYTES - (number / 2 + 1) * PAGE;
                return (HIGH + offset as u64, LOW_BYTES + offset);
            }
            Mode::ScatterGather => RING + low_pages.saturating_sub(number + 1) * PAGE,
        };
        (LOW + offset as u64, offset)
    }
}

/// A status page, read as DATASHEET section 7 says.
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs, reason = "the fields are those of the page")]
pub struct Status {
    pub state: u32,
    pub error: u32,
    pub flags: u32,
    pub packet_count: u32,
    pub stalled_packet: u32,
    pub events: u32,
    pub epoch: u32,
    pub anchor_clock: u64,
    pub anchor_frame: u64,
    pub rate_num: u32,
    pub rate_den: u32,
    pub packet_clock: u64,
    pub packet_frame: u64,
    pub underruns: u32,
    pub dma_faults: u32,
    pub silence_frames: u64,
}

impl Status {
    /// The position at `clock`, as section 7.2 has it.
    pub fn position(&self, clock: u64) -> u64 {
        let passed = u128::from(clock.saturating_sub(self.anchor_clock));
        let frames = passed * u128::from(self.rate_num) / u128::from(self.rate_den.max(1));
        self.anchor_frame.saturating_add(u64::try_from(frames).unwrap_or(u64::MAX))
    }
}

impl Bringup<'_> {
    /// A register of a stream.
    pub fn stream_get(&mut self, of: &Stream, register: u32) -> StepResult<u32> {
        self.get(of.block + register)
    }

    /// Writes a register of a stream.
    pub fn stream_set(&mut self, of: &Stream, register: u32, value: u32) -> StepResult {
        self.set(of.block + register, value)
    }

    /// The stream's ERROR, which is cleared.
    pub fn take_stream_error(&mut self, of: &Stream) -> StepResult<u32> {
        let error = self.stream_get(of, stream::ERROR)?;
        if error != NONE {
            self.stream_set(of, stream::ERROR, 0)?;
        }
        Ok(error)
    }

    /// The stream's status page. A card that was stopped in the middle of a write (its host has other things
    /// to do) leaves SEQ odd for a while: a driver keeps what it knew and goes on; the bring-up looks again.
    pub fn status(&mut self, of: &Stream) -> StepResult<Status> {
        let end = Instant::now() + PATIENCE;
        loop {
            for _ in 0..pages::READ_TRIES {
                if let Some(seen) = self.try_status(of)? {
                    return Ok(seen);
                }
            }
            if Instant::now() >= end {
                break;
            }
            self.wait(LOOK_EVERY)?;
        }
        self.check(of.name("status page SEQ"), false, "even, and twice the same", "not so for 3 s")
            .means("the card leaves SEQ odd, or writes the page all the time");
        Err(StepEnd::Failed)
    }

    /// One try to read the status page as a whole.
    fn try_status(&mut self, of: &Stream) -> StepResult<Option<Status>> {
        let before = self.page(of.page + status::SEQ)?;
        let mut word = |field: u32| self.page(of.page + field);
        let mut wide =
            |field: u32| Ok::<_, StepEnd>(u64::from(word(field)?) | u64::from(word(field + 4)?) << 32);
        let (anchor_clock, anchor_frame) = (wide(status::ANCHOR_CLOCK)?, wide(status::ANCHOR_FRAME)?);
        let (packet_clock, packet_frame) = (wide(status::PACKET_CLOCK)?, wide(status::PACKET_FRAME)?);
        let silence_frames = wide(status::SILENCE_FRAMES)?;
        let seen = Status {
            state: word(status::STATE)?,
            error: word(status::ERROR)?,
            flags: word(status::FLAGS)?,
            packet_count: word(status::PACKET_COUNT)?,
            stalled_packet: word(status::STALLED_PACKET)?,
            events: word(status::EVENTS)?,
            epoch: word(status::EPOCH)?,
            anchor_clock,
            anchor_frame,
            rate_num: word(status::RATE_NUM)?,
            rate_den: word(status::RATE_DEN)?,
            packet_clock,
            packet_frame,
            underruns: word(status::UNDERRUNS)?,
            dma_faults: word(status::DMA_FAULTS)?,
            silence_frames,
        };
        let after = self.page(of.page + status::SEQ)?;
        Ok((before == after && before.is_multiple_of(2)).then_some(seen))
    }

    /// Waits until the status page is as wanted, but no longer than `time`. Gives the last one seen, and
    /// whether it is.
    pub fn wait_status(
        &mut self,
        of: &Stream,
        time: Duration,
        wanted: impl Fn(&Status) -> bool,
    ) -> StepResult<(Status, bool)> {
        let end = Instant::now() + time;
        let mut alive_until = Instant::now() + ASK_EVERY;
        loop {
            // Looked at the clock first: a process that was put to sleep looks at the page once more.
            let now = Instant::now();
            let seen = self.status(of)?;
            let there = wanted(&seen);
            if there || now >= end {
                return Ok((seen, there));
            }
            // The pages of a card that died stay readable, and stand still.
            if now >= alive_until {
                self.alive()?;
                alive_until = now + ASK_EVERY;
            }
            self.wait(LOOK_EVERY)?;
        }
    }

    /// Writes the registers "W in STOP" and the table, and clears the buffer. The stream is in STOP.
    pub fn configure(&mut self, of: &Stream, setup: &Setup) -> StepResult {
        let (address, entries) = self.lay_out_ring(setup);
        let values = [
            (stream::FORMAT, format::pack(setup.code, setup.channels)),
            (stream::RATE, setup.rate),
            (stream::RING_BYTES, setup.ring_bytes()),
            (stream::PACKETS, setup.packets),
            (stream::DMA_MODE, setup.mode.register()),
            (stream::SG_ENTRIES, entries),
        ];
        for (register, value) in values {
            self.stream_set(of, register, value)?;
        }
        self.set64(of.block + stream::DMA_ADDR_LO, address)?;
        self.ask_lockstep(of, false)?;
        self.stream_set(of, stream::INT_ENABLE, stream::INT_PACKET | stream::INT_ERROR)
    }

    /// Asks the card to wait for packets, or not to. A card without WRITTEN cannot.
    pub fn ask_lockstep(&mut self, of: &Stream, ask: bool) -> StepResult {
        if self.get(global::FEATURES)? & global::FEATURE_WRITTEN == 0 {
            return Ok(());
        }
        self.stream_set(of, stream::LOCKSTEP, if ask { stream::LOCKSTEP_ASK } else { 0 })
    }

    /// Clears the cyclic buffer and writes its table. Gives `DMA_ADDR` and `SG_ENTRIES`.
    fn lay_out_ring(&mut self, setup: &Setup) -> (u64, u32) {
        let bytes = setup.ring_bytes() as usize;
        let mut slots = Vec::new();
        for number in 0..bytes.div_ceil(PAGE) {
            let (address, offset) = setup.page(number, self.high);
            for place in (offset..offset + PAGE).step_by(4) {
                self.memory.store(place, 0);
            }
            let length = (bytes - number * PAGE).min(PAGE);
            slots.push(Slot::data(address, u32::try_from(length).unwrap_or(0)));
        }
        let (first, _) = setup.page(0, self.high);
        match setup.mode {
            Mode::Contiguous => (first, 0),
            Mode::ScatterGather => (self.write_table(&slots), u32::try_from(slots.len()).unwrap_or(0)),
        }
    }

    /// Writes a table whose first slot is at the end of a page, so that the rest is behind a link. Gives its
    /// address.
    pub fn write_table(&mut self, slots: &[Slot]) -> u64 {
        let slot = SLOT_BYTES as usize;
        let first = TABLES + PAGE - 2 * slot;
        let second = TABLES + 3 * PAGE;
        let (head, tail) = slots.split_at(slots.len().min(1));
        for data in head {
            self.memory.fill(first, &data.to_bytes());
        }
        self.memory.fill(first + slot, &Slot::link(LOW + second as u64).to_bytes());
        for (number, data) in tail.iter().enumerate() {
            self.memory.fill(second + number * slot, &data.to_bytes());
        }
        LOW + first as u64
    }

    /// Puts bytes into the cyclic buffer at `place`, a multiple of 4.
    pub fn fill_ring(&mut self, setup: &Setup, place: usize, bytes: &[u8]) {
        for (word, at) in bytes.chunks(4).zip((place..).step_by(4)) {
            let (_, offset) = setup.page(at / PAGE, self.high);
            self.memory.fill(offset + at % PAGE, word);
        }
    }

    /// Fills the cyclic buffer with a word, as often as it goes in whole.
    pub fn mark_ring(&mut self, setup: &Setup, word: u32) {
        let bytes = word.to_le_bytes().repeat(setup.ring_bytes() as usize / 4);
        self.fill_ring(setup, 0, &bytes);
    }

    /// The whole words of the cyclic buffer, in their order.
    pub fn ring_words(&self, setup: &Setup) -> impl Iterator<Item = u32> {
        (0..setup.ring_bytes() as usize / 4).map(move |word| {
            let (_, offset) = setup.page(word * 4 / PAGE, self.high);
            self.memory.load(offset + word * 4 % PAGE)
        })
    }

    /// Writes a state, and gives the state the stream is in then.
    pub fn state(&mut self, of: &Stream, state: u32) -> StepResult<u32> {
        self.stream_set(of, stream::STATE, state)?;
        self.stream_get(of, stream::STATE)
    }

    /// Takes the stream, step by step, from STOP to a state that it must reach.
    pub fn step_to(&mut self, of: &Stream, state: u32) -> StepResult {
        for next in [stream::STATE_ACQUIRE, stream::STATE_PAUSE, stream::STATE_RUN] {
            if next <= state {
                self.enter(of, next)?;
            }
        }
        Ok(())
    }

    /// Writes a state that the stream must take.
    pub fn enter(&mut self, of: &Stream, state: u32) -> StepResult {
        let seen = self.state(of, state)?;
        if seen == state {
            return Ok(());
        }
        let error = self.stream_get(of, stream::ERROR)?;
        let seen = format!("{}, {}", state_name(seen), error_name(error));
        self.check(of.name(format!("goes to {}", state_name(state))), false, state_name(state), seen)
            .means("see what ERROR says; section 5.1 has what each transition checks");
        Err(StepEnd::Failed)
    }

    /// The 64-bit position register.
    pub fn position(&mut self, of: &Stream) -> StepResult<u64> {
        self.get64(of.block + stream::POSITION_LO)
    }
}

/// The name of a state.
pub fn state_name(state: u32) -> String {
    match state {
        stream::STATE_STOP => "STOP".to_owned(),
        stream::STATE_ACQUIRE => "ACQUIRE".to_owned(),
        stream::STATE_PAUSE => "PAUSE".to_owned(),
        stream::STATE_RUN => "RUN".to_owned(),
        other => other.to_string(),
    }
}
