use std::ptr::null_mut;
use std::rc::Rc;

use nt::host;
use nt::interrupt::{Granted, Interrupt, ServiceRoutine};
use nt::status::{STATUS_DEVICE_CONFIGURATION_ERROR, STATUS_DEVICE_NOT_READY};

use super::simulated::SimulatedDevice;
use super::simulated::sound::state;
use super::transport::{ACCESS_PLATFORM, VERSION_1};
use super::*;
use crate::hw::format::{AudioFormat, SampleFormat};
use crate::hw::geometry::BufferGeometry;
use crate::hw::{Card, Direction, Mark};

mod capture;
mod life;
mod paced;
mod render;

/// 48 kHz, S16, stereo.
const FORMAT: AudioFormat = AudioFormat { sample: SampleFormat::S16, channels: 2, rate: 48_000 };
/// Two packets of 10 ms.
const GEOMETRY: BufferGeometry = BufferGeometry { bytes: 3840, packets: 2, frame_bytes: 4 };
const RENDER: u32 = 0;
const CAPTURE: u32 = 1;

/// A cyclic buffer in pages of the test's own.
#[derive(Clone, Copy)]
#[repr(align(4096))]
struct Page([u8; 4096]);

struct Pages(Vec<Page>);

impl Pages {
    fn new(count: usize) -> Self {
        Self((0..count).map(|_| Page([0; 4096])).collect())
    }

    fn addresses(&self) -> Vec<u64> {
        self.0.iter().map(|page| (&raw const *page).expose_provenance() as u64).collect()
    }

    fn set(&mut self, offset: usize, bytes: &[u8]) {
        for (index, byte) in (offset..).zip(bytes) {
            self.0[index / 4096].0[index % 4096] = *byte;
        }
    }

    fn get(&self, offset: usize, count: usize) -> Vec<u8> {
        let byte = |index: usize| -> u8 {
            let page = &raw const self.0[index / 4096];
            // SAFETY: inside of the page, which the device writes.
            unsafe { page.cast::<u8>().add(index % 4096).read_volatile() }
        };
        (offset..offset + count).map(byte).collect()
    }
}

/// The service routine and DPC of a driver in miniature.
struct Routine(Rc<VirtioSound>);

// SAFETY: each test is one thread.
unsafe impl Send for Routine {}
// SAFETY: as above.
unsafe impl Sync for Routine {}

thread_local! {
    /// A DPC is queued.
    static QUEUED: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

impl ServiceRoutine for Routine {
    fn service(&self, message: Option<u32>) -> bool {
        // SAFETY: the card is removed after the connection.
        let ours = message.is_some() || unsafe { self.0.acknowledge_line() };
        QUEUED.set(QUEUED.get() | ours);
        ours
    }
}

/// A device that works, with its driver's card.
struct Fixture {
    device: SimulatedDevice,
    card: Rc<VirtioSound>,
    pages: Pages,
    _interrupt: Interrupt<Routine>,
    /// Mappings of others.
    mappings: usize,
}

impl Fixture {
    fn new() -> Self {
        Self::of(SimulatedDevice::new(), 1)
    }

    fn of(device: SimulatedDevice, messages: u32) -> Self {
        nt::klog::init(log::LevelFilter::Info);
        let mappings = host::io_mappings();
        let card = Rc::new(device.find().unwrap());
        host::grant_messages(messages);
        // SAFETY: the fakes don't look at the device.
        let interrupt = unsafe { Interrupt::connect(null_mut(), Routine(card.clone())) }.unwrap();
        card.enable_interrupts(interrupt.granted()).unwrap();
        assert!(card.is(phase::UP), "{:?}", host::take_debug_output());
        Self { device, card, pages: Pages::new(8), _interrupt: interrupt, mappings }
    }

    /// Runs the DPC, if an interrupt has come.
    fn dpc(&self) {
        self.device.deliver();
        while QUEUED.take() {
            host::at_irql(nt::sys::DISPATCH_LEVEL, || self.card.on_interrupt());
            self.device.deliver();
        }
    }

    /// The device completes so many messages, each with its interrupt.
    fn complete(&self, stream: u32, count: usize) {
        for _ in 0..count {
            assert!(self.device.with(|inside| inside.complete(stream as usize)), "the device has none");
            self.dpc();
        }
    }

    fn held(&self, stream: u32) -> usize {
        self.device.with(|inside| inside.sound.streams[stream as usize].held.len())
    }

    fn device_state(&self, stream: u32) -> u8 {
        self.device.with(|inside| inside.sound.streams[stream as usize].state)
    }

    fn attach(&self, stream: u32, geometry: BufferGeometry) {
        let pages = self.pages.addresses();
        self.card.attach(stream, &pages.as_slice(), geometry.bytes).unwrap();
        self.card.configure(stream, FORMAT, geometry).unwrap();
    }

    fn raise(&self, stream: u32, states: &[StreamState]) {
        for state in states {
            self.card.set_state(stream, *state).unwrap();
        }
    }
}

/// What was logged since the last time.
fn log() -> String {
    host::take_debug_output().into_iter().map(|(_, _, line)| line).collect()
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.card.disable_interrupts();
        self.card.remove();
        if !std::thread::panicking() {
            assert_eq!(host::io_mappings(), self.mappings, "a BAR is still mapped");
        }
    }
}

const fn mark(number: u32) -> Mark {
    Mark { number, end_of_stream: None }
}
