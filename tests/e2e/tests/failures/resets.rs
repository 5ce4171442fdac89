//! The card is reset while it plays, by the machine or by the function's own reset; and a stream that starts
//! and stops very often.

use std::env;

use ringwave_e2e::{
    bare::{pattern, samples},
    process_usage::ProcessUsage,
};
use ringwave_runner::machine::{MachineOptions, Outcome};

use crate::{
    fixture::{CardUnderTest, Fixture, show, warnings},
    heard::{assert_heard, assert_heard_beginning},
};

/// Frames that were played before the reset, at least.
const PLAYED_BEFORE: usize = 12_000;
/// A tenth of a second: later than that the Ringwave card plays nothing of what is due (`LATE_MILLIS` of
/// DATASHEET 5.2).
const END_FRAMES: usize = 4_800;

pub fn a_machine_that_is_reset_while_it_plays_finds_a_fresh_card(card: &CardUnderTest) {
    let fixture = Fixture::new(card);
    let mut server = fixture.server("heard");
    let options = MachineOptions { reboots: true, ..MachineOptions::default() };
    let log = fixture.content(&mut server, "scenario=reboot\nseed=20\nframes=9000", options);
    let (going, back) = (log.one("rebooting"), log.one("back"));
    assert_eq!(log.all("start").len(), 2, "two boots of one machine");
    assert!(card.hda || back.number("resets") > going.number("resets"), "the card was reset");
    assert_heard_beginning(&server.session_wav(1), 20, PLAYED_BEFORE, END_FRAMES);
    assert_heard(card, &server.session_wav(2), 44_100, &pattern(21, 9_000));
    // QEMU takes bus mastering away before it resets the function: what is due in between is silence. And
    // firmware that is slow on a busy host is told of.
    let names = [card.pick("BUS_MASTER_OFF", "Bus Master Enable is off"), "nobody has set it up again"];
    let told = warnings(&server);
    assert!(told.iter().all(|line| names.iter().any(|name| line.contains(name))), "{told:?}");
}

pub fn a_function_level_reset_while_it_plays_makes_a_fresh_card(card: &CardUnderTest) {
    for layout in card.pick(&["contiguous", "scatter-gather"][..], &["list"]) {
        let fixture = Fixture::new(card);
        let mut server = fixture.server("heard");
        let config = format!("scenario=flr\nseed=30\nframes=9000\nlayout={layout}");
        let log = fixture.content(&mut server, &config, MachineOptions::default());
        let reset = log.one(card.pick("reset", "function-reset"));
        // Of HD Audio the guest sees that every register is as after power-on.
        assert_eq!(reset.number("resets"), reset.number("before").map(|before| before + 1), "one reset");
        assert_heard_beginning(&server.session_wav(1), 30, PLAYED_BEFORE, 0);
        assert_heard(card, &server.session_wav(2), 44_100, &pattern(31, 9_000));
        assert_eq!(warnings(&server), Vec::<String>::new());
    }
}

pub fn a_thousand_starts_and_stops_leave_nothing_behind(card: &CardUnderTest) {
    let cycles: u64 = env::var("RINGWAVE_CYCLES").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000);
    // HD Audio is driven by a whole driver, with its waits.
    let cycles = if card.hda { cycles / 5 } else { cycles };
    let fixture = Fixture::new(card);
    let mut server =
        fixture.server_with("heard", &fixture.artefacts.ringwave, card.pick(&["--speed", "8"][..], &[]));
    // After a first client everything is open that the process needs for itself.
    fixture.content(&mut server, "scenario=play", MachineOptions::default());
    let before = ProcessUsage::of(server.process_id()).expect("the card runs");
    // 1 ms, the shortest packet there is.
    let config = format!("scenario=cycles\ncycles={cycles}\npacket_frames=48\nperiod_frames=480");
    let mut guest = fixture.boot(&server, &config, MachineOptions::default());
    guest.wait_for("cycle", 1).expect("a hundred cycles");
    let early = ProcessUsage::of(server.process_id()).expect("the card runs");
    guest.wait_for("cycles", 1).expect("all cycles");
    let late = ProcessUsage::of(server.process_id()).expect("the card runs");
    let (outcome, log) = guest.finish().expect("the guest ends");
    show(&server, &log);
    server.wait_for("the client has left", 2).expect("the card sees the client leave");
    let after = ProcessUsage::of(server.process_id()).expect("the card runs");
    eprintln!("before {before:?}\nearly  {early:?}\nlate   {late:?}\nafter  {after:?}");

    assert_eq!((outcome, log.wrong()), (Some(Outcome::Ok), vec![]));
    assert_eq!(log.one("cycles").number("done"), Some(cycles));
    assert_eq!(warnings(&server), Vec::<String>::new());
    assert_eq!((late.descriptors, late.threads), (early.descriptors, early.threads), "while it runs");
    assert_eq!((after.descriptors, after.threads), (before.descriptors, before.threads), "afterwards");
    // The allocator may keep a little; a kilobyte a cycle would be seen.
    assert!(
        late.anonymous_kib <= early.anonymous_kib + 512,
        "{} KiB more",
        late.anonymous_kib - early.anonymous_kib
    );
    assert!(late.maps <= early.maps + 4, "{} mappings more", late.maps - early.maps);
    assert!(after.maps <= before.maps + 8, "{} mappings more", after.maps - before.maps);
    let frames = samples(&server.session_wav(2)).expect("a WAV file").0.len() as u64 / 2;
    assert!(frames >= cycles * 48, "every cycle was heard: {frames} frames");
}
