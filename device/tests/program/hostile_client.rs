//! Clients that mean harm: none of them takes the card from the next one, leaves bytes for it, fills the log,
//! or keeps a signal from ending the process in time.

use crate::{guest, scheduled};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use crate::guest::{Guest, Setup};
use crate::serving::Serving;
use ringwave_regs::{global, pci, stream};
use ringwave_vfio_user::Client;
use ringwave_vfio_user::wire::pci as pci_wire;
use vfio_bindings::bindings::vfio::{
    VFIO_IRQ_SET_ACTION_TRIGGER, VFIO_IRQ_SET_DATA_NONE, VFIO_PCI_MSI_IRQ_INDEX,
};

const MAGIC: u32 = 0x5641_5752;

fn socket(dir: &Path) -> std::path::PathBuf {
    dir.join("card.sock")
}

/// Fills the counter of the guest's eventfd and makes writes to it wait: flags belong to the open file, which
/// both sides share.
fn block(guest: &Guest) {
    guest.msi.write(u64::MAX - 1).unwrap();
    let fd = guest.msi.as_raw_fd();
    // SAFETY: F_GETFL and F_SETFL take and give ints, and the descriptor is open.
    let done = unsafe { libc::fcntl(fd, libc::F_SETFL, libc::fcntl(fd, libc::F_GETFL) & !libc::O_NONBLOCK) };
    assert_eq!(done, 0);
}

#[test]
fn eventfd_that_would_block_holds_up_neither_the_card_nor_the_next_client_nor_a_signal() {
    let dir = tempfile::tempdir().unwrap();
    let mut serving = Serving::start(dir.path(), &["--speed", "20"]);
    for triggered in [true, false] {
        let mut guest = Guest::connect(&socket(dir.path()));
        block(&guest);
        if triggered {
            // By a message, in the thread that handles messages: `SET_IRQS` with no data and the action
            // "trigger".
            let flags = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER;
            guest.client.set_irqs(VFIO_PCI_MSI_IRQ_INDEX, flags, 0, 1, &[]).unwrap();
        }
        guest.set_up(Setup::USUAL);
        guest.stream_write(stream::WRITTEN, 20);
        guest.stream_write(stream::STATE, stream::STATE_RUN);
        // Events were raised by the engine's thread; the handler of messages still answers.
        guest.wait_packets(20);
        assert_eq!(guest.read(global::MAGIC), MAGIC);
        drop(guest);
        let mut next = Guest::connect(&socket(dir.path()));
        assert_eq!(next.read(global::MAGIC), MAGIC);
    }
    let guest = Guest::connect(&socket(dir.path()));
    block(&guest);
    scheduled::ends_promptly(&mut serving.child);
    drop(guest);
}

#[test]
fn client_that_only_asked_for_the_pages_leaves_nothing_in_them() {
    let dir = tempfile::tempdir().unwrap();
    let mut serving = Serving::start(dir.path(), &[]);
    let whole = 0..=u64::from(pci::PAGES_BYTES) - 1;
    let mut first = Client::connect(&socket(dir.path())).unwrap();
    let pages = first.region_info(pci::PAGES_BAR).unwrap().map(whole.clone()).unwrap();
    for offset in [0xFF0, 0x1_0FF0] {
        pages.write(offset, 0xDEAD_BEEF).unwrap();
    }
    drop((first, pages));
    let mut next = Client::connect(&socket(dir.path())).unwrap();
    let pages = next.region_info(pci::PAGES_BAR).unwrap().map(whole).unwrap();
    assert_eq!((pages.read(0xFF0), pages.read(0x1_0FF0)), (Some(0), Some(0)));
    assert_ne!(
        pages.read(ringwave_regs::pages::clock::HZ as usize),
        Some(0),
        "and the card's own fields are there"
    );
    drop(next);
    scheduled::ends_promptly(&mut serving.child);
}

#[test]
fn reset_of_the_function_takes_back_what_is_not_the_cards_in_the_pages() {
    let dir = tempfile::tempdir().unwrap();
    let mut serving = Serving::start(dir.path(), &[]);
    let mut client = Client::connect(&socket(dir.path())).unwrap();
    let resets: [fn(&mut Client); 2] = [
        |client| client.reset().unwrap(),
        // FLR: Device Control of the PCI Express capability at 0x70, bit 15.
        |client| client.write(pci_wire::CONFIG_REGION, 0x78, &[0, 0x80]).unwrap(),
    ];
    for reset in resets {
        // Unused ones of the clock page and of a status page, a page of a stream that is not there, and a
        // mark page.
        let stored = [0xFF0, 0x1_0FF0, 0x1_8000, 0x3_0000];
        for offset in stored {
            client.write32(pci::PAGES_BAR, offset, 0xDEAD_BEEF).unwrap();
        }
        reset(&mut client);
        for offset in stored {
            assert_eq!(client.read32(pci::PAGES_BAR, offset).unwrap(), 0, "{offset:#x}");
        }
    }
    drop(client);
    scheduled::ends_promptly(&mut serving.child);
}

#[test]
fn reads_as_long_as_was_announced_are_answered() {
    let dir = tempfile::tempdir().unwrap();
    let mut serving = Serving::start(dir.path(), &[]);
    let mut client = Client::connect(&socket(dir.path())).unwrap();
    let mut all = vec![0; pci::PAGES_BYTES as usize];
    client.read(pci::PAGES_BAR, 0, &mut all).unwrap();
    let hz = ringwave_regs::pages::clock::HZ as usize;
    assert_eq!(all[hz..hz + 4], global::CLOCK_HZ_VALUE.to_le_bytes());
    client.write(pci::PAGES_BAR, 0xF00, &[7; 0xC00]).unwrap();
    client.read(pci::PAGES_BAR, 0xE00, &mut all[..0x1000]).unwrap();
    assert_eq!((all[0xFF], all[0x100], all[0xCFF], all[0xD00]), (0, 7, 7, 0));
    // BAR 0 is registers of 4 and 8 bytes (DATASHEET 2.2): the answer is all ones, and the card says why.
    let mut registers = vec![0; pci::REGISTERS_BYTES as usize];
    client.read(pci::REGISTERS_BAR, 0, &mut registers).unwrap();
    assert!(registers.iter().all(|byte| *byte == 0xFF));
    drop(client);
    scheduled::ends_promptly(&mut serving.child);
}

/// A message of only a header, of this type.
fn header(kind: u32) -> Vec<u8> {
    let mut bytes = b"\x02\x00\x04\x00\x10\x00\x00\x00".to_vec();
    bytes.extend(kind.to_le_bytes());
    bytes.extend([0; 4]);
    bytes
}

const VERSION: &[u8] = b"\x01\x00\x01\x00\x14\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00";

#[test]
fn replies_to_nothing_do_not_fill_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let mut serving = Serving::start(dir.path(), &[]);
    let mut client = UnixStream::connect(socket(dir.path())).unwrap();
    client.write_all(VERSION).unwrap();
    let replies = header(1).repeat(3000);
    client.write_all(&replies).unwrap();
    // A question behind them: when it is answered they were all looked at.
    client.write_all(&header(0)).unwrap();
    let mut answer = [0; 20];
    client.read_exact(&mut answer).unwrap();
    client.set_read_timeout(Some(guest::PATIENCE)).unwrap();
    let mut said = [0; 1];
    while client.read(&mut said).is_ok_and(|read| read == 1) && said != [0x02] {}
    drop(client);
    drop(Guest::connect(&socket(dir.path())));
    let lines = serving.said("").len();
    assert!((1..100).contains(&lines), "{lines} lines");
    scheduled::ends_promptly(&mut serving.child);
}

#[test]
fn want_of_descriptors_at_accept_is_waited_out() {
    let dir = tempfile::tempdir().unwrap();
    let mut serving = Serving::start(dir.path(), &[]);
    serving.limit_files(3);
    let mut client = UnixStream::connect(socket(dir.path())).unwrap();
    client.write_all(VERSION).unwrap();
    serving.wait_for("clients have to wait", 1);
    std::thread::sleep(Duration::from_millis(500));
    assert!(serving.child.try_wait().unwrap().is_none(), "{:?}", serving.said(""));
    assert_eq!(serving.said("clients have to wait").len(), 1, "told once: {:?}", serving.said(""));
    serving.limit_files(256);
    client.set_read_timeout(Some(guest::PATIENCE)).unwrap();
    client.read_exact(&mut [0; 16]).unwrap();
    drop(client);
    serving.limit_files(3);
    let _waiting = UnixStream::connect(socket(dir.path())).unwrap();
    std::thread::sleep(Duration::from_millis(100));
    scheduled::ends_promptly(&mut serving.child);
}
