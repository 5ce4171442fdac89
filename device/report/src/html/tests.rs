//! The page, read back by an HTML parser as a browser reads it.
#![allow(clippy::format_push_string, reason = "short traces of a test")]

use std::f64::consts::TAU;

use ringwave_audio::wav::{Samples, Sound as Frames, parse};
use ringwave_audio::{SampleFormat, StreamFormat};
use scraper::{ElementRef, Html};

use super::read_back::{all, parsed, text_of};
use super::*;
use crate::SessionReport;
use crate::html::timeline::Timeline;

const STEREO: StreamFormat = StreamFormat { sample: SampleFormat::S16, channels: 2, rate: 48_000 };

/// Music that does not repeat itself: a sweep under noise, of this format.
fn music(format: StreamFormat, frames: u64) -> Frames {
    let mut noise = 0x2545_F491_u32;
    let mut levels = Vec::new();
    for frame in 0..frames {
        let time = numbers::f64_of(frame) / f64::from(format.rate);
        for channel in 0..format.channels {
            noise ^= noise << 13;
            noise ^= noise >> 17;
            noise ^= noise << 5;
            let tone = (TAU * (200.0 + 40.0 * time) * time + f64::from(channel)).sin() * 0.4;
            levels.push(tone + (f64::from(noise) / f64::from(u32::MAX) - 0.5) * 0.2);
        }
    }
    let mut bytes = vec![0; levels.len() * format.sample.bytes() as usize];
    format.sample.encode(levels, &mut bytes);
    Frames { format, frames: bytes }
}

/// A page of two sounds, and its differences as they were found.
fn page_of(sent: &Frames, heard: &Frames) -> (Page, String) {
    let [one, other] = [Samples::of(sent), Samples::of(heard)];
    let found =
        if sent.frames == heard.frames { Differences::none() } else { differences(&one, &other).unwrap() };
    let outcome = if sent.frames == heard.frames { Outcome::Passed } else { Outcome::Failed };
    let headline = headline(outcome, &found, (other.len(), other.format().rate), "bit-exact");
    let mut budget = BYTES_MAX;
    let sound =
        Sound::of_pair("Sent and heard", ["sent.wav", "heard.wav"], [&one, &other], found, &mut budget);
    let page = Page {
        facts: vec![("frames".into(), "1".into())],
        sounds: vec![sound],
        machine: machine(),
        command: "true".into(),
        ..Page::new("a test", outcome, headline)
    };
    let text = page.render();
    (page, text)
}

/// The sound of a player.
fn played(audio: ElementRef<'_>) -> Frames {
    use base64ct::{Base64, Encoding};
    let uri = audio.value().attr("src").unwrap();
    let bytes = Base64::decode_vec(uri.strip_prefix("data:audio/wav;base64,").unwrap()).unwrap();
    parse(&bytes).unwrap()
}

/// The vertical red marks of a picture: from which to which pixel.
fn marks(html: &Html) -> Vec<(f64, f64)> {
    let number =
        |element: &ElementRef<'_>, name: &str| element.value().attr(name).unwrap().parse::<f64>().unwrap();
    let rects = all(html, "figure svg rect[fill='#DC2626'][opacity='0.25']");
    rects.iter().map(|rect| (number(rect, "x"), number(rect, "x") + number(rect, "width"))).collect()
}

#[test]
fn a_difference_at_3_2_seconds_is_told_marked_and_heard_at_3_2_seconds() {
    let sent = music(STEREO, 5 * 48_000);
    let mut heard = sent.clone();
    let (at, frames) = (153_600_usize, 2400_usize);
    heard.frames[at * 4..(at + frames) * 4].fill(0);
    let (page, text) = page_of(&sent, &heard);
    assert_eq!(page.headline, "Wrong since 3.200 s: 2,400 frames (50.0 ms) are silence instead.");
    let html = parsed(&text);
    assert_eq!(text_of(all(&html, ".headline")[0]), page.headline);
    let rows = all(&html, "table.differences tr[data-frame]");
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].value().attr("data-frame"), Some("153600"));
    assert!(text_of(rows[0]).contains("3.200 s"), "{}", text_of(rows[0]));
    // From 84 to 1104 are 5 seconds; three lanes have the mark.
    let marks = marks(&html);
    assert_eq!(marks.len(), 3, "{marks:?}");
    for (from, to) in marks {
        let seconds = |x: f64| (x - 84.0) / 1020.0 * 5.0;
        assert!((seconds(from) - 3.2).abs() < 0.01 && (seconds(to) - 3.25).abs() < 0.01, "{from} to {to}");
    }
    let players = all(&html, "audio");
    let roles: Vec<_> = players.iter().map(|player| player.value().attr("data-role").unwrap()).collect();
    assert_eq!(roles, ["heard", "sent"]);
    for (player, whole) in players.iter().zip([&heard, &sent]) {
        let from: usize = player.value().attr("data-frame").unwrap().parse().unwrap();
        assert!(
            from + 48_000 > at && from + 96_000 > at + frames && from < at,
            "around the difference: {from}"
        );
        let clip = played(*player);
        assert_eq!((clip.format, clip.len()), (STEREO, 96_000));
        assert_eq!(clip.frames, whole.frames[from * 4..(from + 96_000) * 4]);
    }
}

#[test]
fn what_is_after_a_loss_is_as_it_was_sent() {
    let sent = music(STEREO, 4 * 48_000);
    let mut heard = sent.clone();
    heard.frames.drain(96_000 * 4..96_480 * 4);
    let [one, other] = [Samples::of(&sent), Samples::of(&heard)];
    let found = differences(&one, &other).unwrap();
    assert_eq!(found.places[0].what, "480 frames (10.0 ms) are missing");
    assert!((found.places[0].seconds - 2.0).abs() < 0.002);
    let axis = axis::Axis::new(0.0, 4.0);
    let levels = found.by_column(&one, &other, axis).unwrap();
    let wrong = levels.iter().filter(|level| **level > differences::DIFFERENCE_FLOOR_DB).count();
    assert!(wrong <= 1, "{wrong} columns are wrong, and the loss is a moment");
    let (_, text) = page_of(&sent, &heard);
    let html = parsed(&text);
    let players = all(&html, "audio");
    let [heard, sent] = [played(players[0]), played(players[1])];
    let before = 40_000 * 4;
    assert_eq!(heard.frames[..before], sent.frames[..before], "the same until it is lost");
    assert_ne!(heard.frames, sent.frames);
}

#[test]
fn sounds_that_are_the_same_have_no_mark_and_say_so() {
    let sent = music(STEREO, 48_000);
    let (page, text) = page_of(&sent, &sent);
    assert_eq!(page.headline, "Nothing is wrong: 48,000 frames (1.000 s), bit-exact.");
    let html = parsed(&text);
    assert!(marks(&html).is_empty() && all(&html, "audio").is_empty());
    assert_eq!(all(&html, "figure svg image").len(), 2, "two spectrograms");
    assert!(all(&html, "figure svg polygon").len() >= 2, "two waveforms");
}

#[test]
fn a_hostile_name_is_text() {
    let evil = "<script>alert(1)</script>\"'&<img src=x onerror=alert(1)>\u{0}\u{202e}]]>-->.wav";
    let frames = music(STEREO, 9_000);
    let samples = Samples::of(&frames);
    let mut page = page_of(&frames, &frames).0;
    page.sounds = vec![Sound::alone(evil, "heard", evil, &samples)];
    page.title = evil.into();
    page.headline = evil.into();
    page.details = vec![evil.into()];
    page.facts = vec![(evil.into(), evil.into())];
    page.texts = vec![(evil.into(), evil.into())];
    page.machine = vec![(evil.into(), evil.into())];
    page.command = evil.into();
    let bar = Bar { name: evil.into(), median: 1.0, least: 1.0, greatest: 1.0 };
    page.sections = vec![Section {
        title: evil.into(),
        note: evil.into(),
        pictures: bars(&[(evil.into(), vec![bar])], evil, evil),
        table: Table { columns: vec![evil.into()], rows: vec![vec![evil.into(), evil.into()]] },
    }];
    let trace =
        "ringwave-trace 1 card=<script> speed=NaN\n1 state 0 run\n2 nonsense <script>\n3 packet 0 1\n";
    page.timeline = Some(Timeline::read(trace.as_bytes(), None).unwrap());
    let html = parsed(&page.render());
    assert!(text_of(all(&html, ".headline")[0]).contains("<script>alert(1)</script>"));
    assert!(text_of(all(&html, "#command")[0]).contains("onerror"));
}

#[test]
fn odd_sounds_have_a_page() {
    let float = StreamFormat { sample: SampleFormat::F32, channels: 1, rate: 44_100 };
    let mut numbers = music(float, 20_000);
    for (index, bad) in [(500, f32::NAN), (600, f32::INFINITY), (700, f32::NEG_INFINITY)] {
        numbers.frames[index * 4..index * 4 + 4].copy_from_slice(&bad.to_le_bytes());
    }
    let wide = StreamFormat { sample: SampleFormat::S32, channels: 8, rate: 192_000 };
    let (empty, one) = (music(STEREO, 0), music(STEREO, 1));
    let silence = Frames { format: STEREO, frames: vec![0; 40_000] };
    let eight = music(StreamFormat { sample: SampleFormat::U8, channels: 1, rate: 8_000 }, 16_000);
    let mut broken = music(wide, 192_000);
    let long = broken.clone();
    broken.frames[96_000 * 32..96_100 * 32].fill(0);
    let many = music(StreamFormat { channels: 70, rate: 8_000, ..STEREO }, 100);
    for (sent, heard) in [
        (&numbers, &music(float, 20_000)),
        (&empty, &empty),
        (&empty, &one),
        (&one, &empty),
        (&one, &one),
        (&silence, &silence),
        (&silence, &one),
        (&long, &broken),
        (&long, &one),
        (&eight, &one),
        (&many, &many),
        (&many, &one),
    ] {
        let (page, text) = page_of(sent, heard);
        let html = parsed(&text);
        assert!(!page.headline.is_empty() && page.headline.ends_with('.'), "{}", page.headline);
        for picture in &page.sounds[0].pictures {
            assert!(picture.svg.is_ok(), "{:?}", picture.svg);
        }
        assert_eq!(all(&html, "table.sides tr").len(), 3);
        assert!(text.len() < 5_000_000, "{}", text.len());
    }
    let (page, _) = page_of(&numbers, &music(float, 20_000));
    assert_eq!(page.sounds[0].sides[0].not_finite, 3);
}

#[test]
fn ten_minutes_with_many_differences_stay_under_5_mb() {
    let mut sent = music(STEREO, 48_000);
    for _ in 0..9 {
        sent.frames.extend_from_within(..);
    }
    // Noise that no picture can shorten, so that it does not repeat itself either.
    let mut noise = 0x1234_5678_u32;
    for sample in sent.frames.as_chunks_mut::<4>().0 {
        noise ^= noise << 13;
        noise ^= noise >> 17;
        noise ^= noise << 5;
        *sample = noise.to_le_bytes();
    }
    let mut heard = sent.clone();
    for second in [3, 50, 51, 52, 100, 200, 250, 300, 350, 400, 450, 480, 500] {
        heard.frames[second * 192_000..second * 192_000 + 9_600].fill(0);
    }
    let (page, text) = page_of(&sent, &heard);
    assert!(page.headline.starts_with("Wrong since 3.000 s: 2,400 frames"), "{}", page.headline);
    assert!(page.headline.ends_with("; 13 places in all, the last at 8:20.000 min."), "{}", page.headline);
    assert!(text.len() < 5_000_000, "{} bytes", text.len());
    let html = parsed(&text);
    assert_eq!(all(&html, "audio[data-role=heard]").len(), 10);
    let clip = played(all(&html, "audio[data-role=heard]")[0]);
    assert_eq!((clip.format.channels, clip.len()), (1, 96_000), "two seconds of the worst channel");
}

#[test]
fn a_trace_is_drawn_and_told_in_numbers() {
    let mut trace = String::from("ringwave-trace 1 card=ringwave speed=1\n0 state 0 run\n");
    trace += "0 dma-read 0 0x1000 9600\n";
    for packet in 1..=200_u64 {
        let at = packet * 50_000_000;
        if packet == 100 {
            let late = at + 7_000_000;
            trace +=
                &format!("{} stall 0 100\n{late} mark-seen 0 100\n{late} packet 0 100\n", at - 5_000_000);
            continue;
        }
        trace += &format!("{} mark-seen 0 {packet}\n", at - 6_000_000);
        if packet == 64 {
            trace += &format!("{at} packet 0 64\n{at} note underrun 0 64\n");
        } else {
            trace +=
                &format!("{} packet 0 {packet}\n", at.max(if packet == 101 { 5_057_000_000 } else { 0 }));
        }
    }
    let timeline = Timeline::read(trace.as_bytes(), None).unwrap();
    let stream = &timeline.streams[&0];
    assert_eq!((stream.packet_count, stream.stalls, stream.stalled_ns), (200, 1, 12_000_000));
    assert_eq!(stream.first_silent, Some(3_200_000_000));
    let positions: Vec<u64> = stream.position.iter().flatten().copied().collect();
    assert!(positions.is_sorted() && positions.first() == Some(&1), "bytes among packets: {positions:?}");
    assert_eq!(stream.margins.iter().sum::<u64>(), 200);
    assert_eq!(stream.margins[6], 198, "6 ms early: from 5 to 10 ms");
    assert_eq!((stream.margins[7], stream.margins[0]), (1, 1), "13 ms early, and 12 ms late");
    let mut page = page_of(&music(STEREO, 10), &music(STEREO, 10)).0;
    page.timeline = Some(timeline);
    let text = page.render();
    let html = parsed(&text);
    let row = text_of(all(&html, "table.streams tr")[1]);
    for number in ["200", "12.0 ms", "4.995 s", "3.200 s"] {
        assert!(row.contains(number), "{number} in {row}");
    }
    // What a recorder marks has no time by which it should come.
    for (direction, has_margins) in [("render", true), ("capture", false)] {
        page.stats = Some(session_of(direction));
        assert_eq!(!page.render().contains("No mark is known"), has_margins, "{direction}");
    }
}

/// Rows of the table below the histogram with this title.
fn bins(html: &Html, title: &str) -> Vec<(String, String)> {
    let parts = all(html, "div.pair > div");
    let part = parts.into_iter().find(|part| text_of(*part).contains(title)).unwrap();
    let cells = scraper::Selector::parse("td").unwrap();
    let cells: Vec<_> = part.select(&cells).map(|cell| text_of(cell).trim().to_owned()).collect();
    cells.chunks(2).map(|row| (row[0].clone(), row[1].clone())).filter(|(_, count)| count != "0").collect()
}

#[test]
fn each_mark_and_each_end_of_a_packet_is_in_the_one_bin_it_belongs_to_and_the_bins_are_explained() {
    let pairs = |all: &[(&str, &str)]| -> Vec<(String, String)> {
        all.iter().map(|(name, count)| ((*name).to_owned(), (*count).to_owned())).collect()
    };
    let mut page = Page::new("a test", Outcome::Passed, "Well.");
    // Packets of 25 ms (1,200 frames of a ring of 9,600 bytes and two packets): three in time, one 3 ms
    // late, one 20 ms. Their marks: 6 ms early twice, 0.3 ms early, and 1 ms after the packet began.
    let trace = "ringwave-trace 1 card=ringwave speed=1\n0 mark-seen 0 0\n0 state 0 run\n\
        19000000 mark-seen 0 1\n25000000 packet 0 1\n44000000 mark-seen 0 2\n50000000 packet 0 2\n\
        74700000 mark-seen 0 3\n75000000 packet 0 3\n103000000 packet 0 4\n104000000 mark-seen 0 4\n\
        148000000 packet 0 5\n";
    let mut stats = session_of("render");
    page.timeline = Some(Timeline::read(trace.as_bytes(), Some(&stats)).unwrap());
    page.stats = Some(stats.clone());
    let html = parsed(&page.render());
    assert_eq!(
        bins(&html, "Margin of each mark"),
        pairs(&[("late", "1"), ("0-0.2", "1"), ("0.2-0.5", "1"), ("5-10", "2")])
    );
    assert_eq!(bins(&html, "Lateness"), pairs(&[("<0.1", "2"), ("2-5", "1"), ("10-50", "1")]));
    let captions: Vec<_> = all(&html, "div.pair figcaption").into_iter().map(text_of).collect();
    assert!(captions.iter().any(|it| it.contains("milliseconds before a packet began")), "{captions:?}");
    assert!(captions.iter().any(|it| it.contains("\"late\": it said so after")), "{captions:?}");
    // What the card counted has late marks apart from its intervals.
    stats.streams[0].late_marks = 4;
    stats.streams[0].margins = serde_json::from_value(serde_json::json!([
        { "from_us": 0, "packets": 14 }, { "from_us": 500, "packets": 7 }
    ]))
    .unwrap();
    page.stats = Some(stats);
    let html = parsed(&page.render());
    assert_eq!(bins(&html, "Margin of each mark"), pairs(&[("late", "4"), ("0+", "14"), ("0.5+", "7")]));
}

/// One stream, whose margins the card has not counted.
fn session_of(direction: &str) -> SessionReport {
    let stream = serde_json::json!({
        "index": 0, "direction": direction, "format": "s16", "rate": 48_000, "channels": 2, "ring_bytes": 9_600,
        "packets": 2, "dma_mode": "contiguous", "sg_entries": 0, "frames": 480_000, "packets_completed": 200,
        "underruns": 0, "silence_frames": 0, "source_silence_frames": 0, "dma_faults": 0, "events": 200,
        "stalls": 1, "marks": 200, "polled_marks": 0, "late_marks": 0, "least_margin_us": null, "margins": [],
        "worst_lateness_us": 0, "plugged": true, "sink_failed": false, "drift_ppm": null,
        "sink_underruns": null, "sink_dropped_frames": null, "source_underruns": null, "source_overruns": null,
    });
    let running = serde_json::json!({ "reads": 0, "writes": 0, "written": 0, "look": 0, "eos": 0 });
    serde_json::from_value(serde_json::json!({
        "schema": 1, "version": "0", "clock": "lockstep", "client": "left", "seconds": 10.0, "streams": [stream],
        "messages": { "total": 0, "while_running": running },
        "interrupts": 200, "wakes": 400, "worst_lateness_us": 0,
    }))
    .unwrap()
}

#[test]
fn a_trace_that_is_none_is_an_error() {
    assert!(Timeline::read(&b"<script>"[..], None).is_err());
    let noise = "ringwave-trace 1\n".to_owned() + &"x\n".repeat(2000);
    assert!(Timeline::read(noise.as_bytes(), None).is_err());
}

#[test]
fn a_page_replaces_the_one_before_as_a_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.html");
    std::fs::write(&path, "before").unwrap();
    let file = ReportFile::create(&path).unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "before");
    file.write("after").unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "after");
    drop(ReportFile::create(&path).unwrap());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "after", "given up");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    for bad in [folder.path().to_owned(), folder.path().join("nowhere/report.html"), "/dev/null".into()] {
        let error = ringwave_audio::next_step::writing(&ReportFile::create(&bad).unwrap_err());
        assert!(error.contains("; ") && !error.contains(".part"), "{bad:?}: {error}");
    }
}

/// Packets of 50 ms, of which one in twenty arrived: the judge finds nothing of the sound again.
#[test]
fn what_is_damaged_beyond_recognition_is_told_since_when() {
    let sent = music(STEREO, 10 * 48_000);
    let mut heard = sent.clone();
    // The noise of a card that reads a buffer that nobody writes: no silence that the judge would name.
    let noise = music(StreamFormat { channels: 1, ..STEREO }, 2 * 48_000 * 10).frames;
    for packet in (10..200).filter(|packet| packet % 20 != 0) {
        let bytes = packet * 9_600..(packet + 1) * 9_600;
        heard.frames[bytes.clone()].copy_from_slice(&noise[bytes]);
    }
    let (page, text) = page_of(&sent, &heard);
    assert!(page.headline.starts_with("Wrong since 0.500 s: "), "{}", page.headline);
    let html = parsed(&text);
    assert_eq!(text_of(all(&html, "table.differences td")[1]), "0.500 s");
    assert!(!marks(&html).is_empty(), "it is drawn");
    // Another sound altogether has no such moment.
    let mut other = music(STEREO, 20 * 48_000);
    other.frames.drain(..10 * 48_000 * 4);
    let (page, _) = page_of(&sent, &other);
    assert_eq!(page.headline, "Wrong all along: nothing of what was sent is in it.");
}

#[test]
fn one_of_a_kind_is_told_as_one() {
    let sent = music(STEREO, 2 * 48_000);
    let mut heard = sent.clone();
    heard.frames.truncate(95_999 * 4);
    let (page, text) = page_of(&sent, &heard);
    assert!(page.headline.ends_with("1 frame (21 µs) is missing at the end."), "{}", page.headline);
    let html = parsed(&text);
    let notes: Vec<_> = all(&html, ".note").into_iter().map(text_of).collect();
    assert!(notes.iter().any(|note| note.contains(" s around the first difference, as ")), "{notes:?}");
}

#[test]
fn a_stream_that_never_ran_has_no_rows() {
    let trace =
        "ringwave-trace 1\n0 state 0 run\n0 state 1 acquire\n50000000 packet 0 1\n60000000 state 1 stop\n";
    let mut page = page_of(&music(STEREO, 10), &music(STEREO, 10)).0;
    page.timeline = Some(Timeline::read(trace.as_bytes(), None).unwrap());
    let html = parsed(&page.render());
    assert_eq!(all(&html, "table.streams tr").len(), 2, "the head, and stream 0");
    let names: Vec<_> =
        all(&html, "figure svg text").into_iter().map(|text| text_of(text).trim().to_owned()).collect();
    assert!(
        names.contains(&"running".to_owned()) && !names.iter().any(|name| name == "1 running"),
        "{names:?}"
    );
    assert!(all(&html, ".note").into_iter().any(|note| text_of(note) == "Stream 1 never ran."));
}

/// The judge would look for these gaps for a minute, and an hour of such sound for as many.
#[test]
fn thousands_of_gaps_are_told_at_once_and_what_is_left_out_is_said() {
    let sent = music(STEREO, 35 * 48_000);
    let mut heard = sent.clone();
    for packet in (0..2_300).filter(|packet| packet % 2 == 1) {
        heard.frames[packet * 2_880..(packet + 1) * 2_880].fill(0);
    }
    let begin = std::time::Instant::now();
    let (page, text) = page_of(&sent, &heard);
    assert!(begin.elapsed().as_secs() < 30, "{:?}", begin.elapsed());
    assert_eq!(
        page.headline,
        "Wrong since 0.015 s: 720 frames (15.0 ms) are silence instead; 1,150 places in all, the last at 34.485 s."
    );
    let html = parsed(&text);
    let notes: Vec<_> = all(&html, ".note").into_iter().map(text_of).collect();
    for said in ["and 1,050 more", "Red in the pictures: the first 1,000."] {
        assert!(notes.iter().any(|note| note == said), "{said} in {notes:?}");
    }
    assert!(all(&html, "figure svg *").len() < 8_000, "{}", all(&html, "figure svg *").len());
}

/// From where to where a bar of a picture goes, in pixels.
fn bars_of(html: &Html) -> Vec<(f64, f64)> {
    let number = |element: &ElementRef<'_>, name: &str| element.value().attr(name).unwrap().parse().unwrap();
    let rects = all(html, "figure.half svg rect[fill='#0F766E']");
    let ends = |rect: &ElementRef<'_>| {
        let (x, width): (f64, f64) = (number(rect, "x"), number(rect, "width"));
        (x, x + width)
    };
    rects.iter().map(ends).collect()
}

#[test]
fn bars_are_as_long_as_what_they_say_in_each_picture_and_the_table_says_it_too() {
    let bar = |name: &str, median: f64, least: f64, greatest: f64| Bar {
        name: name.into(),
        median,
        least,
        greatest,
    };
    let one = vec![bar("first", 10.0, 8.0, 12.0), bar("below", -2.0, -3.0, 1.0)];
    let other = vec![bar("second", 5.0, 5.0, 5.0)];
    let pictures = bars(&[("one".into(), one), ("other".into(), other)], " %", "percent of a core");
    assert!(pictures.iter().all(|picture| picture.svg.is_ok()), "{pictures:?}");
    let table =
        Table { columns: vec!["card".into(), "%".into()], rows: vec![vec!["first".into(), "10.0".into()]] };
    let mut page = Page::new("a test", Outcome::Unknown, "Measured.");
    page.sections = vec![Section { title: "Cost".into(), note: "as read".into(), pictures, table }];
    page.machine = vec![("QEMU".into(), "11".into())];
    page.machine_first = true;
    let html = parsed(&page.render());
    let drawn = bars_of(&html);
    let lengths: Vec<f64> = drawn.iter().map(|(from, to)| to - from).collect();
    assert_eq!(lengths.len(), 3, "{drawn:?}");
    assert!(
        (lengths[0] / lengths[2] - 2.0).abs() < 0.05,
        "10 is twice 5, whatever picture it is in: {lengths:?}"
    );
    assert!((drawn[1].1 - drawn[0].0).abs() < 2.0, "less than nothing ends where more begins: {drawn:?}");
    let words: Vec<String> =
        all(&html, "figure svg text").into_iter().map(|it| text_of(it).trim().to_owned()).collect();
    for word in ["first", "10.0", "-2.00", "second", "5 %"] {
        assert!(words.iter().any(|text| text == word), "{word} in {words:?}");
    }
    let heads: Vec<String> = all(&html, "main h2").into_iter().map(text_of).collect();
    assert_eq!(heads, ["Machine", "Cost", "Again"], "figures are of a machine");
    assert_eq!(text_of(all(&html, "table.figures tr")[1]), "first10.0");
    assert_eq!(all(&html, "table.figures th[scope=row]").len(), 1);
    assert_eq!(text_of(all(&html, ".badge")[0]).trim(), "? not judged");
}

#[test]
fn figures_that_are_no_numbers_are_named_and_not_drawn() {
    let bar = |median: f64| Bar { name: format!("of {median}"), median, least: 0.0, greatest: median };
    let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, 1e300, -1e300, f64::MAX, f64::MIN].map(bar);
    for bad in [odd.to_vec(), vec![bar(f64::NAN)], vec![bar(0.0)], vec![]] {
        let mut page = Page::new("a test", Outcome::Unknown, "Measured.");
        let pictures = bars(&[("one".into(), bad.clone())], "", "");
        assert!(pictures[0].svg.is_ok(), "{bad:?}: {pictures:?}");
        page.sections = vec![Section { pictures, ..Section::default() }];
        let html = parsed(&page.render());
        assert_eq!(bars_of(&html).len(), bad.iter().filter(|bar| bar.is_drawn()).count(), "{bad:?}");
    }
}

#[test]
fn what_the_trace_of_a_card_cannot_tell_is_left_out_and_said() {
    let lines = "0 state 0 run\n1000000 dma-read 0 0x1000 4800\n90000000 dma-read 0 0x1000 4800\n";
    for (card, rows, columns, said) in [
        ("ringwave", &["running", "packets", "stalls", "silence"][..], 9, None),
        ("virtio", &["running", "packets", "stalls"], 7, Some("neither marks nor silence")),
        ("hda", &["running"], 2, Some("has no packets")),
    ] {
        let trace = format!("ringwave-trace 1 card={card} speed=1\n{lines}");
        let mut page = Page::new("a test", Outcome::Passed, "Well.");
        page.timeline = Some(Timeline::read(trace.as_bytes(), None).unwrap());
        let html = parsed(&page.render());
        let all_rows = ["running", "packets", "stalls", "silence"];
        let names: Vec<String> =
            all(&html, "figure svg text").into_iter().map(|text| text_of(text).trim().to_owned()).collect();
        let drawn: Vec<&str> =
            all_rows.into_iter().filter(|row| names.iter().any(|name| name == row)).collect();
        assert_eq!(drawn, rows, "{card}");
        assert_eq!(all(&html, "table.streams th").len(), columns, "{card}");
        assert!(text_of(all(&html, "table.streams tr")[1]).contains("9,600 bytes"), "{card}");
        let notes: Vec<_> = all(&html, ".note").into_iter().map(text_of).collect();
        let missing = notes.iter().find(|note| note.contains("The trace of"));
        assert!(
            missing.map_or(said.is_none(), |note| said.is_some_and(|said| note.contains(said))),
            "{card}: {notes:?}"
        );
    }
}

#[test]
fn silence_around_a_sound_is_no_difference_of_it() {
    let sent = music(STEREO, 48_000);
    let mut heard = sent.clone();
    heard.frames = [vec![0; 4_800 * 4], heard.frames, vec![0; 9_600 * 4]].concat();
    let [one, other] = [Samples::of(&sent), Samples::of(&heard)];
    let found = Differences::silence_around(&one, &other);
    assert_eq!((found.offset, found.total), (Some(4_800), 0));
    let levels = found.by_column(&one, &other, axis::Axis::new(0.0, 1.3)).unwrap();
    assert!(levels.iter().all(|level| *level <= differences::DIFFERENCE_FLOOR_DB), "nothing is drawn");
    let silence = Frames { format: STEREO, frames: vec![0; 400] };
    assert_eq!(Differences::silence_around(&Samples::of(&silence), &other).offset, Some(0));
}
