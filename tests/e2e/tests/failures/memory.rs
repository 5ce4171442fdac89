//! The card's way to the guest's memory: bad tables, no memory, no bus mastering, no power, and where its
//! messages go.

use ringwave_e2e::bare::{pattern, samples};
use ringwave_runner::machine::{MachineOptions, Outcome, Sharing};

use crate::{
    fixture::{CardUnderTest, Fixture, stats, warnings},
    heard::{assert_heard, assert_heard_each},
};

pub fn every_bad_table_is_refused_by_name_and_the_next_good_one_plays(card: &CardUnderTest) {
    let fixture = Fixture::new(card);
    let mut server = fixture.server("heard");
    let log = fixture.content(&mut server, "scenario=tables\nseed=40", MachineOptions::default());
    let refused = log.all("refused");
    assert_eq!(log.one("tables").number("tried"), Some(refused.len() as u64));
    let both =
        ["outside-ram", "own-registers", "hole-behind-ram", "flash", "zero-length", "table-outside-ram"];
    let ringwave = ["own-pages", "links-in-a-loop", "link-to-link", "table-in-own-pages"];
    let hda = ["no-length", "sum-too-short", "over-64-mib", "table-in-own-registers"];
    for wanted in both.into_iter().chain(card.pick(ringwave, hda)) {
        assert!(refused.iter().any(|event| event.get("case") == wanted), "{wanted} was tried");
    }
    // One line each, and no other.
    let lines = warnings(&server);
    assert_eq!(lines.len(), refused.len(), "{lines:#?}");
    for (line, event) in lines.iter().zip(&refused) {
        let name = if card.hda {
            assert_eq!((event.get("runs"), event.get("errors")), ("false", "0x10"), "{}", event.text);
            error_of_list(event.get("case"))
        } else {
            assert_eq!(event.get("state"), "2", "{}", event.text);
            error_by_code(event.number("error"))
        };
        assert!(line.contains("stream 0") && line.contains(name), "{}: {line}", event.text);
    }
    let seeds = (41..).take(refused.len());
    assert_heard_each(card, &server.session_wav(1), seeds, card.pick(1_200, 1_024));
}

/// The names of DATASHEET section 8.
fn error_by_code(code: Option<u64>) -> &'static str {
    match code {
        Some(9) => "SG_COUNT",
        Some(10) => "SG_ENTRY",
        Some(11) => "SG_LINK",
        Some(12) => "SG_LENGTH",
        Some(13) => "DMA_UNMAPPED",
        Some(14) => "BUS_MASTER_OFF",
        _ => "another error",
    }
}

/// What HDA.md 3 says of such a list.
fn error_of_list(case: &str) -> &'static str {
    match case {
        "zero-length" | "sum-too-short" | "no-length" | "over-64-mib" => "list and SDCBL do not fit",
        _ => "there is no memory of the guest",
    }
}

pub fn memory_that_is_not_shared_is_named(card: &CardUnderTest) {
    for sharing in [Sharing::Off, Sharing::NoBackend] {
        let fixture = Fixture::new(card);
        let server = fixture.server("heard");
        let options = MachineOptions { sharing, ..MachineOptions::default() };
        let (outcome, log) = fixture.run(&server, "scenario=play", options);
        assert_eq!(outcome, Some(Outcome::Failed), "{sharing:?}");
        let [wrong] = log.wrong()[..] else { panic!("{sharing:?}: {:?}", log.wrong()) };
        // HD Audio has no self-test: its driver finds no codec, or a command has no answer.
        let no_codec = wrong.contains("audio function group") || wrong.contains("0 answers");
        assert!(if card.hda { no_codec } else { wrong.contains("share=on") }, "{sharing:?}: {wrong}");
        assert!(card.hda || log.one("self-test").get("rewritten") != "1024", "{sharing:?}");
        assert!(!server.session_wav(1).exists(), "{sharing:?}: nothing was played");
        // With share=off the card cannot know: it has been given a file, of zeroes. Without a backend it has
        // been given none.
        let name = card.pick(["self-test", "DMA_UNMAPPED"], ["CORB or RIRB", "share=on"]);
        let told = warnings(&server).iter().any(|line| name.iter().all(|part| line.contains(part)));
        assert_eq!(told, sharing == Sharing::NoBackend, "{sharing:?}: {:?}", warnings(&server));
    }
}

pub fn a_card_that_slept_while_it_played_goes_on_where_it_was(card: &CardUnderTest) {
    let fixture = Fixture::new(card);
    let mut server = fixture.server("heard");
    let log = fixture.content(&mut server, "scenario=d3hot\nseed=50\nframes=9000", MachineOptions::default());
    assert_eq!(log.one("d3hot").get("state_after"), card.pick("2", ""));
    assert_heard(card, &server.session_wav(1), 48_000, &pattern(50, 9_000));
    assert_eq!(warnings(&server), Vec::<String>::new());
}

pub fn without_bus_mastering_silence_is_played_and_counted(card: &CardUnderTest) {
    let fixture = Fixture::new(card);
    let path = fixture.folder().join("stats.json").display().to_string();
    let mut server = fixture.server_with("heard", &fixture.artefacts.ringwave, &["--stats", &path]);
    let config = "scenario=bus-master\nseed=60\nframes=9000\ninterrupts=intx";
    let log = fixture.content(&mut server, config, MachineOptions::default());
    let silence = stats(&fixture)["streams"][0]["silence_frames"].as_u64().expect("a number of frames");
    assert_eq!(
        log.one("bus-master").number("silence"),
        card.pick(Some(silence), None),
        "the guest knows it too"
    );
    let named = card.pick("BUS_MASTER_OFF", "Bus Master Enable is off");
    assert!(warnings(&server).iter().all(|line| line.contains(named)), "{:?}", warnings(&server));
    assert!(!warnings(&server).is_empty(), "the log says so");
    let (heard, _) = samples(&server.session_wav(1)).expect("a WAV file");
    let wanted = pattern(60, 9_000);
    assert!(heard.len() == wanted.len() || card.hda && heard.len() > wanted.len(), "time went on");
    // Whole frames of the pattern or of silence; as many of silence as were counted.
    let frames = heard.chunks(2).zip(wanted.chunks(2));
    let other: Vec<_> = frames.filter(|(heard, wanted)| heard != wanted).map(|(heard, _)| heard).collect();
    assert!(other.iter().all(|frame| *frame == [0, 0]), "the rest is silence");
    assert_eq!(other.len() as u64, silence);
}

pub fn messages_arrive_where_they_were_last_sent_to(card: &CardUnderTest) {
    let fixture = Fixture::new(card);
    if fixture.artefacts.accel == "kvm" {
        eprintln!(
            "not run: with KVM, QEMU gives MSI to the interrupt controller only (tests/bareguest/src/scenario/interrupts.rs)"
        );
        return;
    }
    let mut server = fixture.server("heard");
    let log = fixture.content(&mut server, "scenario=msi\nseed=70", MachineOptions::default());
    assert_eq!(log.all("msi-arrived").len(), 4, "each was looked at");
    assert_eq!(warnings(&server), Vec::<String>::new());
    // HD Audio has a message for each command, and needs no sound for it.
    assert!(card.hda || server.session_wav(1).exists(), "it played meanwhile");
}
