//! The adapter object: one per started device. It owns the card, the interrupt, the DPC and the subdevices;
//! PortCls knows it as the power manager.
//!
//! Streams and the wave miniport hold references to it and may outlive the device: after [`Adapter::stop`]
//! there is no card behind it any more, and everything fails softly.

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
use nt::{NtResult, nt_success};
use portcls_sys::imports::{
    PcUnregisterAdapterPowerManagement, StreamResource, register_adapter_power_management,
};
use portcls_sys::interfaces::{IAdapterPowerManagement3, IResourceList};
use portcls_sys::{Com, ComRef, com_class};

use crate::entry::subdevices::{Installation, Stale, Subdevices};
use crate::hw::{self, Card, MemoryRange, Resources};
use interrupt::{DpcContext, Isr};
use jacks::Jacks;
use mixer::Mixer;
use streams::Streams;

/// The interrupt, which PortCls knows as a resource of the streams. Dropped in this order: the page of
/// PCSTREAMRESOURCE_DESCRIPTOR wants a resource registered after it was made and taken back before it goes.
struct Connected {
    _resource: Option<StreamResource>,
    _interrupt: Interrupt<Isr>,
}

/// A started device.
pub struct Adapter {
    device: *mut DEVICE_OBJECT,
    /// Owns the card, and the lists of those whom it visits.
    dpc: Dpc<DpcContext>,
    mixer: Mixer,
    interrupt: SpinLock<Option<Connected>>,
    power_registered: AtomicBool,
    subdevices: SpinLock<Option<Subdevices>>,
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
    pub fn try_new(device: *mut DEVICE_OBJECT, card: Box<dyn Card>) -> NtResult<Com<Self>> {
        Com::try_new(Self {
            device,
            dpc: Dpc::try_new(DpcContext::new(card), DpcContext::on_interrupt)?,
            mixer: Mixer::try_new()?,
            interrupt: SpinLock::new(None),
            power_registered: AtomicBool::new(false),
            subdevices: SpinLock::new(None),
        })
    }

    /// StartDevice, step by step. If one fails those before it are undone. `stale` is what was registered
    /// before the device was stopped.
    ///
    /// # Safety
    /// What `installation` names is this driver's FDO, its PDO, its START request and its resources.
    /// [`stop`](Self::stop) is called before the FDO goes.
    pub unsafe fn start(installation: &Installation<'_>, stale: Stale) -> NtResult<Com<Self>> {
        // SAFETY: by contract.
        let card = unsafe { hw::probe(installation.pdo, &memory(installation.resources))? };
        let adapter = Self::try_new(installation.device, card)?;
        // SAFETY: by contract.
        let wired = unsafe { Self::wire(&adapter, installation, stale) };
        if let Err(status) = wired {
            adapter.stop();
            return Err(status);
        }
        Ok(adapter)
    }

    /// Connects the interrupt, then lets the card raise it.
    ///
    /// # Safety
    /// The FDO is being started, and `pdo` is below it.
    unsafe fn connect(&self, pdo: *mut DEVICE_OBJECT) -> NtResult {
        // SAFETY: by contract; the DPC is a part of this object, which does not move, and `stop`
        // disconnects before the card is removed.
        let interrupt = unsafe { Interrupt::connect(pdo, Isr::new(&self.dpc))? };
        match interrupt.granted() {
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
        *self.interrupt.lock() = Some(Connected { _resource: resource.ok(), _interrupt: interrupt });
        self.card().enable_interrupts(true);
        Ok(())
    }

    /// Interrupt, power management, subdevices.
    ///
    /// # Safety
    /// As [`start`](Self::start); `stop` undoes whatever was done.
    unsafe fn wire(adapter: &Com<Self>, installation: &Installation<'_>, stale: Stale) -> NtResult {
        // SAFETY: by contract.
        unsafe {
            adapter.connect(installation.pdo)?;
            register_adapter_power_management(adapter.device, &adapter.to_unknown())?;
            adapter.power_registered.store(true, Ordering::Relaxed);
            let subdevices = Subdevices::install(installation, adapter, stale)?;
            *adapter.subdevices.lock() = Some(subdevices);
        }
        Ok(())
    }

    /// The card.
    pub fn card(&self) -> &(dyn Card + 'static) {
        &*self.dpc.context().card
    }

    /// What the DPC works on.
    pub fn dpc_context(&self) -> &DpcContext {
        self.dpc.context()
    }

    /// The open streams.
    pub fn streams(&self) -> &Streams {
        &self.dpc.context().streams
    }

    /// Who listens to the jacks.
    pub fn jacks(&self) -> &Jacks {
        &self.dpc.context().jacks
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
    /// Streams may still be open; they find no card. The subdevices stay registered
    /// ([`take_subdevices`](Self::take_subdevices)): the samples unregister nothing here, and the page on PnP
    /// rebalance has it done in IAdapterPnpManagement::PnpStop. May be called again. PASSIVE_LEVEL.
    pub fn stop(&self) {
        // Taken out under its lock and put back, for jacks are stopped by waiting for DPCs.
        let subdevices = self.subdevices.lock().take();
        if let Some(mut subdevices) = subdevices {
            subdevices.stop_listening();
            *self.subdevices.lock() = Some(subdevices);
        }
        if self.power_registered.swap(false, Ordering::Relaxed) {
            // SAFETY: registered on this device, which is still there.
            let status = unsafe { PcUnregisterAdapterPowerManagement(self.device) };
            if !nt_success(status) {
                log::warn!("power management can't be unregistered: {status:#010x}");
            }
        }
        self.card().enable_interrupts(false);
        let interrupt = self.interrupt.lock().take();
        drop(interrupt);
        self.dpc.flush();
        self.card().remove();
    }

    /// What is registered with PortCls, given away. While it is here the adapter never goes, for it holds the
    /// ports, and these hold the miniports.
    pub fn take_subdevices(&self) -> Option<Subdevices> {
        self.subdevices.lock().take()
    }
}

impl Drop for Adapter {
    /// For a start that failed half-way: an adapter that ran was stopped.
    fn drop(&mut self) {
        self.stop();
    }
}

/// The memory resources as a card needs them; they come in the order of the BARs.
fn memory(resources: &ComRef<IResourceList>) -> Resources {
    let mut indices = 0..;
    Resources([(); _].map(|()| {
        let range = resources.memory(indices.next()?)?;
        Some(MemoryRange { address: range.start, bytes: usize::try_from(range.length).ok()? })
    }))
}
