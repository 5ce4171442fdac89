//! What can be asked for (`scenario=NAME` in `\BARE.CFG`), and the way from the entry point there.
//!
//! Keys that several know: `seed` (of the pattern), `frames`, `rate`, `packet_frames`, `layout` (`contiguous`
//! or `scatter-gather`).

mod cycles;
mod forever;
mod hda;
mod hda_faults;
mod interrupts;
mod loopback;
mod play;
mod power;
mod resets;
mod self_test;
mod tables;

use core::ffi::c_void;

use crate::card::Card;
use crate::config::Config;
use crate::machine::uefi::{Firmware, SystemTable};
use crate::memory::{Buffer, Layout};
use crate::player::{Player, Song};
use crate::verdict::{Step, bad_input, end};
use crate::{say, wrong};

/// `\BARE.CFG`, as the file protocol wants it.
const CONFIG_FILE: [u16; 10] = {
    let name = *b"\\BARE.CFG\0";
    let mut wide = [0; 10];
    let mut at = 0;
    while at < name.len() {
        wide[at] = name[at] as u16;
        at += 1;
    }
    wide
};
const CONFIG_BYTES: usize = 2048;

/// All that a scenario needs.
pub struct Guest<'a> {
    /// The card.
    pub card: Card,
    /// Memory and time.
    pub firmware: Firmware,
    /// What was asked for.
    pub config: Config<'a>,
}

impl Guest<'_> {
    /// The song that the configuration asks for, or the usual one.
    fn song(&self) -> Song {
        Song {
            seed: self.config.number("seed", 1) as u32,
            rate: self.config.number("rate", 48_000) as u32,
            packet_frames: self.config.number("packet_frames", 480) as u32,
            frames: self.config.number("frames", 9_999),
        }
    }

    fn layout(&self) -> Layout {
        match self.config.get("layout") {
            Some("contiguous") => Layout::Contiguous,
            _ => Layout::ScatterGather,
        }
    }

    fn buffer(&self, song: Song, layout: Layout) -> Step<Buffer> {
        let buffer = Buffer::new(&self.firmware, song.ring_bytes(), layout)?;
        buffer.describe();
        Ok(buffer)
    }

    /// Plays a song from start to end in memory of its own.
    fn play(&self, song: Song, layout: Layout) -> Step {
        self.play_in(&self.buffer(song, layout)?, song)
    }

    /// Plays a song from start to end.
    fn play_in(&self, buffer: &Buffer, song: Song) -> Step {
        let mut player = Player::prepare(self, buffer, song)?;
        player.start()?;
        player.finish()?;
        say!("played seed={} frames={} rate={}", song.seed, song.frames, song.rate);
        Ok(())
    }
}

#[unsafe(no_mangle)]
extern "efiapi" fn efi_main(image: *mut c_void, table: *const SystemTable) -> usize {
    // SAFETY: the arguments of the entry point; nothing in this program ends the boot services.
    let firmware = unsafe { Firmware::new(image, table) };
    let mut text = [0; CONFIG_BYTES];
    let Some(length) = firmware.read_file(&CONFIG_FILE, &mut text) else { bad_input("no BARE.CFG") };
    let Some(Ok(text)) = text.get(..length).map(core::str::from_utf8) else {
        bad_input("BARE.CFG is no text")
    };
    let config = Config(text);
    if config.get("scenario") == Some("hda") {
        say!("start scenario=hda");
        let _ = hda::run(firmware, config);
        end()
    }
    if config.get("card") == Some("hda") {
        let name = config.get("scenario").unwrap_or("");
        say!("start scenario={name} card=hda");
        let _ = hda_faults::run(firmware, config, name);
        end()
    }
    let Some(card) = Card::find() else { bad_input("no card on the bus") };
    let guest = Guest { card, firmware, config };
    let name = config.get("scenario").unwrap_or("");
    say!("start scenario={name} resets={}", card.resets());
    // What failed has been said and counted.
    let _ = run(&guest, name);
    end()
}

fn run(guest: &Guest<'_>, name: &str) -> Step {
    match name {
        "play" => play::run(guest),
        "forever" => forever::run(guest),
        "reboot" => resets::reboot(guest),
        "flr" => resets::function_level_reset(guest),
        "tables" => tables::run(guest),
        "self-test" => self_test::run(guest),
        "cycles" => cycles::run(guest),
        "d3hot" => power::d3hot(guest),
        "bus-master" => power::bus_master_off(guest),
        "msi" => interrupts::run(guest),
        "loopback" => loopback::run(guest),
        _ => Err(wrong!("there is no scenario={name}")),
    }
}
