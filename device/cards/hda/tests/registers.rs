//! The registers of the controller and the way of the verbs. HDA.md 1, 2.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod guest;

use guest::{BUFFERS, CORB, DAC, DAC_PIN, Guest, OUT, POSITIONS, RIRB, RUN, guest};
use proptest::prelude::*;
use ringwave_guest_memory::guest_ram::MapRequest;
use ringwave_pci::client::Requests;
use ringwave_pci::{Region, Request};
use ringwave_served::HostRequests;

#[test]
fn a_driver_finds_a_controller_and_its_codec() {
    let guest = guest();
    assert_eq!((guest.read16(0), guest.read8(2), guest.read8(3)), (0x4401, 0, 1));
    assert_eq!(guest.read32(0x08), 0, "in reset");
    assert_eq!(guest.read16(0x0E), 0);
    guest.write32(0x08, 1);
    assert_eq!(guest.read32(0x08), 1);
    assert_eq!(guest.read16(0x0E), 1, "codec 0 is there");
    guest.write(0x0E, [1, 0]);
    assert_eq!(guest.read16(0x0E), 0);
    guest.write32(0x08, 0);
    assert_eq!(guest.read32(0x08), 0);
}

#[test]
fn every_command_has_one_answer_and_the_last_one_interrupts() {
    let guest = guest();
    guest.start_up();
    guest.write32(0x20, 0xC000_0000);
    // RINTCNT 200: not reached.
    guest.write(0x5A, [200, 0]);
    let commands = [0x000F_0000, 0x7F0F_0000, 0x5000_0000, 0x0017_FF00];
    for (command, at) in commands.into_iter().zip(1_u64..) {
        guest.store(CORB + 4 * at, &u32::to_le_bytes(command));
    }
    guest.write(0x48, [4, 0]);
    assert_eq!((guest.read16(0x4A), guest.read16(0x58)), (4, 4));
    assert_eq!(guest.load(RIRB + 8, 32)[..8], [0x48, 0x52, 0x34, 0x12, 0, 0, 0, 0]);
    let responses: Vec<u32> = (4..10).map(|word| guest.load32(RIRB + 4 * word)).collect();
    assert_eq!(responses, [0, 7, 0, 5, 0, 0], "absent codecs, by their address; reset of the group");
    assert_eq!(guest.read8(0x5D) & 1, 1, "no more commands: RINTFL");
    assert_eq!(guest.read32(0x24), 0xC000_0000);
    guest.write(0x5D, [1]);
    assert_eq!(guest.read32(0x24), 0);
}

#[test]
fn the_rings_go_around() {
    let guest = guest();
    guest.start_up();
    for round in 0..600 {
        assert_eq!(guest.command(0, 0xF0004), 0x0001_0001, "round {round}");
    }
}

#[test]
fn the_line_is_what_intctl_lets_through_of_intsts() {
    let guest = guest();
    guest.write(0x0C, [1, 0]);
    guest.write32(0x08, 1);
    assert_eq!(guest.read32(0x24), 0xC000_0000, "the codec is there, and WAKEEN wants to know");
    for (intctl, line) in
        [(0x4000_0000, false), (0x8000_0000, false), (0x8000_00FF, false), (0xC000_0000, true)]
    {
        guest.write32(0x20, intctl);
        assert_eq!(guest.line(), line, "{intctl:#x}");
    }
    guest.write(0x0E, [1, 0]);
    assert!(!guest.line());
}

#[test]
fn an_immediate_command_is_answered_at_once() {
    let guest = guest();
    guest.write32(0x08, 1);
    guest.write32(0x60, 0x000F_0000);
    guest.write(0x68, [1, 0]);
    assert_eq!(guest.read16(0x68), 2, "valid, not busy");
    assert_eq!(guest.read32(0x64), 0x1234_5248);
    guest.write(0x68, [2, 0]);
    assert_eq!(guest.read16(0x68), 0);
}

#[test]
fn registers_are_read_and_written_by_bytes_and_across_their_borders() {
    let guest = guest();
    guest.start_up();
    // CORBCTL, CORBSTS and CORBSIZE in one.
    assert_eq!(guest.read32(0x4C), 0x0042_0002);
    guest.write32(0x4C, 0x00FF_0100);
    assert_eq!(guest.read32(0x4C), 0x0042_0000, "stopped; the size stays");
    // INTCTL by bytes.
    guest.write(0x23, [0xC0]);
    guest.write(0x20, [0xFF]);
    assert_eq!(guest.read32(0x20), 0xC000_00FF);
    assert_eq!(guest.read::<8>(0x20), [0xFF, 0, 0, 0xC0, 0, 0, 0, 0]);
    // Misaligned, beyond, odd.
    assert_eq!(guest.read::<4>(0x21), [0xFF; 4]);
    assert_eq!(guest.read::<2>(0x3FFF), [0xFF; 2]);
    assert_eq!(guest.read::<3>(0), [0xFF; 3]);
    guest.write(0x21, [0; 4]);
    assert_eq!(guest.read32(0x20), 0xC000_00FF);
}

#[test]
fn reset_of_the_link_leaves_nothing_but_what_woke() {
    let guest = guest();
    guest.start_up();
    guest.connect(DAC);
    guest.write32(0x20, 0xC000_0001);
    guest.write32(0x08, 0);
    guest.write32(0x20, 0xC000_0001);
    assert_eq!(guest.read32(0x20), 0, "in reset writes are ignored");
    assert_eq!(guest.read16(0x0E), 1, "STATESTS survives");
    guest.start_up();
    assert_eq!(guest.command(DAC, 0xF0600), 0, "the codec was reset too");
}

/// Firmware writes them before the driver's reset of the link, and means them for it.
#[test]
fn pin_defaults_and_subsystem_survive_a_reset_of_the_link_and_not_of_the_function() {
    let guest = guest();
    let seen = || {
        guest.start_up();
        (guest.command(DAC_PIN, 0xF_1C00), guest.command(1, 0xF_2000))
    };
    let new = seen();
    // Fixed speakers, with a subsystem of the board's maker.
    guest.command(DAC_PIN, 0x7_1F90);
    guest.command(1, 0x7_2310);
    guest.write32(0x08, 0);
    assert_eq!(seen(), (new.0 & 0x00FF_FFFF | 0x9000_0000, new.1 & 0x00FF_FFFF | 0x1000_0000));
    guest.card.request(Request::Reset).unwrap();
    guest.config(4, &[6, 0]);
    assert_eq!(seen(), new);
}

#[test]
fn the_wall_clock_goes_by_the_device_clock_and_can_be_read_by_itself() {
    let guest = guest();
    assert_eq!(guest.read32(0x30), 0);
    guest.pass(5_000_000);
    guest.write32(0x08, 1);
    guest.pass(1_000_000_000);
    assert_eq!(guest.read32(0x30), 24_000_000);
    assert_eq!(guest.read32(0x2030), 24_000_000);
    guest.pass(200_000_000_000);
    assert_eq!(guest.read32(0x30), u32::try_from(201_u64 * 24_000_000 % (1 << 32)).unwrap(), "it wraps");
}

#[test]
fn a_jack_is_an_unsolicited_response_if_the_controller_takes_it() {
    let guest = guest();
    guest.start_up();
    guest.command(DAC_PIN, 0x70885);
    guest.card.set_jack(0, false).unwrap();
    let before = guest.read16(0x58);
    assert_eq!(before, 1, "GCTL.UNSOL is off");
    guest.write32(0x08, 0x101);
    guest.card.set_jack(0, true).unwrap();
    assert_eq!(guest.read16(0x58), 2);
    assert_eq!(guest.load(RIRB + 16, 8), [0, 0, 0, 0x14, 0x10, 0, 0, 0], "tag 5, unsolicited");
    assert_eq!(guest.command(DAC_PIN, 0xF0900), 1 << 31);
}

#[test]
fn nothing_is_fetched_or_stored_without_bus_master() {
    let guest = guest();
    guest.start_up();
    guest.config(4, &[2, 0]);
    guest.store(CORB + 4, &0x000F_0000_u32.to_le_bytes());
    guest.write(0x48, [1, 0]);
    assert_eq!((guest.read16(0x58), guest.load32(RIRB + 8)), (0, 0));
    assert_eq!(guest.read8(0x4D) & 1, 1, "CMEI");
}

#[test]
fn command_that_cannot_be_read_is_told_until_it_is_cleared() {
    let guest = guest();
    guest.start_up();
    // Of the rings CMEI alone, which CORBCTL does not let through yet.
    guest.write(0x5C, [2]);
    guest.write32(0x20, 0xC000_0000);
    guest.config(4, &[2, 0]);
    guest.store(CORB + 4, &0x000F_0000_u32.to_le_bytes());
    guest.write(0x48, [1, 0]);
    assert_eq!((guest.read8(0x4D) & 1, guest.read32(0x24), guest.line()), (1, 0, false));
    guest.write(0x4C, [3]);
    assert_eq!((guest.read8(0x4C), guest.read32(0x24), guest.line()), (3, 0xC000_0000, true));
    guest.config(4, &[6, 0]);
    guest.write(0x4D, [0]);
    assert_eq!(guest.read8(0x4D) & 1, 1, "a 0 clears nothing");
    guest.write(0x4D, [1]);
    assert_eq!((guest.read8(0x4D) & 1, guest.read32(0x24), guest.line()), (0, 0, false));
    assert_eq!((guest.read16(0x58), guest.load32(RIRB + 8)), (1, 0x1234_5248), "and it goes on");
}

#[test]
fn bits_that_are_fixed_stay_and_others_keep_what_was_written() {
    let guest = guest();
    guest.start_up();
    guest.write32(0x4C, 0);
    guest.write(0x5C, [0]);
    // LLCH: there are no linked capabilities, which Windows' driver looks for.
    guest.write(0x14, [0xFF; 2]);
    assert_eq!(guest.read16(0x14), 0);
    // Bases of CORB, RIRB and position buffer: 128 bytes, and the last has its enable there.
    for (base, low) in [(0x40, 0xFFFF_FF80), (0x50, 0xFFFF_FF80), (0x70, 0xFFFF_FF81)] {
        guest.write(base, [0xFF; 8]);
        assert_eq!((guest.read32(base), guest.read32(base + 4)), (low, u32::MAX), "{base:#x}");
    }
    // CORBCTL and CORBSTS in one word; the size behind them.
    guest.write(0x4C, [1, 1]);
    assert_eq!((guest.read16(0x4C), guest.read16(0x4E)), (1, 0x42));
    for index in 0..8 {
        let base = 0x80 + 0x20 * index;
        assert_eq!((guest.read8(base + 2), guest.read16(base + 0xE)), (4, 4), "TP; FIFOW of {index}");
        // Tag and STRIPE as written, DIR and TP as they are.
        guest.write(base + 2, [0xFF]);
        guest.write(base + 0xE, [0xFF; 2]);
        assert_eq!((guest.read8(base + 2), guest.read16(base + 0xE)), (0xF7, 4), "{index}");
        guest.write(base + 2, [0]);
        assert_eq!(guest.read8(base + 2), 4, "{index}");
        // Of SDCTL's middle byte nothing can be written, and nothing of LPIB.
        guest.write(base + 1, [0xFF]);
        guest.write(base + 4, [0xFF; 4]);
        assert_eq!((guest.read8(base + 1), guest.read32(base + 4)), (0, 0), "{index}");
    }
}

/// The upper halves of all bases.
#[test]
fn rings_and_position_buffer_may_be_above_4_gib() {
    let guest = guest();
    guest.start_up();
    let above = 1_u64 << 32;
    let file = Some((guest.memory.try_clone().unwrap(), 0));
    guest.card.request(Request::Unmap { address: 0, bytes: guest::MEMORY }).unwrap();
    let map = MapRequest { address: above, bytes: guest::MEMORY, readable: true, writable: true, file };
    guest.card.request(Request::Map(map)).unwrap();
    for (base, low) in [(0x44, 0), (0x54, 0), (0x74, 0), (0x11C, 0)] {
        assert_eq!(guest.read32(base), low);
        guest.write32(base, 1);
    }
    guest.connect(DAC);
    assert_eq!(guest.command(DAC, 0xF_0600), 0x10);
    guest.set_up(OUT, &[(above + BUFFERS, 1920, true), (above + BUFFERS + 1920, 1920, true)], 0x0011);
    guest.write32(0x11C, 1);
    guest.write32(0x70, u32::try_from(POSITIONS).unwrap() | 1);
    guest.store(BUFFERS, &[7; 1920]);
    guest.control(OUT, RUN);
    guest.pass(5_000_000);
    assert_eq!((guest.status(OUT), guest.load32(POSITIONS + 8 * OUT)), (0, 240 * 4));
    assert_eq!(guest.heard_bytes(), [7; 240 * 4]);
}

#[test]
fn configuration_space_is_an_ich9s() {
    let guest = guest();
    let mut header = [0; 64];
    guest.card.request(Request::Read { region: Region::Config, offset: 0, data: &mut header }).unwrap();
    assert_eq!(header[..4], [0x86, 0x80, 0x3E, 0x29]);
    assert_eq!(header[8..12], [3, 0, 3, 4]);
    let capability = |at: usize| {
        let mut bytes = [0; 2];
        guest
            .card
            .request(Request::Read { region: Region::Config, offset: at as u64, data: &mut bytes })
            .unwrap();
        bytes
    };
    let first = capability(header[0x34].into());
    assert_eq!(first[0], 5, "MSI first: no power management");
    assert_eq!(capability(first[1].into()), [0x10, 0], "PCI Express, and no more");
    guest.config(0x44, &[0xFF]);
    assert_eq!(capability(0x44)[0], 7, "TCSEL keeps its bits");
    guest.config(0x40, &[0xFE]);
    assert_eq!(capability(0x40)[0], 1, "HDCTL is fixed");
    assert_eq!(guest.read16(0), 0x4401, "and is no power state");
}

proptest! {
    /// Any accesses: the card stays one.
    #[test]
    fn no_access_breaks_the_card(
        accesses in proptest::collection::vec((0..0x200_u64, any::<u32>(), 0..4_u32, any::<bool>()), 0..200)
    ) {
        let guest: Guest = guest();
        guest.write32(0x08, 1);
        for (offset, value, size, write) in accesses {
            let bytes = value.to_le_bytes();
            match (size, write) {
                (0, true) => guest.write(offset, [bytes[0]]),
                (1, true) => guest.write(offset, [bytes[0], bytes[1]]),
                (2, true) => guest.write(offset, bytes),
                (_, true) => guest.write(offset, [bytes, bytes].concat().try_into().unwrap_or([0_u8; 8])),
                (_, false) => { guest.read32(offset & !3); }
            }
            guest.pass(u64::from(value % 3_000_000));
        }
        guest.write32(0x08, 0);
        guest.start_up();
        prop_assert_eq!(guest.command(0, 0xF0000), 0x1234_5248);
    }
}
