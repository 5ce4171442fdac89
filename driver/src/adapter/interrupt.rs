//! The service routine: it only finds out whose interrupt it is and queues the DPC. There the card takes what
//! has arrived, then the open streams and the jacks that the interrupt may be about are looked at. The same is
//! done when a timer expires that is set by what the card says ([`Card::next_look`]).

use alloc::boxed::Box;
use core::ptr::NonNull;

use nt::dpc::Dpc;
use nt::interrupt::ServiceRoutine;
use nt::timer::{Timer, TimerRoutine};

use super::jacks::Jacks;
use super::streams::Streams;
use crate::hw::Card;

/// What the DPC works on.
pub struct DpcContext {
    /// Calls for a look when no interrupt does. The first to be dropped: its routine reaches all the rest.
    pub timer: Timer,
    /// The card.
    pub card: Box<dyn Card>,
    /// The open streams.
    pub streams: Streams,
    /// The jacks.
    pub jacks: Jacks,
}

impl DpcContext {
    /// Of a card without open streams.
    pub fn new(card: Box<dyn Card>) -> Self {
        Self { timer: Timer::new(), card, streams: Streams::default(), jacks: Jacks::default() }
    }

    /// The DPC, at DISPATCH_LEVEL.
    pub fn on_interrupt(&self) {
        let streams = self.card.on_interrupt();
        self.streams.on_interrupt(streams);
        self.jacks.on_interrupt(streams);
        self.set_timer();
    }

    /// Sets the timer for the next look, if there is to be one. At most DISPATCH_LEVEL.
    pub fn set_timer(&self) {
        self.timer.set_100ns(|| self.card.next_look());
    }
}

impl TimerRoutine for DpcContext {
    fn on_timer(&self) {
        self.on_interrupt();
    }
}

/// What the service routine needs, reached without a lock: it runs above DISPATCH_LEVEL.
pub struct Isr(NonNull<Dpc<DpcContext>>);

// SAFETY: a Dpc may be used from any thread, and outlives the connection (contract of `Isr::new`).
unsafe impl Send for Isr {}
// SAFETY: as above.
unsafe impl Sync for Isr {}

impl Isr {
    /// A routine that queues `dpc`.
    ///
    /// # Safety
    /// `dpc` stays where it is until the interrupt is disconnected, and its card is not removed before.
    pub const unsafe fn new(dpc: &Dpc<DpcContext>) -> Self {
        Self(NonNull::from_ref(dpc))
    }
}

impl ServiceRoutine for Isr {
    fn service(&self, message: Option<u32>) -> bool {
        // SAFETY: alive while the interrupt is connected (contract of `new`).
        let dpc = unsafe { self.0.as_ref() };
        // A message is ours alone and needs no acknowledgement; with fewer messages granted than streams its
        // number says nothing. A line may be another device's.
        // SAFETY: the card is not removed while the interrupt is connected (contract of `new`).
        let ours = message.is_some() || unsafe { dpc.context().card.acknowledge_line() };
        if ours {
            // Queued already is as good: the DPC looks at everything.
            dpc.queue();
        }
        ours
    }
}

#[cfg(test)]
mod tests {
    use nt::host;
    use nt::interrupt::Interrupt;

    use super::*;
    use crate::hw::fake::FakeCard;

    #[test]
    fn messages_queue_the_dpc_and_a_strange_line_does_not() {
        for (messages, line, ours) in [(1, false, true), (0, false, false), (0, true, true)] {
            host::grant_messages(messages);
            let card = FakeCard::default();
            card.change(|inside| inside.line = line);
            let dpc =
                Dpc::try_new(DpcContext::new(Box::new(card.clone())), DpcContext::on_interrupt).unwrap();
            // SAFETY: the connection ends before both.
            let interrupt = unsafe { Interrupt::connect(core::ptr::null_mut(), Isr::new(&dpc)) }.unwrap();
            assert_eq!(host::interrupt(0), Some(ours));
            // Queueing again tells whether it is queued.
            assert_eq!(dpc.queue(), !ours, "{messages} message(s), line {line}");
            host::run_dpcs();
            drop(interrupt);
            assert_eq!(host::interrupt(0), None);
        }
    }
}
