//! Plays through a virtio sound device, from the specification alone (VIRTIO 1.2: 2.7 split virtqueues, 4.1
//! PCI, 5.14 sound): no interrupts, the song in buffers of one period each, as many in the queue as it takes.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::ptr::{read_volatile, write_volatile};
use core::sync::atomic::{Ordering, fence};

use super::pci::{Function, Window};
use super::wave::Song;
use crate::firmware::{Buffer, Firmware, buffer};

/// Device 25 (sound) of virtio.
const IDS: u32 = 0x1059_1AF4;
const CAPABILITIES: u32 = 0x34;
const VENDOR_SPECIFIC: u32 = 0x09;
/// Which structure a capability points to, and how long those are that are used here.
const COMMON: u32 = 1;
const NOTIFY: u32 = 2;
const DEVICE: u32 = 4;

const DEVICE_FEATURE_SELECT: u32 = 0x00;
const DRIVER_FEATURE_SELECT: u32 = 0x08;
const DRIVER_FEATURE: u32 = 0x0C;
const STATUS: u32 = 0x14;
const QUEUE_SELECT: u32 = 0x16;
const QUEUE_SIZE: u32 = 0x18;
const QUEUE_ENABLE: u32 = 0x1C;
const QUEUE_NOTIFY_OFF: u32 = 0x1E;
const QUEUE_DESC: u32 = 0x20;
const QUEUE_DRIVER: u32 = 0x28;
const QUEUE_DEVICE: u32 = 0x30;
const ACKNOWLEDGE: u8 = 1;
const DRIVER: u8 = 2;
const DRIVER_OK: u8 = 4;
const FEATURES_OK: u8 = 8;
/// `VIRTIO_F_VERSION_1`: bit 32.
const VERSION_1_HIGH: u32 = 1;
/// Configuration of the device: how many streams.
const STREAMS: u32 = 4;

const PCM_INFO: u32 = 0x0100;
const SET_PARAMS: u32 = 0x0101;
const PREPARE: u32 = 0x0102;
const RELEASE: u32 = 0x0103;
const START: u32 = 0x0104;
const STOP: u32 = 0x0105;
const OK: u32 = 0x8000;
const INFO_BYTES: usize = 32;
const DIRECTION: usize = 24;
const OUTPUT: u8 = 0;
const S16: u8 = 5;
const RATES: [u32; 14] =
    [5512, 8000, 11025, 16000, 22050, 32000, 44100, 48000, 64000, 88200, 96000, 176_400, 192_000, 384_000];

const NEXT: u16 = 1;
const WRITE: u16 = 2;
const DESCRIPTOR_BYTES: usize = 16;
const MOST_DESCRIPTORS: u16 = 64;
/// Descriptors of a message of the song: its header, the sound, the answer.
const PER_MESSAGE: u16 = 3;
const PERIOD_BYTES: usize = 8192;
const LOOK_MICROS: usize = 1_000;
/// Looks until the device is given up: two minutes.
const LOOKS: u32 = 120_000;

/// Plays it to its end; else why not.
pub fn play(firmware: &Firmware, song: Song<'_>) -> Result<(), String> {
    let rate = RATES.iter().position(|rate| *rate == song.rate);
    let rate = rate.ok_or_else(|| format!("{} Hz is none of virtio's rates", song.rate))?;
    let mut device = Device::open(firmware)?;
    let stream = device.output()?;
    let ask = |device: &mut Device<'_>, code: u32, rest: &[u8]| {
        let request: Vec<u8> =
            [code, stream].into_iter().flat_map(u32::to_le_bytes).chain(rest.iter().copied()).collect();
        device.ask(&request, 4).map(|_| ())
    };
    let in_queue = usize::from(device.tx.size / PER_MESSAGE);
    let lengths =
        [PERIOD_BYTES * in_queue, PERIOD_BYTES, 0].map(|bytes| (bytes as u32).to_le_bytes()).concat();
    ask(&mut device, SET_PARAMS, &[lengths.as_slice(), &[song.channels as u8, S16, rate as u8, 0]].concat())?;
    ask(&mut device, PREPARE, &[])?;
    let mut sent = 0;
    let mut rest = song.frames.chunks(PERIOD_BYTES);
    let mut messages = Vec::new();
    let mut feed = |device: &mut Device<'_>, sent: &mut u16| {
        while usize::from(sent.wrapping_sub(device.tx.used())) < in_queue {
            let Some(sound) = rest.next() else { return };
            messages.push(Message::new(stream, sound));
            if let Some(message) = messages.last_mut() {
                device.send_sound(*sent, message);
            }
            *sent = sent.wrapping_add(1);
        }
    };
    feed(&mut device, &mut sent);
    ask(&mut device, START, &[])?;
    let all = song.frames.len().div_ceil(PERIOD_BYTES) as u16;
    let played = (0..LOOKS).any(|_| {
        feed(&mut device, &mut sent);
        firmware.stall(LOOK_MICROS);
        device.tx.used() == all
    });
    ask(&mut device, STOP, &[])?;
    ask(&mut device, RELEASE, &[])?;
    device.common.write8(STATUS, 0);
    if played { Ok(()) } else { Err(format!("{} of {all} buffers were played", device.tx.used())) }
}

/// A buffer of the song: the stream's number, the sound, room for the answer.
struct Message {
    header: Buffer,
    sound: Buffer,
    answer: Buffer,
}

impl Message {
    fn new(stream: u32, bytes: &[u8]) -> Self {
        let (mut header, mut sound) = (buffer(4), buffer(bytes.len()));
        header.bytes().copy_from_slice(&stream.to_le_bytes());
        sound.bytes().copy_from_slice(bytes);
        Self { header, sound, answer: buffer(8) }
    }
}

/// A split virtqueue.
struct Queue {
    memory: Buffer,
    size: u16,
    number: u16,
    notify: u32,
}

impl Queue {
    /// Offsets of the available and the used ring.
    fn rings(&self) -> [usize; 2] {
        let available = DESCRIPTOR_BYTES * usize::from(self.size);
        [available, (available + 6 + 2 * usize::from(self.size)).next_multiple_of(8)]
    }

    fn address(&mut self, offset: usize) -> u64 {
        self.memory.bytes().as_ptr() as u64 + offset as u64
    }

    fn describe(&mut self, index: u16, (address, bytes): (u64, usize), flags: u16) {
        let at = DESCRIPTOR_BYTES * usize::from(index);
        let words = address.to_le_bytes().into_iter().chain((bytes as u32).to_le_bytes());
        let words = words.chain(flags.to_le_bytes()).chain((index + 1).to_le_bytes());
        let place = self.memory.bytes().iter_mut().skip(at);
        place.zip(words).for_each(|(to, byte)| *to = byte);
    }

    /// Makes the chain that begins at descriptor `head` the `number`th that the device may take.
    fn offer(&mut self, number: u16, head: u16) {
        let [available, _] = self.rings();
        let entry = self.address(available + 4 + 2 * usize::from(number % self.size)) as *mut u16;
        let index = self.address(available + 2) as *mut u16;
        // SAFETY: both lie in this queue's memory, are aligned to 2 and nobody holds a reference to them. The
        // device sees the chain before the entry, and that before the index.
        unsafe {
            fence(Ordering::SeqCst);
            write_volatile(entry, head);
            fence(Ordering::SeqCst);
            write_volatile(index, number.wrapping_add(1));
        }
        fence(Ordering::SeqCst);
    }

    /// How many chains the device has given back.
    fn used(&mut self) -> u16 {
        let [_, used] = self.rings();
        let index = self.address(used + 2) as *const u16;
        // SAFETY: in this queue's memory, aligned to 2; the device writes it.
        unsafe { read_volatile(index) }
    }
}

/// The device, ready to be used.
struct Device<'a> {
    firmware: &'a Firmware,
    common: Window,
    notify: Window,
    multiplier: u32,
    streams: u32,
    control: Queue,
    tx: Queue,
    asked: u16,
}

impl<'a> Device<'a> {
    fn open(firmware: &'a Firmware) -> Result<Self, String> {
        let function =
            Function::find(firmware, 0, u32::MAX, IDS).ok_or("no virtio sound device on the bus")?;
        function.enable();
        let (common, _) = structure(function, COMMON).ok_or("no common configuration")?;
        let (notify, multiplier) = structure(function, NOTIFY).ok_or("no notification structure")?;
        let (configuration, _) = structure(function, DEVICE).ok_or("no configuration of the device")?;
        common.write8(STATUS, 0);
        let reset = (0..LOOKS).any(|_| common.read8(STATUS) == 0);
        common.write8(STATUS, ACKNOWLEDGE | DRIVER);
        // Of the features, the version alone.
        for (select, features) in [(0, 0), (1, VERSION_1_HIGH)] {
            common.write32(DEVICE_FEATURE_SELECT, select);
            common.write32(DRIVER_FEATURE_SELECT, select);
            common.write32(DRIVER_FEATURE, features);
        }
        common.write8(STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK);
        if !reset || common.read8(STATUS) & FEATURES_OK == 0 {
            return Err("the device does not take the features".into());
        }
        // Every queue is set up: a device may wait for all of them.
        let [control, _event, tx, _rx] = [0, 1, 2, 3].map(|number| queue(common, number));
        common.write8(STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
        let streams = configuration.read32(STREAMS);
        Ok(Self { firmware, common, notify, multiplier, streams, control, tx, asked: 0 })
    }

    fn tell(&self, queue: &Queue) {
        self.notify.write16(queue.notify * self.multiplier, queue.number);
    }

    /// Sends a request, and gives its answer of so many bytes without the status that it begins with.
    fn ask(&mut self, request: &[u8], bytes: usize) -> Result<Vec<u8>, String> {
        let (mut out, mut answer) = (buffer(request.len()), buffer(bytes));
        out.bytes().copy_from_slice(request);
        self.control.describe(0, (out.bytes().as_ptr() as u64, request.len()), NEXT);
        self.control.describe(1, (answer.bytes().as_ptr() as u64, bytes), WRITE);
        self.control.offer(self.asked, 0);
        self.asked = self.asked.wrapping_add(1);
        self.tell(&self.control);
        let answered = (0..LOOKS).any(|_| {
            self.firmware.stall(LOOK_MICROS);
            self.control.used() == self.asked
        });
        fence(Ordering::SeqCst);
        let status = answer.bytes().first_chunk().map(|status| u32::from_le_bytes(*status));
        if answered && status == Some(OK) {
            return Ok(answer.bytes().get(4..).unwrap_or_default().to_vec());
        }
        let code = request.first_chunk().map_or(0, |code| u32::from_le_bytes(*code));
        Err(format!("request {code:#x}: answered {answered}, status {status:x?}"))
    }

    /// The first stream that plays.
    fn output(&mut self) -> Result<u32, String> {
        let request: Vec<u8> =
            [PCM_INFO, 0, self.streams, INFO_BYTES as u32].into_iter().flat_map(u32::to_le_bytes).collect();
        let all = self.ask(&request, 4 + INFO_BYTES * self.streams as usize)?;
        let mut infos = (0..).zip(all.chunks_exact(INFO_BYTES));
        let found = infos.find(|(_, info)| info.get(DIRECTION) == Some(&OUTPUT));
        found.map(|(stream, _)| stream).ok_or_else(|| "no stream plays".into())
    }

    fn send_sound(&mut self, number: u16, message: &mut Message) {
        let head = number % (self.tx.size / PER_MESSAGE) * PER_MESSAGE;
        let place = |buffer: &mut Buffer| (buffer.bytes().as_ptr() as u64, buffer.bytes().len());
        self.tx.describe(head, place(&mut message.header), NEXT);
        self.tx.describe(head + 1, place(&mut message.sound), NEXT);
        self.tx.describe(head + 2, place(&mut message.answer), WRITE);
        self.tx.offer(number, head);
        self.tell(&self.tx);
    }
}

/// The structure that a capability points to, and for notifications the multiplier. (4.1.4)
fn structure(function: Function, kind: u32) -> Option<(Window, u32)> {
    let mut at = function.read(CAPABILITIES) & 0xFC;
    for _ in 0..48 {
        (at != 0).then_some(())?;
        let header = function.read(at);
        if header & 0xFF == VENDOR_SPECIFIC && header >> 24 == kind {
            let (bar, offset, bytes) =
                (function.read(at + 4) & 0xFF, function.read(at + 8), function.read(at + 12));
            let window = function.window(bar, offset.checked_add(bytes)?)?.from(offset)?;
            return Some((window, function.read(at + 16)));
        }
        at = header >> 8 & 0xFC;
    }
    None
}

fn queue(common: Window, number: u16) -> Queue {
    common.write16(QUEUE_SELECT, number);
    let size = common.read16(QUEUE_SIZE).min(MOST_DESCRIPTORS);
    common.write16(QUEUE_SIZE, size);
    let notify = u32::from(common.read16(QUEUE_NOTIFY_OFF));
    let bytes = usize::from(size) * (DESCRIPTOR_BYTES + 2 + 8) + 32;
    let mut queue = Queue { memory: buffer(bytes), size, number, notify };
    let [available, used] = queue.rings();
    for (register, offset) in [(QUEUE_DESC, 0), (QUEUE_DRIVER, available), (QUEUE_DEVICE, used)] {
        let address = queue.address(offset);
        common.write32(register, address as u32);
        common.write32(register + 4, (address >> 32) as u32);
    }
    common.write16(QUEUE_ENABLE, 1);
    queue
}
