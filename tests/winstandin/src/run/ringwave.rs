//! Plays through the Ringwave card, from DATASHEET.md alone: the whole song in a cyclic buffer of two
//! packets, both marked before they begin, so that nothing is late whatever the clock.

use alloc::format;
use alloc::string::String;
use core::sync::atomic::{Ordering, fence};

use ringwave_regs::pages::{self, status};
use ringwave_regs::{format as sample, global, pci, stream};

use super::pci::{Function, Window};
use super::wave::Song;
use crate::firmware::{Firmware, buffer};

const PACKETS: u32 = 2;
/// A packet's frames at least (section 5.1): behind a song that is shorter there is silence.
const SHORTEST: u32 = 1000;
const LOOK_MICROS: usize = 5_000;
/// Looks until the card is given up: two minutes, for a clock that is slowed down.
const LOOKS: u32 = 24_000;

/// Plays it to its end; else why not.
pub fn play(firmware: &Firmware, song: Song<'_>) -> Result<(), String> {
    let card = u32::from(pci::DEVICE) << 16 | u32::from(pci::VENDOR);
    let function = Function::find(firmware, 0, u32::MAX, card).ok_or("no Ringwave card on the bus")?;
    function.enable();
    let registers = function.window(pci::REGISTERS_BAR, pci::REGISTERS_BYTES).ok_or("no BAR 0")?;
    let pages = function.window(pci::PAGES_BAR, pci::PAGES_BYTES).ok_or("no BAR 2")?;
    let version = registers.read32(global::VERSION);
    if registers.read32(global::MAGIC) != global::MAGIC_VALUE || version >> 16 != global::VERSION_VALUE >> 16
    {
        return Err(format!("another interface: VERSION {version:#x}"));
    }
    registers.write32(global::CONTROL, global::CONTROL_RESET);

    let frame = song.frame_bytes() as u32;
    let frames = song.frames.len() as u32 / frame;
    let packet = frames.div_ceil(PACKETS).max(SHORTEST);
    let mut ring = buffer((packet * PACKETS * frame) as usize);
    ring.bytes().iter_mut().zip(song.frames).for_each(|(to, byte)| *to = *byte);
    let address = ring.bytes().as_ptr() as u64;
    // The card reads what was stored.
    fence(Ordering::SeqCst);

    let set = |register, value| registers.write32(stream::BLOCK_BASE + register, value);
    set(stream::FORMAT, sample::pack(sample::S16, song.channels));
    set(stream::RATE, song.rate);
    set(stream::RING_BYTES, packet * PACKETS * frame);
    set(stream::PACKETS, PACKETS);
    set(stream::DMA_MODE, stream::DMA_MODE_CONTIGUOUS);
    set(stream::DMA_ADDR_LO, address as u32);
    set(stream::DMA_ADDR_HI, (address >> 32) as u32);
    set(stream::LOCKSTEP, stream::LOCKSTEP_ASK);
    go(registers, stream::STATE_ACQUIRE)?;
    go(registers, stream::STATE_PAUSE)?;
    // The first packet, then the last and how much of it is valid.
    let last = frames.saturating_sub(packet) * frame;
    set(stream::WRITTEN, 0);
    set(stream::EOS, stream::EOS_ARM | last);
    set(stream::WRITTEN, 1);
    go(registers, stream::STATE_RUN)?;
    let ended = (0..LOOKS).any(|_| {
        firmware.stall(LOOK_MICROS);
        pages.read32(pages::STATUS_BASE + status::FLAGS) & status::FLAG_ENDED != 0
    });
    let error = registers.read32(stream::BLOCK_BASE + stream::ERROR);
    go(registers, stream::STATE_STOP)?;
    if ended && error == 0 { Ok(()) } else { Err(format!("the stream did not end: ERROR {error}")) }
}

fn go(registers: Window, state: u32) -> Result<(), String> {
    registers.write32(stream::BLOCK_BASE + stream::STATE, state);
    if registers.read32(stream::BLOCK_BASE + stream::STATE) == state {
        return Ok(());
    }
    let error = registers.read32(stream::BLOCK_BASE + stream::ERROR);
    Err(format!("STATE {state} is refused: ERROR {error}"))
}
