use std::collections::{BTreeSet, VecDeque};

use proptest::prelude::*;

use super::*;
use crate::hw::virtio::simulated::ring::{Message, Ring};

fn queue(size: u16, event_index: bool) -> (Queue, Ring) {
    let mut queue = Queue::try_new(size, u64::MAX >> 1).unwrap();
    assert_eq!(queue.restart(size, event_index), size);
    let ring = ring_of(&queue);
    (queue, Ring { event_index, ..ring })
}

fn ring_of(queue: &Queue) -> Ring {
    let Addresses { descriptors, available, used } = queue.addresses();
    Ring { size: queue.size(), parts: [descriptors, available, used], ..Ring::default() }
}

/// A message of so many descriptors, of which the last is writable.
fn chain(count: usize, number: u32) -> Vec<Descriptor> {
    let at = |index: usize| 0x1_0000_0000 * u64::from(number + 1) + index as u64;
    (0..count)
        .map(|index| Descriptor { address: at(index), bytes: 7, writable: index + 1 == count })
        .collect()
}

fn matches(message: &Message, chain: &[Descriptor]) -> bool {
    let pieces = |writable| chain.iter().filter(move |descriptor| descriptor.writable == writable);
    let same = |found: &[(u64, u32)], writable| {
        pieces(writable).map(|descriptor| (descriptor.address, descriptor.bytes)).eq(found.iter().copied())
    };
    same(&message.readable, false) && same(&message.writable, true)
}

#[test]
fn its_parts_are_aligned_and_do_not_overlap() {
    for size in [1, 2, 4, 64, 256] {
        let (queue, _) = queue(size, false);
        let Addresses { descriptors, available, used } = queue.addresses();
        assert!(descriptors % 16 == 0 && available % 2 == 0 && used % 4 == 0);
        let size = u64::from(size);
        assert!(available >= descriptors + 16 * size && used >= available + 6 + 2 * size);
        assert!(used + 6 + 8 * size <= descriptors + queue.memory.bytes() as u64);
    }
}

#[test]
fn its_size_is_a_power_of_two_and_no_more_than_the_devices() {
    let mut queue = Queue::try_new(64, u64::MAX >> 1).unwrap();
    for (device, size) in [(64, 64), (256, 64), (63, 32), (1, 1), (0, 1), (u16::MAX, 64)] {
        assert_eq!(queue.restart(device, true), size);
    }
    assert_eq!(Queue::try_new(1000, u64::MAX >> 1).unwrap().size(), 256);
}

/// What can happen to a queue.
#[derive(Clone, Debug)]
enum Step {
    Add(usize),
    AddTable,
    Announce,
    Pop,
    /// The device gives back one of the messages that it has.
    Push(usize),
    Take,
    Rearm,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1_usize..5).prop_map(Step::Add),
        2 => Just(Step::AddTable),
        2 => Just(Step::Announce),
        3 => Just(Step::Pop),
        4 => (0_usize..8).prop_map(Step::Push),
        4 => Just(Step::Take),
        2 => Just(Step::Rearm),
    ]
}

/// The queue as it must behave, whatever comes: messages arrive whole and in their order, come back once each
/// with their token, and neither side waits for a notification that does not come.
struct Model {
    queue: Queue,
    ring: Ring,
    tables: ContiguousMemory,
    numbers: std::ops::Range<u32>,
    sent: VecDeque<(Vec<Descriptor>, u32)>,
    held: Vec<(u16, u32)>,
    given: VecDeque<(u32, u32)>,
    /// The device has seen all there was, and waits to be notified.
    asleep: bool,
    interrupted: bool,
    /// All that was given back was seen when the interrupt was asked for.
    armed: bool,
    tokens: BTreeSet<u32>,
}

impl Model {
    fn new(size: u16, event_index: bool) -> Self {
        let (queue, ring) = queue(size, event_index);
        Self {
            queue,
            ring,
            tables: ContiguousMemory::try_new(1 << 16, u64::MAX >> 1).unwrap(),
            numbers: 0..500,
            sent: VecDeque::new(),
            held: vec![],
            given: VecDeque::new(),
            asleep: true,
            interrupted: true,
            armed: false,
            tokens: BTreeSet::new(),
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Add(count) => {
                let number = self.numbers.next().unwrap();
                let chain = chain(*count, number);
                let free = self.queue.free_count;
                let added = self.queue.add(&chain, number).is_ok();
                assert_eq!(added, usize::from(free) >= *count);
                if added {
                    self.sent.push_back((chain, number));
                }
            }
            Step::AddTable => {
                let number = self.numbers.next().unwrap();
                let chain = chain(usize::from(self.queue.size().min(3)), number);
                let at = 64 * number as usize;
                store_table(&self.tables, at, &chain);
                let bytes = u32::try_from(chain.len() * DESCRIPTOR_BYTES).unwrap();
                if self.queue.add_table(self.tables.physical() + at as u64, bytes, number).is_ok() {
                    self.sent.push_back((chain, number));
                }
            }
            Step::Announce => {
                self.asleep &= !self.queue.announce();
                assert!(self.ring.waiting() == 0 || !self.asleep, "a lost kick");
            }
            Step::Pop => self.pop(),
            Step::Push(which) => {
                if self.held.is_empty() {
                    return;
                }
                let (head, number) = self.held.remove(which % self.held.len());
                self.interrupted |= self.ring.push(head.into(), number);
                self.given.push_back((number, number));
                assert!(self.interrupted || !self.armed, "a lost interrupt");
            }
            Step::Take => {
                let expected = self.given.pop_front().map(|(token, written)| Used { token, written });
                assert_eq!(self.queue.take(), Ok(expected));
                if let Some(used) = expected {
                    assert!(self.tokens.insert(used.token), "came back twice");
                }
            }
            Step::Rearm => {
                let more = self.queue.rearm();
                assert_eq!(more, !self.given.is_empty());
                self.armed = !more;
                self.interrupted = more;
            }
        }
    }

    fn pop(&mut self) {
        match (self.ring.pop(), self.sent.pop_front()) {
            (None, None) => self.asleep = true,
            (Some(message), Some((chain, number))) => {
                assert!(matches(&message, &chain), "{message:?} for {chain:?}");
                self.held.push((message.head, number));
            }
            (found, sent) => panic!("{found:?} for {sent:?}"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn messages_go_whole_and_come_back_once(
        log2 in 0_u32..5, event_index in any::<bool>(), steps in prop::collection::vec(step(), 0..400)
    ) {
        let mut model = Model::new(1 << log2, event_index);
        for step in &steps {
            model.step(step);
        }
        let outstanding = model.sent.len() + model.held.len() + model.given.len();
        prop_assert_eq!(usize::from(model.queue.outstanding()), outstanding);
        // Everything comes back in the end, and all descriptors are free again.
        while !model.sent.is_empty() {
            model.pop();
        }
        while !model.held.is_empty() {
            model.step(&Step::Push(0));
        }
        while !model.given.is_empty() {
            model.step(&Step::Take);
        }
        prop_assert_eq!(model.queue.free_count, model.queue.size());
    }

    /// Whatever the device writes into the used ring: no panic, no message twice, and an end.
    #[test]
    fn a_hostile_used_ring_is_a_lie_and_frees_nothing(
        entries in prop::collection::vec((any::<u32>(), any::<u32>(), any::<u16>(), any::<bool>()), 0..60)
    ) {
        let (mut queue, mut ring) = queue(8, true);
        for (number, (id, written, index, sets_index)) in (0..).zip(entries) {
            while queue.add(&chain(2, number), number).is_ok() {}
            ring.push(if id % 3 == 0 { id } else { id % 16 }, written);
            if sets_index {
                ring.set_used_index(index);
            }
            let before = queue.outstanding();
            for _ in 0..20 {
                match queue.take() {
                    Ok(Some(used)) => prop_assert!(used.token <= number),
                    Ok(None) | Err(Lie) => break,
                }
            }
            prop_assert!(queue.outstanding() <= before && queue.outstanding() <= 4);
            prop_assert_eq!(queue.free_count, 8 - 2 * queue.outstanding());
        }
    }
}

#[test]
fn an_id_that_is_not_outstanding_is_a_lie() {
    let (mut queue, mut ring) = queue(4, false);
    queue.add(&chain(2, 0), 77).unwrap();
    let head = ring.pop().unwrap().head;
    for id in [u32::from(head) + 1, 4, u32::MAX, 1 << 16 | u32::from(head)] {
        ring.set_used_index(0);
        ring.push(id, 0);
        assert_eq!(queue.take(), Err(Lie), "{id}");
    }
    ring.set_used_index(2);
    assert_eq!(queue.take(), Err(Lie), "more than there is");
    ring.set_used_index(0);
    ring.push(head.into(), 9);
    assert_eq!(queue.take(), Ok(Some(Used { token: 77, written: 9 })));
    ring.push(head.into(), 9);
    assert_eq!(queue.take(), Err(Lie), "twice");
}

#[test]
fn without_event_indices_the_flag_says_whether_to_notify() {
    let (mut queue, ring) = queue(4, false);
    assert!(!queue.announce(), "nothing is new");
    queue.add(&chain(1, 0), 0).unwrap();
    assert!(queue.announce());
    crate::hw::virtio::simulated::ring::store(ring.parts[2], NO_NOTIFY);
    queue.add(&chain(1, 1), 1).unwrap();
    assert!(!queue.announce());
}

#[test]
fn begun_anew_it_forgets_what_was_outstanding() {
    let (mut queue, mut ring) = queue(4, true);
    queue.add(&chain(3, 0), 0).unwrap();
    let head = ring.pop().unwrap().head;
    queue.restart(4, true);
    assert_eq!((queue.outstanding(), queue.free_count), (0, 4));
    ring.push(head.into(), 0);
    assert_eq!(queue.take(), Err(Lie), "of before");
}
