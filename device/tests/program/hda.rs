//! The HD Audio card as a program: its command line, and that it is served to a client like the other cards.

use std::os::fd::AsFd;
use std::process::Command;

use crate::hda_driver::{BUFFER_BYTES, Driver, RAM, sound};
use crate::serving::{self, Serving};
use ringwave_guest_memory::memfd::memfd;
use ringwave_vfio_user::Client;
use ringwave_vfio_user::wire::{pci, region_flags};
use rustix::event::{EventfdFlags, eventfd};

fn ringwave(arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_ringwave")).args(arguments).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

#[test]
fn the_codec_is_described_as_it_is_served() {
    let (code, said) = ringwave(&["hda", "--describe", "--render", "2", "--channels", "4", "--bits", "24"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.starts_with("codec 0:") && said.contains("16, 20, 24 bits"), "{said}");
    assert_eq!(said.lines().filter(|line| line.contains("pin")).count(), 4, "{said}");
    assert!(
        said.contains("headphones, association 2") && said.contains("microphone, association 3"),
        "{said}"
    );
}

#[test]
fn what_the_card_does_not_have_is_refused_with_the_next_step() {
    for (arguments, named) in [
        (&["--clock", "lockstep"][..], "take scaled:0.25"),
        (&["--vendor", "0x1235"], "--pci-id"),
        (&["--no-volume"], "leave out"),
        (&["--render", "5"], "take fewer"),
        (&["--bits", "25"], "24 or 32"),
        (&["--max-underruns", "0"], "underruns cannot be known; leave it out (--expect-sound"),
        (&["--pci-id", "8086"], "8086:293e"),
    ] {
        let all = [&["serve", "--card", "hda", "--socket", "/nonexistent/s"][..], arguments].concat();
        let (code, said) = ringwave(&all);
        assert_eq!(code, Some(2), "{arguments:?}: {said}");
        assert!(said.contains(named), "{arguments:?}: {said}");
    }
    let (code, said) = ringwave(&["serve", "--bits", "24", "--socket", "/nonexistent/s"]);
    assert!(code == Some(2) && said.contains("--card hda"), "{said}");
}

#[test]
fn bringup_says_which_card_it_is_that_it_does_not_walk() {
    for (card, said) in [("hda", "this card is 8086:293e"), ("virtio", "a virtio card does")] {
        let dir = tempfile::tempdir().unwrap();
        let serving = Serving::start(dir.path(), &["--card", card, "--clock", "realtime"]);
        let socket = dir.path().join("card.sock").display().to_string();
        let (code, text) = ringwave(&["bringup", "--socket", &socket]);
        assert!(code == Some(2) && text.contains(said) && text.lines().count() == 1, "{card}: {text}");
        serving.end();
    }
}

#[test]
fn a_client_finds_the_controller_and_a_fresh_one_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let serving = Serving::start(dir.path(), &["--card", "hda", "--clock", "realtime"]);
    for _ in 0..2 {
        let mut client = Client::connect(&dir.path().join("card.sock")).unwrap();
        let mut data = [0; 4];
        client.read(pci::CONFIG_REGION, 0, &mut data).unwrap();
        assert_eq!(data, [0x86, 0x80, 0x3E, 0x29]);
        client.read(0, 8, &mut data).unwrap();
        assert_eq!(data, [0; 4], "in reset");
        client.write(0, 8, &[1, 0, 0, 0]).unwrap();
        client.read(0, 0x0C, &mut data).unwrap();
        assert_eq!(data, [0, 0, 1, 0], "the codec is there");
        drop(client);
        serving.wait_for("the client has left", 1);
    }
}

/// A burst of a millisecond is a read of guest memory and a write: two system calls more, if the kernel has
/// to make them.
#[test]
fn in_the_sandbox_too_the_kernel_copies_no_memory_that_cannot_go_away() {
    if std::fs::read_to_string("/proc/sys/vm/overcommit_memory").unwrap().starts_with('2') {
        eprintln!("skipped: on this host any page can be missing (vm.overcommit_memory=2)");
        return;
    }
    for (card, sealed) in [("hda", true), ("ringwave", true), ("hda", false)] {
        let dir = tempfile::tempdir().unwrap();
        let arguments = ["--card", card, "--clock", "realtime", serving::sandbox(dir.path())];
        let serving = Serving::start(dir.path(), &arguments);
        let ram = memfd(c"guest", RAM, sealed).unwrap();
        let mut client = Client::connect(&dir.path().join("card.sock")).unwrap();
        client.dma_map(0, RAM, Some((ram.as_fd(), 0))).unwrap();
        drop(client);
        serving.wait_for("the client has left", 1);
        let said = serving.said("is copied by the kernel");
        assert_eq!(said.len(), usize::from(!sealed), "{card}, sealed: {sealed}: {said:?}");
        serving.end();
    }
}

/// HDA.md 1: each access is a message, and there is one message of MSI.
#[test]
fn client_finds_the_registers_unmapped_one_message_and_the_id_that_was_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let options = ["--card", "hda", "--clock", "realtime", "--pci-id", "8086:2668"];
    let _serving = Serving::start(dir.path(), &options);
    let mut client = Client::connect(&dir.path().join("card.sock")).unwrap();
    let registers = client.region_info(0).unwrap();
    assert_eq!((registers.size, registers.flags), (0x4000, region_flags::READ | region_flags::WRITE));
    assert!(registers.areas.is_empty() && registers.fd.is_none());
    for region in 1..6 {
        assert_eq!(client.region_info(region).unwrap().size, 0, "BAR {region}");
    }
    let count = |client: &mut Client, irq| client.irq_info(irq).unwrap().count;
    let irqs = [pci::INTX_IRQ, pci::MSI_IRQ, pci::MSIX_IRQ].map(|irq| count(&mut client, irq));
    assert_eq!(irqs, [1, 1, 0]);
    let mut control = [0; 2];
    client.read(pci::CONFIG_REGION, 0x52, &mut control).unwrap();
    assert_eq!(control[0] & 0b1110, 0, "Multiple Message Capable: one");
    let mut id = [0; 12];
    client.read(pci::CONFIG_REGION, 0, &mut id).unwrap();
    assert_eq!((&id[..4], &id[8..]), (&[0x86, 0x80, 0x68, 0x26][..], &[3, 0, 3, 4][..]), "the class stays");
}

/// `--expect-sound` and `--junit`, by which a CI server judges a guest.
#[test]
fn verdict_is_of_what_was_played() {
    let silence = vec![0; BUFFER_BYTES as usize];
    for (music, code, failures, said) in [
        (Some(sound(1)), 0, 0, "unknown underruns"),
        (Some(silence), 1, 1, "only silence was heard"),
        (None, 1, 1, "nothing was heard"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let options =
            ["--card", "hda", "--clock", "realtime", "--once", "--expect-sound", "--junit", "report.xml"];
        let mut serving = Serving::start(dir.path(), &options);
        let mut driver = Driver::connect(&dir.path().join("card.sock"));
        driver.start_up();
        if let Some(music) = music {
            driver.play(&music, 2);
        }
        drop(driver);
        assert_eq!(serving.wait_for_exit().code(), Some(code), "{}", serving.last_line());
        let report = std::fs::read_to_string(dir.path().join("report.xml")).unwrap();
        let cases = format!("tests=\"2\" failures=\"{failures}\"");
        assert!(report.contains(&cases) && report.contains(said), "{report}");
    }
}

#[test]
fn the_message_comes_when_a_bit_is_new_and_again_when_one_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let _serving = Serving::start(dir.path(), &["--card", "hda", "--clock", "realtime"]);
    let mut client = Client::connect(&dir.path().join("card.sock")).unwrap();
    let message = eventfd(0, EventfdFlags::NONBLOCK).unwrap();
    client.connect_irqs(pci::MSI_IRQ, 0, &[message.as_fd()]).unwrap();
    let came = || {
        let mut count = [0; 8];
        rustix::io::read(&message, &mut count).is_ok()
    };
    // Bus Master Enable, Memory Space; MSI Enable.
    client.write(pci::CONFIG_REGION, 4, &[6, 0]).unwrap();
    client.write(pci::CONFIG_REGION, 0x52, &[1, 0]).unwrap();
    // WAKEEN, CRST: the codec announces itself.
    client.write(0, 0x0C, &[1, 0]).unwrap();
    client.write(0, 0x08, &[1, 0, 0, 0]).unwrap();
    assert!(!came(), "INTCTL lets nothing through");
    client.write32(0, 0x20, 0xC000_0000).unwrap();
    assert!(came());
    client.write32(0, 0x20, 0xC000_0000).unwrap();
    assert!(!came(), "nothing is new");
    // RIRBSTS: STATESTS is left.
    client.write(0, 0x5D, &[5]).unwrap();
    assert!(came());
    client.write(0, 0x0E, &[1, 0]).unwrap();
    assert!(!came());
}
