//! One of the three is killed, ended or stopped while it plays: the card's process, QEMU.

use std::{process::Command, thread, time::Duration};

use ringwave_e2e::{bare::pattern, process_usage::ProcessUsage};
use ringwave_runner::machine::{MachineOptions, Outcome};

use crate::{
    fixture::{CardUnderTest, Fixture, show, warnings},
    heard::{assert_heard, assert_heard_beginning},
};

/// A tenth of a second: later than that the Ringwave card plays nothing of what is due (`LATE_MILLIS` of
/// DATASHEET 5.2).
const END_FRAMES: usize = 4_800;
/// Half a second.
const LONG_PACKET: usize = 24_000;

pub fn a_guest_outlives_the_card(card: &CardUnderTest) {
    let fixture = Fixture::new(card);
    let mut server = fixture.server("killed");
    // Packets of half a second, because QEMU 11.1 aborts if an access is under way just then
    // (tests/bareguest/src/scenario/forever.rs).
    let config = card.pick(
        format!("scenario=forever\nseed=7\npacket_frames={LONG_PACKET}\ntold_after=3"),
        "scenario=forever\nseed=7\nperiod_frames=3072\ntold_after=10".to_owned(),
    );
    let mut guest = fixture.boot(&server, &config, MachineOptions::default());
    guest.wait_for("playing", 1).expect("the guest plays");
    server.kill().expect("the card is killed");
    let (outcome, log) = guest.finish().expect("the guest ends");
    show(&server, &log);

    assert_eq!((outcome, log.wrong()), (Some(Outcome::Ok), vec![]), "the guest runs on");
    let gone = log.one("gone");
    assert_eq!((gone.get("other_than_ones"), gone.get("frozen")), ("0", "true"));
    assert_eq!(gone.get("page_state"), card.pick("3", ""), "the page still says RUN");
    log.one("alive");
    // What was flushed (every half second) is there; the guest had played longer.
    assert_heard_beginning(&server.session_wav(1), 7, card.pick(LONG_PACKET, LONG_PACKET / 4), 0);
    assert!(!server.log().contains("the client has left"), "it was not the guest that left");

    assert!(server.socket().exists(), "a killed process leaves its socket");
    let mut next = fixture.server("next");
    fixture.content(&mut next, "scenario=play\nseed=8\nframes=4800", MachineOptions::default());
    assert_heard(card, &next.session_wav(1), 48_000, &pattern(8, 4_800));
    assert_eq!(next.end().expect("the card ends").code(), Some(0));
    assert!(!fixture.folder().join("card.sock").exists(), "a card that ends removes its socket");
}

pub fn the_card_outlives_a_machine(card: &CardUnderTest) {
    let fixture = Fixture::new(card);
    let mut server = fixture.server("heard");
    // After a first client everything is open that the process needs for itself.
    fixture.content(&mut server, "scenario=play\nseed=8\nframes=4800", MachineOptions::default());
    let before = ProcessUsage::of(server.process_id()).expect("the card runs");
    let mut guest = fixture.boot(&server, "scenario=forever\nseed=9", MachineOptions::default());
    guest.wait_for("playing", 1).expect("the guest plays");
    let log = guest.kill().expect("QEMU is killed");
    server.wait_for("the client has left", 2).expect("the card sees the client leave");
    show(&server, &log);

    // All that had been played when it was killed, and the file is finished.
    assert_heard_beginning(&server.session_wav(2), 9, card.told_frames, END_FRAMES);
    let after = ProcessUsage::of(server.process_id()).expect("the card runs");
    assert_eq!((after.descriptors, after.threads), (before.descriptors, before.threads), "nothing is left");
    // `play` looks first whether every register and page has its reset value.
    fixture.content(&mut server, "scenario=play\nseed=10\nframes=4800", MachineOptions::default());
    assert_heard(card, &server.session_wav(3), 48_000, &pattern(10, 4_800));
    // QEMU may have died with an answer unread; and what is due when the card learns that it is gone is
    // silence now that its memory is.
    let told = warnings(&server);
    let known = |line: &String| {
        line.contains("the connection broke") || line.contains(card.pick("DMA_UNMAPPED", "no memory"))
    };
    assert!(told.iter().all(known) && told.len() <= 2, "{told:?}");
}

pub fn a_card_that_is_ended_does_not_take_the_machine_along(card: &CardUnderTest) {
    // QEMU 11.1 aborts if the card's socket closes with an unread message in it: a card that ends answers
    // what has arrived and takes nothing more. This guest always has an access under way.
    for attempt in 0..4 {
        let fixture = Fixture::new(card);
        let server = fixture.server("heard");
        let mut guest = fixture.boot(&server, "scenario=forever\nseed=7\npoll=1", MachineOptions::default());
        guest.wait_for("playing", 1).expect("the guest plays");
        assert_eq!(server.end().expect("the card ends").code(), Some(0));
        let (outcome, log) = guest.finish().expect("the guest ends");
        log.events.iter().for_each(|event| eprintln!("guest: {} {}", event.name, event.text));
        assert_eq!((outcome, log.wrong()), (Some(Outcome::Ok), vec![]), "attempt {attempt}");
        assert_eq!(log.one("gone").get("other_than_ones"), "0");
    }
}

/// A process that stands still for a second, as one that is debugged or short of memory: what was in the
/// buffer is played in its time, the guest catches up, and there is no gap. (Longer than its buffer nobody
/// can be away from HD Audio.)
pub fn who_is_stopped_for_a_while_goes_on(card: &CardUnderTest) {
    let fixture = Fixture::new(card);
    let mut server = fixture.server("heard");
    let config = card
        .pick("scenario=forever\nseed=11\nstill=100000000", "scenario=forever\nseed=11\nperiod_frames=3072");
    let mut guest = fixture.boot(&server, config, MachineOptions::default());
    guest.wait_for("playing", 1).expect("the guest plays");
    for process in [server.process_id(), guest.process_id()] {
        signal("STOP", process);
        thread::sleep(Duration::from_secs(1));
        signal("CONT", process);
        thread::sleep(Duration::from_secs(2));
    }
    let log = guest.kill().expect("QEMU is killed");
    server.wait_for("the client has left", 1).expect("the card sees the client leave");
    show(&server, &log);
    // Where the guest says so, and a second or more behind each stop, at the card's pace.
    assert_heard_beginning(&server.session_wav(1), 11, card.pick(2 * 48_000, 48_000), END_FRAMES);
}

fn signal(name: &str, process: u32) {
    let done = Command::new("sh").args(["-c", &format!("kill -{name} {process}")]).status();
    assert!(done.expect("a shell").success(), "kill -{name} {process}");
}
