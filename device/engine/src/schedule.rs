//! Which end of a burst is handled next, over all streams of a card.
//!
//! Ends are handled in the order of their clock values, at equal values the lower stream first, each at its
//! own: so it makes no difference whether the engine thread wakes punctually or something else comes first. A
//! stream whose first unhandled end is too long ago does not catch up: its time starts again there.

/// The streams of a card.
pub trait Streams {
    /// Device clock of each stream's next end, in the order of their numbers; `None` = it does not move.
    fn next_ends(&self) -> impl Iterator<Item = Option<u64>>;

    /// Handles the end of this stream's burst.
    fn on_burst_end(&mut self, stream: usize, end: BurstEnd);
}

/// An end of a burst that has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BurstEnd {
    /// Device clock at which it is handled: its own, with `restart` the present one.
    pub at: u64,
    /// So many ticks after its time.
    pub late: u64,
    /// It is too long ago: time starts again here.
    pub restart: bool,
}

/// The earliest end, and whose it is.
pub fn next_end(streams: &impl Streams) -> Option<(u64, usize)> {
    streams.next_ends().enumerate().filter_map(|(stream, due)| Some((due?, stream))).min()
}

/// Handles all ends that have passed at `now`. One that is more than `limit` ticks ago starts time again.
pub fn catch_up(streams: &mut impl Streams, now: u64, limit: u64) {
    while let Some((due, stream)) = next_end(streams).filter(|&(due, _)| due <= now) {
        let late = now.saturating_sub(due);
        let restart = late > limit;
        streams.on_burst_end(stream, BurstEnd { at: if restart { now } else { due }, late, restart });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Streams with bursts of these ticks; the second value is the next end.
    struct Bursts(Vec<(u64, Option<u64>)>, Vec<(usize, BurstEnd)>);

    impl Streams for Bursts {
        fn next_ends(&self) -> impl Iterator<Item = Option<u64>> {
            self.0.iter().map(|(_, next)| *next)
        }

        fn on_burst_end(&mut self, stream: usize, end: BurstEnd) {
            let (length, next) = &mut self.0[stream];
            *next = Some(end.at + *length);
            self.1.push((stream, end));
        }
    }

    #[test]
    fn ends_are_handled_in_their_order_each_at_its_own_time() {
        let mut streams = Bursts(vec![(30, Some(30)), (20, Some(20)), (10, None), (60, Some(60))], vec![]);
        catch_up(&mut streams, 65, 100);
        let handled: Vec<(usize, u64)> = streams.1.iter().map(|(stream, end)| (*stream, end.at)).collect();
        assert_eq!(handled, [(1, 20), (0, 30), (1, 40), (0, 60), (1, 60), (3, 60)]);
        assert!(streams.1.iter().all(|(_, end)| end.late == 65 - end.at && !end.restart));
        assert_eq!(next_end(&streams), Some((80, 1)));
    }

    #[test]
    fn what_is_too_long_ago_starts_again_now() {
        let mut streams = Bursts(vec![(10, Some(10))], vec![]);
        catch_up(&mut streams, 111, 100);
        assert_eq!(streams.1, [(0, BurstEnd { at: 111, late: 101, restart: true })]);
        catch_up(&mut streams, 221, 100);
        assert_eq!(streams.1.len(), 1 + 11, "100 ticks ago is not too long");
    }
}
