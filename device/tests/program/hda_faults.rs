//! What goes wrong around the HD Audio card: memory that goes away or was never there, lists that cannot be,
//! a client that dies or sends anything, a card that is killed or reset. Each time what the guest sees, what
//! the log says, and that the next client finds a card that plays.

#![allow(clippy::cast_possible_truncation, reason = "addresses are below 1 MiB, numbers of tests below 256")]

use crate::{scheduled, serving};
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::hda_driver::*;
use crate::serving::Serving;
use crate::undisturbed::undisturbed;
use ringwave_audio::wav;
use ringwave_guest_memory::memfd::memfd;
use ringwave_vfio_user::wire::pci;
use rustix::event::{EventfdFlags, eventfd};

const S16: u16 = 0x0011;

type Reset = fn(&mut Driver);

fn serve(dir: &Path, arguments: &[&str]) -> (Serving, PathBuf) {
    let all = [&["--card", "hda", "--clock", "realtime"], arguments].concat();
    (Serving::start(dir, &all), dir.join("card.sock"))
}

fn heard(path: &Path) -> Vec<u8> {
    wav::read(path).unwrap().frames
}

/// Whether what is no silence is where it belongs.
fn kept_its_time(heard: &[u8], music: &[u8]) -> bool {
    heard.chunks(4).zip(music.chunks(4).cycle()).all(|(heard, sent)| heard == sent || heard == [0; 4])
}

/// The next client finds a card that plays.
fn plays(serving: &Serving, socket: &Path) {
    let mut driver = Driver::connect(socket);
    driver.expect_fresh();
    driver.start_up();
    driver.play(&sound(1), 2);
    assert_no_error(&mut driver, serving, "a fresh card");
}

/// The stream out has no error, but for the FIFO error of a card that had no processor for a second, and says
/// so.
fn assert_no_error(driver: &mut Driver, serving: &Serving, why: &str) {
    let errors = driver.status(OUT) & (FIFOE | DESE);
    assert_eq!(errors & DESE, 0, "{why}");
    assert!(errors == 0 || was_late(&serving.stats_by_signal()), "{why}");
}

/// Whether the card had no processor for so long that it did not make up for it: silence is heard then.
fn was_late(stats: &serde_json::Value) -> bool {
    stats["worst_lateness_us"].as_u64().unwrap() > 1_000_000
}

#[test]
fn memory_that_is_cut_off_is_silence_and_a_fifo_error_until_it_is_mapped_anew() {
    let dir = tempfile::tempdir().unwrap();
    let arguments =
        ["--once", "--sink", "wav:heard.wav", "--stats", "stats.json", serving::sandbox(dir.path())];
    let (mut serving, socket) = serve(dir.path(), &arguments);
    // Nothing seals it: what a `memory-backend-file` is.
    let mut driver = Driver::with_ram(&socket, memfd(c"cut", RAM, false).unwrap());
    driver.start_up();
    let music = sound(0);
    driver.store(BUFFER, &music);
    driver.set_up_halves(OUT, BUFFER);
    driver.run(OUT);
    driver.wait_halves(OUT, 2);
    assert_no_error(&mut driver, &serving, "before");

    driver.ram.set_len(BUFFER).unwrap();
    driver.wait_status(OUT, FIFOE);
    driver.wait_halves(OUT, 2);
    driver.ram.set_len(RAM).unwrap();
    driver.store(BUFFER, &music);
    driver.clear_status(OUT);
    driver.wait_status(OUT, FIFOE);
    assert!(driver.runs(OUT), "it is there again, and lost all the same; the position goes on");

    driver.client.dma_unmap(0, RAM).unwrap();
    driver.client.dma_map(0, RAM, Some((driver.ram.as_fd(), 0))).unwrap();
    driver.wait_halves(OUT, 1);
    driver.clear_status(OUT);
    driver.wait_halves(OUT, 3);
    assert_no_error(&mut driver, &serving, "mapped anew it is memory");
    driver.stop(OUT);
    let stopped = u64::from(driver.link_position(OUT)) / FRAME;
    drop(driver);
    assert_eq!(serving.wait_for_exit().code(), Some(0));

    let named = serving.said("is lost");
    assert!(named.len() == 1 && named.iter().all(|line| line.contains("memfd:cut")), "{named:?}");
    let heard = heard(&dir.path().join("heard.wav"));
    let silent = heard.chunks(4).filter(|frame| **frame == [0; 4]).count() as u64;
    let stats = serving.stats();
    let stream = &stats["streams"][0];
    assert!(silent >= 2 * 480, "{silent}");
    assert_eq!(stream["silence_frames"], silent, "as many as are counted");
    assert!(stream["dma_faults"].as_u64() > Some(0));
    assert_eq!(stream.get("underruns"), Some(&serde_json::Value::Null), "nobody can know them");
    assert!(
        kept_its_time(&heard, &music),
        "what is no silence is where it belongs: the stream kept its time"
    );
    let frames = heard.len() as u64 / FRAME;
    assert_eq!(frames % (u64::from(BUFFER_BYTES) / FRAME), stopped, "as long as the position says");
}

#[test]
fn list_or_buffer_where_no_memory_is_shared_is_a_descriptor_error_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let (serving, socket) = serve(dir.path(), &[]);
    let mut driver = Driver::connect(&socket);
    driver.start_up();
    // What QEMU maps of memory without `share=on`: there is no descriptor to reach it by.
    let private = 0x8000_0000;
    driver.client.dma_map(private, RAM, None).unwrap();
    let halves = [(BUFFER, 1920), (BUFFER + 1920, 1920)];
    for (told, (list, entries)) in (1..).zip([
        (private, halves),
        (private * 4, halves),
        (LIST, [(private, 1920), (BUFFER, 1920)]),
        (LIST, [(BUFFER, 1920), (private * 4, 1920)]),
    ]) {
        driver.set_up(OUT, &entries, S16);
        if list != LIST {
            driver.set_up_list(OUT, list, &entries, S16);
        }
        driver.run(OUT);
        assert_eq!((driver.runs(OUT), driver.status(OUT)), (false, DESE), "{list:#x} {entries:x?}");
        serving.wait_for("there is no memory of the guest", told);
    }
    driver.client.dma_unmap(private, RAM).unwrap();
    driver.client.dma_map(private, RAM, Some((driver.ram.as_fd(), 0))).unwrap();
    driver.store(BUFFER, &sound(2));
    driver.set_up_halves(OUT, private + BUFFER);
    driver.run(OUT);
    driver.wait_halves(OUT, 2);
    assert_no_error(&mut driver, &serving, "with a descriptor it is reached");
    drop(driver);
    serving.end();
}

#[test]
fn every_bad_list_is_refused_by_name_and_the_next_good_one_plays() {
    undisturbed(|| {
        let dir = tempfile::tempdir().unwrap();
        let (serving, socket) = serve(dir.path(), &["--sink", "wav:heard.wav", "--stats", "stats.json"]);
        let mut driver = Driver::connect(&socket);
        driver.start_up();
        let good = [(BUFFER, 1920), (BUFFER + 1920, 1920)];
        let bad: [(_, &[(u64, u32)], _, _); 7] = [
            (
                "an entry of no length",
                &[(BUFFER, 1920), (BUFFER, 0)],
                S16,
                "buffer descriptor list and SDCBL",
            ),
            ("below a frame", &[(BUFFER, 1), (BUFFER, 2)], S16, "buffer descriptor list and SDCBL"),
            ("over 64 MiB", &[(BUFFER, 0x0400_0000), (BUFFER, 4)], S16, "buffer descriptor list and SDCBL"),
            ("behind the memory", &[(BUFFER, 1920), (RAM - 4, 1920)], S16, "there is no memory of the guest"),
            (
                "at the end of all addresses",
                &[(u64::MAX - 3, 1920), (BUFFER, 1920)],
                S16,
                "there is no memory of the guest",
            ),
            ("8 bits", &good, 0x0001, "the format is none of the card"),
            ("9 channels", &good, 0x0018, "the format is none of the card"),
        ];
        for (number, (what, entries, format, name)) in (1..).zip(bad) {
            driver.set_up(OUT, entries, format);
            driver.run(OUT);
            assert_eq!((driver.runs(OUT), driver.status(OUT)), (false, DESE), "{what}");
            let said = serving.wait_for("transfer failed", number);
            let line = said.last().unwrap();
            assert!(line.contains("stream 0") && line.contains(name), "{what}: {line}");
            driver.play(&sound(number as u8), 2);
            assert_no_error(&mut driver, &serving, what);
        }
        drop(driver);
        serving.wait_for("the client has left", 1);
        if was_late(&serving.stats()) {
            return None;
        }
        let mut rest = &heard(&dir.path().join("heard.wav"))[..];
        for number in 1..=7 {
            let music = sound(number);
            let frames =
                rest.chunks(4).zip(music.chunks(4).cycle()).take_while(|(heard, sent)| heard == sent).count();
            assert!(frames >= 960, "{frames} frames of sound {number}");
            rest = &rest[frames * 4..];
        }
        assert_eq!(rest.len(), 0, "nothing but that was heard");
        serving.end();
        Some(())
    });
}

#[test]
fn client_that_dies_in_the_midst_leaves_its_memory_alone_a_whole_file_and_a_fresh_card() {
    undisturbed(|| {
        let dir = tempfile::tempdir().unwrap();
        let options = ["--sink", "wav:heard.wav", "--source", "tone:440", "--stats", "stats.json"];
        let (serving, socket) = serve(dir.path(), &options);
        for client in 1..=3 {
            let mut driver = Driver::connect(&socket);
            driver.expect_fresh();
            driver.start_up();
            let music = sound(u8::try_from(client).unwrap());
            driver.store(BUFFER, &music);
            driver.set_up_halves(OUT, BUFFER);
            driver.set_up_halves(IN, RECORDED);
            driver.run(OUT);
            driver.run(IN);
            driver.wait_halves(OUT, 3);
            driver.wait_halves(IN, 1);
            assert!(driver.all_of_ram()[RECORDED as usize..][..1920].iter().any(|byte| *byte != 0), "a tone");
            let ram = driver.leave();
            serving.wait_for("the client has left", client);
            if was_late(&serving.stats()) {
                return None;
            }
            let look = || {
                let mut bytes = vec![0; RAM as usize];
                ram.read_exact_at(&mut bytes, 0).unwrap();
                bytes
            };
            let before = look();
            std::thread::sleep(Duration::from_millis(100));
            assert!(before == look(), "written after the client has left");
            let name = if client == 1 { "heard.wav".to_owned() } else { format!("heard-{client}.wav") };
            let heard = heard(&dir.path().join(name));
            assert!(heard.len() >= 3 * 1920 && is_loop(&heard, &music), "client {client}");
        }
        plays(&serving, &socket);
        serving.end();
        Some(())
    });
}

#[test]
fn card_that_is_killed_is_replaced_by_one_for_the_next_machine() {
    let dir = tempfile::tempdir().unwrap();
    let (mut first, socket) = serve(dir.path(), &[]);
    let mut old = Driver::connect(&socket);
    old.start_up();
    old.set_up_halves(OUT, BUFFER);
    old.run(OUT);
    old.wait_halves(OUT, 1);
    first.signal(libc::SIGKILL);
    first.wait_for_exit();
    // The socket of a process that is dead is replaced.
    let (second, socket) = serve(dir.path(), &[]);
    assert!(old.try_read().is_err());
    plays(&second, &socket);
    second.end();
}

#[test]
fn reset_in_the_midst_stops_all_and_makes_a_fresh_card() {
    let dir = tempfile::tempdir().unwrap();
    let (serving, socket) = serve(dir.path(), &["--source", "tone:440"]);
    let mut driver = Driver::connect(&socket);
    let resets: [(&str, Reset); 3] = [
        ("of the device", |driver| driver.client.reset().unwrap()),
        // Device Control of the PCI Express capability, bit 15.
        ("of the function", |driver| driver.client.write(pci::CONFIG_REGION, 0x78, &[0, 0x80]).unwrap()),
        ("of the link", |driver| driver.write32(8, 0)),
    ];
    for (what, reset) in resets {
        driver.client.write(pci::CONFIG_REGION, 4, &[6, 0]).unwrap();
        driver.start_up();
        driver.store(BUFFER, &sound(3));
        driver.set_up_halves(OUT, BUFFER);
        driver.set_up_halves(IN, RECORDED);
        driver.run(OUT);
        driver.run(IN);
        driver.wait_halves(OUT, 2);
        reset(&mut driver);
        let before = driver.all_of_ram();
        std::thread::sleep(Duration::from_millis(50));
        assert!(before == driver.all_of_ram(), "written after the reset {what}");
        driver.expect_fresh();
    }
    drop(driver);
    plays(&serving, &socket);
    serving.end();
}

#[test]
fn without_bus_master_there_is_silence_and_no_memory_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let (serving, socket) = serve(dir.path(), &["--source", "tone:440", "--sink", "wav:heard.wav"]);
    let mut driver = Driver::connect(&socket);
    driver.start_up();
    let music = sound(4);
    driver.store(BUFFER, &music);
    driver.set_up_halves(OUT, BUFFER);
    driver.set_up_halves(IN, RECORDED);
    driver.run(IN);
    driver.run(OUT);
    driver.wait_halves(OUT, 1);
    driver.client.write(pci::CONFIG_REGION, 4, &[2, 0]).unwrap();
    let before = driver.all_of_ram();
    driver.wait_halves(OUT, 2);
    assert!(before == driver.all_of_ram(), "neither sound nor a position");
    assert_eq!((driver.status(OUT) & FIFOE, driver.status(IN) & FIFOE), (FIFOE, FIFOE));
    driver.client.write(pci::CONFIG_REGION, 4, &[6, 0]).unwrap();
    driver.wait_halves(OUT, 1);
    driver.clear_status(OUT);
    driver.wait_halves(OUT, 2);
    assert_no_error(&mut driver, &serving, "with Bus Master Enable");
    driver.stop(OUT);
    drop(driver);
    serving.wait_for("the client has left", 1);
    assert!(!serving.said("Bus Master Enable is off").is_empty());
    let heard = heard(&dir.path().join("heard.wav"));
    assert!(
        kept_its_time(&heard, &music) && heard.chunks(4).filter(|frame| **frame == [0; 4]).count() >= 400,
        "the stream kept its time"
    );
    serving.end();
}

/// Fills an eventfd so that who signals it once more would wait.
fn full_eventfd() -> OwnedFd {
    let event = eventfd(0, EventfdFlags::empty()).unwrap();
    rustix::io::write(&event, &(u64::MAX - 1).to_le_bytes()).unwrap();
    event
}

#[test]
fn eventfd_that_would_block_holds_up_neither_the_card_nor_the_next_client_nor_a_signal() {
    let dir = tempfile::tempdir().unwrap();
    let (mut serving, socket) = serve(dir.path(), &[]);
    let blocked = |irq| {
        let mut driver = Driver::connect(&socket);
        driver.client.connect_irqs(irq, 0, &[full_eventfd().as_fd()]).unwrap();
        let msi = u8::from(irq == pci::MSI_IRQ);
        driver.client.write(pci::CONFIG_REGION, 0x52, &[msi, 0]).unwrap();
        driver.start_up();
        driver.write32(0x20, 0xC000_00FF);
        driver.set_up_halves(OUT, BUFFER);
        driver.write(base(OUT), [2 | 4]);
        driver.wait_halves(OUT, 4);
        driver
    };
    for irq in [pci::MSI_IRQ, pci::INTX_IRQ] {
        drop(blocked(irq));
        plays(&serving, &socket);
    }
    let driver = blocked(pci::MSI_IRQ);
    scheduled::ends_promptly(&mut serving.child);
    drop(driver);
}

#[test]
fn bytes_that_are_no_messages_end_their_client_only() {
    let dir = tempfile::tempdir().unwrap();
    let (serving, socket) = serve(dir.path(), &[]);
    for garbage in [
        &b"\x01\x00\x01\x00\x10\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"[..],
        b"\x01\x00\x01\x00\x18\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00{no}",
        b"\x01\x00\xFF\xFF\x10\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
        b"short",
        b"",
    ] {
        UnixStream::connect(&socket).unwrap().write_all(garbage).unwrap();
    }
    plays(&serving, &socket);
    // In the midst of a session: the stream ends with its client.
    let mut driver = Driver::connect(&socket);
    driver.start_up();
    driver.set_up_halves(OUT, BUFFER);
    driver.run(OUT);
    driver.client.raw().send(&[0xFF; 64], &[]).unwrap();
    drop(driver);
    plays(&serving, &socket);
    serving.end();
}

#[test]
fn second_client_waits_until_the_first_has_left() {
    let dir = tempfile::tempdir().unwrap();
    let (serving, socket) = serve(dir.path(), &[]);
    let mut first = Driver::connect(&socket);
    first.start_up();
    first.set_up_halves(OUT, BUFFER);
    first.run(OUT);
    let mut waiting = UnixStream::connect(&socket).unwrap();
    waiting.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let version = b"\x01\x00\x01\x00\x14\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00";
    waiting.write_all(version).unwrap();
    assert!(waiting.read(&mut [0; 16]).is_err(), "nobody answers it yet");
    first.wait_halves(OUT, 2);
    drop(first);
    waiting.set_read_timeout(Some(serving::PATIENCE)).unwrap();
    waiting.read_exact(&mut [0; 16]).unwrap();
    drop(waiting);
    plays(&serving, &socket);
    serving.end();
}

/// Not a fault, but read when there is one: registers have the names of this card.
#[test]
fn trace_of_this_card_has_the_names_of_its_registers() {
    let dir = tempfile::tempdir().unwrap();
    let (mut serving, socket) = serve(dir.path(), &["--trace", "card.trace", "--once"]);
    let mut driver = Driver::connect(&socket);
    driver.start_up();
    driver.play(&sound(1), 2);
    drop(driver);
    assert_eq!(serving.wait_for_exit().code(), Some(0));
    let trace = |arguments: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_ringwave"));
        let output =
            command.arg("trace").arg(dir.path().join("card.trace")).args(arguments).output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    let lines = trace(&[]);
    for (text, why) in [
        ("write card GCTL=CRST\n", "out of reset"),
        ("write card CORBCTL=RUN\n", "a byte"),
        ("write card CORBWP=1\n", "a word"),
        ("CORB and RIRB reads 4 bytes at ", "the command"),
        ("write card SD4CTL[0..1]=RUN\n", "one byte of three"),
        ("write card SD4CTL[2..3]=0, tag 1\n", "another"),
        ("write card SD4FMT=48000 Hz, 16 bits, 2 channels\n", "a format"),
        ("write card SD4BDPL+SD4BDPU=", "two at once"),
        ("stream 0 is in RUN\n", "what came of it"),
        ("read card SD4STS=BCIS|FIFORDY\n", "a status"),
    ] {
        assert!(lines.contains(text), "{why}: {text:?} in {lines}");
    }
    assert!(!lines.contains("STATE=") && !lines.contains("WRITTEN"), "no name of the Ringwave card's");
    let summary = trace(&["--summary"]);
    assert!(summary.starts_with("card        card hda, "), "{summary}");
    assert!(summary.contains(" WRITTEN 0, LOOK 0, EOS 0"), "{summary}");
}
