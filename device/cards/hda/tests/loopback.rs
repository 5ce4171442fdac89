//! What an input records that hears an output of this card, against HDA.md 4 alone: any order of runs and
//! stops of both.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "a test of less than a second, in less than 1 MiB"
)]

mod guest;

use guest::{ADC, BUFFERS, DAC, Guest, LIST, OUT, RUN, ramp};
use proptest::prelude::*;
use ringwave_engine::sources::NoSources;

/// Two bursts in nanoseconds, and a little.
const BURSTS: u64 = 2_100_000;
const SECOND: u64 = 1_000_000_000;
/// The input's buffer: longer than a test.
const RECORDED: u64 = BUFFERS + 0x4_0000;
const RECORDED_BYTES: u32 = 0x8_0000;
const SOUND_BYTES: u32 = 6000;

/// SDFMT, bytes of a frame, rate.
type Format = (u16, u64, u64);

/// What a driver does.
#[derive(Clone, Copy, Debug)]
enum Op {
    Pass(u64),
    /// RUN of the output, of the input.
    Play(bool),
    Record(bool),
    /// Both begin at one moment.
    Together,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        5 => (0..6_000_000_u64).prop_map(Op::Pass),
        1 => (0..40_000_u64).prop_map(Op::Pass),
        2 => any::<bool>().prop_map(Op::Play),
        2 => any::<bool>().prop_map(Op::Record),
        1 => Just(Op::Together),
    ]
}

/// Time in which a stream runs, and where in its sound it began.
#[derive(Clone, Copy, Debug)]
struct Run {
    from: u64,
    to: u64,
    base: u64,
}

/// A stream's runs so far.
#[derive(Default)]
struct Stream {
    runs: Vec<Run>,
    since: Option<u64>,
    frames: u64,
}

impl Stream {
    fn set(&mut self, run: bool, now: u64, rate: u64) {
        match (run, self.since) {
            (true, None) => self.since = Some(now),
            (false, Some(from)) => {
                self.since = None;
                self.runs.push(Run { from, to: now, base: self.frames });
                self.frames += frames_in(from, now, rate);
            }
            _ => {}
        }
    }
}

fn frames_in(from: u64, to: u64, rate: u64) -> u64 {
    (u128::from(to - from) * u128::from(rate) / u128::from(SECOND)) as u64
}

/// What the player has played.
struct Played<'a> {
    sound: &'a [u8],
    format: Format,
    runs: &'a [Run],
}

impl Played<'_> {
    /// Frame of a run that frame `j` of a recorder hears: the one that was finished last when `j` began;
    /// perhaps none that the run has.
    fn due(&self, run: Run, recorder: Run, j: u64) -> i64 {
        let apart = (i128::from(recorder.from) - i128::from(run.from)) * i128::from(self.format.2);
        let apart = apart.div_euclid(i128::from(SECOND)) as i64;
        j as i64 + apart - 1
    }

    fn frames(&self, run: Run) -> i64 {
        frames_in(run.from, run.to, self.format.2) as i64
    }

    fn is(&self, run: Run, frame: i64, recorded: &[u8]) -> bool {
        let (_, bytes, _) = self.format;
        let Ok(frame) = u64::try_from(frame) else { return false };
        let at = |byte: u64| ((run.base + frame) * bytes + byte) as usize % self.sound.len();
        frame < frames_in(run.from, run.to, self.format.2)
            && recorded.iter().zip(0..).all(|(recorded, byte)| self.sound[at(byte)] == *recorded)
    }

    /// Whether this was recorded: each run of the player that the recorder hears from its begin on, or from
    /// the recorder's own, without a gap, each frame at most one from where it is due.
    fn check(&self, recorder: Run, found: &[u8]) -> Result<(), String> {
        let mut flows: Option<(usize, i64)> = None;
        for (j, frame) in (0..).zip(found.chunks(self.format.1 as usize)) {
            let near = |(number, run): (usize, &Run)| {
                let due = self.due(*run, recorder, j);
                let begins = |at: &i64| *at == 0 || j <= 2;
                let found = (due - 1..=due + 1).filter(begins).find(|at| self.is(*run, *at, frame));
                found.map(|at| (number, at))
            };
            let goes_on = flows.filter(|(number, next)| {
                let run = self.runs[*number];
                self.is(run, *next, frame) && next.abs_diff(self.due(run, recorder, j)) <= 1
            });
            let ended = flows.is_none_or(|(number, next)| next >= self.frames(self.runs[number]));
            let begun = self.runs.iter().enumerate().find_map(near).filter(|_| ended);
            let must = self.runs.iter().any(|run| {
                let due = self.due(*run, recorder, j);
                j > 1 && due > 0 && due + 1 < self.frames(*run)
            });
            let silent = frame.iter().all(|byte| *byte == 0) && !must && ended;
            flows = match goes_on.or(begun) {
                Some((number, at)) => Some((number, at + 1)),
                None if silent => None,
                None => return Err(format!("frame {j} of {recorder:?} is {frame:x?}, after {flows:?}")),
            };
        }
        Ok(())
    }
}

fn set_up(guest: &Guest, format: u16) -> Vec<u8> {
    guest.start_up();
    guest.connect(DAC);
    guest.command(ADC, 0x7_0620);
    // No frame of silence in it.
    let sound: Vec<u8> = ramp(SOUND_BYTES as usize).iter().map(|byte| byte | 1).collect();
    guest.store(BUFFERS, &sound);
    let half = SOUND_BYTES / 2;
    guest.set_up(OUT, &[(BUFFERS, half, false), (BUFFERS + u64::from(half), half, false)], format);
    let list = LIST + 0x800;
    for (at, half) in [(list, 0), (list + 16, u64::from(RECORDED_BYTES / 2))] {
        guest.store(at, &(RECORDED + half).to_le_bytes());
        guest.store(at + 8, &(RECORDED_BYTES / 2).to_le_bytes());
    }
    guest.write32(0x88, RECORDED_BYTES);
    guest.write(0x8C, [1, 0]);
    guest.write(0x92, format.to_le_bytes());
    guest.write32(0x98, list as u32);
    guest.write32(0x80, 2 << 20);
    sound
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn recorder_hears_each_frame_once_in_order_where_it_is_due(
        ops in prop::collection::vec(op(), 1..50),
        format in prop::sample::select(vec![(0x0011_u16, 4, 48_000), (0x4041, 8, 44_100), (0x0510, 2, 8_000), (0x0013, 8, 48_000)]),
    ) {
        let guest = Guest::new(&[Some(0)], Box::new(NoSources));
        let sound = set_up(&guest, format.0);
        let (mut player, mut recorder) = (Stream::default(), Stream::default());
        let (mut now, rate) = (0, format.2);
        // A player that begins or ends stays so for two bursts, and a recorder that begins hears as much: of less the
        // place is open (HDA.md 4).
        let ops = ops.into_iter().chain([Op::Record(false), Op::Play(false)]).flat_map(|op| {
            let stays = !matches!(op, Op::Pass(_) | Op::Record(false));
            [Some(op), stays.then_some(Op::Pass(BURSTS))]
        });
        for op in ops.flatten() {
            match op {
                Op::Pass(time) => {
                    guest.pass(time);
                    now += time;
                }
                Op::Play(run) => {
                    guest.control(OUT, if run { RUN } else { 0 });
                    player.set(run, now, rate);
                }
                Op::Record(run) => {
                    guest.control(0, if run { RUN } else { 0 });
                    recorder.set(run, now, rate);
                }
                Op::Together => {
                    guest.control(OUT, 0);
                    guest.control(0, 0);
                    player.set(false, now, rate);
                    recorder.set(false, now, rate);
                    guest.pass(BURSTS);
                    now += BURSTS;
                    guest.write32(0x38, 0x11);
                    guest.control(OUT, RUN);
                    guest.control(0, RUN);
                    guest.write32(0x38, 0);
                    player.set(true, now, rate);
                    recorder.set(true, now, rate);
                }
            }
            guest.heard();
        }
        let played = Played { sound: &sound, format, runs: &player.runs };
        let bytes = |run: &Run| (frames_in(run.from, run.to, rate) * format.1) as usize;
        let recorded = guest.load(RECORDED, recorder.runs.iter().map(bytes).sum());
        let mut rest = &recorded[..];
        for run in &recorder.runs {
            let (now, later) = rest.split_at(bytes(run));
            rest = later;
            let checked = played.check(*run, now);
            prop_assert!(checked.is_ok(), "{:?} of {:?}", checked, player.runs);
        }
    }
}
