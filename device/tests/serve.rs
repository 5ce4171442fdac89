//! The card as a vfio-user client finds it: what it shows and plays. What happens when a client misbehaves or
//! leaves is in `serve_troubles.rs`.

#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod guest;
mod served;

use std::os::fd::AsRawFd;

use guest::{DmaMode, HALF, HIGH, Setup, piece, wav_bytes};
use ringwave_audio::compare::compare;
use ringwave_card::controller::Config;
use ringwave_card::env::ClockMode;
use ringwave_host::SinkSpec;
use ringwave_regs::error::Error;
use ringwave_regs::{global, pages, pci, stream};
use served::Served;
use vfio_bindings::bindings::vfio::*;
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

#[test]
fn regions_and_interrupts_are_the_datasheets() {
    let served = Served::start();
    let mut guest = served.connect();
    let sizes: Vec<u64> = (0..9).map(|index| guest.client.region(index).unwrap().size).collect();
    assert_eq!(sizes, [0x4000, 0, 0x4_0000, 0, 0, 0, 0, 4096, 0]);
    let registers = guest.client.region(0).unwrap();
    assert_eq!(registers.flags & VFIO_REGION_INFO_FLAG_MMAP, 0, "every access of a register is a message");
    let pages = guest.client.region(2).unwrap();
    let read_write_map =
        VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE | VFIO_REGION_INFO_FLAG_MMAP;
    assert_eq!(pages.flags & read_write_map, read_write_map);
    assert_eq!(pages.sparse_areas.len(), 1);
    assert_eq!((pages.sparse_areas[0].offset, pages.sparse_areas[0].size), (0, 0x4_0000));
    let counts: Vec<u32> = (0..5).map(|index| guest.client.get_irq_info(index).unwrap().count).collect();
    assert_eq!(counts, [1, 2, 0, 1, 0], "INTx, MSI, no MSI-X, errors, no requests");

    assert_eq!(guest.config_read::<4>(0), [0x34, 0x12, 0x57, 0x52]);
    assert_eq!(
        guest.config_read::<4096>(0)[0x2C..0x30],
        [0x34, 0x12, 0x01, 0x00],
        "read whole, as QEMU does"
    );
    assert_eq!(guest.read(global::MAGIC), 0x5641_5752);
    assert_eq!(guest.read(global::STREAMS), 0x0101);
    assert_eq!(guest.read(global::MESSAGES), 2);
    served.leave(guest);
}

#[test]
fn music_arrives_bit_for_bit_in_both_dma_modes() {
    for (mode, rate, channels) in [
        (DmaMode::ScatterGather, 48_000, 2),
        (DmaMode::Contiguous, 48_000, 2),
        (DmaMode::ScatterGather, 44_100, 1),
    ] {
        let served = Served::start();
        let played = served.path("played.wav");
        let bytes = piece(&played, rate, u16::try_from(channels).unwrap());
        let setup = Setup { mode, rate, channels, ..Setup::USUAL };
        let mut guest = served.connect();
        guest.write(global::TRACE_MARK, 5);
        guest.play(setup, &bytes);
        let left = served.leave(guest);

        let comparison = compare(&played, &left.path("heard.wav")).unwrap();
        assert!(comparison.bit_exact(), "{mode:?} {rate} Hz: {comparison}");
        let figures = &left.stats["streams"][0];
        let frames = bytes.len() as u64 / u64::from(2 * channels);
        let packets = frames.div_ceil(1_900);
        assert_eq!(figures["frames"], frames);
        assert_eq!(figures["packets_completed"], packets);
        assert_eq!(figures["underruns"], 0);
        assert_eq!(figures["silence_frames"], 0);
        assert_eq!(figures["rate"], rate);
        let (name, entries) = match (mode, channels) {
            (DmaMode::Contiguous, _) => ("contiguous", 1),
            (DmaMode::ScatterGather, 1) => ("scatter-gather", 2),
            (DmaMode::ScatterGather, _) => ("scatter-gather", 4),
        };
        assert_eq!(figures["dma_mode"], name);
        assert_eq!(figures["sg_entries"], entries);
        let messages = &left.stats["messages"]["while_running"];
        assert_eq!(messages["reads"], 0, "position and packets are read from the pages, without a message");
        assert_eq!(messages["writes"], 0);
        assert_eq!(
            messages["written"],
            packets - 1,
            "one per packet, but for the first, which was before RUN"
        );
        assert_eq!(messages["eos"], 1);
        assert_eq!(figures["events"], packets);
        let interrupts = left.stats["interrupts"].as_u64().unwrap();
        assert!(
            (1..=packets).contains(&interrupts),
            "one message may stand for several events: {interrupts}"
        );

        let trace = std::fs::read_to_string(left.path("trace.txt")).unwrap();
        let lines: Vec<&str> = trace.lines().collect();
        let mark = lines.iter().position(|line| line.ends_with(" mark 5")).unwrap();
        let run = lines.iter().position(|line| line.ends_with(" state 0 run")).unwrap();
        let read = lines.iter().position(|line| line.contains(" dma-read 0 ")).unwrap();
        assert!(mark < run && run < read, "{trace}");
        let fetched: u64 = lines
            .iter()
            .filter_map(|line| line.split_once(" dma-read 0 0x")?.1.split_once(' ')?.1.parse::<u64>().ok())
            .sum();
        assert_eq!(fetched, bytes.len() as u64, "every byte is fetched once");
    }
}

#[test]
fn position_stands_in_the_mapped_pages() {
    let served = Served::with_sink(Some(SinkSpec::Null), "1");
    let mut guest = served.connect();
    let setup = Setup { packet: 480, ..Setup::USUAL };
    let silence = vec![0; setup.packet_bytes() * 4];
    guest.set_up(setup);
    guest.give_packet(setup, &silence, 0);
    guest.give_packet(setup, &silence, 1);
    guest.stream_write(stream::STATE, stream::STATE_RUN);
    assert_eq!(guest.status32(pages::status::STATE), stream::STATE_RUN);
    guest.wait_packets(2);
    assert_eq!(guest.status64(pages::status::ANCHOR_FRAME), 960, "stalled before packet 2");
    assert_ne!(guest.status32(pages::status::FLAGS) & pages::status::FLAG_STALLED, 0);
    assert_eq!(guest.status32(pages::status::STALLED_PACKET), 2);
    assert_eq!(guest.stream_read(stream::POSITION_LO), 960);
    // Nobody waits for a stalled card: it is left in the middle of its run.
    let left = served.leave(guest);
    assert_eq!(left.stats["streams"][0]["stalls"], 1);
}

#[test]
fn guest_ram_that_is_unmapped_is_not_touched_any_more() {
    let served = Served::start();
    let mut guest = served.connect();
    let setup = Setup { mode: DmaMode::Contiguous, ..Setup::USUAL };
    let noise = vec![0x55; setup.packet_bytes() * 8];
    guest.set_up(setup);
    guest.give_packet(setup, &noise, 0);
    guest.stream_write(stream::STATE, stream::STATE_RUN);
    guest.wait_packets(1);
    guest.client.dma_unmap(0, HALF).unwrap();
    guest.stream_write(stream::WRITTEN, 1);
    guest.wait_packets(2);
    assert_ne!(guest.status32(pages::status::DMA_FAULTS), 0);
    assert_eq!(guest.stream_read(stream::ERROR), Error::DmaUnmapped.code());
    guest.state(stream::STATE_STOP);
    guest.state(stream::STATE_ACQUIRE);
    guest.state(stream::STATE_PAUSE);
    guest.stream_write(stream::STATE, stream::STATE_RUN);
    assert_eq!(guest.stream_read(stream::STATE), stream::STATE_PAUSE, "RUN checks what it is to read");
    let left = served.leave(guest);
    let heard = wav_bytes(&left.path("heard.wav"));
    let (first, second) = heard.split_at(setup.packet_bytes());
    assert!(first.iter().all(|byte| *byte == 0x55));
    assert_eq!(second, vec![0; setup.packet_bytes()], "silence in place of what cannot be read");
}

#[test]
fn self_test_sees_and_changes_the_guests_ram() {
    use std::os::unix::fs::FileExt;
    let served = Served::start();
    let mut guest = served.connect();
    guest.ram.write_all_at(&0x1234_5678_u32.to_le_bytes(), HALF + 64).unwrap();
    guest.write(global::SELFTEST_ADDR_LO, 64);
    guest.write(global::SELFTEST_ADDR_HI, 1);
    guest.write(global::SELFTEST_BYTES, 4);
    guest.write(global::SELFTEST, 7);
    assert_eq!(guest.read(global::SELFTEST), 0);
    assert_eq!(guest.read(global::SELFTEST_SUM), global::selftest_step(7, 0x1234_5678));
    let mut word = [0; 4];
    guest.ram.read_exact_at(&mut word, HALF + 64).unwrap();
    assert_eq!(u32::from_le_bytes(word), !0x1234_5678);

    guest.config_write(0x04, &[0x02]);
    guest.write(global::SELFTEST, 7);
    assert_eq!(guest.read(global::SELFTEST), Error::BusMasterOff.code());
    guest.config_write(0x04, &[0x06]);
    guest.client.dma_unmap(HIGH, HALF).unwrap();
    guest.write(global::SELFTEST, 7);
    assert_eq!(guest.read(global::SELFTEST), Error::DmaUnmapped.code());
    served.leave(guest);
}

#[test]
fn accesses_of_other_sizes_do_nothing() {
    let served = Served::start();
    let mut guest = served.connect();
    for (offset, length) in [(0, 1), (0, 2), (2, 4), (0, 3), (0, 64)] {
        let mut data = vec![0; length];
        guest.client.region_read(pci::REGISTERS_BAR, offset, &mut data).unwrap();
        assert_eq!(data, vec![0xFF; length], "read of {length} bytes at {offset:#x}");
        guest.client.region_write(pci::REGISTERS_BAR, offset, &data).unwrap();
        assert_eq!(guest.read(global::ERROR), Error::BadAccess.code());
        guest.write(global::ERROR, 0);
    }
    let mut both = [0; 8];
    guest.client.region_read(pci::REGISTERS_BAR, 0, &mut both).unwrap();
    assert_eq!(both, *b"RWAV\x00\x00\x01\x00", "64 bits as two of 32");
    let mut page = [0; 8];
    guest.client.region_read(pci::PAGES_BAR, 4, &mut page).unwrap();
    assert_eq!(
        page[..4],
        1_000_000_000_u32.to_le_bytes(),
        "the pages by message, as while they are not mapped"
    );
    served.leave(guest);
}

#[test]
fn function_level_reset_and_device_reset_stop_everything() {
    let served = Served::start();
    let mut guest = served.connect();
    for by_config in [true, false] {
        let setup = Setup::USUAL;
        guest.set_up(setup);
        guest.give_packet(setup, &vec![1; setup.packet_bytes() * 4], 0);
        guest.stream_write(stream::STATE, stream::STATE_RUN);
        if by_config {
            guest.config_write(0x78, &0xA810_u16.to_le_bytes());
        } else {
            guest.client.reset().unwrap();
        }
        assert_eq!(guest.stream_read(stream::STATE), stream::STATE_STOP);
        assert_eq!(guest.stream_read(stream::RATE), 0);
        assert_eq!(guest.read(global::CONTROL), 0);
        assert_eq!(guest.config_read::<2>(0x04), [0, 0], "configuration space as well");
        assert_eq!(guest.status32(pages::status::STATE), stream::STATE_STOP);
        guest.enable();
    }
    served.leave(guest);
}

#[test]
fn d3hot_hides_the_registers_and_freezes_the_stream() {
    let served = Served::start();
    let mut guest = served.connect();
    let setup = Setup::USUAL;
    guest.set_up(setup);
    guest.give_packet(setup, &vec![1; setup.packet_bytes() * 4], 0);
    guest.stream_write(stream::STATE, stream::STATE_RUN);
    guest.config_write(0x44, &[3]);
    assert_eq!(guest.read(global::MAGIC), 0xFFFF_FFFF);
    guest.config_write(0x44, &[0]);
    assert_eq!(guest.read(global::MAGIC), 0x5641_5752);
    assert_eq!(guest.stream_read(stream::STATE), stream::STATE_PAUSE);
    assert_eq!(guest.stream_read(stream::RATE), 48_000);
    served.leave(guest);
}

#[test]
fn messages_that_the_client_did_not_connect_are_not_used() {
    let served = Served::with_controller(
        Config { render: 2, capture: 2, clock: ClockMode::Lockstep, ..Config::default() },
        None,
        "20",
    );
    let mut guest = served.connect();
    assert_eq!(guest.read(global::MESSAGES), 4);
    guest.config_write(0x52, &[0x21, 0]);
    guest.write(global::INT_RAISE, 0);
    assert_eq!(guest.msi.read().unwrap(), 1);
    guest.write(global::INT_RAISE, 2);
    assert_eq!(guest.read(global::ERROR), Error::BadAccess.code(), "4 are granted, but 1 is connected");
    guest.write(global::ERROR, 0);

    let events: Vec<_> = (0..4).map(|_| EventFd::new(EFD_NONBLOCK).unwrap()).collect();
    let fds: Vec<_> = events.iter().map(AsRawFd::as_raw_fd).collect();
    let connect = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
    guest.client.set_irqs(VFIO_PCI_MSI_IRQ_INDEX, connect, 0, 4, &fds).unwrap();
    guest.write(global::INT_RAISE, 2);
    assert_eq!(guest.read(global::ERROR), 0);
    assert_eq!(events[2].read().unwrap(), 1);
    served.leave(guest);
}

#[test]
fn intx_is_a_level_that_comes_again_until_it_is_acknowledged() {
    let served = Served::start();
    let mut guest = served.connect();
    guest.config_write(0x52, &[0, 0]);
    let event = EventFd::new(EFD_NONBLOCK).unwrap();
    let connect = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
    guest.client.set_irqs(VFIO_PCI_INTX_IRQ_INDEX, connect, 0, 1, &[event.as_raw_fd()]).unwrap();
    let unmask = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_UNMASK;

    guest.write(global::INT_RAISE, 0);
    assert_eq!(event.read().unwrap(), 1);
    assert_eq!(guest.config_read::<1>(0x06)[0] & 8, 8, "Status shows it");
    guest.client.set_irqs(VFIO_PCI_INTX_IRQ_INDEX, unmask, 0, 1, &[]).unwrap();
    assert_eq!(event.read().unwrap(), 1, "it was not acknowledged");
    guest.config_write(0x05, &[4]);
    guest.client.set_irqs(VFIO_PCI_INTX_IRQ_INDEX, unmask, 0, 1, &[]).unwrap();
    assert!(event.read().is_err(), "Interrupt Disable holds it back");
    assert_eq!(guest.config_read::<1>(0x06)[0] & 8, 8, "but it is pending");
    guest.config_write(0x05, &[0]);
    assert_eq!(event.read().unwrap(), 1);
    guest.write(global::INT_STATUS, 1);
    assert_eq!(guest.config_read::<1>(0x06)[0] & 8, 0);
    guest.client.set_irqs(VFIO_PCI_INTX_IRQ_INDEX, unmask, 0, 1, &[]).unwrap();
    assert!(event.read().is_err());
    assert!(guest.msi.read().is_err(), "no message without MSI");
    served.leave(guest);
}

#[test]
fn no_interrupt_comes_after_pause_has_returned() {
    let served = Served::with_sink(Some(SinkSpec::Null), "1000");
    let mut guest = served.connect();
    let setup = Setup { packet: 64, ..Setup::USUAL };
    guest.set_up(setup);
    guest.stream_write(stream::WRITTEN, 0x7FFF_0000);
    for _ in 0..200 {
        guest.stream_write(stream::STATE, stream::STATE_RUN);
        guest.stream_write(stream::STATE, stream::STATE_PAUSE);
        let _ = guest.msi.read();
        let packets = guest.status32(pages::status::PACKET_COUNT);
        std::thread::sleep(std::time::Duration::from_micros(300));
        assert!(guest.msi.read().is_err(), "an event after PAUSE");
        assert_eq!(guest.status32(pages::status::PACKET_COUNT), packets);
    }
    assert_ne!(guest.status32(pages::status::PACKET_COUNT), 0, "the test must have run something");
    served.leave(guest);
}
