//! `ringwave top` in a terminal: what is seen on it, what ends it, and that the terminal is as before then.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use crate::guest::{Guest, Setup, piece};
use crate::serving::{PATIENCE, Serving};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Termios, Winsize, tcgetattr, tcsetwinsize};

const CONTROL: [&str; 2] = ["--control", "control.sock"];
const ENTER: &str = "\x1b[?1049h";
const LEAVE: &str = "\x1b[?1049l";
/// Wide enough for all columns.
const WIDE: (u16, u16) = (130, 24);

/// A terminal of this test, and `top` in it.
struct Terminal {
    keys: File,
    screen: File,
    written: Arc<Mutex<Vec<u8>>>,
    before: Termios,
    top: Child,
}

impl Terminal {
    fn top(dir: &Path, size: (u16, u16)) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let keys = File::from(master);
        // Nobody's controlling terminal by being opened here: this thread's session may have none.
        let open = || {
            let flags = libc::O_NOCTTY;
            let mut options = OpenOptions::new();
            std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, flags);
            options.read(true).write(true).open(&name).unwrap()
        };
        let screen = open();
        resize(&screen, size);
        let before = tcgetattr(&screen).unwrap();
        // A session of its own, so that the size is that of this terminal and not of the one of the tests.
        let mut command = Command::new("setsid");
        command.args(["--ctty", env!("CARGO_BIN_EXE_ringwave"), "top", "control.sock"]).current_dir(dir);
        let top = command.stdin(open()).stdout(open()).stderr(open()).spawn().unwrap();
        let written = Arc::new(Mutex::new(Vec::new()));
        let mut from = keys.try_clone().unwrap();
        let collected = Arc::clone(&written);
        // Until nobody has the terminal open any more.
        std::thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(read @ 1..) = from.read(&mut chunk) {
                collected.lock().unwrap().extend_from_slice(&chunk[..read]);
            }
        });
        Self { keys, screen, written, before, top }
    }

    fn written(&self) -> String {
        String::from_utf8_lossy(&self.written.lock().unwrap()).into_owned()
    }

    /// Waits until what is seen is so.
    fn wait_until(&self, what: &str, seen: impl Fn(&[String]) -> bool) {
        let begin = Instant::now();
        loop {
            let lines = lines(&self.written());
            if seen(&lines) {
                return;
            }
            assert!(begin.elapsed() < PATIENCE, "{what}: {lines:#?}");
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }

    fn press(&mut self, key: &str) {
        assert!(!self.modes().0.contains(LocalModes::ICANON), "a key comes at once");
        self.keys.write_all(key.as_bytes()).unwrap();
    }

    fn modes(&self) -> (LocalModes, String) {
        modes(&tcgetattr(&self.screen).unwrap())
    }

    /// Waits for its end: its code, and what stands on the terminal behind what `top` has shown.
    fn end(mut self) -> (Option<i32>, String) {
        let begin = Instant::now();
        let status = loop {
            if let Some(status) = self.top.try_wait().unwrap() {
                break status;
            }
            assert!(begin.elapsed() < PATIENCE, "top does not end");
            std::thread::sleep(std::time::Duration::from_millis(5));
        };
        assert_eq!(self.modes(), modes(&self.before), "the terminal is as before");
        // What it has written last may still be on its way to the thread.
        let mut written = self.written();
        while !(written.contains(LEAVE) && written.rfind("\x1b[?25h") > written.rfind("\x1b[?25l")) {
            assert!(begin.elapsed() < PATIENCE, "no way back from its screen: {written:?}");
            std::thread::sleep(std::time::Duration::from_millis(5));
            written = self.written();
        }
        assert_eq!((written.matches(ENTER).count(), written.matches(LEAVE).count()), (1, 1));
        let behind = written.split_once(LEAVE).unwrap().1.replace("\x1b[?25h", "");
        (status.code(), behind)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.top.kill();
        let _ = self.top.wait();
    }
}

fn resize(screen: &File, (columns, rows): (u16, u16)) {
    tcsetwinsize(screen, Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
}

/// All that a program can set of a terminal, to be compared.
fn modes(of: &Termios) -> (LocalModes, String) {
    let (input, output, control) = (of.input_modes, of.output_modes, of.control_modes);
    (of.local_modes, format!("{input:?} {output:?} {control:?} {:?}", of.special_codes))
}

/// What stands on the other screen after all of this: of the sequences of a terminal as many as `top` needs.
fn lines(written: &str) -> Vec<String> {
    let mut cells = vec![vec![' '; usize::from(WIDE.0)]; usize::from(WIDE.1)];
    let (mut row, mut column) = (0, 0);
    let mut written = written.split_once(ENTER).map_or("", |(_, shown)| shown).chars();
    while let Some(char) = written.next() {
        if char != '\x1b' {
            if let Some(cell) = cells.get_mut(row).and_then(|line| line.get_mut(column)) {
                *cell = char;
            }
            column += 1;
            continue;
        }
        let mut numbers = String::new();
        let letter = loop {
            match written.next() {
                Some(char) if char.is_ascii_alphabetic() => break char,
                Some(char) => numbers.push(char),
                None => break ' ',
            }
        };
        let numbers = numbers.trim_start_matches('[').split(';').filter_map(|number| number.parse().ok());
        match (letter, &numbers.collect::<Vec<usize>>()[..]) {
            ('H', &[to_row, to_column]) => (row, column) = (to_row - 1, to_column - 1),
            ('J', _) => cells.iter_mut().for_each(|line| line.fill(' ')),
            _ => {}
        }
    }
    cells.into_iter().map(|line| String::from_iter(line).trim_end().to_owned()).collect()
}

/// A stream that plays: what it does, its format, its level, and packets behind its pace.
fn plays(lines: &[String]) -> bool {
    let Some(line) = lines.iter().find(|line| line.contains(" render ")) else { return false };
    let behind: Vec<&str> =
        line.split_once(" dB ").map_or("", |(_, behind)| behind).split_whitespace().collect();
    line.contains("s16 48000 Hz x 2")
        && line.contains(" plays ")
        && line.contains('#')
        && behind.get(1).is_some_and(|packets| packets.parse::<u64>().is_ok_and(|packets| packets > 0))
}

#[test]
fn keys_end_it_and_the_terminal_is_as_before() {
    let dir = tempfile::tempdir().unwrap();
    let serving = Serving::start(dir.path(), &CONTROL);
    let mut guest = Guest::connect(&dir.path().join("card.sock"));
    let music = piece(&dir.path().join("music.wav"), 48_000, 2);
    let enough = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !enough.load(Ordering::Relaxed) {
                guest.play(Setup::USUAL, &music);
            }
        });
        // Also where there is no room for it, and when there is some later.
        let looks = [("q", WIDE), ("\x03", WIDE), ("q", (20, 5)), ("q", (1, 1))].map(|(key, size)| {
            std::panic::catch_unwind(|| {
                let mut terminal = Terminal::top(dir.path(), size);
                if size != WIDE {
                    terminal.wait_until("something is drawn", |_| terminal.written().contains("\x1b[?25l"));
                    resize(&terminal.screen, WIDE);
                }
                terminal.wait_until("stream 0 plays", plays);
                terminal.press(key);
                assert_eq!(terminal.end(), (Some(0), String::new()), "{key:?} {size:?}");
            })
        });
        enough.store(true, Ordering::Relaxed);
        for look in looks {
            look.unwrap_or_else(|why| std::panic::resume_unwind(why));
        }
    });
    drop(guest);
    serving.end();
}

#[test]
fn the_end_of_the_card_is_its_end_and_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let serving = Serving::start(dir.path(), &CONTROL);
    let terminal = Terminal::top(dir.path(), WIDE);
    terminal.wait_until("the card is seen", |lines| lines[0].contains("no client"));
    serving.end();
    assert_eq!(terminal.end(), (Some(0), "ringwave: the card has ended\r\n".to_owned()));
}
