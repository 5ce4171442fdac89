//! The pages of made-up results: what a person finds on them.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::path::PathBuf;
use std::time::Duration;

use ringwave_audio::wav::{self, Sound as Frames};
use ringwave_audio::{SampleFormat, StreamFormat};
use ringwave_report::html::read_back::{all, parsed, text_of};
use serde_json::json;

use super::*;
use crate::bench_cards::results::{self, Bits, Cost, Machine, Results, Spread};
use crate::input::Input;
use crate::linux::{GuestCard, Job, Report, Request, judge};
use crate::windows::run::Served;
use crate::windows::test::verdict::Verdict;

/// Slow and mono, for its spectrogram takes a test little time.
const FORMAT: StreamFormat = StreamFormat { sample: SampleFormat::S16, channels: 1, rate: 8_000 };
const VIRTIO_TRACE: &str =
    "ringwave-trace 1 card=virtio speed=1\n0 state 0 run\n50000000 packet 0 1\n60000000 state 0 stop\n";
const EVIL: &str = "<script>alert(1)</script>";

fn stream(direction: &str, underruns: u64, silence: u64) -> StreamReport {
    let stream = json!({
        "index": 0, "direction": direction, "format": "s16", "rate": 48_000, "channels": 2,
        "ring_bytes": 9_600, "packets": 2, "dma_mode": "contiguous", "sg_entries": 0, "frames": 480_000,
        "packets_completed": 200, "underruns": underruns, "silence_frames": silence,
        "source_silence_frames": 0, "dma_faults": 0, "events": 200, "stalls": 0, "marks": 200,
        "polled_marks": 0, "late_marks": 0, "least_margin_us": null, "margins": [],
        "worst_lateness_us": 0, "plugged": true, "sink_failed": false, "drift_ppm": null,
        "sink_underruns": null, "sink_dropped_frames": null, "source_underruns": null,
        "source_overruns": null,
    });
    serde_json::from_value(stream).unwrap()
}

/// What a card counted that played, and missed nothing.
fn session() -> SessionReport {
    let running = json!({ "reads": 0, "writes": 0, "written": 0, "look": 0, "eos": 0 });
    serde_json::from_value(json!({
        "schema": 1, "version": "0", "clock": "lockstep", "client": "left", "seconds": 10.0,
        "streams": [stream("render", 0, 0)], "messages": { "total": 0, "while_running": running },
        "interrupts": 200, "wakes": 400, "worst_lateness_us": 0,
    }))
    .unwrap()
}

/// Two seconds of noise, in a file of this name.
fn song(folder: &Path, name: &str) -> (PathBuf, Frames) {
    let mut number = 0x1234_5678_u32;
    let noise = std::iter::repeat_with(|| {
        number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        number.to_be_bytes()[0] & 0x3F | 1
    });
    let sound = Frames { format: FORMAT, frames: noise.take(16_000 * 2).collect() };
    (write(folder, name, &sound), sound)
}

fn write(folder: &Path, name: &str, sound: &Frames) -> PathBuf {
    let path = folder.join(name);
    let mut file = wav::WavFile::create(&path, sound.format).unwrap();
    file.add(&sound.frames).and_then(|()| file.flush()).unwrap();
    path
}

/// The same with 50 ms of silence at one second.
fn with_a_gap(sound: &Frames) -> Frames {
    let mut heard = sound.clone();
    heard.frames[8_000 * 2..8_400 * 2].fill(0);
    heard
}

fn machine_rows() -> Vec<(String, String)> {
    vec![("QEMU".into(), "11.1".into())]
}

/// What a person reads first: the word of the badge, and the sentence.
fn top(text: &str) -> (String, String) {
    let html = parsed(text);
    let first = |selector: &str| text_of(all(&html, selector)[0]).trim().to_owned();
    (first(".badge"), first(".headline"))
}

#[test]
fn packets_that_a_card_waited_for_are_not_said_to_be_silent() {
    for (waits, direction, underruns, silence, said) in [
        (true, "render", 3, 0, Some("3 packets not in time; the card waited, and nothing is lost by it")),
        (true, "render", 1, 960, Some("1 packet not in time, 960 frames silent")),
        (false, "render", 1, 1, Some("1 packet not in time, 1 frame silent")),
        (false, "capture", 2, 960, Some("2 packets not in time, 960 frames recorded over")),
        (true, "render", 0, 0, None),
    ] {
        let stream = stream(direction, underruns, silence);
        assert_eq!(missed(&stream, waits).as_deref(), said);
    }
}

/// A run of Linux in which the card heard this, and the guest recorded that.
fn linux_run(request: &Request, heard: Option<Frames>, recorded: Option<Frames>) -> Report {
    let mut report = Report {
        steps: vec![("play".into(), 0), ("again".into(), 0)],
        ended: true,
        dmesg: vec![],
        kernel: "6.12.117".into(),
        played: None,
        recorded: None,
        heard: heard.into_iter().collect(),
        kept: recorded.map(|sound| ("recorded".to_owned(), sound)).into_iter().collect(),
        card: session(),
        timeline: None,
        exact: true,
        wall: Duration::from_secs(9),
        folder: None,
    };
    judge(&mut report, &Input::open(&request.wav).unwrap(), request);
    report
}

#[test]
fn linux_tells_what_is_wrong_with_the_sound_first_then_what_is_wrong_in_the_guest() {
    let folder = tempfile::tempdir().unwrap();
    let (path, song) = song(folder.path(), "song<b>.wav");
    let request = Request::new(GuestCard::Virtio, Job::Play, &path);
    let page = |report: &Report| linux::page(&request, report, machine_rows()).unwrap().render();
    let well = || linux_run(&request, Some(song.clone()), None);
    let (badge, line) = top(&page(&well()));
    assert_eq!(line, "Nothing is wrong: 16,000 frames (2.000 s), bit-exact.");
    assert!(badge.ends_with("passed"), "{badge}");
    let gap = linux_run(&request, Some(with_a_gap(&song)), None);
    let nothing = linux_run(&request, None, None);
    let mut step = well();
    step.steps[1].1 = 7;
    let mut log = well();
    log.dmesg = vec![format!("[ 9.1] virtio_snd: {EVIL}")];
    let mut hung = well();
    hung.ended = false;
    let mut refused = nothing;
    refused.steps[0].1 = 1;
    let [sound, guest, kernel] = [
        "what arrived is what was sent",
        "the guest did each step",
        "the kernel's log has no fault of sound",
    ];
    for (report, said, cases) in [
        (gap, "Wrong since 1.000 s: 400 frames (50.0 ms) are silence instead.", vec![sound]),
        (step, "The sound is right, but the guest's step again ended with exit code 7.", vec![guest]),
        (
            log,
            "The sound is right, but the guest's kernel has logged: [ 9.1] virtio_snd: <script>alert(1)</script>.",
            vec![kernel],
        ),
        (hung, "The sound is right, but the guest did not come to its end.", vec![guest]),
        (refused, "Nothing arrived: the guest's step play ended with exit code 1.", vec![sound, guest]),
    ] {
        let (badge, line) = top(&page(&report));
        assert!(badge.ends_with("failed") && line == said, "{badge}, {line}; not {said}");
        let failed = report.cases().into_iter().filter(|case| case.failure.is_some());
        assert_eq!(failed.map(|case| case.name).collect::<Vec<_>>(), cases, "{said}");
    }
}

#[test]
fn linux_has_sounds_steps_log_statistics_and_the_time_line_of_its_card() {
    let folder = tempfile::tempdir().unwrap();
    let (path, song) = song(folder.path(), "song.wav");
    let mut request = Request::new(GuestCard::Virtio, Job::Both, &path);
    request.timeline = true;
    // The recorder begins before the player, and ends after it.
    let mut recorded = song.clone();
    recorded.frames = [vec![0; 800 * 2], recorded.frames, vec![0; 1_600 * 2]].concat();
    let mut report = linux_run(&request, Some(song.clone()), Some(recorded));
    report.timeline = Some(Timeline::read(VIRTIO_TRACE.as_bytes(), Some(&report.card)).unwrap());
    report.dmesg = vec![EVIL.into()];
    let text = linux::page(&request, &report, machine_rows()).unwrap().render();
    let html = parsed(&text);
    let heads: Vec<String> = all(&html, "main h2").into_iter().map(text_of).collect();
    for head in
        ["What was played", "What was recorded", "The run", "What the card counted", "Steps of the guest"]
    {
        assert!(heads.iter().any(|there| there == head), "{head} in {heads:?}");
    }
    assert!(all(&html, "figure svg polygon[fill='#DC2626']").is_empty(), "a right recording differs nowhere");
    let steps: Vec<String> = all(&html, "table.figures tr").into_iter().map(text_of).collect();
    assert_eq!(steps, ["stepexit code", "play0", "again0"]);
    let blocks: Vec<String> = all(&html, "pre").into_iter().map(text_of).collect();
    assert!(blocks.iter().any(|block| block == EVIL), "the kernel's log: {blocks:?}");
    assert!(blocks.iter().any(|block| block.contains("steps of the guest         all done")), "{blocks:?}");
    assert!(text_of(all(&html, "#machine")[0]).contains("Linux 6.12.117"));
    assert!(all(&html, ".note").into_iter().any(|note| text_of(note).contains("neither marks nor silence")));
}

#[test]
fn a_recording_that_is_wrong_is_told_though_what_was_played_is_right() {
    let folder = tempfile::tempdir().unwrap();
    let (path, song) = song(folder.path(), "song.wav");
    let request = Request::new(GuestCard::Virtio, Job::Both, &path);
    let report = linux_run(&request, Some(song.clone()), Some(with_a_gap(&song)));
    let (badge, line) = top(&linux::page(&request, &report, machine_rows()).unwrap().render());
    assert!(badge.ends_with("failed"), "{badge}");
    assert_eq!(
        line,
        "What was played is right, what was recorded of it is not. Wrong since 1.000 s: 400 frames (50.0 ms) are silence instead."
    );
    let request = Request::new(GuestCard::Virtio, Job::Record, &path);
    let report = linux_run(&request, None, Some(song.clone()));
    let (badge, line) = top(&linux::page(&request, &report, machine_rows()).unwrap().render());
    assert!(
        badge.ends_with("passed") && line.starts_with("Nothing is wrong: 16,000 frames"),
        "{badge}, {line}"
    );
}

fn verdict(text: &str, passed: bool) -> Verdict {
    Verdict {
        text: text.into(),
        passed,
        rows: vec![("mode", "exclusive-event".into()), ("Windows", EVIL.into())],
    }
}

#[test]
fn windows_has_the_verdict_as_its_first_sentence_and_what_it_rests_on() {
    let folder = tempfile::tempdir().unwrap();
    let (path, sound) = song(folder.path(), "song.wav");
    let gap = write(folder.path(), "heard.wav", &with_a_gap(&sound));
    let served = Served { stats: session(), timeline: None };
    let page = |verdict: &Verdict, heard: Option<&PathBuf>| {
        let name = "exclusive-event";
        let tested =
            windows::Tested { name, verdict, heard: heard.cloned(), served: Some(&served), waits: true };
        windows::page(&path, &[tested], machine_rows()).unwrap().render()
    };
    let (badge, line) =
        top(&page(&verdict("bit-exact, each sample compared (clock lockstep)", true), Some(&path)));
    assert!(badge.ends_with("passed"), "{badge}");
    assert_eq!(line, "Bit-exact, each sample compared (clock lockstep).");
    let text = page(&verdict("damaged: 400 frames are silence", false), Some(&gap));
    let (badge, line) = top(&text);
    assert!(badge.ends_with("failed") && line == "Damaged: 400 frames are silence.", "{badge}, {line}");
    let html = parsed(&text);
    assert_eq!(all(&html, "tr[data-frame='8000']").len(), 1, "the difference is where it is");
    assert_eq!(all(&html, "audio").len(), 2, "and can be heard");
    assert_eq!(
        text_of(all(&html, ".detail")[0]),
        "Wrong since 1.000 s: 400 frames (50.0 ms) are silence instead."
    );
    let rows: Vec<String> = all(&html, "table.figures tr").into_iter().map(text_of).collect();
    assert_eq!(rows[..2], ["modeexclusive-event".to_owned(), format!("Windows{EVIL}")]);
    assert_eq!(all(&html, "#stats").len(), 1, "the card's figures");
    // What is wrong need not be the sound.
    let text = page(&Verdict::none("winplay was ended"), Some(&path));
    assert_eq!(top(&text).1, "No verdict: winplay was ended.");
    assert_eq!(text_of(all(&parsed(&text), ".detail")[0]), "The sound itself is right.");
    // Windows never came: nothing was heard and nothing counted.
    let none = Verdict::none("stage agent did not begin within 15 min after power-on");
    let tested =
        windows::Tested { name: "exclusive-event", verdict: &none, heard: None, served: None, waits: true };
    let text = windows::page(&path, &[tested], machine_rows()).unwrap().render();
    let (badge, line) = top(&text);
    assert!(badge.ends_with("failed"), "{badge}");
    assert_eq!(line, "No verdict: stage agent did not begin within 15 min after power-on.");
}

#[test]
fn of_two_runs_of_windows_the_one_that_failed_is_told_first() {
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = song(folder.path(), "song.wav");
    let verdicts = [verdict("bit-exact", true), verdict("damaged: click", false)];
    let names = ["exclusive-event, verifier standard", "exclusive-event, verifier low-resources"];
    let tested: Vec<_> = names
        .iter()
        .zip(&verdicts)
        .map(|(name, verdict)| windows::Tested {
            name,
            verdict,
            heard: Some(path.clone()),
            served: None,
            waits: false,
        })
        .collect();
    let text = windows::page(&path, &tested, machine_rows()).unwrap().render();
    let (badge, line) = top(&text);
    assert!(badge.ends_with("failed"), "{badge}");
    assert_eq!(line, "exclusive-event, verifier low-resources: damaged: click.");
    let html = parsed(&text);
    assert_eq!(text_of(all(&html, ".detail")[0]), "exclusive-event, verifier standard: bit-exact.");
    assert_eq!(all(&html, "table.sides").len(), 2, "both sounds");
    assert_eq!(all(&html, "table.figures").len(), 2, "what both rest on");
}

/// A card at a period, which costs so much.
fn cost(card: &str, period_ms: u32, percent: f64) -> Cost {
    let spread = |factor: f64| {
        Some(Spread {
            median: percent * factor,
            least: percent * factor * 0.9,
            greatest: percent * factor * 1.2,
        })
    };
    let over = if period_ms == 0 { None } else { spread(1.0) };
    Cost {
        card: card.into(),
        period_ms,
        qemu_percent: spread(20.0),
        qemu_devices_percent: spread(2.0),
        device_percent: None,
        over_idle_percent: over.and_then(|_| spread(3.0)),
        card_over_idle_percent: over,
        card_ratio: over,
        qemu_wakes: spread(1.0),
        device_wakes: None,
        traps: None,
        interrupts: None,
        xruns: 2,
        late_us_p50: None,
        late_us_p99: None,
        late_us_max: None,
    }
}

fn results() -> Results {
    let bits = |card: &str, format: &str, verdict: &str| Bits {
        card: card.into(),
        format: format.into(),
        verdict: verdict.into(),
        xruns: 0,
    };
    Results {
        version: 2,
        machine: Machine {
            accel: "tcg".into(),
            qemu: "QEMU emulator version 11.1.3".into(),
            processor: "a processor".into(),
            processors: 2,
            load: "0.10 0.20 0.30".into(),
            kernel: "6.12.117".into(),
        },
        rounds: 3,
        seconds: 2.0,
        cost: vec![
            cost("qemu-virtio", 0, 1.0),
            cost("qemu-virtio", 20, 4.0),
            cost("qemu-virtio", 5, 8.0),
            cost(EVIL, 0, 1.0),
            cost(EVIL, 20, 2.0),
            cost(EVIL, 5, 5.5),
        ],
        position: vec![],
        round_trip: vec![],
        bits: vec![
            bits("qemu-virtio", "s16x2@48000", "bit-exact"),
            bits("qemu-virtio", "s24x2@48000", "not offered (EINVAL)"),
            bits(EVIL, "s16x2@48000", "not bit-exact"),
        ],
        many: vec![],
        ntguest: vec![],
        served: vec![results::Served {
            card: EVIL.into(),
            worst_lateness_us: 1_234,
            underruns: 0,
            wakes: 9,
            seconds: 60.0,
        }],
    }
}

#[test]
fn bench_cards_shows_the_machine_then_each_table_and_a_picture_of_each_period() {
    let text = bench_cards::page(&results()).render();
    let (badge, line) = top(&text);
    assert_eq!(
        (badge.as_str(), line.as_str()),
        ("? not judged", "Measured and not judged: 3 rounds of 2 s each.")
    );
    let html = parsed(&text);
    let heads: Vec<String> = all(&html, "main h2").into_iter().map(text_of).collect();
    let late = "How late interrupts are, in microseconds after the earliest, and xruns of all rounds";
    let served = "What the card's process says of its whole session";
    assert_eq!(
        heads,
        ["Machine", "What playing costs", late, "At the sink", served, "Again"],
        "no empty part"
    );
    let machine = text_of(all(&html, "#machine")[0]);
    for said in ["load when it began0.10 0.20 0.30", "QEMU emulator version 11.1.3, tcg", "Linux 6.12.117"] {
        assert!(machine.contains(said), "{said} in {machine}");
    }
    // Every figure of the terminal's table is in the page's.
    let rows: Vec<String> = all(&html, "table.figures tr").into_iter().map(text_of).collect();
    for said in [
        "qemu-virtio20 ms80.0 (72.0 to 96.0)-12.0 (10.8 to 14.4)4.00 (3.60 to 4.80)",
        "1234",
        "not offered (EINVAL)",
    ] {
        assert!(rows.iter().any(|row| row.contains(said)), "{said} in {rows:?}");
    }
    assert!(rows.iter().any(|row| row.starts_with(EVIL)), "a name is text: {rows:?}");
    let titles: Vec<String> = all(&html, "figure h3").into_iter().map(text_of).collect();
    let whole = "QEMU and the card's process";
    assert_eq!(
        titles,
        [
            "20 ms: the card".into(),
            format!("20 ms: {whole}"),
            "5 ms: the card".into(),
            format!("5 ms: {whole}")
        ]
    );
    // Two cards in each, and a bar is as long as its figure: 4 and 2 at 20 ms, 8 and 5.5 at 5 ms.
    let bars = all(&html, "figure svg rect[fill='#0F766E']");
    let long = |at: usize| bars[at].value().attr("width").unwrap().parse::<f64>().unwrap();
    assert_eq!(bars.len(), 8);
    assert!((long(0) / long(1) - 2.0).abs() < 0.05 && (long(4) / long(0) - 2.0).abs() < 0.05);
    let facts = text_of(all(&html, ".facts")[0]);
    assert!(facts.contains("cards2") && facts.contains("bit-exact1 of 2 formats"), "{facts}");
}

#[test]
fn bench_cards_that_measured_one_part_has_that_and_no_picture() {
    let text = bench_cards::page(&Results { cost: vec![], served: vec![], ..results() }).render();
    let html = parsed(&text);
    let heads: Vec<String> = all(&html, "main h2").into_iter().map(text_of).collect();
    assert_eq!(heads, ["Machine", "At the sink", "Again"]);
    assert!(all(&html, "figure").is_empty());
}

#[test]
#[ignore = "writes pages for a browser: run tests/report/run"]
fn pages_for_a_browser() {
    let to = PathBuf::from(std::env::var_os("RINGWAVE_PAGES").expect("RINGWAVE_PAGES names a folder"));
    let folder = tempfile::tempdir().unwrap();
    let (path, song) = song(folder.path(), "song.wav");
    let gap = with_a_gap(&song);
    let heard = write(folder.path(), "heard.wav", &gap);
    let request = Request::new(GuestCard::Virtio, Job::Play, &path);
    let mut report = linux_run(&request, Some(gap), None);
    report.timeline = Some(Timeline::read(VIRTIO_TRACE.as_bytes(), Some(&report.card)).unwrap());
    let timeline =
        Timeline::read(&b"ringwave-trace 1\n0 state 0 run\n50000000 packet 0 1\n"[..], None).unwrap();
    let served = Served { stats: session(), timeline: Some(timeline) };
    let verdict = verdict("damaged: 400 frames are silence instead", false);
    let name = "exclusive-event";
    let tested =
        windows::Tested { name, verdict: &verdict, heard: Some(heard), served: Some(&served), waits: false };
    for (name, page) in [
        ("linux", linux::page(&request, &report, html::machine()).unwrap()),
        ("windows-test", windows::page(&path, &[tested], html::machine()).unwrap()),
        ("bench-cards", bench_cards::page(&results())),
    ] {
        std::fs::write(to.join(name).with_extension("html"), page.render()).unwrap();
    }
}
