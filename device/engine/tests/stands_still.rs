//! An engine thread that panics, by a defect of its card: somebody is told, and what was heard until then is handled.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use ringwave_engine::device::Device;
use ringwave_engine::io_queue::{Feedback, IoQueue};
use ringwave_engine::threads::{Host, Threads};
use ringwave_engine::wake::Wakers;

/// Hears something, then panics.
#[derive(Default)]
struct Defective {
    heard: AtomicU64,
    wakers: Wakers,
}

impl Device for Defective {
    type Records = ();

    fn advance(&self) -> Option<Duration> {
        assert!(self.heard.fetch_add(1, Ordering::Relaxed) < 3, "a defect");
        Some(Duration::ZERO)
    }

    fn drain(&self, _queue: &mut IoQueue<()>, _feedback: &mut Feedback) {}

    fn wakers(&self) -> &Wakers {
        &self.wakers
    }
}

struct Finishing(mpsc::Sender<&'static str>);

impl Host<()> for Finishing {
    fn handle(&mut self, _queue: &mut IoQueue<()>, _feedback: &mut Feedback, _done: &AtomicU64) {}

    fn due(&self) -> Option<Duration> {
        None
    }

    fn finish(&mut self) -> bool {
        self.0.send("finished").is_ok()
    }
}

#[test]
fn a_card_whose_time_stands_still_says_so_and_its_files_are_whole() {
    let (said, words) = mpsc::channel();
    let stands_still = said.clone();
    let card = Arc::new(Defective::default());
    let threads = Threads::start_watched(card, Finishing(said), move || {
        let _ = stands_still.send("stands still");
    });
    let threads = threads.expect("two threads");
    let mut heard = [(); 2].map(|()| words.recv_timeout(Duration::from_mins(1)).expect("both are said"));
    heard.sort_unstable();
    assert_eq!(heard, ["finished", "stands still"]);
    assert!(threads.end(), "all that was heard is where it belongs");
}
