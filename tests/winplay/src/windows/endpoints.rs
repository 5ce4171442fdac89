//! The endpoints: whose each is, and the volume of those that are used.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use ringwave_winplay::card;
use ringwave_winplay::endpoint::{self, Candidate, State};
use ringwave_winplay::hresult::Hresult;
use ringwave_winplay::json::Object;
use ringwave_winplay::outcome::{Cause, Failure};
use ringwave_winplay::wave_format::Format;
use windows::Win32::Devices::DeviceAndDriverInstallation::{
    CM_Get_Device_IDW, CM_Get_Parent, CM_LOCATE_DEVNODE_NORMAL, CM_Locate_DevNodeW, CR_SUCCESS,
};
use windows::Win32::Devices::FunctionDiscovery::PKEY_Device_FriendlyName;
use windows::Win32::Foundation::PROPERTYKEY;
use windows::Win32::Media::Audio::Endpoints::IAudioEndpointVolume;
use windows::Win32::Media::Audio::{
    DEVICE_STATE, DEVICE_STATEMASK_ALL, EDataFlow, IAudioClient, IDeviceTopology, IMMDevice,
    IMMDeviceEnumerator, MMDeviceEnumerator, WAVEFORMATEX, eCapture, eConsole, eRender,
};
use windows::Win32::System::Com::StructuredStorage::PROPVARIANT;
use windows::Win32::System::Com::{CLSCTX_ALL, CoCreateInstance, CoTaskMemFree, STGM_READ};
use windows::Win32::System::Variant::{VT_BOOL, VT_LPWSTR};
use windows::core::{GUID, HSTRING, PWSTR};

use crate::lines;

/// PKEY_Devices_AudioDevice_RawProcessingSupported.
const RAW_SUPPORTED: PROPERTYKEY =
    PROPERTYKEY { fmtid: GUID::from_u128(0x8943_b373_388c_4395_b557_bc6d_baff_afdb), pid: 2 };

/// An endpoint, as its line says.
pub struct Endpoint {
    pub device: IMMDevice,
    pub flow: EDataFlow,
    pub id: String,
    pub name: Option<String>,
    pub card: Option<&'static str>,
    pub state: State,
    /// The format of shared mode.
    pub mix: Option<Format>,
    /// In units of 100 ns.
    pub default_period: i64,
    pub raw_listed: Option<bool>,
}

fn flow_name(flow: EDataFlow) -> &'static str {
    if flow == eRender { "render" } else { "capture" }
}

/// All endpoints, each with its line.
pub fn all() -> Result<Vec<Endpoint>, Failure> {
    let enumerator: IMMDeviceEnumerator =
        ask!("CoCreateInstance", CoCreateInstance(&MMDeviceEnumerator, None, CLSCTX_ALL))?;
    let mut found = Vec::new();
    for flow in [eRender, eCapture] {
        let default = ask!(
            "IMMDeviceEnumerator::GetDefaultAudioEndpoint",
            enumerator.GetDefaultAudioEndpoint(flow, eConsole)
        );
        let default = default.and_then(|device| id_of(&device)).ok();
        let list = ask!(
            "IMMDeviceEnumerator::EnumAudioEndpoints",
            enumerator.EnumAudioEndpoints(flow, DEVICE_STATE(DEVICE_STATEMASK_ALL))
        )?;
        let count = ask!("IMMDeviceCollection::GetCount", list.GetCount())?;
        for index in 0..count.min(1000) {
            let device = ask!("IMMDeviceCollection::Item", list.Item(index))?;
            found.push(describe(device, flow, default.as_deref())?);
        }
    }
    Ok(found)
}

fn id_of(device: &IMMDevice) -> Result<String, Failure> {
    Ok(taken(ask!("IMMDevice::GetId", device.GetId())?))
}

/// Writes an endpoint's line.
fn describe(device: IMMDevice, flow: EDataFlow, default: Option<&str>) -> Result<Endpoint, Failure> {
    let id = id_of(&device)?;
    let state = State::from_windows(ask!("IMMDevice::GetState", device.GetState())?.0);
    let topology = by_topology(&device);
    let hresult = match &topology {
        Ok(_) => Some(Hresult::OK),
        Err(failure) => failure.call.and_then(|(_, code)| code),
    };
    // The second way is for an endpoint whose adapter does not say, as one that is not present. *Doubt*: that
    // the parent of an endpoint's software device is the adapter was seen, and is not documented.
    let parent = || by_parent(&id).map(|path| (path, "parent"));
    let (path, by) = topology.ok().map(|path| (path, "topology")).or_else(parent).unzip();
    let card = path.as_deref().and_then(card::card);
    let name = property(&device, &PKEY_Device_FriendlyName).and_then(|value| as_text(&value));
    let raw_listed = property(&device, &RAW_SUPPORTED).and_then(|value| as_bool(&value));
    let endpoint = Endpoint { device, flow, id, name, card, state, mix: None, default_period: 0, raw_listed };
    let mut line = Object::new();
    line.set("flow", flow_name(flow)).set("id", endpoint.id.as_str()).set("name", endpoint.name.clone());
    line.set("state", endpoint.state.name()).set("default", default == Some(endpoint.id.as_str()));
    line.set("card", card).set("device", path).set("device_by", by).set_hresult("device_hresult", hresult);
    lines::line("endpoint", &line);
    Ok(endpoint)
}

/// The path of the filter that an endpoint's jack is on, as the topology tells it.
fn by_topology(device: &IMMDevice) -> Result<String, Failure> {
    let topology: IDeviceTopology =
        ask!("IMMDevice::Activate(IDeviceTopology)", device.Activate(CLSCTX_ALL, None))?;
    let connector = ask!("IDeviceTopology::GetConnector", topology.GetConnector(0))?;
    let path = ask!("IConnector::GetDeviceIdConnectedTo", connector.GetDeviceIdConnectedTo())?;
    Ok(taken(path))
}

/// The instance id of the device above the endpoint's own in the device tree.
fn by_parent(id: &str) -> Option<String> {
    let name = HSTRING::from(format!(r"SWD\MMDEVAPI\{id}"));
    let (mut node, mut parent, mut text) = (0, 0, [0; 512]);
    // SAFETY: a text that ends in NUL, two places for numbers, and a buffer with its length.
    let found = unsafe {
        CM_Locate_DevNodeW(&raw mut node, PWSTR(name.as_ptr().cast_mut()), CM_LOCATE_DEVNODE_NORMAL)
            == CR_SUCCESS
            && CM_Get_Parent(&raw mut parent, node, 0) == CR_SUCCESS
            && CM_Get_Device_IDW(parent, &mut text, 0) == CR_SUCCESS
    };
    let text = text.split(|unit| *unit == 0).next().unwrap_or_default();
    found.then(|| String::from_utf16_lossy(text))
}

/// A text that Windows allocated.
fn taken(text: PWSTR) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: it ends in NUL, is ours, and is read before it is freed.
    unsafe {
        let copy = String::from_utf16_lossy(text.as_wide());
        CoTaskMemFree(Some(text.0.cast_const().cast()));
        copy
    }
}

fn property(device: &IMMDevice, key: &PROPERTYKEY) -> Option<PROPVARIANT> {
    let store = ask!("IMMDevice::OpenPropertyStore", device.OpenPropertyStore(STGM_READ)).ok()?;
    ask!("IPropertyStore::GetValue", store.GetValue(key)).ok()
}

fn as_text(value: &PROPVARIANT) -> Option<String> {
    // SAFETY: the tag says which member it is; such a text ends in NUL and lives as long as the value.
    unsafe {
        let inner = &value.Anonymous.Anonymous;
        let text = (inner.vt == VT_LPWSTR).then(|| inner.Anonymous.pwszVal)?;
        (!text.is_null()).then(|| String::from_utf16_lossy(text.as_wide()))
    }
}

fn as_bool(value: &PROPVARIANT) -> Option<bool> {
    // SAFETY: the tag says which member it is.
    unsafe {
        let inner = &value.Anonymous.Anonymous;
        (inner.vt == VT_BOOL).then(|| inner.Anonymous.boolVal.as_bool())
    }
}

/// Takes the endpoint that was named, or the first active one of a card of ours, and writes the line that
/// says which.
pub fn choose(all: &[Endpoint], flow: EDataFlow, asked: Option<&str>) -> Result<Endpoint, Failure> {
    let of_flow: Vec<&Endpoint> = all.iter().filter(|endpoint| endpoint.flow == flow).collect();
    let candidates: Vec<Candidate<'_>> = of_flow
        .iter()
        .map(|endpoint| Candidate { id: &endpoint.id, state: endpoint.state, card: endpoint.card })
        .collect();
    let picked = endpoint::pick(&candidates, flow_name(flow), asked)?;
    let found = of_flow.get(picked).ok_or_else(|| Failure::new(Cause::NoEndpoint, "none was picked"))?;
    let mut endpoint =
        Endpoint { device: found.device.clone(), id: found.id.clone(), name: found.name.clone(), ..**found };
    let mix = mix_format(&endpoint);
    let code = match &mix {
        Ok(_) => Some(Hresult::OK),
        Err(failure) => failure.call.and_then(|(_, code)| code),
    };
    endpoint.mix = mix.ok().flatten();
    let periods = periods(&endpoint);
    endpoint.default_period = periods.map_or(0, |(default, _)| default);
    let mut line = Object::new();
    line.set("flow", flow_name(flow)).set("id", endpoint.id.as_str()).set("name", endpoint.name.clone());
    line.set("card", endpoint.card).set("asked", asked.is_some());
    line.set("verdict_on", endpoint.card.unwrap_or("not our card"));
    line.set("mix_format", endpoint.mix).set_hresult("mix_hresult", code);
    line.set("default_period", periods.map(|(default, _)| default));
    line.set("minimum_period", periods.map(|(_, minimum)| minimum)).set("raw_listed", endpoint.raw_listed);
    lines::line("chosen", &line);
    if endpoint.card.is_none() {
        lines::note(|tally| tally.not_ours = true);
    }
    Ok(endpoint)
}

fn mix_format(endpoint: &Endpoint) -> Result<Option<Format>, Failure> {
    let client: IAudioClient =
        ask!("IMMDevice::Activate(IAudioClient)", endpoint.device.Activate(CLSCTX_ALL, None))?;
    let format = ask!("IAudioClient::GetMixFormat", client.GetMixFormat())?;
    Ok(taken_format(format))
}

/// A format that Windows allocated.
fn taken_format(format: *mut WAVEFORMATEX) -> Option<Format> {
    if format.is_null() {
        return None;
    }
    // SAFETY: a WAVEFORMATEX with as many bytes behind it as it says; ours, and read before it is freed.
    unsafe {
        let size = size_of::<WAVEFORMATEX>() + usize::from((*format).cbSize);
        let read = Format::read(core::slice::from_raw_parts(format.cast_const().cast(), size));
        CoTaskMemFree(Some(format.cast_const().cast()));
        read
    }
}

fn periods(endpoint: &Endpoint) -> Option<(i64, i64)> {
    let client: IAudioClient =
        ask!("IMMDevice::Activate(IAudioClient)", endpoint.device.Activate(CLSCTX_ALL, None)).ok()?;
    let (mut default, mut minimum) = (0, 0);
    ask!(
        "IAudioClient::GetDevicePeriod",
        client.GetDevicePeriod(Some(&raw mut default), Some(&raw mut minimum))
    )
    .ok()?;
    Some((default, minimum))
}

/// The volume of an endpoint, at 0 dB and not muted as long as this value lives.
pub struct Volume {
    pub control: IAudioEndpointVolume,
    /// What it was, in decibels.
    level: f32,
    muted: bool,
    /// In decibels: the lowest, the highest, a step.
    pub range: (f32, f32, f32),
}

impl Volume {
    /// Takes the volume of an endpoint, whatever it was.
    pub fn hold(endpoint: &Endpoint) -> Result<Self, Failure> {
        let control: IAudioEndpointVolume =
            ask!("IMMDevice::Activate(IAudioEndpointVolume)", endpoint.device.Activate(CLSCTX_ALL, None))?;
        let level =
            ask!("IAudioEndpointVolume::GetMasterVolumeLevelScalar", control.GetMasterVolumeLevelScalar())?;
        let muted = ask!("IAudioEndpointVolume::GetMute", control.GetMute())?.as_bool();
        let mut range = (0.0, 0.0, 0.0);
        let (low, high, step) = (&raw mut range.0, &raw mut range.1, &raw mut range.2);
        ask!("IAudioEndpointVolume::GetVolumeRange", control.GetVolumeRange(low, high, step))?;
        let volume = Self { control, level, muted, range };
        lines::changed();
        if let Err(failure) = volume.set_full() {
            // Half of it may have been done.
            let _ = volume.restore();
            return Err(failure);
        }
        Ok(volume)
    }

    /// 0 dB, or as near as the endpoint goes, and not muted.
    pub fn set_full(&self) -> Result<(), Failure> {
        self.set_db(self.held(0.0))?;
        self.set_mute(false)
    }

    /// A level, held in the endpoint's range.
    pub fn held(&self, db: f32) -> f32 {
        db.min(self.range.1).max(self.range.0)
    }

    pub fn set_db(&self, db: f32) -> Result<(), Failure> {
        ask!(
            "IAudioEndpointVolume::SetMasterVolumeLevel",
            self.control.SetMasterVolumeLevel(db, core::ptr::null())
        )
    }

    pub fn db(&self) -> Result<f32, Failure> {
        ask!("IAudioEndpointVolume::GetMasterVolumeLevel", self.control.GetMasterVolumeLevel())
    }

    /// Muting what is muted already answers S_FALSE, which is as good.
    pub fn set_mute(&self, muted: bool) -> Result<(), Failure> {
        ask!("IAudioEndpointVolume::SetMute", self.control.SetMute(muted, core::ptr::null()))
    }

    pub fn muted(&self) -> Result<bool, Failure> {
        Ok(ask!("IAudioEndpointVolume::GetMute", self.control.GetMute())?.as_bool())
    }

    pub fn hardware(&self) -> Option<u32> {
        ask!("IAudioEndpointVolume::QueryHardwareSupport", self.control.QueryHardwareSupport()).ok()
    }

    /// Puts back what was. (Wine's levels begin outside their range.)
    pub fn restore(&self) -> Result<(), Failure> {
        self.set_db(self.held(self.level))?;
        self.set_mute(self.muted)
    }
}

/// For messages: an endpoint's name, or its id.
pub fn called(endpoint: &Endpoint) -> String {
    endpoint.name.clone().unwrap_or_else(|| endpoint.id.clone())
}
