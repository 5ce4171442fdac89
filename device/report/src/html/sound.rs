//! A sound of the page: what was sent and what was heard, drawn under each other, and where they differ.

use std::io;

use ringwave_audio::compare::judge::{Options, judge};
use ringwave_audio::wav::Samples;
use ringwave_audio::{SampleFormat, StreamFormat};

use super::axis::Axis;
use super::clips::{self, Clip};
use super::differences::Differences;
use super::numbers::f64_of;
use super::plot::{self, Lane, PlotError};
use super::survey::{Survey, survey};
use super::words::{grouped, length, level};

/// What is told of a sound.
#[derive(Clone, Debug)]
pub struct Sound {
    /// What it is: "What was played".
    pub title: String,
    /// What is drawn: "sent", "heard", and the files that they are in.
    pub sides: Vec<Side>,
    /// Where they differ; `None`: there is one side only.
    pub differences: Option<Differences>,
    /// The first differences, to listen to.
    pub clips: Vec<Clip>,
    /// The pictures, or why there is none.
    pub pictures: Vec<Picture>,
    /// Frames per second of what was heard.
    pub rate: u32,
}

/// A picture and what it shows.
#[derive(Clone, Debug)]
pub struct Picture {
    /// Above it.
    pub title: String,
    /// Below it.
    pub caption: String,
    /// SVG.
    pub svg: Result<String, String>,
}

/// One sound of a pair.
#[derive(Clone, Debug)]
pub struct Side {
    /// `sent` or `heard`.
    pub role: &'static str,
    /// Its file.
    pub name: String,
    /// Its format in words.
    pub format: String,
    /// Its frames.
    pub frames: u64,
    /// Its length in seconds.
    pub seconds: f64,
    /// Its highest level.
    pub peak: String,
    /// Samples that are no numbers.
    pub not_finite: u64,
}

/// What differs between two sounds that are known not to be the same.
///
/// # Errors
/// A file that cannot be read.
pub fn differences(sent: &Samples<'_>, heard: &Samples<'_>) -> io::Result<Differences> {
    if let Some(found) = Differences::of_many_gaps(sent, heard) {
        return Ok(found);
    }
    let judgement = judge(sent, heard, &Options::default(), &mut |_| ())?;
    Ok(Differences::of(&judgement, sent, heard))
}

impl Sound {
    /// Of what was sent and what was heard; `names` are those of their files. Takes what clips need of `budget`.
    pub fn of_pair(
        title: &str,
        names: [&str; 2],
        [sent, heard]: [&Samples<'_>; 2],
        differences: Differences,
        budget: &mut u64,
    ) -> Self {
        let seconds = |samples: &Samples<'_>| f64_of(samples.len()) / f64::from(samples.format().rate.max(1));
        // What was sent is drawn where it was heard.
        #[allow(clippy::cast_precision_loss, reason = "frames of a file fit 52 bits")]
        let shift = differences.offset.unwrap_or(0) as f64 / f64::from(heard.format().rate.max(1));
        let axis = Axis::new(shift.min(0.0), seconds(heard).max(shift + seconds(sent)));
        let highest = [sent, heard]
            .map(|samples| f64::from(samples.format().rate) / 2.0)
            .into_iter()
            .fold(0.0, f64::max);
        let surveys = [survey(sent, axis, shift, highest), survey(heard, axis, 0.0, highest)];
        let by_column = differences.by_column(sent, heard, axis);
        let clips = clips::clips(&differences.places, sent, heard, budget);
        let [one, other] = &surveys;
        let waves = [("sent", true, one), ("heard", false, other)];
        let pictures = pictures(&waves, by_column.as_deref(), axis, &differences, highest);
        let sides = vec![side("sent", names[0], sent, one), side("heard", names[1], heard, other)];
        let rate = heard.format().rate;
        Self { title: title.to_owned(), sides, differences: Some(differences), clips, pictures, rate }
    }

    /// Of what was heard, with nothing beside it.
    pub fn alone(title: &str, role: &'static str, name: &str, heard: &Samples<'_>) -> Self {
        let rate = heard.format().rate;
        let axis = Axis::new(0.0, f64_of(heard.len()) / f64::from(rate.max(1)));
        let highest = f64::from(rate) / 2.0;
        let survey = survey(heard, axis, 0.0, highest);
        let pictures = pictures(&[(role, false, &survey)], None, axis, &Differences::default(), highest);
        let sides = vec![side(role, name, heard, &survey)];
        Self { title: title.to_owned(), sides, differences: None, clips: Vec::new(), pictures, rate }
    }
}

fn side(role: &'static str, name: &str, samples: &Samples<'_>, survey: &Survey) -> Side {
    let format = samples.format();
    Side {
        role,
        name: name.to_owned(),
        format: format_in_words(format),
        frames: samples.len(),
        seconds: f64_of(samples.len()) / f64::from(format.rate.max(1)),
        peak: level(survey.peak),
        not_finite: survey.not_finite,
    }
}

fn format_in_words(format: StreamFormat) -> String {
    let channels = match format.channels {
        1 => "mono".to_owned(),
        2 => "stereo".to_owned(),
        more => format!("{more} channels"),
    };
    let float = if format.sample == SampleFormat::F32 { " float" } else { "" };
    format!("{}-bit{float}, {channels}, {} Hz", format.sample.valid_bits(), grouped(format.rate.into()))
}

/// The waveforms with their difference, and the spectrograms.
fn pictures(
    waves: &[(&'static str, bool, &Survey)],
    by_column: Option<&[f32]>,
    axis: Axis,
    differences: &Differences,
    highest: f64,
) -> Vec<Picture> {
    let places = &differences.places;
    let mut lanes: Vec<Lane<'_>> = waves
        .iter()
        .map(|(name, sent, survey)| Lane::Wave { name, sent: *sent, levels: &survey.levels })
        .collect();
    lanes.extend(by_column.map(|levels| Lane::Difference { levels }));
    let spectra: Vec<Lane<'_>> = waves
        .iter()
        .map(|(name, _, survey)| Lane::Spectrum { name, cells: &survey.spectrogram, highest })
        .collect();
    let column = length(axis.step());
    let marked = if places.is_empty() {
        ""
    } else {
        " Red marks each difference; the numbers are those of the table."
    };
    let drawn = |result: Result<String, PlotError>| result.map_err(|error| error.to_string());
    vec![
        Picture {
            title: "Waveform".to_owned(),
            caption: format!("The lowest and the highest level of all channels in each {column}.{marked}"),
            svg: drawn(plot::lanes(&lanes, axis, places)),
        },
        Picture {
            title: "Spectrogram".to_owned(),
            caption: format!(
                "The loudest of all channels from -110 dBFS (dark) to full scale (bright), looked at once or twice in each {column}."
            ),
            svg: drawn(plot::lanes(&spectra, axis, places)),
        },
    ]
}
