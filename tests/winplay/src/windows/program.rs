//! The program: what is there, then one step after the other, then what was as it was.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use ringwave_winplay::clicks::{self, Listener};
use ringwave_winplay::command_line::{self, Command, HELP, NoCommand, Step};
use ringwave_winplay::hresult::Hresult;
use ringwave_winplay::json::Object;
use ringwave_winplay::outcome::{Cause, Failure, StepEnd};
use ringwave_winplay::position::Tracker;
use ringwave_winplay::wav::{self, Wav};
use windows::Wdk::System::SystemServices::RtlGetVersion;
use windows::Win32::Media::Audio::{EDataFlow, eCapture, eRender};
use windows::Win32::System::Com::{COINIT_MULTITHREADED, CoInitializeEx};
use windows::Win32::System::LibraryLoader::{GetModuleHandleW, GetProcAddress};
use windows::Win32::System::RemoteDesktop::{ProcessIdToSessionId, WTSGetActiveConsoleSessionId};
use windows::Win32::System::SystemInformation::OSVERSIONINFOW;
use windows::Win32::System::Threading::GetCurrentProcessId;
use windows::core::{s, w};

use crate::capture::{self, Capture};
use crate::endpoints::{self, Endpoint, Volume};
use crate::files::{self, File};
use crate::render::{self, Content, Played, Source};
use crate::runtime::exit;
use crate::stream::Wanted;
use crate::{glitches, lines, watch};

/// The program's entry.
#[unsafe(no_mangle)]
pub extern "system" fn start() -> ! {
    let command = match command_line::parse(&files::arguments()) {
        Ok(command) => command,
        Err(NoCommand::Help) => {
            files::say(HELP);
            exit(0)
        }
        Err(NoCommand::Wrong(text)) => refuse(&text),
    };
    exit(run(&command))
}

/// A wrong command line or file.
fn refuse(text: &str) -> ! {
    files::complain(&format!("winplay: {text}\n"));
    exit(2)
}

/// A file to play.
struct PlayFile {
    bytes: Vec<u8>,
    wav: Wav,
}

fn run(command: &Command) -> u32 {
    let play = command.play.as_ref().map(|path| {
        let bytes = files::read(path).unwrap_or_else(|text| refuse(&text));
        let wav = wav::read(&bytes).unwrap_or_else(|text| refuse(&format!("{path}: {text}")));
        PlayFile { bytes, wav }
    });
    let path = format!("{}\\winplay.jsonl", command.out);
    match File::create(&path) {
        Ok(file) => lines::keep_in(file),
        Err(error) => refuse(&format!("{path}: can't be written ({:#010x})", error.code().0)),
    }
    if let Err(failure) = watch::start(command.limit, command.total) {
        refuse(&failure.text);
    }
    first_line(command, play.as_ref());
    match audio() {
        Ok(all) => Session::new(command, play, &all).run(),
        Err(failure) => {
            files::complain(&format!("winplay: {}\n", failure.text));
            lines::note(|tally| tally.unreachable = true);
            lines::end(None)
        }
    }
}

/// COM, and the endpoints.
fn audio() -> Result<Vec<Endpoint>, Failure> {
    ask!("CoInitializeEx", CoInitializeEx(None, COINIT_MULTITHREADED).ok())?;
    endpoints::all()
}

fn first_line(command: &Command, play: Option<&PlayFile>) {
    let mut line = Object::new();
    let (mut session, mut version) = (0, OSVERSIONINFOW::default());
    version.dwOSVersionInfoSize = u32::try_from(size_of::<OSVERSIONINFOW>()).unwrap_or(0);
    // SAFETY: places for what is asked for; the structure says how long it is.
    let (session, console) = unsafe {
        let _ = RtlGetVersion(&raw mut version);
        let asked = ProcessIdToSessionId(GetCurrentProcessId(), &raw mut session);
        (asked.is_ok().then_some(session), WTSGetActiveConsoleSessionId())
    };
    let windows = format!("{}.{}.{}", version.dwMajorVersion, version.dwMinorVersion, version.dwBuildNumber);
    line.set("version", env!("CARGO_PKG_VERSION")).set("windows", windows).set("wine", wine());
    // All ones: no session is at the console.
    line.set("session", session).set("console_session", (console != u32::MAX).then_some(console));
    line.set("steps", command.steps.iter().map(|step| step.name()).collect::<Vec<_>>());
    let file = play.map(|file| {
        let mut object = Object::new();
        object.set("file", command.play.clone()).set("format", file.wav.format);
        object.set("frames", frames(&file.wav));
        object
    });
    line.set("play", file);
    lines::line("run", &line);
}

fn frames(wav: &Wav) -> u64 {
    wav.data.len().checked_div(wav.format.frame_bytes()).unwrap_or(0) as u64
}

/// Wine's version; `None` on Windows.
fn wine() -> Option<String> {
    // SAFETY: ntdll stays loaded. Wine says of this export that it has no argument and answers a text that ends
    // in NUL and stays.
    unsafe {
        let function = GetProcAddress(GetModuleHandleW(w!("ntdll.dll")).ok()?, s!("wine_get_version"))?;
        let function: unsafe extern "C" fn() -> *const core::ffi::c_char = core::mem::transmute(function);
        Some(core::ffi::CStr::from_ptr(function()).to_string_lossy().into_owned())
    }
}

/// An endpoint that is used, with its volume held at 0 dB. Some have none that can be held.
struct Used {
    endpoint: Endpoint,
    volume: Result<Volume, Failure>,
}

impl Used {
    /// `wanted`: a step needs it.
    fn new(all: &[Endpoint], flow: EDataFlow, asked: Option<&str>, wanted: bool) -> Result<Self, Failure> {
        if !wanted {
            return Err(Failure::new(Cause::NoEndpoint, "no step needs one"));
        }
        let endpoint = endpoints::choose(all, flow, asked)?;
        let volume = Volume::hold(&endpoint);
        Ok(Self { endpoint, volume })
    }
}

/// What the steps share.
struct Session<'a> {
    command: &'a Command,
    play: Option<PlayFile>,
    speaker: Result<Used, Failure>,
    microphone: Result<Used, Failure>,
}

const SHARED_EVENT: Wanted =
    Wanted { exclusive: false, event: true, raw: false, low_latency: false, loopback: false, convert: false };

impl<'a> Session<'a> {
    fn new(command: &'a Command, play: Option<PlayFile>, all: &[Endpoint]) -> Self {
        let render = command.steps.iter().any(|step| step.needs_render());
        let capture = command.steps.iter().any(|step| step.needs_capture());
        let speaker = Used::new(all, eRender, command.endpoint.as_deref(), render);
        let microphone = Used::new(all, eCapture, command.microphone.as_deref(), capture);
        Self { command, play, speaker, microphone }
    }

    fn run(&self) -> u32 {
        if self.command.enable_glitches {
            // What it answers shows in the step glitches.
            if let Err(failure) = glitches::enable() {
                files::complain(&format!("winplay: {}\n", failure.text));
            }
        }
        for step in &self.command.steps {
            if watch::go_on().is_err() {
                lines::note(|tally| tally.stopped = true);
                break;
            }
            lines::begin(*step);
            let mut more = Object::new();
            let (used, refusal) = self.about(*step);
            more.set("id", used.map(|used| used.endpoint.id.clone()));
            more.set("card", used.and_then(|used| used.endpoint.card));
            let result = self.step(*step, &mut more);
            lines::step(&StepEnd::new(result, refusal), &more);
        }
        lines::end(self.restore())
    }

    /// The endpoint that a step's line names, and the refusal that it must meet.
    fn about(&self, step: Step) -> (Option<&Used>, Option<Hresult>) {
        let used = match (step.needs_render(), step.needs_capture()) {
            (true, _) => self.speaker.as_ref().ok(),
            (false, true) => self.microphone.as_ref().ok(),
            (false, false) => None,
        };
        let listed = used.and_then(|used| used.endpoint.raw_listed) == Some(true);
        let refusal =
            (step == Step::Raw && used.is_some() && !listed).then_some(Hresult::RAW_MODE_UNSUPPORTED);
        (used, refusal)
    }

    fn restore(&self) -> Option<bool> {
        let volumes = [&self.speaker, &self.microphone].into_iter().flatten();
        let results: Vec<bool> = volumes
            .filter_map(|used| used.volume.as_ref().ok())
            .map(|volume| match volume.restore() {
                Ok(()) => true,
                Err(failure) => {
                    files::complain(&format!("winplay: the volume is not put back: {}\n", failure.text));
                    false
                }
            })
            .collect();
        (!results.is_empty()).then(|| results.iter().all(|restored| *restored))
    }

    fn speaker(&self) -> Result<&Used, Failure> {
        self.speaker.as_ref().map_err(Clone::clone)
    }

    fn microphone(&self) -> Result<&Used, Failure> {
        self.microphone.as_ref().map_err(Clone::clone)
    }

    fn step(&self, step: Step, more: &mut Object) -> Result<String, Failure> {
        let plays = Wanted { convert: self.command.convert, ..SHARED_EVENT };
        match step {
            Step::List => Ok("the endpoints are in the lines above".to_string()),
            Step::Volume => self.volume(more),
            Step::Mute => self.mute(more),
            Step::SharedEvent => self.play(plays, more),
            Step::SharedTimer => self.play(Wanted { event: false, ..plays }, more),
            Step::LowLatency => self.play(Wanted { low_latency: true, ..plays }, more),
            Step::Raw => self.play(Wanted { raw: true, ..plays }, more),
            Step::ExclusiveEvent => self.play(Wanted { exclusive: true, ..plays }, more),
            Step::ExclusiveTimer => self.play(Wanted { exclusive: true, event: false, ..plays }, more),
            Step::Record => self.record(SHARED_EVENT, "record.wav", more),
            Step::RecordExclusive => {
                self.record(Wanted { exclusive: true, ..SHARED_EVENT }, "record-exclusive.wav", more)
            }
            Step::Loopback => self.loopback(plays, more),
            Step::Latency => self.latency(more),
            Step::Glitches => glitches::read(more),
        }
    }

    fn volume(&self, more: &mut Object) -> Result<String, Failure> {
        let volume = self.speaker()?.volume.as_ref().map_err(Clone::clone)?;
        let (minimum, maximum, step) = volume.range;
        more.set("minimum_db", f64::from(minimum)).set("maximum_db", f64::from(maximum));
        more.set("step_db", f64::from(step)).set("hardware", volume.hardware());
        let (mut levels, mut wrong) = (Vec::new(), None);
        for db in [-12.0, -6.0, 0.0] {
            let db = volume.held(db);
            volume.set_db(db)?;
            let read = volume.db()?;
            let mut level = Object::new();
            level.set("set_db", f64::from(db)).set("read_db", f64::from(read));
            levels.push(level);
            // A step of the card's own, or what a scale of an endpoint without one may round.
            let slack = step.max(0.1);
            if !(db - slack..=db + slack).contains(&read) {
                wrong = Some(format!("set to {db} dB, it reads back as {read} dB"));
            }
        }
        more.set("levels", levels);
        volume.set_full()?;
        wrong.map_or(Ok("three levels read back as set".to_string()), |text| {
            Err(Failure::new(Cause::ValueNotKept, text))
        })
    }

    fn mute(&self, more: &mut Object) -> Result<String, Failure> {
        let volume = self.speaker()?.volume.as_ref().map_err(Clone::clone)?;
        more.set("hardware", volume.hardware());
        for muted in [true, false] {
            volume.set_mute(muted)?;
            if volume.muted()? != muted {
                let text = format!("mute set to {muted} reads back as the opposite");
                return Err(Failure::new(Cause::ValueNotKept, text));
            }
        }
        Ok("mute and its opposite read back as set".to_string())
    }

    /// The file of `--play`. The command line has it where a step needs it.
    fn source(&self) -> Result<Source<'_>, Failure> {
        let file = self.play.as_ref().ok_or_else(|| Failure::new(Cause::NotAsked, "no --play"))?;
        let bytes = file.bytes.get(file.wav.data.clone()).unwrap_or_default();
        Ok(Source { format: file.wav.format, frames: frames(&file.wav), content: Content::Bytes(bytes) })
    }

    fn play(&self, wanted: Wanted, more: &mut Object) -> Result<String, Failure> {
        let (used, source) = (self.speaker()?, self.source()?);
        let mut played = Played::default();
        let result = render::play(&used.endpoint, &source, wanted, [], &mut played, &mut || Ok(()));
        played.write(wanted, more);
        result?;
        Ok(format!("played at {}", endpoints::called(&used.endpoint)))
    }

    fn record(&self, wanted: Wanted, name: &'static str, more: &mut Object) -> Result<String, Failure> {
        let used = self.microphone()?;
        let mut capture = Capture::start(&used.endpoint, wanted, &self.command.out, name, more)?;
        let result = capture.until(self.command.seconds);
        if let Err(failure) = &result {
            lines::before(&failure.text);
        }
        let recorded = capture.finish(more);
        result?;
        heard(&recorded?)?;
        Ok(format!("recorded from {}", endpoints::called(&used.endpoint)))
    }

    fn loopback(&self, wanted: Wanted, more: &mut Object) -> Result<String, Failure> {
        let (used, source) = (self.speaker()?, self.source()?);
        // By a timer: events of a loopback stream come from Windows 10 1703 on only.
        let listens = Wanted { event: false, loopback: true, ..SHARED_EVENT };
        let mut capture = Capture::start(&used.endpoint, listens, &self.command.out, "loopback.wav", more)?;
        let mut played = Played::default();
        let result = render::play(&used.endpoint, &source, wanted, [], &mut played, &mut || {
            capture.drain(&mut |_, _| {})
        });
        played.write(wanted, more);
        let recorded = capture.finish(more);
        result?;
        heard(&recorded?)?;
        Ok(format!("played at {} and recorded there", endpoints::called(&used.endpoint)))
    }

    fn latency(&self, more: &mut Object) -> Result<String, Failure> {
        if !self.command.card_loopback {
            return Err(Failure::new(
                Cause::NotAsked,
                "needs --card-loopback, and the card's --source loopback",
            ));
        }
        let (speaker, microphone) = (self.speaker()?, self.microphone()?);
        let format = capture::mix(&speaker.endpoint)?;
        let source = Source { format, frames: clicks::frames(format.rate), content: Content::Clicks };
        let marks = (0..clicks::COUNT).map(|click| clicks::first_frame(click, format.rate));
        let (mut listener, mut played) = (Listener::default(), Played::default());
        let mut capture =
            Capture::start(&microphone.endpoint, SHARED_EVENT, &self.command.out, "latency.wav", more)?;
        let result = render::play(&speaker.endpoint, &source, SHARED_EVENT, marks, &mut played, &mut || {
            capture.drain(&mut |level, time| listener.sample(level, time))
        });
        played.write(SHARED_EVENT, more);
        let recorded = capture.finish(more);
        let latencies = listener.latencies(played.position.iter().flat_map(Tracker::passed));
        clicks::write(&latencies, more);
        result?;
        recorded?;
        let Some(median) = latencies.get(latencies.len() / 2) else {
            return Err(Failure::new(Cause::NotHeard, "no click came back: is the card's source loopback?"));
        };
        Ok(format!("{} of {} clicks came back, {median} us in the middle", latencies.len(), clicks::COUNT))
    }
}

/// Sound, and not digital zero alone.
fn heard(recorded: &ringwave_winplay::recorded::Recorded) -> Result<(), Failure> {
    if recorded.is_silent() {
        let text = format!("{} frames were recorded, all of them digital zero", recorded.frames());
        return Err(Failure::new(Cause::Silent, text));
    }
    Ok(())
}
