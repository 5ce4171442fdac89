//! What goes wrong in a real machine: each time what the guest saw and what the card's log said.
//! `qemu-scripts/test` runs these (`cargo test -- --ignored`): they need what `qemu-scripts/setup` sets up
//! and what `qemu-scripts/lib/build.sh` builds.
//!
//! The guest is `tests/bareguest`, which drives the card without the driver; one test is the driver's.

use std::{env, fs, path::Path, time::Duration};

use ringwave_e2e::{
    bare::{BareGuest, BareLog, pattern, samples},
    process_usage::ProcessUsage,
};
use ringwave_runner::{
    artefacts::Artefacts,
    card::Card,
    guest_log::GuestLog,
    machine::{Machine, MachineOptions, Outcome, Sharing, make_volume},
};

/// Packets of 10 ms, the guest's own default.
const PACKET_FRAMES: usize = 480;
/// Half a second.
const LONG_PACKET: usize = 24_000;
/// A tenth of a second: later than that the card plays nothing of what is due (`LATE_MILLIS` of DATASHEET
/// 5.2).
const END_FRAMES: usize = 4_800;

/// A folder, and the programs.
struct Fixture {
    artefacts: Artefacts,
    folder: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        let artefacts = Artefacts::from_env().expect("everything is built");
        Self { artefacts, folder: tempfile::tempdir().expect("a temporary folder") }
    }

    fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn server(&self, name: &str, speed: f64) -> Card {
        let options = ["--clock", "lockstep", "--speed", &speed.to_string()];
        Card::start(&self.artefacts.ringwave, self.folder(), name, options).expect("the card listens")
    }

    fn boot(&self, server: &Card, config: &str, options: MachineOptions) -> BareGuest {
        BareGuest::boot(&self.artefacts, self.folder(), &server.socket(), config, options)
            .expect("QEMU starts")
    }

    /// Boots a guest and waits for its end.
    fn run(&self, server: &Card, config: &str, options: MachineOptions) -> (Option<Outcome>, BareLog) {
        let (outcome, log) = self.boot(server, config, options).finish().expect("the guest ends");
        show(server, &log);
        (outcome, log)
    }

    /// Boots a guest that must be content, and waits until the card has put its files away.
    fn content(&self, server: &mut Card, config: &str, options: MachineOptions) -> BareLog {
        let before = server.log().matches("the client has left").count();
        let (outcome, log) = self.run(server, config, options);
        assert_eq!((outcome, log.wrong()), (Some(Outcome::Ok), vec![]));
        server.wait_for("the client has left", before + 1).expect("the card sees the client leave");
        log
    }
}

fn show(server: &Card, log: &BareLog) {
    log.events.iter().for_each(|event| eprintln!("guest: {} {}", event.name, event.text));
    eprintln!("{}", server.log());
}

/// What was heard is this pattern, from the first frame to the last.
#[track_caller]
fn assert_heard(path: &Path, rate: u32, wanted: &[i16]) {
    let (heard, its_rate) = samples(path).expect("a WAV file");
    assert_eq!(its_rate, rate, "{}", path.display());
    let same = heard.iter().zip(wanted).take_while(|(a, b)| a == b).count();
    assert_eq!(
        (same, heard.len()),
        (wanted.len(), wanted.len()),
        "samples that are the same, and all, of {}",
        path.display()
    );
}

/// What was heard is the beginning of this pattern, and at least `frames` of it; then nothing, or at most
/// `silence` frames of silence.
#[track_caller]
fn assert_heard_beginning(path: &Path, seed: u32, frames: usize, silence: usize) {
    let (heard, _) = samples(path).expect("a WAV file");
    let wanted = pattern(seed, heard.len() / 2);
    let same = heard.chunks(2).zip(wanted.chunks(2)).take_while(|(a, b)| a == b).count();
    let rest = heard.get(same * 2..).unwrap_or_default();
    assert!(same >= frames, "{same} frames of {} are what was played", path.display());
    assert!(rest.iter().all(|sample| *sample == 0), "after frame {same} {} is not silent", path.display());
    assert!(
        rest.len() <= silence * 2,
        "{} frames of silence at the end of {}",
        rest.len() / 2,
        path.display()
    );
}

/// The lines of the card's log that are warnings or errors.
fn warnings(server: &Card) -> Vec<String> {
    let bad = |line: &&str| line.contains("warn:") || line.contains("error:");
    server.log().lines().filter(bad).map(str::to_owned).collect()
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn the_bare_card_plays_bit_exact_in_both_layouts() {
    let fixture = Fixture::new();
    let mut server = fixture.server("heard", 1.0);
    for (number, layout) in [(1, "contiguous"), (2, "scatter-gather")] {
        let config = format!("scenario=play\nlayout={layout}\nframes=10007\nseed={number}");
        fixture.content(&mut server, &config, MachineOptions::default());
        assert_heard(&server.session_wav(number), 48_000, &pattern(number, 10_007));
    }
    assert_eq!(warnings(&server), Vec::<String>::new());
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn a_guest_outlives_the_card() {
    let fixture = Fixture::new();
    let mut server = fixture.server("killed", 1.0);
    // Packets of half a second, because QEMU 11.1 aborts if an access is under way just then
    // (tests/bareguest/src/scenario/forever.rs).
    let config = format!("scenario=forever\nseed=7\npacket_frames={LONG_PACKET}\ntold_after=3");
    let mut guest = fixture.boot(&server, &config, MachineOptions::default());
    guest.wait_for("playing", 1).expect("the guest plays");
    server.kill().expect("the card is killed");
    let (outcome, log) = guest.finish().expect("the guest ends");
    show(&server, &log);

    assert_eq!((outcome, log.wrong()), (Some(Outcome::Ok), vec![]), "the guest runs on");
    let gone = log.one("gone");
    assert_eq!((gone.get("other_than_ones"), gone.get("frozen")), ("0", "true"));
    assert_eq!(gone.get("page_state"), "3", "the page still says RUN");
    log.one("alive");
    // What was flushed (every half second) is there; the guest had played one and a half.
    assert_heard_beginning(&server.session_wav(1), 7, LONG_PACKET, 0);
    assert!(!server.log().contains("the client has left"), "it was not the guest that left");

    assert!(server.socket().exists(), "a killed process leaves its socket");
    let mut next = fixture.server("next", 1.0);
    fixture.content(&mut next, "scenario=play\nseed=8\nframes=4800", MachineOptions::default());
    assert_heard(&next.session_wav(1), 48_000, &pattern(8, 4_800));
    assert_eq!(next.end().expect("the card ends").code(), Some(0));
    assert!(!fixture.folder().join("card.sock").exists(), "a card that ends removes its socket");
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn the_card_outlives_a_machine() {
    let fixture = Fixture::new();
    let mut server = fixture.server("heard", 1.0);
    // After a first client everything is open that the process needs for itself.
    fixture.content(&mut server, "scenario=play\nseed=8\nframes=4800", MachineOptions::default());
    let before = ProcessUsage::of(server.process_id()).expect("the card runs");
    let mut guest = fixture.boot(&server, "scenario=forever\nseed=9", MachineOptions::default());
    guest.wait_for("playing", 1).expect("the guest plays");
    let log = guest.kill().expect("QEMU is killed");
    server.wait_for("the client has left", 2).expect("the card sees the client leave");
    show(&server, &log);

    // All that had been played when it was killed, and the file is finished. It was told a little after 100
    // packets.
    assert_heard_beginning(&server.session_wav(2), 9, 100 * PACKET_FRAMES, END_FRAMES);
    let after = ProcessUsage::of(server.process_id()).expect("the card runs");
    assert_eq!((after.descriptors, after.threads), (before.descriptors, before.threads), "nothing is left");
    // `play` looks first whether every register and page has its reset value.
    fixture.content(&mut server, "scenario=play\nseed=10\nframes=4800", MachineOptions::default());
    assert_heard(&server.session_wav(3), 48_000, &pattern(10, 4_800));
    // QEMU may have died with an answer unread; and what is due when the card learns that it is gone is
    // silence now that its memory is.
    let told = warnings(&server);
    let known = |line: &String| line.contains("the connection broke") || line.contains("DMA_UNMAPPED");
    assert!(told.iter().all(known) && told.len() <= 2, "{told:?}");
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn a_machine_that_is_reset_while_it_plays_finds_a_fresh_card() {
    let fixture = Fixture::new();
    let mut server = fixture.server("heard", 1.0);
    let options = MachineOptions { reboots: true, ..MachineOptions::default() };
    let log = fixture.content(&mut server, "scenario=reboot\nseed=20\nframes=9000", options);
    let (going, back) = (log.one("rebooting"), log.one("back"));
    assert_eq!(log.all("start").len(), 2, "two boots of one machine");
    assert!(back.number("resets") > going.number("resets"), "the card was reset");
    assert_heard_beginning(&server.session_wav(1), 20, 25 * PACKET_FRAMES, END_FRAMES);
    assert_heard(&server.session_wav(2), 44_100, &pattern(21, 9_000));
    // QEMU takes bus mastering away before it resets the function: what is due in between is silence.
    let told = warnings(&server);
    assert!(told.iter().all(|line| line.contains("BUS_MASTER_OFF")), "{told:?}");
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn a_function_level_reset_while_it_plays_makes_a_fresh_card() {
    for layout in ["contiguous", "scatter-gather"] {
        let fixture = Fixture::new();
        let mut server = fixture.server("heard", 1.0);
        let config = format!("scenario=flr\nseed=30\nframes=9000\nlayout={layout}");
        let log = fixture.content(&mut server, &config, MachineOptions::default());
        let reset = log.one("reset");
        assert_eq!(reset.number("resets"), reset.number("before").map(|before| before + 1), "one reset");
        assert_heard_beginning(&server.session_wav(1), 30, 25 * PACKET_FRAMES, 0);
        assert_heard(&server.session_wav(2), 44_100, &pattern(31, 9_000));
        assert_eq!(warnings(&server), Vec::<String>::new());
    }
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn every_bad_table_is_refused_by_name_and_the_next_good_one_plays() {
    let fixture = Fixture::new();
    let mut server = fixture.server("heard", 1.0);
    let log = fixture.content(&mut server, "scenario=tables\nseed=40", MachineOptions::default());
    let refused = log.all("refused");
    assert_eq!(log.one("tables").number("tried"), Some(refused.len() as u64));
    // The names of DATASHEET section 8, in the order of the cases.
    let by_code = |code| match code {
        9 => "SG_COUNT",
        10 => "SG_ENTRY",
        11 => "SG_LINK",
        12 => "SG_LENGTH",
        13 => "DMA_UNMAPPED",
        14 => "BUS_MASTER_OFF",
        _ => "another error",
    };
    for wanted in [
        "outside-ram",
        "own-registers",
        "own-pages",
        "hole-behind-ram",
        "flash",
        "zero-length",
        "links-in-a-loop",
        "link-to-link",
        "table-outside-ram",
        "table-in-own-pages",
    ] {
        assert!(refused.iter().any(|event| event.get("case") == wanted), "{wanted} was tried");
    }
    // One line each, and no other.
    let lines = warnings(&server);
    assert_eq!(lines.len(), refused.len(), "{lines:#?}");
    for (line, event) in lines.iter().zip(&refused) {
        let name = by_code(event.number("error").unwrap_or(0));
        assert_eq!(event.get("state"), "2", "{}", event.text);
        assert!(line.contains("stream 0") && line.contains(name), "{}: {line}", event.text);
    }
    let played: Vec<i16> = (41..).take(refused.len()).flat_map(|seed| pattern(seed, 1_200)).collect();
    assert_heard(&server.session_wav(1), 48_000, &played);
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn memory_that_is_not_shared_is_named_by_the_self_test() {
    for sharing in [Sharing::Off, Sharing::NoBackend] {
        let fixture = Fixture::new();
        let server = fixture.server("heard", 1.0);
        let options = MachineOptions { sharing, ..MachineOptions::default() };
        let (outcome, log) = fixture.run(&server, "scenario=play", options);
        assert_eq!(outcome, Some(Outcome::Failed), "{sharing:?}");
        let [wrong] = log.wrong()[..] else { panic!("{sharing:?}: {:?}", log.wrong()) };
        assert!(wrong.contains("share=on"), "{sharing:?}: {wrong}");
        assert_ne!(log.one("self-test").get("rewritten"), "1024", "{sharing:?}");
        assert!(!server.session_wav(1).exists(), "{sharing:?}: nothing was played");
        // With share=off the card cannot know: it has been given a file, of zeroes. Without a backend it has
        // been given none.
        let told =
            warnings(&server).iter().any(|line| line.contains("self-test") && line.contains("DMA_UNMAPPED"));
        assert_eq!(told, sharing == Sharing::NoBackend, "{sharing:?}: {:?}", warnings(&server));
    }
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn the_driver_names_the_option_that_is_missing() {
    for sharing in [Sharing::Off, Sharing::NoBackend] {
        let fixture = Fixture::new();
        let server = fixture.server("heard", 1.0);
        let wav = fixture.folder().join("in.wav");
        let spec = hound::WavSpec {
            channels: 2,
            sample_rate: 48_000,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut writer = hound::WavWriter::create(&wav, spec).expect("a WAV file");
        pattern(1, 4_800)
            .into_iter()
            .try_for_each(|sample| writer.write_sample(sample))
            .and_then(|()| writer.finalize())
            .expect("a WAV file is written");
        make_volume(&fixture.artefacts, fixture.folder(), &wav, "wav=MUSIC.WAV\nbuffer_ms=100\n")
            .expect("a volume");
        let options = MachineOptions { sharing, ..MachineOptions::default() };
        let mut machine = Machine::boot_with(&fixture.artefacts, fixture.folder(), &server.socket(), options)
            .expect("QEMU starts");
        let outcome = machine.wait(Duration::from_secs(90), || Ok(())).expect("the guest ends");
        let guest = GuestLog::parse(&machine.guest_log());
        eprintln!("{:#?}\n{:#?}\n{}", guest.driver, guest.violations, server.log());
        assert_eq!(outcome, Some(Outcome::Failed), "{sharing:?}: the device did not start");
        let named = guest.driver.iter().filter(|line| line.contains("share=on")).count();
        assert_eq!(named, 1, "{sharing:?}: the driver says once what is missing: {:#?}", guest.driver);
        assert!(!server.session_wav(1).exists(), "{sharing:?}: nothing was played");
    }
}

#[test]
#[ignore = "boots QEMU and starts a stream a thousand times (RINGWAVE_CYCLES: as often): run qemu-scripts/test"]
fn a_thousand_starts_and_stops_leave_nothing_behind() {
    let cycles: u64 = env::var("RINGWAVE_CYCLES").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000);
    let fixture = Fixture::new();
    let mut server = fixture.server("heard", 8.0);
    // After a first client everything is open that the process needs for itself.
    fixture.content(&mut server, "scenario=play", MachineOptions::default());
    let before = ProcessUsage::of(server.process_id()).expect("the card runs");
    // 1 ms, the shortest packet there is.
    let config = format!("scenario=cycles\ncycles={cycles}\npacket_frames=48");
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

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn a_card_that_slept_while_it_played_goes_on_where_it_was() {
    let fixture = Fixture::new();
    let mut server = fixture.server("heard", 1.0);
    let log = fixture.content(&mut server, "scenario=d3hot\nseed=50\nframes=9000", MachineOptions::default());
    assert_eq!(log.one("d3hot").get("state_after"), "2");
    assert_heard(&server.session_wav(1), 48_000, &pattern(50, 9_000));
    assert_eq!(warnings(&server), Vec::<String>::new());
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn without_bus_mastering_silence_is_played_and_counted() {
    let fixture = Fixture::new();
    let mut server = fixture.server("heard", 1.0);
    let log =
        fixture.content(&mut server, "scenario=bus-master\nseed=60\nframes=9000", MachineOptions::default());
    let silence = log.one("bus-master").number("silence").expect("a number of frames");
    assert!(warnings(&server).iter().all(|line| line.contains("BUS_MASTER_OFF")), "{:?}", warnings(&server));
    assert!(!warnings(&server).is_empty(), "the log says so");
    let (heard, _) = samples(&server.session_wav(1)).expect("a WAV file");
    let wanted = pattern(60, 9_000);
    assert_eq!(heard.len(), wanted.len(), "time went on");
    // Whole frames of the pattern or of silence; as many of silence as were counted.
    let frames = heard.chunks(2).zip(wanted.chunks(2));
    let other: Vec<_> = frames.filter(|(heard, wanted)| heard != wanted).map(|(heard, _)| heard).collect();
    assert!(other.iter().all(|frame| *frame == [0, 0]), "the rest is silence");
    assert_eq!(other.len() as u64, silence);
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn messages_arrive_where_they_were_last_sent_to() {
    let fixture = Fixture::new();
    if fixture.artefacts.accel == "kvm" {
        eprintln!(
            "not run: with KVM, QEMU gives MSI to the interrupt controller only (tests/bareguest/src/scenario/interrupts.rs)"
        );
        return;
    }
    let mut server = fixture.server("heard", 1.0);
    let log = fixture.content(&mut server, "scenario=msi\nseed=70", MachineOptions::default());
    assert_eq!(log.all("msi-arrived").len(), 4, "each was looked at");
    assert_eq!(warnings(&server), Vec::<String>::new());
    assert!(fs::metadata(server.session_wav(1)).is_ok(), "it played meanwhile");
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn a_card_that_is_ended_does_not_take_the_machine_along() {
    // QEMU 11.1 aborts if the card's socket closes with an unread message in it: a card that ends answers
    // what has arrived and takes nothing more. This guest always has an access under way.
    for attempt in 0..4 {
        let fixture = Fixture::new();
        let server = fixture.server("heard", 1.0);
        let mut guest = fixture.boot(&server, "scenario=forever\nseed=7\npoll=1", MachineOptions::default());
        guest.wait_for("playing", 1).expect("the guest plays");
        assert_eq!(server.end().expect("the card ends").code(), Some(0));
        let (outcome, log) = guest.finish().expect("the guest ends");
        log.events.iter().for_each(|event| eprintln!("guest: {} {}", event.name, event.text));
        assert_eq!((outcome, log.wrong()), (Some(Outcome::Ok), vec![]), "attempt {attempt}");
        assert_eq!(log.one("gone").get("other_than_ones"), "0");
    }
}
