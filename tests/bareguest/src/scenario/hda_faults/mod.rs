//! What goes wrong around a HD Audio card (`card=hda`), under the names that the same has for the Ringwave
//! card: `play`, `forever`, `reboot`, `flr`, `tables`, `cycles`, `d3hot`, `bus-master`, `msi`. Keys: `seed`,
//! `frames`, `rate`, `period_frames`, and `interrupts=intx` or `msi`.

mod gone;
mod lists;
mod messages;
mod power;
mod resets;

use crate::config::Config;
use crate::hda::codec::Codec;
use crate::hda::controller::Controller;
use crate::hda::player::{Player, Song};
use crate::hda::service;
use crate::machine::interrupts::{self, Kind};
use crate::machine::uefi::Firmware;
use crate::verdict::{Step, expect};
use crate::wrong;

/// A controller whose rings run, and its codec.
struct Card {
    controller: Controller,
    codec: Codec,
}

impl Card {
    /// Finds it as it is after power-on, resets it and walks its codec.
    fn set_up(firmware: Firmware, kind: Kind) -> Step<Self> {
        let mut controller = Controller::find(firmware)?;
        controller.expect_fresh()?;
        let codecs = controller.reset()?;
        expect("codec 0 is there", (codecs & 1).into(), 1)?;
        interrupts::take(&firmware, controller.function, kind, service::service)?;
        controller.start_rings()?;
        let codec = Codec::walk(&mut controller, 0)?;
        Ok(Self { controller, codec })
    }

    fn player(&mut self, song: Song) -> Step<Player> {
        Player::new(&mut self.controller, &self.codec, song)
    }

    /// Plays a song from start to end.
    fn play(&mut self, song: Song) -> Step {
        let mut player = self.player(song)?;
        player.start(&self.controller)?;
        player.finish(&self.controller)
    }
}

/// All that a scenario needs.
struct Guest<'a> {
    firmware: Firmware,
    config: Config<'a>,
}

impl Guest<'_> {
    fn kind(&self) -> Kind {
        if self.config.get("interrupts") == Some("intx") { Kind::Line } else { Kind::Message }
    }

    fn card(&self) -> Step<Card> {
        Card::set_up(self.firmware, self.kind())
    }

    /// The song that the configuration asks for, or the usual one.
    fn song(&self) -> Song {
        let number = |key, default| self.config.number(key, default) as u32;
        Song {
            seed: number("seed", 1),
            rate: number("rate", 48_000),
            period: number("period_frames", 1024),
            frames: number("frames", 9_999),
        }
    }

    /// The same without an end.
    fn endless(&self) -> Song {
        Song { frames: u32::MAX, ..self.song() }
    }
}

/// The scenario of this name.
pub fn run(firmware: Firmware, config: Config<'_>, name: &str) -> Step {
    let guest = &Guest { firmware, config };
    match name {
        "play" => guest.card()?.play(guest.song()),
        "forever" => gone::forever(guest),
        "reboot" => resets::reboot(guest),
        "flr" => resets::function_level_reset(guest),
        "cycles" => resets::cycles(guest),
        "tables" => lists::run(guest),
        "d3hot" => power::d3hot(guest),
        "bus-master" => power::bus_master_off(guest),
        "msi" => messages::run(guest),
        _ => Err(wrong!("there is no scenario={name} of this card")),
    }
}
