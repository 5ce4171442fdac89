//! A client that takes its memory away behind the card's back: `ringwave serve`, in its sandbox, plays on.

#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod guest;

use std::io::Read;
use std::os::fd::AsRawFd;
use std::process::{Child, Command, Stdio};

use guest::{DmaMode, Guest, HALF, Setup, wav_bytes};
use ringwave_guest_memory::memfd::memfd;
use ringwave_regs::{error::Error, pages, stream};

struct Serving(Child);

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn truncated_memory_is_silence_until_it_is_mapped_anew() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringwave"));
    command.args([
        "serve",
        "--socket",
        "card.sock",
        "--once",
        "--sink",
        "wav:heard.wav",
        "--stats",
        "stats.json",
    ]);
    let child = command
        .args(["--speed", "20", "--clock", "lockstep"])
        .current_dir(dir.path())
        .stderr(Stdio::piped())
        .spawn();
    let mut serving = Serving(child.unwrap());
    let mut guest = Guest::connect(&dir.path().join("card.sock"));
    // Nothing seals it: what a `memory-backend-file` is.
    guest.ram = memfd(c"cut", 2 * HALF, false).unwrap();
    guest.client.dma_unmap(0, HALF).unwrap();
    guest.client.dma_map(0, 0, HALF, guest.ram.as_raw_fd()).unwrap();

    let setup = Setup { mode: DmaMode::Contiguous, ..Setup::USUAL };
    let bytes = setup.packet_bytes();
    let music = |byte: u8| vec![byte; 100 * bytes];
    guest.set_up(setup);
    guest.give_packet(setup, &music(1), 0);
    guest.stream_write(stream::STATE, stream::STATE_RUN);
    guest.wait_packets(1);
    assert_eq!(guest.status32(pages::status::DMA_FAULTS), 0);

    guest.ram.set_len(0x1000).unwrap();
    guest.stream_write(stream::WRITTEN, 1);
    guest.wait_packets(2);
    let faults = guest.status32(pages::status::DMA_FAULTS);
    assert_ne!(faults, 0);
    assert_eq!(guest.stream_read(stream::ERROR), Error::DmaUnmapped.code());

    guest.ram.set_len(2 * HALF).unwrap();
    guest.give_packet(setup, &music(3), 2);
    guest.wait_packets(3);
    assert!(guest.status32(pages::status::DMA_FAULTS) > faults, "it is there again, and lost all the same");

    guest.client.dma_unmap(0, HALF).unwrap();
    guest.client.dma_map(0, 0, HALF, guest.ram.as_raw_fd()).unwrap();
    let faults = guest.status32(pages::status::DMA_FAULTS);
    guest.give_packet(setup, &music(4), 3);
    guest.wait_packets(4);
    assert_eq!(guest.status32(pages::status::DMA_FAULTS), faults, "mapped anew it is memory");
    guest.state(stream::STATE_PAUSE);
    drop(guest);

    assert_eq!(serving.0.wait().unwrap().code(), Some(0));
    let mut said = String::new();
    serving.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    let named: Vec<_> = said.lines().filter(|line| line.contains("is lost")).collect();
    assert!(
        named.len() == 1 && named[0].contains("memfd:cut") && named[0].contains("0x0 to 0xfffff"),
        "{said}"
    );
    let heard = wav_bytes(&dir.path().join("heard.wav"));
    let packets: Vec<_> = heard.chunks(bytes).collect();
    for (packet, byte) in packets.iter().zip([1, 0, 0, 4]) {
        assert!(packet.iter().all(|heard| *heard == byte), "a packet of {byte}");
    }
    assert_eq!(heard.len(), 4 * bytes, "the stream kept its time");
    let stats: serde_json::Value =
        serde_json::from_slice(&std::fs::read(dir.path().join("stats.json")).unwrap()).unwrap();
    assert_eq!(stats["streams"][0]["dma_faults"], faults);
    assert_eq!(stats["streams"][0]["silence_frames"], 2 * 1_900);
}
