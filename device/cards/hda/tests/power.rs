//! D3hot with messages, and a jack that changes meanwhile: HDA.md 1. (With the line: `streams.rs`.)
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod guest;

use std::os::fd::OwnedFd;

use guest::{BCIS, BUFFERS, DAC, DAC_PIN, Guest, IOCE, OUT, RIRB, RUN};
use ringwave_engine::sources::NoSources;
use ringwave_hda::codec::tree::TreeConfig;
use ringwave_hda::controller::Config;
use ringwave_hda::function::{CardConfig, PCI_ID};
use ringwave_pci::client::Requests;
use ringwave_pci::{IrqAction, IrqChange, IrqKind, Request};
use ringwave_served::host_requests::HostRequests;
use rustix::event::{EventfdFlags, eventfd};

const MS: u64 = 1_000_000;
/// PMCSR, and MSI's control word.
const PMCSR: u64 = 0x64;
const MSI_CONTROL: u64 = 0x52;

/// A card with power management and MSI, and where its message goes.
fn card() -> (Guest, OwnedFd) {
    let tree = TreeConfig { render: 1, capture: 1, channels: 2, bits_32: true };
    let controller = Config { tree, loopback: vec![None], amplifiers: false };
    let card = CardConfig { controller, pci_id: PCI_ID, power_management: true, trace: false };
    let guest = Guest::of_card(card, Box::new(NoSources));
    let message = eventfd(0, EventfdFlags::NONBLOCK).unwrap();
    let fds = vec![message.try_clone().unwrap()];
    let change = IrqChange::Assign { action: IrqAction::Trigger, start: 0, fds };
    guest.card.request(Request::SetIrqs { kind: IrqKind::Msi, change }).unwrap();
    guest.config(MSI_CONTROL, &[1, 0]);
    guest.start_up();
    (guest, message)
}

/// Messages since the last call.
fn messages(message: &OwnedFd) -> u64 {
    let mut count = [0; 8];
    if rustix::io::read(message, &mut count).is_ok() { u64::from_le_bytes(count) } else { 0 }
}

#[test]
fn in_d3hot_no_message_is_sent_and_in_d0_what_is_pending_is_told() {
    let (guest, message) = card();
    guest.connect(DAC);
    guest.set_up(OUT, &[(BUFFERS, 1920, true), (BUFFERS + 1920, 1920, true)], 0x0011);
    guest.write32(0x20, 0x8000_0010);
    messages(&message);
    guest.control(OUT, RUN | IOCE);
    guest.pass_slowly(9 * MS);
    guest.config(PMCSR, &[3, 0]);
    guest.pass_slowly(50 * MS);
    assert_eq!(messages(&message), 0, "the half ends in D3hot's time, and time stands still");
    guest.config(PMCSR, &[0, 0]);
    assert_eq!((messages(&message), guest.status(OUT)), (0, 0), "nothing has ended yet");
    guest.pass_slowly(2 * MS);
    assert_eq!((messages(&message), guest.status(OUT)), (1, BCIS), "now it has");

    // Nobody has cleared it when the power goes again.
    guest.config(PMCSR, &[3, 0]);
    guest.pass_slowly(50 * MS);
    assert_eq!(messages(&message), 0);
    guest.config(PMCSR, &[0, 0]);
    assert_eq!((messages(&message), guest.status(OUT)), (1, BCIS), "what is pending is told");
    guest.write(0x103, [BCIS]);
    guest.pass_slowly(10 * MS);
    assert_eq!((messages(&message), guest.status(OUT)), (1, BCIS), "and goes on");
}

#[test]
fn jack_that_changes_in_d3hot_sends_no_response_and_the_pins_sense_tells_it() {
    let (guest, message) = card();
    guest.write32(0x20, 0xC000_0000);
    guest.write32(0x08, 0x101);
    guest.command(DAC_PIN, 0x7_0885);
    assert_eq!(guest.command(DAC_PIN, 0xF_0900), 1 << 31);
    guest.write(0x5D, [5]);
    let written = guest.read16(0x58);
    messages(&message);

    guest.config(PMCSR, &[3, 0]);
    guest.card.set_jack(0, false).unwrap();
    assert_eq!((messages(&message), guest.read16(0x58)), (0, 0xFFFF), "nothing answers, nothing interrupts");
    guest.config(PMCSR, &[0, 0]);
    guest.pass_slowly(5 * MS);
    assert_eq!((messages(&message), guest.read16(0x58)), (0, written), "the response is lost");
    assert_eq!(guest.command(DAC_PIN, 0xF_0900), 0, "the sense tells it");

    guest.write(0x5D, [5]);
    let written = guest.read16(0x58);
    messages(&message);
    guest.card.set_jack(0, true).unwrap();
    assert_eq!((messages(&message), guest.read16(0x58)), (1, written + 1), "in D0 it is sent");
    assert_eq!(guest.load32(RIRB + 8 * u64::from(written + 1) + 4), 0x10, "unsolicited");
}
