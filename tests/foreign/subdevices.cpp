// The adapter's filters: made, registered, connected, and taken away again.
#include "topology.h"
#include "wave.h"

PAGED_SEGMENT NTSTATUS BasicSupport(PCPROPERTY_REQUEST* request) {
    bool asked = request->ValueSize == 0, fits = request->ValueSize >= sizeof(ULONG);
    request->ValueSize = sizeof(ULONG);
    if (!fits) return asked ? STATUS_BUFFER_OVERFLOW : STATUS_BUFFER_TOO_SMALL;
    *(ULONG*)request->Value = request->PropertyItem->Flags;
    return STATUS_SUCCESS;
}

PAGED_SEGMENT NTSTATUS CAdapter::RegisterControlInterface() {
    NTSTATUS status = IoRegisterDeviceInterface(m_Pdo, &GUID_DEVINTERFACE_PLAINWAVE, nullptr, &m_ControlLink);
    if (!NT_SUCCESS(status)) {
        m_ControlLink.Buffer = nullptr;
        return status;
    }
    CKey key;
    if (NT_SUCCESS(key.OpenInterface(&m_ControlLink, KEY_READ | KEY_WRITE))) {
        key.SetDword(L"CardVersion", m_Card.Read(REG_VERSION));
        key.SetDword(L"Streams", m_Card.Read(REG_STREAMS));
    }
    return IoSetDeviceInterfaceState(&m_ControlLink, TRUE);
}

// Before the port registers the filter its interface can be described: the instance is the same.
PAGED_SEGMENT NTSTATUS CAdapter::DescribeInterface(PCWSTR name, PCWSTR friendlyName) {
    UNICODE_STRING reference, link, text;
    RtlInitUnicodeString(&reference, name);
    RtlInitUnicodeString(&text, friendlyName);
    NTSTATUS status = IoRegisterDeviceInterface(m_Pdo, &KSCATEGORY_AUDIO, &reference, &link);
    if (!NT_SUCCESS(status)) return status;
    status = IoSetDeviceInterfacePropertyData(&link, &DEVPKEY_DeviceInterface_FriendlyName, LOCALE_NEUTRAL, PLUGPLAY_PROPERTY_PERSISTENT,
                                              DEVPROP_TYPE_STRING, text.Length + sizeof(WCHAR), text.Buffer);
    CKey key, endpoint;
    bool created = false;
    if (NT_SUCCESS(key.OpenInterface(&link, KEY_READ | KEY_WRITE)) &&
        NT_SUCCESS(endpoint.Create(key, L"Plainwave", REG_OPTION_NON_VOLATILE, &created)) && created)
        endpoint.SetText(L"Name", friendlyName);
    RtlFreeUnicodeString(&link);
    return status;
}

PAGED_SEGMENT NTSTATUS CAdapter::InstallSubdevice(IRP* irp, PCWSTR name, PCWSTR friendlyName, REFCLSID portClass, IUnknown* miniport,
                                                  IResourceList* resources, SUBDEVICE* subdevice) {
    if (!miniport) return STATUS_INSUFFICIENT_RESOURCES;
    NTSTATUS status = DescribeInterface(name, friendlyName);
    if (!NT_SUCCESS(status)) DbgPrint("plainwave: %ls not described (0x%x)\n", name, status);

    IPort* port = nullptr;
    status = PcNewPort(&port, portClass);
    if (NT_SUCCESS(status)) status = port->Init(m_Device, irp, miniport, static_cast<IAdapterPowerManagement*>(this), resources);
    if (NT_SUCCESS(status)) status = PcRegisterSubdevice(m_Device, (PWSTR)name, port);
    if (NT_SUCCESS(status)) {
        subdevice->Port = port;
        subdevice->Miniport = miniport;
        return STATUS_SUCCESS;
    }
    DbgPrint("plainwave: %ls not installed (0x%x)\n", name, status);
    if (port) port->Release();
    miniport->Release();
    return status;
}

PAGED_SEGMENT NTSTATUS CAdapter::Connect(CONNECTION* connection) {
    NTSTATUS status =
        PcRegisterPhysicalConnection(m_Device, connection->From->Port, connection->FromPin, connection->To->Port, connection->ToPin);
    connection->Made = NT_SUCCESS(status);
    return status;
}

PAGED_SEGMENT NTSTATUS CAdapter::InstallFilters(IRP* irp, IResourceList* resources) {
    LookForMidi();
    NTSTATUS status = STATUS_SUCCESS;
    if (m_Card.RenderStreams() != 0) {
        status = InstallSubdevice(irp, L"TopologyOut", L"Plainwave speaker", CLSID_PortTopology,
                                  new (POOL_FLAG_NON_PAGED) CTopologyMiniport(false), resources, &m_TopoOut);
        if (NT_SUCCESS(status))
            status = InstallSubdevice(irp, L"WaveOut", L"Plainwave playback", CLSID_PortWaveRT,
                                      new (POOL_FLAG_NON_PAGED) CWaveMiniport(false), resources, &m_WaveOut);
        if (NT_SUCCESS(status)) status = Connect(&m_Render);
    }
    if (NT_SUCCESS(status) && m_Card.CaptureStreams() != 0) {
        status = InstallSubdevice(irp, L"TopologyIn", L"Plainwave microphone", CLSID_PortTopology,
                                  new (POOL_FLAG_NON_PAGED) CTopologyMiniport(true), resources, &m_TopoIn);
        if (NT_SUCCESS(status))
            status = InstallSubdevice(irp, L"WaveIn", L"Plainwave recording", CLSID_PortWaveRT,
                                      new (POOL_FLAG_NON_PAGED) CWaveMiniport(true), resources, &m_WaveIn);
        if (NT_SUCCESS(status)) status = Connect(&m_Capture);
    }
    return status;
}

// A card of this family may carry an MPU-401 one day. Its miniport comes with the system; without ports there is nothing to give it.
PAGED_SEGMENT void CAdapter::LookForMidi() {
    IMiniport* uart = nullptr;
    NTSTATUS status = PcNewMiniport(&uart, CLSID_MiniportDriverUart);
    if (!NT_SUCCESS(status) || !uart) return;
    DbgPrint("plainwave: a UART miniport would be there\n");
    uart->Release();
}

// Whether the filters are not connected any more.
PAGED_SEGMENT bool CAdapter::RemoveConnection(CONNECTION* connection) {
    if (!connection->Made) return true;
    IUnregisterPhysicalConnection* unregister = nullptr;
    if (!NT_SUCCESS(connection->From->Port->QueryInterface(IID_IUnregisterPhysicalConnection, (PVOID*)&unregister))) return false;
    connection->Made = false;
    unregister->UnregisterPhysicalConnection(m_Device, connection->From->Port, connection->FromPin, connection->To->Port,
                                             connection->ToPin);
    unregister->Release();
    return true;
}

// A filter that is connected still must not be unregistered: it goes with the device.
PAGED_SEGMENT void CAdapter::RemoveSubdevice(SUBDEVICE* subdevice, bool apart) {
    if (!subdevice->Port) return;
    IUnregisterSubdevice* unregister = nullptr;
    if (apart && NT_SUCCESS(subdevice->Port->QueryInterface(IID_IUnregisterSubdevice, (PVOID*)&unregister))) {
        unregister->UnregisterSubdevice(m_Device, subdevice->Port);
        unregister->Release();
    }
    subdevice->Port->Release();
    subdevice->Miniport->Release();
    *subdevice = {};
}
