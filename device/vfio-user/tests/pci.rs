//! What a guest asks by a write to configuration space reaches the device as one call, after the write.
#![allow(clippy::unwrap_used, reason = "these are tests")]

mod common;

use common::*;
use ringwave_vfio_user::pci::{Controls, PowerState};
use ringwave_vfio_user::wire::{command, header_flags, pci};
use ringwave_vfio_user::{Device, Errno, IrqChange, IrqInfo, RegionInfo, Session};

const CONFIG: u32 = pci::CONFIG_REGION;
/// Device Control of the function below.
const CONTROL: u64 = 0x58;
const PMCSR: u64 = 0x44;

/// A function with power management (D0 and D3hot) and PCI Express with function-level reset.
fn function() -> (Board, Session) {
    let mut config = [0; 256];
    config[0x06] = 1 << 4;
    config[0x34] = 0x40;
    config[0x40..0x44].copy_from_slice(&[0x01, 0x50, 0x03, 0]);
    config[0x50..0x58].copy_from_slice(&[0x10, 0, 2, 0, 0, 0, 0, 0x10]);
    let mut board = Board { controls: Controls::find(&config), ..Board::new() };
    let session = open_session(&mut board);
    (board, session)
}

fn write(region: u32, offset: u64, data: &[u8]) -> Vec<u8> {
    let count = u32::try_from(data.len()).unwrap();
    [&offset.to_ne_bytes()[..], &words(&[region, count]), data].concat()
}

/// What the device is asked by these bytes at this offset of configuration space.
fn asked(board: &mut Board, session: &mut Session, offset: u64, data: &[u8]) -> Vec<String> {
    let message = message(command::REGION_WRITE, &write(CONFIG, offset, data));
    let (replies, closed) = exchange(session, board, &message, Vec::new());
    assert!(!closed && replies.len() == 1);
    board.taken()
}

#[test]
fn function_level_reset_is_one_call_after_the_write() {
    let (mut board, mut session) = function();
    assert_eq!(
        asked(&mut board, &mut session, CONTROL, &[0x10, 0xA8]),
        ["write 7 0x58 2", "function-level reset"]
    );
    assert_eq!(
        asked(&mut board, &mut session, CONTROL + 1, &[0x80]),
        ["write 7 0x59 1", "function-level reset"]
    );
    assert_eq!(asked(&mut board, &mut session, CONTROL, &[0x10, 0x28]), ["write 7 0x58 2"]);
    assert_eq!(
        asked(&mut board, &mut session, PMCSR, &[0xFF; 22]),
        ["write 7 0x44 22", "function-level reset"],
        "the reset outdoes the power state in the same write"
    );
}

#[test]
fn power_state_is_one_call_for_each_change() {
    let (mut board, mut session) = function();
    let mut power = |data: &[u8]| asked(&mut board, &mut session, PMCSR, data).split_off(1);
    assert_eq!(power(&[0x00]), [""; 0], "it is in D0");
    assert_eq!(power(&[0x0B, 0x80]), ["power D3hot"]);
    assert_eq!(power(&[0x03]), [""; 0], "it is there already");
    assert_eq!(power(&[0x01]), [""; 0], "there is no D1");
    assert_eq!(power(&[0x02]), [""; 0], "there is no D2");
    assert_eq!(power(&[0x08]), ["power D0"]);
}

#[test]
fn function_is_in_d0_after_every_reset() {
    let (mut board, mut session) = function();
    for reset in [write(CONFIG, CONTROL + 1, &[0x80]), Vec::new()] {
        assert_eq!(asked(&mut board, &mut session, PMCSR, &[3])[1..], ["power D3hot"]);
        let command = if reset.is_empty() { command::DEVICE_RESET } else { command::REGION_WRITE };
        exchange(&mut session, &mut board, &message(command, &reset), Vec::new());
        let log = board.taken();
        assert_eq!(log.iter().filter(|entry| entry.contains("reset")).count(), 1, "{log:?}");
        assert_eq!(asked(&mut board, &mut session, PMCSR, &[0])[1..], [""; 0], "it is in D0");
    }
}

#[test]
fn posted_and_coalesced_writes_ask_as_well() {
    let (mut board, mut session) = function();
    let posted =
        message_with(command::REGION_WRITE, header_flags::NO_REPLY, &write(CONFIG, CONTROL + 1, &[0x80]));
    let (replies, _) = exchange(&mut session, &mut board, &posted, Vec::new());
    assert!(replies.is_empty());
    assert_eq!(board.taken(), ["write 7 0x59 1", "function-level reset"]);

    let one = |offset, bytes: u32, data: [u8; 8]| {
        [write(CONFIG, offset, &[])[..12].to_vec(), words(&[bytes]), data.to_vec()].concat()
    };
    let three = [
        3_u64.to_ne_bytes().to_vec(),
        one(PMCSR, 1, [3; 8]),
        one(PMCSR, 1, [0; 8]),
        // Of the eight bytes two are meant; the rest asks nothing.
        one(CONTROL - 1, 2, [0xFF; 8]),
    ];
    let (replies, _) = exchange(
        &mut session,
        &mut board,
        &message(command::REGION_WRITE_MULTI, &three.concat()),
        Vec::new(),
    );
    assert_eq!(errno(&replies[0]), 0);
    let expected = ["write 7 0x44 1", "power D3hot", "write 7 0x44 1", "power D0", "write 7 0x57 2"];
    assert_eq!(board.taken(), expected);
}

#[test]
fn write_that_is_refused_or_is_elsewhere_asks_nothing() {
    let (mut board, mut session) = function();
    for (region, offset, data) in
        [(0, PMCSR, &[3][..]), (CONFIG, REFUSING_OFFSET, &[3]), (CONFIG, 255, &[3, 3])]
    {
        let message = message(command::REGION_WRITE, &write(region, offset, data));
        exchange(&mut session, &mut board, &message, Vec::new());
        assert!(!board.taken().iter().any(|entry| entry.contains("power")), "{region} {offset:#x}");
    }
    let mut board = Board::new();
    let mut session = open_session(&mut board);
    assert_eq!(
        asked(&mut board, &mut session, 0, &[0xFF; 256]),
        ["write 7 0x0 256"],
        "no controls, no calls"
    );
}

/// A device that says where its controls are, and nothing of what a function-level reset is.
#[derive(Default)]
struct Plain {
    resets: u32,
}

impl Device for Plain {
    fn region(&self, _: u32) -> RegionInfo<'_> {
        RegionInfo { size: 256, read: true, write: true, mapped: None }
    }
    fn irq(&self, _: u32) -> IrqInfo {
        IrqInfo::default()
    }
    fn region_read(&mut self, _: u32, _: u64, _: &mut [u8]) -> Result<(), Errno> {
        Ok(())
    }
    fn region_write(&mut self, _: u32, _: u64, _: &[u8]) -> Result<(), Errno> {
        Ok(())
    }
    fn set_irqs(&mut self, _: u32, _: IrqChange<'_>) -> Result<(), Errno> {
        Ok(())
    }
    fn reset(&mut self) -> Result<(), Errno> {
        self.resets += 1;
        Ok(())
    }
    fn pci_controls(&self) -> Controls {
        function().0.controls
    }
    fn client_left(&mut self) {}
}

#[test]
fn device_without_a_function_level_reset_of_its_own_is_reset() {
    let mut plain = Plain::default();
    let mut session = Session::new();
    let control = message(command::REGION_WRITE, &write(CONFIG, CONTROL, &[0, 0x80]));
    let sleep = message(command::REGION_WRITE, &write(CONFIG, PMCSR, &[3]));
    let all = [hello(), control, sleep].concat();
    let mut bytes = &all[..];
    while !bytes.is_empty() {
        session.receive(&mut plain, &mut bytes, Vec::new(), false);
    }
    assert_eq!(plain.resets, 1);
    assert_eq!(PowerState::default(), PowerState::D0);
}
