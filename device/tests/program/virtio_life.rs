//! The virtio-snd card over its life: a backend that is restarted, a guest that reboots while it plays, a
//! client that dies with messages in flight; all streams at once; messages that are cut anywhere.

use std::path::Path;
use std::time::Duration;

use crate::serving::Serving;
use crate::virtio_driver::song::*;
use crate::virtio_driver::*;

fn serve(dir: &Path, arguments: &[&str]) -> Serving {
    Serving::start(dir, &[&["--card", "virtio"], arguments].concat())
}

/// Fills stream 0 with sound that stays in flight, and lets stream 1 record.
fn leave_in_flight(driver: &mut Driver, sound: &[u8]) {
    prepare(driver, 0);
    prepare(driver, 1);
    for (place, period) in (0..4).zip(sound.chunks(PERIOD_BYTES)) {
        driver.send(0, place, period, 5000);
        driver.receive(1, 10 + place, PERIOD);
    }
    assert_eq!((driver.pcm(START, 1), driver.pcm(START, 0)), (OK, OK));
    driver.wait_used(TX);
}

#[test]
fn backend_that_is_restarted_serves_a_new_machine_and_the_old_one_is_told_by_the_connection() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("card.sock");
    let mut first = serve(dir.path(), &[]);
    let mut old = Driver::connect(&socket);
    leave_in_flight(&mut old, &song(4));
    first.signal(libc::SIGKILL);
    first.wait_for_exit();
    // The socket of a process that is dead is replaced.
    let second = serve(dir.path(), &["--sink", "wav:heard.wav"]);
    assert!(old.try_config().is_err(), "QEMU 11.1 aborts here: VIRTIO-SND.md, and the README say so");
    old.kick(TX);
    let mut new = Driver::connect(&socket);
    assert_eq!(new.pcm(START, 0), BAD_MSG, "a fresh card");
    prepare(&mut new, 0);
    play(&mut new, &song(3), 5000, |_| {});
    drop(new);
    second.wait_for("the client has left", 1);
    assert_eq!(heard(&dir.path().join("heard.wav")), song(3));
    second.end();
}

#[test]
fn guest_that_reboots_while_it_plays_finds_a_fresh_card_each_time() {
    let dir = tempfile::tempdir().unwrap();
    let mut serving = serve(dir.path(), &["--sink", "wav:heard.wav", "--once"]);
    let mut driver = Driver::connect(&dir.path().join("card.sock"));
    let sound = song(6);
    for _ in 0..3 {
        leave_in_flight(&mut driver, &sound);
        // QEMU resets the device and starts it again where the new driver begins.
        driver.stop_queues();
        let before = driver.ram();
        std::thread::sleep(Duration::from_millis(100));
        assert!(before == driver.ram(), "nothing is written while the queues are stopped");
        driver.reset();
        driver.start_queues();
        assert_eq!((driver.pcm(START, 0), driver.pcm(STOP, 1)), (BAD_MSG, BAD_MSG), "a fresh card");
        assert_eq!((driver.take_used(TX), driver.take_used(RX)), (None, None), "nothing old comes back");
    }
    prepare(&mut driver, 0);
    play(&mut driver, &sound, 5000, |_| {});
    assert_eq!((driver.pcm(STOP, 0), driver.pcm(RELEASE, 0)), (OK, OK));
    drop(driver);
    assert_eq!(serving.wait_for_exit().code(), Some(0));
    assert!(heard(&dir.path().join("heard.wav")).ends_with(&sound));
}

#[test]
fn client_that_dies_with_messages_in_flight_leaves_its_memory_alone_and_nothing_to_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("card.sock");
    let serving =
        serve(dir.path(), &["--sink", "wav:heard.wav", "--source", "tone:440", "--clock", "realtime"]);
    for client in 1..=3 {
        let mut driver = Driver::connect(&socket);
        leave_in_flight(&mut driver, &song(4));
        // Only the connection ends: the memory is there to be looked at.
        let memory = driver.leave();
        serving.wait_for("the client has left", client);
        let before = memory.ram();
        std::thread::sleep(Duration::from_millis(100));
        assert!(before == memory.ram(), "written after the client has left");
    }
    let mut driver = Driver::connect(&socket);
    assert_eq!(driver.pcm(RELEASE, 0), OK);
    assert_eq!(driver.pcm(PREPARE, 0), BAD_MSG, "nothing is left of the client before");
    drop(driver);
    serving.end();
}

#[test]
fn sixteen_streams_play_and_record_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let arguments =
        ["--render", "8", "--capture", "8", "--sink", "raw:heard.raw", "--source", "tone:440", "--once"];
    let mut serving = serve(dir.path(), &arguments);
    let mut driver = Driver::connect(&dir.path().join("card.sock"));
    assert_eq!(driver.config()[1], 16);
    let sounds: Vec<Vec<u8>> =
        (0..8).map(|stream| song(2).into_iter().map(|byte| byte ^ (stream + 1)).collect()).collect();
    for stream in 0..16 {
        prepare(&mut driver, stream);
    }
    assert_eq!(driver.pcm(PREPARE, 16), BAD_MSG);
    for (stream, sound) in (0..).zip(&sounds) {
        for (period, data) in (0..).zip(sound.chunks(PERIOD_BYTES)) {
            driver.send(stream, u64::from(stream) * 2 + period, data, 5000);
        }
        driver.receive(8 + stream, 100 + u64::from(stream), PERIOD);
    }
    for stream in 0..16 {
        assert_eq!(driver.pcm(START, stream), OK, "{stream}");
    }
    for _ in 0..16 {
        driver.wait_used(TX);
    }
    for stream in 0..8 {
        assert_eq!(driver.wait_used(RX).1, PERIOD + 8);
        assert_eq!(driver.status(100 + stream), (OK, 0));
        assert!(driver.received(100 + stream, PERIOD_BYTES).iter().any(|byte| *byte != 0), "a tone");
    }
    for stream in 0..16 {
        assert_eq!((driver.pcm(STOP, stream), driver.pcm(RELEASE, stream)), (OK, OK));
    }
    drop(driver);
    assert_eq!(serving.wait_for_exit().code(), Some(0));
    for (stream, sound) in sounds.iter().enumerate() {
        let name = if stream == 0 { "heard.raw".to_owned() } else { format!("heard-stream{stream}.raw") };
        assert_eq!(&std::fs::read(dir.path().join(&name)).unwrap(), sound, "{name}");
    }
}

#[test]
fn requests_and_messages_may_be_cut_anywhere() {
    let dir = tempfile::tempdir().unwrap();
    let serving = serve(dir.path(), &["--source", "tone:440"]);
    let mut driver = Driver::connect(&dir.path().join("card.sock"));
    let bytes_of = |at: u64, bytes: u64, writable| (0..bytes).map(move |byte| (at + byte, 1, writable));
    // PCM_INFO of both streams: a descriptor for each byte of the request and of the status, 3 bytes at a
    // time of the rest.
    let (request, answer) = (DATA, DATA + 0x1000);
    driver.write(request, &[0x100_u32, 0, 2, 32].map(u32::to_le_bytes).concat());
    let whole: Vec<Part> = [(request, 16, false), (answer, 68, true)].into();
    let parts = bytes_of(request, 16, false)
        .chain(bytes_of(answer, 4, true))
        .chain((0..22).map(|piece| (answer + 4 + piece * 3, if piece == 21 { 1 } else { 3 }, true)));
    let mut answers = Vec::new();
    for parts in [whole, parts.collect()] {
        driver.write(answer, &[0; 68]);
        driver.queue(CONTROL, &parts);
        assert_eq!(driver.wait_used(CONTROL).1, 68);
        answers.push(driver.read(answer, 68));
    }
    assert_eq!((answers[0][..4].to_vec(), &answers[0]), (OK.to_le_bytes().to_vec(), &answers[1]));
    prepare(&mut driver, 0);
    prepare(&mut driver, 1);
    // tx: header 1 and 3 with the first byte of data, status byte by byte. rx: the status in one descriptor
    // with the end of the data, and cut.
    let (at, status) = (DATA + 0x2000, DATA + 0x4000);
    let room = DATA + 0x5000;
    driver.write(at, &0_u32.to_le_bytes());
    driver.write(at + 4, &song(1));
    let tx: Vec<Part> = [(at, 1, false), (at + 1, 4, false), (at + 5, PERIOD - 1, false)]
        .into_iter()
        .chain(bytes_of(status, 8, true))
        .collect();
    driver.queue(TX, &tx);
    driver.write(at + 0x1000, &1_u32.to_le_bytes());
    let rx = [
        (at + 0x1000, 4, false),
        (room, PERIOD - 1, true),
        (room + 0x1000, 4, true),
        (room + 0x2000, 5, true),
    ];
    driver.queue(RX, &rx);
    assert_eq!((driver.pcm(START, 0), driver.pcm(START, 1)), (OK, OK));
    assert_eq!((driver.wait_used(TX).1, driver.word(status)), (8, OK));
    assert_eq!(driver.wait_used(RX).1, PERIOD + 8);
    // One byte of data, then the status over two descriptors.
    let end = [driver.read(room + 0x1000, 4), driver.read(room + 0x2000, 5)].concat();
    assert_eq!(end[1..], [0, 0x80, 0, 0, 0, 0, 0, 0]);
    // A readable part behind a writable one: named, whatever the queue.
    for queue in [CONTROL, TX, RX] {
        driver.write(answer, &[0; 8]);
        driver.queue(queue, &[(request, 4, false), (answer, 8, true), (request, 4, false)]);
        driver.wait_used(queue);
        assert_eq!(driver.word(answer), BAD_MSG, "{queue}");
    }
    drop(driver);
    serving.end();
}

#[test]
fn card_that_waits_for_its_first_message_looks_at_its_queues_unasked() {
    let dir = tempfile::tempdir().unwrap();
    let serving = serve(dir.path(), &["--sink", "wav:heard.wav"]);
    let mut driver = Driver::connect_with(&dir.path().join("card.sock"), false);
    prepare(&mut driver, 0);
    assert_eq!(driver.pcm(START, 0), OK);
    // A kick that is lost, as it is to an emulated machine with one processor.
    driver.kicks = false;
    driver.send(0, 0, &song(1), 5000);
    driver.wait_used(TX);
    drop(driver);
    serving.end();
}
