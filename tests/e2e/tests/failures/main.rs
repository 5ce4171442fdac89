//! What goes wrong in a real machine: each time what the guest saw and what the card's log said.
//! `qemu-scripts/test` runs these (`cargo test -- --ignored`): they need what `qemu-scripts/setup` sets up
//! and what `qemu-scripts/lib/build.sh` builds.
//!
//! The guest is `tests/bareguest`, which drives a card without its driver. Each fault is written once and
//! tried with the Ringwave card and with HD Audio; of HD Audio some in `test`, the rest in `--long`. One test
//! is the driver's.

mod fixture;
mod gone;
mod heard;
mod host;
mod memory;
mod resets;

use std::time::Duration;

use ringwave_e2e::bare::pattern;
use ringwave_runner::{
    guest_log::GuestLog,
    machine::{Machine, MachineOptions, Outcome, Sharing, make_volume},
};

use fixture::{Fixture, RINGWAVE, warnings};
use heard::assert_heard;

/// A test of each of these faults with this card.
macro_rules! faults_of {
    ($card:ident: $($module:ident::$fault:ident)*) => {$(
        #[test]
        #[ignore = "boots QEMU: run qemu-scripts/test"]
        fn $fault() {
            crate::$module::$fault(&crate::fixture::$card);
        }
    )*};
}

mod ringwave {
    faults_of! { RINGWAVE:
        gone::a_guest_outlives_the_card
        gone::the_card_outlives_a_machine
        gone::a_card_that_is_ended_does_not_take_the_machine_along
        gone::who_is_stopped_for_a_while_goes_on
        resets::a_machine_that_is_reset_while_it_plays_finds_a_fresh_card
        resets::a_function_level_reset_while_it_plays_makes_a_fresh_card
        resets::a_thousand_starts_and_stops_leave_nothing_behind
        memory::every_bad_table_is_refused_by_name_and_the_next_good_one_plays
        memory::memory_that_is_not_shared_is_named
        memory::a_card_that_slept_while_it_played_goes_on_where_it_was
        memory::without_bus_mastering_silence_is_played_and_counted
        memory::messages_arrive_where_they_were_last_sent_to
        host::a_full_disk_is_said_and_the_guest_goes_on
        host::the_control_socket_answers_while_it_plays
    }
}

mod hda {
    faults_of! { HDA:
        gone::a_guest_outlives_the_card
        gone::the_card_outlives_a_machine
        resets::a_function_level_reset_while_it_plays_makes_a_fresh_card
        memory::memory_that_is_not_shared_is_named
        host::a_full_disk_is_said_and_the_guest_goes_on
    }
}

mod in_long_hda {
    faults_of! { HDA:
        gone::a_card_that_is_ended_does_not_take_the_machine_along
        gone::who_is_stopped_for_a_while_goes_on
        resets::a_machine_that_is_reset_while_it_plays_finds_a_fresh_card
        resets::a_thousand_starts_and_stops_leave_nothing_behind
        memory::every_bad_table_is_refused_by_name_and_the_next_good_one_plays
        memory::a_card_that_slept_while_it_played_goes_on_where_it_was
        memory::without_bus_mastering_silence_is_played_and_counted
        memory::messages_arrive_where_they_were_last_sent_to
        host::the_control_socket_answers_while_it_plays
    }
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn the_bare_card_plays_bit_exact_in_both_layouts() {
    let fixture = Fixture::new(&RINGWAVE);
    let mut server = fixture.server("heard");
    for (number, layout) in [(1, "contiguous"), (2, "scatter-gather")] {
        let config = format!("scenario=play\nlayout={layout}\nframes=10007\nseed={number}");
        fixture.content(&mut server, &config, MachineOptions::default());
        assert_heard(&RINGWAVE, &server.session_wav(number), 48_000, &pattern(number, 10_007));
    }
    assert_eq!(warnings(&server), Vec::<String>::new());
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn the_driver_names_the_option_that_is_missing() {
    for sharing in [Sharing::Off, Sharing::NoBackend] {
        let fixture = Fixture::new(&RINGWAVE);
        let server = fixture.server("heard");
        let wav = fixture.folder().join("in.wav");
        let spec = hound::WavSpec {
            channels: 2,
            sample_rate: 48_000,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut writer = hound::WavWriter::create(&wav, spec).expect("a WAV file");
        pattern(1, 4_800)
            .into_iter()
            .try_for_each(|sample| writer.write_sample(sample))
            .and_then(|()| writer.finalize())
            .expect("a WAV file is written");
        make_volume(&fixture.artefacts, fixture.folder(), &wav, "wav=MUSIC.WAV\nbuffer_ms=100\n")
            .expect("a volume");
        let options = MachineOptions { sharing, ..MachineOptions::default() };
        let mut machine = Machine::boot_with(&fixture.artefacts, fixture.folder(), &server.socket(), options)
            .expect("QEMU starts");
        let outcome = machine.wait(Duration::from_mins(10), || Ok(())).expect("the guest ends");
        let guest = GuestLog::parse(&machine.guest_log());
        eprintln!("{:#?}\n{:#?}\n{}", guest.driver, guest.violations, server.log());
        assert_eq!(outcome, Some(Outcome::Failed), "{sharing:?}: the device did not start");
        let named = guest.driver.iter().filter(|line| line.contains("share=on")).count();
        assert_eq!(named, 1, "{sharing:?}: the driver says once what is missing: {:#?}", guest.driver);
        assert!(!server.session_wav(1).exists(), "{sharing:?}: nothing was played");
    }
}
