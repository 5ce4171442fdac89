//! What the device does as a sound device: 5.14.6.

use std::collections::VecDeque;

use super::ring::{Message, read, write};

/// A PCM stream of the device.
#[derive(Clone, Debug, Default)]
pub struct SimulatedStream {
    pub captures: bool,
    pub formats: u64,
    pub rates: u64,
    pub channels: (u8, u8),
    /// The state machine's: see [`state`].
    pub state: u8,
    pub buffer_bytes: u32,
    pub period_bytes: u32,
    /// Channels, format, rate.
    pub params: [u8; 3],
    pub held: VecDeque<Message>,
    /// Everything that was played.
    pub played: Vec<u8>,
    /// How many bytes were recorded: what is recorded is this number.
    pub recorded: u64,
    /// The status that it gives its messages; 0: OK.
    pub fault: u32,
    /// The next message may be of another length.
    pub short: u32,
    /// How many bytes of the first message are recorded when the stream is released.
    pub part: u32,
}

/// States of a stream, as bits.
pub mod state {
    pub const RESET: u8 = 1;
    pub const PARAMETERS: u8 = 2;
    pub const PREPARED: u8 = 4;
    pub const RUNNING: u8 = 8;
    pub const STOPPED: u8 = 16;
}

/// All of it.
#[allow(clippy::struct_excessive_bools, reason = "each is something a test can do to it")]
#[derive(Debug)]
pub struct Sound {
    pub streams: Vec<SimulatedStream>,
    /// For each jack: something is plugged in.
    pub jacks: Vec<bool>,
    /// It counts jacks, and does not know JACK_INFO (QEMU).
    pub no_jack_info: bool,
    /// Stream, and positions.
    pub maps: Vec<(u32, Vec<u8>)>,
    pub event_buffers: VecDeque<Message>,
    /// Codes of all requests since the test last took them.
    pub requests: Vec<(u32, u32)>,
    /// It answers no request.
    pub mute: bool,
    /// It does not give back the messages of a stream that is released.
    pub keeps: bool,
    /// It is broken: DEVICE_NEEDS_RESET.
    pub needs_reset: bool,
    /// Answers that it gives in the place of its own: bytes of the answer, and what it says that it wrote.
    pub answers: VecDeque<(Vec<u8>, u32)>,
    /// It lies: what it expects of its driver is not asserted, and it leaves the sound alone, whose pages
    /// are nowhere.
    pub lies: bool,
    /// Messages that a reset did not make it forget.
    pub stale: usize,
}

impl Default for Sound {
    fn default() -> Self {
        let stream = |captures| SimulatedStream {
            captures,
            formats: 1 << 5 | 1 << 17 | 1 << 19,
            rates: 0xFFFE,
            channels: (1, 2),
            state: state::RESET,
            ..SimulatedStream::default()
        };
        Self {
            streams: vec![stream(false), stream(true)],
            jacks: vec![true, true],
            no_jack_info: false,
            maps: vec![],
            event_buffers: VecDeque::new(),
            requests: vec![],
            mute: false,
            keeps: false,
            needs_reset: false,
            answers: VecDeque::new(),
            lies: false,
            stale: 0,
        }
    }
}

/// A message that comes back: of rx, its head, what was written.
pub type Completion = (bool, u16, u32);

const OK: u32 = 0x8000;
const BAD_MSG: u32 = 0x8001;
const NOT_SUPP: u32 = 0x8002;

impl Sound {
    pub fn reset(&mut self, forgets_nothing: bool) {
        self.event_buffers.clear();
        self.needs_reset = false;
        for stream in &mut self.streams {
            if forgets_nothing {
                self.stale += stream.held.len();
            } else {
                stream.held.clear();
                stream.state = state::RESET;
            }
        }
    }

    /// Jacks, streams, channel maps.
    pub fn counts(&self) -> [u32; 3] {
        [self.jacks.len(), self.streams.len(), self.maps.len()].map(|count| u32::try_from(count).unwrap())
    }

    /// A message of tx or rx.
    pub fn take(&mut self, capture: bool, message: Message) {
        let header = read(&message.readable[..1]);
        let stream = u32::from_le_bytes(header[..4].try_into().unwrap());
        let stream = &mut self.streams[usize::try_from(stream).unwrap()];
        assert_eq!(stream.captures, capture, "a message of the other queue");
        // What a device has answered wrongly it must not hold against its driver.
        let prepared = stream.state & (state::PREPARED | state::RUNNING | state::STOPPED) != 0;
        assert!(prepared || self.lies, "not prepared");
        let bytes = |pieces: &[(u64, u32)]| pieces.iter().map(|piece| piece.1).sum::<u32>();
        let data = if capture { bytes(&message.writable) - 8 } else { bytes(&message.readable) - 4 };
        let whole = data == stream.period_bytes || std::mem::take(&mut stream.short) > 0;
        assert!(whole || self.lies, "another length than the period");
        stream.held.push_back(message);
    }

    /// Carries out a request. What comes back with it, and what it wrote as its answer, if it answers.
    pub fn control(&mut self, message: &Message) -> (Vec<Completion>, Option<u32>) {
        if self.mute {
            return (vec![], None);
        }
        let request = read(&message.readable);
        let word = |index: usize| u32::from_le_bytes(request[4 * index..4 * index + 4].try_into().unwrap());
        self.requests.push((word(0), word(1)));
        let mut completed = vec![];
        let (status, item) = match word(0) {
            1 if self.no_jack_info => (NOT_SUPP, vec![]),
            1 => self.item(word(1), word(2), self.jack_info(word(1))),
            0x100 => self.item(word(1), word(2), self.pcm_info(word(1))),
            0x200 => self.item(word(1), word(2), self.map_info(word(1))),
            0x101 => (self.set_params(word(1), word(2), word(3), &request[20..23]), vec![]),
            0x102..=0x105 => (self.pcm(word(0), word(1), &mut completed), vec![]),
            _ => (BAD_MSG, vec![]),
        };
        let mut answer = Vec::from(status.to_le_bytes());
        answer.extend(item);
        if let Some((lie, written)) = self.answers.pop_front() {
            write(&message.writable, &lie);
            return (completed, Some(written));
        }
        let room: u32 = message.writable.iter().map(|piece| piece.1).sum();
        assert!(answer.len() <= usize::try_from(room).unwrap(), "no room for the answer");
        write(&message.writable, &answer);
        (completed, Some(u32::try_from(answer.len()).unwrap()))
    }

    #[allow(clippy::unused_self, reason = "reads as the others")]
    fn item(&self, _start: u32, count: u32, item: Option<Vec<u8>>) -> (u32, Vec<u8>) {
        assert_eq!(count, 1);
        item.map_or((BAD_MSG, vec![]), |item| (OK, item))
    }

    fn node(&self, stream: u32) -> Option<u32> {
        let captures = self.streams.get(stream as usize)?.captures;
        let before = self.streams.iter().take(stream as usize);
        u32::try_from(before.filter(|stream| stream.captures == captures).count()).ok()
    }

    fn pcm_info(&self, stream: u32) -> Option<Vec<u8>> {
        let node = self.node(stream)?;
        let stream = self.streams.get(stream as usize)?;
        let mut item: Vec<u8> = [node, 0].into_iter().flat_map(u32::to_le_bytes).collect();
        item.extend(stream.formats.to_le_bytes());
        item.extend(stream.rates.to_le_bytes());
        item.extend([stream.captures.into(), stream.channels.0, stream.channels.1, 0, 0, 0, 0, 0]);
        Some(item)
    }

    fn jack_info(&self, jack: u32) -> Option<Vec<u8>> {
        let connected = *self.jacks.get(jack as usize)?;
        let mut item: Vec<u8> = [self.node(jack)?, 0, 0, 4].into_iter().flat_map(u32::to_le_bytes).collect();
        item.extend([connected.into(), 0, 0, 0, 0, 0, 0, 0]);
        Some(item)
    }

    fn map_info(&self, map: u32) -> Option<Vec<u8>> {
        let (stream, positions) = self.maps.get(map as usize)?;
        let mut item = Vec::from(self.node(*stream)?.to_le_bytes());
        item.extend([u8::from(self.streams[*stream as usize].captures), u8::try_from(positions.len()).ok()?]);
        item.extend(positions);
        item.resize(24, 0);
        Some(item)
    }

    fn set_params(&mut self, stream: u32, buffer: u32, period: u32, params: &[u8]) -> u32 {
        let Some(stream) = self.streams.get_mut(stream as usize) else { return BAD_MSG };
        let [channels, format, rate] = params else { panic!() };
        if stream.state & (state::RUNNING | state::STOPPED) != 0
            || period == 0
            || !buffer.is_multiple_of(period)
        {
            return BAD_MSG;
        }
        let has = |bits: u64, code: u8| bits >> code & 1 != 0;
        let fits = (stream.channels.0..=stream.channels.1).contains(channels);
        if !fits || !has(stream.formats, *format) || !has(stream.rates, *rate) {
            return NOT_SUPP;
        }
        let sample = if *format == 5 { 2 } else { 4 };
        assert_eq!(period % (sample * u32::from(*channels)), 0, "a part of a frame");
        stream.state = state::PARAMETERS;
        (stream.buffer_bytes, stream.period_bytes) = (buffer, period);
        stream.params = [*channels, *format, *rate];
        OK
    }

    fn pcm(&mut self, code: u32, number: u32, completed: &mut Vec<Completion>) -> u32 {
        use state::{PARAMETERS, PREPARED, RESET, RUNNING, STOPPED};
        let keeps = self.keeps;
        let Some(stream) = self.streams.get_mut(number as usize) else {
            self.needs_reset = true;
            return BAD_MSG;
        };
        let (from, to) = match code {
            0x102 => (PARAMETERS | PREPARED, PREPARED),
            0x104 => (PREPARED | STOPPED, RUNNING),
            0x105 => (RUNNING, STOPPED),
            _ => (RESET | PARAMETERS | PREPARED | STOPPED, PARAMETERS),
        };
        if stream.state & from == 0 {
            return BAD_MSG;
        }
        if code == 0x103 && !keeps {
            let mut part = std::mem::take(&mut stream.part);
            for message in stream.held.drain(..) {
                finish(&message, OK);
                completed.push((stream.captures, message.head, 8 + std::mem::take(&mut part)));
            }
        }
        stream.state = if code == 0x103 && stream.state == RESET { RESET } else { to };
        OK
    }

    /// Plays or records a message.
    pub fn complete(&mut self, number: usize) -> Option<Completion> {
        let blind = self.lies;
        let stream = &mut self.streams[number];
        let message = stream.held.pop_front()?;
        let mut written = 8;
        if stream.captures {
            let room: u32 = message.writable.iter().map(|piece| piece.1).sum::<u32>() - 8;
            let first = stream.recorded;
            let data: Vec<u8> =
                (first..first + u64::from(room)).map(|byte| u8::try_from(byte % 251).unwrap()).collect();
            stream.recorded += u64::from(room);
            if !blind {
                write(&message.writable, &data);
            }
            written += room;
        } else if !blind {
            stream.played.extend(&read(&message.readable)[4..]);
        }
        finish(&message, if stream.fault == 0 { OK } else { stream.fault });
        Some((stream.captures, message.head, written))
    }

    /// The head of the buffer of the event.
    pub fn plug(&mut self, jack: u32, connected: bool) -> Option<u16> {
        self.jacks[jack as usize] = connected;
        let message = self.event_buffers.pop_front()?;
        let code: u32 = if connected { 0x1000 } else { 0x1001 };
        let event: Vec<u8> = [code, jack].into_iter().flat_map(u32::to_le_bytes).collect();
        write(&message.writable, &event);
        Some(message.head)
    }
}

/// Writes the status of a message: its last 8 bytes.
fn finish(message: &Message, status: u32) {
    let (address, bytes) = *message.writable.last().unwrap();
    assert!(bytes >= 8);
    let mut both = Vec::from(status.to_le_bytes());
    both.extend([0; 4]);
    write(&[(address + u64::from(bytes) - 8, 8)], &both);
}
