//! The WaveRT miniport: describes the filter, finds common formats, makes streams.

use core::sync::atomic::{AtomicBool, Ordering};

use nt::status::{
    STATUS_DEVICE_NOT_READY, STATUS_INVALID_PARAMETER, STATUS_NO_MATCH, STATUS_NOT_IMPLEMENTED,
    STATUS_NOT_SUPPORTED,
};
use nt::sys::{BOOLEAN, DEVICE_DESCRIPTION, PCIBus};
use nt::{NTSTATUS, NtResult};
use portcls_sys::com::params::UnknownIn;
use portcls_sys::interfaces::{
    IMiniportAudioSignalProcessing, IMiniportPnpNotify, IMiniportWaveRT, IMiniportWaveRTStream,
    IMiniportWaveRTStreamNotification, IPortWaveRT, IPortWaveRTStream, IResourceList, Miniport,
    MiniportAudioSignalProcessing, MiniportPnpNotify, MiniportWaveRT, OutFormat, OutModes,
};
use portcls_sys::ks::{KSDATAFORMAT, KSDATAFORMAT_WAVEFORMATEX_BYTES, KSDATARANGE};
use portcls_sys::pc::PCFILTER_DESCRIPTOR;
use portcls_sys::{Com, ComIn, ComOut, GUID, In, Out, com_class};

use super::descriptors::{WaveFilter, bridge_pin, host_pin};
use super::format::{FormatError, Prefix};
use super::modes;
use super::ranges;
use super::stream::{Stream, Tracing};
use crate::adapter::Adapter;
use crate::hw::Endpoint;
use crate::hw::format::AudioFormat;
use crate::registry::RegistryConfig;

/// The miniport of the wave filter.
pub struct WaveMiniport {
    adapter: Com<Adapter>,
    endpoint: Endpoint,
    filter: WaveFilter,
    /// What the registry asks for. It was read before there was a filter to describe.
    config: RegistryConfig,
    tracing: Tracing,
    /// The device has stopped for a rebalance: the filter that follows is another miniport's.
    stopped: AtomicBool,
}

com_class! {
    WaveMiniport {
        0 => IMiniportWaveRT,
        1 => IMiniportAudioSignalProcessing,
        2 => IMiniportPnpNotify,
    }
}

impl WaveMiniport {
    /// The miniport of an endpoint of `adapter`, which describes `filter`.
    pub fn try_new(
        adapter: Com<Adapter>,
        endpoint: Endpoint,
        config: RegistryConfig,
        filter: WaveFilter,
    ) -> NtResult<Com<Self>> {
        let (tracing, stopped) = (Tracing::default(), AtomicBool::new(false));
        Com::try_new(Self { adapter, endpoint, filter, config, tracing, stopped })
    }

    /// Where its port traces events.
    pub const fn tracing(&self) -> &Tracing {
        &self.tracing
    }

    /// What it is the miniport of.
    pub const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The format that it proposes.
    pub fn default_format(&self) -> Option<AudioFormat> {
        self.config.default_format.of(self.endpoint.direction, self.endpoint.can)
    }

    /// The signal-processing modes that its host pin lists.
    pub const fn modes(&self) -> &'static [GUID] {
        modes::listed(self.endpoint.direction, self.config.both_modes)
    }
}

impl From<FormatError> for NTSTATUS {
    fn from(error: FormatError) -> Self {
        match error {
            FormatError::Malformed => STATUS_INVALID_PARAMETER,
            FormatError::NoMatch => STATUS_NO_MATCH,
            FormatError::Attributes => STATUS_NOT_SUPPORTED,
        }
    }
}

impl Miniport for WaveMiniport {
    fn get_description(&self, description: Out<'_, *const PCFILTER_DESCRIPTOR>) -> NtResult {
        description.write(&raw const self.filter.descriptor)
    }

    fn data_range_intersection(
        &self,
        pin: u32,
        client: In<'_, KSDATARANGE>,
        ours: In<'_, KSDATARANGE>,
        format: OutFormat<'_>,
    ) -> NtResult {
        if pin != host_pin(self.endpoint.direction) {
            return Err(STATUS_NOT_IMPLEMENTED);
        }
        let (client, ours) = (Prefix::of_range(&client)?, Prefix::of_range(&ours)?);
        let Endpoint { direction, can, .. } = self.endpoint;
        let channels = self.config.default_format.channels(direction, can);
        let common = ranges::intersect(client.as_slice(), ours.as_slice(), can, channels)?;
        let common = match usize::try_from(format.room()).unwrap_or(0) {
            // Room for a KSDATAFORMAT_WAVEFORMATEX and no more, as it is packed or as a client counts that
            // does not pack it. What it does not say is no match, for KS goes on to the next of our ranges
            // then, as it does not when room is lacking.
            KSDATAFORMAT_WAVEFORMATEX_BYTES | 88 => common.to_short_bytes().ok_or(STATUS_NO_MATCH)?,
            _ => common.to_bytes(),
        };
        format.write(common.as_slice())
    }
}

impl MiniportWaveRT for WaveMiniport {
    /// Called by IPort::Init. The adapter is known already, and so are its resources; of the port only its
    /// tracing is wanted.
    fn init(
        &self,
        _adapter: UnknownIn<'_>,
        _resources: ComIn<'_, IResourceList>,
        port: ComIn<'_, IPortWaveRT>,
    ) -> NtResult {
        self.tracing.open(&port);
        Ok(())
    }

    fn new_stream(
        &self,
        stream: ComOut<'_, IMiniportWaveRTStream>,
        port_stream: ComIn<'_, IPortWaveRTStream>,
        pin: u32,
        capture: BOOLEAN,
        format: In<'_, KSDATAFORMAT>,
    ) -> NtResult {
        let captures = self.endpoint.captures();
        if stream.is_null() || pin != host_pin(self.endpoint.direction) || (capture != 0) != captures {
            return Err(STATUS_INVALID_PARAMETER);
        }
        if self.stopped.load(Ordering::Acquire) {
            return Err(STATUS_DEVICE_NOT_READY);
        }
        let parsed = AudioFormat::parse(Prefix::of_format(&format)?.as_slice())?;
        // Every mode is the same here; only one that the pin does not know is refused.
        modes::check_format(&format, self.modes())?;
        let port = port_stream.require()?;
        let made = Stream::try_new(self.adapter.clone(), self.endpoint, port, parsed, self.config)?;
        made.trace_glitches(&self.tracing);
        stream.set(made.into_interface::<IMiniportWaveRTStreamNotification>().upcast())
    }

    fn get_device_description(&self, description: Out<'_, DEVICE_DESCRIPTION>) -> NtResult {
        description.write(DEVICE_DESCRIPTION {
            Master: 1,
            ScatterGather: 1,
            Dma32BitAddresses: 1,
            Dma64BitAddresses: u8::from(self.endpoint.limits.dma_highest > u64::from(u32::MAX)),
            InterfaceType: PCIBus,
            MaximumLength: u32::MAX,
            ..DEVICE_DESCRIPTION::default()
        })
    }
}

impl MiniportPnpNotify for WaveMiniport {
    /// With the device global lock held: nothing is waited for here.
    fn pnp_stop(&self) {
        self.stopped.store(true, Ordering::Release);
    }
}

impl MiniportAudioSignalProcessing for WaveMiniport {
    fn get_modes(&self, pin: u32, modes: OutModes<'_>) -> NtResult {
        if pin == bridge_pin(self.endpoint.direction) {
            return Err(STATUS_NOT_SUPPORTED);
        }
        if pin != host_pin(self.endpoint.direction) {
            return Err(STATUS_INVALID_PARAMETER);
        }
        modes.write(self.modes())
    }
}

/// A wave miniport whose filter is being registered, or is. When it is dropped (PASSIVE_LEVEL) the miniport
/// has given back its reference to the port: the port has one to the miniport, and neither would ever go.
pub struct Traced(Com<WaveMiniport>);

impl Traced {
    /// Before the port is bound to the miniport.
    pub const fn new(miniport: Com<WaveMiniport>) -> Self {
        Self(miniport)
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        self.0.tracing.close();
    }
}

#[cfg(test)]
mod tests;
