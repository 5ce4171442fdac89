//! `ringwave serve --card virtio` with a driver of our own: VIRTIO-SND.md, section by section.

use std::collections::VecDeque;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::serving::Serving;
use crate::undisturbed::undisturbed;
use crate::virtio_driver::song::*;
use crate::virtio_driver::*;
use ringwave_audio::wav::WavFile;
use ringwave_audio::{SampleFormat, StreamFormat};

const FORMAT: StreamFormat = StreamFormat { sample: SampleFormat::S16, channels: 2, rate: 48_000 };

/// How long a card in lockstep waits for a message behind its last one before that is an xrun
/// (VIRTIO-SND.md).
const GRACE: Duration = Duration::from_millis(60);

fn serve(dir: &Path, arguments: &[&str]) -> Serving {
    let all = ["--card", "virtio", "--sink", "wav:heard.wav", "--stats", "stats.json"];
    Serving::start(dir, &[&all[..], arguments].concat())
}

#[test]
fn what_the_card_tells_of_itself() {
    let dir = tempfile::tempdir().unwrap();
    let serving = serve(dir.path(), &["--render", "2", "--capture", "1", "--channels", "6"]);
    let mut driver = Driver::connect(&dir.path().join("card.sock"));
    assert_eq!(driver.config(), [3, 3, 12], "jacks, streams, four maps for each");
    let (status, infos) = driver.request(&[0x100, 0, 3, 32], 96);
    assert_eq!((status, infos.len()), (OK, 96));
    for (stream, (nid, direction)) in [(0, 0), (1, 0), (0, 1)].into_iter().enumerate() {
        let info = &infos[stream * 32..][..32];
        assert_eq!((info[0], info[24], info[25], info[26]), (nid, direction, 1, 6), "{stream}");
        assert_eq!(info[4..8], (1_u32 << 4).to_le_bytes(), "EVT_XRUNS alone");
        let set = |at: usize| u64::from_le_bytes(info[at..at + 8].try_into().unwrap());
        assert_eq!((set(8), set(16)), (1 << 4 | 1 << 5 | 1 << 11 | 1 << 17 | 1 << 19, 0xFFFE));
    }
    let (status, jacks) = driver.request(&[1, 0, 3, 24], 72);
    assert_eq!((status, jacks.len()), (OK, 72));
    for (jack, expected) in
        [[0, 0, 0, 0x14], [1, 0, 0, 0x14], [0, 0, 0xA0_0000, 0x24]].into_iter().enumerate()
    {
        let (info, rest) = jacks[jack * 24..][..24].split_at(16);
        assert_eq!(info, expected.map(u32::to_le_bytes).concat(), "{jack}: line out, line out, microphone");
        assert_eq!(rest, [1, 0, 0, 0, 0, 0, 0, 0], "{jack}: plugged");
    }
    assert_eq!(driver.request(&[0x100, 1, 3, 32], 96).0, BAD_MSG, "beyond the last");
    assert_eq!(driver.request(&[0x100, 0, 3, 32], 95).0, BAD_MSG, "no room");
    let (status, maps) = driver.request(&[0x200, 8, 4, 24], 96);
    assert_eq!(
        (status, &maps[4..9], &maps[72 + 4..][..8]),
        (OK, &[1, 1, 2, 0, 0][..], &[1, 6, 3, 4, 7, 8, 5, 6][..])
    );
    assert_eq!(driver.request(&[2, 0, 0, 0], 0).0, NOT_SUPP, "JACK_REMAP");
    assert_eq!(driver.request(&[0x300, 0, 1, 96], 96).0, NOT_SUPP, "controls");
    assert_eq!(driver.request(&[0x999, 0], 0).0, BAD_MSG);
    assert_eq!(driver.pcm(PREPARE, 3), BAD_MSG, "no such stream");
    drop(driver);
    serving.end();
}

#[test]
fn lockstep_plays_bit_exact_however_late_the_driver_is() {
    undisturbed(|| {
        let dir = tempfile::tempdir().unwrap();
        let mut serving = serve(dir.path(), &["--once", "--trace", "card.trace"]);
        let mut driver = Driver::connect(&dir.path().join("card.sock"));
        let sound = song(60);
        prepare(&mut driver, 0);
        // Within the grace: no xrun.
        let longest = play(&mut driver, &sound, 701, |period| {
            std::thread::sleep(Duration::from_millis(if period % 7 == 0 { 35 } else { 3 }));
        });
        assert_eq!(driver.pcm(STOP, 0), OK);
        assert_eq!(driver.pcm(RELEASE, 0), OK);
        assert!(driver.signalled(TX) && driver.signalled(CONTROL));
        drop(driver);
        assert_eq!(serving.wait_for_exit().code(), Some(0));
        assert_eq!(heard(&dir.path().join("heard.wav")), sound);
        let stream = &serving.stats()["streams"][0];
        assert_eq!((&stream["silence_frames"], &stream["frames"]), (&0.into(), &(60 * 480).into()));
        assert_traced(&dir.path().join("card.trace"), sound.len());
        if longest >= GRACE && stream["underruns"] != 0 {
            return None;
        }
        assert_eq!(stream["underruns"], 0, "{stream}");
        Some(())
    });
}

/// The trace names the card, and has each byte that was played with its address: behind the head of a
/// message.
fn assert_traced(trace: &Path, bytes: usize) {
    let trace = std::fs::read_to_string(trace).unwrap();
    assert!(
        trace.starts_with("ringwave-trace 1 ") && trace.lines().next().unwrap().contains(" card=virtio ")
    );
    let mut sum = 0;
    for line in trace.lines().filter_map(|line| line.split_once(" dma-read 0 0x")) {
        let (address, length) = line.1.split_once(' ').unwrap();
        let (address, length) = (u64::from_str_radix(address, 16).unwrap(), length.parse::<u64>().unwrap());
        let place = address.checked_sub(DATA).unwrap() % 0x1_0000;
        assert!(place >= 0x100 && place + length <= 0x1_0000, "{line:?}");
        sum += length;
    }
    assert_eq!(sum, bytes as u64, "all of it, and nothing twice");
}

#[test]
fn every_format_is_played_as_it_came() {
    let dir = tempfile::tempdir().unwrap();
    let serving = Serving::start(dir.path(), &["--card", "virtio", "--sink", "raw:heard.raw", "--once"]);
    let mut driver = Driver::connect(&dir.path().join("card.sock"));
    let mut all = Vec::new();
    // U8, S16, S24 in 3 bytes, S32, float; odd frames, and all ends of the rates.
    for (format, bytes, channels, rate, hz) in [
        (4, 1, 1, 1, 8_000),
        (5, 2, 8, 7, 48_000),
        (11, 3, 6, 6, 44_100),
        (17, 4, 2, 13, 384_000),
        (19, 4, 3, 14, 12_000),
    ] {
        let period = hz / 100 * bytes * channels;
        let sound: Vec<u8> = (0..4 * period).map(|byte| u8::try_from(byte % 63 + 1).unwrap()).collect();
        let channels = u8::try_from(channels).unwrap();
        assert_eq!(driver.set_params(0, u32::try_from(period).unwrap(), channels, format, rate), OK);
        assert_eq!(driver.pcm(PREPARE, 0), OK);
        for (place, data) in (0..).zip(sound.chunks(period)) {
            driver.send(0, place, data, 5000);
        }
        assert_eq!(driver.pcm(START, 0), OK);
        for _ in 0..4 {
            driver.wait_used(TX);
        }
        assert_eq!((driver.pcm(STOP, 0), driver.pcm(RELEASE, 0)), (OK, OK));
        all.push(sound);
    }
    drop(driver);
    serving.wait_for("frames", 1);
    for (number, sound) in (1..).zip(&all) {
        let name = if number == 1 { "heard.raw".to_owned() } else { format!("heard-{number}.raw") };
        assert_eq!(&std::fs::read(dir.path().join(name)).unwrap(), sound, "format {number}");
    }
}

#[test]
fn later_than_the_grace_is_an_xrun_and_the_sound_is_contiguous() {
    undisturbed(|| {
        let dir = tempfile::tempdir().unwrap();
        let mut serving = serve(dir.path(), &["--once"]);
        let mut driver = Driver::connect_with(&dir.path().join("card.sock"), false);
        for _ in 0..4 {
            driver.queue(EVENT, &[(DATA - 0x8000, 8, true)]);
        }
        let sound = song(12);
        prepare(&mut driver, 0);
        // ALSA repairs an xrun by STOP, RELEASE, PREPARE and START.
        play(&mut driver, &sound[..6 * PERIOD_BYTES], 5000, |_| {});
        assert_eq!(driver.wait_used(EVENT).1, 8);
        assert_eq!((driver.word(DATA - 0x8000), driver.word(DATA - 0x7FFC)), (0x1101, 0));
        for request in [STOP, RELEASE, PREPARE] {
            assert_eq!(driver.pcm(request, 0), OK);
        }
        play(&mut driver, &sound[6 * PERIOD_BYTES..8 * PERIOD_BYTES], 5000, |_| {});
        // Another one goes on while running.
        driver.send(0, 0, &sound[8 * PERIOD_BYTES..][..2 * PERIOD_BYTES], 5000);
        driver.wait_used(TX);
        for request in [STOP, RELEASE] {
            assert_eq!(driver.pcm(request, 0), OK);
        }
        // The end of a sound is none.
        prepare(&mut driver, 0);
        play(&mut driver, &sound[10 * PERIOD_BYTES..], 5000, |_| {});
        drop(driver);
        assert_eq!(serving.wait_for_exit().code(), Some(0));
        assert_eq!(heard(&dir.path().join("heard.wav")), sound);
        let underruns = serving.stats()["streams"][0]["underruns"].as_u64().unwrap();
        assert!(underruns >= 2, "{underruns}");
        // A test or a card without a processor for as long as the grace is one more.
        (underruns == 2).then_some(())
    });
}

#[test]
fn last_message_completes_after_its_duration_and_its_grace() {
    let dir = tempfile::tempdir().unwrap();
    let serving = serve(dir.path(), &[]);
    let mut driver = Driver::connect(&dir.path().join("card.sock"));
    for (stream, queue) in [(0, TX), (1, RX)] {
        undisturbed(|| {
            prepare(&mut driver, stream);
            let (head, length) = if queue == TX {
                (driver.send(stream, 0, &song(1), 5000), 8)
            } else {
                (driver.receive(stream, 0, PERIOD), PERIOD + 8)
            };
            let begin = Instant::now();
            assert_eq!(driver.pcm(START, stream), OK);
            assert_eq!(driver.wait_used(queue), (head, length));
            let took = begin.elapsed();
            // To the tick it is tested beside the controller; here with a thread that has to wake.
            assert!(took >= Duration::from_millis(10 + 59), "queue {queue}: {took:?}");
            assert_eq!((driver.pcm(STOP, stream), driver.pcm(RELEASE, stream)), (OK, OK));
            // A busy machine wakes the engine late.
            (took < Duration::from_millis(10 + 80 + 100)).then_some(())
        });
    }
    drop(driver);
    serving.end();
}

#[test]
fn realtime_plays_silence_and_never_old_sound() {
    let dir = tempfile::tempdir().unwrap();
    let mut serving = serve(dir.path(), &["--once", "--clock", "realtime"]);
    let mut driver = Driver::connect(&dir.path().join("card.sock"));
    prepare(&mut driver, 0);
    let sound = song(4);
    driver.send(0, 0, &sound[..2 * PERIOD_BYTES], 5000);
    assert_eq!(driver.pcm(START, 0), OK);
    driver.wait_used(TX);
    std::thread::sleep(Duration::from_millis(50));
    driver.send(0, 0, &sound[2 * PERIOD_BYTES..], 5000);
    driver.wait_used(TX);
    for request in [STOP, RELEASE] {
        assert_eq!(driver.pcm(request, 0), OK);
    }
    drop(driver);
    assert_eq!(serving.wait_for_exit().code(), Some(0));
    let heard = heard(&dir.path().join("heard.wav"));
    let loud: Vec<u8> =
        heard.as_chunks::<4>().0.iter().filter(|frame| **frame != [0; 4]).flatten().copied().collect();
    assert_eq!(loud, sound, "each frame once");
    let stream = &serving.stats()["streams"][0];
    assert!(stream["underruns"].as_u64().unwrap() >= 4, "{stream}");
    assert!(stream["silence_frames"].as_u64().unwrap() >= 40 * 48, "{stream}");
}

#[test]
fn recording_is_bit_exact_and_release_gives_back_what_is_not_full() {
    let dir = tempfile::tempdir().unwrap();
    let sound = song(40);
    let mut file = WavFile::create(&dir.path().join("source.wav"), FORMAT).unwrap();
    file.add(&sound).unwrap();
    file.flush().unwrap();
    let serving = serve(dir.path(), &["--source", "wav:source.wav"]);
    let mut driver = Driver::connect(&dir.path().join("card.sock"));
    assert_eq!(driver.set_params(1, PERIOD, 2, S16, RATE_48000), OK);
    let mut recorded = Vec::new();
    // Thrice with the same parameters, as ALSA goes on after an xrun. It stops in the midst of a period.
    for round in 1..=3 {
        assert_eq!(driver.pcm(PREPARE, 1), OK);
        let mut queued: VecDeque<_> = (0..4).map(|place| (driver.receive(1, place, PERIOD), place)).collect();
        assert_eq!(driver.pcm(START, 1), OK);
        for _ in 0..5 {
            let (head, place) = queued.pop_front().unwrap();
            assert_eq!(driver.wait_used(RX), (head, PERIOD + 8));
            assert_eq!(driver.status(place), (OK, 0));
            recorded.extend(driver.received(place, PERIOD_BYTES));
            queued.push_back((driver.receive(1, place, PERIOD), place));
        }
        std::thread::sleep(Duration::from_millis(3));
        assert_eq!(driver.pcm(STOP, 1), OK);
        assert_eq!(driver.pcm(RELEASE, 1), OK);
        for (head, place) in queued {
            let (used, bytes) = driver.take_used(RX).expect("given back before RELEASE is answered");
            assert_eq!((used, driver.status(place).0), (head, OK));
            recorded.extend(driver.received(place, bytes as usize - 8));
        }
        assert!(recorded == sound[..recorded.len()], "contiguous up to round {round}");
    }
    drop(driver);
    serving.end();
}

#[test]
fn a_source_that_no_stream_can_have_is_named_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    for (name, bits_per_sample, sample_rate) in [("bits.wav", 24, 48_000), ("rate.wav", 16, 37_800)] {
        let sample_format = hound::SampleFormat::Int;
        let spec = hound::WavSpec { channels: 2, sample_rate, bits_per_sample, sample_format };
        let mut file = hound::WavWriter::create(dir.path().join(name), spec).unwrap();
        (0..480).for_each(|sample| file.write_sample(sample).unwrap());
        file.finalize().unwrap();
    }
    let serving = serve(dir.path(), &["--source", "wav:bits.wav"]);
    assert!(serving.wait_for("no stream can take it", 1)[0].contains("convert it to 16 or 32 bits"));
    serving.end();
    let serving = serve(dir.path(), &["--source", "wav:rate.wav"]);
    assert!(serving.wait_for("no stream can take it", 1)[0].contains("37800 Hz is no rate"));
    serving.end();
}

#[test]
fn what_the_card_does_not_have_is_refused_with_the_next_step() {
    for (arguments, named) in [
        (&["--vendor", "0x1235"][..], "leave out --vendor"),
        (&["--device", "0x1"], "--device"),
        (&["--dma-bits", "40"], "--dma-bits"),
        (&["--no-volume"], "--no-volume"),
        (&["--bits", "24"], "are of --card hda; leave them out"),
        (&["--pci-id", "8086:293e"], "are of --card hda; leave them out"),
    ] {
        let all = [&["serve", "--card", "virtio", "--socket", "/nonexistent/s"][..], arguments].concat();
        let output = Command::new(env!("CARGO_BIN_EXE_ringwave")).args(all).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(2) && said.contains(named), "{arguments:?}: {said}");
    }
}

#[test]
fn malformed_messages_get_their_status_and_the_card_goes_on() {
    const NEXT: u16 = 1;
    const WRITE: u16 = 2;
    let dir = tempfile::tempdir().unwrap();
    let serving = serve(dir.path(), &[]);
    let mut driver = Driver::connect(&dir.path().join("card.sock"));
    let data = DATA + 0x8000;
    driver.send(0, 0, &song(1), 5000);
    driver.wait_used(TX);
    assert_eq!(driver.status(0).0, IO_ERR, "not prepared");
    driver.send(1, 0, &song(1), 5000);
    driver.wait_used(TX);
    assert_eq!(driver.status(0).0, BAD_MSG, "a capture stream");
    driver.receive(7, 0, PERIOD);
    driver.wait_used(RX);
    assert_eq!(driver.status(0).0, BAD_MSG, "no such stream");
    prepare(&mut driver, 0);
    // A loop, an index out of range, no status: none of them has room for one. A header that is not there.
    for (first, second, length) in [
        ((data, 4, NEXT, 61), (data, 4, NEXT, 60), 0),
        ((data, 4, NEXT, 999), (data, 4, 0, 0), 0),
        ((data, 4, NEXT, 61), (data, 4, 0, 0), 0),
        ((data, 4, NEXT, 61), (data + 64, 7, WRITE, 0), 0),
        ((u64::MAX - 1, 4, NEXT, 61), (data + 64, 8, WRITE, 0), 8),
    ] {
        driver.write(data + 64, &[0; 8]);
        driver.descriptor(TX, 60, first);
        driver.descriptor(TX, 61, second);
        driver.offer(TX, 60);
        assert_eq!(driver.wait_used(TX), (60, length), "{first:?}");
        assert_eq!(driver.word(data + 64), if length == 0 { 0 } else { BAD_MSG }, "{first:?}");
    }
    driver.write(data, &[0; 4]);
    driver.descriptor(TX, 60, (data + 64, 8, NEXT | WRITE, 61));
    driver.descriptor(TX, 61, (data, 8, 0, 0));
    driver.offer(TX, 60);
    assert_eq!(
        (driver.wait_used(TX), driver.word(data + 64)),
        ((60, 8), BAD_MSG),
        "readable behind writable"
    );
    driver.descriptor(CONTROL, 60, (data, 4, NEXT, 60));
    driver.offer(CONTROL, 60);
    assert_eq!(driver.wait_used(CONTROL).0, 60, "a loop on the control queue");
    for _ in 0..10_000 {
        (CONTROL..=RX).for_each(|queue| driver.kick(queue));
    }
    // The sound is whole after all that.
    let sound = song(6);
    play(&mut driver, &sound, 333, |_| {});
    drop(driver);
    serving.wait_for("frames", 1);
    assert_eq!(heard(&dir.path().join("heard.wav")), sound);
    serving.end();
}

#[test]
fn memory_that_is_not_there_is_an_error_of_its_message_and_silence() {
    let dir = tempfile::tempdir().unwrap();
    let mut serving = serve(dir.path(), &["--once", "--source", "tone:440"]);
    let mut driver = Driver::connect(&dir.path().join("card.sock"));
    let sound = song(1);
    prepare(&mut driver, 0);
    prepare(&mut driver, 1);
    let (header, status) = (DATA + 0x2_0000, DATA + 0x2_0008);
    for (stream, queue) in [(0, TX), (1, RX)] {
        driver.write(header, &u32::to_le_bytes(stream));
        driver.write(status, &[0; 8]);
        driver.queue(queue, &[(header, 4, false), (RAM_BYTES, PERIOD, queue == RX), (status, 8, true)]);
        if queue == TX {
            driver.send(stream, 0, &sound, 5000);
        } else {
            driver.receive(stream, 0, PERIOD);
        }
        assert_eq!(driver.pcm(START, stream), OK);
        driver.wait_used(queue);
        assert_eq!(driver.word(status), IO_ERR, "queue {queue}");
        driver.wait_used(queue);
        assert_eq!(driver.status(0).0, OK, "queue {queue}");
    }
    drop(driver);
    assert_eq!(serving.wait_for_exit().code(), Some(0));
    assert_eq!(heard(&dir.path().join("heard.wav")), [vec![0; PERIOD_BYTES], sound].concat());
}

#[test]
fn what_is_queued_without_a_kick_is_there_when_start_is_carried_out() {
    let dir = tempfile::tempdir().unwrap();
    let mut serving = serve(dir.path(), &["--once", "--clock", "realtime"]);
    let mut driver = Driver::connect(&dir.path().join("card.sock"));
    let sound = song(2);
    prepare(&mut driver, 0);
    driver.kicks = false;
    for (place, period) in (0..).zip(sound.chunks(PERIOD_BYTES)) {
        driver.send(0, place, period, 5000);
    }
    // That of the control queue is the first that the card hears of.
    driver.kicks = true;
    assert_eq!(driver.pcm(START, 0), OK);
    driver.wait_used(TX);
    driver.wait_used(TX);
    drop(driver);
    assert_eq!(serving.wait_for_exit().code(), Some(0));
    assert!(heard(&dir.path().join("heard.wav")).starts_with(&sound), "from its first frame on");
}

#[test]
fn paused_machine_goes_on_and_a_driver_that_begins_finds_a_fresh_card() {
    let sound = song(8);
    let (dir, mut serving, mut driver, used) = undisturbed(|| {
        let dir = tempfile::tempdir().unwrap();
        let serving = serve(dir.path(), &["--once"]);
        let mut driver = Driver::connect(&dir.path().join("card.sock"));
        prepare(&mut driver, 0);
        for (place, period) in (0..).zip(sound.chunks(PERIOD_BYTES)) {
            driver.send(0, place, period, 5000);
        }
        assert_eq!(driver.pcm(START, 0), OK);
        driver.wait_used(TX);
        driver.stop_queues();
        let mut used = 1;
        while driver.take_used(TX).is_some() {
            used += 1;
        }
        // Some of it is left to be played.
        (used < 7).then_some((dir, serving, driver, used))
    });
    let frames = || serving.stats_by_signal()["streams"][0]["frames"].as_u64().unwrap();
    let before = frames();
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(frames(), before, "nothing is played while the machine stands still");
    assert_eq!(driver.take_used(TX), None, "nor completed");
    while driver.signalled(TX) {}
    driver.start_queues_uncalled();
    for _ in used..8 {
        driver.wait_used(TX);
    }
    assert!(!driver.signalled(TX), "nobody knows where");
    driver.give_calls();
    // For what was completed before it could be called.
    driver.wait_signalled(TX);
    // A reboot in the middle of a sound.
    for place in 0..4 {
        driver.send(0, place, &sound[..PERIOD_BYTES], 5000);
    }
    driver.stop_queues();
    driver.reset();
    driver.start_queues();
    assert_eq!(driver.pcm(START, 0), BAD_MSG, "a fresh card");
    assert_eq!(driver.take_used(TX), None, "nothing old is completed into the new ring");
    prepare(&mut driver, 0);
    assert_eq!(driver.pcm(RELEASE, 0), OK);
    drop(driver);
    assert_eq!(serving.wait_for_exit().code(), Some(0));
    let heard = heard(&dir.path().join("heard.wav"));
    assert!(heard.starts_with(&sound), "contiguous over the pause");
}

#[test]
fn clients_come_and_go_jacks_are_plugged_and_a_signal_ends_it() {
    let dir = tempfile::tempdir().unwrap();
    let serving = serve(dir.path(), &["--control", "control.sock", "--sandbox=on", "--unplugged", "1"]);
    for _ in 0..3 {
        let mut driver = Driver::connect(&dir.path().join("card.sock"));
        driver.queue(EVENT, &[(DATA - 0x8000, 8, true)]);
        driver.queue(EVENT, &[(DATA - 0x7000, 8, true)]);
        let (_, jacks) = driver.request(&[1, 0, 2, 24], 48);
        assert_eq!((jacks[16], jacks[24 + 16]), (1, 0));
        serving.obeys(&["jack", "0", "out"]);
        driver.wait_used(EVENT);
        assert_eq!((driver.word(DATA - 0x8000), driver.word(DATA - 0x7FFC)), (0x1001, 0));
        serving.obeys(&["jack", "0", "in"]);
        driver.wait_used(EVENT);
        assert_eq!(driver.word(DATA - 0x7000), 0x1000);
        prepare(&mut driver, 0);
        play(&mut driver, &song(3), 5000, |_| {});
        assert_eq!(serving.stats_by_signal()["streams"][0]["frames"], 3 * 480);
        // It leaves in the middle of it all.
    }
    let _there = Driver::connect(&dir.path().join("card.sock"));
    serving.end();
    assert!(dir.path().join("heard-3.wav").exists(), "a file for each client");
}
