//! Walks the cells of one boot, and judges each of them: bit-exact before and after its event.

use ringwave_e2e::{noise, qemu_events::QemuEvents, runs};
use ringwave_report::DmaMode;
use ringwave_runner::{
    machine::Outcome,
    report::Report,
    request::{CardKind, Request},
};

use crate::matrix::{After, Boot, Cell, Direction, State};

/// Frames that a cell plays or records: eight packets.
const PIECE: u32 = 9600;
/// Two packets of 1,200 frames: three pages, so that a buffer in pieces is more than one piece.
const BUFFER_MS: u32 = 50;
/// How much longer the file is than what is played of it, for a recording beside it, frames.
const RECORDED_BESIDES: u32 = 10 * PIECE;
/// How much may be heard twice, or lost, where a message was cut: less than the message of 10 ms. The driver
/// knows no better than its position, which is carried on by time; a busy host makes that late. (That it goes
/// on there, to the frame, is a test of the driver's own: `after_d3_everything_is_anew`.)
const CUT_FRAMES: isize = 480;
/// Of 16-bit stereo.
const FRAME_BYTES: usize = 4;

/// Walks a boot; what is wrong with it, one line each.
pub fn walk(boot: &Boot) -> Vec<String> {
    let cells = u32::try_from(boot.cells.len()).expect("few");
    let wav = noise::wav(cells * PIECE + RECORDED_BESIDES, 2, 48_000);
    let list: Vec<String> = boot.cells.iter().map(ToString::to_string).collect();
    eprintln!("boot ({}): {}", boot.machine, list.join(","));
    let sleeps = boot.cells.iter().filter(|cell| cell.event.sleeps).count();
    let mut events = QemuEvents::default();
    let change = |request: &mut Request| {
        request.kind = boot.machine.card;
        // There it has power states.
        request.root_port = true;
        request.contiguous = boot.machine.contiguous;
        request.processors = boot.machine.processors;
        request.buffer_ms = BUFFER_MS;
        let event = boot.cells[0].event;
        request.card = vec!["--source".into(), format!("wav:{}", wav.path.display())];
        request.card.extend(event.card.iter().copied().map(String::from));
        request.guest_config =
            vec!["client=life".into(), format!("life={}", list.join(",")), format!("life_frames={PIECE}")];
        request.guest_config.extend(event.settings.iter().copied().map(String::from));
        // One Windows asks for one version of IAdapterPowerManagement: each of them in turn.
        let interface = match (boot.machine.line, boot.machine.contiguous) {
            (false, false) => 3,
            (false, true) => 2,
            (true, _) => 1,
        };
        request.guest_config.push(format!("power_interface={interface}"));
        // The line, or messages and a client that has mapped the position register, if there is one, and
        // reads it in any state.
        let interrupt = match (boot.machine.line, boot.machine.card) {
            (true, _) => "msi=0",
            (false, CardKind::Ringwave) => "reg.PositionRegister=1",
            (false, CardKind::Virtio) => "msi=5",
        };
        if !event.settings.contains(&interrupt) {
            request.guest_config.push(interrupt.into());
        }
    };
    let watch = |processes| if sleeps > 0 { events.take(processes) } else { Ok(()) };
    let report = runs::play_watched(&wav.path, change, watch);
    let sent = ringwave_audio::wav::read(&wav.path).expect("the file").frames;
    let mut wrong = judge(boot, &report, &sent);
    let slept = ["SUSPEND", "WAKEUP"].map(|name| events.count(name));
    if slept != [sleeps; 2] {
        wrong.push(format!("the machine fell asleep and woke up {slept:?} times, and {sleeps} are due"));
    }
    wrong
}

/// What is wrong with a boot.
fn judge(boot: &Boot, report: &Report, sent: &[u8]) -> Vec<String> {
    let mut wrong: Vec<String> = report.violations.clone();
    if report.outcome != Some(Outcome::Ok) {
        wrong.push(format!("the guest ended with {:?}", report.outcome));
    }
    for (number, cell) in boot.cells.iter().enumerate() {
        let ended = report.guest.results.get(&format!("cell{number}"));
        if ended.map(String::as_str) != Some("ok") {
            wrong.push(format!("cell {number}, {cell}: {ended:?}"));
        }
    }
    let mode = if boot.machine.contiguous { DmaMode::Contiguous } else { DmaMode::ScatterGather };
    for stream in report.card.streams.iter().filter(|stream| stream.packets_completed > 0) {
        // Of a virtio device's messages nothing tells.
        if boot.machine.card == CardKind::Ringwave && stream.dma_mode != mode {
            wrong.push(format!("the card's buffer was {}", stream.dma_mode));
        }
    }
    wrong.extend(judge_said(boot, report));
    wrong.extend(judge_played(boot, report, sent));
    wrong.extend(judge_recorded(boot, report, sent));
    wrong
}

/// The driver has said of each event what it was to say, once each time.
fn judge_said(boot: &Boot, report: &Report) -> Vec<String> {
    let lines = |text: &str| report.guest.driver.iter().filter(|line| line.contains(text)).count();
    let times = |text: &str| boot.cells.iter().filter(|cell| cell.says() == text).count();
    let mut texts: Vec<&str> = boot.cells.iter().map(Cell::says).filter(|text| !text.is_empty()).collect();
    texts.sort_unstable();
    texts.dedup();
    let wrong = texts.into_iter().filter(|text| lines(text) != times(text));
    wrong.map(|text| format!("{text:?} was said {} times, and due {}", lines(text), times(text))).collect()
}

/// What was heard is the pieces of the cells that play, one after another, and nothing else.
fn judge_played(boot: &Boot, report: &Report, sent: &[u8]) -> Option<String> {
    let mut heard = report.played.as_ref().map_or(&[][..], |sound| &sound.frames);
    let pieces = sent.chunks(PIECE as usize * FRAME_BYTES);
    let playing = boot.cells.iter().enumerate().filter(|(_, cell)| cell.direction != Direction::Record);
    for ((number, cell), piece) in playing.zip(pieces) {
        let Some(rest) = after_piece(cell, heard, piece) else {
            let same = heard.iter().zip(piece).take_while(|(a, b)| a == b).count() / FRAME_BYTES;
            return Some(format!("cell {number}, {cell}: heard is right for {same} of {PIECE} frames"));
        };
        heard = rest;
    }
    (!heard.is_empty())
        .then(|| format!("{} frames are heard after the last piece", heard.len() / FRAME_BYTES))
}

/// What was heard after the piece of this cell; nothing if the piece was not.
fn after_piece<'a>(cell: &Cell, heard: &'a [u8], piece: &[u8]) -> Option<&'a [u8]> {
    match cell.event.after {
        After::GoesOn if cell.cuts() => after_cut(heard, piece),
        After::GoesOn => heard.strip_prefix(piece),
        // The stream that was lost has played a beginning of it.
        After::Lost | After::LostAlone => (0..=piece.len()).step_by(FRAME_BYTES).find_map(|begun| {
            let rest = heard.strip_prefix(&piece[..begun])?;
            rest.strip_prefix(piece)
        }),
    }
}

/// The same of a piece some frames of which, at one place, are heard twice or not at all.
fn after_cut<'a>(heard: &'a [u8], piece: &[u8]) -> Option<&'a [u8]> {
    let same = heard.iter().zip(piece).take_while(|(a, b)| a == b).count() / FRAME_BYTES;
    // From the least on, either way.
    let mut all = (0..CUT_FRAMES).flat_map(|frames| [frames, -frames]);
    let goes_on = |twice: isize| {
        let rest = piece.get(same.checked_add_signed(-twice)? * FRAME_BYTES..)?;
        heard.get(same * FRAME_BYTES..)?.strip_prefix(rest).map(|rest| (twice, rest))
    };
    let (twice, rest) = all.find_map(goes_on)?;
    eprintln!("after frame {same}: {twice} frames are heard twice (or lost, negative)");
    Some(rest)
}

/// What each cell recorded is what the card's microphone heard from the first frame on: a WAV file that
/// begins with each stream.
fn judge_recorded(boot: &Boot, report: &Report, sent: &[u8]) -> Vec<String> {
    let (mut wrong, mut recorded) = (Vec::new(), &report.recorded[..]);
    for (number, cell) in boot.cells.iter().enumerate().filter(|(_, cell)| cell.direction != Direction::Play)
    {
        let beside = cell.event.after == After::LostAlone && cell.direction == Direction::Duplex;
        let beside = beside && cell.state != State::Closed;
        for (which, least) in [("beside", 1), ("recorded", PIECE)].into_iter().skip(usize::from(!beside)) {
            let frames = report.guest.result(&format!("cell{number}_{which}")).unwrap_or(0);
            let bytes = usize::try_from(frames).expect("few") * FRAME_BYTES;
            let split = recorded.split_at_checked(bytes).filter(|_| frames >= u64::from(least));
            let Some((piece, rest)) = split else {
                wrong.push(format!("cell {number}, {cell}: {frames} frames {which}"));
                return wrong;
            };
            let anew = if cell.begins_anew() { begun_anew(piece, sent) } else { piece };
            if cell.cuts()
                && cell.direction == Direction::Record
                && (anew.is_empty() || anew.len() == piece.len())
            {
                wrong.push(format!("cell {number}, {cell}: it was not cut in the midst"));
            }
            let piece = anew;
            wrong.extend(compare(piece, sent).map(|why| format!("cell {number}, {cell}, {which}: {why}")));
            recorded = rest;
        }
    }
    wrong
}

/// What is left of a recording behind its longest beginning that is right: the source may have begun anew
/// there.
fn begun_anew<'a>(piece: &'a [u8], sent: &[u8]) -> &'a [u8] {
    let same = sent.iter().zip(piece).take_while(|(a, b)| a == b).count() / FRAME_BYTES;
    &piece[same * FRAME_BYTES..]
}

/// What is wrong with a recording that should be a beginning of `sent`.
fn compare(piece: &[u8], sent: &[u8]) -> Option<String> {
    if sent.starts_with(piece) {
        return None;
    }
    let same = sent.iter().zip(piece).take_while(|(a, b)| a == b).count() / FRAME_BYTES;
    let (at, more) = best_match(&piece[same * FRAME_BYTES..], sent);
    let frames = piece.len() / FRAME_BYTES;
    Some(format!("of {frames} frames {same} are right; then {more} are those from frame {at} on"))
}

/// Where the longest beginning of `piece` lies in `sound`, and how long it is, in frames.
fn best_match(piece: &[u8], sound: &[u8]) -> (usize, usize) {
    let same = |at: usize| sound[at..].iter().zip(piece).take_while(|(a, b)| a == b).count() / FRAME_BYTES;
    let all = (0..sound.len()).step_by(FRAME_BYTES).map(|at| (at / FRAME_BYTES, same(at)));
    all.max_by_key(|(_, same)| *same).unwrap_or_default()
}
