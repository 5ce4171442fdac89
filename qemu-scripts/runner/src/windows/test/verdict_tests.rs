//! Each way in which a test can come out, from lines as winplay's contract has them.
#![allow(clippy::unwrap_used, reason = "test code")]

use ringwave_audio::compare::judge::{By, Place, Reason};
use ringwave_report::DmaMode;

use super::*;
use crate::windows::run::device::Verifier;

/// What winplay says of one step that played on this card.
fn lines(step: &str, outcome: &str, more: &str, verdict_on: &str, exit: i64) -> String {
    [
        r#""type":"run","version":"0.1.0","windows":"10.0.26100","wine":null,"session":1,"console_session":1"#.to_owned(),
        r#""type":"endpoint","flow":"render","id":"x","card":"ringwave""#.to_owned(),
        format!(r#""type":"chosen","flow":"render","verdict_on":"{verdict_on}""#),
        format!(r#""type":"start","step":"{step}""#),
        format!(
            r#""type":"step","step":"{step}","outcome":"{outcome}","cause":null,"suspect":null,"text":"t","call":null,"hresult":null,"hresult_name":null,"card":"ringwave","underruns":0,"converted_by":null{more}"#
        ),
        format!(r#""type":"end","verdict":"as expected","exit":{exit},"text":"the end""#),
    ]
    .iter()
    .enumerate()
    .fold(String::new(), |text, (seq, line)| text + &format!("{{\"winplay\":1,\"seq\":{seq},\"ms\":{seq},{line}}}\n"))
}

fn stream(underruns: Option<u64>, silence_frames: u64) -> StreamReport {
    StreamReport {
        index: 0,
        direction: ringwave_report::Direction::Render,
        format: None,
        rate: Some(48_000),
        channels: Some(2),
        ring_bytes: 0,
        packets: 2,
        dma_mode: DmaMode::ScatterGather,
        sg_entries: 1,
        frames: 240_000,
        packets_completed: 50,
        underruns,
        silence_frames,
        source_silence_frames: 0,
        dma_faults: 0,
        events: 50,
        stalls: 0,
        marks: 0,
        polled_marks: 0,
        late_marks: 0,
        least_margin_us: None,
        margins: Vec::new(),
        worst_lateness_us: 0,
        plugged: Some(true),
        sink_failed: false,
        drift_ppm: None,
        sink_underruns: None,
        sink_dropped_frames: None,
        source_underruns: None,
        source_overruns: None,
    }
}

/// An exclusive stream that went well.
fn well() -> Played {
    Played {
        said: Transcript::read(&lines("exclusive-event", "ok", "", "ringwave", 0)),
        exit: 0,
        mode: Mode::ExclusiveEvent,
        card: GuestCard::Ringwave,
        device: DeviceSteps::default(),
        clock: Clock::Realtime(1.0),
        stream: Some(stream(Some(0), 0)),
        heard: Some(Heard { conclusion: Conclusion::Same, findings: Vec::new(), rate: 48_000 }),
    }
}

fn damaged(findings: &[Finding]) -> Heard {
    Heard { conclusion: Conclusion::Damaged, findings: findings.to_vec(), rate: 48_000 }
}

/// The line; whether it passed must be this.
fn text(played: &Played, passed: bool) -> String {
    let verdict = played.verdict();
    assert_eq!(verdict.passed, passed, "{verdict}");
    assert_eq!(verdict.case("x", Duration::ZERO).failure.is_none(), passed);
    verdict.text
}

const DITHER: Finding = Finding::Dither { channel: 0, rms_lsb: 0.7, worst_lsb: 1.0 };
const GAP: Place = Place { at: 48_000, expected_at: 48_000, seconds: 1.0, frames: 480 };

#[test]
fn sound_that_was_compared_is_bit_exact_and_the_clock_is_named() {
    assert_eq!(
        text(&well(), true),
        "bit-exact, each sample compared (exclusive-event, ringwave card, clock realtime)"
    );
    let cycled = Played { device: DeviceSteps { cycles: Some(3), suspend: false, verifier: None }, ..well() }
        .verdict();
    assert!(cycled.passed && cycled.to_string().contains("reinstalled, 3 times"), "{cycled}");
    // Where allocations fail on purpose a stream may be refused for that, and for nothing else.
    let low = DeviceSteps { verifier: Some(Verifier::LowResources), ..DeviceSteps::default() };
    let standard = DeviceSteps { verifier: Some(Verifier::Standard), ..DeviceSteps::default() };
    for (device, code, passed) in
        [(low, "0x800705AA", true), (low, "0x88890008", false), (standard, "0x800705AA", false)]
    {
        let more = format!(r#","hresult":"{code}""#);
        let said = Transcript::read(&lines("exclusive-event", "failed", &more, "ringwave", 1));
        let refused = Played { said, exit: 1, device, heard: None, ..well() };
        let text = text(&refused, passed);
        assert!(
            text.starts_with(if passed { "refused for want of memory" } else { "failed in Windows" }),
            "{text}"
        );
    }
    let lockstep = Played { clock: Clock::LOCKSTEP, ..well() };
    assert!(text(&lockstep, true).contains("clock lockstep"));
    let hda = Played {
        said: Transcript::read(&lines("exclusive-event", "ok", "", "hda", 0)),
        card: GuestCard::Hda,
        clock: Clock::Realtime(0.25),
        stream: Some(stream(None, 0)),
        ..well()
    };
    let said = text(&hda, true);
    assert!(said.contains("clock scaled:0.25; underruns unknown"), "{said}");
    assert!(hda.verdict().rows.contains(&("underruns at the card", "unknown".into())));
}

#[test]
fn good_counters_alone_are_no_verdict() {
    for (card, stream) in [(GuestCard::Hda, stream(None, 0)), (GuestCard::Ringwave, stream(Some(0), 0))] {
        let said = Transcript::read(&lines("exclusive-event", "ok", "", card.name(), 0));
        let unheard = Played { said, card, stream: Some(stream), heard: None, ..well() };
        assert!(text(&unheard, false).starts_with("not heard"));
    }
    let periodic = Conclusion::CannotTell(Reason::Periodic);
    let unsure = Played { heard: Some(Heard { conclusion: periodic, ..well().heard.unwrap() }), ..well() };
    assert!(text(&unsure, false).starts_with("no verdict"));
}

#[test]
fn silence_of_the_card_is_never_bit_exact() {
    let findings = [Finding::Replaced { place: GAP, by: By::Silence }];
    let late = Played { stream: Some(stream(Some(1), 480)), heard: Some(damaged(&findings)), ..well() };
    let said = text(&late, false);
    let one = |said: &str| said.contains(", 1 underrun") && !said.contains("underruns");
    assert!(said.starts_with("not exact: 10 ms of silence at 1.000 s, ") && one(&said), "{said}");
    // Whole, but the card had to wait at its end.
    let whole = Played { stream: Some(stream(Some(1), 48)), ..well() };
    let said = text(&whole, false);
    assert!(said.starts_with("not exact: 1 ms of silence, ") && one(&said), "{said}");
    let lockstep = Played { clock: Clock::LOCKSTEP, ..whole };
    assert!(text(&lockstep, false).contains("--lockstep"));
}

#[test]
fn engine_may_dither_and_limit_in_shared_mode_alone() {
    let limited = Finding::Limiter { channel: 0, threshold_dbfs: -0.3 };
    let shared = |findings: &[Finding]| Played {
        said: Transcript::read(&lines("shared-event", "ok", "", "ringwave", 0)),
        mode: Mode::SharedEvent,
        heard: Some(damaged(findings)),
        ..well()
    };
    let said = text(&shared(&[DITHER, limited]), true);
    assert!(said.starts_with("as Windows' engine may: dither: channel 0, RMS 0.70 LSB"), "{said}");
    for wrong in [
        Finding::Level { channel: 0, db: -6.0 },
        Finding::Dither { channel: 0, rms_lsb: 2.0, worst_lsb: 4.0 },
        Finding::Lost(GAP),
        Finding::NothingHeard,
    ] {
        assert!(text(&shared(&[DITHER, wrong]), false).starts_with("damaged"));
    }
    let exclusive = Played { heard: Some(damaged(&[DITHER])), ..well() };
    assert!(text(&exclusive, false).starts_with("damaged: dither"));
}

#[test]
fn what_failed_in_windows_is_named_with_its_answer() {
    let more = r#","outcome":"failed","cause":"call-failed","suspect":"driver","call":"IAudioClient::Initialize","hresult":"0x88890008","hresult_name":"AUDCLNT_E_UNSUPPORTED_FORMAT""#;
    let line = lines("exclusive-event", "ok", "", "ringwave", 1)
        .replace(r#","outcome":"ok","cause":null,"suspect":null"#, more);
    let line = line.replace(r#""call":null,"hresult":null,"hresult_name":null,"#, "");
    let failed = Played { said: Transcript::read(&line), exit: 1, ..well() };
    let said = text(&failed, false);
    assert!(
        said.contains("IAudioClient::Initialize: AUDCLNT_E_UNSUPPORTED_FORMAT") && said.contains("driver"),
        "{said}"
    );
    let skipped =
        Played { said: Transcript::read(&lines("exclusive-event", "skipped", "", "ringwave", 0)), ..well() };
    assert!(text(&skipped, false).starts_with("failed in Windows"));
}

#[test]
fn only_raw_may_be_refused() {
    let refused = |step, mode| Played {
        said: Transcript::read(&lines(step, "refused", "", "ringwave", 0)),
        mode,
        heard: None,
        ..well()
    };
    assert!(text(&refused("raw", Mode::Raw), true).starts_with("refused, as it must be"));
    assert!(text(&refused("low-latency", Mode::LowLatency), false).starts_with("refused by Windows"));
}

#[test]
fn what_is_no_answer_is_no_verdict() {
    let said = |said: &str, exit| Played { said: Transcript::read(said), exit, ..well() };
    let all = lines("exclusive-event", "ok", "", "ringwave", 0);
    let cut: String = all.lines().take(4).fold(String::new(), |text, line| text + line + "\n");
    assert!(text(&said(&cut, 0), false).contains("was ended in step exclusive-event"));
    assert!(text(&said("", 0), false).contains("did not come to its end"));
    assert!(text(&said(&all, 5), false).contains("ended with 5, and announced 0"));
    assert!(text(&said(&all.replace("\"winplay\":1", "\"winplay\":2"), 0), false).contains("schema 2"));
    assert!(text(&said(&all.replace("\"seq\":3", "\"seq\":4"), 0), false).contains("missing"));
    assert!(text(&said("hello\n", 0), false).contains("line 1"));
    assert!(
        text(&said(&lines("exclusive-event", "ok", "", "not our card", 4), 4), false)
            .contains("another endpoint")
    );
    assert!(
        text(&said(&lines("shared-event", "ok", "", "ringwave", 0), 0), false).contains("says nothing of")
    );
    // Another step failed, or winplay itself.
    assert!(text(&said(&lines("exclusive-event", "ok", "", "ringwave", 7), 7), false).contains("the end"));
}

/// As winplay 0.1.0 wrote it in Wine 8.0, where there is no card.
#[test]
fn what_winplay_itself_wrote_is_read() {
    let played = Played {
        said: Transcript::read(include_str!("wine-no-endpoint.jsonl")),
        exit: 3,
        heard: None,
        ..well()
    };
    let said = text(&played, false);
    assert!(said.starts_with("failed in Windows: exclusive-event failed (no-endpoint)"), "{said}");
    assert!(played.verdict().rows.contains(&("no Windows but Wine", "8.0".into())));
}
