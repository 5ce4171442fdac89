//! After a client has left, the next one finds a card that no byte tells from a new one: everything that can
//! be read is compared.

use std::collections::BTreeMap;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::guest::{DmaMode, Guest, HALF, Setup};
use ringwave::engine::{Engine, EngineConfig};
use ringwave::serve::serve_until;
use ringwave_card::controller::Config;
use ringwave_card::env::ClockMode;
use ringwave_card::pci::Identity;
use ringwave_card::{Card, CardConfig};
use ringwave_host::SinkSpec;
use ringwave_regs::error::Error;
use ringwave_regs::{global, pages, pci, stream};
use ringwave_vfio_user::{Client, Listener, Stop};
use vfio_bindings::bindings::vfio::*;
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

/// A card that serves until it is dropped.
struct Served {
    dir: tempfile::TempDir,
    stop: Stop,
    server: Option<std::thread::JoinHandle<()>>,
    engine: Option<Engine<Card>>,
}

impl Served {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let card = CardConfig {
            controller: Config { render: 4, clock: ClockMode::Lockstep, ..Config::default() },
            identity: Identity::default(),
            speed: "20".parse().unwrap(),
            trace: false,
        }
        .power_on();
        let card = Arc::new(card.unwrap());
        let socket = Listener::bind(&dir.path().join("card.sock")).unwrap();
        let files = EngineConfig { sink: SinkSpec::Null, stats: None, trace: None };
        let engine = Engine::start(Arc::clone(&card), files).unwrap();
        let stop = Stop::new().unwrap();
        let its_stop = stop.clone();
        let server = std::thread::spawn(move || serve_until(&its_stop, &card, &socket, false).unwrap());
        Self { dir, stop, server: Some(server), engine: Some(engine) }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("card.sock")
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop.stop();
        self.server.take().unwrap().join().unwrap();
        self.engine.take().unwrap().end();
    }
}

/// Everything that a client can read, by its name.
fn read_registers(socket: &Path) -> BTreeMap<String, u64> {
    let mut client = Client::connect(socket).unwrap();
    let mut seen = BTreeMap::new();
    let info = client.device_info().unwrap();
    seen.insert("device flags".into(), info.flags.into());
    for index in 0..info.regions {
        let region = client.region_info(index).unwrap();
        seen.insert(format!("region {index} size"), region.size);
        seen.insert(format!("region {index} flags"), region.flags.into());
        seen.insert(format!("region {index} areas"), region.areas.len() as u64);
    }
    for index in 0..info.irqs {
        let irq = client.irq_info(index).unwrap();
        seen.insert(format!("interrupt {index} count"), irq.count.into());
        seen.insert(format!("interrupt {index} flags"), irq.flags.into());
    }
    let mut config = vec![0; 4096];
    client.read(7, 0, &mut config).unwrap();
    for (at, byte) in config.iter().enumerate() {
        seen.insert(format!("config {at:#05x}"), (*byte).into());
    }
    // Through its mapping, as a guest does.
    let bar = client.region_info(pci::PAGES_BAR).unwrap();
    let pages = bar.map(0..=u64::from(pci::PAGES_BYTES - 1)).unwrap();
    for at in (0..pci::PAGES_BYTES).step_by(4) {
        seen.insert(format!("pages {at:#07x}"), pages.read(at as usize).unwrap().into());
    }
    for at in (0..pci::REGISTERS_BYTES).step_by(4) {
        let value = client.read32(pci::REGISTERS_BAR, at.into()).unwrap();
        seen.insert(format!("register {at:#06x}"), value.into());
    }
    seen
}

/// What a client does.
type Dirty = fn(&mut Guest);

/// What may differ, because it goes on over clients: the clock, and the counters of the card's own life.
fn goes_on(name: &str) -> bool {
    let register = |register: u32| name == format!("register {register:#06x}");
    let clock = |field: u32| name == format!("pages {:#07x}", pages::CLOCK_PAGE + field);
    let status = |field: u32| {
        (0..stream::STREAMS_MAX).any(|index| {
            pages::status_page(index).is_some_and(|page| name == format!("pages {:#07x}", page + field))
        })
    };
    register(global::CLOCK_LO)
        || register(global::CLOCK_HI)
        || [pages::clock::SEQ, pages::clock::CLOCK, pages::clock::CLOCK + 4, pages::clock::RESETS]
            .into_iter()
            .any(clock)
        || [
            pages::status::SEQ,
            pages::status::EPOCH,
            pages::status::ANCHOR_CLOCK,
            pages::status::ANCHOR_CLOCK + 4,
            pages::status::MARK_TAG,
        ]
        .into_iter()
        .any(status)
}

/// Leaves a stream that stalls in the middle of its run, with faults, underruns and an armed end, in
/// lockstep; and memory full of noise.
fn stalls(guest: &mut Guest) {
    let setup = Setup { mode: DmaMode::Contiguous, ..Setup::USUAL };
    guest.set_up(setup);
    guest.stream_write(stream::POSITION_CONTROL, u32::MAX);
    guest.give_packet(setup, &vec![0x55; 100 * setup.packet_bytes()], 0);
    guest.stream_write(stream::STATE, stream::STATE_RUN);
    guest.wait_packets(1);
    guest.client.dma_unmap(0, HALF).unwrap();
    guest.stream_write(stream::WRITTEN, 1);
    guest.wait_packets(2);
    guest.stream_write(stream::EOS, stream::EOS_ARM | 4);
    assert_ne!(
        guest.status32(pages::status::FLAGS) & pages::status::FLAG_STALLED,
        0,
        "it waits for packet 2"
    );
    assert_ne!(guest.status32(pages::status::DMA_FAULTS), 0);
    assert_ne!(guest.stream_read(stream::ERROR), 0);
}

/// Every register of every stream and of the card, twice, then the pages.
fn scribbles(guest: &mut Guest) {
    for value in [u32::MAX, 0x5A5A_5A51] {
        for offset in (0..pci::REGISTERS_BYTES).step_by(4).filter(|offset| *offset != global::CONTROL) {
            guest.write(offset, value);
        }
    }
    for offset in (0..u64::from(pci::PAGES_BYTES)).step_by(4096) {
        guest.client.region_write(pci::PAGES_BAR, offset, &[0xA5; 4096]).unwrap();
    }
}

/// INTx asserted and masked, all messages connected, interrupts pending.
fn interrupts(guest: &mut Guest) {
    let events: Vec<_> = (0..4).map(|_| EventFd::new(EFD_NONBLOCK).unwrap()).collect();
    let fds: Vec<_> = events.iter().map(AsRawFd::as_raw_fd).collect();
    let connect = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
    guest.client.set_irqs(VFIO_PCI_MSI_IRQ_INDEX, connect, 0, 4, &fds).unwrap();
    guest.config_write(0x52, &[0x21, 0]);
    guest.write(global::INT_RAISE, 3);
    assert_eq!(events[3].read().unwrap(), 1);
    guest.config_write(0x52, &[0, 0]);
    guest.client.set_irqs(VFIO_PCI_INTX_IRQ_INDEX, connect, 0, 1, &fds[..1]).unwrap();
    guest.write(global::INT_RAISE, 0);
    assert_eq!(guest.config_read::<1>(0x06)[0] & 8, 8, "the line is high");
    let mask = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_MASK;
    guest.client.set_irqs(VFIO_PCI_INTX_IRQ_INDEX, mask, 0, 1, &[]).unwrap();
}

/// Every byte of configuration space, but for the power state and the reset in it, which come last.
fn configures(guest: &mut Guest) {
    for byte in (0..4096).filter(|byte| !(0x44..0x48).contains(byte) && !(0x78..0x7A).contains(byte)) {
        guest.config_write(byte, &[0xFF]);
    }
    guest.config_write(0x44, &[3]);
    assert_eq!(guest.read(global::MAGIC), u32::MAX, "asleep");
}

#[test]
fn whatever_a_client_did_the_next_finds_a_card_like_new() {
    let new = read_registers(&Served::start().path());
    assert!(new.len() > 4096 + 0x4_0000 / 4 + 0x4000 / 4);
    let served = Served::start();
    let ways: [(&str, &[Dirty]); 5] = [
        ("a stream that stalls", &[stalls]),
        ("a scribbler", &[scribbles]),
        ("interrupts", &[interrupts]),
        ("configuration space", &[configures]),
        ("all of it", &[interrupts, scribbles, configures]),
    ];
    for (name, ways) in ways {
        let mut guest = Guest::connect(&served.path());
        for dirty in ways {
            dirty(&mut guest);
        }
        drop(guest);
        let now = read_registers(&served.path());
        assert_eq!(now.len(), new.len(), "{name}");
        let differs = |(thing, value): &(&String, &u64)| now.get(*thing) != Some(*value) && !goes_on(thing);
        let differing: Vec<_> =
            new.iter().filter(differs).map(|(thing, value)| (thing, *value, now[thing])).take(20).collect();
        assert!(differing.is_empty(), "after {name}: (what, new, now) {differing:x?}");
    }
}

#[test]
fn nothing_of_the_last_client_is_reached_or_told() {
    let served = Served::start();
    let mut first = Guest::connect(&served.path());
    interrupts(&mut first);
    let (ram, msi) = (first.ram.try_clone().unwrap(), first.msi.try_clone().unwrap());
    first
        .client
        .set_irqs(
            VFIO_PCI_MSI_IRQ_INDEX,
            VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
            0,
            1,
            &[msi.as_raw_fd()],
        )
        .unwrap();
    let _ = msi.read();
    drop(first);

    let mut client = Client::connect(&served.path()).unwrap();
    // Bus Master Enable and MSI, but no memory and no eventfd of its own.
    client.write(7, 0x04, &[0x06, 0]).unwrap();
    client.write(7, 0x52, &[0x01, 0]).unwrap();
    let registers = pci::REGISTERS_BAR;
    client.write32(registers, global::CONTROL.into(), global::CONTROL_INT_ENABLE).unwrap();
    client.write32(registers, global::SELFTEST_ADDR_LO.into(), 64).unwrap();
    client.write32(registers, global::SELFTEST_BYTES.into(), 4).unwrap();
    client.write32(registers, global::SELFTEST.into(), 7).unwrap();
    assert_eq!(client.read32(registers, global::SELFTEST.into()).unwrap(), Error::DmaUnmapped.code());
    client.write32(registers, global::INT_RAISE.into(), 0).unwrap();
    assert!(msi.read().is_err(), "no interrupt for the one who left");
    let mut word = [1; 4];
    std::os::unix::fs::FileExt::read_exact_at(&ram, &mut word, 64).unwrap();
    assert_eq!(word, [0; 4], "its memory is as it left it");
}
