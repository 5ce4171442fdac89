//! For `tests/verdicts/foreign`: sounds for other programs, and whether the answer to what they made is
//! right.

use std::path::Path;

use fastrand::Rng;
use ringwave_audio::SampleFormat;

use crate::answer::{Answer, Pattern};
use crate::judge::{Conclusion, Finding};
use crate::sounds::{self, Kind};
use crate::{verdict, wave};

/// Writes a stereo sound that can be resampled.
pub fn write(path: &Path, like: &str, rate: u32, sample: SampleFormat, seconds: f64) -> Result<(), String> {
    let kind = match like {
        "music" => Kind::Music,
        "speech" => Kind::Speech,
        "sweep" => Kind::Sweep,
        "noise" => Kind::Noise,
        _ => return Err(format!("{like}: music, speech, sweep or noise")),
    };
    let mut rng = Rng::with_seed(7);
    let frames = (f64::from(rate) * seconds) as usize;
    let mut sound = sounds::make_smooth(&mut rng, kind, rate, 2, frames, 0.5);
    wave::quantize(sample, &mut sound);
    std::fs::write(path, verdict::wav(&wave::sound(&sound, sample, rate)))
        .map_err(|error| format!("{}: {error}", path.display()))
}

/// What is wrong with the program's answer. A demand is a word: `same`, or kinds of findings with `|` between
/// those that may be told for one another; `=NUMBER` after one is its number, to 2 %; one that begins with
/// `?` may be there.
pub fn check(program: &Path, a: &Path, b: &Path, demands: &[String]) -> Result<Vec<String>, String> {
    let verdict = verdict::compare(program, a, b, &[])?;
    println!("    {:?}, offset {:?}, {:?}", verdict.conclusion, verdict.offset_frames, verdict.findings);
    let (mut required, mut allowed) = (Vec::new(), Vec::new());
    for demand in demands.iter().filter(|demand| !["same", "damaged"].contains(&&***demand)) {
        match demand.strip_prefix('?') {
            Some(demand) => allowed.push(pattern(demand)?),
            None => required.push(pattern(demand)?),
        }
    }
    let is = |word: &str| demands.iter().any(|demand| demand == word);
    let answer =
        if is("damaged") { Answer::damaged_somehow() } else { Answer::damaged(required).allowing(allowed) };
    let conclusions = if is("same") { vec![Conclusion::Same] } else { vec![Conclusion::Damaged] };
    Ok(Answer { conclusions, ..answer }.wrong(&verdict))
}

fn pattern(demand: &str) -> Result<Pattern, String> {
    let (kinds, number) = match demand.split_once('=') {
        Some((kinds, number)) => (kinds, Some(number.parse::<f64>().map_err(|error| error.to_string())?)),
        None => (demand, None),
    };
    let kinds: Vec<String> = kinds.split('|').map(str::to_owned).collect();
    Ok(Pattern::new(demand, move |finding| {
        let near = |told: f64| number.is_none_or(|number| (told - number).abs() <= number.abs() * 0.02);
        kinds.iter().any(|kind| kind == finding.kind())
            && match finding {
                Finding::Level { db, .. } => near(*db),
                Finding::Drift { ppm } => near(*ppm),
                Finding::StartMissing { frames } | Finding::EndMissing { frames } => near(*frames as f64),
                Finding::Lost(place) => near(place.frames as f64),
                _ => number.is_none(),
            }
    }))
}
