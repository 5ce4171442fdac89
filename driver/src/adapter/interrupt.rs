//! The service routine: it only finds out whose interrupt it is and queues the DPC. There the card takes what
//! has arrived, then the open streams and the jacks that the interrupt may be about are looked at. The same
//! is done when a timer expires that is set by what the card says ([`Card::next_look`]).

use alloc::boxed::Box;
use core::ptr::NonNull;

use nt::dpc::Dpc;
use nt::interrupt::ServiceRoutine;
use nt::timer::{Timer, TimerRoutine, TimerSwitch};

use super::jacks::Jacks;
use super::streams::Streams;
use crate::hw::Card;

/// What the DPC works on, behind the timer that calls for a look when no interrupt does.
pub struct DpcContext {
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
        Self { card, streams: Streams::default(), jacks: Jacks::default() }
    }

    /// The DPC.
    pub fn on_interrupt(timer: &Timer<Self>) {
        timer.routine().look(timer.switch());
    }

    /// At DISPATCH_LEVEL, in the DPC and when the timer has expired.
    ///
    /// The timer is set for the next look before the streams are visited. What the card tells moves when
    /// anybody asks it: a packet that ends after the timer was set is found by the timer, one that ended
    /// before by the visit. Set after the visit, a packet that another processor saw in between would be
    /// signalled with the next one.
    fn look(&self, timer: &TimerSwitch) {
        let streams = self.card.on_interrupt();
        timer.set_100ns(|| self.card.next_look());
        self.streams.on_interrupt(streams);
        self.jacks.on_interrupt(streams);
    }
}

impl TimerRoutine for DpcContext {
    fn on_timer(&self, timer: &TimerSwitch) {
        self.look(timer);
    }
}

/// What the service routine needs, reached without a lock: it runs above DISPATCH_LEVEL.
pub struct Isr(NonNull<Dpc<Timer<DpcContext>>>);

// SAFETY: a Dpc may be used from any thread, and outlives the connection (contract of `Isr::new`).
unsafe impl Send for Isr {}
// SAFETY: as above.
unsafe impl Sync for Isr {}

impl Isr {
    /// A routine that queues `dpc`.
    ///
    /// # Safety
    /// `dpc` stays where it is until the interrupt is disconnected, and its card is not removed before.
    pub const unsafe fn new(dpc: &Dpc<Timer<DpcContext>>) -> Self {
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
        let ours = message.is_some() || unsafe { dpc.context().routine().card.acknowledge_line() };
        if ours {
            // Queued already is as good: the DPC looks at everything.
            dpc.queue();
        }
        ours
    }
}

#[cfg(test)]
mod tests {
    use core::sync::atomic::{AtomicU64, Ordering};

    use nt::host;
    use nt::interrupt::Interrupt;

    use super::*;
    use crate::adapter::jacks::JackListener;
    use crate::adapter::streams::OpenStream;
    use crate::hw::fake::FakeCard;

    /// How often it was visited when the timer was set for then.
    struct Due(AtomicU64);

    impl Due {
        fn visit(&self) {
            self.0.fetch_add(u64::from(host::timer_due_100ns() == Some(70_000)), Ordering::Relaxed);
        }
    }

    impl JackListener for Due {
        fn jack_may_have_changed(&self) {
            self.visit();
        }
    }

    impl OpenStream for Due {
        fn on_interrupt(&self) {
            self.visit();
        }
        fn on_power(&self) {}
    }

    /// What another processor sees of the card after that is found by the timer.
    #[test]
    fn the_timer_is_set_before_anything_is_visited() {
        static DUE: Due = Due(AtomicU64::new(0));
        let card = FakeCard::default();
        card.change(|inside| inside.next_look = Some(70_000));
        let timer = Timer::try_new(DpcContext::new(Box::new(card))).unwrap();
        // SAFETY: a static.
        unsafe { timer.routine().jacks.listen(0, &DUE) };
        timer.routine().streams.visit_always(0, &DUE);
        host::at_irql(nt::sys::DISPATCH_LEVEL, || DpcContext::on_interrupt(&timer));
        assert_eq!(DUE.0.load(Ordering::Relaxed), 2, "the stream, and the jack");
    }

    #[test]
    fn messages_queue_the_dpc_and_a_strange_line_does_not() {
        for (messages, line, ours) in [(1, false, true), (0, false, false), (0, true, true)] {
            host::grant_messages(messages);
            let card = FakeCard::default();
            card.change(|inside| inside.line = line);
            let timer = Timer::try_new(DpcContext::new(Box::new(card.clone()))).unwrap();
            let dpc = Dpc::try_new(timer, DpcContext::on_interrupt).unwrap();
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
