//! A stream of any mode, opened: format, Initialize, event.

use alloc::format;
use alloc::vec::Vec;

use ringwave_winplay::hresult::Hresult;
use ringwave_winplay::json::Object;
use ringwave_winplay::outcome::{Cause, Failure, Suspect};
use ringwave_winplay::wave_format::Format;
use windows::Win32::Foundation::{CloseHandle, HANDLE, WAIT_OBJECT_0, WAIT_TIMEOUT};
use windows::Win32::Media::Audio::{
    AUDCLNT_SHAREMODE, AUDCLNT_SHAREMODE_EXCLUSIVE, AUDCLNT_SHAREMODE_SHARED,
    AUDCLNT_STREAMFLAGS_AUTOCONVERTPCM, AUDCLNT_STREAMFLAGS_EVENTCALLBACK, AUDCLNT_STREAMFLAGS_LOOPBACK,
    AUDCLNT_STREAMFLAGS_NOPERSIST, AUDCLNT_STREAMFLAGS_SRC_DEFAULT_QUALITY, AUDCLNT_STREAMOPTIONS_RAW,
    AudioCategory_Media, AudioClientProperties, IAudioClient, IAudioClient2, IAudioClient3,
    ISimpleAudioVolume, WAVEFORMATEX,
};
use windows::Win32::System::Com::{CLSCTX_ALL, CoTaskMemFree};
use windows::Win32::System::Threading::{CreateEventW, Sleep, WaitForSingleObject};
use windows::core::Interface;

use crate::endpoints::Endpoint;
use crate::watch;

/// What stream is wanted.
#[derive(Clone, Copy)]
#[allow(clippy::struct_excessive_bools, reason = "each is one flag of WASAPI")]
pub struct Wanted {
    pub exclusive: bool,
    pub event: bool,
    pub raw: bool,
    /// By IAudioClient3, at its shortest period.
    pub low_latency: bool,
    /// Records what the endpoint plays.
    pub loopback: bool,
    /// Windows may convert.
    pub convert: bool,
}

/// What is known of a stream, as far as it got.
#[derive(Default)]
pub struct Report {
    pub own_format: Option<Hresult>,
    pub format: Option<Format>,
    pub widened: Option<bool>,
    pub converted: bool,
    pub buffer_frames: Option<u32>,
    pub period: Option<i64>,
    pub latency: Option<i64>,
    pub aligned_retry: bool,
}

impl Report {
    pub fn write(&self, wanted: Wanted, to: &mut Object) {
        to.set("mode", if wanted.exclusive { "exclusive" } else { "shared" });
        to.set("drive", if wanted.event { "event" } else { "timer" });
        to.set_hresult("own_format_hresult", self.own_format);
        to.set("format", self.format).set("widened", self.widened);
        to.set("converted_by", self.converted.then_some("windows"));
        to.set("buffer_frames", self.buffer_frames).set("period", self.period).set("latency", self.latency);
        to.set("aligned_retry", self.aligned_retry);
    }
}

/// A stream, initialized and not started.
pub struct Stream {
    pub client: IAudioClient,
    pub format: Format,
    pub buffer_frames: u32,
    event: Option<Event>,
}

/// 100 ns in a second.
const SECOND: i64 = 10_000_000;
/// The buffer that is asked for where this program may choose.
const BUFFER: i64 = SECOND / 10;

/// An event that a stream signals.
struct Event(HANDLE);

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: our own handle, for the last time: it is dropped after the client that signals it.
        let _ = unsafe { CloseHandle(self.0) };
    }
}

impl Stream {
    /// Opens a stream for sound of a format.
    pub fn open(
        endpoint: &Endpoint,
        own: &Format,
        wanted: Wanted,
        report: &mut Report,
    ) -> Result<Self, Failure> {
        let client = activate(endpoint, wanted)?;
        let chosen = choose_format(&client, endpoint, own, wanted, report)?;
        report.format = Some(chosen.format);
        report.widened = Some(chosen.format.sample != own.sample);
        report.converted = chosen.convert;
        let client = initialize(client, endpoint, &chosen, wanted, report)?;
        let buffer_frames = ask!("IAudioClient::GetBufferSize", client.GetBufferSize())?;
        report.buffer_frames = Some(buffer_frames);
        report.latency = ask!("IAudioClient::GetStreamLatency", client.GetStreamLatency()).ok();
        let mut event = None;
        if wanted.event {
            let new = Event(ask!("CreateEventW", CreateEventW(None, false, false, None))?);
            ask!("IAudioClient::SetEventHandle", client.SetEventHandle(new.0))?;
            event = Some(new);
        }
        if !wanted.exclusive {
            full_session_volume(&client);
        }
        Ok(Self { client, format: chosen.format, buffer_frames, event })
    }

    pub fn start(&self) -> Result<(), Failure> {
        ask!("IAudioClient::Start", self.client.Start())
    }

    pub fn stop(&self) -> Result<(), Failure> {
        ask!("IAudioClient::Stop", self.client.Stop())
    }

    /// Waits for the event, or a quarter of the buffer.
    pub fn wait(&self) -> Result<(), Failure> {
        let Some(event) = &self.event else {
            let quarter = u64::from(self.buffer_frames) * 250 / u64::from(self.format.rate);
            // SAFETY: no more than a pause.
            unsafe { Sleep(u32::try_from(quarter).unwrap_or(10).clamp(1, 100)) };
            return watch::go_on();
        };
        let began = watch::now();
        loop {
            watch::go_on()?;
            // SAFETY: our own handle.
            match unsafe { WaitForSingleObject(event.0, 100) } {
                WAIT_OBJECT_0 => return Ok(()),
                WAIT_TIMEOUT if watch::now().saturating_sub(began) < watch::limit() => {}
                _ => {
                    let text = format!(
                        "the stream runs, and its event did not come for {} s",
                        watch::limit() / 1_000_000
                    );
                    return Err(Failure::new(Cause::NeverSignalled, text));
                }
            }
        }
    }
}

fn activate(endpoint: &Endpoint, wanted: Wanted) -> Result<IAudioClient, Failure> {
    let client: IAudioClient =
        ask!("IMMDevice::Activate(IAudioClient)", endpoint.device.Activate(CLSCTX_ALL, None))?;
    if wanted.raw {
        let second: IAudioClient2 =
            watch::call(&"IAudioClient::QueryInterface(IAudioClient2)", || client.cast())?;
        let properties = AudioClientProperties {
            cbSize: u32::try_from(size_of::<AudioClientProperties>()).unwrap_or(0),
            bIsOffload: false.into(),
            eCategory: AudioCategory_Media,
            Options: AUDCLNT_STREAMOPTIONS_RAW,
        };
        ask!("IAudioClient2::SetClientProperties", second.SetClientProperties(&raw const properties))?;
    }
    Ok(client)
}

/// A format that the endpoint takes, as the bytes that it was asked about.
struct Chosen {
    format: Format,
    bytes: Vec<u8>,
    convert: bool,
}

impl Chosen {
    fn pointer(&self) -> *const WAVEFORMATEX {
        pointer(&self.bytes)
    }
}

/// The structure is packed: any address will do.
fn pointer(bytes: &[u8]) -> *const WAVEFORMATEX {
    bytes.as_ptr().cast()
}

fn share(wanted: Wanted) -> AUDCLNT_SHAREMODE {
    if wanted.exclusive { AUDCLNT_SHAREMODE_EXCLUSIVE } else { AUDCLNT_SHAREMODE_SHARED }
}

/// What IsFormatSupported says.
fn supported(client: &IAudioClient, bytes: &[u8], wanted: Wanted) -> Hresult {
    let mut closest = core::ptr::null_mut();
    let place = (!wanted.exclusive).then_some(&raw mut closest);
    let mut code = Hresult::OK;
    let format = pointer(bytes);
    let _ = ask!("IAudioClient::IsFormatSupported", {
        code = Hresult(client.IsFormatSupported(share(wanted), format, place).0.cast_unsigned());
        // What is closest is not asked for; it was allocated for us.
        CoTaskMemFree((!closest.is_null()).then_some(closest.cast_const().cast()));
        Ok(())
    });
    code
}

fn choose_format(
    client: &IAudioClient,
    endpoint: &Endpoint,
    own: &Format,
    wanted: Wanted,
    report: &mut Report,
) -> Result<Chosen, Failure> {
    let exact = |format: Format, bytes| Chosen { format, bytes, convert: false };
    let code = supported(client, &own.extensible(), wanted);
    report.own_format = Some(code);
    if wanted.exclusive {
        return choose_exclusive(client, own, wanted, code);
    }
    let mix = endpoint.mix.and_then(|mix| own.within(&mix));
    // IAudioClient3 is asked for the engine's own format: whether it takes another type of sample is a doubt.
    if let Some(mix) = mix.filter(|_| wanted.low_latency || code != Hresult::OK) {
        return Ok(exact(mix, mix.extensible()));
    }
    if code == Hresult::OK {
        return Ok(exact(*own, own.extensible()));
    }
    if wanted.convert && !wanted.low_latency {
        return Ok(Chosen { format: *own, bytes: own.extensible(), convert: true });
    }
    if code.failed() && code != Hresult::UNSUPPORTED_FORMAT {
        return Err(Failure::call("IAudioClient::IsFormatSupported", code));
    }
    let mix = endpoint.mix.map_or_else(
        || "another".into(),
        |mix| format!("{} Hz, {} channels, {}", mix.rate, mix.channels, mix.sample),
    );
    let text = format!(
        "the sound is {} Hz, {} channels, {}, shared mode is {mix}: set the endpoint's default format, play another file, or allow --convert",
        own.rate, own.channels, own.sample
    );
    Err(Failure::new(Cause::Format, text))
}

/// The first format that exclusive mode takes and that holds every value. Microsoft's page says to try both
/// forms for one and two channels.
fn choose_exclusive(
    client: &IAudioClient,
    own: &Format,
    wanted: Wanted,
    first: Hresult,
) -> Result<Chosen, Failure> {
    let forms = own.wider().flat_map(|format| {
        [Some(format.extensible()), format.plain()].into_iter().flatten().map(move |bytes| (format, bytes))
    });
    for (format, bytes) in forms {
        match supported(client, &bytes, wanted) {
            Hresult::OK => return Ok(Chosen { format, bytes, convert: false }),
            Hresult::UNSUPPORTED_FORMAT => {}
            code => return Err(Failure::call("IAudioClient::IsFormatSupported", code)),
        }
    }
    let text = format!(
        "exclusive mode takes {} Hz with {} channels in no sample format that holds {}",
        own.rate, own.channels, own.sample
    );
    let mut failure = Failure::new(Cause::Format, text);
    failure.call = Some(("IAudioClient::IsFormatSupported", Some(first)));
    Err(failure)
}

fn initialize(
    client: IAudioClient,
    endpoint: &Endpoint,
    chosen: &Chosen,
    wanted: Wanted,
    report: &mut Report,
) -> Result<IAudioClient, Failure> {
    let mut flags = 0;
    if wanted.event {
        flags |= AUDCLNT_STREAMFLAGS_EVENTCALLBACK;
    }
    if wanted.loopback {
        flags |= AUDCLNT_STREAMFLAGS_LOOPBACK;
    }
    if wanted.low_latency {
        return initialize_low_latency(client, chosen, flags, report);
    }
    if chosen.convert {
        flags |= AUDCLNT_STREAMFLAGS_AUTOCONVERTPCM | AUDCLNT_STREAMFLAGS_SRC_DEFAULT_QUALITY;
    }
    if !wanted.exclusive {
        flags |= AUDCLNT_STREAMFLAGS_NOPERSIST;
        report.period = Some(0);
        let format = chosen.pointer();
        ask!(
            "IAudioClient::Initialize",
            client.Initialize(AUDCLNT_SHAREMODE_SHARED, flags, BUFFER, 0, format, None)
        )?;
        return Ok(client);
    }
    initialize_exclusive(client, endpoint, chosen, wanted, flags, report)
}

fn initialize_exclusive(
    client: IAudioClient,
    endpoint: &Endpoint,
    chosen: &Chosen,
    wanted: Wanted,
    flags: u32,
    report: &mut Report,
) -> Result<IAudioClient, Failure> {
    let period = if endpoint.default_period > 0 { endpoint.default_period } else { SECOND / 100 };
    let lengths = |period: i64| if wanted.event { (period, period) } else { (period.max(BUFFER), period) };
    let format = chosen.pointer();
    let (buffer, period) = lengths(period);
    report.period = Some(period);
    let mode = AUDCLNT_SHAREMODE_EXCLUSIVE;
    let first =
        ask!("IAudioClient::Initialize", client.Initialize(mode, flags, buffer, period, format, None));
    let Err(failure) = first else { return Ok(client) };
    if failure.call.and_then(|(_, code)| code) != Some(Hresult::BUFFER_SIZE_NOT_ALIGNED) {
        return Err(failure);
    }
    // As Microsoft's page on Initialize has it: the size that is asked for then is the next aligned one.
    report.aligned_retry = true;
    let frames = i64::from(ask!("IAudioClient::GetBufferSize", client.GetBufferSize())?);
    let rate = i64::from(chosen.format.rate);
    let aligned = (frames * SECOND + rate / 2).checked_div(rate).unwrap_or(period);
    let period = if wanted.event { aligned } else { period };
    report.period = Some(period);
    drop(client);
    let client = activate(endpoint, wanted)?;
    ask!("IAudioClient::Initialize", client.Initialize(mode, flags, aligned, period, format, None))?;
    Ok(client)
}

fn initialize_low_latency(
    client: IAudioClient,
    chosen: &Chosen,
    flags: u32,
    report: &mut Report,
) -> Result<IAudioClient, Failure> {
    let third: IAudioClient3 = watch::call(&"IAudioClient::QueryInterface(IAudioClient3)", || client.cast())?;
    let (mut default, mut fundamental, mut minimum, mut maximum) = (0, 0, 0, 0);
    let format = chosen.pointer();
    ask!(
        "IAudioClient3::GetSharedModeEnginePeriod",
        third.GetSharedModeEnginePeriod(
            format,
            &raw mut default,
            &raw mut fundamental,
            &raw mut minimum,
            &raw mut maximum
        )
    )?;
    report.period = Some(i64::from(minimum) * SECOND / i64::from(chosen.format.rate.max(1)));
    // *Doubt*: which flags it takes beside EVENTCALLBACK; NOPERSIST is left out.
    ask!(
        "IAudioClient3::InitializeSharedAudioStream",
        third.InitializeSharedAudioStream(flags, minimum, format, None)
    )?;
    if minimum > default || maximum < minimum {
        let text = format!("periods of {default}, minimum {minimum}, maximum {maximum} frames");
        let mut failure = Failure::new(Cause::CallFailed, text).suspected(Suspect::Windows);
        failure.call = Some(("IAudioClient3::GetSharedModeEnginePeriod", Some(Hresult::OK)));
        return Err(failure);
    }
    Ok(client)
}

/// The volume of this program's own session: it is kept by Windows from one run to the next. What can't be
/// set shows in what is heard.
fn full_session_volume(client: &IAudioClient) {
    let volume: Result<ISimpleAudioVolume, _> =
        ask!("IAudioClient::GetService(ISimpleAudioVolume)", client.GetService());
    if let Ok(volume) = volume {
        let _ = ask!("ISimpleAudioVolume::SetMasterVolume", volume.SetMasterVolume(1.0, core::ptr::null()));
        let _ = ask!("ISimpleAudioVolume::SetMute", volume.SetMute(false, core::ptr::null()));
    }
}
