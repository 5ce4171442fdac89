//! Boots QEMU and plays through the shipped driver. `qemu-scripts/test` runs these
//! (`cargo test -- --ignored`): they need what `qemu-scripts/setup` sets up and what
//! `qemu-scripts/lib/build.sh` builds.

use ringwave_audio::Value;
use ringwave_audio::compare::{Difference, Verdict};
use ringwave_e2e::noise::wav;
use ringwave_e2e::runs::play;
use ringwave_report::DmaMode;
use ringwave_runner::{html, machine::Outcome, report::Report, request::Clock};

fn verdict(report: &Report) -> Verdict {
    report.verdict().expect("something was heard")
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn scatter_gather_is_bit_exact_and_reads_the_position_without_a_message() {
    let wav = wav(48_000, 2, 48_000);
    let report = play(&wav.path, |_| {});
    assert!(report.passed());
    let comparison = report.comparison.as_ref().expect("something was heard");
    assert_eq!(comparison.frames, [48_000, 48_000]);
    let stream = &report.card.streams[0];
    assert_eq!(stream.dma_mode, DmaMode::ScatterGather);
    assert!(report.guest.result("position_reads").is_some_and(|reads| reads >= 50), "the position was read");
    let messages = &report.card.messages.while_running;
    assert_eq!((messages.reads, messages.writes), (0, 0), "a running stream costs no message");
    assert_eq!((messages.written, messages.eos), (1, 1), "but for its end");
    // The card waited, and was told of each mark for which it did.
    assert!(messages.look <= stream.packets_completed, "{} LOOKs", messages.look);
    assert_eq!(stream.polled_marks, 0, "each mark that the card waited for was told");
    assert!(stream.marks > 0 && stream.marks <= stream.packets_completed, "{} marks", stream.marks);
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn contiguous_is_bit_exact() {
    let wav = wav(48_000, 2, 48_000);
    let report = play(&wav.path, |request| request.contiguous = true);
    assert!(report.passed());
    assert_eq!(report.card.streams[0].dma_mode, DmaMode::Contiguous);
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn contiguous_memory_that_is_not_to_be_had_falls_back_and_says_so() {
    let wav = wav(24_000, 2, 48_000);
    let report = play(&wav.path, |request| {
        request.contiguous = true;
        request.guest_config.push("fault=no-contiguous".into());
    });
    assert!(report.passed());
    assert_eq!(report.card.streams[0].dma_mode, DmaMode::ScatterGather);
    assert!(report.guest.driver.iter().any(|line| line.contains("contiguous")), "the driver says why");
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn a_partial_last_packet_of_a_mono_file_at_44100_is_bit_exact() {
    let wav = wav(10_007, 1, 44_100);
    let report = play(&wav.path, |request| request.buffer_ms = 33);
    assert!(report.passed());
    assert_eq!(report.comparison.as_ref().expect("something was heard").frames, [10_007, 10_007]);
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn a_large_buffer_needs_many_entries_and_is_bit_exact() {
    let wav = wav(72_001, 2, 48_000);
    let report = play(&wav.path, |request| request.buffer_ms = 1000);
    assert!(report.passed());
    // 192,000 bytes are 47 pages, shuffled, so hardly two lie side by side.
    assert!(report.card.streams[0].sg_entries > 20, "{} entries", report.card.streams[0].sg_entries);
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn a_port_compiled_for_the_microsoft_abi_is_bit_exact() {
    let wav = wav(24_000, 2, 48_000);
    let report = play(&wav.path, |request| request.guest_config.push("oracle=1".into()));
    assert!(report.passed());
    assert!(report.guest.result("oracle_calls").is_some_and(|calls| calls > 10), "the C++ side was used");
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn clients_that_write_only_after_the_event_are_bit_exact() {
    let wav = wav(12_000, 2, 48_000);
    let report = play(&wav.path, |request| request.guest_config.push("client=lazy".into()));
    assert!(report.passed());
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn a_wrong_page_order_is_heard() {
    let wav = wav(24_000, 2, 48_000);
    let report = play(&wav.path, |request| {
        request.buffer_ms = 200;
        request.guest_config.push("fault=swap-pages".into());
    });
    assert!(!report.passed());
    assert!(
        matches!(verdict(&report), Verdict::Different(Difference { frame: 0, channel: 0, .. })),
        "{}",
        verdict(&report)
    );
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn a_flipped_bit_is_heard() {
    let wav = wav(12_000, 2, 48_000);
    let report = play(&wav.path, |request| request.guest_config.push("fault=flip-bit".into()));
    assert!(!report.passed());
    assert!(
        matches!(verdict(&report), Verdict::Different(Difference { a, b, .. }) if one_bit(a, b)),
        "{}",
        verdict(&report)
    );
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn a_missing_packet_is_heard() {
    let wav = wav(12_000, 2, 48_000);
    let report = play(&wav.path, |request| {
        request.guest_config.push("fault=skip-packet".into());
        request.timeline = true;
    });
    assert!(!report.passed());
    // The first frame of some packet: nothing before it is wrong.
    let packet_frames = 48_000 / 20;
    let Verdict::Different(Difference { frame, .. }) = verdict(&report) else {
        panic!("{}", verdict(&report))
    };
    assert_eq!(frame % packet_frames, 0);
    // And so says its page, which has each packet of the trace.
    let page = html::play::page("play", &wav.path, &report, vec![]).expect("a page");
    let differences = page.sounds[0].differences.as_ref().expect("two sounds");
    assert!(differences.places[0].at.abs_diff(frame) <= 64, "{differences:?}");
    assert!(page.headline.starts_with("Wrong since 0."), "{}", page.headline);
    let timeline = page.timeline.as_ref().expect("it was asked for");
    assert_eq!(timeline.streams[&0].packet_count, report.card.streams[0].packets_completed);
    assert!(page.render().contains("Position against time"));
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn a_leaked_mdl_is_named() {
    let wav = wav(12_000, 2, 48_000);
    let report = play(&wav.path, |request| request.guest_config.push("fault=swallow-free".into()));
    assert!(!report.passed());
    assert!(report.violated("mdl-leak"), "{:?}", report.violations);
    assert_eq!(report.outcome, Some(Outcome::Failed));
    assert_eq!(verdict(&report), Verdict::BitExact, "the sound itself was right");
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn a_line_interrupt_serves_as_well() {
    let wav = wav(12_000, 2, 48_000);
    let report = play(&wav.path, |request| request.guest_config.push("msi=0".into()));
    assert!(report.passed());
    assert!(
        report.guest.driver.iter().any(|line| line.contains("line")),
        "the driver says which interrupt it has"
    );
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn a_client_that_does_everything_wrong_gets_the_documented_answers() {
    let wav = wav(6_000, 2, 48_000);
    for oracle in ["oracle=0", "oracle=1"] {
        let report = play(&wav.path, |request| {
            // Nothing is waited for: some of its recorders read nothing.
            request.guest_config.extend(["client=stress".into(), oracle.into(), "reg.Lockstep=0".into()]);
        });
        // This client opens many streams, so the files cannot be compared.
        assert_eq!(report.outcome, Some(Outcome::Ok), "{oracle}");
        assert_eq!(report.violations, Vec::<String>::new(), "{oracle}");
    }
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn memory_that_is_not_to_be_had_fails_softly_and_leaks_nothing() {
    let wav = wav(6_000, 2, 48_000);
    for fault in ["fault=short-mdl", "fault=null-map"] {
        let report = play(&wav.path, |request| {
            request.buffer_ms = 200;
            request.guest_config.push(fault.into());
        });
        assert_eq!(report.outcome, Some(Outcome::Failed), "{fault}: there was no stream to play");
        assert_eq!(report.guest.rules(), ["call-failed"], "{fault}: and nothing else went wrong");
    }
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn a_fast_clock_changes_when_never_what() {
    let wav = wav(480_000, 2, 48_000);
    let report = play(&wav.path, |request| request.clock = Clock::Lockstep(8.0));
    assert!(report.passed());
    assert_eq!(report.comparison.as_ref().expect("something was heard").frames, [480_000, 480_000]);
}

/// A packet of 200 ms is handed over when half of it has been played: at most a millisecond later the card
/// has seen it, and what the client measured is within a millisecond too.
#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn half_a_packet_late_costs_half_a_packet_of_silence() {
    const MILLISECOND: usize = 48;
    let wav = wav(96_000, 2, 48_000);
    let sent = ringwave_audio::wav::read(&wav.path).expect("the file").frames;
    let report = play(&wav.path, |request| {
        request.clock = Clock::Realtime(1.0);
        request.buffer_ms = 400;
        request.guest_config.push("client=half-late".into());
    });
    assert_eq!((report.outcome, &report.violations), (Some(Outcome::Ok), &Vec::new()));
    let frames = |bytes: &[u8]| bytes.as_chunks::<4>().0.to_vec();
    let (heard, sent) = (frames(&report.played.expect("something was heard").frames), frames(&sent));
    assert!(heard.len() >= sent.len(), "{} frames heard", heard.len());
    let figure =
        |key: String| report.guest.result(&key).map(|frames| usize::try_from(frames).expect("is short"));
    let (mut late, mut silent) = (0, 0);
    for (number, (heard, sent)) in heard.chunks(9_600).zip(sent.chunks(9_600)).enumerate() {
        let silence = heard.iter().take_while(|frame| **frame == [0; 4]).count();
        let Some(before) = figure(format!("late{number}_frames")) else {
            assert_eq!(heard, sent, "packet {number} was in time");
            continue;
        };
        let after = figure(format!("late{number}_frames_after")).expect("both are told");
        assert_eq!(heard.get(silence..), sent.get(silence..), "packet {number}: the rest is heard");
        // The card may be held up: then it decides late about pieces that began before the packet was handed
        // over.
        let latest = after + 2 * MILLISECOND;
        assert!(
            (before / 2..=latest).contains(&silence),
            "packet {number}: {silence} of {before} to {after}"
        );
        (late, silent) = (late + 1, silent + silence as u64);
    }
    assert_eq!(late, 3, "packets 3, 6 and 9 of 10");
    assert_eq!(report.card.streams[0].underruns, Some(late));
    assert_eq!(report.card.streams[0].silence_frames, silent);
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn a_client_that_writes_nothing_more_gets_its_events_and_counts_though_the_card_would_wait() {
    let wav = wav(9_600, 2, 48_000);
    let report = play(&wav.path, |request| {
        // The card grants lockstep to a driver that asks: this one doesn't.
        request.clock = Clock::LOCKSTEP;
        request.buffer_ms = 200;
        request.guest_config.extend(["client=starve".into(), "reg.Lockstep=0".into()]);
    });
    assert_eq!((report.outcome, &report.violations), (Some(Outcome::Ok), &Vec::new()));
    assert_eq!(report.guest.result("starved_packets"), Some(12));
    assert!(report.card.streams[0].silence_frames >= 10 * 4_800, "packets that nobody wrote were silence");
}

/// Whether two samples of 16 bits differ in one of them.
fn one_bit(a: Value, b: Value) -> bool {
    matches!((a, b), (Value::Int(a), Value::Int(b)) if ((a ^ b) & 0xFFFF).count_ones() == 1)
}
