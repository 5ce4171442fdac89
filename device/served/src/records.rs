//! What a card tells its I/O worker besides sound: log lines, the trace, statistics. It is filled with the
//! card's lock held and handled without it, so that a message handler never waits for a file.

use std::any::Any;
use std::sync::mpsc::Sender;

use ringwave_engine::io_queue::IoQueue;
use ringwave_guest_memory::guest_ram::Lost;
use ringwave_report::SessionReport;
use ringwave_trace::CardRecords;

/// So many events of the trace do not wait for more.
const TRACE_BATCH: usize = 1 << 14;
/// How often one client is named in the log for sound that found no room.
const LOSSES_MAX: u32 = 16;
/// Requests for statistics that may wait, and orders.
const REQUESTS_MAX: usize = 32;

/// Who wants the present client's statistics.
#[derive(Debug)]
pub enum StatsRequest {
    /// The log, and the file for statistics.
    Log,
    /// Somebody who waits for them.
    Send(Sender<SessionReport>),
}

/// What has happened, in order. `E` is the card's type of an error.
#[derive(Debug)]
pub struct Records<E> {
    /// The trace, and what the card has for the log.
    pub card: CardRecords<E>,
    /// Maps that were lost, for the log.
    pub lost_maps: Vec<Lost>,
    /// What the sources have to say, for the log.
    pub source_warnings: Vec<String>,
    /// A client has left, and this is what it did. Comes after everything else but the requests; answered by
    /// dropping the sender.
    pub left: Option<(SessionReport, Sender<()>)>,
    /// Requests for statistics.
    pub requests: Vec<StatsRequest>,
    /// What the program has for its own I/O worker ([`crate::HostRequests::request_order`]): to be done after
    /// the sound in the same queue.
    pub orders: Vec<Box<dyn Any + Send>>,
    /// The statistics of the moment, if anybody requests them.
    pub live: Option<SessionReport>,
    /// The statistics of a client that is there when the process ends.
    pub last: Option<SessionReport>,
}

impl<E> Default for Records<E> {
    fn default() -> Self {
        Self {
            card: CardRecords::default(),
            lost_maps: Vec::new(),
            source_warnings: Vec::new(),
            left: None,
            requests: Vec::new(),
            orders: Vec::new(),
            live: None,
            last: None,
        }
    }
}

impl<E> Records<E> {
    /// Puts a request in. `false`: too many wait. For the log there is always room, because it has all that
    /// it wants when it asks once.
    pub fn request(&mut self, request: StatsRequest) -> bool {
        let takes = match request {
            StatsRequest::Log if self.requests.iter().any(|other| matches!(other, StatsRequest::Log)) => {
                return true;
            }
            StatsRequest::Log => true,
            StatsRequest::Send(_) => self.requests.len() < REQUESTS_MAX,
        };
        if takes {
            self.requests.push(request);
        }
        takes
    }

    /// Puts an order in. `false`: too many wait.
    pub fn order(&mut self, order: Box<dyn Any + Send>) -> bool {
        let takes = self.orders.len() < REQUESTS_MAX;
        if takes {
            self.orders.push(order);
        }
        takes
    }

    /// Forgets everything, but keeps the buffers.
    pub fn clear(&mut self) {
        self.card.clear();
        self.lost_maps.clear();
        self.source_warnings.clear();
        self.left = None;
        self.requests.clear();
        self.orders.clear();
        self.live = None;
        self.last = None;
    }
}

/// Whether something waits, beside sound, that does not wait for more. The trace does: a wake for every event
/// would cost more than all else about it.
pub fn is_urgent<E>(queue: &IoQueue<Records<E>>) -> bool {
    let records = &queue.records;
    !records.card.diagnostics.is_empty()
        || records.left.is_some()
        || !records.requests.is_empty()
        || !records.orders.is_empty()
        || records.card.trace.len() >= TRACE_BATCH
}

/// Of streams whose sound found no room (bits), those that the log is to name: all of them, once for each
/// time the queue fills, but not without end for one client. `reported` counts these times.
pub fn loss_to_report(unreported: u32, reported: &mut u32) -> u32 {
    if unreported == 0 || *reported >= LOSSES_MAX {
        return 0;
    }
    *reported += 1;
    unreported
}

/// Names streams (bits) in the log whose sound found no room.
pub fn report_loss(streams: u32) {
    for stream in (0..u32::BITS).filter(|stream| streams >> stream & 1 != 0) {
        log::error!("stream {stream}: the sink does not take its sound; some of it is lost");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringwave_trace::ErrorName;

    #[test]
    fn loss_is_reported_once_while_it_lasts_and_not_without_end() {
        let mut queue = IoQueue::<Records<ErrorName>>::default();
        let mut reported = 0;
        for streams in [1 << 3, 1 << 3, 1 << 3 | 1 << 5] {
            queue.lose(streams);
        }
        assert_eq!((queue.lost, queue.unreported_loss), (1 << 3 | 1 << 5, 1 << 3 | 1 << 5));
        let unreported = std::mem::take(&mut queue.unreported_loss);
        assert_eq!(loss_to_report(unreported, &mut reported), 1 << 3 | 1 << 5);
        queue.lose(1 << 3);
        assert_eq!(queue.unreported_loss, 0, "it is the same");
        queue.clear();
        queue.lose(1 << 3);
        assert_eq!(queue.unreported_loss, 1 << 3, "another time");
        let times = (0..100).filter(|_| loss_to_report(1, &mut reported) != 0).count();
        assert_eq!(times, LOSSES_MAX as usize - 1);
    }
}
