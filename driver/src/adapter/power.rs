//! Power management of the adapter. PortCls has paused the streams before it takes the card down, and starts
//! them again after it came back; what a card forgot meanwhile, a stream gives it at its next RUN, and
//! volumes and the rest are given here. WAVERT.md 1.4.

use core::ffi::c_void;

use nt::NtResult;
use nt::sys::{_DEVICE_POWER_STATE::PowerDeviceD0, DEVICE_POWER_STATE};
use portcls_sys::interfaces::{
    AdapterPowerManagement, AdapterPowerManagement2, AdapterPowerManagement3, PC_EXIT_LATENCY, POWER_STATE,
    SYSTEM_POWER_STATE,
};

use super::Adapter;
use crate::hw::STREAMS_MAX;

impl AdapterPowerManagement for Adapter {
    fn power_change_state(&self, state: POWER_STATE) {
        self.set_power(state.cast_signed());
    }

    /// Any state is fine.
    fn query_power_change_state(&self, _state: POWER_STATE) -> NtResult {
        Ok(())
    }

    /// The bus driver's capabilities stand.
    fn query_device_capabilities(&self, _capabilities: *mut c_void) -> NtResult {
        Ok(())
    }
}

impl AdapterPowerManagement2 for Adapter {
    fn power_change_state2(&self, device: DEVICE_POWER_STATE, _system: SYSTEM_POWER_STATE) {
        self.set_power(device);
    }
}

impl AdapterPowerManagement3 for Adapter {
    fn power_change_state3(
        &self,
        device: DEVICE_POWER_STATE,
        _system: SYSTEM_POWER_STATE,
        _exit_latency: PC_EXIT_LATENCY,
    ) {
        self.set_power(device);
    }

    /// The card comes back at once from any D3.
    fn d3_exit_latency_changed(&self, _exit_latency: PC_EXIT_LATENCY) -> NtResult {
        Ok(())
    }
}

impl Adapter {
    /// The device goes to, or has come to, a D-state. Outside of D0 no register is touched. A card that comes
    /// back as another one stays dead.
    fn set_power(&self, state: DEVICE_POWER_STATE) {
        log::info!("power: D{}", state.saturating_sub(PowerDeviceD0));
        let on = state == PowerDeviceD0;
        let same = self.card().set_power(on);
        if !on {
            // Without power it says nothing that a look would find.
            self.dpc.context().switch().cancel();
        }
        if !same || !on {
            return;
        }
        // Switched off before D3, and only now is there a service routine that looks at the card.
        if let Some(Err(status)) = self.granted().map(|granted| self.card().enable_interrupts(granted)) {
            log::error!("the card does not work again after D3: {status:#010x}");
            return;
        }
        self.restore_controls();
        self.streams().on_power();
        // What happened meanwhile raised no interrupt (DATASHEET 2.1): look as if one had come.
        self.queue_dpc();
    }

    /// Gives the card the volumes of all streams again, and what it is to tell of their jacks.
    fn restore_controls(&self) {
        let card = self.card();
        for endpoint in (0..STREAMS_MAX).map_while(|stream| card.endpoint(stream)) {
            if endpoint.limits.volume_min.is_some() {
                self.mixer().restore(card, endpoint.stream);
            }
            if endpoint.limits.jack {
                card.watch_jack(endpoint.stream);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use core::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::adapter::jacks::JackListener;
    use crate::hw::fake::{FakeCard, RecordedCall};
    use nt::interrupt::Granted;
    use nt::sys::_DEVICE_POWER_STATE::PowerDeviceD3;

    #[test]
    fn a_card_that_is_awake_again_may_interrupt_and_knows_its_volumes() {
        let card = FakeCard::default();
        let adapter = Adapter::try_new(core::ptr::null_mut(), Box::new(card.clone())).unwrap();
        // SAFETY: the fakes' interrupt, disconnected with the adapter.
        unsafe { adapter.connect(core::ptr::null_mut()) }.unwrap();
        adapter.power_change_state2(PowerDeviceD3, 0);
        assert!(card.inspect(|inside| inside.asleep && inside.interrupts.is_none()));
        assert!(adapter.mixer().set_volume(adapter.card(), 1, 0, -65_536), "remembered without power");
        assert_eq!(card.take_calls(), []);
        adapter.power_change_state2(PowerDeviceD0, 0);
        assert_eq!(card.inspect(|inside| inside.interrupts), Some(Granted::Messages(1)));
        let calls = card.take_calls();
        assert!(
            calls.contains(&RecordedCall::Volume(1, 0, -65_536))
                && calls.contains(&RecordedCall::WatchJack(1))
        );
    }

    /// A jack's listener that counts how often it looks.
    #[derive(Default)]
    struct Looks(AtomicU32);

    impl JackListener for Looks {
        fn jack_may_have_changed(&self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_jack_that_was_pulled_without_power_is_seen_after_d0() {
        static LOOKS: Looks = Looks(AtomicU32::new(0));
        let card = FakeCard::default();
        let adapter = Adapter::try_new(core::ptr::null_mut(), Box::new(card.clone())).unwrap();
        // SAFETY: a static.
        unsafe { adapter.jacks().listen(1, &LOOKS) };
        adapter.power_change_state2(PowerDeviceD3, 0);
        // The card raises no interrupt for it, now or later (DATASHEET 5.9).
        card.change(|inside| inside.unplugged = true);
        nt::host::run_dpcs();
        assert_eq!(LOOKS.0.load(Ordering::Relaxed), 0);
        adapter.power_change_state2(PowerDeviceD0, 0);
        nt::host::run_dpcs();
        assert_eq!((LOOKS.0.load(Ordering::Relaxed), adapter.card().unplugged(1)), (1, Some(true)));
        adapter.jacks().forget(1);
    }

    /// The timer that a card asks for has the DPC look, again and again; in D3 and after STOP none is set.
    #[test]
    fn a_card_that_asks_for_it_is_looked_at_without_an_interrupt() {
        static LOOKS: Looks = Looks(AtomicU32::new(0));
        let looks = || LOOKS.0.load(Ordering::Relaxed);
        let card = FakeCard::default();
        let adapter = Adapter::try_new(core::ptr::null_mut(), Box::new(card.clone())).unwrap();
        // SAFETY: a static.
        unsafe { adapter.jacks().listen(1, &LOOKS) };
        adapter.queue_dpc();
        nt::host::run_dpcs();
        assert_eq!((looks(), nt::host::timer_due_100ns()), (1, None));
        card.change(|inside| inside.next_look = Some(70_000));
        adapter.queue_dpc();
        nt::host::run_dpcs();
        for expired in 0..3 {
            assert_eq!((looks(), nt::host::timer_due_100ns()), (2 + expired, Some(70_000)));
            nt::host::expire_timers();
        }
        adapter.power_change_state2(PowerDeviceD3, 0);
        assert_eq!((nt::host::timer_due_100ns(), nt::host::timers()), (None, 1));
        adapter.jacks().forget(1);
        adapter.stop();
        assert_eq!(nt::host::timers(), 0);
        adapter.queue_dpc();
        nt::host::run_dpcs();
    }

    #[test]
    fn another_card_after_d0_is_left_alone() {
        let card = FakeCard::default();
        let adapter = Adapter::try_new(core::ptr::null_mut(), Box::new(card.clone())).unwrap();
        adapter.power_change_state2(PowerDeviceD3, 0);
        card.change(|inside| inside.exchanged = true);
        adapter.power_change_state2(PowerDeviceD0, 0);
        assert_eq!((card.take_calls(), card.inspect(|inside| inside.interrupts)), (vec![], None));
    }
}
