#include "wave.h"
#include "packetstream.h"
#include "pollstream.h"

// --- descriptors -------------------------------------------------------------------------------------------------------------------
static const KSDATARANGE_AUDIO g_StreamRange = {
    {{sizeof(KSDATARANGE_AUDIO), 0, 0, 0, KSDATAFORMAT_TYPE_AUDIO, KSDATAFORMAT_SUBTYPE_PCM, KSDATAFORMAT_SPECIFIER_WAVEFORMATEX}},
    2, 16, 16, RATE_HZ, RATE_HZ};
static const KSDATARANGE g_BridgeRange = {
    {sizeof(KSDATARANGE), 0, 0, 0, KSDATAFORMAT_TYPE_AUDIO, KSDATAFORMAT_SUBTYPE_ANALOG, KSDATAFORMAT_SPECIFIER_NONE}};
static const KSDATARANGE* const g_StreamRanges[] = {&g_StreamRange.DataRange};
static const KSDATARANGE* const g_BridgeRanges[] = {&g_BridgeRange};

static const PCPIN_DESCRIPTOR g_RenderPins[] = {
    {1, 1, 0, nullptr,
     {0, nullptr, 0, nullptr, SIZEOF_ARRAY(g_StreamRanges), g_StreamRanges, KSPIN_DATAFLOW_IN, KSPIN_COMMUNICATION_SINK, &KSCATEGORY_AUDIO,
      nullptr, 0, nullptr}},
    {0, 0, 0, nullptr,
     {0, nullptr, 0, nullptr, SIZEOF_ARRAY(g_BridgeRanges), g_BridgeRanges, KSPIN_DATAFLOW_OUT, KSPIN_COMMUNICATION_NONE, &KSCATEGORY_AUDIO,
      nullptr, 0, nullptr}},
};
static const PCPIN_DESCRIPTOR g_CapturePins[] = {
    {0, 0, 0, nullptr,
     {0, nullptr, 0, nullptr, SIZEOF_ARRAY(g_BridgeRanges), g_BridgeRanges, KSPIN_DATAFLOW_IN, KSPIN_COMMUNICATION_NONE, &KSCATEGORY_AUDIO,
      nullptr, 0, nullptr}},
    {1, 1, 0, nullptr,
     {0, nullptr, 0, nullptr, SIZEOF_ARRAY(g_StreamRanges), g_StreamRanges, KSPIN_DATAFLOW_OUT, KSPIN_COMMUNICATION_SINK, &KSCATEGORY_AUDIO,
      nullptr, 0, nullptr}},
};

// The converter stands between the two pins: pin 1 of a node takes, pin 0 gives.
static const PCNODE_DESCRIPTOR g_RenderNodes[] = {{0, nullptr, &KSNODETYPE_DAC, nullptr}};
static const PCNODE_DESCRIPTOR g_CaptureNodes[] = {{0, nullptr, &KSNODETYPE_ADC, nullptr}};
static const PCCONNECTION_DESCRIPTOR g_RenderConnections[] = {
    {PCFILTER_NODE, WAVEOUT_PIN_HOST, 0, 1},
    {0, 0, PCFILTER_NODE, WAVEOUT_PIN_BRIDGE},
};
static const PCCONNECTION_DESCRIPTOR g_CaptureConnections[] = {
    {PCFILTER_NODE, WAVEIN_PIN_BRIDGE, 0, 1},
    {0, 0, PCFILTER_NODE, WAVEIN_PIN_HOST},
};

static const PCPROPERTY_ITEM g_FilterProperties[] = {
    {&KSPROPSETID_Pin, KSPROPERTY_PIN_PROPOSEDATAFORMAT, KSPROPERTY_TYPE_SET | KSPROPERTY_TYPE_BASICSUPPORT, CWaveMiniport::ProposeFormat},
};
static const PCAUTOMATION_TABLE g_FilterAutomation = {
    sizeof(PCPROPERTY_ITEM), SIZEOF_ARRAY(g_FilterProperties), g_FilterProperties, 0, 0, nullptr, 0, 0, nullptr, 0};

// No categories: the port's own for the pins that it finds.
static PCFILTER_DESCRIPTOR g_RenderFilter = {0, &g_FilterAutomation, sizeof(PCPIN_DESCRIPTOR), SIZEOF_ARRAY(g_RenderPins), g_RenderPins,
                                             sizeof(PCNODE_DESCRIPTOR), SIZEOF_ARRAY(g_RenderNodes), g_RenderNodes,
                                             SIZEOF_ARRAY(g_RenderConnections), g_RenderConnections, 0, nullptr};
static PCFILTER_DESCRIPTOR g_CaptureFilter = {0, &g_FilterAutomation, sizeof(PCPIN_DESCRIPTOR), SIZEOF_ARRAY(g_CapturePins), g_CapturePins,
                                              sizeof(PCNODE_DESCRIPTOR), SIZEOF_ARRAY(g_CaptureNodes), g_CaptureNodes,
                                              SIZEOF_ARRAY(g_CaptureConnections), g_CaptureConnections, 0, nullptr};

// --- miniport ----------------------------------------------------------------------------------------------------------------------
PAGED_SEGMENT NTSTATUS CWaveMiniport::QueryInterface(REFIID iid, PVOID* object) {
    if (IsEqualGUID(iid, IID_IUnknown) || IsEqualGUID(iid, IID_IMiniport) || IsEqualGUID(iid, IID_IMiniportWaveRT)) {
        *object = static_cast<IMiniportWaveRT*>(this);
        AddRef();
        return STATUS_SUCCESS;
    }
    *object = nullptr;
    return STATUS_INVALID_PARAMETER;
}

PAGED_SEGMENT CWaveMiniport::~CWaveMiniport() {
    if (m_Adapter) m_Adapter->Release();
}

PAGED_SEGMENT NTSTATUS CWaveMiniport::GetDescription(PCFILTER_DESCRIPTOR** description) {
    *description = m_Capture ? &g_CaptureFilter : &g_RenderFilter;
    return STATUS_SUCCESS;
}

// The port's own intersection does for a single PCM range.
PAGED_SEGMENT NTSTATUS CWaveMiniport::DataRangeIntersection(ULONG, KSDATARANGE*, KSDATARANGE*, ULONG, PVOID, PULONG) {
    return STATUS_NOT_IMPLEMENTED;
}

PAGED_SEGMENT NTSTATUS CWaveMiniport::Init(IUnknown* adapter, IResourceList*, IPortWaveRT*) {
    if (!adapter) return STATUS_INVALID_PARAMETER;
    return adapter->QueryInterface(IID_IPlainAdapter, (PVOID*)&m_Adapter);
}

PAGED_SEGMENT NTSTATUS CWaveMiniport::CheckFormat(const KSDATAFORMAT* format) {
    if (format->FormatSize < sizeof(KSDATAFORMAT) + sizeof(WAVEFORMATEX) || !IsEqualGUID(format->MajorFormat, KSDATAFORMAT_TYPE_AUDIO) ||
        !IsEqualGUID(format->SubFormat, KSDATAFORMAT_SUBTYPE_PCM) ||
        !IsEqualGUID(format->Specifier, KSDATAFORMAT_SPECIFIER_WAVEFORMATEX))
        return STATUS_NO_MATCH;
    const WAVEFORMATEX* wave = (const WAVEFORMATEX*)(format + 1);
    if (wave->nChannels != 2 || wave->wBitsPerSample != 16 || wave->nSamplesPerSec != RATE_HZ || wave->nBlockAlign != FRAME_BYTES)
        return STATUS_NO_MATCH;
    if (wave->wFormatTag == WAVE_FORMAT_PCM) return STATUS_SUCCESS;
    if (wave->wFormatTag != WAVE_FORMAT_EXTENSIBLE || format->FormatSize < sizeof(KSDATAFORMAT) + sizeof(WAVEFORMATEXTENSIBLE) ||
        wave->cbSize < sizeof(WAVEFORMATEXTENSIBLE) - sizeof(WAVEFORMATEX))
        return STATUS_NO_MATCH;
    WAVEFORMATEXTENSIBLE extensible;
    RtlCopyMemory(&extensible, wave, sizeof(extensible));
    if (extensible.wValidBitsPerSample != 16 && extensible.wValidBitsPerSample != 0) return STATUS_NO_MATCH;
    GUID subFormat = extensible.SubFormat;
    return IsEqualGUID(subFormat, KSDATAFORMAT_SUBTYPE_PCM) ? STATUS_SUCCESS : STATUS_NO_MATCH;
}

// Would the pin take this format? Nothing changes.
PAGED_SEGMENT NTSTATUS CWaveMiniport::ProposeFormat(PCPROPERTY_REQUEST* request) {
    if (request->Verb & KSPROPERTY_TYPE_BASICSUPPORT) return BasicSupport(request);
    if (!(request->Verb & KSPROPERTY_TYPE_SET)) return STATUS_INVALID_DEVICE_REQUEST;
    if (request->InstanceSize < sizeof(ULONG) || request->ValueSize < sizeof(KSDATAFORMAT)) return STATUS_INVALID_PARAMETER;
    const KSDATAFORMAT* format = (const KSDATAFORMAT*)request->Value;
    if (format->FormatSize > request->ValueSize) return STATUS_INVALID_PARAMETER;

    IMiniportWaveRT* miniport = nullptr;
    NTSTATUS status = request->MajorTarget->QueryInterface(IID_IMiniportWaveRT, (PVOID*)&miniport);
    if (!NT_SUCCESS(status)) return status;
    bool host = *(ULONG*)request->Instance == static_cast<CWaveMiniport*>(miniport)->HostPin();
    miniport->Release();
    return host ? CheckFormat(format) : STATUS_INVALID_PARAMETER;
}

template <class STREAM>
static NTSTATUS MakeStream(CAdapter* adapter, IPortWaveRTStream* port, ULONG index, bool capture, IMiniportWaveRTStream** out) {
    STREAM* stream = new (POOL_FLAG_NON_PAGED) STREAM(adapter, port, index, capture);
    if (!stream) return STATUS_INSUFFICIENT_RESOURCES;
    NTSTATUS status = stream->Init();
    if (NT_SUCCESS(status))
        *out = stream;
    else
        stream->Release();
    return status;
}

PAGED_SEGMENT NTSTATUS CWaveMiniport::NewStream(IMiniportWaveRTStream** stream, IPortWaveRTStream* portStream, ULONG pin, BOOLEAN capture,
                                                KSDATAFORMAT* format) {
    *stream = nullptr;
    if (!!capture != m_Capture || pin != HostPin()) return STATUS_INVALID_PARAMETER;
    NTSTATUS status = CheckFormat(format);
    if (!NT_SUCCESS(status)) return status;

    // The first stream of the direction; the card counts render streams first.
    ULONG index = m_Capture ? m_Adapter->Card().RenderStreams() : 0;
    if (m_Adapter->Settings().PollingOnly || !m_Adapter->HasInterrupt())
        return MakeStream<CPollStream>(m_Adapter, portStream, index, m_Capture, stream);
    return MakeStream<CPacketStream>(m_Adapter, portStream, index, m_Capture, stream);
}

PAGED_SEGMENT NTSTATUS CWaveMiniport::GetDeviceDescription(DEVICE_DESCRIPTION* description) {
    RtlZeroMemory(description, sizeof(*description));
    description->Version = DEVICE_DESCRIPTION_VERSION;
    description->Master = TRUE;
    description->ScatterGather = TRUE;
    description->Dma32BitAddresses = TRUE;
    description->Dma64BitAddresses = TRUE;
    description->InterfaceType = PCIBus;
    description->MaximumLength = 0xFFFFFFFF;
    return STATUS_SUCCESS;
}
