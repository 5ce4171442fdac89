//! The devices of this host, by the crate `cpal` (on Linux: ALSA, and through its plugins `PulseAudio`,
//! `PipeWire` and JACK).

use std::time::Duration;

use cpal::traits::{DeviceTrait, HostTrait, StreamTrait};
use cpal::{BufferSize, Error, ErrorKind, SampleFormat, StreamConfig, SupportedStreamConfigRange};

use super::convert::{Offer, Opening, Samples, Unfit, choose};
use super::feed::{Feed, FeedState, since};
use super::intake::Intake;
use super::{InputDevices, Opened, Output, SINKS, SOURCES, SoundError, server};
use ringwave_audio::StreamFormat;

/// Blocks of 20 ms are asked for: 1 / 50 s. A device may have its own.
const BLOCKS_PER_SECOND: u32 = 50;
/// The callback's thread tries again at once after an error, for ever: it is held up so long that it does no
/// harm, and misses nothing if the error passes.
const AFTER_AN_ERROR: Duration = Duration::from_millis(2);

/// ALSA's library is told to ask a sound server, and cannot.
const NO_PLUGIN: &str =
    "install ALSA's plugin for the sound server: libasound2-plugins (PulseAudio), pipewire-alsa (PipeWire)";

/// The sound system of this host.
pub struct Host;

/// Which way a device goes.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    Plays,
    Records,
}

impl Way {
    /// The command that lists the devices.
    const fn list(self) -> &'static str {
        match self {
            Self::Plays => SINKS,
            Self::Records => SOURCES,
        }
    }
}

impl Output for Host {
    fn check(&self, device: Option<&str>) -> Result<(), SoundError> {
        explained(|| Device::find(device, Way::Plays)?.offers().map(drop))
    }

    fn open(
        &self,
        device: Option<&str>,
        stream: StreamFormat,
        feed: &mut dyn FnMut(Opening) -> Feed,
    ) -> Result<Opened, SoundError> {
        explained(|| {
            let found = Device::find(device, Way::Plays)?;
            found.open(stream, |opening, size| play(&found.handle, opening, size, feed(opening)))
        })
    }

    fn devices(&self) -> Result<Vec<(String, String)>, SoundError> {
        explained(|| named(cpal::default_host().output_devices(), Way::Plays))
    }
}

impl InputDevices for Host {
    fn check(&self, device: Option<&str>) -> Result<(), SoundError> {
        explained(|| Device::find(device, Way::Records)?.offers().map(drop))
    }

    fn record(
        &self,
        device: Option<&str>,
        stream: StreamFormat,
        intake: &mut dyn FnMut(Opening) -> Intake,
    ) -> Result<Opened, SoundError> {
        explained(|| {
            let found = Device::find(device, Way::Records)?;
            found.open(stream, |opening, size| record(&found.handle, opening, size, intake(opening)))
        })
    }

    fn devices(&self) -> Result<Vec<(String, String)>, SoundError> {
        explained(|| named(cpal::default_host().input_devices(), Way::Records))
    }
}

/// Does `work`, which opens devices, and has its error say why. ALSA's library writes that to standard error,
/// in lines of its own and before ours.
fn explained<T>(work: impl FnOnce() -> Result<T, SoundError>) -> Result<T, SoundError> {
    // It stays with this thread, which forgets the text when it asks anew.
    let said = alsa::Output::local_error_handler();
    let done = work();
    let said = said.map(|said| said.borrow().to_string()).unwrap_or_default();
    said.lines().filter(|line| !line.is_empty()).for_each(|line| log::debug!("ALSA: {line}"));
    done.map_err(|error| match error {
        SoundError::Device { device, why, next } => {
            let next = if said.contains("Cannot open shared library") { NO_PLUGIN } else { next };
            SoundError::Device { device, why: last_said(&said).map_or(why, str::to_owned), next }
        }
        other => other,
    })
}

/// The last of lines that begin with the name of a function: the others lead there.
fn last_said(said: &str) -> Option<&str> {
    let last = said.lines().rev().find(|line| !line.is_empty())?;
    Some(last.split_once(": ").map_or(last, |(_, text)| text))
}

/// Names and descriptions.
fn named(
    devices: Result<impl Iterator<Item = cpal::Device>, Error>,
    way: Way,
) -> Result<Vec<(String, String)>, SoundError> {
    let devices = devices.map_err(|error| sound_error("default", way, &error))?;
    Ok(devices.filter_map(|device| Some((device.id().ok()?.id().to_owned(), device.to_string()))).collect())
}

/// A device that was found.
struct Device {
    handle: cpal::Device,
    /// What it is called in messages.
    name: String,
    way: Way,
}

impl Device {
    fn find(name: Option<&str>, way: Way) -> Result<Self, SoundError> {
        let host = cpal::default_host();
        let (found, name) = match (name, way) {
            (Some(name), _) => (host.device_by_id(&cpal::DeviceId::new(host.id(), name)), name),
            (None, Way::Plays) => (host.default_output_device(), "default"),
            (None, Way::Records) => (host.default_input_device(), "default"),
        };
        let handle =
            found.ok_or_else(|| SoundError::NoDevice { device: name.to_owned(), list: way.list() })?;
        Ok(Self { handle, name: name.to_owned(), way })
    }

    fn error(&self, error: &Error) -> SoundError {
        sound_error(&self.name, self.way, error)
    }

    fn offers(&self) -> Result<Vec<Offer>, SoundError> {
        let ranges: Result<Vec<_>, _> = match self.way {
            Way::Plays => self.handle.supported_output_configs().map(Iterator::collect),
            Way::Records => self.handle.supported_input_configs().map(Iterator::collect),
        };
        Ok(ranges.map_err(|error| self.error(&error))?.iter().filter_map(offer).collect())
    }

    /// Starts it in blocks of 20 ms, or of its own size.
    fn open(
        &self,
        stream: StreamFormat,
        mut start: impl FnMut(Opening, BufferSize) -> Result<cpal::Stream, Error>,
    ) -> Result<Opened, SoundError> {
        let opening = choose(stream, &self.offers()?).map_err(|unfit| match unfit {
            Unfit::Rate(taken) => SoundError::Rate { device: self.name.clone(), rate: stream.rate, taken },
            Unfit::Format => SoundError::Format { device: self.name.clone() },
        })?;
        let block = (stream.rate / BLOCKS_PER_SECOND).max(1);
        let started = match start(opening, BufferSize::Fixed(block)) {
            // It has sizes of its own.
            Err(error) if error.kind() == ErrorKind::UnsupportedConfig => start(opening, BufferSize::Default),
            other => other,
        };
        let stream = started.map_err(|error| self.error(&error))?;
        let block = stream.buffer_size().unwrap_or(block);
        Ok(Opened { device: Box::new(stream), block })
    }
}

fn offer(range: &SupportedStreamConfigRange) -> Option<Offer> {
    let samples = match range.sample_format() {
        SampleFormat::I16 => Samples::S16,
        SampleFormat::I24 => Samples::S24,
        SampleFormat::I32 => Samples::S32,
        SampleFormat::F32 => Samples::F32,
        _ => return None,
    };
    Some(Offer {
        samples,
        channels: range.channels().into(),
        lowest: range.min_sample_rate(),
        highest: range.max_sample_rate(),
    })
}

/// What a device is to be opened with.
fn config(opening: Opening, buffer_size: BufferSize) -> Result<(StreamConfig, SampleFormat), Error> {
    let channels = u16::try_from(opening.channels).map_err(|_| Error::new(ErrorKind::UnsupportedConfig))?;
    let samples = match opening.samples {
        Samples::S16 => SampleFormat::I16,
        Samples::S24 => SampleFormat::I24,
        Samples::S32 => SampleFormat::I32,
        Samples::F32 => SampleFormat::F32,
    };
    Ok((StreamConfig { channels, sample_rate: opening.rate, buffer_size }, samples))
}

fn play(
    device: &cpal::Device,
    opening: Opening,
    buffer_size: BufferSize,
    mut feed: Feed,
) -> Result<cpal::Stream, Error> {
    let (config, samples) = config(opening, buffer_size)?;
    let (state, epoch) = (feed.shared(), feed.epoch());
    let stream = device.build_output_stream_raw(
        config,
        samples,
        move |data, _| feed.fill(data.bytes_mut()),
        move |error| on_error(&state, since(epoch), &error),
        None,
    )?;
    stream.play()?;
    Ok(stream)
}

fn record(
    device: &cpal::Device,
    opening: Opening,
    buffer_size: BufferSize,
    mut intake: Intake,
) -> Result<cpal::Stream, Error> {
    let (config, samples) = config(opening, buffer_size)?;
    let (state, epoch) = (intake.shared(), intake.epoch());
    let stream = device.build_input_stream_raw(
        config,
        samples,
        move |data, _| intake.put(data.bytes()),
        move |error| on_error(&state, since(epoch), &error),
        None,
    )?;
    stream.play()?;
    Ok(stream)
}

/// The device's thread has met an error. Some are no end.
fn on_error(state: &FeedState, time: u64, error: &Error) {
    match error.kind() {
        ErrorKind::Xrun => state.was_late(),
        ErrorKind::RealtimeDenied | ErrorKind::DeviceChanged => {}
        // Its thread ends with this one.
        ErrorKind::DeviceNotAvailable => state.fail(&why(error)),
        _ => {
            state.transient_error(time, &why(error));
            std::thread::sleep(AFTER_AN_ERROR);
        }
    }
}

/// An error of the sound system, and what to do about it.
fn sound_error(device: &str, way: Way, error: &Error) -> SoundError {
    let next = match error.kind() {
        ErrorKind::DeviceNotAvailable if way == Way::Plays => "`ringwave sinks` lists those there are",
        ErrorKind::DeviceNotAvailable => "`ringwave sources` lists those there are",
        ErrorKind::DeviceBusy => {
            "another program or stream has it: take a device that mixes (sound:default, sound:pulse), or end that program"
        }
        ErrorKind::PermissionDenied => {
            server::forbidden().unwrap_or("this user may not use it: add it to the group audio")
        }
        ErrorKind::UnsupportedConfig | ErrorKind::UnsupportedOperation => {
            "take a device that converts (sound:default, sound:pulse)"
        }
        _ => server::next_step(),
    };
    SoundError::Device { device: device.to_owned(), why: why(error), next }
}

fn why(error: &Error) -> String {
    error.to_string().trim_end_matches('.').to_owned()
}
