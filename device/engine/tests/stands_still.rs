//! An engine thread that panics, by a defect of its card: somebody is told, and what was heard until then is
//! handled.

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

    fn drain(&self, queue: &mut IoQueue<()>, _feedback: &mut Feedback) {
        queue.lost = u32::try_from(self.heard.load(Ordering::Relaxed)).expect("a few");
    }

    fn wakers(&self) -> &Wakers {
        &self.wakers
    }
}

/// What was drained last, and where it is told at the end.
struct Finishing(u32, mpsc::Sender<String>);

impl Host<()> for Finishing {
    fn handle(&mut self, queue: &mut IoQueue<()>, _feedback: &mut Feedback, _done: &AtomicU64) {
        self.0 = queue.lost;
    }

    fn due(&self) -> Option<Duration> {
        None
    }

    fn finish(&mut self) -> bool {
        self.1.send(format!("finished with {}", self.0)).is_ok()
    }
}

#[test]
fn a_card_whose_time_stands_still_says_so_and_its_files_are_whole() {
    let (said, words) = mpsc::channel();
    let stands_still = said.clone();
    let card = Arc::new(Defective::default());
    let threads = Threads::start_watched(card, Finishing(0, said), move || {
        let _ = stands_still.send("stands still".into());
    });
    let threads = threads.expect("two threads");
    let mut heard = [(); 2].map(|()| words.recv_timeout(Duration::from_mins(1)).expect("both are said"));
    heard.sort_unstable();
    assert_eq!(heard, ["finished with 4", "stands still"]);
    assert!(!threads.end(), "and the end is none in order");
}
