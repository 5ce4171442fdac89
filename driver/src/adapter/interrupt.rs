//! The service routine: it only finds out whose interrupt it is and queues the DPC, which looks at the status pages.
//! Any interrupt may stand for any stream and for any of its events (DATASHEET 2.1), so the DPC looks at everything.

use core::ptr::NonNull;

use nt::dpc::Dpc;
use nt::interrupt::ServiceRoutine;

use super::jacks::Jacks;
use super::streams::Streams;
use crate::hw::Card;

/// Who is told of interrupts.
#[derive(Default)]
pub struct Told {
    /// The open streams.
    pub streams: Streams,
    /// The jacks.
    pub jacks: Jacks,
}

impl Told {
    /// The DPC, at DISPATCH_LEVEL.
    pub fn on_interrupt(&self) {
        self.streams.on_interrupt();
        self.jacks.on_interrupt();
    }
}

/// What the service routine needs, reached without a lock: it runs above DISPATCH_LEVEL.
pub struct Isr {
    dpc: NonNull<Dpc<Told>>,
    card: NonNull<dyn Card>,
}

// SAFETY: both may be used from any thread, and outlive the connection (contract of `Isr::new`).
unsafe impl Send for Isr {}
// SAFETY: as above.
unsafe impl Sync for Isr {}

impl Isr {
    /// A routine that queues `dpc`.
    ///
    /// # Safety
    /// Both stay where they are until the interrupt is disconnected, and the card is not removed before.
    pub unsafe fn new(dpc: &Dpc<Told>, card: &(dyn Card + 'static)) -> Self {
        Self { dpc: NonNull::from(dpc), card: NonNull::from(card) }
    }
}

impl ServiceRoutine for Isr {
    fn service(&self, message: Option<u32>) -> bool {
        // A message is ours alone and needs no acknowledgement; with fewer messages granted than streams its number says
        // nothing. A line may be another device's.
        // SAFETY: alive and not being removed while the interrupt is connected (contract of `new`).
        let ours = message.is_some() || unsafe { self.card.as_ref().acknowledge_line() };
        if ours {
            // Queued already is as good: the DPC looks at everything.
            // SAFETY: as above.
            unsafe { self.dpc.as_ref() }.queue();
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
            let dpc = Dpc::try_new(Told::default(), Told::on_interrupt).unwrap();
            // SAFETY: the connection ends before both.
            let interrupt =
                unsafe { Interrupt::connect(core::ptr::null_mut(), Isr::new(&dpc, &card)) }.unwrap();
            assert_eq!(host::interrupt(0), Some(ours));
            // Queueing again tells whether it is queued.
            assert_eq!(dpc.queue(), !ours, "{messages} message(s), line {line}");
            host::run_dpcs();
            drop(interrupt);
            assert_eq!(host::interrupt(0), None);
        }
    }
}
