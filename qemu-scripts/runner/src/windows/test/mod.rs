//! `windows test`: winplay plays a song in Windows, and what the card heard is compared with it.
//!
//! * [`winplay`]: what the program in the guest says; [`verdict`]: what follows from that, from the card's
//!   figures and from the sound

pub mod verdict;
pub mod winplay;

use std::fs;
use std::path::{Path, PathBuf};

use ringwave_audio::compare::{self, judge};
use ringwave_report::{Direction, SessionReport, StreamReport};

use self::verdict::{Heard, Played, Verdict};
use self::winplay::{Mode, Transcript};
use super::run::media::Files;
use super::run::{Finished, Outcome, Request, Served};
use crate::error::Error;
use crate::input::Input;

/// The song on the run CD.
const SONG: &str = "song.wav";
const WINPLAY: &str = "winplay.exe";
/// Of its lines.
const LINES_MAX: u64 = 16 << 20;

/// The files of a run that plays this song.
///
/// # Errors
/// [`Error::BadInput`] if no card could play it.
pub fn files(winplay: &Path, song: &Path, mode: Mode, seconds: u64) -> Result<Files, Error> {
    Input::open(song)?;
    // cmd.exe puts the out disk's folder in: its letter is the guest's choice.
    let command = format!(
        "cmd /d /c {WINPLAY} --play {SONG} --out %RINGWAVE_OUT% --total {seconds} --enable-glitches {} glitches",
        mode.step()
    );
    Ok(Files {
        copy: None,
        more: vec![(WINPLAY.into(), winplay.into()), (SONG.into(), song.into())],
        command: command.split(' ').map(str::to_owned).collect(),
    })
}

/// What the run comes to.
///
/// # Errors
/// [`Error::Failed`] if the song or what was heard can't be read.
pub fn judge_run(request: &Request, finished: &Finished, song: &Path, mode: Mode) -> Result<Verdict, Error> {
    let exit = match &finished.outcome {
        Outcome::Exited(code) => *code,
        outcome => return Ok(Verdict::none(&outcome.explain())),
    };
    let lines = finished.folder.join("out/winplay.jsonl");
    let text = match fs::metadata(&lines) {
        Ok(file) if file.len() <= LINES_MAX => fs::read_to_string(&lines),
        Ok(_) => return Ok(Verdict::none("winplay.jsonl is larger than 16 MiB")),
        Err(error) => Err(error),
    };
    let said = match text {
        Ok(text) => Transcript::read(&text),
        Err(error) => {
            Err(format!("winplay left no lines ({error}); program.log has what it said, exit code {exit}"))
        }
    };
    let heard = if finished.heard == 0 { None } else { Some(compare(song, &heard_file(finished))?) };
    let played = Played {
        said,
        exit,
        mode,
        card: request.card,
        device: request.device,
        clock: request.clock,
        stream: stream(finished),
        heard,
    };
    Ok(played.verdict())
}

/// The file that the song is in: where the card heard several, the longest.
pub fn heard_file(finished: &Finished) -> PathBuf {
    let files = (1..=finished.heard).map(|number| match number {
        1 => finished.folder.join("heard.wav"),
        number => finished.folder.join(format!("heard-{number}.wav")),
    });
    let length = |path: &PathBuf| fs::metadata(path).map_or(0, |file| file.len());
    files.max_by_key(length).unwrap_or_default()
}

/// The boot that played, as the card saw it: where there are several, the longest.
pub fn longest(finished: &Finished) -> Option<&Served> {
    finished.served.iter().max_by_key(|boot| played(&boot.stats).map_or(0, |stream| stream.frames))
}

/// The stream that played, as the card counted it.
fn stream(finished: &Finished) -> Option<StreamReport> {
    let stream = longest(finished).and_then(|boot| played(&boot.stats));
    stream.filter(|stream| stream.frames > 0).cloned()
}

/// Of a boot.
fn played(stats: &SessionReport) -> Option<&StreamReport> {
    let render = stats.streams.iter().filter(|stream| stream.direction == Direction::Render);
    render.max_by_key(|stream| stream.frames)
}

fn compare(song: &Path, heard: &Path) -> Result<Heard, Error> {
    let [expected, heard] = compare::open([song, heard]).map_err(Error::failed)?;
    let judgement = judge::judge(&expected, &heard, &judge::Options::default(), &mut |_| ());
    let judgement = judgement.map_err(Error::failed)?;
    Ok(Heard {
        conclusion: judgement.conclusion,
        findings: judgement.findings.clone(),
        rate: heard.format().rate,
    })
}
