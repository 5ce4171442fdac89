//! Plays through an HD Audio controller and its codec, from the specification alone ("High Definition Audio
//! Specification" 1.0a): commands without rings, the whole song in one cyclic buffer with silence behind it.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::sync::atomic::{Ordering, fence};

use super::pci::{Function, Window};
use super::wave::Song;
use crate::firmware::{Firmware, buffer};

/// Base class multimedia, sub-class HD Audio, in the register of the class.
const CLASS_REGISTER: u32 = 8;
const CLASS: u32 = 0x0403_0000;
const BAR_BYTES: u32 = 0x4000;

const GCAP: u32 = 0x00;
const GCTL: u32 = 0x08;
const STATESTS: u32 = 0x0E;
const IC: u32 = 0x60;
const IR: u32 = 0x64;
const IRS: u32 = 0x68;
const BUSY: u16 = 1;
const VALID: u16 = 2;
const DESCRIPTORS: u32 = 0x80;
const DESCRIPTOR_BYTES: u32 = 0x20;
const SDCTL: u32 = 0x00;
const SDTAG: u32 = 0x02;
const LPIB: u32 = 0x04;
const CBL: u32 = 0x08;
const LVI: u32 = 0x0C;
const FMT: u32 = 0x12;
const BDPL: u32 = 0x18;
const RESET: u8 = 1;
const RUN: u8 = 2;
const TAG: u32 = 1;

/// Verbs with 8 bits of data, and (format, amplifier) with 16. (7.3.3)
const GET_PARAMETER: u32 = 0xF00;
const SET_FORMAT: u32 = 0x2;
const SET_AMPLIFIER: u32 = 0x3;
const SELECT: u32 = 0x701;
const LIST: u32 = 0xF02;
const SET_POWER: u32 = 0x705;
const SET_STREAM: u32 = 0x706;
const SET_PIN: u32 = 0x707;
const SET_EAPD: u32 = 0x70C;
const GET_DEFAULT: u32 = 0xF1C;
/// Parameters. (7.3.4)
const VENDOR: u32 = 0x00;
const NODES: u32 = 0x04;
const GROUP: u32 = 0x05;
const WIDGET: u32 = 0x09;
const PIN: u32 = 0x0C;
const LENGTH: u32 = 0x0E;
const OUTPUT_AMPLIFIER: u32 = 0x12;
/// Widgets: types, an output amplifier with parameters of its own, a connection list.
const CONVERTER: u32 = 0;
const PIN_COMPLEX: u32 = 4;
const HAS_OUTPUT_AMPLIFIER: u32 = 1 << 2;
const HAS_INPUT_AMPLIFIER: u32 = 1 << 1;
const AMPLIFIER_OVERRIDE: u32 = 1 << 3;
const HAS_LIST: u32 = 1 << 8;
/// Pin capabilities: headphones, output, an external amplifier.
const HEADPHONES: u32 = 1 << 3;
const OUTPUT: u32 = 1 << 4;
const EXTERNAL: u32 = 1 << 16;
const NOTHING_CONNECTED: u32 = 1;
const DEEPEST: usize = 4;

const LOOK_MICROS: usize = 1_000;
/// Looks until a register is given up: a second; until the song is: two minutes, for a clock that is slowed
/// down.
const LOOKS: u32 = 1_000;
const LOOKS_OF_A_SONG: u32 = 120_000;
const ENTRY_BYTES: usize = 16;
const ENTRIES: usize = 2;

/// The controller, with the codec that was found first.
pub struct Hda<'a> {
    firmware: &'a Firmware,
    bar: Window,
    codec: u32,
    group: u32,
}

/// A way from a pin to a converter: each node, and which entry of its list the next one is.
type Path = Vec<(u32, u32)>;

impl<'a> Hda<'a> {
    /// Resets the controller and finds a codec.
    pub fn open(firmware: &'a Firmware) -> Result<Self, String> {
        let function = Function::find(firmware, CLASS_REGISTER, 0xFFFF_0000, CLASS);
        let function = function.ok_or("no HD Audio controller on the bus")?;
        function.enable();
        let bar = function.window(0, BAR_BYTES).ok_or("no BAR 0")?;
        let mut hda = Self { firmware, bar, codec: 0, group: 0 };
        bar.write32(GCTL, 0);
        hda.until("GCTL.CRST 0", LOOKS, || bar.read32(GCTL) & 1 == 0)?;
        bar.write32(GCTL, 1);
        hda.until("GCTL.CRST 1", LOOKS, || bar.read32(GCTL) & 1 == 1)?;
        hda.until("a codec", LOOKS, || bar.read16(STATESTS) != 0)?;
        hda.codec = bar.read16(STATESTS).trailing_zeros();
        for node in hda.children(0)? {
            if hda.parameter(node, GROUP)? & 0xFF == 1 {
                hda.group = node;
            }
        }
        if hda.group == 0 { Err("the codec has no audio function group".into()) } else { Ok(hda) }
    }

    /// Vendor and device of the codec.
    pub fn vendor(&self) -> Result<u32, String> {
        self.parameter(0, VENDOR)
    }

    /// Plays it to its end; else why not.
    pub fn play(&self, song: Song<'_>) -> Result<(), String> {
        let format = format_word(song)?;
        let path = self.output()?;
        self.open_path(&path, format)?;
        let (bar, inputs) = (self.bar, u32::from(self.bar.read16(GCAP) >> 8 & 0xF));
        let at = |register| DESCRIPTORS + DESCRIPTOR_BYTES * inputs + register;
        bar.write8(at(SDCTL), RESET);
        self.until("SDCTL.SRST 1", LOOKS, || bar.read8(at(SDCTL)) & RESET != 0)?;
        bar.write8(at(SDCTL), 0);
        self.until("SDCTL.SRST 0", LOOKS, || bar.read8(at(SDCTL)) & RESET == 0)?;

        // A second of silence behind the song: the stream is stopped there.
        let silence = song.rate as usize * song.frame_bytes();
        let half = (song.frames.len() + silence).div_ceil(ENTRIES).next_multiple_of(128 * song.frame_bytes());
        let mut sound = buffer(half * ENTRIES);
        sound.bytes().iter_mut().zip(song.frames).for_each(|(to, byte)| *to = *byte);
        let mut list = buffer(ENTRY_BYTES * ENTRIES);
        let address = sound.bytes().as_ptr() as u64;
        for (number, entry) in list.bytes().chunks_exact_mut(ENTRY_BYTES).enumerate() {
            let words = (address + (number * half) as u64).to_le_bytes().into_iter();
            let words = words.chain((half as u32).to_le_bytes()).chain([0; 4]);
            entry.iter_mut().zip(words).for_each(|(to, byte)| *to = byte);
        }
        let list = list.bytes().as_ptr() as u64;
        // The controller reads what was stored.
        fence(Ordering::SeqCst);

        bar.write8(at(SDTAG), (TAG << 4) as u8);
        bar.write32(at(CBL), (half * ENTRIES) as u32);
        bar.write16(at(LVI), ENTRIES as u16 - 1);
        bar.write16(at(FMT), format as u16);
        bar.write32(at(BDPL), list as u32);
        bar.write32(at(BDPL + 4), (list >> 32) as u32);
        bar.write8(at(SDCTL), RUN);
        let ended = self.until("the end of the song", LOOKS_OF_A_SONG, || {
            bar.read32(at(LPIB)) as usize >= song.frames.len()
        });
        bar.write8(at(SDCTL), 0);
        self.until("SDCTL.RUN 0", LOOKS, || bar.read8(at(SDCTL)) & RUN == 0)?;
        ended
    }

    fn until(&self, what: &str, looks: u32, done: impl Fn() -> bool) -> Result<(), String> {
        let came = (0..looks).any(|_| {
            let is_done = done();
            if !is_done {
                self.firmware.stall(LOOK_MICROS);
            }
            is_done
        });
        if came { Ok(()) } else { Err(format!("{what} does not come")) }
    }

    /// A command and its answer, without the rings. (3.4)
    fn ask(&self, node: u32, verb: u32, data: u32) -> Result<u32, String> {
        let verb = if verb < 0x10 { verb << 16 } else { verb << 8 };
        self.bar.write16(IRS, VALID);
        self.bar.write32(IC, self.codec << 28 | node << 20 | verb | data);
        self.bar.write16(IRS, BUSY);
        self.until("an answer", LOOKS, || self.bar.read16(IRS) & (BUSY | VALID) == VALID)?;
        Ok(self.bar.read32(IR))
    }

    fn parameter(&self, node: u32, number: u32) -> Result<u32, String> {
        self.ask(node, GET_PARAMETER, number)
    }

    fn children(&self, node: u32) -> Result<core::ops::Range<u32>, String> {
        let answer = self.parameter(node, NODES)?;
        let first = answer >> 16 & 0xFF;
        Ok(first..first + (answer & 0xFF))
    }

    /// The path of the first pin that plays, that something is connected to, and that a converter feeds.
    fn output(&self) -> Result<Path, String> {
        for node in self.children(self.group)? {
            if self.parameter(node, WIDGET)? >> 20 & 0xF != PIN_COMPLEX
                || self.parameter(node, PIN)? & OUTPUT == 0
                || self.ask(node, GET_DEFAULT, 0)? >> 30 == NOTHING_CONNECTED
            {
                continue;
            }
            if let Some(path) = self.path(node, DEEPEST)? {
                return Ok(path);
            }
        }
        Err("no pin of the codec plays".into())
    }

    fn path(&self, node: u32, deepest: usize) -> Result<Option<Path>, String> {
        let capabilities = self.parameter(node, WIDGET)?;
        if capabilities >> 20 & 0xF == CONVERTER {
            return Ok(Some([(node, 0)].into()));
        }
        if deepest == 0 || capabilities & HAS_LIST == 0 {
            return Ok(None);
        }
        // Entries of 8 bits, four to an answer; lists of longer ones, and ranges, are not for this program.
        // (7.1.2)
        let length = self.parameter(node, LENGTH)?;
        for index in 0..if length & 0x80 == 0 { length & 0x7F } else { 0 } {
            let next = self.ask(node, LIST, index & !3)? >> (8 * (index & 3)) & 0xFF;
            if next & 0x80 != 0 {
                continue;
            }
            if let Some(mut path) = self.path(next, deepest - 1)? {
                path.insert(0, (node, index));
                return Ok(Some(path));
            }
        }
        Ok(None)
    }

    /// Powers the path, opens its amplifiers at 0 dB, and connects its ends.
    fn open_path(&self, path: &Path, format: u32) -> Result<(), String> {
        self.ask(self.group, SET_POWER, 0)?;
        for &(node, index) in path {
            let capabilities = self.parameter(node, WIDGET)?;
            self.ask(node, SET_POWER, 0)?;
            if capabilities & HAS_LIST != 0 && self.parameter(node, LENGTH)? & 0x7F > 1 {
                self.ask(node, SELECT, index)?;
            }
            if capabilities & HAS_OUTPUT_AMPLIFIER != 0 {
                let from = if capabilities & AMPLIFIER_OVERRIDE != 0 { node } else { self.group };
                let gain = self.parameter(from, OUTPUT_AMPLIFIER)? & 0x7F;
                self.ask(node, SET_AMPLIFIER, 0xB000 | gain)?;
            }
            if capabilities & HAS_INPUT_AMPLIFIER != 0 {
                self.ask(node, SET_AMPLIFIER, 0x7000 | index << 8)?;
            }
        }
        let (Some(&(pin, _)), Some(&(converter, _))) = (path.first(), path.last()) else {
            return Err("an empty path".into());
        };
        let capabilities = self.parameter(pin, PIN)?;
        self.ask(pin, SET_PIN, if capabilities & HEADPHONES != 0 { 0xC0 } else { 0x40 })?;
        if capabilities & EXTERNAL != 0 {
            self.ask(pin, SET_EAPD, 2)?;
        }
        self.ask(converter, SET_FORMAT, format)?;
        self.ask(converter, SET_STREAM, TAG << 4).map(|_| ())
    }
}

/// The format as SDFMT and the converter want it, of 16 bits. (3.7.1)
fn format_word(song: Song<'_>) -> Result<u32, String> {
    let base = if song.rate.is_multiple_of(44_100) { 44_100 } else { 48_000 };
    let times = song.rate / base;
    if !matches!(times, 1 | 2 | 4) || !song.rate.is_multiple_of(base) {
        return Err(format!("{} Hz is not played here", song.rate));
    }
    Ok(u32::from(base == 44_100) << 14 | (times - 1) << 11 | 1 << 4 | (song.channels - 1))
}
