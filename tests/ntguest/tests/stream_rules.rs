//! Proves that the clients' checks check: with the real driver and card, each rule is broken once by a fault
//! that ntguest makes on purpose (`fault=`), and must be named; without a fault the same run must end well.
//!
//! Needs what tests/rules.rs needs and `RINGWAVE_BIN` and `RINGWAVE_SYS`:
//! `cargo test -p ntguest --test stream_rules -- --ignored`.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

mod machine;
use machine::part;

/// QEMU's exit status when ntguest is content.
const OK: i32 = 33;
/// And when it has seen violations.
const FAILED: i32 = 35;
/// The slowest case takes some seconds on a quiet machine.
const LIMIT: Duration = Duration::from_mins(10);

const RECORD: &str = "client=record\nframes=24000\nbuffer_ms=100\nreg.Lockstep=1\n";
const REGISTER: &str = "client=timer\nwav=MUSIC.WAV\nbuffer_ms=1000\nreg.PositionRegister=1\n";
const CONTROLS: &str = "client=controls\n";
/// The shortest run: what breaks a rule of loading and starting needs no client.
const START: &str = "client=cycles\ncycles=1\nbuffer_ms=4\n";
const PLAY: &str = "client=play\nwav=MUSIC.WAV\n";
/// With few packets, eight times as fast.
const SHORT: &str = "client=play\nwav=MUSIC.WAV\nbuffer_ms=200\nreg.Lockstep=1\nspeed=8\n";
const REMOVAL: &str = "client=removal\nbuffer_ms=100\nreg.PositionRegister=1\n";
/// The device gets other resources, with a stream open in RUN.
const REBALANCE: &str =
    "client=pnp\nwav=MUSIC.WAV\nbuffer_ms=100\nreg.Lockstep=1\nevent=rebalance\nstate=run\nhandles=closed\n";
/// Where nobody waits for a client, which is late on purpose, or has half a second for each packet.
const LATE: &str = "client=play\nwav=MUSIC.WAV\nbuffer_ms=100\nclock=realtime\nlate_every=5\n";
const IN_TIME: &str = "client=play\nwav=MUSIC.WAV\nbuffer_ms=1000\nclock=realtime\n";
/// A line, with an interrupt pending when the card loses its power. Registers of the datasheet, section 3:
/// `CONTROL.INT_ENABLE` and `INT_STATUS` are 0 then.
const LINE_IN_D3: &str = "client=life\nlife=d3:run:play\nlife_frames=24000\nwav=MUSIC.WAV\nbuffer_ms=100\nreg.Lockstep=1\n\
    msi=0\nquiet_regs=0x20:1,0x24:0xffffffff\n";
/// A client, the faults, and the rules that they break. Faults that do not hide each other share a boot: a
/// list of them, and a list of what violations begin with.
type Case = (&'static str, &'static str, &'static str);

/// What breaks the rules of a capture stream.
const CAPTURE: &[Case] = &[
    (RECORD, "lose-connection", "no-endpoint"),
    (RECORD, "connect-twice", "physical-connection"),
    (
        RECORD,
        "read-gap,read-promise,read-overwrite,capture-flag,both-directions",
        "lost-in-lockstep|read-packet GetReadPacket: MoreData|read-packet-overwritten|capture-flag|stream-interface",
    ),
    (
        RECORD,
        "early-event,read-time,read-refusal,stream-not-null,port-stream-kept",
        "new-stream-not-null|port-stream-leak|impossible-timing|read-packet GetReadPacket: its first sample|read-packet GetReadPacket: UNSUCCESSFUL",
    ),
    (RECORD, "fast-position", "position"),
    ("client=sweep\nbuffer_ms=2\n", "any-format", "sweep"),
    ("client=record\nbuffer_ms=1000\ndma_bits=32\n", "high-pages", "high-address"),
];
/// Of a stream that plays.
const PLAYBACK: &[Case] = &[
    (PLAY, "prefill-refused", "prefill"),
    (
        SHORT,
        "stream-kept,latency-unwritten,swallow-free,state-refused,moves-at-rest,moves-in-pause,event-in-pause,\
         fast-travel,presented-back",
        "stream-references|hw-latency|buffer-not-freed|set-state|not-at-rest|not-frozen|event-outside-run\
         |position-travel|presentation-position",
    ),
    (SHORT, "no-packets", "no-packet-mode"),
    (SHORT, "short-buffer", "buffer asked for"),
    (SHORT, "no-event", "no-notification"),
    (SHORT, "null-mdl", "call-failed AllocateBufferWithNotification"),
    (
        "client=hlk\nwav=MUSIC.WAV\nbuffer_ms=100\nspeed=8\n",
        "early-packet,count-back",
        "packet-number|packet-count",
    ),
    (PLAY, "any-content,jack-changes", "drm-rights|jack"),
    (LATE, "lost-glitch,glitch-at-dispatch", "glitch-report|etw-irql"),
    (LATE, "unknown-event", "etw-event"),
    (IN_TIME, "stray-glitch", "glitch-report"),
    ("client=starve\nwav=MUSIC.WAV\nbuffer_ms=200\n", "count-stands", "starved"),
    ("client=half-late\nwav=MUSIC.WAV\nbuffer_ms=400\n", "late-accepted", "late-mark"),
];
/// Of positions, registers in user mode, and a device that goes.
const REGISTERS: &[Case] = &[
    (REGISTER, "register-stands", "position-register"),
    (REGISTER, "register-runs,register-page", "position-register|hw-register"),
    (REGISTER, "register-clock", "clock-register"),
    (REGISTER, "register-unasked", "hw-register"),
    ("client=timer\nwav=MUSIC.WAV\nbuffer_ms=1000\n", "fast-position", "position"),
    (REBALANCE, "resources-stay", "stop-resources"),
    (REBALANCE, "no-pnp-stop", "rebalance-subdevices"),
    (REMOVAL, "stop-refused,register-gone", "removal SetState|removal the position register is unmapped"),
];
/// Of nodes, jacks, properties and proposals.
const CONTROL_PANEL: &[Case] = &[
    (CONTROLS, "volume-drift", "volume"),
    (CONTROLS, "forget-volume", "volume"),
    (CONTROLS, "mute-turned,more-nodes", "mute|control-nodes"),
    (CONTROLS, "any-channel", "volume"),
    (CONTROLS, "stray-event,entry-twice", "event-generate|event-entry"),
    (
        CONTROLS,
        "lost-event,jack-lies,bad-default,mode-twice,late-constraints",
        "control-event|jack|proposal|modes|packet-constraints",
    ),
    (CONTROLS, "nested-request", "global-lock"),
    (CONTROLS, "long-reply", "property-size"),
    (CONTROLS, "value-overrun", "property-overrun"),
    (CONTROLS, "stale-value", "uninitialised"),
    (CONTROLS, "stale-format", "uninitialised DataRangeIntersection"),
    (CONTROLS, "any-proposal", "proposal"),
    (
        CONTROLS,
        "other-default,other-channels,two-speakers,header-refused,list-size,support-no-room",
        "default-format|endpoint-channels|speaker-names|proposal \"Wave\": a proposal of a KSDATAFORMAT alone\
         |proposal \"Wave\": PROPOSEDATAFORMAT2 with a list|property-size",
    ),
    (
        CONTROLS,
        "plain-answer,any-pin",
        "intersection the answer|jack \"Wave\": BASICSUPPORT|proposal \"Wave\": BASICSUPPORT",
    ),
];
/// Of loading and starting, of what must be refused, and of streams that come and go.
const START_AND_STOP: &[Case] = &[
    (
        "client=stress\nwav=MUSIC.WAV\nbuffer_ms=100\n",
        "read-refusal,format-refused,packets-without",
        "stress GetReadPacket in PAUSE|stress NewStream refuses a WAVEFORMATEX of PCM|stress GetPacketCount without",
    ),
    ("client=cycles\ncycles=100\nbuffer_ms=4\n", "keep-block", "cycle-leak"),
    (
        "client=none\nfailing_calls=30\n",
        "keep-block,other-status,retry-refused",
        "failing-call-leak|failing-call-status|failing-call-retry",
    ),
    (
        START,
        "reserved-word,early-dispatch,other-unknown,no-instances",
        "device-extension|dispatch-overwritten|qi-identity|modes",
    ),
    (START, "port-class-word,uncleared", "device-extension|buffer-cleared"),
    (START, "few-objects", "max-objects"),
    (LINE_IN_D3, "deaf-to-d3", "interrupt-in-d3|interrupt-storm"),
];

/// A folder that goes away, and processes that are stopped, whatever happens.
struct Run {
    folder: PathBuf,
    children: Vec<Child>,
}

impl Drop for Run {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// What one run left.
struct Outcome {
    status: i32,
    log: String,
    recorded: Vec<u8>,
}

/// Runs ntguest with the driver and a card that captures silence.
fn run(name: &str, config: &str) -> Outcome {
    run_with(name, config, &[])
}

/// The same with a card of these options.
fn run_with(name: &str, config: &str, options: &[&str]) -> Outcome {
    let folder = env::temp_dir().join(format!("ntguest-streams-{}-{name}", std::process::id()));
    let mut run = Run { folder: folder.clone(), children: Vec::new() };
    prepare(&folder, config).expect("the volume is made");
    let output = fs::File::create(folder.join("card.log")).expect("the card's log is made");
    let mut card = Command::new(part("RINGWAVE_BIN"));
    card.args(["serve", "--once", "--socket"]).arg(folder.join("card.sock"));
    if config.contains("dma_bits=32") {
        card.args(["--dma-bits", "32"]);
    }
    // A card waits only where its operator lets it, and its driver asks for it.
    if config.contains("reg.Lockstep=1") && !options.contains(&"--clock") {
        card.args(["--clock", "lockstep"]);
    }
    if let Some(speed) = config.lines().find_map(|line| line.strip_prefix("speed=")) {
        card.args(["--speed", speed]);
    }
    card.args(options);
    card.env("RUST_LOG", "info").stdin(Stdio::null()).stderr(output);
    run.children.push(card.spawn().expect("the card starts"));
    let start = Instant::now();
    let said =
        |name: &str| String::from_utf8_lossy(&fs::read(folder.join(name)).unwrap_or_default()).into_owned();
    while !said("card.log").contains("listening on") {
        assert!(start.elapsed() < Duration::from_mins(1), "the card does not listen: {}", said("card.log"));
        thread::sleep(Duration::from_millis(5));
    }
    run.children.push(qemu(&folder).spawn().expect("QEMU starts"));
    let status = loop {
        let qemu = run.children.last_mut().expect("QEMU was started");
        if let Ok(Some(status)) = qemu.try_wait() {
            break status.code().unwrap_or(-1);
        }
        assert!(start.elapsed() < LIMIT, "{name}: no end within {LIMIT:?}: {}", said("log"));
        thread::sleep(Duration::from_millis(20));
    };
    Outcome { status, log: said("log"), recorded: fs::read(folder.join("recorded")).unwrap_or_default() }
}

fn prepare(folder: &Path, config: &str) -> io::Result<()> {
    let volume = folder.join("volume");
    fs::create_dir_all(volume.join("EFI/BOOT"))?;
    fs::copy(part("RINGWAVE_NTGUEST"), volume.join("EFI/BOOT/BOOTX64.EFI"))?;
    fs::copy(part("RINGWAVE_SYS"), volume.join("ringwave.sys"))?;
    // TRACE_MARK of the card's datasheet, section 3.
    fs::write(volume.join("ntguest.cfg"), format!("mark_reg=0x4c\n{config}\n"))?;
    fs::write(volume.join("MUSIC.WAV"), silence())?;
    fs::copy(part("RINGWAVE_OVMF_VARS"), folder.join("vars.fd")).map(drop)
}

/// A second of silence, 16-bit stereo at 48 kHz, for the clients that play.
fn silence() -> Vec<u8> {
    let bytes = 48_000 * 4u32;
    let mut wav = Vec::new();
    wav.extend(b"RIFF");
    wav.extend((36 + bytes).to_le_bytes());
    wav.extend(b"WAVEfmt \x10\0\0\0\x01\0\x02\0");
    wav.extend(48_000u32.to_le_bytes());
    wav.extend(192_000u32.to_le_bytes());
    wav.extend(b"\x04\0\x10\0data");
    wav.extend(bytes.to_le_bytes());
    wav.resize(wav.len() + bytes as usize, 0);
    wav
}

fn qemu(folder: &Path) -> Command {
    let mut qemu = machine::qemu(folder);
    let console = |port: &str, id: &str| {
        let file = format!("file,id={id},path={}", folder.join(id).display());
        [
            "-chardev".to_owned(),
            file,
            "-device".to_owned(),
            format!("isa-debugcon,iobase={port},chardev={id}"),
        ]
    };
    qemu.args(console("0x402", "log")).args(console("0x404", "recorded"));
    let socket = folder.join("card.sock");
    let socket = format!(r#"{{"type":"unix","path":"{}"}}"#, socket.display());
    qemu.args(["-device", &format!(r#"{{"driver":"vfio-user-pci","socket":{socket}}}"#)]);
    qemu
}

#[test]
#[ignore = "boots QEMU"]
fn every_way_to_record_ends_well_and_sends_what_it_says() {
    for mode in ["packet", "event", "timer"] {
        let config =
            format!("client=record\nformat=s24in32x2@44100\nframes=20000\nbuffer_ms=100\nmode={mode}");
        let Outcome { status, log, recorded } = run(mode, &config);
        assert_eq!(status, OK, "{log}");
        assert!(log.contains("ntguest: result recorded-frames=20000 lost-packets="), "{log}");
        assert_eq!(recorded, vec![0; 20_000 * 8], "a card without a source captures silence");
    }
}

/// Boots each case, whose rules must be named.
fn each_is_named(of: &str, cases: &[Case]) {
    let mut wrong = Vec::new();
    for (number, &(config, fault, rules)) in cases.iter().enumerate() {
        let Outcome { status, log, .. } = run(&format!("{of}{number}"), &format!("{config}fault={fault}"));
        let named = |rule: &str| log.contains(&format!("ntguest: violation rule={rule}"));
        let named = rules.split('|').all(named);
        let unmade = log.contains("rule=fault-not-made");
        if !named || unmade || status != FAILED {
            let first = log.lines().find(|line| line.starts_with("ntguest: violation")).unwrap_or("none");
            wrong.push(format!("{fault}: status {status}, due is {rules}, first is: {first}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

// A test for each table, so that they run beside each other.
#[test]
#[ignore = "boots QEMU"]
fn every_broken_rule_of_capture_is_named() {
    each_is_named("capture", CAPTURE);
}

#[test]
#[ignore = "boots QEMU"]
fn every_broken_rule_of_playback_is_named() {
    each_is_named("playback", PLAYBACK);
}

#[test]
#[ignore = "boots QEMU"]
fn every_broken_rule_of_registers_is_named() {
    each_is_named("registers", REGISTERS);
}

#[test]
#[ignore = "boots QEMU"]
fn every_broken_rule_of_control_panel_is_named() {
    each_is_named("control-panel", CONTROL_PANEL);
}

#[test]
#[ignore = "boots QEMU"]
fn every_broken_rule_of_start_and_stop_is_named() {
    each_is_named("start-and-stop", START_AND_STOP);
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn what_the_registry_wants_of_modes_and_formats_is_what_clients_find() {
    let registry = "reg.Modes=1\nreg.DefaultBits=16\nreg.SpeakerChannels=6\nreg.MicrophoneChannels=2\n";
    let Outcome { status, log, .. } = run("registry", &format!("{CONTROLS}{registry}"));
    assert_eq!(status, OK, "{log}");
    for found in [
        "result render0_default=16of16x6@48000\n",
        "result capture0_default=16of16x2@48000\n",
        " volume_channels=6 ",
        // Two of each endpoint, and as many instances.
        " modes=4 ",
    ] {
        assert!(log.contains(found), "no {found:?}: {log}");
    }
}

#[test]
#[ignore = "boots QEMU"]
fn a_control_panel_finds_volume_mute_and_jack_right_and_none_where_the_card_has_none() {
    let runs: [(&[&str], &str, &str, u32); 3] = [
        // Only the first loudspeaker may be called one.
        (&["--render", "2"], "", "volume_nodes=3 mute_nodes=3 volume_channels=2 control_events=6 jacks=3", 2),
        // A card of one channel has one slider.
        (
            &["--channels", "1"],
            "",
            "volume_nodes=2 mute_nodes=2 volume_channels=1 control_events=4 jacks=2",
            1,
        ),
        (
            &["--no-volume"],
            "expect_volume=0",
            "volume_nodes=0 mute_nodes=0 volume_channels=0 control_events=0 jacks=2",
            2,
        ),
    ];
    for (options, config, found, channels) in runs {
        let Outcome { status, log, .. } = run_with("controls", &format!("{CONTROLS}{config}"), options);
        assert_eq!(status, OK, "{config}: {log}");
        assert!(log.contains(found), "{config}: {log}");
        // One default format, whoever asks: what a shared client hears and records in.
        let default = format!("result render0_default=24of32x{channels}@48000\n");
        assert!(log.contains(&default), "{config}: {log}");
        assert!(log.contains("result capture0_default=24of32x1@48000\n"), "{config}: {log}");
        assert!(log.contains(" packet_min_period_hns="), "{config}: {log}");
    }
}

/// What `qemu-scripts/ntguest --client none` does with a driver.
#[test]
#[ignore = "boots QEMU"]
fn without_a_client_the_device_is_started_and_removed() {
    let Outcome { status, log, .. } = run("none", "client=none\n");
    assert_eq!(status, OK, "{log}");
    assert!(log.contains("\" registered\n") && !log.contains("NewStream"), "{log}");
}

#[test]
#[ignore = "boots QEMU"]
fn a_device_that_goes_while_a_stream_plays_leaves_the_client_what_it_has() {
    let Outcome { status, log, .. } = run("removal", REMOVAL);
    assert_eq!(status, OK, "{log}");
    assert!(log.contains("result removal_registers=2\n"), "both registers were mapped all the time: {log}");
}

#[test]
#[ignore = "boots QEMU"]
fn a_windows_without_device_interfaces_or_port_events_is_good_enough_to_play() {
    let faults = [
        ("no-interface", "packet_constraints=0 "),
        ("no-port-events", "cycles=4 "),
        ("no-port-services", "cycles=4 "),
    ];
    for (fault, found) in faults {
        let config = format!("client=cycles\ncycles=4\nbuffer_ms=4\nfault={fault}");
        let Outcome { status, log, .. } = run(fault, &config);
        assert_eq!(status, OK, "{fault}: {log}");
        assert!(log.contains(found), "{fault}: {log}");
    }
}

/// A port that is asked for contiguous pages and gives others, or none for a page: the card must play and
/// record what is the stream's.
#[test]
#[ignore = "boots QEMU"]
fn pages_that_do_not_lie_side_by_side_are_not_taken_for_contiguous() {
    let config = format!("{RECORD}reg.ContiguousBuffer=1\nfault=contiguous-gap");
    let Outcome { status, log, recorded } = run_with("contiguous-gap", &config, &["--source", "tone:440"]);
    assert_eq!(status, OK, "{log}");
    assert_eq!(recorded.len(), 24_000 * 4, "{log}");
    // A card that took the first page's address for all of them would leave the others as they were.
    let silent = recorded.chunks(1024).filter(|chunk| chunk.iter().all(|byte| *byte == 0)).count();
    assert_eq!(silent, 0, "of {} bytes of a tone", recorded.len());
    let config = format!("{START}reg.ContiguousBuffer=1\nfault=no-contiguous-page");
    let Outcome { status, log, .. } = run("no-contiguous-page", &config);
    assert_eq!(status, OK, "{log}");
}

/// The driver goes by the PCI id that the bus driver tells it, and by the registers where it tells none.
#[test]
#[ignore = "boots QEMU"]
fn a_device_that_is_no_card_of_the_drivers_is_refused_in_one_line_and_a_bus_that_says_nothing_is_no_reason() {
    let Outcome { status, log, .. } = run("no-bus-interface", &format!("{START}fault=no-bus-interface"));
    assert_eq!(status, OK, "{log}");
    assert!(log.contains("does not tell the device's PCI id"), "{log}");
    let Outcome { status, log, .. } = run("other-device", &format!("{START}fault=other-device"));
    assert_ne!(status, OK, "{log}");
    assert_eq!(log.matches("1234:5256 is no card that this driver knows").count(), 1, "{log}");
    assert!(log.contains("violations=0"), "it gives everything back: {log}");
}

/// No document says whether PortCls keeps over STOP what the driver did not unregister: both must be
/// survived. `QUERY_STOP` is granted, for the adapter has an `IAdapterPnpManagement`.
#[test]
#[ignore = "boots QEMU"]
fn a_device_that_is_stopped_starts_again_and_grants_a_rebalance() {
    for how in ["restart", "restart-dropped"] {
        let Outcome { status, log, .. } = run(how, &format!("{START}pnp={how}"));
        assert_eq!(status, OK, "{how}: {log}");
        assert!(log.contains("START after STOP: SUCCESS"), "{how}: {log}");
        assert_eq!(log.matches("result cycles=1 ").count(), 2, "{how}: {log}");
    }
    let Outcome { status, log, .. } = run("query-stop", "client=stress\nwav=MUSIC.WAV\nbuffer_ms=100\n");
    assert_eq!(status, OK, "{log}");
    assert!(log.contains("PnP minor 0x5: SUCCESS"), "{log}");
}

#[test]
#[ignore = "boots QEMU"]
fn a_late_client_is_reported_as_a_glitch_and_one_in_time_is_none() {
    for (client, late) in [(LATE, true), (IN_TIME, false)] {
        let Outcome { status, log, .. } = run("glitches", client);
        assert_eq!(status, OK, "{log}");
        let number = |key: &str| {
            let value = log.split(&format!("{key}=")).nth(1)?;
            value.split_whitespace().next()?.parse::<u32>().ok()
        };
        let reported = number("glitches_reported").expect("the client counts them");
        assert_eq!(reported > 0, late, "{log}");
        // Code 1, an underrun; the write position is in a buffer of 100 ms, 16-bit stereo at 48 kHz.
        let reports: Vec<&str> = log.lines().filter(|line| line.contains("glitch 1 (0) at byte ")).collect();
        assert_eq!(reports.len(), reported as usize, "{log}");
        for report in reports {
            let written = report.rsplit(' ').next().and_then(|number| number.parse::<u32>().ok());
            assert!(written.is_some_and(|to| [9600, 19_200].contains(&to)), "{report}");
        }
    }
}

#[test]
#[ignore = "boots QEMU"]
fn the_service_routine_of_a_message_runs_in_the_midst_of_another_and_nothing_is_lost() {
    let Outcome { status, log, .. } = run("reenter", &format!("{RECORD}msi=2\n"));
    assert_eq!(status, OK, "{log}");
    assert!(log.contains(" messages 2 msix=false\n"), "{log}");
    let times =
        log.split(" reentered=").nth(1).and_then(|rest| rest.split_whitespace().next()?.parse::<u32>().ok());
    assert!(times.is_some_and(|times| times >= 3), "{log}");
}

#[test]
#[ignore = "boots QEMU"]
fn success_without_a_message_behind_it_is_a_failure_with_the_line_as_the_way_out() {
    for fault in ["none", "empty"] {
        let Outcome { status, log, .. } = run(fault, &format!("{RECORD}connect_table={fault}\n"));
        assert_eq!(status, OK, "{fault}: {log}");
        assert!(log.contains("ntguest: result recorded-frames=24000 "), "{fault}: {log}");
    }
}

/// What a virtual machine does to time: the processor stands still for 163 ms, and the performance counter,
/// which begins at a hundred days, jumps by minutes.
#[test]
#[ignore = "boots QEMU"]
fn a_processor_that_stands_still_and_a_counter_that_jumps_break_nothing() {
    const STALLS: &str = "stop_ms=163\nstop_every_ms=400\njump_s=180\njump_at_ms=700\n";
    let Outcome { status, log, .. } = run("stalls-record", &format!("{RECORD}{STALLS}"));
    assert_eq!(status, OK, "{log}");
    assert!(log.contains("ntguest: result recorded-frames=24000 lost-packets=0"), "{log}");
    let play = "wav=MUSIC.WAV\nbuffer_ms=20\nclock=realtime\n";
    // The time of the one packet that is read between the jump and the next is off by what clocks may differ
    // in three minutes, 18 ms: less than half a packet.
    let record = "client=record\nframes=48000\nbuffer_ms=100\n";
    let mut logs = vec![log];
    for (name, client) in [("stalls-play", play), ("stalls-lost", record)] {
        let Outcome { status, log, .. } = run(name, &format!("{client}{STALLS}"));
        assert_eq!(status, OK, "{log}");
        logs.push(log);
    }
    for log in logs {
        assert!(log.contains(" time(s), the performance counter jumped 1 time(s)"), "{log}");
        assert!(!log.contains("stood still 0 time(s)"), "{log}");
    }
}

#[test]
#[ignore = "boots QEMU"]
fn a_run_that_proves_nothing_has_failed() {
    // A fault that needs the client `controls`, more channels than the card has, an event that comes too late.
    let config = format!("{START}fault=jack-lies");
    let Outcome { status, log, .. } = run("unmade", &config);
    assert!(status == FAILED && log.contains("violation rule=fault-not-made "), "{log}");
    let Outcome { status, log, .. } =
        run_with("unoffered", "client=record\nformat=s16x8@48000", &["--channels", "2"]);
    assert!(status == FAILED && log.contains("violation rule=format "), "{log}");
    // A sound that is over before it is due.
    let life = "client=life\nwav=MUSIC.WAV\nbuffer_ms=100\nlife=d3:run:play\nlife_frames=100\nreg.Lockstep=1";
    let Outcome { status, log, .. } = run("unmet", life);
    assert!(status == FAILED && log.contains("violation rule=event-not-made "), "{log}");
}

#[test]
#[ignore = "boots QEMU"]
fn what_cannot_be_recorded_is_bad_input() {
    for config in ["format=s16", "format=s16x9@48000", "mode=poll", "frames=0", "frames=99999999"] {
        let Outcome { log, .. } = run("input", &format!("client=record\n{config}"));
        assert!(log.contains("ntguest: info bad input: "), "{config}: {log}");
    }
}
