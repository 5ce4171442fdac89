//! How a device is found, set up, put to sleep, and given up.

use nt::NTSTATUS;

use super::*;

#[test]
fn a_device_is_set_up_twice_with_its_streams_released_before() {
    let device = SimulatedDevice::new();
    let card = device.find().unwrap();
    assert_eq!(
        device.with(|inside| (inside.works(), inside.asserted)),
        (false, 0),
        "before the line is connected"
    );
    assert_eq!(card.endpoint(0), None);
    card.enable_interrupts(Granted::Line).unwrap();
    let requests = device.with(|inside| std::mem::take(&mut inside.sound.requests));
    for id in [0, 1] {
        assert!(requests.contains(&(0x105, id)) && requests.contains(&(0x103, id)), "{requests:?}");
    }
    let resets = device.with(|inside| inside.resets);
    assert_eq!((device.with(|inside| inside.works()), resets), (true, 5), "1 of its own, 1 of `find`");
    let kinds: Vec<_> = (0..3).map(|stream| card.endpoint(stream).map(|found| found.direction)).collect();
    assert_eq!(kinds, [Some(Direction::Render), Some(Direction::Capture), None]);
    let limits = card.endpoint(0).unwrap().limits;
    assert!(!limits.position_registers && limits.volume_min.is_none() && limits.jack);
    drop(card);
    assert_eq!((host::io_mappings(), host::contiguous_blocks()), (0, 0));
    assert!(!device.with(|inside| inside.works()), "it is reset when it goes");
}

#[test]
fn only_what_is_known_is_accepted() {
    let fixture = Fixture::new();
    fixture.device.with(|inside| assert_eq!(inside.accepted, 1 << 28 | 1 << 29 | 1 << 32));
}

#[test]
fn a_device_that_cannot_be_driven_is_refused_with_the_reason() {
    type Break = fn(&mut super::super::simulated::Inside);
    let cases: [(Break, &str, NTSTATUS); 5] = [
        (|inside| inside.offered &= !VERSION_1, "VIRTIO_F_VERSION_1", STATUS_DEVICE_CONFIGURATION_ERROR),
        (|inside| inside.takes_features = false, "does not take", STATUS_DEVICE_CONFIGURATION_ERROR),
        (
            |inside| (inside.takes_features, inside.offered) = (false, inside.offered | ACCESS_PLATFORM),
            "iommu_platform",
            STATUS_DEVICE_CONFIGURATION_ERROR,
        ),
        (|inside| inside.sound.mute = true, "did not answer request 0x105", STATUS_DEVICE_NOT_READY),
        (|inside| inside.sound.streams.clear(), "no stream", STATUS_DEVICE_CONFIGURATION_ERROR),
    ];
    nt::klog::init(log::LevelFilter::Info);
    for (break_it, reason, status) in cases {
        let device = SimulatedDevice::new();
        device.with(break_it);
        let _ = host::take_debug_output();
        let card = device.find().unwrap();
        assert_eq!(card.enable_interrupts(Granted::Line), Err(status), "{reason}");
        assert!(!device.with(|inside| inside.works()), "it is left at work: {reason}");
        drop(card);
        let log = log();
        assert!(log.contains(reason), "{log}");
        assert_eq!(host::io_mappings(), 0);
    }
}

#[test]
fn every_number_of_messages_and_the_line_will_do() {
    for (granted, has, vectors) in [
        (0, 1, [0xFFFF; 5]),
        (1, 1, [0; 5]),
        (2, 2, [0, 1, 1, 1, 1]),
        (5, 5, [0, 1, 2, 3, 4]),
        (16, 16, [0, 1, 2, 3, 4]),
    ] {
        let device = SimulatedDevice::new();
        device.with(|inside| inside.messages = has);
        let fixture = Fixture::of(device, granted);
        let found = fixture.device.with(|inside| {
            let queues = inside.queues.map(|queue| queue.vector);
            [inside.config_vector, queues[0], queues[1], queues[2], queues[3]]
        });
        assert_eq!(found, vectors, "{granted} granted");
        // And whichever it is: what comes back is noticed.
        fixture.attach(RENDER, GEOMETRY);
        fixture.raise(RENDER, &[StreamState::Acquire, StreamState::Pause, StreamState::Run]);
        fixture.complete(RENDER, 2);
        assert_eq!(fixture.card.status(RENDER).unwrap().packet_count, 1);
    }
}

#[test]
fn a_message_that_the_device_has_no_room_for_is_noticed() {
    let device = SimulatedDevice::new();
    device.with(|inside| inside.messages = 0);
    let card = device.find().unwrap();
    assert!(card.enable_interrupts(Granted::Messages(1)).is_err());
    assert_eq!((card.state(RENDER), card.status(RENDER)), (None, None));
}

#[test]
fn jacks_are_those_of_the_streams_and_change() {
    let device = SimulatedDevice::new();
    device.with(|inside| inside.sound.jacks[1] = false);
    let fixture = Fixture::of(device, 1);
    let unplugged = || [0, 1, 2].map(|stream| fixture.card.unplugged(stream));
    assert_eq!(unplugged(), [Some(false), Some(true), None]);
    for (jack, connected, expected) in
        [(0, false, [Some(true), Some(true), None]), (1, true, [Some(true), Some(false), None])]
    {
        fixture.device.with(|inside| inside.plug(jack, connected));
        fixture.dpc();
        assert_eq!(unplugged(), expected);
    }
    // More than there are buffers: each is given back.
    for _ in 0..100 {
        fixture.device.with(|inside| inside.plug(0, true));
        fixture.dpc();
    }
    assert_eq!(fixture.device.with(|inside| inside.sound.event_buffers.len()), 16);
}

#[test]
fn a_device_that_counts_jacks_and_does_not_know_them_has_none() {
    let device = SimulatedDevice::new();
    device.with(|inside| inside.sound.no_jack_info = true);
    let fixture = Fixture::of(device, 1);
    assert!(!fixture.card.endpoint(0).unwrap().limits.jack);
    assert_eq!(fixture.card.unplugged(0), None);
}

#[test]
fn channels_that_stand_in_another_order_are_not_offered() {
    let device = SimulatedDevice::new();
    device.with(|inside| {
        inside.sound.streams[0].channels = (1, 8);
        inside.sound.maps = vec![(0, vec![3, 4]), (0, vec![3, 4, 5, 6, 7, 8]), (1, vec![4, 3])];
    });
    let fixture = Fixture::of(device, 1);
    let channels = |stream| fixture.card.endpoint(stream).unwrap().can.channels_max;
    assert_eq!((channels(0), channels(1)), (5, 1));
}

#[test]
fn after_d3_everything_is_anew() {
    let fixture = Fixture::new();
    fixture.attach(RENDER, GEOMETRY);
    fixture.raise(RENDER, &[StreamState::Acquire, StreamState::Pause, StreamState::Run]);
    assert!(fixture.card.set_power(false) && fixture.card.asleep() && fixture.card.is_present());
    let doorbells = fixture.device.with(|inside| (inside.works(), inside.doorbells));
    assert!(!doorbells.0, "it is reset before");
    assert_eq!(fixture.card.state(RENDER), None);
    assert!(!fixture.card.mark(RENDER, mark(0), 0, false));
    fixture.card.on_interrupt();
    assert_eq!(fixture.device.with(|inside| inside.doorbells), doorbells.1, "a doorbell in D3");
    assert!(fixture.card.set_power(true));
    fixture.card.enable_interrupts(Granted::Messages(1)).unwrap();
    assert_eq!(fixture.card.state(RENDER), Some(StreamState::Stop));
    fixture.card.configure(RENDER, FORMAT, GEOMETRY).unwrap();
    fixture.raise(RENDER, &[StreamState::Acquire]);
    fixture.card.start_at(RENDER, 700, 1);
    fixture.device.with(|inside| inside.sound.streams[0].short = 1);
    fixture.raise(RENDER, &[StreamState::Pause, StreamState::Run]);
    let status = fixture.card.status(RENDER).unwrap();
    assert!(status.anchor.frame >= 700 && status.packet_count == 1, "{status:?}");
    // To the end of its piece, and from there on whole pieces.
    for played in [20, 20 + 240, 20 + 480] {
        fixture.complete(RENDER, 1);
        assert_eq!(fixture.device.with(|inside| inside.sound.streams[0].played.len()), 4 * played);
    }
    assert_eq!(fixture.card.status(RENDER).unwrap().packet_count, 2);
}

/// QEMU's card keeps what it has over a reset, and writes into it later. Nothing is left in it when it is
/// reset.
#[test]
fn streams_that_run_are_stopped_and_released_before_every_reset() {
    type End = fn(&VirtioSound);
    let ends: [(&str, End); 3] = [
        ("D3", |card| assert!(card.set_power(false))),
        ("the interrupts are gone", VirtioSound::disable_interrupts),
        ("removal", VirtioSound::remove),
    ];
    for (what, end) in ends {
        let fixture = Fixture::new();
        for stream in [RENDER, CAPTURE] {
            fixture.attach(stream, GEOMETRY);
            fixture.raise(stream, &[StreamState::Acquire, StreamState::Pause, StreamState::Run]);
            assert!(fixture.held(stream) > 0, "{what}");
        }
        let resets = fixture.device.with(|inside| {
            inside.forgets_nothing = true;
            inside.sound.requests.clear();
            inside.resets
        });
        end(&fixture.card);
        fixture.device.with(|inside| {
            assert!(inside.resets > resets, "{what}");
            assert_eq!(inside.sound.stale, 0, "{what}: messages that it has still");
            for request in [(0x105, RENDER), (0x103, RENDER), (0x105, CAPTURE), (0x103, CAPTURE)] {
                assert!(inside.sound.requests.contains(&request), "{what}: {:?}", inside.sound.requests);
            }
        });
    }
}

/// A reset takes time, in which another processor meets a line that is asserted again and again: an interrupt
/// storm, if nobody claims it.
#[test]
fn a_line_that_is_asserted_while_the_device_is_being_reset_is_claimed() {
    let fixture = Fixture::of(SimulatedDevice::new(), 0);
    fixture.device.with(|inside| inside.asserts_before_reset = true);
    assert!(fixture.card.set_power(false));
    let (in_d3, before) = (host::interrupt(0), fixture.device.with(|inside| inside.claimed.len()));
    assert_eq!(in_d3, Some(false), "nobody looks at a device in D3");
    assert!(fixture.card.set_power(true));
    fixture.card.enable_interrupts(Granted::Line).unwrap();
    let claimed = fixture.device.with(|inside| std::mem::take(&mut inside.claimed));
    assert!(before >= 1 && claimed.len() > before, "it was reset on both ways");
    assert_eq!(claimed, vec![Some(true); claimed.len()]);
    QUEUED.set(false);
}

/// What a recording was given when D3 came stays, and it goes on behind it.
#[test]
fn after_d3_a_recording_goes_on_where_it_was() {
    let fixture = Fixture::new();
    fixture.attach(CAPTURE, GEOMETRY);
    fixture.raise(CAPTURE, &[StreamState::Acquire, StreamState::Pause, StreamState::Run]);
    fixture.complete(CAPTURE, 1);
    fixture.raise(CAPTURE, &[StreamState::Pause]);
    let paused_at = fixture.card.status(CAPTURE).unwrap().anchor.frame;
    fixture.device.with(|inside| inside.sound.streams[1].part = 4 * 100);
    assert!(fixture.card.set_power(false) && fixture.card.set_power(true));
    fixture.card.enable_interrupts(Granted::Messages(1)).unwrap();
    fixture.card.configure(CAPTURE, FORMAT, GEOMETRY).unwrap();
    fixture.raise(CAPTURE, &[StreamState::Acquire]);
    fixture.card.start_at(CAPTURE, paused_at, 0);
    fixture.device.with(|inside| inside.sound.streams[1].short = 1);
    fixture.raise(CAPTURE, &[StreamState::Pause, StreamState::Run]);
    let first = fixture.device.with(|inside| inside.sound.streams[1].held[0].writable[0]);
    assert_eq!((first.0, first.1), (fixture.pages.addresses()[0] + 4 * 340, 4 * 140));
    fixture.complete(CAPTURE, 1);
    assert_eq!(fixture.card.status(CAPTURE).unwrap().packet_count, 1);
}

/// The device had completed the packet that the position was not through with: it is there when the recording
/// goes on, and has a time.
#[test]
fn after_d3_a_packet_that_was_completed_meanwhile_begins_at_its_time() {
    const MS: u64 = 10_000;
    let fixture = Fixture::new();
    host::pass_time_100ns(0);
    fixture.attach(CAPTURE, GEOMETRY);
    fixture.raise(CAPTURE, &[StreamState::Acquire, StreamState::Pause, StreamState::Run]);
    host::pass_time_100ns(5 * MS);
    fixture.complete(CAPTURE, 1);
    fixture.raise(CAPTURE, &[StreamState::Pause]);
    let paused_at = fixture.card.status(CAPTURE).unwrap().anchor.frame;
    assert!((240..480).contains(&paused_at), "{paused_at}");
    fixture.device.with(|inside| inside.sound.streams[1].part = 4 * 240);
    assert!(fixture.card.set_power(false) && fixture.card.set_power(true));
    fixture.card.enable_interrupts(Granted::Messages(1)).unwrap();
    fixture.card.configure(CAPTURE, FORMAT, GEOMETRY).unwrap();
    fixture.raise(CAPTURE, &[StreamState::Acquire]);
    host::pass_time_100ns(1000 * MS);
    // What the card tells of a packet that it was started in is the moment of the frame that it was started
    // at: before RUN, when the packet can be read already, the moment of the start.
    fixture.card.start_at(CAPTURE, paused_at, 0);
    let begun = |passed: u64| {
        let status = fixture.card.status(CAPTURE).unwrap();
        assert_eq!((status.packet_count, status.anchor.clock - status.packet_start_clock), (1, passed));
    };
    fixture.raise(CAPTURE, &[StreamState::Pause]);
    host::pass_time_100ns(3 * MS);
    begun(3 * MS);
    fixture.raise(CAPTURE, &[StreamState::Run]);
    host::pass_time_100ns(2 * MS);
    begun(2 * MS);
}

/// Where an earlier recording stood is nothing to one that was cut by D3 before the device had stored any of
/// it.
#[test]
fn after_d3_a_recording_does_not_go_on_where_one_before_it_was() {
    let fixture = Fixture::new();
    host::pass_time_100ns(0);
    fixture.attach(CAPTURE, GEOMETRY);
    let run = [StreamState::Acquire, StreamState::Pause, StreamState::Run];
    fixture.raise(CAPTURE, &run);
    fixture.device.with(|inside| inside.sound.streams[1].part = 4 * 100);
    fixture.raise(CAPTURE, &[StreamState::Stop]);
    fixture.card.configure(CAPTURE, FORMAT, GEOMETRY).unwrap();
    fixture.raise(CAPTURE, &run);
    host::pass_time_100ns(40_000);
    let paused_at = fixture.card.status(CAPTURE).unwrap().anchor.frame;
    assert_eq!(paused_at, 192, "4 ms, by time");
    fixture.device.with(|inside| inside.sound.streams[1].part = 0);
    assert!(fixture.card.set_power(false) && fixture.card.set_power(true));
    fixture.card.enable_interrupts(Granted::Messages(1)).unwrap();
    fixture.card.configure(CAPTURE, FORMAT, GEOMETRY).unwrap();
    fixture.raise(CAPTURE, &[StreamState::Acquire]);
    fixture.card.start_at(CAPTURE, paused_at, 0);
    fixture.raise(CAPTURE, &[StreamState::Pause, StreamState::Run]);
    let first = fixture.device.with(|inside| inside.sound.streams[1].held[0].writable[0]);
    assert_eq!(first.0, fixture.pages.addresses()[0], "recorded from frame 0 on");
}

/// Nobody is there at D0, and the device is at the next one: as with the Ringwave card.
#[test]
fn a_device_that_comes_back_late_works_again() {
    let fixture = Fixture::new();
    fixture.attach(RENDER, GEOMETRY);
    fixture.raise(RENDER, &[StreamState::Acquire, StreamState::Pause, StreamState::Run]);
    assert!(fixture.card.set_power(false));
    fixture.device.with(|inside| inside.gone = true);
    let _ = log();
    assert!(!fixture.card.set_power(true) && !fixture.card.asleep() && !fixture.card.is_present());
    assert!(log().contains("no device is there"));
    assert!(fixture.card.enable_interrupts(Granted::Messages(1)).is_err());
    assert_eq!((fixture.card.state(RENDER), fixture.card.status(RENDER)), (None, None));
    assert!(fixture.card.set_state(RENDER, StreamState::Run).is_err());
    assert!(fixture.card.detach(RENDER), "it has nothing of it");
    assert!(fixture.card.set_power(false));
    // As after a reset: ones stood in its registers.
    fixture.device.with(super::super::simulated::Inside::come_back);
    assert!(fixture.card.set_power(true));
    fixture.card.enable_interrupts(Granted::Messages(1)).unwrap();
    fixture.attach(RENDER, GEOMETRY);
    fixture.raise(RENDER, &[StreamState::Acquire, StreamState::Pause, StreamState::Run]);
    fixture.complete(RENDER, 2);
}

#[test]
fn another_device_after_d3_is_left_alone() {
    let fixture = Fixture::new();
    assert!(fixture.card.set_power(false));
    fixture.device.with(|inside| inside.sound.streams[0].channels = (1, 6));
    assert!(!fixture.card.set_power(true) && !fixture.card.asleep() && !fixture.card.is_present());
    assert!(fixture.card.enable_interrupts(Granted::Messages(1)).is_err());
    assert_eq!(fixture.card.state(RENDER), None);
}

/// A device without an answer is given up in its time, by the first request, and nothing waits again. What it
/// was given comes back if a reset says so.
#[test]
fn a_device_that_does_not_answer_is_given_up() {
    type Break = fn(&mut super::super::simulated::Inside);
    let cases: [(Break, bool); 4] = [
        // As one whose process was killed: QEMU answers for its registers.
        (|_| {}, true),
        // As QEMU's own.
        (|inside| inside.sound.needs_reset = true, false),
        (|inside| inside.stuck = true, false),
        (|inside| inside.gone = true, true),
    ];
    for (index, (break_it, freed)) in cases.into_iter().enumerate() {
        let blocks = host::contiguous_blocks();
        let fixture = Fixture::new();
        fixture.attach(RENDER, GEOMETRY);
        fixture.raise(RENDER, &[StreamState::Acquire, StreamState::Pause, StreamState::Run]);
        let _ = log();
        fixture.device.with(|inside| inside.sound.mute = true);
        fixture.device.with(break_it);
        let begin = std::time::Instant::now();
        assert_eq!(fixture.card.set_state(RENDER, StreamState::Pause), Err(STATUS_DEVICE_NOT_READY));
        let log = log();
        let gone = fixture.device.with(|inside| inside.gone);
        assert!(log.contains("did not answer request 0x105") || gone, "{log}");
        // That it was reset is said of one that was, and is let go of.
        assert_eq!(log.contains("it was reset"), index == 0, "case {index}: {log}");
        let (resets, rung) = fixture.device.with(|inside| (inside.resets, inside.doorbells));
        assert_eq!(fixture.card.set_state(RENDER, StreamState::Stop), Err(STATUS_DEVICE_NOT_READY));
        assert_eq!((fixture.card.state(RENDER), fixture.card.status(RENDER)), (None, None));
        assert!(!fixture.card.mark(RENDER, mark(3), 0, false));
        assert!(fixture.card.enable_interrupts(Granted::Messages(1)).is_err());
        assert_eq!(fixture.card.detach(RENDER), freed, "case {index}");
        assert_eq!(fixture.device.with(|inside| (inside.resets, inside.doorbells)), (resets, rung));
        assert!(begin.elapsed().as_secs() < 10);
        drop(fixture);
        assert_eq!(host::contiguous_blocks() == blocks, freed, "case {index}");
    }
}

/// The answer comes after all, when the device was given up: nobody looks at it, and it is no reason to trust
/// the device.
#[test]
fn an_answer_that_comes_late_changes_nothing() {
    let blocks = host::contiguous_blocks();
    let fixture = Fixture::new();
    fixture.attach(RENDER, GEOMETRY);
    fixture.raise(RENDER, &[StreamState::Acquire, StreamState::Pause]);
    assert!(fixture.card.mark(RENDER, mark(0), 0, false));
    fixture.raise(RENDER, &[StreamState::Run]);
    let [mut control, tx] = fixture.device.with(|inside| {
        (inside.sound.mute, inside.stuck, inside.forgets_nothing) = (true, true, true);
        [inside.queues[0], inside.queues[2]]
    });
    assert!(fixture.card.set_state(RENDER, StreamState::Pause).is_err());
    assert!(log().contains("did not answer request 0x105"));
    let before = fixture.device.with(|inside| (inside.resets, inside.doorbells));
    fixture.device.with(|inside| {
        let stop = control.ring.pop().expect("the request");
        super::super::simulated::ring::write(&stop.writable, &0x8000_u32.to_le_bytes());
        (inside.queues[0], inside.queues[2]) = (control, tx);
        inside.push(0, stop.head.into(), 4);
        // And all messages of the stream.
        while inside.complete(0) {}
    });
    QUEUED.set(true);
    fixture.dpc();
    assert_eq!(log(), "");
    assert_eq!(fixture.device.with(|inside| (inside.resets, inside.doorbells)), before);
    assert!(!fixture.card.is_present() && fixture.card.status(RENDER).is_none());
    assert_eq!(fixture.card.set_state(RENDER, StreamState::Stop), Err(STATUS_DEVICE_NOT_READY));
    assert!(!fixture.card.detach(RENDER));
    drop(fixture);
    assert!(host::contiguous_blocks() > blocks, "it may write there yet");
}

/// What a device is caught in on another processor counts, whatever its reset said.
#[test]
fn a_device_that_lied_too_gets_its_memory_kept() {
    let blocks = host::contiguous_blocks();
    let fixture = Fixture::new();
    fixture.attach(RENDER, GEOMETRY);
    fixture.raise(RENDER, &[StreamState::Acquire, StreamState::Pause, StreamState::Run]);
    fixture.device.with(|inside| inside.sound.mute = true);
    assert!(fixture.card.set_state(RENDER, StreamState::Pause).is_err());
    assert!(log().contains("it was reset"));
    fixture.card.after(number::TX, Err(Lie));
    assert!(!fixture.card.detach(RENDER));
    drop(fixture);
    assert!(host::contiguous_blocks() > blocks);
}

/// And the other way round: one that was caught is not reset as one that is only silent, by a thread whose
/// request it does not answer.
#[test]
fn a_device_that_lied_is_not_taken_for_a_silent_one() {
    let fixture = Fixture::new();
    fixture.card.after(number::TX, Err(Lie));
    let _ = log();
    let hardware = fixture.card.hardware.lock();
    fixture.card.give_up_silent(&hardware, format_args!("it is silent"));
    drop(hardware);
    assert_eq!(log(), "");
    assert!(fixture.card.keeps_memory.load(Ordering::Relaxed));
}

/// One that went in the meantime is told as what it is.
#[test]
fn a_device_that_is_not_there_is_not_said_to_be_reset() {
    let fixture = Fixture::new();
    fixture.device.with(|inside| inside.gone = true);
    let _ = log();
    fixture.card.give_up_silent(&fixture.card.hardware.lock(), format_args!("it is silent"));
    let log = log();
    assert!(log.contains("it is not there") && !log.contains("it was reset"), "{log}");
    assert!(!fixture.card.keeps_memory.load(Ordering::Relaxed));
}

/// A sleep of 1 ms takes a tick of the system, 15.6 ms, and a clock may jump: the limit of a reset is time,
/// and a few looks at least.
#[test]
fn a_reset_has_its_time() {
    for (looks, time, comes_out) in [(45, 10_000, true), (12, 156_000, false), (7, 36_000_000_000, true)] {
        let device = SimulatedDevice::new();
        host::pass_time_100ns(0);
        device.with(|inside| (inside.stuck, inside.looks) = (true, Some((looks, time))));
        assert_eq!(device.find().is_ok(), comes_out, "{looks} looks of {time}");
    }
}

#[test]
fn a_device_that_keeps_messages_is_given_up() {
    let fixture = Fixture::new();
    fixture.attach(RENDER, GEOMETRY);
    fixture.raise(RENDER, &[StreamState::Acquire, StreamState::Pause, StreamState::Run]);
    fixture.device.with(|inside| inside.sound.keeps = true);
    let _ = log();
    assert!(fixture.card.set_state(RENDER, StreamState::Stop).is_err());
    assert!(log().contains("did not give back the messages of stream 0"));
    assert!(!fixture.card.detach(RENDER));
}

#[test]
fn a_device_that_is_pulled_out_keeps_nothing() {
    let fixture = Fixture::new();
    fixture.attach(RENDER, GEOMETRY);
    fixture.raise(RENDER, &[StreamState::Acquire, StreamState::Pause, StreamState::Run]);
    fixture.device.with(|inside| inside.gone = true);
    assert!(fixture.card.set_state(RENDER, StreamState::Pause).is_err());
    assert!(log().contains("is gone"));
    fixture.card.remove();
    assert!(fixture.card.detach(RENDER));
    assert!(!fixture.card.keeps_memory.load(Ordering::Relaxed));
}

/// Nor one that is pulled out between the last request and the reset.
#[test]
fn a_device_that_is_not_there_to_be_reset_keeps_nothing() {
    let blocks = host::contiguous_blocks();
    let fixture = Fixture::new();
    fixture.device.with(|inside| inside.gone = true);
    let _ = log();
    fixture.card.disable_interrupts();
    let log = log();
    assert!(log.contains("is gone") && !log.contains("given up"), "{log}");
    drop(fixture);
    assert_eq!(host::contiguous_blocks(), blocks);
}

/// As after a guest that crashed while it played on QEMU's card: what the device did not forget at the reset
/// is released in the first set-up, and the second is clean.
#[test]
fn what_a_guest_before_has_left_is_released() {
    let device = SimulatedDevice::new();
    device.with(|inside| inside.forgets_nothing = true);
    let before = Fixture::of(device.clone(), 1);
    before.attach(RENDER, GEOMETRY);
    before.raise(RENDER, &[StreamState::Acquire, StreamState::Pause, StreamState::Run]);
    assert_eq!(before.device_state(RENDER), state::RUNNING);
    // It crashes: nobody stops anything.
    std::mem::forget(before);
    let after = Fixture::of(device, 1);
    assert_eq!((after.held(RENDER), after.device_state(RENDER)), (0, state::PARAMETERS));
    after.attach(RENDER, GEOMETRY);
    after.raise(RENDER, &[StreamState::Acquire, StreamState::Pause, StreamState::Run]);
    after.complete(RENDER, 4);
    assert_eq!(after.card.status(RENDER).unwrap().packet_count, 2);
}
