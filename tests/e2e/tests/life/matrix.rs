//! The matrix of the device's life: which cells there are, which do not apply and why, and how they are put
//! into boots.

use std::fmt;

use ringwave_runner::request::CardKind;

/// In which state of a stream an event comes. The words are those of ntguest's `life=`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// No stream is open.
    Closed,
    /// STOP, with a buffer.
    Stop,
    /// ACQUIRE.
    Acquire,
    /// PAUSE before the first RUN.
    Pause,
    /// RUN, in the middle.
    Run,
    /// PAUSE after RUN, in the middle.
    Paused,
}

/// Which way the sound goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// A stream plays.
    Play,
    /// A stream records.
    Record,
    /// One plays and meets the event while another records.
    Duplex,
}

pub const STATES: [State; 6] =
    [State::Closed, State::Stop, State::Acquire, State::Pause, State::Run, State::Paused];
pub const DIRECTIONS: [Direction; 3] = [Direction::Play, Direction::Record, Direction::Duplex];
/// The guest's processors.
pub const PROCESSORS: [u32; 3] = [1, 2, 4];

/// The machine that a boot makes: what cannot change while it runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Machine {
    /// The card.
    pub card: CardKind,
    /// The cyclic buffer is contiguous; else scatter-gather.
    pub contiguous: bool,
    /// The card interrupts by its line; else by MSI.
    pub line: bool,
    /// The guest's processors.
    pub processors: u32,
}

/// A row of the table: an event in the life of the device.
pub struct Event {
    /// Its name, also in ntguest's `life=`.
    pub name: &'static str,
    /// Lines of ntguest.cfg that its boots need.
    pub settings: &'static [&'static str],
    /// Options of `ringwave serve` that its boots need.
    pub card: &'static [&'static str],
    /// What the event leaves.
    pub after: After,
    /// What the driver says of it with a Ringwave card and with a virtio device, in one line of its log each
    /// time; nothing is asked for if it is empty.
    pub says: [&'static str; 2],
    /// The driver resets a virtio device for it.
    pub resets: bool,
    /// The machine sleeps, and wakes by itself.
    pub sleeps: bool,
    /// Cells to which it does not apply, and why not.
    pub skipped: &'static [(Skip, &'static str)],
}

/// What an event leaves of the stream that it meets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum After {
    /// It goes on at the next frame: nothing is missing and nothing is heard twice.
    GoesOn,
    /// It is gone. What it had played is a beginning of its piece, and the next stream plays the piece whole.
    Lost,
    /// The same, and what another records at the time goes on.
    LostAlone,
}

/// Cells that are skipped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Skip {
    /// In this state.
    State(State),
    /// With one stream that plays and one that records; without a stream it applies.
    OpenDuplex,
    /// With a virtio device.
    Virtio,
}

/// One cell.
#[derive(Clone, Copy)]
pub struct Cell {
    pub event: &'static Event,
    pub state: State,
    pub direction: Direction,
    pub machine: Machine,
}

impl fmt::Display for Cell {
    /// As ntguest's `life=` has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = format!("{:?}", self.state).to_lowercase();
        let direction = format!("{:?}", self.direction).to_lowercase();
        write!(f, "{}:{state}:{direction}", self.event.name)
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dma = if self.contiguous { "contiguous" } else { "scatter-gather" };
        let interrupt = if self.line { "line" } else { "MSI" };
        if self.card == CardKind::Virtio {
            f.write_str("virtio, ")?;
        }
        write!(f, "{dma}, {interrupt}, {} processor(s)", self.processors)
    }
}

impl Cell {
    /// Why it does not apply, if it does not.
    pub fn reason_to_skip(&self) -> Option<&'static str> {
        let is_meant = |skip: Skip| match skip {
            Skip::State(state) => self.state == state,
            Skip::OpenDuplex => self.direction == Direction::Duplex && self.state != State::Closed,
            Skip::Virtio => self.machine.card == CardKind::Virtio,
        };
        self.event.skipped.iter().find(|(skip, _)| is_meant(*skip)).map(|(_, reason)| *reason)
    }

    /// What the driver says of the event.
    pub fn says(&self) -> &'static str {
        let [ringwave, virtio] = self.event.says;
        if self.machine.card == CardKind::Virtio { virtio } else { ringwave }
    }

    /// A message of what is played is cut by the event: of a virtio device nothing says how much of it was
    /// heard.
    pub fn cuts(&self) -> bool {
        self.is_reset() && matches!(self.state, State::Run | State::Paused)
    }

    /// What is recorded begins anew in the midst: the source of a virtio device does when it is reset.
    pub fn begins_anew(&self) -> bool {
        let beside = self.direction == Direction::Duplex && self.state != State::Closed;
        self.cuts() || (self.is_reset() && beside)
    }

    fn is_reset(&self) -> bool {
        self.machine.card == CardKind::Virtio && self.event.resets
    }
}

/// Every cell of the matrix with this card, those that do not apply among them.
pub fn all(card: CardKind, events: &'static [Event]) -> Vec<Cell> {
    let mut cells = Vec::new();
    for processors in PROCESSORS {
        for (contiguous, line) in [(false, false), (true, false), (false, true), (true, true)] {
            let machine = Machine { card, contiguous, line, processors };
            for event in events {
                for state in STATES {
                    cells.extend(DIRECTIONS.map(|direction| Cell { event, state, direction, machine }));
                }
            }
        }
    }
    cells
}

/// Cells that one machine can walk one after another.
pub struct Boot {
    pub machine: Machine,
    pub cells: Vec<Cell>,
}

/// The cells in boots of at most `most` cells each.
pub fn boots(cells: &[Cell], most: usize) -> Vec<Boot> {
    let mut boots: Vec<Boot> = Vec::new();
    let alike = |boot: &Boot, cell: &Cell| {
        let first = boot.cells.first().map(|first| (first.event.settings, first.event.card));
        boot.machine == cell.machine && first == Some((cell.event.settings, cell.event.card))
    };
    for cell in cells {
        match boots.iter_mut().find(|boot| boot.cells.len() < most && alike(boot, cell)) {
            Some(boot) => boot.cells.push(*cell),
            None => boots.push(Boot { machine: cell.machine, cells: vec![*cell] }),
        }
    }
    boots
}

/// A part of a long walk, so that it can be cut and continued.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Part {
    number: usize,
    of: usize,
}

impl Part {
    /// `K/N`: the K-th of N parts, K from 1.
    pub fn parse(text: &str) -> Option<Self> {
        let (number, of) = text.split_once('/')?;
        let (number, of) = (number.parse().ok()?, of.parse().ok()?);
        (1..=of).contains(&number).then_some(Self { number, of })
    }

    /// Its share of `items`: every N-th, so that each part has some of each machine.
    pub fn of<T>(self, items: Vec<T>) -> Vec<T> {
        items.into_iter().skip(self.number - 1).step_by(self.of).collect()
    }
}

/// A sample: from `boots_wanted` boots of the whole matrix, chosen by a seed, the numbers of processors in
/// turn, `most` cells each, in an order of the seed.
pub fn sample(cells: &[Cell], seed: u64, boots_wanted: usize, most: usize) -> Vec<Boot> {
    let mut random = SplitMix(seed);
    let mut whole = boots(cells, usize::MAX);
    random.shuffle(&mut whole);
    let mut chosen = Vec::new();
    for processors in PROCESSORS.into_iter().cycle().take(boots_wanted) {
        let next = whole.iter().position(|boot| boot.machine.processors == processors);
        chosen.extend(next.map(|at| whole.swap_remove(at)));
    }
    for boot in &mut chosen {
        random.shuffle(&mut boot.cells);
        boot.cells.truncate(most);
    }
    chosen
}

/// `SplitMix64`: a generator whose whole state is its seed.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = self.next() % (last as u64 + 1);
            items.swap(last, usize::try_from(other).expect("an index"));
        }
    }
}
