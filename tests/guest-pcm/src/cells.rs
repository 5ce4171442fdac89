//! The cells of the table: what is done with the cards for a while, and what was seen of it.

use std::{
    fs, io, thread,
    time::{Duration, Instant},
};

use crate::{
    Failure,
    asound::{self, STATE_RUNNING, STATE_XRUN},
    figures::{Figures, Point, line, quantile},
    order::Order,
    pcm::{Direction, Pcm, Position, Shape, is_xrun},
};

/// Does what an order says; `began` is called once sound runs.
pub fn run(order: &Order, mut began: impl FnMut()) -> Result<Figures, Failure> {
    match order.name.as_str() {
        "idle" => {
            began();
            counted(|| {
                thread::sleep(milliseconds(order)?);
                Ok(Figures::default())
            })
        }
        "play" => play_all(order, began),
        "position" => position(order, began),
        "song" => song(order),
        "rewind" => rewind(order),
        "round-trip" => round_trip(order),
        other => Err(format!("{other} is no order")),
    }
}

fn milliseconds(order: &Order) -> Result<Duration, Failure> {
    order.number("ms").map(|ms| Duration::from_millis(ms.into()))
}

/// Adds how long something took, and how many interrupts of sound cards came meanwhile.
fn counted(work: impl FnOnce() -> Result<Figures, Failure>) -> Result<Figures, Failure> {
    let (begin, interrupts) = (Instant::now(), interrupts());
    let mut figures = work()?;
    figures.add("interrupts", self::interrupts().saturating_sub(interrupts));
    figures.add("seconds", begin.elapsed().as_secs_f64());
    Ok(figures)
}

/// Interrupts of sound cards so far: there is no other virtio device in this guest.
fn interrupts() -> u64 {
    let text = fs::read_to_string("/proc/interrupts").unwrap_or_default();
    let ours = text.lines().filter(|line| line.contains("virtio") || line.contains("snd"));
    ours.flat_map(|line| line.split_whitespace().skip(1).map_while(|word| word.parse::<u64>().ok())).sum()
}

/// A stream that plays something that is not silence.
struct Player {
    pcm: Pcm,
    period: Vec<u8>,
    xruns: u32,
}

impl Player {
    fn open(card: u32, shape: Shape) -> Result<Self, Failure> {
        let pcm = Pcm::open(card, Direction::Play, shape, u64::MAX)?;
        // Small numbers, so that it is no noise where somebody listens.
        let period = (0..pcm.shape.period_bytes()).map(|n| [1, 2, 3, 5, 7, 11, 13][n % 7]).collect();
        Ok(Self { pcm, period, xruns: 0 })
    }

    /// Fills the buffer; after an xrun from the start. It is full when a whole period has no room: a card
    /// whose position is exact has made room for some frames more at each look.
    fn fill(&mut self) -> Result<(), Failure> {
        loop {
            match self.pcm.write(&mut self.period) {
                Ok(written) if written < self.pcm.shape.period as usize => return Ok(()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if is_xrun(&error) => self.recover()?,
                Err(error) => return Err(format!("write: {error}")),
            }
        }
    }

    fn recover(&mut self) -> Result<(), Failure> {
        self.xruns += 1;
        self.pcm.tell(asound::PREPARE).map_err(|error| format!("prepare after an xrun: {error}"))
    }

    fn position(&self, look: bool) -> Result<Position, Failure> {
        self.pcm.position(look).map_err(|error| format!("sync_ptr: {error}"))
    }

    /// Plays for a while, a period at a time, and notes what each interrupt said: a run whenever there was an
    /// xrun.
    fn play(&mut self, time: Duration) -> Result<Vec<Vec<Point>>, Failure> {
        let begin = Instant::now();
        let mut runs = vec![Vec::new()];
        while begin.elapsed() < time {
            self.pcm.wait().map_err(|error| format!("poll: {error}"))?;
            note(&mut runs, self.position(false)?);
            self.fill()?;
        }
        let _ = self.pcm.tell(asound::DROP);
        Ok(runs)
    }
}

fn note(runs: &mut Vec<Vec<Point>>, position: Position) {
    match position.state {
        STATE_RUNNING => {
            let point = Point { time: position.time, frames: position.frames as f64 };
            if let Some(run) =
                runs.last_mut().filter(|run| run.last().is_none_or(|last| last.frames < point.frames))
            {
                run.push(point);
            }
        }
        STATE_XRUN => runs.push(Vec::new()),
        _ => {}
    }
}

/// Plays on one card or on several at once.
fn play_all(order: &Order, mut began: impl FnMut()) -> Result<Figures, Failure> {
    let (shape, time) = (Shape::of(order)?, milliseconds(order)?);
    let players: Result<Vec<Player>, _> =
        (0..order.number("cards")?).map(|card| Player::open(card, shape)).collect();
    let mut players = players?;
    for player in &mut players {
        player.fill()?;
    }
    began();
    counted(|| {
        let play = move |mut player: Player| player.play(time).map(|runs| (player, runs));
        let threads: Vec<_> = players.into_iter().map(|player| thread::spawn(move || play(player))).collect();
        let mut done = Vec::new();
        for thread in threads {
            done.push(thread.join().map_err(|_| "a player panicked".to_owned())??);
        }
        let mut figures = Figures::default();
        figures.add("xruns", done.iter().map(|(player, _)| player.xruns).sum::<u32>());
        if let Some((player, runs)) = done.first() {
            shape_figures(&mut figures, &player.pcm);
            completions(&mut figures, runs, player.pcm.shape);
        }
        Ok(figures)
    })
}

fn shape_figures(figures: &mut Figures, pcm: &Pcm) {
    figures.add("period", pcm.shape.period);
    figures.add("buffer", pcm.buffer);
}

/// How late interrupts were after the earliest, each with what it said of the position: the longest time
/// without an xrun, and of that not the start.
fn completions(figures: &mut Figures, runs: &[Vec<Point>], shape: Shape) {
    let longest = runs.iter().max_by_key(|run| run.len()).map_or(&[][..], Vec::as_slice);
    let steady = longest.get(shape.periods as usize..).unwrap_or_default();
    let Some((slope, late)) = line(steady) else { return };
    let least = quantile(&late, 0);
    let after = |percent| (quantile(&late, percent) - least) / 1000.0;
    figures.add("completions", steady.len());
    for (name, percent) in [("late_us_p50", 50), ("late_us_p99", 99), ("late_us_max", 100)] {
        figures.add(name, format!("{:.0}", after(percent)));
    }
    figures.add("clock_ppm", format!("{:.0}", (1e9 / f64::from(shape.rate) / slope - 1.0) * 1e6));
}

/// Plays, and asks for the position all the time.
fn position(order: &Order, mut sound_runs: impl FnMut()) -> Result<Figures, Failure> {
    let (mut player, time) = (Player::open(0, Shape::of(order)?)?, milliseconds(order)?);
    player.fill()?;
    sound_runs();
    let begin = Instant::now();
    let (mut points, mut steps): (Vec<Point>, Vec<f64>) = (Vec::new(), Vec::new());
    while begin.elapsed() < time {
        thread::sleep(Duration::from_micros(200));
        let position = match player.pcm.position(true) {
            Ok(position) => position,
            Err(error) if is_xrun(&error) => {
                player.recover()?;
                player.fill()?;
                points.clear();
                continue;
            }
            Err(error) => return Err(format!("sync_ptr: {error}")),
        };
        // Before its first period the kernel has no stamp of it.
        if position.state == STATE_RUNNING && position.time > 0.0 {
            let point = Point { time: position.time, frames: position.frames as f64 };
            if let Some(last) = points.last() {
                steps.extend(Some(point.frames - last.frames).filter(|step| *step > 0.0));
            }
            points.push(point);
        } else {
            points.clear();
        }
        if position.between <= player.pcm.buffer.saturating_sub(player.pcm.shape.period.into()) {
            player.fill()?;
        }
    }
    let _ = player.pcm.tell(asound::DROP);
    let mut figures = Figures::default();
    figures.add("xruns", player.xruns);
    shape_figures(&mut figures, &player.pcm);
    let micros = 1e6 / f64::from(player.pcm.shape.rate);
    figures.add("step_us_p50", format!("{:.0}", quantile(&steps, 50) * micros));
    figures.add("step_us_max", format!("{:.0}", quantile(&steps, 100) * micros));
    figures.add("looks", points.len());
    if let Some((_, late)) = line(&points) {
        let off: Vec<f64> = late.iter().map(|late| late.abs() / 1000.0).collect();
        figures.add("off_us_p99", format!("{:.0}", quantile(&off, 99)));
    }
    Ok(figures)
}

/// Frames (of 48 kHz) that a card may have fetched before they are played, and some more.
const FETCHED: u64 = 144;

/// Fills the buffer with a file of frames, and while that is played takes all of it back but half a period,
/// and plays another file in its place. `first_frames`: how many of the first file stay.
fn rewind(order: &Order) -> Result<Figures, Failure> {
    let shape = Shape::of(order)?;
    let [first, second] = ["first", "file"].map(|key| {
        let path = order.text(key)?;
        fs::read(path).map_err(|error| format!("{path}: {error}"))
    });
    let (mut first, mut second, player) = (first?, second?, Player::open(0, shape)?);
    let pcm = &player.pcm;
    let failed = |what: &str, error: io::Error| format!("{what}: {error}");
    let written = pcm.write(&mut first).map_err(|error| failed("write", error))? as u64;
    if written < pcm.buffer {
        return Err(format!("the first file has {written} frames, fewer than the buffer"));
    }
    // It runs now. Half a buffer is played first, so that what is written anew lies on both sides of the
    // buffer's end; and the begin of a period, so that its rest, which nobody may have fetched, is more than
    // what stays.
    let period = u64::from(pcm.shape.period);
    let between = loop {
        thread::sleep(Duration::from_millis(5));
        let position = player.position(true)?;
        if position.state == STATE_XRUN {
            return Err("an xrun before anything was taken back".into());
        }
        if position.frames >= pcm.buffer / 2 && position.frames % period < period / 4 {
            break position.between;
        }
    };
    let rewound = pcm.rewind(between.saturating_sub(period / 2)).map_err(|error| failed("rewind", error))?;
    let anew = pcm.write(&mut second).map_err(|error| failed("write anew", error))?;
    let (first_frames, position) = (written - rewound, player.position(true)?);
    if position.frames + FETCHED > first_frames {
        return Err(format!("too late: {} frames were played, and {first_frames} stay", position.frames));
    }
    let rest = second.split_off((anew * pcm.shape.frame_bytes()).min(second.len()));
    let mut figures = play_to_the_end(&player, rest, order)?;
    figures.add("first_frames", first_frames);
    figures.add("rewound", rewound);
    Ok(figures)
}

/// Plays a file of frames to its end, the last period filled with silence.
fn song(order: &Order) -> Result<Figures, Failure> {
    let path = order.text("file")?;
    let frames = fs::read(path).map_err(|error| format!("{path}: {error}"))?;
    play_to_the_end(&Player::open(0, Shape::of(order)?)?, frames, order)
}

fn play_to_the_end(player: &Player, mut frames: Vec<u8>, order: &Order) -> Result<Figures, Failure> {
    let silence = if order.text("format")? == "u8" { 0x80 } else { 0 };
    frames.resize(frames.len().next_multiple_of(player.pcm.shape.period_bytes()), silence);
    let frame_bytes = player.pcm.shape.frame_bytes();
    let (mut at, mut xruns) = (0, 0);
    while let Some(rest) = frames.get_mut(at..).filter(|rest| !rest.is_empty()) {
        match player.pcm.write(rest) {
            Ok(written) => at += written * frame_bytes,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                player.pcm.wait().map_err(|error| format!("poll: {error}"))?;
            }
            Err(error) if is_xrun(&error) => {
                xruns += 1;
                player.pcm.tell(asound::PREPARE).map_err(|error| format!("prepare: {error}"))?;
            }
            Err(error) => return Err(format!("write: {error}")),
        }
    }
    player.pcm.drain().map_err(|error| format!("drain: {error}"))?;
    let mut figures = Figures::default();
    figures.add("xruns", xruns);
    Ok(figures)
}

/// Periods that are written ahead in [`round_trip`].
const AHEAD: u64 = 2;
/// Periods between two clicks.
const CLICK_EVERY: u32 = 16;

/// Records what it plays, a period read for a period written: how long a click takes from the write to the
/// read that has it.
fn round_trip(order: &Order) -> Result<Figures, Failure> {
    let (shape, time) = (Shape::of(order)?, milliseconds(order)?);
    if order.text("format")? != "s16" {
        return Err("round-trip: s16 alone".into());
    }
    let play = Pcm::open(0, Direction::Play, shape, AHEAD * u64::from(shape.period))?;
    let capture = Pcm::open(0, Direction::Capture, Shape { period: play.shape.period, ..shape }, 1)?;
    let mut silence = vec![0; play.shape.period_bytes()];
    let mut click = silence.clone();
    click.fill(0x3F);
    let mut heard = silence.clone();
    let (begin, mut xruns, mut periods) = (Instant::now(), 0_u32, 0_u32);
    let (mut sent, mut trips): (Option<Instant>, Vec<f64>) = (None, Vec::new());
    let failed = |what: &str, error: &io::Error| format!("{what}: {error}");
    start(&play, &capture, &mut silence).map_err(|error| failed("start", &error))?;
    while begin.elapsed() < time {
        let step = (|| {
            capture.wait()?;
            let read = capture.read(&mut heard)?;
            let loud =
                heard.get(..read * capture.shape.frame_bytes()).is_some_and(|heard| heard.contains(&0x3F));
            if let Some(sent) = sent.take_if(|_| loud) {
                trips.push(sent.elapsed().as_secs_f64() * 1e6);
            }
            periods += 1;
            let clicks = sent.is_none() && periods.is_multiple_of(CLICK_EVERY);
            if clicks {
                sent = Some(Instant::now());
            }
            play.write(if clicks { &mut click } else { &mut silence })
        })();
        match step {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) if is_xrun(&error) => {
                xruns += 1;
                sent = None;
                start(&play, &capture, &mut silence).map_err(|error| failed("start again", &error))?;
            }
            Err(error) => return Err(failed("round-trip", &error)),
        }
    }
    let mut figures = Figures::default();
    shape_figures(&mut figures, &play);
    figures.add("xruns", xruns);
    figures.add("clicks", trips.len());
    for (name, percent) in [("trip_us_p50", 50), ("trip_us_max", 100)] {
        figures.add(name, format!("{:.0}", quantile(&trips, percent)));
    }
    Ok(figures)
}

/// Starts both ends anew.
fn start(play: &Pcm, capture: &Pcm, silence: &mut [u8]) -> io::Result<()> {
    for pcm in [play, capture] {
        // A stream that does not run has nothing to drop.
        let _ = pcm.tell(asound::DROP);
        pcm.tell(asound::PREPARE)?;
    }
    for _ in 0..AHEAD {
        play.write(silence)?;
    }
    capture.tell(asound::START)
}
