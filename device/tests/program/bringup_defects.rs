//! `ringwave bringup` against cards that are broken in one place each: it finds the place.

use crate::bringup_run::{failures, names, ringwave, run_bringup, text};
use crate::broken::{BrokenCard, Defect, LINE, MESSAGES, of_stream};
use ringwave_card::controller::Config;
use ringwave_regs::{global, stream};

/// Finds each of these defects, in the step that looks for it, and says it by the check's name.
fn finds(defects: &[(Defect, &str, &str)]) {
    for (defect, step, check) in defects {
        let card = BrokenCard::serve(*defect);
        let (code, report) = run_bringup(&card.socket(), &["--only", step, "--seconds", "0.05"]);
        assert_eq!(
            (code, names("failed", &report)),
            (1, vec![(*step).to_owned()]),
            "{defect:?}: {}",
            failures(&report)
        );
        let checks = report["steps"][0]["checks"].as_array().unwrap();
        let found = checks.iter().find(|found| found["name"] == *check);
        let found =
            found.unwrap_or_else(|| panic!("{defect:?}: no check {check:?} in {}", failures(&report)));
        assert_eq!(found["outcome"], "failed", "{defect:?}: {found:#}");
        assert_ne!(found["expected"], found["seen"], "{defect:?}: {found:#}");
    }
}

#[test]
fn defect_in_what_a_card_says_is_found() {
    finds(&[
        (Defect::Configuration(0x77, 0), "configuration", "PCI Express: function-level reset"),
        (Defect::Configuration(0x50, 0x11), "configuration", "capabilities"),
        (Defect::Configuration(0x51, 0x40), "configuration", "capabilities"),
        (Defect::Reads(global::STREAMS, 17), "version", "STREAMS"),
        (Defect::Reads(of_stream(stream::CAPS), 0x0002_0200), "version", "stream 0: CAPS"),
        (Defect::ReadsUntilWritten(global::SELFTEST_BYTES, 4), "registers", "CONTROL.RESET: registers are 0"),
        (
            Defect::ReadsUntilWritten(of_stream(stream::RATE), 48_000),
            "registers",
            "stream 0: CONTROL.RESET: registers are 0",
        ),
        (Defect::TakesAll(global::CONTROL), "registers", "CONTROL: reserved bits read 0"),
        (Defect::Reads(0x1200, u32::MAX), "registers", "absent stream"),
        (Defect::Reads(global::ERROR, 0), "registers", "no register at 0x05C"),
        (Defect::TakesAll(of_stream(stream::FORMAT)), "formats", "stream 0: too many channels (0x900)"),
        (Defect::TakesAll(of_stream(stream::RATE)), "formats", "stream 0: rate that none is (0xbb81)"),
    ]);
}

#[test]
fn defect_in_dma_is_found() {
    finds(&[
        (Defect::NotShared, "self-test-contiguous", "4,096 bytes: words written back"),
        (Defect::NotShared, "self-test-contiguous", "4,096 bytes: sum over what was read"),
        (
            Defect::ReadsMore(global::SELFTEST_SUM, 1),
            "self-test-scatter-gather",
            "16 entries and a link: sum over what was read",
        ),
        (
            Defect::Ignores(global::SELFTEST_ENTRIES),
            "self-test-scatter-gather",
            "1 entry: words written back",
        ),
        (Defect::NeverUnmaps, "self-test-across-maps", "after the unmap: SELFTEST"),
        (Defect::Reads(global::SELFTEST, 0), "self-test-across-maps", "into a gap: SELFTEST"),
        (Defect::BusMasterAlways, "bus-master", "off: SELFTEST"),
        (Defect::BusMasterAlways, "bus-master", "stream 0: off: RUN"),
    ]);
}

#[test]
fn defect_in_messages_is_found() {
    finds(&[
        (Defect::Lost(MESSAGES), "interrupts", "INT_RAISE 0: arrivals by vector"),
        (Defect::Twice(global::INT_RAISE), "interrupts", "INT_RAISE 0: arrivals by vector"),
    ]);
}

#[test]
fn defect_in_the_line_is_found() {
    finds(&[
        (Defect::Lost(LINE), "interrupts", "INTx: arrivals"),
        (Defect::Ignores(global::INT_STATUS), "interrupts", "acknowledged: arrivals"),
    ]);
}

#[test]
fn defect_in_states_and_tables_is_found() {
    finds(&[
        (Defect::TakesAll(of_stream(stream::STATE)), "states", "stream 0: from STOP"),
        (Defect::PagesStand(0), "states", "stream 0: from ACQUIRE"),
        (Defect::PagesStand(1), "states", "stream 0: status page SEQ"),
        (Defect::ReadsMore(of_stream(stream::FIFO_FRAMES), 1), "states", "stream 0: FIFO_FRAMES"),
        (Defect::TakesAll(of_stream(stream::STATE)), "tables", "stream 0: link to a link, in a circle"),
        (Defect::Reads(of_stream(stream::ERROR), 0), "tables", "stream 0: the card's own BAR"),
        (Defect::Ignores(of_stream(stream::SG_ENTRIES)), "tables", "stream 0: reserved flags"),
    ]);
}

#[test]
fn defect_in_volume_capture_and_order_is_found() {
    let second = stream::BLOCK_BASE + stream::BLOCK_STRIDE;
    finds(&[
        (Defect::Ignores(of_stream(stream::MUTE)), "volume", "stream 0: MUTE is kept over STOP"),
        (Defect::Ignores(second + stream::MUTE), "volume", "stream 1: MUTE: reserved bits read 0"),
        (
            Defect::Clamps(of_stream(stream::VOLUME_0), stream::VOLUME_MIN),
            "volume",
            "stream 0: volumes from -96 to 0 dB, BAD_VOLUME beyond",
        ),
        (
            Defect::Reads(of_stream(stream::VOLUME_7), 0),
            "volume",
            "stream 0: volumes from -96 to 0 dB, BAD_VOLUME beyond",
        ),
        (Defect::Reads(second + stream::FIFO_FRAMES, 480), "recording", "stream 1: contiguous: anchors"),
        (
            Defect::ReadsMore(second + stream::POSITION_LO, 300),
            "recording",
            "stream 1: contiguous: words missing a FIFO behind the position",
        ),
        (Defect::Reads(second + stream::ERROR, 1), "order", "stream 1: writes in STOP"),
        (Defect::Ignores(of_stream(stream::EOS)), "order", "stream 0: writes in STOP"),
        (Defect::Reads(of_stream(stream::ERROR), 0), "order", "stream 0: writes in RUN"),
    ]);
}

#[test]
fn card_without_volume_is_looked_at_for_that_and_no_more() {
    let card = BrokenCard::of(Defect::None, Config { volume: false, ..Config::default() });
    let (code, report) = run_bringup(&card.socket(), &["--only", "volume"]);
    assert_eq!(code, 0, "{}", failures(&report));
    let checks = report["steps"][0]["checks"].as_array().unwrap();
    let skipped = checks.iter().filter(|check| check["outcome"] == "skipped").count();
    assert_eq!((checks.len(), skipped), (6, 2), "two refused and one skipped for each stream: {report:#}");
    assert_eq!(checks[2]["seen"], "FEATURES has no VOLUME");
}

#[test]
fn defect_in_playback_is_found() {
    finds(&[
        (Defect::Lost(MESSAGES), "playback", "stream 0: contiguous: messages"),
        (
            Defect::Reads(of_stream(stream::ERROR), 0),
            "playback",
            "stream 0: scatter-gather: WRITTEN goes back",
        ),
        (Defect::Ignores(of_stream(stream::EOS)), "playback", "stream 0: contiguous: EOS: ENDED"),
    ]);
}

#[test]
fn defect_in_marks_is_found() {
    finds(&[
        (Defect::Ignores(of_stream(stream::LOOK)), "marks", "stream 0: LOOK ends the stall"),
        (Defect::Reads(of_stream(stream::WRITTEN), 7), "marks", "stream 0: packet 0 with the tag"),
    ]);
}

#[test]
fn defect_in_time_is_found() {
    finds(&[
        (Defect::Speed("1.1"), "position", "stream 0: device clock against this host's"),
        (Defect::Speed("0.9"), "position", "stream 0: frames against this host's clock"),
        (
            Defect::ReadsMore(of_stream(stream::POSITION_LO), 100),
            "position",
            "stream 0: register against the page's anchor",
        ),
        (
            Defect::Grows(of_stream(stream::POSITION_LO)),
            "pause-resume",
            "stream 0: PAUSE: frame two packets later",
        ),
        (Defect::Ignores(of_stream(stream::START_FRAME_LO)), "pause-resume", "stream 0: goes to RUN"),
    ]);
}

#[test]
fn defect_in_tone_reset_and_power_is_found() {
    finds(&[
        (Defect::Ignores(of_stream(stream::EOS)), "tone", "stream 0: 440.4 Hz, 0.05 s, 48000 Hz, 2 ch"),
        (Defect::NoFunctionLevelReset, "reset", "function-level reset: RESETS"),
        (Defect::NoDeviceReset, "reset", "stream 0: DEVICE_RESET: registers are 0"),
        (Defect::NoSleep, "power", "D3hot: MAGIC"),
    ]);
}

#[test]
fn pages_that_are_not_all_there_or_may_go_are_refused_and_end_nothing() {
    for (defect, why) in [(Defect::PagesShort, "shorter"), (Defect::PagesNotSealed, "cut short")] {
        let card = BrokenCard::serve(defect);
        let output = ringwave(&["bringup", "--socket", card.socket().to_str().unwrap()]);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{defect:?}: {:?}: {said}", output.status);
        assert!(said.lines().count() == 1 && said.contains(why), "{defect:?}: {said}");
    }
}
