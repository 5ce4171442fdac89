//! In what order a write is judged, and what a card without a feature says. DATASHEET 4.1.

use crate::support::TestCard;
use ringwave_card::controller::Config;
use ringwave_regs::error::Error;
use ringwave_regs::{global, stream as regs};

/// DATASHEET 4.1: register, feature, state, value. Each write is wrong in all the later ways too, where there
/// are such.
#[test]
fn writes_are_judged_in_order() {
    let none = Error::BadAccess;
    let feature = Error::NotSupported;
    let state = Error::BadState;
    let (stop, pause, run) = (regs::STATE_STOP, regs::STATE_PAUSE, regs::STATE_RUN);
    let wild = 0xFFFF_FFF7;
    // Capture stream or not, card with VOLUME or not, state, register, value, and what it is refused with.
    let cases = [
        (false, true, stop, 0x70, wild, Some(none)),
        (false, true, run, regs::LOCKSTEP, wild, Some(state)),
        (true, true, run, regs::LOCKSTEP, wild, Some(state)),
        (true, true, pause, regs::LOCKSTEP, wild, None),
        (false, true, stop, regs::LOCKSTEP, wild, None),
        (false, true, stop, regs::LOOK, wild, None),
        (true, false, run, regs::LOOK, wild, None),
        (true, false, run, 0xA0, wild, Some(none)),
        (true, true, stop, regs::EOS, wild, Some(feature)),
        (true, true, pause, regs::EOS, wild, Some(feature)),
        (true, true, run, regs::EOS, 0, Some(feature)),
        (false, true, stop, regs::EOS, wild, Some(state)),
        (false, true, pause, regs::EOS, wild, Some(Error::BadEos)),
        (false, false, stop, regs::MUTE, 0, Some(feature)),
        (false, false, run, regs::VOLUME_7, wild, Some(feature)),
        (true, false, pause, regs::VOLUME_0, 1, Some(feature)),
        (false, true, run, regs::VOLUME_0, 1, Some(Error::BadVolume)),
        (false, true, stop, regs::VOLUME_7, 0xFF9F_FFFF, Some(Error::BadVolume)),
        (true, true, pause, regs::VOLUME_3, i32::MIN.cast_unsigned(), Some(Error::BadVolume)),
        (false, true, run, regs::VOLUME_0, 0xFFA0_0000, None),
        (true, true, stop, regs::MUTE, wild, None),
        (false, true, run, regs::FORMAT, wild, Some(state)),
        (false, true, stop, regs::FORMAT, wild, Some(Error::BadFormat)),
        (true, true, pause, regs::RATE, wild, Some(state)),
        (true, true, stop, regs::RATE, wild, Some(Error::BadRate)),
        (false, true, pause, regs::DMA_MODE, wild, Some(state)),
        (false, true, stop, regs::DMA_MODE, wild, Some(feature)),
        (false, true, run, regs::RING_BYTES, wild, Some(state)),
        (false, true, run, regs::PACKETS, wild, Some(state)),
        (false, true, run, regs::SG_ENTRIES, wild, Some(state)),
        (false, true, run, regs::DMA_ADDR_LO, wild, Some(state)),
        (false, true, run, regs::DMA_ADDR_HI, wild, Some(state)),
        (true, true, stop, regs::WRITTEN, wild, Some(state)),
        (false, true, run, regs::WRITTEN, wild, Some(Error::BadPacket)),
        (false, true, stop, regs::START_PACKET, wild, Some(state)),
        (true, true, run, regs::START_FRAME_LO, wild, Some(state)),
        (true, true, pause, regs::START_FRAME_HI, wild, None),
        (false, true, pause, regs::STATE, wild, Some(state)),
        (false, true, run, regs::ERROR, wild, None),
        (false, true, run, regs::INT_ENABLE, wild, None),
        (false, true, run, regs::POSITION_CONTROL, wild, None),
        (false, true, stop, regs::FIFO_FRAMES, wild, None),
        (true, true, run, regs::PACKET_COUNT, wild, None),
        (true, false, run, regs::CAPS, wild, None),
    ];
    for (capture, volume, state, register, value, refused) in cases {
        let [render, capture] = if capture { [0, 1] } else { [1, 0] };
        let mut dut = TestCard::with(Config { render, capture, volume, ..Config::default() });
        dut.set_up(48_000, 480, 2);
        for next in regs::STATE_ACQUIRE..=state {
            dut.state(next);
        }
        if state != regs::STATE_STOP {
            dut.write(regs::WRITTEN, 5);
        }
        let before = dut.read(register);
        let error = dut.refused(register, value);
        let expected = refused.map_or(0, Error::code);
        assert_eq!(error, expected, "write of {value:#x} to {register:#x} in state {state}");
        assert_eq!(dut.status().error, expected, "in the status page too");
        if refused.is_some() {
            assert_eq!(dut.read(register), before, "{register:#x} changed");
        }
    }
}

#[test]
fn card_without_volume_says_so() {
    let mut dut = TestCard::with(Config { volume: false, ..Config::default() });
    assert_eq!(dut.get(global::FEATURES), 0b1_1011_1111);
    for register in [regs::MUTE, regs::VOLUME_0, regs::VOLUME_7] {
        assert_eq!(dut.refused(register, 0), Error::NotSupported.code());
        assert_eq!((dut.read(register), dut.read(regs::ERROR)), (0, Error::NotSupported.code()));
    }
}
