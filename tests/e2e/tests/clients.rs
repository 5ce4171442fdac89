//! Further clients of the guest, through the shipped driver in QEMU: driven by a timer, late in real time,
//! with registers in user mode, one packet per buffer, behind a card of 32 address bits, short of memory
//! while recording, and through C++. `qemu-scripts/test` builds what they need and runs them; `cargo test`
//! alone has no QEMU and no guest, so they are ignored there.

use ringwave_audio::wav;
use ringwave_e2e::{
    runs::{play, record},
    tune_file::TuneFile,
};
use ringwave_runner::{
    machine::Outcome,
    report::Report,
    request::{CardKind, Clock, Mode, Request, Scenario},
};

/// Plays the tune as `change` asks; what the card heard comes with the report.
fn played(tune: &TuneFile, change: impl FnOnce(&mut Request)) -> (Report, Vec<u8>) {
    let out = tune.folder.path().join("out.wav");
    let report = play(&tune.path(), |request| {
        request.out = Some(out.clone());
        change(request);
    });
    (report, wav::read(&out).map(|sound| sound.frames).unwrap_or_default())
}

fn config(lines: &[&str]) -> Vec<String> {
    lines.iter().copied().map(String::from).collect()
}

/// The file was heard from its first frame on, and after it nothing.
fn is_heard_once(heard: &[u8], sent: &[u8]) -> bool {
    heard
        .split_at_checked(sent.len())
        .is_some_and(|(tune, rest)| tune == sent && rest.iter().all(|b| *b == 0))
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn a_client_driven_by_a_timer_is_heard_once_and_in_full() {
    let tune = TuneFile::stereo();
    for more in [&[][..], &["pause=1"], &["oracle=1"], &["reg.ContiguousBuffer=1"]] {
        let (report, heard) = played(&tune, |request| {
            // Nothing waits for this client: the buffer is longer than this machine is late.
            request.buffer_ms = 1000;
            request.guest_config = config(&["client=timer"]);
            request.guest_config.extend(config(more));
        });
        assert_eq!((report.outcome, &report.violations), (Some(Outcome::Ok), &Vec::new()), "{more:?}");
        assert_eq!(report.guest.result("timer_late"), Some(0), "{more:?}");
        assert!(report.guest.result("timer_reads_dispatch").is_some_and(|reads| reads > 20), "{more:?}");
        assert!(is_heard_once(&heard, &tune.frames()), "{more:?}: {} bytes heard", heard.len());
        assert_eq!(report.card.streams[0].underruns, None, "nobody counts for such a client");
    }
}

/// A virtio device is given the sound of a client that marks nothing a fixed depth ahead of the position. It
/// waits for the driver, not for the client: what is given too early is heard.
#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn on_virtio_a_client_driven_by_a_timer_is_heard_once_and_in_full() {
    let tune = TuneFile::stereo();
    let (report, heard) = played(&tune, |request| {
        request.kind = CardKind::Virtio;
        request.clock = Clock::LOCKSTEP;
        request.buffer_ms = 1000;
        request.guest_config = config(&["client=timer"]);
    });
    assert_eq!((report.outcome, &report.violations), (Some(Outcome::Ok), &Vec::new()));
    assert_eq!(report.guest.result("timer_late"), Some(0));
    assert!(is_heard_once(&heard, &tune.frames()), "{} bytes heard", heard.len());
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn a_shared_client_that_polls_4096_frames_is_heard_once_and_in_full() {
    let tune = TuneFile::stereo();
    // Nothing waits for this client, and its buffer is what Windows asks for: the clock goes slow enough for
    // this machine. A virtio card waits for the driver, which has 30 ms.
    for (kind, clock) in
        [(CardKind::Ringwave, Clock::Realtime(0.25)), (CardKind::Virtio, Clock::Lockstep(0.25))]
    {
        let (report, heard) = played(&tune, |request| {
            (request.kind, request.clock) = (kind, clock);
            request.guest_config = config(&["client=shared"]);
        });
        assert_eq!((report.outcome, &report.violations), (Some(Outcome::Ok), &Vec::new()), "{kind:?}");
        assert_eq!(report.guest.result("buffer_bytes"), Some(4096 * 4), "{kind:?}");
        assert_eq!(report.guest.result("timer_late"), Some(0), "{kind:?}");
        assert!(is_heard_once(&heard, &tune.frames()), "{kind:?}: {} bytes heard", heard.len());
    }
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn an_exclusive_client_of_two_packets_of_240_frames_is_bit_exact_while_the_jack_is_asked_for() {
    let report = play(&TuneFile::stereo().path(), |request| request.buffer_ms = 10);
    assert!(report.passed());
    assert_eq!(report.guest.result("packet_bytes"), Some(240 * 4));
    assert!(report.guest.result("jack_reads").is_some_and(|reads| reads > 20), "in a loop while it plays");
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn a_bit_that_such_a_client_flips_is_heard() {
    let tune = TuneFile::stereo();
    let (report, heard) = played(&tune, |request| {
        request.buffer_ms = 1000;
        request.guest_config = config(&["client=timer", "fault=flip-bit"]);
    });
    assert_eq!(report.outcome, Some(Outcome::Ok));
    assert!(!is_heard_once(&heard, &tune.frames()));
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn registers_in_user_mode_tick_stand_and_keep_time() {
    let tune = TuneFile::stereo();
    let (report, _) = played(&tune, |request| {
        request.buffer_ms = 1000;
        request.guest_config = config(&["client=timer", "reg.PositionRegister=1", "pause=1"]);
    });
    assert_eq!((report.outcome, &report.violations), (Some(Outcome::Ok), &Vec::new()));
    assert!(report.guest.result("register_reads").is_some_and(|reads| reads > 100));
    let recorded = record(&TuneFile::stereo().path(), |request| {
        request.scenario = Scenario::Record(Mode::Timer);
        request.clock = Clock::Realtime(1.0);
        request.buffer_ms = 1000;
        request.guest_config = config(&["reg.PositionRegister=1"]);
    });
    assert!(recorded.passed());
    assert!(recorded.guest.results.contains_key("clock_register_ppm"), "the clock was watched");
    // In lockstep the card stands still, the register with it, and what is played stays what was sent.
    let report = play(&tune.path(), |request| request.guest_config = config(&["reg.PositionRegister=1"]));
    assert!(report.passed());
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn a_card_of_32_address_bits_is_given_no_page_beyond() {
    let tune = TuneFile::stereo();
    for more in [&[][..], &["reg.ContiguousBuffer=1"], &["client=timer", "buffer_ms=1000"]] {
        let (report, heard) = played(&tune, |request| {
            request.card = config(&["--dma-bits", "32"]);
            request.guest_config = config(&["dma_bits=32"]);
            if more.first() == Some(&"client=timer") {
                request.buffer_ms = 1000;
                request.guest_config.push("client=timer".into());
            } else {
                request.guest_config.extend(config(more));
            }
        });
        assert_eq!((report.outcome, &report.violations), (Some(Outcome::Ok), &Vec::new()), "{more:?}");
        assert_eq!(report.card.streams[0].dma_faults, 0);
        assert!(is_heard_once(&heard, &tune.frames()), "{more:?}");
    }
    let recorded = play(&tune.path(), |request| {
        request.card = config(&["--dma-bits", "32", "--source", &format!("wav:{}", tune.path().display())]);
        let lines = ["client=record", "frames=48000", "reg.Lockstep=1", "dma_bits=32"];
        request.guest_config = config(&lines);
    });
    assert_eq!((recorded.outcome, &recorded.violations), (Some(Outcome::Ok), &Vec::new()));
    assert!(recorded.recorded == tune.frames(), "what was recorded is what the card heard");
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn a_page_beyond_the_address_bits_is_named_and_the_card_does_not_touch_it() {
    let (report, _) = played(&TuneFile::stereo(), |request| {
        request.card = config(&["--dma-bits", "32"]);
        request.buffer_ms = 1000;
        request.guest_config = config(&["dma_bits=32", "fault=high-pages"]);
    });
    assert!(report.violated("high-address"), "{:?}", report.violations);
    assert!(!report.violated("dma-outside-allocation"));
    assert_eq!(report.outcome, Some(Outcome::Failed));
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn memory_that_is_not_to_be_had_fails_a_recording_softly() {
    for fault in ["fault=short-mdl", "fault=null-mdl", "fault=null-map"] {
        for mode in [Mode::Packet, Mode::Timer] {
            let report = record(&TuneFile::stereo().path(), |request| {
                request.scenario = Scenario::Record(mode);
                request.buffer_ms = 200;
                request.guest_config = config(&[fault]);
            });
            assert_eq!(report.outcome, Some(Outcome::Failed), "{fault}: there was no stream to record");
            assert_eq!(report.guest.rules(), ["call-failed"], "{fault}, {mode}: and nothing else went wrong");
        }
    }
    let report = record(&TuneFile::stereo().path(), |request| {
        request.contiguous = true;
        request.guest_config = config(&["fault=no-contiguous"]);
    });
    assert!(report.passed());
    assert!(report.guest.driver.iter().any(|line| line.contains("contiguous")), "the driver says why");
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn a_late_client_in_real_time_is_heard_less_the_silence_that_is_counted() {
    let tune = TuneFile::stereo();
    let (report, heard) = played(&tune, |request| {
        request.clock = Clock::Realtime(1.0);
        request.guest_config = config(&["clock=realtime", "late_every=5"]);
    });
    assert_eq!((report.outcome, &report.violations), (Some(Outcome::Ok), &Vec::new()));
    let numbers = |key: &str| -> Vec<usize> {
        let list = report.guest.results.get(key).expect("the client's book");
        list.split(',').filter_map(|number| number.parse().ok()).collect()
    };
    let (late, unsure) = (numbers("late_packets"), numbers("unsure_packets"));
    assert!(!late.is_empty(), "the client was late on purpose");
    assert!(numbers("partial_packets").is_empty(), "the client passes over what has begun");
    let packet = usize::try_from(report.guest.result("packet_bytes").expect("its length")).expect("is short");
    let (mut rest, mut silent) = (tune.frames(), 0u64);
    for (number, played) in heard.chunks(packet).enumerate() {
        let silence = played.iter().all(|byte| *byte == 0);
        assert!(silence || !late.contains(&number), "packet {number} came too late and is heard");
        if late.contains(&number) {
            silent += 1;
            continue;
        }
        let sent: Vec<u8> = rest.drain(..packet.min(rest.len())).collect();
        // What was handed over after it had begun may begin with silence.
        let begins = played.iter().take_while(|byte| **byte == 0).count() / 4 * 4;
        let same = played == sent || (unsure.contains(&number) && played.get(begins..) == sent.get(begins..));
        assert!(same, "packet {number}");
        silent += u64::from(played != sent);
    }
    assert_eq!(rest.len(), 0, "all of the file was played");
    assert_eq!(report.card.streams[0].underruns, Some(silent), "the card counts the same");
    // One report may tell of several packets.
    let reports = report.guest.result("glitch_reports").expect("Windows is told of glitches");
    let packets = report.card.streams[0].underruns.unwrap_or(0);
    assert!((1..=packets).contains(&reports), "{reports} reports of {packets} packets");
}

/// What other drivers' authors saw in virtual machines: 163 ms in which nothing runs, many packets complete
/// at once.
#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn a_processor_that_stands_still_costs_the_packets_of_that_time_and_nothing_else() {
    let report = play(&TuneFile::stereo().path(), |request| {
        request.clock = Clock::Realtime(1.0);
        request.buffer_ms = 40;
        request.guest_config = config(&["stop_ms=163", "stop_every_ms=400"]);
    });
    assert!(report.passed(), "what was heard less the silence that is counted is what was sent");
    let underruns = report.card.streams[0].underruns.expect("all packets are marked");
    assert!(underruns >= 7, "{underruns} packets of 20 ms were silent at least in part");
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn one_packet_per_buffer_plays_and_records_bit_for_bit() {
    let tune = TuneFile::stereo();
    let report = play(&tune.path(), |request| request.packets = 1);
    assert!(report.passed());
    assert_eq!(report.card.streams[0].packets_completed, 10, "of 100 ms");
    assert!(record(&TuneFile::stereo().path(), |request| request.packets = 1).passed());
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn a_recording_through_the_microsoft_abi_is_bit_exact() {
    for mode in [Mode::Packet, Mode::Timer] {
        let report = record(&TuneFile::stereo().path(), |request| {
            request.scenario = Scenario::Record(mode);
            request.guest_config = config(&["oracle=1"]);
            if mode == Mode::Timer {
                request.clock = Clock::Realtime(1.0);
                request.buffer_ms = 1000;
            }
        });
        assert!(report.passed(), "{mode}");
        assert!(report.guest.result("oracle_calls").is_some_and(|calls| calls > 20), "the C++ side was used");
        if mode == Mode::Packet {
            let count = |key: &str| report.guest.result(key).expect("its reads were counted");
            // The client asks twice per packet, as Windows does.
            assert!(count("read_refusals") * 2 >= count("read_packets"), "DEVICE_NOT_READY is routine");
        }
    }
}
