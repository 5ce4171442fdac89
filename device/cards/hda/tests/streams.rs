//! Stream descriptors: what is played and recorded, where the position is, what interrupts. HDA.md 3.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]
#![allow(clippy::cast_possible_truncation, reason = "numbers of streams, and addresses below 4 MiB")]

mod guest;

use guest::{ADC, BCIS, BUFFERS, DAC, DESE, FIFOE, Guest, IOCE, OUT, POSITIONS, RUN, guest, ramp};
use proptest::prelude::*;
use ringwave_audio::{SampleFormat, StreamFormat};
use ringwave_engine::sources::{NoSources, Sources};
use ringwave_hda::codec::tree::TreeConfig;
use ringwave_hda::controller::Config;
use ringwave_hda::function::{CardConfig, PCI_ID};
use ringwave_pci::Request;
use ringwave_pci::client::Requests;
use ringwave_trace::{CardEvent, Dma};

/// 48 kHz, 16 bits, stereo.
const S16: u16 = 0x0011;
const MS: u64 = 1_000_000;

/// A ring of two halves with IOC: 20 ms of [`S16`].
fn two_halves(guest: &Guest, index: u64) -> Vec<u8> {
    let sound = ramp(3840);
    guest.store(BUFFERS, &sound);
    guest.set_up(index, &[(BUFFERS, 1920, true), (BUFFERS + 1920, 1920, true)], S16);
    sound
}

fn speaker() -> Guest {
    let guest = guest();
    guest.start_up();
    guest.connect(DAC);
    guest
}

#[test]
fn what_lies_in_the_ring_is_played_and_each_half_is_told() {
    let guest = speaker();
    let sound = two_halves(&guest, OUT);
    guest.write32(0x20, 0x8000_0010);
    guest.control(OUT, RUN | IOCE);
    assert_eq!(guest.read8(0x103) & 0x20, 0x20, "FIFORDY");
    guest.pass_slowly(10 * MS - 1);
    assert_eq!((guest.status(OUT), guest.line()), (0, false));
    assert_eq!(guest.link_position(OUT), 479 * 4);
    guest.pass(1);
    assert_eq!((guest.link_position(OUT), guest.status(OUT), guest.line()), (1920, BCIS, true));
    assert_eq!(guest.read32(0x24) & 0xBFFF_FFFF, 0x8000_0010);
    guest.write(0x103, [BCIS]);
    assert_eq!((guest.status(OUT), guest.line()), (0, false));
    guest.pass_slowly(10 * MS);
    assert_eq!((guest.link_position(OUT), guest.status(OUT)), (0, BCIS), "LPIB never reaches CBL");
    guest.pass_slowly(10 * MS);
    guest.control(OUT, 0);
    assert_eq!(guest.heard_bytes(), [&sound[..], &sound[..1920]].concat());
}

#[test]
fn an_entry_that_ends_within_a_burst_is_told_at_its_end() {
    let guest = speaker();
    // 70 frames, and bursts of 48.
    guest.set_up(OUT, &[(BUFFERS, 280, true), (BUFFERS + 280, 3560, false)], S16);
    guest.control(OUT, RUN);
    guest.pass(1_458_333);
    assert_eq!(guest.status(OUT), 0);
    guest.pass(1);
    assert_eq!((guest.status(OUT), guest.link_position(OUT)), (BCIS, 280));
}

#[test]
fn a_pause_loses_and_repeats_nothing() {
    let guest = speaker();
    let sound = two_halves(&guest, OUT);
    for _ in 0..40 {
        guest.control(OUT, RUN);
        guest.pass_slowly(3_337_333);
        guest.control(OUT, 0);
        let stopped = guest.link_position(OUT);
        guest.pass(7 * MS);
        assert_eq!(guest.link_position(OUT), stopped);
    }
    let heard = guest.heard_bytes();
    assert_eq!(heard.len(), 40 * 160 * 4);
    assert_eq!(heard, sound.iter().copied().cycle().take(heard.len()).collect::<Vec<u8>>());
}

#[test]
fn streams_that_ssync_lets_go_together_start_together() {
    for ssync in [0x34, 0x38] {
        let guest = speaker();
        two_halves(&guest, OUT);
        guest.write32(0x80 + 0x20 * 5, 0);
        two_halves(&guest, OUT + 1);
        guest.write32(ssync, 0x30);
        guest.control(OUT, RUN);
        guest.pass(2 * MS);
        guest.control(OUT + 1, RUN);
        assert_eq!(guest.read8(0x103) & 0x20, 0x20, "FIFORDY while it is held");
        guest.pass(2 * MS);
        assert_eq!(guest.link_position(OUT), 0);
        guest.write32(ssync, 0);
        guest.pass(3 * MS);
        assert_eq!(guest.link_position(OUT), 144 * 4);
        assert_eq!(guest.link_position(OUT + 1), 144 * 4);
        assert_eq!(guest.read32(0x2084 + 0x20 * OUT), 144 * 4, "its alias");
    }
}

#[test]
fn the_position_buffer_has_the_place_of_the_descriptor() {
    let guest = speaker();
    two_halves(&guest, OUT);
    guest.write32(0x70, u32::try_from(POSITIONS).unwrap() | 1);
    guest.control(OUT, RUN);
    guest.pass(10 * MS);
    assert_eq!(guest.load32(POSITIONS + 8 * OUT), 1920);
    assert_eq!(guest.load32(POSITIONS + 8 * OUT + 8), 0);
    guest.pass(MS / 2);
    assert_eq!(guest.load32(POSITIONS + 8 * OUT), 1920, "at the end of the burst");
    guest.pass(MS / 2);
    assert_eq!(guest.load32(POSITIONS + 8 * OUT), 1920 + 48 * 4);
}

#[test]
fn in_d3hot_streams_stand_still_nothing_answers_or_interrupts_and_in_d0_all_goes_on() {
    let tree = TreeConfig { render: 1, capture: 1, channels: 2, bits_32: true };
    let controller = Config { tree, loopback: vec![None], amplifiers: false };
    let card = CardConfig { controller, pci_id: PCI_ID, power_management: true, trace: false };
    let guest = Guest::of_card(card, Box::new(NoSources));
    guest.start_up();
    guest.connect(DAC);
    let sound = two_halves(&guest, OUT);
    guest.write32(0x20, 0x8000_0010);
    guest.control(OUT, RUN | IOCE);
    guest.pass_slowly(15 * MS);
    assert!(guest.line(), "the first half");
    guest.config(0x64, &[3, 0]);
    guest.pass_slowly(50 * MS);
    guest.write(0x103, [BCIS]);
    assert_eq!((guest.read32(0x104), guest.line()), (u32::MAX, false));
    assert_eq!(guest.heard_bytes(), sound[..15 * 48 * 4]);
    guest.config(0x64, &[0, 0]);
    assert_eq!((guest.link_position(OUT), guest.status(OUT), guest.line()), (15 * 48 * 4, BCIS, true));
    guest.pass_slowly(5 * MS);
    guest.control(OUT, 0);
    assert_eq!(guest.heard_bytes(), sound[15 * 48 * 4..]);
}

#[test]
fn the_trace_has_every_access_to_the_rings_and_the_position_buffer() {
    let guest = guest();
    guest.start_up();
    guest.write32(0x70, u32::try_from(POSITIONS).unwrap() | 1);
    guest.traced();
    guest.command(DAC, 0x70610);
    let (who, command) = (Dma::Rings, guest::CORB + 4);
    let rings = [
        CardEvent::Read { who, address: command, bytes: 4 },
        CardEvent::Write { who, address: guest::RIRB + 8, bytes: 8 },
    ];
    assert_eq!(guest.traced(), rings);
    two_halves(&guest, OUT);
    guest.control(OUT, RUN);
    guest.pass(5 * MS);
    let position = CardEvent::Write { who: Dma::Positions, address: POSITIONS + 8 * OUT, bytes: 4 };
    assert_eq!(guest.traced().iter().filter(|event| **event == position).count(), 5, "one a millisecond");
}

#[test]
fn what_cannot_be_is_a_descriptor_error_and_run_is_0() {
    let wrong: [(&str, &[guest::Entry], u16); 5] = [
        ("8 bits", &[(BUFFERS, 400, true), (BUFFERS, 400, true)], 0x0001),
        ("9 channels", &[(BUFFERS, 400, true), (BUFFERS, 400, true)], 0x0018),
        ("384 kHz", &[(BUFFERS, 400, true), (BUFFERS, 400, true)], 0x3811),
        ("no memory", &[(guest::MEMORY - 4, 400, true), (BUFFERS, 400, true)], S16),
        ("no length", &[(BUFFERS, 0, true), (BUFFERS, 400, true)], S16),
    ];
    for (what, entries, format) in wrong {
        let guest = speaker();
        guest.set_up(OUT, entries, format);
        guest.control(OUT, RUN);
        assert_eq!((guest.status(OUT), guest.read8(0x100) & 2), (DESE, 0), "{what}");
        guest.pass(50 * MS);
        assert_eq!(guest.link_position(OUT), 0);
    }
}

#[test]
fn memory_that_goes_away_is_silence_and_a_fifo_error() {
    let guest = speaker();
    let sound = two_halves(&guest, OUT);
    guest.control(OUT, RUN);
    guest.pass(5 * MS);
    guest.card.request(Request::Unmap { address: 0, bytes: guest::MEMORY }).unwrap();
    guest.pass(5 * MS);
    assert_eq!(guest.status(OUT), FIFOE | BCIS);
    let heard = guest.heard_bytes();
    // The burst that was under way had been fetched.
    let fetched = 6 * 48 * 4;
    assert_eq!(heard[..fetched], sound[..fetched]);
    assert!(heard[fetched..].iter().all(|byte| *byte == 0));
    assert_eq!((heard.len(), guest.link_position(OUT)), (1920, 1920), "the position is where time says");
}

#[test]
fn after_a_long_sleep_the_position_is_where_time_says() {
    let guest = speaker();
    two_halves(&guest, OUT);
    guest.control(OUT, RUN);
    guest.pass(MS);
    guest.pass(3_000_123_457);
    let frames = 48 + 3_000_123_457 * 48_000 / 1_000_000_000_u64;
    assert_eq!(u64::from(guest.link_position(OUT)), frames % 960 * 4);
    assert_eq!(guest.status(OUT), FIFOE | BCIS);
    guest.control(OUT, 0);
    assert_eq!(guest.heard_bytes().len() as u64, frames * 4, "silence of the exact length");
}

#[test]
fn a_long_sleep_does_not_bend_the_line_of_the_position() {
    let guest = speaker();
    two_halves(&guest, OUT);
    guest.control(OUT, RUN);
    // Each sleep ends just before the end of a frame.
    let mut passed = 0;
    for _ in 0..3 {
        guest.pass(2_000_020_000);
        passed += 2_000_020_000;
        guest.pass(MS);
        passed += MS;
        assert_eq!(u64::from(guest.link_position(OUT)), passed * 48_000 / 1_000_000_000 % 960 * 4);
    }
}

#[test]
fn in_an_hour_position_and_wall_clock_stay_on_one_line() {
    let guest = guest();
    guest.start_up();
    guest.set_up(OUT, &[(BUFFERS, 1920, true), (BUFFERS + 1920, 1920, true)], S16);
    guest.control(OUT, RUN);
    // Unheard, so that nothing is kept. No step is a whole number of frames or of clocks.
    let (mut clocks, mut last, mut passed) = (0_u64, 0_u32, 0_u64);
    while passed < 3_600_000 * MS {
        guest.pass(99_999_667);
        passed += 99_999_667;
        let clock = guest.read32(0x2030);
        clocks += u64::from(clock.wrapping_sub(last));
        last = clock;
        assert_eq!(clocks, passed * 24 / 1000);
        // 500 of its clocks are a frame.
        assert_eq!(u64::from(guest.link_position(OUT)), clocks / 500 % 960 * 4, "after {passed} ns");
    }
    assert!(clocks > 20 << 32, "WALCLK has gone around 20 times");
}

/// Frames that count, those of each stream by themselves: the stream, then the number.
#[derive(Default)]
struct Counting([u32; 8]);

fn counted(stream: u32, number: u32) -> [u8; 4] {
    (stream << 24 | number).to_le_bytes()
}

impl Sources for Counting {
    fn capture(&mut self, stream: u32, _format: StreamFormat, into: &mut [u8]) -> usize {
        let next = &mut self.0[stream as usize];
        for frame in into.chunks_exact_mut(4) {
            *next += 1;
            frame.copy_from_slice(&counted(stream, *next));
        }
        into.len()
    }

    /// As a microphone whose clock goes 500 ppm slower would have it.
    fn take_rates(&mut self) -> Vec<(u32, u32)> {
        vec![(1, 1_000_500_000)]
    }
}

/// A sound system's device has a clock of its own, which streams of other cards follow.
#[test]
fn neither_a_sink_nor_a_source_bends_the_line_of_the_position() {
    let guest = Guest::new(&[None], Box::new(Counting::default()));
    guest.start_up();
    guest.connect(DAC);
    guest.connect(ADC);
    for index in [0, OUT] {
        two_halves(&guest, index);
        guest.control(index, RUN);
    }
    for step in 1..=2000 {
        guest.pass(10 * MS);
        for index in [0, OUT] {
            assert_eq!(u64::from(guest.link_position(index)), step * 480 % 960 * 4, "{step} of {index}");
        }
        let heard = guest.heard_at(&[(0, 1_000_500_000), (1, 999_500_000)]);
        assert_eq!(heard.iter().map(|(.., bytes)| bytes.len()).sum::<usize>(), 1920, "{step}");
    }
}

/// Of `--render 4 --capture 4`: eight streams with eight tags, let go by one write of SSYNC.
#[test]
fn eight_streams_at_once_are_each_heard_or_captured_by_their_endpoint() {
    let tree = TreeConfig { render: 4, capture: 4, channels: 2, bits_32: true };
    let config = Config { tree, loopback: vec![None; 4], amplifiers: false };
    let guest = Guest::of(config, Box::new(Counting::default()));
    guest.start_up();
    let buffer = |index: u64| BUFFERS + 0x1000 * index;
    // Descriptors, endpoints and tags have no order in common, and tags of a direction differ by their upper
    // bits.
    let endpoint = |index: u64| if index < 4 { 4 + (index + 1) % 4 } else { 7 - index };
    let tag = |index: u64| 1 + index % 4 * 4 + index / 4;
    let sounds: Vec<Vec<u8>> = ramp(8 * 3840).chunks(3840).map(<[u8]>::to_vec).collect();
    guest.write32(0x38, 0xFF);
    for index in 0..8 {
        guest.command(2 + 2 * u32::try_from(endpoint(index)).unwrap(), 0x70600 + tag(index) as u32 * 16);
        if index >= OUT {
            guest.store(buffer(index), &sounds[index as usize]);
        }
        guest.set_up(index, &[(buffer(index), 1920, true), (buffer(index) + 1920, 1920, true)], S16);
        guest.write(0x82 + 0x20 * index, [tag(index) as u8 * 16]);
        guest.control(index, RUN);
        guest.pass(MS);
    }
    guest.write32(0x38, 0);
    guest.pass_slowly(15 * MS);
    for index in 0..8 {
        assert_eq!((guest.link_position(index), guest.status(index)), (15 * 48 * 4, BCIS), "{index}");
        guest.control(index, 0);
    }
    for index in 0..OUT {
        let stream = endpoint(index) as u32;
        let frames: Vec<u8> = (1..=15 * 48).flat_map(|number| counted(stream, number)).collect();
        assert!(guest.load(buffer(index), 15 * 48 * 4) == frames, "input {index}");
    }
    let mut heard = vec![Vec::new(); 4];
    for (stream, _, bytes) in guest.heard() {
        heard[stream as usize].extend(bytes);
    }
    for index in OUT..8 {
        let (heard, sound) = (&heard[endpoint(index) as usize], &sounds[index as usize]);
        assert!(heard[..] == sound[..15 * 48 * 4], "output {index}: {} bytes", heard.len());
    }
}

#[test]
fn list_of_256_entries_is_a_ring_and_one_that_leaves_memory_is_none() {
    let guest = speaker();
    let sound = ramp(1024);
    guest.store(BUFFERS, &sound);
    // A frame each, those behind each other in memory not in the list; IOC is in the last alone.
    let entries: Vec<guest::Entry> =
        (0..256).map(|at| (BUFFERS + 4 * (at * 7 % 256), 4, at == 255)).collect();
    let ring: Vec<u8> =
        entries.iter().flat_map(|(at, ..)| &sound[(at - BUFFERS) as usize..][..4]).copied().collect();
    guest.set_up(OUT, &entries, S16);
    let list = guest::MEMORY - 4096;
    guest.list(list, &entries);
    guest.write32(0x118, list as u32);
    guest.control(OUT, RUN);
    guest.pass_slowly(5_333_333);
    assert_eq!((guest.link_position(OUT), guest.status(OUT)), (255 * 4, 0));
    guest.pass(1);
    assert_eq!((guest.link_position(OUT), guest.status(OUT)), (0, BCIS));
    guest.pass_slowly(5_333_334);
    guest.control(OUT, 0);
    assert!(guest.heard_bytes() == [&ring[..], &ring].concat());

    // Eight entries are left of memory, and SDLVI asks for a ninth.
    guest.write32(0x118, guest::MEMORY as u32 - 128);
    guest.write(0x10C, [8, 0]);
    guest.write32(0x108, 8 * 4);
    guest.control(OUT, RUN);
    assert_eq!((guest.status(OUT) & DESE, guest.read8(0x100) & RUN), (DESE, 0));
    guest.write(0x10C, [7, 0]);
    guest.write(0x103, [DESE]);
    guest.control(OUT, RUN);
    assert_eq!((guest.status(OUT) & DESE, guest.read8(0x100) & RUN), (0, RUN));
}

#[test]
fn what_is_recorded_is_in_memory_when_the_position_has_passed_it() {
    let guest = Guest::new(&[None], Box::new(Counting::default()));
    guest.start_up();
    guest.connect(ADC);
    guest.set_up(0, &[(BUFFERS, 1920, true), (BUFFERS + 1920, 1920, true)], S16);
    guest.control(0, RUN | IOCE);
    for _ in 0..7 {
        guest.pass(777_777);
        let passed = guest.link_position(0) / 4;
        assert_ne!(passed, 0);
        let stored = guest.load(BUFFERS, passed as usize * 4);
        let numbers: Vec<u32> =
            stored.chunks_exact(4).map(|frame| u32::from_le_bytes(frame.try_into().unwrap())).collect();
        assert_eq!(numbers, (1..=passed).map(|number| 1 << 24 | number).collect::<Vec<u32>>());
    }
    guest.pass(5 * MS);
    assert_eq!(guest.status(0), BCIS);
}

#[test]
fn a_microphone_hears_what_the_speaker_plays() {
    let guest = Guest::new(&[Some(0)], Box::new(NoSources));
    guest.start_up();
    guest.connect(DAC);
    guest.connect(ADC);
    let sound = two_halves(&guest, OUT);
    guest.control(OUT, RUN);
    guest.set_up(0, &[(BUFFERS + 0x10000, 38_400, false), (BUFFERS + 0x20000, 38_400, false)], S16);
    guest.control(0, RUN);
    guest.pass_slowly(100 * MS);
    guest.control(0, 0);
    let recorded = guest.load(BUFFERS + 0x10000, 19_200);
    let begin = recorded.iter().position(|byte| *byte != 0).unwrap() / 4 * 4;
    assert!(begin <= 3 * 48 * 4, "{begin}");
    let expected: Vec<u8> = sound.iter().copied().cycle().take(recorded.len() - begin).collect();
    let at = sound.chunks(4).position(|frame| frame == &recorded[begin..begin + 4]).unwrap() * 4;
    let turned: Vec<u8> = expected.iter().copied().cycle().skip(at).take(expected.len()).collect();
    assert!(at < 96 * 4, "{at}");
    assert_eq!(recorded[begin..begin + 3000], turned[..3000]);
}

#[test]
fn nobody_hears_a_stream_whose_tag_no_converter_has() {
    let guest = guest();
    guest.start_up();
    two_halves(&guest, OUT);
    guest.control(OUT, RUN);
    guest.pass(10 * MS);
    assert_eq!((guest.link_position(OUT), guest.status(OUT)), (1920, BCIS), "it moves all the same");
    assert!(guest.heard().is_empty());
    guest.connect(DAC);
    guest.pass(10 * MS);
    assert!(!guest.heard_bytes().is_empty(), "from now on it is heard");
}

#[test]
fn formats_are_those_of_the_specification() {
    use ringwave_hda::stream::stream_format;
    let format = |sample, channels, rate| Some(StreamFormat { sample, channels, rate });
    for (register, expected) in [
        (0x0011, format(SampleFormat::S16, 2, 48_000)),
        (0x4011, format(SampleFormat::S16, 2, 44_100)),
        (0x1837, format(SampleFormat::S24In32, 8, 192_000)),
        (0x0521, format(SampleFormat::S24In32, 2, 8_000)),
        (0x4340, format(SampleFormat::S32, 1, 11_025)),
        (0x0011 | 1 << 15, None),
        (0x0001, None),
        (0x0051, None),
        (0x0018, None),
        (0x0711, None),
        (0x2011, None),
    ] {
        assert_eq!(stream_format(register), expected, "{register:#06x}");
    }
}

/// `--amplifiers`: a verb is heard from its frame on, each channel by its own side; a muted one is silence.
#[test]
fn with_amplifiers_what_is_heard_is_what_they_make_of_it() {
    let tree = TreeConfig { render: 1, capture: 1, channels: 4, bits_32: true };
    let config = Config { tree, loopback: vec![None], amplifiers: true };
    let guest = Guest::of(config, Box::new(NoSources));
    guest.start_up();
    // Two converters: channels 0 and 1, channels 2 and 3.
    guest.command(2, 0x70610);
    guest.command(3, 0x70612);
    guest.store(BUFFERS, &1000_i16.to_le_bytes().repeat(4 * 480));
    guest.set_up(OUT, &[(BUFFERS, 3840, false)], 0x0013);
    // Left of the first at -20 dB before it runs.
    guest.command(2, 0x3_A000 + 54);
    guest.control(OUT, RUN);
    guest.pass_slowly(MS);
    guest.command(3, 0x3_9080 + 74);
    guest.pass_slowly(MS);
    guest.command(2, 0x3_B000 + 74);
    guest.pass_slowly(MS);
    guest.control(OUT, 0);
    let heard = guest.heard_bytes();
    let frame = |frame: usize| {
        let samples = heard[frame * 8..][..8].as_chunks().0;
        [0, 1, 2, 3].map(|channel: usize| i16::from_le_bytes(samples[channel]))
    };
    assert_eq!(heard.len(), 3 * 48 * 8);
    assert!((0..48).all(|at| frame(at) == [100, 1000, 1000, 1000]), "{:?}", frame(0));
    assert!((48..96).all(|at| frame(at) == [100, 1000, 1000, 0]), "{:?}", frame(48));
    assert!((96..144).all(|at| frame(at) == [1000, 1000, 1000, 0]), "{:?}", frame(96));
}

/// A stream that another endpoint hears goes through that one's amplifiers, and what has passed by then was
/// heard where it was.
#[test]
fn with_amplifiers_a_stream_that_changes_its_endpoint_changes_its_gain() {
    let tree = TreeConfig { render: 2, capture: 1, channels: 2, bits_32: true };
    let guest = Guest::of(Config { tree, loopback: vec![None], amplifiers: true }, Box::new(NoSources));
    guest.start_up();
    guest.command(2, 0x70610);
    guest.command(4, 0x70620);
    guest.command(4, 0x3_B000 + 54);
    guest.store(BUFFERS, &1000_i16.to_le_bytes().repeat(2 * 960));
    guest.set_up(OUT, &[(BUFFERS, 3840, false)], S16);
    guest.control(OUT, RUN);
    guest.pass_slowly(10 * MS + MS / 2);
    // By verbs: the tags change places.
    guest.command(4, 0x70610);
    guest.command(2, 0x70620);
    guest.pass_slowly(10 * MS);
    // By the descriptor: its tag is the other one.
    guest.write(0x102, [2 << 4]);
    guest.pass_slowly(10 * MS);
    guest.control(OUT, 0);
    // Endpoint, sample and frames.
    let heard: Vec<_> = guest
        .heard()
        .iter()
        .map(|(endpoint, _, bytes)| {
            let samples: Vec<i16> = bytes.as_chunks().0.iter().map(|two| i16::from_le_bytes(*two)).collect();
            assert!(samples.iter().all(|sample| *sample == samples[0]), "endpoint {endpoint}");
            (*endpoint, samples[0], samples.len() / 2)
        })
        .collect();
    assert_eq!(heard, [(0, 1000, 504), (1, 100, 480), (0, 1000, 480)]);
}

#[test]
fn with_amplifiers_a_channel_that_two_converters_take_goes_through_the_first() {
    let tree = TreeConfig { render: 1, capture: 1, channels: 4, bits_32: true };
    let guest = Guest::of(Config { tree, loopback: vec![None], amplifiers: true }, Box::new(NoSources));
    guest.start_up();
    // The first takes channels 1 and 2, the second (muted) 0 and 1; nobody takes 3.
    guest.command(2, 0x70611);
    guest.command(3, 0x70610);
    guest.command(2, 0x3_B000 + 54);
    guest.command(3, 0x3_B000 + 0x80);
    guest.store(BUFFERS, &1000_i16.to_le_bytes().repeat(4 * 480));
    guest.set_up(OUT, &[(BUFFERS, 3840, false)], 0x0013);
    guest.control(OUT, RUN);
    guest.pass(MS);
    guest.control(OUT, 0);
    let heard: Vec<i16> =
        guest.heard_bytes().as_chunks().0.iter().map(|two| i16::from_le_bytes(*two)).collect();
    assert!(
        heard.len() == 4 * 48 && heard.chunks(4).all(|frame| frame == [0, 100, 100, 1000]),
        "{:?}",
        &heard[..4]
    );
}

/// Without the option what is heard does not depend on the guest's mixer.
#[test]
fn without_amplifiers_what_is_heard_is_what_lies_in_the_ring() {
    let guest = speaker();
    let sound = two_halves(&guest, OUT);
    guest.command(DAC, 0x3_0000 | 0xB000 | 0x80);
    guest.control(OUT, RUN);
    guest.pass_slowly(10 * MS);
    guest.control(OUT, 0);
    assert_eq!(guest.heard_bytes(), &sound[..1920]);
}

/// What is captured goes through the amplifier of its converter.
#[test]
fn with_amplifiers_a_muted_microphone_captures_silence() {
    let tree = TreeConfig { render: 1, capture: 1, channels: 2, bits_32: true };
    let config = Config { tree, loopback: vec![Some(0)], amplifiers: true };
    let guest = Guest::of(config, Box::new(NoSources));
    guest.start_up();
    guest.connect(DAC);
    guest.command(ADC, 0x70620);
    two_halves(&guest, OUT);
    guest.control(OUT, RUN);
    guest.set_up(0, &[(BUFFERS + 0x4000, 3840, false)], S16);
    guest.write32(0x80, 2 << 20);
    guest.command(ADC, 0x3_6080 + 74);
    guest.control(0, RUN);
    guest.pass_slowly(10 * MS);
    guest.control(0, 0);
    let captured = guest.load(BUFFERS + 0x4000, 1920);
    let samples: Vec<i16> = captured.as_chunks().0.iter().map(|two| i16::from_le_bytes(*two)).collect();
    assert!(samples.iter().step_by(2).all(|left| *left == 0), "the left one is muted");
    assert!(samples.iter().skip(1).step_by(2).any(|right| *right != 0), "the right one is not");
}

proptest! {
    /// A list of any entries, also such as end within a frame, is a ring of bytes: it is played as such, and
    /// every end with IOC is told within 1/8 ms, at the end of its frame.
    #[test]
    fn any_list_is_a_ring_of_bytes(
        lengths in proptest::collection::vec((1..3000_u32, any::<bool>(), 0..5_u64), 2..40),
        steps in proptest::collection::vec(1..3_000_000_u64, 1..40),
        format in prop::sample::select(vec![(S16, 4_u64, 48_000_u64), (0x4023, 16, 44_100), (0x0315, 12, 12_000), (0x1840, 4, 192_000)]),
    ) {
        let guest = speaker();
        let (register, frame_bytes, rate) = format;
        let mut at = BUFFERS;
        let mut entries = Vec::new();
        for (bytes, ioc, gap) in lengths {
            entries.push((at, bytes, ioc));
            at += u64::from(bytes) + gap;
        }
        let all = ramp(usize::try_from(at - BUFFERS).unwrap());
        guest.store(BUFFERS, &all);
        let ring: Vec<u8> = entries.iter().flat_map(|(at, bytes, _)| {
            let from = usize::try_from(at - BUFFERS).unwrap();
            all[from..from + *bytes as usize].to_vec()
        }).collect();
        guest.set_up(OUT, &entries, register);
        guest.control(OUT, RUN);
        if ringwave_hda::stream::stream_format(register).is_none() || (ring.len() as u64) < frame_bytes {
            prop_assert_eq!(guest.status(OUT), DESE);
            return Ok(());
        }
        let mut passed = 0;
        for step in steps {
            guest.pass(step);
            passed += step;
            let frames = passed * rate / 1_000_000_000;
            let position = frames * frame_bytes % ring.len() as u64;
            prop_assert_eq!(u64::from(guest.link_position(OUT)), position);
        }
        guest.control(OUT, 0);
        let heard = guest.heard_bytes();
        let frames = passed * rate / 1_000_000_000;
        prop_assert_eq!(heard.len() as u64, frames * frame_bytes);
        prop_assert!(heard.iter().eq(ring.iter().cycle().take(heard.len())));
        let ioc_passed = entries.iter().scan(0_u64, |end, entry| { *end += u64::from(entry.1); Some((*end, entry.2)) })
            .any(|(end, ioc)| ioc && end <= (frames * frame_bytes).saturating_sub(rate / 8000 * frame_bytes));
        prop_assert!(!ioc_passed || guest.status(OUT) & BCIS != 0);
    }
}
