//! Sound in full, through the shipped driver in QEMU: every kind of sample, both directions, both clocks,
//! loopback, several endpoints, cycles. `qemu-scripts/test` builds what they need and runs them; `cargo test`
//! alone has no QEMU and no guest, so they are ignored there.

use std::process::Command;
use std::time::{Duration, Instant};

use ringwave_audio::SampleFormat;
use ringwave_audio::compare::{Gaps, Verdict};
use ringwave_e2e::runs::{play, record};
use ringwave_e2e::tune_file::TuneFile;
use ringwave_report::Direction;
use ringwave_runner::{
    artefacts::Artefacts,
    card::Card,
    guest_log::GuestLog,
    machine::{Machine, Outcome, make_volume},
    report::Report,
    request::{Clock, Mode, Scenario},
};

/// The guest is content, whatever was heard.
#[track_caller]
fn assert_content(report: &Report) {
    assert_eq!((report.outcome, &report.violations), (Some(Outcome::Ok), &Vec::new()));
}

/// Nothing was lost.
fn whole_but_for_waiting(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::BitExact | Verdict::ExceptSilence(Gaps { lost: 0, .. }))
}

/// Few channels and many, low rates and high, each kind of sample.
const KINDS: [(SampleFormat, u32, u32); 5] = [
    (SampleFormat::S16, 1, 8_000),
    (SampleFormat::S24In32, 2, 96_000),
    (SampleFormat::S32, 6, 44_100),
    (SampleFormat::F32, 8, 96_000),
    (SampleFormat::F32, 2, 384_000),
];

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn every_kind_of_sample_is_played_bit_for_bit() {
    for (sample, channels, rate) in KINDS {
        let report = play(&TuneFile::new(sample, channels, rate).path(), |_| {});
        assert!(report.passed(), "{sample:?} {channels} {rate}");
    }
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn every_kind_of_sample_is_recorded_bit_for_bit() {
    for (sample, channels, rate) in KINDS {
        let report = record(&TuneFile::new(sample, channels, rate).path(), |_| {});
        assert!(report.passed(), "{sample:?} {channels} {rate}");
    }
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn events_and_timers_record_too_and_contiguous_memory() {
    let tune = TuneFile::stereo();
    for mode in [Mode::Event, Mode::Timer] {
        // A late client loses packets in real time: the buffer is long.
        let report = record(&tune.path(), |request| {
            request.scenario = Scenario::Record(mode);
            request.clock = Clock::Realtime(1.0);
            request.buffer_ms = 1000;
        });
        assert!(report.passed(), "{mode}");
    }
    assert!(record(&tune.path(), |request| request.contiguous = true).passed());
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn loopback_records_what_was_played_sample_for_sample() {
    let report = play(&TuneFile::stereo().path(), |request| request.scenario = Scenario::Loopback);
    assert!(report.passed());
    // Where the card waits for a guest on a busy host, the recorder hears silence.
    let recorded = report.loopback.as_ref().expect("something was recorded");
    assert!(whole_but_for_waiting(recorded.verdict), "{}", recorded.verdict);
    assert!(recorded.frames[1] > 48_000, "what was before and after was recorded too");
    // --junit.
    let mut report = report;
    let red = |report: &Report| {
        let cases = report.cases();
        assert_eq!(cases.len(), 4);
        cases.into_iter().filter(|case| case.failure.is_some()).map(|case| case.name).collect::<Vec<_>>()
    };
    assert!(red(&report).is_empty());
    report.loopback = None;
    report.violations.push("rule=made on purpose".into());
    assert_eq!(red(&report), ["the loopback is what was played", "no rule is broken"]);
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn loopback_is_whole_with_one_packet_and_but_for_the_packets_that_a_late_recorder_lost() {
    // The card waits at the end of each packet, and the recorder hears silence meanwhile.
    let report = play(&TuneFile::stereo().path(), |request| {
        request.scenario = Scenario::Loopback;
        request.packets = 1;
    });
    assert!(report.passed());
    let recorded = report.loopback.as_ref().expect("something was recorded").verdict;
    assert!(
        matches!(recorded, Verdict::BitExact | Verdict::ExceptSilence(Gaps { lost: 0, .. })),
        "{recorded}"
    );
    // Nobody waits: a recorder that sleeps for longer than the buffer loses what came meanwhile.
    let report = play(&TuneFile::stereo().path(), |request| {
        request.scenario = Scenario::Loopback;
        request.clock = Clock::Realtime(1.0);
        request.guest_config = vec!["record_late_every=9".into()];
    });
    assert!(report.passed());
    let lost = report.guest.result("lost-packets").expect("it is counted");
    let recorded = report.loopback.as_ref().expect("something was recorded").verdict;
    let (Verdict::ExceptLost(Gaps { lost: missing, .. })
    | Verdict::ExceptSilence(Gaps { lost: missing, .. })) = recorded
    else {
        panic!("{recorded}, and {lost} packets were lost")
    };
    // 50 ms each.
    assert!((1..=lost * 2_400).contains(&missing), "{missing} frames of {lost} packets");
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn in_real_time_what_was_heard_less_the_counted_silence_is_what_was_sent() {
    let report = play(&TuneFile::stereo().path(), |request| {
        request.clock = Clock::Realtime(1.0);
        request.guest_config = vec!["late_every=7".into()];
        // The driver's stores and fences on a machine that runs processors at the same time.
        request.processors = 2;
    });
    assert!(report.passed());
    let stream = report.card.first(Direction::Render).expect("a stream that plays");
    let Some(Verdict::ExceptSilence(gaps)) = report.verdict() else { panic!("packets were late on purpose") };
    assert!(gaps.gaps >= 2, "{gaps:?}");
    assert_eq!(gaps.frames, stream.silence_frames, "to the frame");
    // 100 ms are two packets of 2,400 frames; each is silent for as long as it is late.
    let underruns = stream.underruns.expect("all packets are marked");
    let (least, most) = (underruns * 48, underruns * 2_400);
    assert!((least..=most).contains(&stream.silence_frames), "{} in {underruns}", stream.silence_frames);
    assert!(stream.marks > 0, "by the mark page");
    let messages = &report.card.messages.while_running;
    let costs = (messages.reads, messages.writes, messages.look, messages.written, messages.eos);
    assert_eq!(costs, (0, 0, 0, 1, 1), "no message but for the end of the stream");
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn one_packet_in_the_buffer_is_bit_exact_while_the_card_waits() {
    let report = play(&TuneFile::stereo().path(), |request| request.packets = 1);
    assert!(report.passed());
    let stream = report.card.first(Direction::Render).expect("a stream that plays");
    assert_eq!((stream.packets, stream.packets_completed), (1, 10), "packets of 100 ms");
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn every_format_that_is_announced_can_be_opened_and_no_other() {
    let report = play(&TuneFile::stereo().path(), |request| {
        request.clock = Clock::Lockstep(8.0);
        request.guest_config = vec!["client=sweep".into()];
    });
    assert_content(&report);
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn a_thousand_cycles_over_all_endpoints_leave_nothing_behind() {
    let report = play(&TuneFile::stereo().path(), |request| {
        request.clock = Clock::Lockstep(8.0);
        request.card = ["--render", "2", "--capture", "2"].map(String::from).to_vec();
        request.guest_config = vec!["client=cycles".into(), "cycles=1000".into()];
    });
    assert_content(&report);
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn three_speakers_play_at_once() {
    let tune = TuneFile::stereo();
    let report = play(&tune.path(), |request| {
        request.keep = true;
        request.card = ["--render", "3", "--capture", "0"].map(String::from).to_vec();
        request.guest_config = vec!["also=1,2".into()];
    });
    assert!(report.passed(), "endpoint 0");
    assert_eq!(report.card.streams.iter().map(|stream| stream.frames).collect::<Vec<_>>(), [48_000; 3]);
    let folder = report.folder.expect("kept");
    let sent = ringwave_audio::wav::read(&tune.path()).expect("the file").frames;
    for stream in [1, 2] {
        let heard = ringwave_audio::wav::read(&folder.join(format!("heard-stream{stream}.wav")));
        assert!(heard.expect("a file for each stream").frames == sent, "endpoint {stream}");
    }
    std::fs::remove_dir_all(folder).expect("what was kept goes");
}

/// -6.02 dB in steps of 1/65536 dB.
const QUIETER: i32 = -394_527;

/// A 16-bit sample at this volume: DATASHEET 5.8, written down once more.
#[allow(clippy::cast_possible_truncation, reason = "a factor of at most 2^30, and a sample that got smaller")]
fn at_volume(sample: i16, volume: i32) -> i16 {
    let factor = (2_f64.powi(30) * 10_f64.powf(f64::from(volume) / 1_310_720.0)).round() as i64;
    ((i64::from(sample) * factor + (1 << 29)) >> 30) as i16
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn volume_and_mute_are_heard_as_the_datasheet_says() {
    let tune = TuneFile::stereo();
    let sent = ringwave_audio::wav::read(&tune.path()).expect("the file").frames;
    let samples = |bytes: &[u8]| -> Vec<i16> {
        bytes.as_chunks().0.iter().map(|sample| i16::from_le_bytes(*sample)).collect()
    };
    let quieter: fn(usize, i16) -> i16 = |_, sample| at_volume(sample, QUIETER);
    let left_only: fn(usize, i16) -> i16 = |channel, sample| if channel == 0 { sample } else { 0 };
    let same: fn(usize, i16) -> i16 = |_, sample| sample;
    for (setting, wanted) in [
        (format!("volume={QUIETER}"), quieter),
        ("mute=0,1".to_owned(), left_only),
        ("volume=0".to_owned(), same),
    ] {
        let report = play(&tune.path(), |request| request.guest_config = vec![setting.clone()]);
        assert_content(&report);
        let heard = samples(&report.played.expect("something was heard").frames);
        let wanted: Vec<i16> =
            samples(&sent).into_iter().enumerate().map(|(at, sample)| wanted(at % 2, sample)).collect();
        let first = heard.iter().zip(&wanted).position(|(heard, wanted)| heard != wanted);
        assert_eq!(
            (heard.len(), first),
            (wanted.len(), None),
            "{setting}: samples, and the first that differs"
        );
    }
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn a_jack_that_the_host_pulls_out_is_told_to_the_guest() {
    let artefacts = Artefacts::from_env().expect("everything is built");
    let (tune, folder) = (TuneFile::stereo(), tempfile::tempdir().expect("a temporary folder"));
    let control = folder.path().join("control.sock");
    make_volume(&artefacts, folder.path(), &tune.path(), "wav=MUSIC.WAV\nclient=jack\njacks=3\n")
        .expect("a volume");
    let options = ["--control".as_ref(), control.as_os_str()];
    let card = Card::start(&artefacts.ringwave, folder.path(), "card", options).expect("the card listens");
    let mut machine = Machine::boot(&artefacts, folder.path(), &card.socket(), 0, 1).expect("QEMU starts");
    let mut said = |words: &str| {
        let start = Instant::now();
        while !machine.guest_log().contains(words) {
            let ended = machine.wait(Duration::from_millis(20), || Ok(())).expect("not interrupted");
            let log = machine.guest_log();
            assert!(ended.is_none() || log.contains(words), "no {words:?} ({ended:?}):\n{log}");
            assert!(start.elapsed() < Duration::from_mins(10), "no {words:?}:\n{log}");
        }
    };
    said("jack_ready=2");
    for (number, (stream, to)) in [("0", "out"), ("1", "out"), ("0", "in")].into_iter().enumerate() {
        let arguments =
            ["control".as_ref(), control.as_os_str(), "jack".as_ref(), stream.as_ref(), to.as_ref()];
        let done = Command::new(&artefacts.ringwave).args(arguments).status().expect("the program runs");
        assert!(done.success(), "jack {stream} {to}");
        said(&format!("jack{}_connected=", number + 1));
    }
    let outcome = machine.wait(Duration::from_mins(10), || Ok(())).expect("not interrupted");
    let guest = GuestLog::parse(&machine.guest_log());
    eprintln!("{:#?}\n{:#?}\n{}", guest.results, guest.driver, card.log());
    assert_eq!((outcome, &guest.violations), (Some(Outcome::Ok), &Vec::new()));
    let result = |key: &str| guest.results.get(key).map_or("", String::as_str);
    let changes = ["1", "2", "3"].map(|number| {
        (result(&format!("jack{number}_endpoint")), result(&format!("jack{number}_connected")))
    });
    assert_eq!(result("render0_connected_at_first"), "1");
    assert_eq!(changes, [("render0", "0"), ("capture0", "0"), ("render0", "1")]);
}
