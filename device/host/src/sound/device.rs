//! The devices of this host, by the crate `cpal` (on Linux: ALSA, and through its plugins `PulseAudio`,
//! `PipeWire` and JACK).

use std::time::Duration;

use cpal::traits::{DeviceTrait, HostTrait, StreamTrait};
use cpal::{BufferSize, Error, ErrorKind, SampleFormat, StreamConfig, SupportedStreamConfigRange};

use super::convert::{Offer, Opening, Samples, Unfit, choose};
use super::feed::{Feed, FeedState, since};
use super::{Opened, Output, SoundError};
use ringwave_audio::StreamFormat;

/// Blocks of 20 ms are asked for: 1 / 50 s. A device may have its own.
const BLOCKS_PER_SECOND: u32 = 50;
/// The callback's thread tries again at once after an error, for ever: it is held up so long that it does no
/// harm, and misses nothing if the error passes.
const AFTER_AN_ERROR: Duration = Duration::from_millis(2);

/// The sound system of this host.
pub struct Host;

impl Output for Host {
    fn check(&self, device: Option<&str>) -> Result<(), SoundError> {
        let (found, name) = find(device)?;
        offers(&found, &name).map(drop)
    }

    fn open(
        &self,
        device: Option<&str>,
        stream: StreamFormat,
        feed: &mut dyn FnMut(Opening) -> Feed,
    ) -> Result<Opened, SoundError> {
        let (found, name) = find(device)?;
        let opening = choose(stream, &offers(&found, &name)?).map_err(|unfit| match unfit {
            Unfit::Rate(taken) => SoundError::Rate { device: name.clone(), rate: stream.rate, taken },
            Unfit::Format => SoundError::Format { device: name.clone() },
        })?;
        let block = (stream.rate / BLOCKS_PER_SECOND).max(1);
        let started = start(&found, opening, BufferSize::Fixed(block), feed(opening));
        let started = match started {
            // It has sizes of its own.
            Err(error) if error.kind() == ErrorKind::UnsupportedConfig => {
                start(&found, opening, BufferSize::Default, feed(opening))
            }
            other => other,
        };
        let stream = started.map_err(|error| sound_error(&name, &error))?;
        let block = stream.buffer_size().unwrap_or(block);
        Ok(Opened { device: Box::new(stream), block })
    }

    fn devices(&self) -> Result<Vec<(String, String)>, SoundError> {
        let devices =
            cpal::default_host().output_devices().map_err(|error| sound_error("default", &error))?;
        let named =
            devices.filter_map(|device| Some((device.id().ok()?.id().to_owned(), device.to_string())));
        Ok(named.collect())
    }
}

/// The device, and what it is called in messages.
fn find(device: Option<&str>) -> Result<(cpal::Device, String), SoundError> {
    let host = cpal::default_host();
    let Some(name) = device else {
        let found = host.default_output_device().ok_or_else(|| SoundError::NoDevice("default".to_owned()))?;
        return Ok((found, "default".to_owned()));
    };
    let found = host.device_by_id(&cpal::DeviceId::new(host.id(), name));
    found.map(|found| (found, name.to_owned())).ok_or_else(|| SoundError::NoDevice(name.to_owned()))
}

fn offers(device: &cpal::Device, name: &str) -> Result<Vec<Offer>, SoundError> {
    let ranges = device.supported_output_configs().map_err(|error| sound_error(name, &error))?;
    Ok(ranges.filter_map(|range| offer(&range)).collect())
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

fn start(
    device: &cpal::Device,
    opening: Opening,
    buffer_size: BufferSize,
    mut feed: Feed,
) -> Result<cpal::Stream, Error> {
    let channels = u16::try_from(opening.channels).map_err(|_| Error::new(ErrorKind::UnsupportedConfig))?;
    let config = StreamConfig { channels, sample_rate: opening.rate, buffer_size };
    let samples = match opening.samples {
        Samples::S16 => SampleFormat::I16,
        Samples::S24 => SampleFormat::I24,
        Samples::S32 => SampleFormat::I32,
        Samples::F32 => SampleFormat::F32,
    };
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
fn sound_error(device: &str, error: &Error) -> SoundError {
    let next = match error.kind() {
        ErrorKind::DeviceNotAvailable => "`ringwave sinks` lists those there are",
        ErrorKind::DeviceBusy => {
            "another program or stream has it: take a device that mixes (sound:default, sound:pulse), or end that program"
        }
        ErrorKind::PermissionDenied => "this user may not use it: add it to the group audio",
        ErrorKind::UnsupportedConfig | ErrorKind::UnsupportedOperation => {
            "take a device that converts (sound:default, sound:pulse)"
        }
        _ => "see whether the sound server runs, and whether this user may use it",
    };
    SoundError::Device { device: device.to_owned(), why: why(error), next }
}

fn why(error: &Error) -> String {
    error.to_string().trim_end_matches('.').to_owned()
}
