//! Power management of the adapter. PortCls has paused the streams before it takes the card down, and starts them again after it
//! came back; what a card forgot meanwhile, a stream gives it at its next RUN, and volumes and the rest are given here. wavert-facts 1.4.

use core::ffi::c_void;

use nt::NtResult;
use nt::sys::{_DEVICE_POWER_STATE::PowerDeviceD0, DEVICE_POWER_STATE};
use portcls_sys::interfaces::{
    AdapterPowerManagement, AdapterPowerManagement2, AdapterPowerManagement3, PC_EXIT_LATENCY, POWER_STATE,
    SYSTEM_POWER_STATE,
};

use ringwave_regs::stream::STREAMS_MAX;

use super::Adapter;

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
    /// The device goes to, or has come to, a D-state. Outside of D0 no register is touched.
    fn set_power(&self, state: DEVICE_POWER_STATE) {
        let on = state == PowerDeviceD0;
        self.card().set_power(on);
        if on {
            // Kept through D3hot, but not through a reset.
            self.card().enable_interrupts(true);
            self.restore_controls();
            // What happened meanwhile raised no interrupt (DATASHEET 2.1): look as if one had come.
            self.queue_dpc();
        }
        log::info!("power: D{}", state.saturating_sub(PowerDeviceD0));
    }

    /// Gives the card the volumes of all streams again, and what it is to tell of their jacks.
    fn restore_controls(&self) {
        let (card, limits) = (self.card(), self.card().limits());
        for stream in (0..STREAMS_MAX).take_while(|stream| card.endpoint(*stream).is_some()) {
            if limits.volume {
                self.mixer().restore(card, stream);
            }
            if limits.jack {
                card.watch_jack(stream);
            }
        }
    }
}
