//! The cards that Linux has a driver for: how `ringwave serve` and QEMU are told, what the driver takes, and
//! how its players are best asked.

use std::path::Path;

use ringwave_audio::{SampleFormat, StreamFormat};

use super::Job;
use crate::{error::Error, input::Input, machine::vfio_user_device, request::Clock};

/// A card that Linux has a driver for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GuestCard {
    /// virtio-snd over vhost-user, driven by `virtio_snd`
    #[default]
    Virtio,
    /// HD Audio over vfio-user, driven by `snd_hda_intel`
    Hda,
}

/// How long a period is on the guest's clock. A driver that is late by half of it takes the interrupt for a
/// wrong one and says so ("IRQ timing workaround"); without KVM, on a busy host, a guest is late by 100 ms.
const PERIOD_MS: f64 = 400.0;
/// Fewest periods of a buffer.
const PERIODS_MIN: f64 = 8.0;

impl GuestCard {
    /// What people call it.
    pub fn title(self) -> &'static str {
        match self {
            Self::Virtio => "virtio-snd",
            Self::Hda => "HD Audio",
        }
    }

    /// The clock of a run that names none. HD Audio cannot wait: at a quarter of the speed a guest without
    /// KVM is in time.
    pub fn default_clock(self) -> Clock {
        match self {
            Self::Virtio => Clock::LOCKSTEP,
            Self::Hda => Clock::Realtime(0.25),
        }
    }

    /// The module that takes [`super::Request::module_options`], as its file is named.
    pub fn driver(self) -> &'static str {
        match self {
            Self::Virtio => "virtio_snd",
            Self::Hda => "snd-hda-intel",
        }
    }

    /// Whether its modules are in the folder `modules-hda`, beside those of every sound card.
    pub fn has_modules_of_its_own(self) -> bool {
        self == Self::Hda
    }

    /// Whether what arrives must be the song to the bit, and nothing be silent in between: where the clock
    /// waits; and with HD Audio, which counts no underrun (HDA.md 3).
    pub fn is_exact(self, clock: Clock) -> bool {
        clock.waits() || self == Self::Hda
    }

    /// The options of `ringwave serve` for songs of which the first has this format.
    pub fn serve_options(self, format: StreamFormat, channels: u32) -> Vec<String> {
        match self {
            Self::Virtio => ["--card", "virtio"].map(String::from).into(),
            Self::Hda => {
                let bits = if format.sample == SampleFormat::S24In32 { "24" } else { "32" };
                let channels = channels.to_string();
                ["--card", "hda", "--bits", bits, "--channels", &channels].map(String::from).into()
            }
        }
    }

    /// QEMU's arguments for the card behind this socket, one of several: number `number`.
    pub fn qemu_arguments(self, socket: &Path, number: u32) -> Vec<String> {
        match self {
            Self::Virtio => {
                let chardev = format!("socket,id=card{number},path={}", socket.display());
                let device = format!("vhost-user-snd-pci,chardev=card{number}");
                ["-chardev".into(), chardev, "-device".into(), device].into()
            }
            Self::Hda => ["-device".into(), vfio_user_device(socket).to_string()].into(),
        }
    }

    /// How the song goes into the guest: 8 bits as they lie in the file, where the card has them; 24 bits lie
    /// in 3 bytes for virtio-snd (in 4 they have another end of the word there), and in the upper end of 4
    /// for HD Audio, which are 32 bits for ALSA.
    pub fn guest_sample(self, song: &Input) -> SampleFormat {
        match (self, song.sound.format.sample) {
            (Self::Virtio, SampleFormat::S16) if song.stored == SampleFormat::U8 => SampleFormat::U8,
            (Self::Virtio, SampleFormat::S24In32) => SampleFormat::S24,
            (Self::Hda, SampleFormat::S24In32) => SampleFormat::S32,
            (_, sample) => sample,
        }
    }

    /// Options of aplay and arecord for a song of this format. The kernel gives a player up when it waits
    /// longer than
    /// 1.1 of its buffer for a period, so with a slow clock a buffer has many.
    pub fn player_options(self, clock: Clock, format: StreamFormat) -> String {
        if self == Self::Virtio {
            return String::new();
        }
        // The driver's buffer has at most 2 MiB.
        let bytes = format.rate.saturating_mul(format.frame_bytes());
        let buffer_ms = (f64::from(2 << 20) * 1000.0 / f64::from(bytes.max(1))).min(1000.0);
        let period_ms = (PERIOD_MS * clock.speed()).clamp(20.0, 100.0).min(buffer_ms / PERIODS_MIN);
        format!("--period-time={:.0} --buffer-time={:.0}", period_ms * 1000.0, buffer_ms * 1000.0)
    }

    /// Whether the card, and Linux on it, can do this.
    ///
    /// # Errors
    /// [`Error::BadInput`] with what to do instead.
    pub fn check(self, format: StreamFormat, job: Job, clock: Clock) -> Result<(), Error> {
        let StreamFormat { sample, channels, rate } = format;
        let bad = |line: String| Err(Error::BadInput(line));
        match self {
            Self::Virtio if job == Job::Record && sample == SampleFormat::S24In32 => {
                bad("24 bits: the card's source has them in 4 bytes, which no virtio stream takes; play it, or convert it to 32".into())
            }
            Self::Virtio if matches!(rate, 12_000 | 24_000) => {
                bad(format!("{rate} Hz: Linux 6.12 has no such rate for virtio-snd"))
            }
            Self::Hda if clock.waits() => {
                bad("--card hda --clock lockstep: HD Audio has no way to say what is written, so its clock cannot wait; take scaled:0.25, the default, or another card".into())
            }
            Self::Hda if !matches!(sample, SampleFormat::S16 | SampleFormat::S24In32 | SampleFormat::S32) => {
                bad(format!("{}: HD Audio has 16, 24 and 32 bits; convert it, or take --card virtio", sample.name()))
            }
            Self::Hda if !HDA_RATES.contains(&rate) => {
                bad(format!("{rate} Hz is no rate of HD Audio; convert it to 48 kHz, or take --card virtio"))
            }
            Self::Hda if job != Job::Play && channels != 2 => bad(format!(
                "{channels} channels: Linux records two on HD Audio; play it, mix it to stereo, or take --card virtio"
            )),
            Self::Hda if !channels.is_multiple_of(2) => bad(format!(
                "{channels} channels: Linux plays 2, 4, 6 or 8 on HD Audio; add one, or take --card virtio"
            )),
            Self::Virtio | Self::Hda => Ok(()),
        }
    }
}

/// What the codec offers and Linux takes (HDA.md 4).
pub const HDA_RATES: [u32; 11] =
    [8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 88_200, 96_000, 176_400, 192_000];

#[cfg(test)]
mod tests {
    use super::*;

    const STEREO: StreamFormat = StreamFormat { sample: SampleFormat::S16, channels: 2, rate: 48_000 };

    #[test]
    fn what_linux_cannot_do_on_hd_audio_is_refused_with_what_to_do_instead() {
        let hda = |format, job, clock| match GuestCard::Hda.check(format, job, clock) {
            Err(Error::BadInput(line)) => line,
            other => format!("{other:?}"),
        };
        let slow = GuestCard::Hda.default_clock();
        for sample in [SampleFormat::S16, SampleFormat::S24In32, SampleFormat::S32] {
            for (channels, rate) in [(2, 8_000), (8, 192_000)] {
                let format = StreamFormat { sample, channels, rate };
                assert!(GuestCard::Hda.check(format, Job::Play, slow).is_ok(), "{format:?}");
            }
        }
        assert!(hda(STEREO, Job::Play, Clock::LOCKSTEP).contains("scaled:0.25"));
        assert!(
            hda(StreamFormat { sample: SampleFormat::F32, ..STEREO }, Job::Play, slow).contains("convert")
        );
        assert!(hda(StreamFormat { rate: 64_000, ..STEREO }, Job::Play, slow).contains("64000 Hz"));
        assert!(hda(StreamFormat { channels: 1, ..STEREO }, Job::Play, slow).contains("2, 4, 6 or 8"));
        assert!(hda(StreamFormat { channels: 4, ..STEREO }, Job::Record, slow).contains("records two"));
        assert!(GuestCard::Virtio.check(STEREO, Job::Play, Clock::LOCKSTEP).is_ok());
    }

    #[test]
    fn a_slow_clock_and_a_large_format_have_short_periods() {
        let options = |speed, format| GuestCard::Hda.player_options(Clock::Realtime(speed), format);
        assert_eq!(options(0.1, STEREO), "--period-time=40000 --buffer-time=1000000");
        assert_eq!(options(0.25, STEREO), "--period-time=100000 --buffer-time=1000000");
        assert_eq!(options(1.0, STEREO), "--period-time=100000 --buffer-time=1000000");
        let large = StreamFormat { sample: SampleFormat::S32, channels: 8, rate: 192_000 };
        assert_eq!(options(0.25, large), "--period-time=42667 --buffer-time=341333");
    }
}
