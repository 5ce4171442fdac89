//! The shipped driver on virtio-snd: our device over vhost-user, and QEMU's own `virtio-sound-pci`.
//!
//! Our device waits (lockstep), so that what arrives is what was sent, to the bit. QEMU's does not; the
//! guest's time and its own is counted by instructions there (`-icount`), so that no guest is late because
//! the host is. Its WAV file is what was played if the sound is 16-bit stereo at the file's rate, but for the
//! last milliseconds before STOP, which it throws away: the files end with a piece of silence.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use ringwave_audio::{SampleFormat, StreamFormat, wav::Sound};
use ringwave_e2e::{
    runs::{play, record, run_request},
    tune_file::TuneFile,
};
use ringwave_runner::{
    artefacts::Artefacts,
    card::Card,
    foreign::{self, Device},
    guest_log::GuestLog,
    machine::{GuestTime, Machine, MachineOptions, make_volume},
    report::Report,
    request::{CardKind, Clock, Request, Scenario},
};

/// QEMU's card, which has two messages unless told otherwise. A doorbell is served where it is rung: by an
/// eventfd, QEMU's main loop would do it at the host's time.
const QEMU_CARD: &str = "virtio-sound-pci,audiodev=snd,ioeventfd=off";
/// Its WAV files have 44 bytes before the sound, in which lengths are 0: the sound goes to the end of the
/// file.
const WAV_HEADER: usize = 44;

/// Bit-exact, without a violation, and the guest is content.
fn assert_passed(report: &Report, what: &str) {
    assert!(report.passed(), "{what}: {report}");
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn plays_bit_exact_in_both_dma_modes() {
    let cases: [(SampleFormat, u32, u32, bool, &str); 5] = [
        (SampleFormat::S16, 2, 48_000, false, "msi=5"),
        (SampleFormat::S16, 2, 44_100, true, "msi=5"),
        (SampleFormat::F32, 6, 48_000, true, "msi=1"),
        (SampleFormat::S32, 1, 96_000, false, "msi=1"),
        // The line, which the device may not assert before it is connected (rule `unexpected-interrupt`).
        (SampleFormat::S16, 2, 48_000, false, "msi=0"),
    ];
    for (sample, channels, rate, contiguous, messages) in cases {
        let tune = TuneFile::new(sample, channels, rate);
        let report = play(&tune.path(), |request| {
            request.kind = CardKind::Virtio;
            request.contiguous = contiguous;
            request.card = vec!["--channels".into(), "8".into()];
            request.guest_config = vec![messages.into()];
        });
        assert_passed(
            &report,
            &format!("{sample:?} x{channels} @{rate}, contiguous {contiguous}, {messages}"),
        );
    }
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn records_bit_exact() {
    for (contiguous, messages) in [(false, "msi=0"), (false, "msi=1"), (true, "msi=5")] {
        let report = record(&TuneFile::stereo().path(), |request| {
            request.kind = CardKind::Virtio;
            request.contiguous = contiguous;
            request.guest_config = vec![messages.into()];
        });
        assert_passed(&report, messages);
    }
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn plays_and_records_at_once() {
    let tune = TuneFile::stereo();
    let report = run_request(Request::play(tune.path()), |request| {
        request.kind = CardKind::Virtio;
        request.scenario = Scenario::Loopback;
    });
    assert_passed(&report, "loopback");
}

/// A second of 16-bit stereo at this rate, and 200 ms of silence; how many bytes of it are sound.
fn tune_and_silence(folder: &Path, rate: u32) -> (std::path::PathBuf, Vec<u8>) {
    let tune = TuneFile::new(SampleFormat::S16, 2, rate);
    let sound = tune.frames();
    let format = StreamFormat { sample: SampleFormat::S16, channels: 2, rate };
    let mut frames = sound.clone();
    frames.resize(sound.len() + rate as usize / 5 * 4, 0);
    let path = folder.join("in.wav");
    let mut file = ringwave_audio::wav::WavFile::create(&path, format).expect("a WAV file");
    file.add(&Sound { format, frames }.frames).and_then(|()| file.flush()).expect("it is written");
    (path, sound)
}

/// Runs a client on QEMU's card with this audiodev; what was played or recorded goes to `out`.
fn on_qemus_card(
    audiodev: &str,
    client: &str,
    wav: &Path,
    out: &Path,
    config: &[&str],
) -> foreign::report::Report {
    on_device(QEMU_CARD, audiodev, client, wav, out, config)
}

/// The same on a card with these properties.
fn on_device(
    device: &str,
    audiodev: &str,
    client: &str,
    wav: &Path,
    out: &Path,
    config: &[&str],
) -> foreign::report::Report {
    let artefacts = Artefacts::from_env().expect("everything is built");
    let request = foreign::Request {
        sys: artefacts.driver.clone(),
        inf: None,
        device: Device::Qemu(device.into()),
        audiodev: audiodev.into(),
        pci: Some((0x1af4, 0x1059)),
        client: client.into(),
        wav: wav.to_owned(),
        values: Vec::new(),
        harsh: true,
        out: Some(out.to_owned()),
        config: config.iter().copied().map(String::from).collect(),
        processors: 2,
        time: GuestTime::Instructions,
        limit: Duration::from_mins(10),
        keep: false,
    };
    let report = foreign::run(&artefacts, &request, |step| eprintln!("{step}")).expect("a verdict");
    eprintln!("{report}");
    report
}

/// QEMU's file has the sound, bit-exact and in one piece.
fn assert_heard(out: &Path, sound: &[u8], what: &str) {
    let file = std::fs::read(out).expect("QEMU's file");
    let heard = file.get(WAV_HEADER..).unwrap_or_default();
    // It may begin with silence: QEMU's card asks for data every 10 ms, whether there is any or not.
    let start = heard.windows(64).position(|window| Some(window) == sound.get(..64)).unwrap_or(0);
    assert!(start % 4 == 0 && heard[..start].iter().all(|byte| *byte == 0), "{what}: {start}");
    assert!(
        heard[start..].starts_with(sound),
        "{what}: {} of {} bytes, from {start} on, are right for {}",
        heard.len(),
        sound.len(),
        heard[start..].iter().zip(sound).take_while(|(a, b)| a == b).count()
    );
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn plays_bit_exact_on_the_card_of_qemu() {
    let five_messages = format!("{QEMU_CARD},vectors=5");
    // Mixed at the rate of the file, and raw: without the mixing engine QEMU writes the guest's bytes.
    for (device, audiodev, rate, messages, granted) in [
        (QEMU_CARD, "wav,out.frequency=48000", 48_000, "msi=5", " messages 2 "),
        // One for each queue.
        (&five_messages, "wav,out.frequency=48000", 48_000, "msi=5", " messages 5 "),
        (QEMU_CARD, "wav,out.mixing-engine=off", 44_100, "msi=0", " messages 0 "),
    ] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (wav, sound) = tune_and_silence(folder.path(), rate);
        let out = folder.path().join("out.wav");
        // In lockstep a guest that is late loses nothing.
        let config = ["buffer_ms=200", "reg.Lockstep=1", messages];
        let report = on_device(device, audiodev, "play", &wav, &out, &config);
        assert!(report.to_string().contains(granted), "{granted}: {report}");
        assert_heard(&out, &sound, audiodev);
    }
}

/// A client that marks nothing, as Windows' shared mode, on a card that takes 20 ms at once when it begins.
#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn a_shared_client_is_heard_in_full_on_the_card_of_qemu() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (wav, sound) = tune_and_silence(folder.path(), 48_000);
    let out = folder.path().join("out.wav");
    let config = ["reg.Lockstep=0", "clock=realtime", "msi=5"];
    let report = on_qemus_card("wav,out.frequency=48000", "shared", &wav, &out, &config);
    assert!(report.passed() && report.to_string().contains("timer_late=0"), "{report}");
    assert_heard(&out, &sound, "shared");
}

/// QEMU's card with a host that has no microphone records silence, in its time: a client gets as much as it
/// asked for.
#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn records_silence_from_the_card_of_qemu() {
    for (mode, messages) in [("mode=packet", "msi=5"), ("mode=timer", "msi=0")] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (wav, _) = tune_and_silence(folder.path(), 48_000);
        let out = folder.path().join("out.wav");
        let config = ["buffer_ms=40", "frames=24000", "reg.Lockstep=0", "clock=realtime", mode, messages];
        let report = on_qemus_card("none", "record", &wav, &out, &config);
        assert!(report.passed(), "{mode}: {report}");
        let recorded = ringwave_audio::wav::read(&out).expect("what was recorded");
        assert_eq!(recorded.frames.len(), 24_000 * 4, "{mode}: {report}");
        assert!(recorded.frames.iter().all(|byte| *byte == 0), "{mode}");
    }
}

/// QEMU's card with an audiodev that only plays takes START of a recording and completes no buffer, for ever.
/// The client is told of no packet; every call comes back in its time, and the driver unloads.
#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn a_recording_that_never_completes_hangs_nothing_on_the_card_of_qemu() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (wav, _) = tune_and_silence(folder.path(), 48_000);
    let out = folder.path().join("out.wav");
    let config = ["buffer_ms=40", "frames=24000", "reg.Lockstep=0", "mode=packet", "msi=5"];
    let report = on_qemus_card("wav,out.frequency=48000", "record", &wav, &out, &config).to_string();
    for said in ["unloaded, with violations", " 1 of 1 rules", "! no-notification (1)", "info: unloaded"] {
        assert!(report.contains(said), "{said}: {report}");
    }
}

/// QEMU's card takes 20 ms at once when it begins, and no packets of 10 ms come after the first: each has its
/// count and its event at its time all the same (rule `starved`).
#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn events_of_the_card_of_qemu_go_on_without_packets() {
    for messages in ["msi=5", "msi=0"] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (wav, _) = tune_and_silence(folder.path(), 48_000);
        let out = folder.path().join("out.wav");
        let config = ["buffer_ms=20", "reg.Lockstep=0", messages];
        let report = on_qemus_card("wav,out.frequency=48000", "starve", &wav, &out, &config);
        assert!(report.passed(), "{messages}: {report}");
        assert!(report.to_string().contains("starved_packets=12"), "{messages}: {report}");
    }
}

/// A client that goes by the count of packets of 10 ms alone (`hlk`) skips none because QEMU's card takes two
/// at once.
#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn a_client_that_counts_skips_no_packet_on_the_card_of_qemu() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (wav, sound) = tune_and_silence(folder.path(), 48_000);
    let out = folder.path().join("out.wav");
    let config = ["buffer_ms=20", "reg.Lockstep=0", "clock=realtime", "msi=5"];
    let report = on_qemus_card("wav,out.frequency=48000", "hlk", &wav, &out, &config);
    assert!(report.passed(), "{report}");
    for result in ["late_packets=none", "notifications=120"] {
        assert!(report.to_string().contains(result), "{result}: {report}");
    }
    assert_heard(&out, &sound, "packets were skipped");
}

/// Our own device in real time, and with an operator who would have it wait for a driver that does not ask.
#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn events_of_our_card_go_on_without_packets() {
    for clock in [Clock::Realtime(1.0), Clock::LOCKSTEP] {
        let report = play(&TuneFile::stereo().path(), |request| {
            request.kind = CardKind::Virtio;
            request.clock = clock;
            request.buffer_ms = 200;
            request.guest_config = vec!["client=starve".into(), "reg.Lockstep=0".into()];
        });
        assert_eq!(report.violations, [""; 0], "{clock:?}: {report}");
        assert_eq!(report.guest.result("starved_packets"), Some(12), "{clock:?}");
    }
}

/// The device's process is killed while the guest plays or records. QEMU answers for its registers; nobody
/// answers a request. The client is told no more of its packets (`no-notification`; what else is known of a
/// recording stands below); every call ends in its time, and all memory is given back.
#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn a_device_whose_process_is_killed_is_gone() {
    for (client, messages) in [("play", "msi=1"), ("record", "msi=0")] {
        let (artefacts, tune) = (Artefacts::from_env().expect("everything is built"), TuneFile::stereo());
        let folder = tempfile::tempdir().expect("a temporary folder");
        let config = format!(
            "wav=MUSIC.WAV\nclient={client}\nmode=packet\npci=1af4:1059\nbuffer_ms=20\nreg.Lockstep=1\nharsh=1\n{messages}\n"
        );
        make_volume(&artefacts, folder.path(), &tune.path(), &config).expect("a volume");
        let source = format!("wav:{}", tune.path().display());
        let mut options = Vec::from(CardKind::Virtio.arguments());
        options.extend(Clock::LOCKSTEP.arguments());
        options.extend(["--source".into(), source]);
        let mut card = Card::start(&artefacts.ringwave, folder.path(), "heard", options).expect("a card");
        let socket = card.socket();
        let options = MachineOptions::default();
        let mut machine = Machine::boot_card(&artefacts, folder.path(), (CardKind::Virtio, &socket), options)
            .expect("QEMU starts");
        let guest_log = folder.path().join("guest.log");
        let (mut seen, mut killed) = (None, false);
        let outcome = machine.wait(Duration::from_mins(10), || {
            let log = std::fs::read(&guest_log).unwrap_or_default();
            if seen.is_none() && String::from_utf8_lossy(&log).contains(": messages of") {
                seen = Some(Instant::now());
            }
            if !killed && seen.is_some_and(|seen| seen.elapsed() > Duration::from_millis(300)) {
                killed = true;
                card.kill()?;
            }
            Ok(())
        });
        let text = machine.guest_log();
        eprintln!("{outcome:?}\n{text}{}{}", machine.qemu_log(), card.log());
        assert!(killed, "{client}: it never ran");
        let log = GuestLog::parse(&text);
        assert!(
            log.end.is_some() && log.driver.last().is_some_and(|line| line.contains("unloaded")),
            "{client}"
        );
        let others: Vec<_> = log.rules().into_iter().filter(|rule| *rule != "no-notification").collect();
        assert_eq!(others, [""; 0], "{client}");
        let said = |text: &str| log.driver.iter().any(|line| line.contains(text));
        assert!(said("is given up: it did not answer request") && said("it was reset"), "{client}");
    }
}
