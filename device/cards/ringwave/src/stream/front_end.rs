//! The client's side of a stream as the registers, the mark page and the cyclic buffer make it. DATASHEET 4
//! to 7.

use super::marks::MarkPage;
use crate::dma::{Bus, Limits, Ring};
use crate::env::{Diagnose, Pages};
use crate::pages::StatusPage;
use ringwave_engine::stream::counters::Counters;
use ringwave_engine::stream::params::BufferGeometry;
use ringwave_engine::stream::transport::{FrameTransport, FrontEnd, StreamEvent, TransportError};
use ringwave_engine::stream::validity::{Mark, Refresh, Validity};
use ringwave_guest_memory::GuestMemory;
use ringwave_regs::error::Error;
use ringwave_regs::stream as regs;
use ringwave_trace::{CardEvent, CardLog, Diagnostic, Dma};

/// What a guest is told of a stream, and what it has asked to be told. It outlives STOP.
#[derive(Debug)]
pub(super) struct Notices {
    /// Number of the stream.
    pub(super) index: u32,
    pub(super) page: StatusPage,
    pub(super) marks: MarkPage,
    /// The register `INT_ENABLE`.
    pub(super) int_enable: u32,
    /// An event that the controller has not collected yet.
    pub(super) pending: bool,
    /// Events since the host cleared its figures.
    pub(super) events: u64,
    /// Marks since then that the guest did not tell of.
    pub(super) polled_marks: u64,
}

impl Notices {
    pub(super) fn new(index: u32) -> Self {
        Self {
            index,
            page: StatusPage::default(),
            marks: MarkPage::new(index),
            int_enable: 0,
            pending: false,
            events: 0,
            polled_marks: 0,
        }
    }

    /// Something that `INT_ENABLE` knows as `kind` has happened.
    pub(super) fn event(&mut self, kind: u32) {
        if self.int_enable & kind != 0 {
            self.page.events = self.page.events.wrapping_add(1);
            self.events += 1;
            self.pending = true;
        }
    }

    /// A mark was found that the guest did not tell of.
    pub(super) fn polled_mark(&mut self) {
        self.polled_marks = self.polled_marks.saturating_add(1);
    }
}

/// A stream's client during one call.
pub(super) struct RegisterFrontEnd<'a> {
    pub(super) notices: &'a mut Notices,
    pub(super) geometry: BufferGeometry,
    /// The snapshot of the buffer; `None` outside RUN.
    pub(super) ring: Option<&'a Ring>,
    pub(super) memory: &'a dyn GuestMemory,
    pub(super) limits: Limits,
    pub(super) pages: &'a dyn Pages,
    pub(super) log: CardLog<'a, Error>,
    /// Device clock: not before the end that is handled, which may be earlier than the look at the mark page.
    pub(super) now: u64,
}

impl<'a> RegisterFrontEnd<'a> {
    /// The buffer, and the way there.
    fn buffer(&mut self) -> Result<(&'a Ring, Bus<'_>), TransportError> {
        let who = Dma::Stream(self.notices.index);
        let bus = Bus { memory: self.memory, log: self.log.reborrow(), who, limits: self.limits };
        Ok((self.ring.ok_or(TransportError::Unreachable)?, bus))
    }
}

impl FrameTransport for RegisterFrontEnd<'_> {
    fn read(&mut self, frame: u64, into: &mut [u8]) -> Result<(), TransportError> {
        let offset = self.geometry.ring_offset(frame);
        let (ring, mut bus) = self.buffer()?;
        ring.read(&mut bus, offset, into).map_err(transport_error)
    }

    fn write(&mut self, frame: u64, from: &[u8]) -> Result<(), TransportError> {
        let offset = self.geometry.ring_offset(frame);
        let (ring, mut bus) = self.buffer()?;
        ring.write(&mut bus, offset, from).map_err(transport_error)
    }
}

impl FrontEnd for RegisterFrontEnd<'_> {
    fn refresh(&mut self, why: Refresh) -> Option<Mark> {
        let tag = self.notices.page.mark_tag();
        self.notices.marks.read(tag, why, self.pages, self.now)
    }

    fn announce_wait(&mut self) {
        self.notices.marks.announce_wait(self.pages);
    }

    fn announce_packet(&mut self, count: u32, counters: &Counters) {
        self.notices.page.packet_count = count;
        self.notices.page.publish(self.pages, self.notices.index, counters);
        self.pages.fence();
    }

    fn notify(&mut self, event: StreamEvent) {
        let stream = self.notices.index;
        match event {
            StreamEvent::PacketEnd { count } => {
                self.log.record(CardEvent::Packet { stream, count });
                self.notices.event(regs::INT_PACKET);
            }
            StreamEvent::EndBehind => self.notices.event(regs::INT_PACKET),
            StreamEvent::Ended => self.log.record(CardEvent::Ended { stream }),
            StreamEvent::Stall { packet } => self.log.record(CardEvent::Stall { stream, packet }),
            StreamEvent::MarkSeen { valid, why } => {
                if self.notices.marks.found(why) {
                    self.notices.polled_mark();
                }
                if let Validity::Packet(packet) = valid {
                    self.log.record(CardEvent::MarkSeen { stream, packet });
                }
            }
            StreamEvent::Underrun { packet } => {
                self.log.diagnose(Diagnostic::Underrun { stream, packet });
            }
            StreamEvent::Overrun { packet } => {
                self.log.diagnose(Diagnostic::Overrun { stream, packet });
            }
            StreamEvent::Fault(error) => {
                let error = match error {
                    TransportError::NotPermitted => Error::BusMasterOff,
                    TransportError::Unreachable => Error::DmaUnmapped,
                };
                self.notices.page.error = error.code();
                self.notices.event(regs::INT_ERROR);
                self.log.diagnose(Diagnostic::DmaFault { stream, error });
            }
        }
    }
}

/// What a transfer of data can fail with: the errors of tables were found at RUN.
fn transport_error(error: Error) -> TransportError {
    if error == Error::BusMasterOff { TransportError::NotPermitted } else { TransportError::Unreachable }
}
