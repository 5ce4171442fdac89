//! The adapter object: one per started device. It owns the card, the interrupt and the DPC; PortCls knows it
//! as the power manager.
//!
//! Streams and the wave miniport hold references to it and may outlive the device: after [`Adapter::stop`]
//! there is no card behind it any more, and everything fails softly.
//!
//! | file | what |
//! |---|---|
//! | [`interrupt`] | the service routine and the DPC |
//! | [`jacks`] | which miniports the DPC calls about jacks |
//! | [`mixer`] | volume and mute of every stream |
//! | [`power`] | IAdapterPowerManagement 1 to 3 |
//! | [`streams`] | which streams of the card are open |

pub mod interrupt;
pub mod jacks;
pub mod mixer;
pub mod power;
pub mod streams;

use alloc::boxed::Box;
use core::sync::atomic::{AtomicBool, Ordering};

use nt::dpc::Dpc;
use nt::interrupt::{Granted, Interrupt};
use nt::spinlock::SpinLock;
use nt::sys::DEVICE_OBJECT;
use nt::timer::Timer;
use nt::{NtResult, nt_success};
use portcls_sys::imports::{
    PcUnregisterAdapterPowerManagement, StreamResource, register_adapter_power_management,
};
use portcls_sys::interfaces::IAdapterPowerManagement3;
use portcls_sys::{Com, com_class};

use crate::hw::Card;
use interrupt::{DpcContext, Isr};
use jacks::Jacks;
use mixer::Mixer;
use streams::Streams;

/// The interrupt, which PortCls knows as a resource of the streams. Dropped in this order: the page of
/// PCSTREAMRESOURCE_DESCRIPTOR wants a resource registered after it was made and taken back before it goes.
struct Connected {
    _resource: Option<StreamResource>,
    interrupt: Interrupt<Isr>,
}

/// A started device.
pub struct Adapter {
    device: *mut DEVICE_OBJECT,
    /// Owns the card, and the lists of the streams and listeners that it calls.
    dpc: Dpc<Timer<DpcContext>>,
    mixer: Mixer,
    interrupt: SpinLock<Option<Connected>>,
    power_registered: AtomicBool,
}

// SAFETY: the device object is handed to PortCls only, which takes it from any thread; all else is Send and
// Sync itself.
unsafe impl Send for Adapter {}
// SAFETY: as above.
unsafe impl Sync for Adapter {}

com_class! {
    Adapter {
        0 => IAdapterPowerManagement3,
    }
}

impl Adapter {
    /// An adapter around a card: no interrupt, no subdevices yet.
    // Not inlined: what it has on the stack is gone when the rest of the start goes on.
    #[inline(never)]
    pub fn try_new(device: *mut DEVICE_OBJECT, card: Box<dyn Card>) -> NtResult<Com<Self>> {
        let dpc = Dpc::try_new(Timer::try_new(DpcContext::new(card))?, DpcContext::on_interrupt)?;
        Com::try_new(Self {
            device,
            dpc,
            mixer: Mixer::try_new()?,
            interrupt: SpinLock::new(None),
            power_registered: AtomicBool::new(false),
        })
    }

    /// Connects the interrupt, then lets the card work and raise it.
    ///
    /// # Safety
    /// The FDO is being started, and `pdo` is below it. [`stop`](Self::stop) is called before the FDO goes.
    pub unsafe fn connect(&self, pdo: *mut DEVICE_OBJECT) -> NtResult {
        // SAFETY: by contract; the DPC is a part of this object, which does not move, and `stop`
        // disconnects before the card is removed.
        let interrupt = unsafe { Interrupt::connect(pdo, Isr::new(&self.dpc))? };
        let granted = interrupt.granted();
        match granted {
            Granted::Messages(messages) => log::info!("interrupt: {messages} message(s)"),
            Granted::Line => log::info!("interrupt: a line, for want of messages"),
        }
        let (version, context) = interrupt.context();
        // SAFETY: connected, and `Connected` disconnects it after the resource was taken back.
        let resource = unsafe { StreamResource::interrupt(pdo, version, context) };
        if let Err(status) = resource {
            // Windows can't keep other work away from it, then; that is no reason for silence.
            log::warn!("the interrupt is not known as a stream resource: {status:#010x}");
        }
        *self.interrupt.lock() = Some(Connected { _resource: resource.ok(), interrupt });
        self.card().enable_interrupts(granted)
    }

    /// What the system granted, while an interrupt is connected.
    fn granted(&self) -> Option<Granted> {
        self.interrupt.lock().as_ref().map(|connected| connected.interrupt.granted())
    }

    /// Registers the adapter as the power manager of its device.
    ///
    /// # Safety
    /// The FDO is being started. [`stop`](Self::stop) is called before it goes.
    pub unsafe fn register_power(adapter: &Com<Self>) -> NtResult {
        // SAFETY: by contract.
        unsafe { register_adapter_power_management(adapter.device, &adapter.to_unknown())? };
        adapter.power_registered.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// The card.
    pub fn card(&self) -> &(dyn Card + 'static) {
        &*self.context().card
    }

    /// What the DPC works on.
    fn context(&self) -> &DpcContext {
        self.dpc.context().routine()
    }

    /// The DPC, at once.
    #[cfg(test)]
    pub fn on_interrupt(&self) {
        DpcContext::on_interrupt(self.dpc.context());
    }

    /// The open streams.
    pub fn streams(&self) -> &Streams {
        &self.context().streams
    }

    /// The listeners of the jacks.
    pub fn jacks(&self) -> &Jacks {
        &self.context().jacks
    }

    /// Volume and mute.
    pub const fn mixer(&self) -> &Mixer {
        &self.mixer
    }

    /// Has the DPC look at everything, as after an interrupt. PASSIVE_LEVEL.
    pub fn queue_dpc(&self) {
        // KeInsertQueueDpc's page once said any level and now says DISPATCH_LEVEL at least; a spin lock takes
        // us there, and that it is this one means nothing.
        let _at_dispatch = self.interrupt.lock();
        self.dpc.queue();
    }

    /// Waits until every DPC that is queued or runs is done. PASSIVE_LEVEL.
    pub fn flush_dpcs(&self) {
        self.dpc.flush();
    }

    /// The device stops, goes or is gone: DMA and interrupts end, and nobody reaches the card any more.
    /// Streams may still be open; they find no card. May be called again. PASSIVE_LEVEL.
    pub fn stop(&self) {
        if self.power_registered.swap(false, Ordering::Relaxed) {
            // SAFETY: registered on this device, which is still there.
            let status = unsafe { PcUnregisterAdapterPowerManagement(self.device) };
            if !nt_success(status) {
                log::warn!("power management can't be unregistered: {status:#010x}");
            }
        }
        self.card().disable_interrupts();
        let interrupt = self.interrupt.lock().take();
        drop(interrupt);
        // Before the card goes, which the timer's routine reaches. What still runs can't set it again.
        self.dpc.context().close();
        self.dpc.flush();
        self.card().remove();
    }
}

impl Drop for Adapter {
    /// For a start that failed half-way: an adapter that ran was stopped.
    fn drop(&mut self) {
        self.stop();
    }
}
