//! The HD Audio card, by a driver that somebody wrote from the specification and had not seen the card
//! (tests/bareguest/src/hda): what it plays is heard, and what is there to record it records, by INTx and by
//! MSI. `qemu-scripts/test` runs this (`cargo test -- --ignored`).

use std::{fs, path::Path};

use ringwave_audio::{SampleFormat, StreamFormat, wav};
use ringwave_e2e::bare::{BareGuest, BareLog, pattern_bytes};
use ringwave_runner::{
    artefacts::Artefacts,
    card::Card,
    machine::{MachineOptions, Outcome},
};

/// TCG is slow, and DMA waits for no guest.
const CLOCK: &str = "scaled:0.25";
const CLOCK_HZ: u32 = 6_000_000;
const SEED: u32 = 90;
const SOURCE_SEED: u32 = 7;
/// Frames of a period, and periods that are recorded (tests/bareguest/src/scenario/hda.rs).
const PERIOD: usize = 3_072;
const RECORDED: usize = 5 * PERIOD;
/// What is played: not a whole number of periods.
const FRAMES: usize = 20_011;

/// A run.
struct Run {
    interrupts: &'static str,
    rate: u32,
    /// 16, or 20 or 24 in the upper end of 32.
    bits: u32,
    channels: u32,
    layout: &'static str,
}

impl Run {
    fn format(&self, channels: u32) -> StreamFormat {
        let sample = if self.bits == 16 { SampleFormat::S16 } else { SampleFormat::S24In32 };
        StreamFormat { sample, channels, rate: self.rate }
    }

    /// So many samples of a pattern.
    fn pattern(&self, seed: u32, samples: usize) -> Vec<u8> {
        let mut bytes = pattern_bytes(seed, self.format(2).sample, samples);
        if self.bits == 20 {
            bytes.as_chunks_mut().0.iter_mut().for_each(|[_, low, _, _]| *low &= 0xF0);
        }
        bytes
    }
}

fn write_source(path: &Path, run: &Run) -> Vec<u8> {
    let format = run.format(2);
    let frames = run.pattern(SOURCE_SEED, 8 * RECORDED);
    let mut file = wav::WavFile::create(path, format).expect("a WAV file");
    file.add(&frames).and_then(|()| file.flush()).expect("it is written");
    frames
}

/// The bytes that both have alike before the first difference.
fn alike(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

fn boot(folder: &Path, run: &Run) -> (BareLog, Option<Outcome>, Card) {
    let artefacts = Artefacts::from_env().expect("everything is built");
    let control = folder.join("control.sock");
    let source = format!("wav:{}", folder.join("source.wav").display());
    let channels = run.channels.to_string();
    let (bits, most) = (run.bits, if run.bits == 16 { "32" } else { "24" });
    let options = ["--card", "hda", "--render", "2", "--capture", "1", "--channels", &channels];
    let options = options.into_iter().chain(["--bits", most, "--source", &source, "--clock", CLOCK]);
    let options = options.map(str::to_owned).chain(["--control".to_owned(), control.display().to_string()]);
    let mut card = Card::start(&artefacts.ringwave, folder, "heard", options).expect("the card listens");
    let config = format!(
        "scenario=hda\ninterrupts={}\nrate={}\nbits={bits}\nchannels={}\nlayout={}\nseed={SEED}\nframes={FRAMES}\n\
         period_frames={PERIOD}\nclock_hz={CLOCK_HZ}",
        run.interrupts, run.rate, run.channels, run.layout
    );
    let machine = MachineOptions::default();
    let mut guest =
        BareGuest::boot(&artefacts, folder, &card.socket(), &config, machine).expect("QEMU starts");
    let told = guest.pull_plug_when_told(&artefacts.ringwave, &control);
    let (outcome, log) = guest.finish().expect("the guest ends");
    log.events.iter().for_each(|event| eprintln!("guest: {} {}", event.name, event.text));
    eprintln!("{told:?}");
    eprintln!("{}", card.log());
    card.wait_for("the client has left", 1).expect("the card sees the client leave");
    (log, outcome, card)
}

fn check(run: &Run) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let folder = folder.path();
    let source = write_source(&folder.join("source.wav"), run);
    let (log, outcome, card) = boot(folder, run);
    assert_eq!((outcome, log.wrong()), (Some(Outcome::Ok), vec![]));
    let taken = log.one("interrupts");
    assert!(taken.number("taken") > Some(80), "each lone command had an interrupt");
    assert_eq!(log.all("stream-ended").len(), 2);

    let heard = card.session_wav(1);
    assert!(card.end().expect("the card ends").success());
    let heard = wav::read(&heard).expect("a WAV file");
    assert_eq!(heard.format, run.format(run.channels));
    let played = run.pattern(SEED, FRAMES * run.channels as usize);
    assert_eq!(alike(&heard.frames, &played), played.len(), "the host heard what was played");
    assert!(heard.frames[played.len()..].iter().all(|byte| *byte == 0), "and silence behind it");

    let recorded = fs::read(folder.join("recorded.raw")).expect("what was recorded");
    assert_eq!(recorded.len(), RECORDED * run.format(2).frame_bytes() as usize);
    assert_eq!(alike(&recorded, &source), recorded.len(), "the guest recorded what the source has");
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn by_intx_16_bits_as_the_specification_has_it() {
    check(&Run { interrupts: "intx", rate: 48_000, bits: 16, channels: 2, layout: "aligned" });
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn by_msi_24_bits_six_channels_in_buffers_as_drivers_make_them() {
    check(&Run { interrupts: "msi", rate: 44_100, bits: 24, channels: 6, layout: "odd" });
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn in_long_by_msi_20_bits_lie_in_the_upper_end_of_32() {
    check(&Run { interrupts: "msi", rate: 48_000, bits: 20, channels: 2, layout: "aligned" });
}
