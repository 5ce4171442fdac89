//! Records a stream into a WAV file.

use alloc::format;
use alloc::string::String;

use ringwave_audio::SampleFormat;
use ringwave_winplay::hresult::Hresult;
use ringwave_winplay::json::Object;
use ringwave_winplay::outcome::{Cause, Failure};
use ringwave_winplay::recorded::{Recorded, SILENT};
use ringwave_winplay::wav;
use ringwave_winplay::wave_format::Format;
use windows::Win32::Media::Audio::IAudioCaptureClient;

use crate::endpoints::Endpoint;
use crate::files::File;
use crate::stream::{Report, Stream, Wanted};
use crate::watch;

/// A recording.
pub struct Capture {
    wanted: Wanted,
    report: Report,
    stream: Stream,
    client: IAudioCaptureClient,
    name: &'static str,
    file: File,
    recorded: Recorded,
    bytes: u32,
    /// When data last came.
    came: u64,
}

impl Capture {
    /// Opens a recording, and starts it. `more` gets what is known if that fails.
    pub fn start(
        endpoint: &Endpoint,
        wanted: Wanted,
        folder: &str,
        name: &'static str,
        more: &mut Object,
    ) -> Result<Self, Failure> {
        let mut report = Report::default();
        let started =
            Self::open(endpoint, wanted, folder, name, &mut report).and_then(|(stream, client, file)| {
                stream.start()?;
                Ok((stream, client, file))
            });
        match started {
            Ok((stream, client, file)) => Ok(Self {
                wanted,
                report,
                stream,
                client,
                name,
                file,
                recorded: Recorded::default(),
                bytes: 0,
                came: watch::now(),
            }),
            Err(failure) => {
                let mut capture = Object::new();
                capture.set("file", Option::<&str>::None);
                report.write(wanted, &mut capture);
                more.set("capture", capture);
                Err(failure)
            }
        }
    }

    fn open(
        endpoint: &Endpoint,
        wanted: Wanted,
        folder: &str,
        name: &'static str,
        report: &mut Report,
    ) -> Result<(Stream, IAudioCaptureClient, File), Failure> {
        let stream = open_stream(endpoint, wanted, report)?;
        let client = ask!("IAudioClient::GetService(IAudioCaptureClient)", stream.client.GetService())?;
        let path = format!("{folder}\\{name}");
        let file = File::create(&path).map_err(|error| not_written(&path, &error))?;
        file.write(&wav::header(&stream.format, 0)).map_err(|error| not_written(&path, &error))?;
        Ok((stream, client, file))
    }

    /// Takes all packets that are there. `each`: the level and the time, in microseconds, of each sample.
    pub fn drain(&mut self, each: &mut dyn FnMut(f64, u64)) -> Result<(), Failure> {
        // No loop over what a driver gives is without end.
        for _ in 0..1000 {
            let (mut data, mut frames, mut flags) = (core::ptr::null_mut(), 0, 0);
            let (mut position, mut time) = (0, 0);
            // GetNextPacketSize is for shared mode alone; without a packet this gives 0 frames.
            ask!(
                "IAudioCaptureClient::GetBuffer",
                self.client.GetBuffer(
                    &raw mut data,
                    &raw mut frames,
                    &raw mut flags,
                    Some(&raw mut position),
                    Some(&raw mut time)
                )
            )?;
            if frames == 0 {
                return Ok(());
            }
            self.came = watch::now();
            let size = (frames as usize).saturating_mul(self.stream.format.frame_bytes());
            let silence;
            let packet = if data.is_null() || flags & SILENT != 0 {
                // What is in such a packet means nothing.
                silence = alloc::vec![self.stream.format.sample.silence(); size];
                &silence[..]
            } else {
                // SAFETY: Windows gives that many frames, readable until ReleaseBuffer.
                unsafe { core::slice::from_raw_parts(data.cast_const(), size) }
            };
            let kept = self.keep(packet, flags, position, time / 10, each);
            ask!("IAudioCaptureClient::ReleaseBuffer", self.client.ReleaseBuffer(frames))?;
            kept?;
        }
        Ok(())
    }

    fn keep(
        &mut self,
        packet: &[u8],
        flags: u32,
        position: u64,
        time: u64,
        each: &mut dyn FnMut(f64, u64),
    ) -> Result<(), Failure> {
        let format = self.stream.format;
        self.recorded.packet(&format, packet, flags, position);
        let (channels, rate) = (u64::from(format.channels), u64::from(format.rate));
        let mut at = 0_u64;
        format.sample.decode(packet, |level| {
            each(level, time + at / channels * 1_000_000 / rate);
            at += 1;
        });
        let size = u32::try_from(packet.len()).unwrap_or(u32::MAX);
        let bytes = self.bytes.saturating_add(size);
        if bytes > wav::DATA_MAX {
            return Err(Failure::new(Cause::File, format!("{} would be longer than 2 GiB", self.name)));
        }
        self.file.write(packet).map_err(|error| not_written(self.name, &error))?;
        self.bytes = bytes;
        Ok(())
    }

    /// Records so many frames.
    pub fn until(&mut self, seconds: u32) -> Result<(), Failure> {
        let frames = u64::from(seconds) * u64::from(self.stream.format.rate);
        while self.recorded.frames() < frames {
            self.stream.wait()?;
            self.drain(&mut |_, _| {})?;
            if watch::now().saturating_sub(self.came) > watch::limit() {
                let text =
                    format!("the stream runs, and no data came behind {} frames", self.recorded.frames());
                return Err(Failure::new(Cause::NoProgress, text));
            }
        }
        Ok(())
    }

    /// Stops, and completes the file.
    pub fn finish(self, more: &mut Object) -> Result<Recorded, Failure> {
        let stopped = self.stream.stop();
        let header = wav::header(&self.stream.format, self.bytes);
        let written = self.file.rewrite(&header).and_then(|()| self.file.flush());
        let mut capture = Object::new();
        capture.set("file", self.name);
        self.report.write(self.wanted, &mut capture);
        self.recorded.write(&mut capture);
        more.set("capture", capture);
        stopped?;
        written.map_err(|error| not_written(self.name, &error))?;
        Ok(self.recorded)
    }
}

/// In the format of shared mode; exclusive at its rate and with its channels, in 24 bits or more, or in 16.
fn open_stream(endpoint: &Endpoint, wanted: Wanted, report: &mut Report) -> Result<Stream, Failure> {
    let mix = mix(endpoint)?;
    if !wanted.exclusive {
        return Stream::open(endpoint, &mix, wanted, report);
    }
    let first = Stream::open(endpoint, &Format { sample: SampleFormat::S24, ..mix }, wanted, report);
    match first {
        Err(failure) if failure.cause == Cause::Format => {
            Stream::open(endpoint, &Format { sample: SampleFormat::S16, ..mix }, wanted, report)
        }
        other => other,
    }
}

/// The format of shared mode, for what can't do without.
pub fn mix(endpoint: &Endpoint) -> Result<Format, Failure> {
    endpoint.mix.ok_or_else(|| {
        let text = "shared mode has no format, or none that this program can store: see mix_hresult of the line chosen";
        Failure::new(Cause::Format, text)
    })
}

fn not_written(path: &str, error: &windows::core::Error) -> Failure {
    let text: String = format!("{path}: can't be written");
    let mut failure = Failure::new(Cause::File, text);
    failure.call = Some(("WriteFile", Some(Hresult(error.code().0.cast_unsigned()))));
    failure
}
