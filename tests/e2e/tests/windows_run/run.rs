//! A run of `qemu-scripts/windows run` whose Windows is the stand-in, and how it ended.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use ringwave_e2e::stand_in;
use ringwave_runner::linux::guest::existing_path;
use ringwave_runner::request::Clock;
use ringwave_runner::windows::machine::GuestCard;
use ringwave_runner::windows::run::device::DeviceSteps;
use ringwave_runner::windows::run::media::Files;
use ringwave_runner::windows::run::{Request, run};

/// A run to come: an image, and a folder for all that it makes.
pub struct Run {
    folder: tempfile::TempDir,
    behaviour: String,
}

/// A run that has ended.
pub struct Ended {
    pub code: Option<i32>,
    /// What the program said.
    pub told: String,
    /// What the command said.
    pub said: String,
    pub out: PathBuf,
    _folder: tempfile::TempDir,
}

impl Run {
    /// With a Windows that behaves so.
    pub fn new(behaviour: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../winstandin/make-image");
        let made = Command::new(script)
            .args(["--behaviour", behaviour])
            .arg(folder.path().join("windows.qcow2"))
            .status()
            .expect("make-image starts");
        assert!(made.success());
        for name in ["files", "tmp"] {
            fs::create_dir(folder.path().join(name)).expect("a folder");
        }
        Self { folder, behaviour: behaviour.to_owned() }
    }

    /// Brings a file along.
    pub fn with_file(self, name: &str, bytes: &[u8]) -> Self {
        fs::write(self.folder.path().join("files").join(name), bytes).expect("written");
        self
    }

    /// The command, with its options, as a user starts it.
    fn start(&self, options: &[&str], program: &[&str]) -> Child {
        let folder = self.folder.path();
        let windows = existing_path("RINGWAVE_BIN").expect("the programs").with_file_name("ringwave-windows");
        let mut command = Command::new(windows);
        command.arg("run").arg("--image").arg(folder.join("windows.qcow2"));
        command.arg("--out-dir").arg(folder.join("out")).arg("--copy").arg(folder.join("files"));
        command.args(["--memory", "512", "--cpus", "1"]).args(options).arg("--").args(program);
        command.env("TMPDIR", folder.join("tmp")).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("it starts")
    }

    pub fn end(self, options: &[&str], program: &[&str]) -> Ended {
        let image = fs::read(self.folder.path().join("windows.qcow2")).expect("the image");
        let child = self.start(options, program);
        let Output { status, stdout, stderr } = child.wait_with_output().expect("it ends");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (told, said) = (text(&stdout), text(&stderr));
        println!("{}: {status}\n{told}\n{said}", self.behaviour);
        let folder = self.folder;
        assert!(
            fs::read(folder.path().join("windows.qcow2")).expect("the image") == image,
            "the image is not changed"
        );
        let left: Vec<_> = fs::read_dir(folder.path().join("tmp"))
            .expect("read")
            .flatten()
            .map(|entry| entry.path())
            .collect();
        assert!(left.is_empty(), "nothing is left but --out-dir: {left:?}");
        Ended { code: status.code(), told, said, out: folder.path().join("out"), _folder: folder }
    }

    /// As the command does it, with limits of short minutes, and so long for the program. The card is HD Audio.
    pub fn end_in_time(self, program: &[&str], time_limit: Duration, minute: Duration) -> Ended {
        let folder = self.folder;
        let request = Request {
            machine: stand_in::machine(minute),
            ringwave: existing_path("RINGWAVE_BIN").expect("the programs"),
            image: folder.path().join("windows.qcow2"),
            card: GuestCard::Hda,
            clock: Clock::Realtime(1.0),
            card_options: Vec::new(),
            device: DeviceSteps::default(),
            files: Files { command: program.iter().map(ToString::to_string).collect(), ..Files::default() },
            time_limit,
            reboot_code: Some(3010),
            out_dir: Some(folder.path().join("out")),
            timeline: false,
            keep: false,
        };
        let mut said = String::new();
        let finished = run(&request, |line| said.extend([line, "\n"])).expect("it runs");
        said += &finished.outcome.explain();
        println!("{}: {}\n{said}", self.behaviour, finished.outcome.exit_code());
        let told =
            String::from_utf8_lossy(&fs::read(finished.folder.join("program.log")).unwrap_or_default())
                .into_owned();
        let code = Some(finished.outcome.exit_code().into());
        Ended { code, told, said, out: folder.path().join("out"), _folder: folder }
    }
}

impl Ended {
    pub fn file(&self, name: &str) -> String {
        String::from_utf8_lossy(&fs::read(self.out.join(name)).unwrap_or_default()).into_owned()
    }

    /// It ended with this code, and the command said each of these.
    pub fn expect(&self, code: i32, said: &[&str]) {
        assert_eq!(self.code, Some(code), "{}", self.said);
        for text in said {
            assert!(self.said.contains(text), "\"{text}\" is not in: {}", self.said);
        }
    }
}
