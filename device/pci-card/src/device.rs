//! The card as the engine thread and the I/O worker see it.

use std::time::Duration;

use ringwave_engine::device::Device;
use ringwave_engine::io_queue::{Feedback, IoQueue, StreamsNow};
use ringwave_engine::wake::Wakers;

use crate::{PciCard, SoundCard, reset_watch};
use ringwave_served::records::{Records, loss_to_report, report_loss};

impl<C: SoundCard> Device for PciCard<C> {
    type Records = Records<C::Error>;

    fn advance(&self) -> Option<Duration> {
        let mut state = self.lock();
        state.session.wakes = state.session.wakes.saturating_add(1);
        state.advance(self);
        for (stream, rate_den) in state.sources.take_rates() {
            state.card.set_rate_den(stream, rate_den);
        }
        let unreported = std::mem::take(&mut state.queue.unreported_loss);
        let lost = loss_to_report(unreported, &mut state.session.reported_losses);
        let now = self.clock.real_now();
        let overdue = state.session.reset_watch.take_overdue(now);
        let streams = state.card.next_deadline().map(|deadline| self.clock.until(deadline));
        let next = streams.into_iter().chain(state.session.reset_watch.left(now)).min();
        drop(state);
        report_loss(lost);
        if overdue {
            reset_watch::report();
        }
        next
    }

    fn drain(&self, queue: &mut IoQueue<Self::Records>, feedback: &mut Feedback) {
        let mut state = self.lock();
        // A client that has left meanwhile is told nothing any more, and the next one neither.
        if state.queue.records.left.is_none() {
            for stream in (0..u32::BITS).filter(|stream| feedback.failed >> stream & 1 != 0) {
                state.with_card(self, |card, env| card.host_failed(stream, env));
            }
        }
        for (stream, rate_den) in feedback.rates.drain(..) {
            state.card.set_rate_den(stream, rate_den);
        }
        if feedback.trace_failed {
            state.end_trace();
        }
        std::mem::swap(&mut state.queue, queue);
        let records = &mut queue.records;
        state.tracing.worker_polls = !records.card.trace.is_empty();
        records.lost_maps.extend(state.function.take_lost());
        records.source_warnings.extend(state.sources.take_warnings());
        records.live = (!records.requests.is_empty()).then(|| state.report(self));
        records.last = (feedback.last && state.client_spoke()).then(|| state.report(self));
        let lasted = |since| self.clock.real_time(self.clock.now().saturating_sub(since));
        queue.streams = StreamsNow {
            moving: state.card.moving(),
            stalls: state.card.stalls().map(|stall| (stall, lasted(stall.since))).collect(),
        };
    }

    fn wakers(&self) -> &Wakers {
        &self.wakers
    }
}
