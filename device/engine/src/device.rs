//! A card as the engine thread and the I/O worker see it.

use std::time::Duration;

use crate::io_queue::{Feedback, IoQueue};
use crate::wake::Wakers;

/// A card: time goes in, sound and records come out.
pub trait Device: Send + Sync + 'static {
    /// What happens on the card besides sound and has to reach the host: log lines, a trace, figures.
    type Records: Default + Send;

    /// Does what has become due, and never waits for a file or a log. Gives how long it is until there is
    /// something due again, in real time; `None` while nothing will be. Who changes that wakes
    /// [`Wakers::engine`]. One call, for one lock.
    fn advance(&self) -> Option<Duration>;

    /// Takes what the host says, and gives what has happened since the last call: `queue` is empty, and is
    /// exchanged for the one that the card has filled.
    fn drain(&self, queue: &mut IoQueue<Self::Records>, feedback: &mut Feedback);

    /// The bells of the threads that work for the card.
    fn wakers(&self) -> &Wakers;
}
