//! The card when its host or its client fails: sinks that fail or hang, clients that leave in the middle or
//! talk nonsense.

#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod guest;
mod served;

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use guest::{Guest, Setup, piece, wav_bytes};
use ringwave::engine::{Engine, EngineConfig};
use ringwave::serve::serve;
use ringwave_card::CardConfig;
use ringwave_card::controller::Config;
use ringwave_card::env::ClockMode;
use ringwave_card::pci::Identity;
use ringwave_host::SinkSpec;
use ringwave_regs::error::Error;
use ringwave_regs::{global, pages, pci, stream};
use ringwave_vfio_user::Listener;
use served::Served;

#[test]
fn sink_that_fails_is_an_error_of_the_stream_and_the_card_goes_on() {
    let served = Served::with_sink(Some(SinkSpec::Wav("/dev/full".into())), "20");
    let mut guest = served.connect();
    let setup = Setup::USUAL;
    guest.set_up(setup);
    let music = vec![0x11; setup.packet_bytes() * 100];
    guest.give_packet(setup, &music, 0);
    guest.stream_write(stream::STATE, stream::STATE_RUN);
    guest.give_packet(setup, &music, 1);
    guest.wait_packets(2);
    let begin = std::time::Instant::now();
    let mut n = 2;
    while guest.status32(pages::status::ERROR) != Error::Host.code() {
        assert!(begin.elapsed() < guest::PATIENCE);
        guest.wait_packets(n - 1);
        guest.give_packet(setup, &music, n % 50);
        guest.stream_write(stream::WRITTEN, n);
        n += 1;
    }
    guest.wait_packets(n);
    served.leave(guest);
}

#[test]
fn sink_that_hangs_holds_up_neither_messages_nor_time() {
    let dir = tempfile::tempdir().unwrap();
    let fifo = dir.path().join("fifo.wav");
    let name = std::ffi::CString::new(fifo.to_str().unwrap()).unwrap();
    // SAFETY: `name` ends with a zero byte.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    // A reader that never reads: a write of more than the pipe holds (64 KiB) waits for ever.
    let reader = std::fs::OpenOptions::new().read(true).write(true).open(&fifo).unwrap();
    let served = Served::with_sink(Some(SinkSpec::Wav(fifo)), "100");
    let mut guest = served.connect();
    let setup = Setup::USUAL;
    guest.set_up(setup);
    guest.stream_write(stream::WRITTEN, 200);
    let begin = std::time::Instant::now();
    guest.stream_write(stream::STATE, stream::STATE_RUN);
    guest.wait_packets(201);
    assert_eq!(guest.read(global::MAGIC), 0x5641_5752);
    assert!(begin.elapsed() < std::time::Duration::from_secs(15), "{:?} for 80 ms", begin.elapsed());
    guest.state(stream::STATE_STOP);
    // Nobody is left to read: the write that waits fails, and the card can finish.
    drop(reader);
    served.leave(guest);
}

#[test]
fn client_that_leaves_in_the_middle_leaves_a_whole_file_and_a_fresh_card() {
    let dir = tempfile::tempdir().unwrap();
    let card = CardConfig {
        controller: Config { clock: ClockMode::Lockstep, ..Config::default() },
        identity: Identity { vendor: 0x1AF4, device: 0xABCD },
        speed: "20".parse().unwrap(),
        trace: false,
    }
    .power_on();
    let card = Arc::new(card.unwrap());
    let path = dir.path().join("card.sock");
    let socket = Listener::bind(&path).unwrap();
    let sink = SinkSpec::Wav(dir.path().join("heard.wav"));
    let engine = Engine::start(Arc::clone(&card), EngineConfig { sink, stats: None, trace: None }).unwrap();
    std::thread::spawn(move || serve(&card, &socket, false).unwrap());

    let setup = Setup::USUAL;
    let music = piece(&dir.path().join("played.wav"), 48_000, 2);
    let mut resets = 0;
    for client in 1..=2 {
        let mut guest = Guest::connect(&path);
        assert_eq!(guest.config_read::<4>(0), [0xF4, 0x1A, 0xCD, 0xAB]);
        assert_eq!(guest.stream_read(stream::STATE), stream::STATE_STOP);
        assert_eq!(guest.status32(pages::status::EVENTS), 0);
        let mut scribble = [0; 8];
        guest.client.region_read(pci::PAGES_BAR, 0xFF0, &mut scribble).unwrap();
        assert_eq!(scribble, [0; 8], "nothing of an earlier client");
        guest.client.region_write(pci::PAGES_BAR, 0xFF0, &[7; 8]).unwrap();
        let mut now = [0; 4];
        guest.client.region_read(pci::PAGES_BAR, 0x10, &mut now).unwrap();
        assert!(u32::from_le_bytes(now) > resets, "RESETS goes on over clients");
        resets = u32::from_le_bytes(now);
        guest.set_up(setup);
        guest.give_packet(setup, &music, 0);
        guest.give_packet(setup, &music, 1);
        guest.stream_write(stream::STATE, stream::STATE_RUN);
        guest.wait_packets(2);
        drop(guest);
        // The next client is served when the first one's file is finished.
        let name = if client == 1 { "heard.wav" } else { "heard-2.wav" };
        drop(Guest::connect(&path));
        let heard = wav_bytes(&dir.path().join(name));
        assert_eq!(heard, music[..2 * setup.packet_bytes()], "client {client}");
    }
    engine.end();
}

#[test]
fn malformed_messages_end_their_client_only() {
    let served = Served::start();
    for garbage in [
        &b"\x01\x00\x01\x00\x10\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"[..],
        b"\x01\x00\x01\x00\x18\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00{no}",
        b"\x01\x00\xFF\xFF\x10\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
        b"short",
        b"",
    ] {
        let mut stream = UnixStream::connect(served.path("card.sock")).unwrap();
        stream.write_all(garbage).unwrap();
    }
    let mut guest = served.connect();
    assert_eq!(
        guest.read(global::MAGIC),
        0x5641_5752,
        "those who said nothing do not count as the first client"
    );
    served.leave(guest);
}
