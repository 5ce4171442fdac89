//! One run from start to verdict: card, machine, guest, comparison. The scenarios differ in the guest's
//! client, the card's source, and what is compared with what.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use ringwave_audio::wav::{self, Sound, WavFile};
use ringwave_report::Direction;

use crate::{
    artefacts::Artefacts,
    bringup::log_tail::last_lines,
    card::{Card, TRACE},
    comparison, dma_checker,
    error::Error,
    guest_log::GuestLog,
    html,
    input::Input,
    machine::{Machine, MachineOptions, Outcome, make_volume, ram_for},
    report::Report,
    request::{CardKind, Mode, Request, Scenario},
};

/// The most that a guest sends back, in bytes.
const RECORDED_BYTES_MAX: u64 = 12 << 20;
/// A loopback records a little before and after what is played.
const LOOPBACK_BYTES_MAX: u64 = 10 << 20;
/// How long the guest may take for all but the sound itself. Without KVM and on a busy host the firmware
/// alone takes a minute.
const BOOT_TIMEOUT: Duration = Duration::from_mins(5);

/// Does what `request` says and compares what arrived with what was sent. `progress` hears about the run's
/// steps.
///
/// # Errors
/// [`Error::BadInput`] before anything is started; [`Error::Failed`] if a part can't be started or does not
/// do its work; [`Error::Interrupted`]. Whatever happens, no process and no socket is left.
pub fn run(artefacts: &Artefacts, request: &Request, progress: impl FnMut(&str)) -> Result<Report, Error> {
    run_watched(artefacts, request, progress, |_| Ok(()))
}

/// The processes of a run that is on its way.
#[derive(Clone, Copy, Debug)]
pub struct Processes {
    /// QEMU's id.
    pub qemu: u32,
    /// The card's.
    pub card: u32,
    /// Bytes of the file that the card plays into, so far.
    pub heard: u64,
}

/// As [`run`]; `watch` is called every 20 ms while the guest runs.
///
/// # Errors
/// As [`run`], and what `watch` says.
pub fn run_watched(
    artefacts: &Artefacts,
    request: &Request,
    mut progress: impl FnMut(&str),
    mut watch: impl FnMut(Processes) -> Result<(), Error>,
) -> Result<Report, Error> {
    let input = Input::open(&request.wav)?;
    check(request, &input)?;
    let (result, kept) = with_run_folder(request.keep, |folder| {
        Run { artefacts, request, input: &input, folder }.run(&mut progress, &mut watch)
    })?;
    if let (Some(kept), Err(_)) = (&kept, &result) {
        progress(&format!("the run's files are in {}", kept.display()));
    }
    result.map(|report| Report { folder: kept, ..report })
}

/// Gives `work` a temporary folder, which is left (and named) if it is to be kept.
///
/// # Errors
/// [`Error::Failed`] if there can be none.
pub fn with_run_folder<T>(keep: bool, work: impl FnOnce(&Path) -> T) -> Result<(T, Option<PathBuf>), Error> {
    let folder = tempfile::Builder::new()
        .prefix("ringwave-")
        .tempdir()
        .map_err(|e| Error::Failed(format!("cannot make a temporary folder: {e}")))?;
    let result = work(folder.path());
    Ok((result, keep.then(|| folder.keep())))
}

/// The rule that a guest breaks which has not come to its end.
fn unfinished(in_time: bool, guest: &GuestLog) -> Option<String> {
    match (in_time, &guest.end) {
        (false, _) => Some("rule=timeout the guest did not end in time".into()),
        (true, None) => Some("rule=no-verdict the guest ended without its last line".into()),
        (true, Some(_)) => None,
    }
}

/// What can't be done is said before anything is started.
fn check(request: &Request, input: &Input) -> Result<(), Error> {
    let most = match request.scenario {
        Scenario::Play => u64::MAX,
        Scenario::Loopback => LOOPBACK_BYTES_MAX,
        Scenario::Record(_) => RECORDED_BYTES_MAX,
    };
    if input.sound.frames.len() as u64 > most {
        let name = request.wav.display();
        return Err(Error::BadInput(format!("{name}: more than {} MiB of sound; cut it", most >> 20)));
    }
    if request.packets == 1 && request.kind == CardKind::Virtio {
        return Err(Error::BadInput(
            "--packets 1: a message of virtio-snd is complete when another waits behind it; write --packets 2".into(),
        ));
    }
    // DATASHEET 5.4: in real time the only packet is under way whenever the client could have it. One that
    // goes by position has all but a FIFO.
    let by_packets = !matches!(request.scenario, Scenario::Record(Mode::Event | Mode::Timer));
    if request.packets == 1 && by_packets && !request.clock.waits() {
        return Err(Error::BadInput(
            "--packets 1: in real time the only packet is under way whenever the client could have it; write --clock lockstep".into(),
        ));
    }
    Ok(())
}

/// A run on its way.
struct Run<'a> {
    artefacts: &'a Artefacts,
    request: &'a Request,
    input: &'a Input,
    folder: &'a Path,
}

impl Run<'_> {
    fn run(
        &self,
        progress: &mut impl FnMut(&str),
        watch: &mut impl FnMut(Processes) -> Result<(), Error>,
    ) -> Result<Report, Error> {
        let Self { artefacts, request, input, folder } = *self;
        let start = Instant::now();
        let wav = folder.join("in.wav");
        input.write(&wav)?;
        make_volume(artefacts, folder, &wav, &self.guest_config())?;
        let card = Card::start(&artefacts.ringwave, folder, "heard", self.card_options(&wav))?;
        let played = card.session_wav(1);
        let options = MachineOptions {
            ram_mib: ram_for(input.file_bytes),
            processors: request.processors,
            root_port: request.root_port,
            ..MachineOptions::default()
        };
        let mut machine = Machine::boot_card(artefacts, folder, (request.kind, &card.socket()), options)?;
        progress("guest boots");
        let (qemu, process) = (machine.process_id(), card.process_id());
        let outcome = self.wait(&mut machine, &played, progress, &mut |heard| {
            watch(Processes { qemu, card: process, heard })
        })?;
        let (guest_text, qemu_text, recorded) =
            (machine.guest_log(), machine.qemu_log(), machine.recorded()?);
        drop(machine);
        let (stats, trace) = card.finish()?;
        let timeline = request.timeline.then(|| html::timeline(&folder.join(TRACE), &stats)).transpose()?;
        if let Some(Outcome::Qemu(code)) = outcome {
            return Err(Error::Failed(format!("QEMU failed (exit code {code:?}): {}", qemu_text.trim())));
        }
        let guest = GuestLog::parse(&guest_text);
        if outcome == Some(Outcome::BadInput) || guest.end.is_none() {
            progress(&format!("the guest's last lines:\n{}", last_lines(&guest_text, 12)));
        }
        let mut violations = guest.violations.clone();
        // The trace of the virtio card has neither addresses nor the guest's marks.
        if request.kind == CardKind::Ringwave {
            violations.extend(dma_checker::check(&guest, trace));
        }
        violations.extend(unfinished(outcome.is_some(), &guest));
        let played = played.exists().then(|| wav::read(&played)).transpose();
        let played = played.map_err(|e| Error::Failed(format!("what was heard is no WAV file: {e}")))?;
        let recorded = Sound { format: input.sound.format, frames: recorded };
        let arrived =
            if matches!(request.scenario, Scenario::Record(_)) { Some(&recorded) } else { played.as_ref() };
        if let (Some(out), Some(arrived)) = (&request.out, arrived) {
            write(out, arrived, input.speakers)?;
        }
        let comparison = arrived
            .map(|arrived| comparison::compare_arrived(request, &input.sound, arrived, &stats, &guest));
        let frame_bytes = input.sound.format.frame_bytes();
        let packet = stats.first(Direction::Render).map_or(0, |stream| stream.packet_frames(frame_bytes));
        violations
            .extend(comparison.as_ref().and_then(|it| comparison::unexplained_loss(it, packet, &guest)));
        let loopback = match &played {
            Some(played) if request.scenario == Scenario::Loopback => {
                Some(comparison::compare_loopback(played, &recorded, &stats, &guest))
            }
            _ => None,
        };
        Ok(Report {
            scenario: request.scenario,
            kind: request.kind,
            waits: request.clock.waits(),
            outcome,
            comparison,
            loopback,
            card: stats,
            guest,
            violations,
            recorded: recorded.frames,
            played,
            timeline,
            wall: start.elapsed(),
            folder: None,
        })
    }

    /// Waits for the guest's end, and tells how far it has come.
    fn wait(
        &self,
        machine: &mut Machine,
        played: &Path,
        progress: &mut impl FnMut(&str),
        watch: &mut impl FnMut(u64) -> Result<(), Error>,
    ) -> Result<Option<Outcome>, Error> {
        let duration = self.input.duration();
        let limit = BOOT_TIMEOUT + duration.div_f64(self.request.clock.speed().clamp(0.01, 100.0)) * 3;
        let (mut shown, mut percent_shown) = (Instant::now(), 0);
        machine.wait(limit, || {
            let bytes = played.metadata().map_or(0, |meta| meta.len());
            watch(bytes)?;
            if shown.elapsed() > Duration::from_secs(1) && percent_shown < 100 {
                shown = Instant::now();
                let percent = (bytes.saturating_mul(100) / self.input.file_bytes.max(1)).min(100);
                if percent > percent_shown {
                    percent_shown = percent;
                    progress(&format!("playing, {percent}% of {:.1} s", duration.as_secs_f64()));
                }
            }
            Ok(())
        })
    }

    fn card_options(&self, wav: &Path) -> Vec<String> {
        let mut options = Card::single_session_options(self.folder);
        options.extend(self.request.kind.arguments());
        options.extend(self.request.clock.arguments());
        options.extend(match self.request.scenario {
            Scenario::Play => vec![],
            Scenario::Loopback => vec!["--source".into(), "loopback:0".into()],
            Scenario::Record(_) => vec!["--source".into(), format!("wav:{}", wav.display())],
        });
        options.extend(self.request.card.iter().cloned());
        options
    }

    /// ntguest.cfg. A line that tests ask for takes the place of the one with its key.
    fn guest_config(&self) -> String {
        let Self { request, input, .. } = self;
        let format = input.sound.format;
        let mut lines = vec![
            "wav=MUSIC.WAV".to_owned(),
            format!("pci={}", request.kind.pci()),
            format!("buffer_ms={}", request.buffer_ms),
            // The guest's checker of positions must know how fast the card's clock may go.
            format!("speed={}", request.clock.speed().ceil()),
        ];
        if request.kind == CardKind::Ringwave {
            lines.extend([
                // TRACE_MARK of the card's datasheet, section 3.
                "mark_reg=0x4c".to_owned(),
                // CONTROL.INT_ENABLE and INT_STATUS: 0 when the driver has got the card ready for D3.
                "quiet_regs=0x20:1,0x24:0xffffffff".to_owned(),
            ]);
        }
        // A slow clock moves less than the guest's timer says.
        if request.clock.speed() < 1.0 {
            lines.push(format!("clock_percent={:.0}", request.clock.speed() * 100.0));
        }
        // In lockstep nothing is late; in real time the guest keeps a book of what was.
        if !request.clock.waits() {
            lines.push("clock=realtime".to_owned());
        }
        if request.processors > 1 {
            lines.push(format!("cpus={}", request.processors));
        }
        if request.packets != 2 {
            lines.push(format!("packets={}", request.packets));
        }
        if request.contiguous {
            lines.push("reg.ContiguousBuffer=1".to_owned());
        }
        match request.scenario {
            Scenario::Play => {}
            Scenario::Loopback => lines.push("client=duplex".to_owned()),
            Scenario::Record(mode) => lines.extend([
                "client=record".to_owned(),
                format!("mode={mode}"),
                format!("format={}x{}@{}", format.sample.name(), format.channels, format.rate),
                format!("frames={}", input.frames),
            ]),
        }
        // The driver asks for it only then, and a recorder that takes no packets would be waited for in vain.
        if request.clock.waits() && !matches!(request.scenario, Scenario::Record(Mode::Event | Mode::Timer)) {
            lines.push("reg.Lockstep=1".to_owned());
        }
        let key = |line: &str| line.split('=').next().unwrap_or_default().to_owned();
        lines.retain(|line| !request.guest_config.iter().any(|other| key(other) == key(line)));
        lines.extend(request.guest_config.iter().cloned());
        lines.join("\n") + "\n"
    }
}

/// Writes what arrived where the user wants it.
pub(crate) fn write(out: &Path, sound: &Sound, speakers: Option<u32>) -> Result<(), Error> {
    let written = WavFile::create_for(out, sound.format, speakers).and_then(|mut file| {
        file.add(&sound.frames)?;
        file.flush()
    });
    written.map_err(|e| Error::file("write", out, &e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_that_does_not_come_to_its_end_is_named() {
        let cut = GuestLog::parse("ntguest: info half of it\n");
        let whole = GuestLog::parse("ntguest: info all of it\nntguest: end violations=0 status=ok\n");
        let rule = |in_time, guest| unfinished(in_time, guest).unwrap_or_default();
        assert!(rule(false, &cut).starts_with("rule=timeout "));
        assert!(rule(true, &cut).starts_with("rule=no-verdict "));
        assert_eq!(rule(true, &whole), "");
    }
}
