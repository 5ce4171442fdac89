#include "topology.h"

static const KSDATARANGE g_AnalogRange = {
    {sizeof(KSDATARANGE), 0, 0, 0, KSDATAFORMAT_TYPE_AUDIO, KSDATAFORMAT_SUBTYPE_ANALOG, KSDATAFORMAT_SPECIFIER_NONE}};
static const KSDATARANGE* const g_AnalogRanges[] = {&g_AnalogRange};

static const PCPIN_DESCRIPTOR g_SpeakerPins[] = {
    {0, 0, 0, nullptr,
     {0, nullptr, 0, nullptr, SIZEOF_ARRAY(g_AnalogRanges), g_AnalogRanges, KSPIN_DATAFLOW_IN, KSPIN_COMMUNICATION_NONE, &KSCATEGORY_AUDIO,
      nullptr, 0, nullptr}},
    {0, 0, 0, nullptr,
     {0, nullptr, 0, nullptr, SIZEOF_ARRAY(g_AnalogRanges), g_AnalogRanges, KSPIN_DATAFLOW_OUT, KSPIN_COMMUNICATION_NONE,
      &KSNODETYPE_SPEAKER, nullptr, 0, nullptr}},
};
static const PCPIN_DESCRIPTOR g_MicrophonePins[] = {
    {0, 0, 0, nullptr,
     {0, nullptr, 0, nullptr, SIZEOF_ARRAY(g_AnalogRanges), g_AnalogRanges, KSPIN_DATAFLOW_IN, KSPIN_COMMUNICATION_NONE,
      &KSNODETYPE_MICROPHONE, nullptr, 0, nullptr}},
    {0, 0, 0, nullptr,
     {0, nullptr, 0, nullptr, SIZEOF_ARRAY(g_AnalogRanges), g_AnalogRanges, KSPIN_DATAFLOW_OUT, KSPIN_COMMUNICATION_NONE,
      &KSCATEGORY_AUDIO, nullptr, 0, nullptr}},
};
static const PCCONNECTION_DESCRIPTOR g_Straight[] = {{PCFILTER_NODE, 0, PCFILTER_NODE, 1}};

static const PCPROPERTY_ITEM g_JackProperties[] = {
    {&KSPROPSETID_Jack, KSPROPERTY_JACK_DESCRIPTION, KSPROPERTY_TYPE_GET | KSPROPERTY_TYPE_BASICSUPPORT, CTopologyMiniport::JackProperty},
};
static const PCAUTOMATION_TABLE g_JackAutomation = {
    sizeof(PCPROPERTY_ITEM), SIZEOF_ARRAY(g_JackProperties), g_JackProperties, 0, 0, nullptr, 0, 0, nullptr, 0};

static PCFILTER_DESCRIPTOR g_SpeakerFilter = {0, &g_JackAutomation, sizeof(PCPIN_DESCRIPTOR), SIZEOF_ARRAY(g_SpeakerPins), g_SpeakerPins,
                                              sizeof(PCNODE_DESCRIPTOR), 0, nullptr, SIZEOF_ARRAY(g_Straight), g_Straight, 0, nullptr};
static PCFILTER_DESCRIPTOR g_MicrophoneFilter = {
    0, &g_JackAutomation, sizeof(PCPIN_DESCRIPTOR), SIZEOF_ARRAY(g_MicrophonePins), g_MicrophonePins,
    sizeof(PCNODE_DESCRIPTOR), 0, nullptr, SIZEOF_ARRAY(g_Straight), g_Straight, 0, nullptr};

PAGED_SEGMENT NTSTATUS CTopologyMiniport::QueryInterface(REFIID iid, PVOID* object) {
    if (IsEqualGUID(iid, IID_IUnknown) || IsEqualGUID(iid, IID_IMiniport) || IsEqualGUID(iid, IID_IMiniportTopology)) {
        *object = static_cast<IMiniportTopology*>(this);
        AddRef();
        return STATUS_SUCCESS;
    }
    *object = nullptr;
    return STATUS_INVALID_PARAMETER;
}

PAGED_SEGMENT NTSTATUS CTopologyMiniport::GetDescription(PCFILTER_DESCRIPTOR** description) {
    *description = m_Capture ? &g_MicrophoneFilter : &g_SpeakerFilter;
    return STATUS_SUCCESS;
}

PAGED_SEGMENT NTSTATUS CTopologyMiniport::DataRangeIntersection(ULONG, KSDATARANGE*, KSDATARANGE*, ULONG, PVOID, PULONG) {
    return STATUS_NOT_IMPLEMENTED;
}

PAGED_SEGMENT NTSTATUS CTopologyMiniport::Init(IUnknown*, IResourceList*, IPortTopology*) { return STATUS_SUCCESS; }

// A property of the filter; its instance data, behind the identifier, names the pin.
PAGED_SEGMENT NTSTATUS CTopologyMiniport::JackProperty(PCPROPERTY_REQUEST* request) {
    if (request->Verb & KSPROPERTY_TYPE_BASICSUPPORT) return BasicSupport(request);
    if (!(request->Verb & KSPROPERTY_TYPE_GET)) return STATUS_INVALID_DEVICE_REQUEST;
    IMiniportTopology* miniport = nullptr;
    NTSTATUS status = request->MajorTarget->QueryInterface(IID_IMiniportTopology, (PVOID*)&miniport);
    if (!NT_SUCCESS(status)) return status;
    status = static_cast<CTopologyMiniport*>(miniport)->JackDescription(request);
    miniport->Release();
    return status;
}

PAGED_SEGMENT NTSTATUS CTopologyMiniport::JackDescription(PCPROPERTY_REQUEST* request) const {
    if (request->InstanceSize < sizeof(ULONG)) return STATUS_INVALID_PARAMETER;
    ULONG pin = *(ULONG*)request->Instance;
    if (pin != (m_Capture ? (ULONG)TOPOIN_PIN_MICROPHONE : (ULONG)TOPOOUT_PIN_SPEAKER)) return STATUS_INVALID_PARAMETER;

    const ULONG needed = sizeof(KSMULTIPLE_ITEM) + sizeof(KSJACK_DESCRIPTION);
    if (request->ValueSize == 0) {
        request->ValueSize = needed;
        return STATUS_BUFFER_OVERFLOW;
    }
    if (request->ValueSize < needed) return STATUS_BUFFER_TOO_SMALL;
    KSMULTIPLE_ITEM* item = (KSMULTIPLE_ITEM*)request->Value;
    KSJACK_DESCRIPTION* jack = (KSJACK_DESCRIPTION*)(item + 1);
    item->Size = needed;
    item->Count = 1;
    jack->ChannelMapping = 0x3;                  // front left and right
    jack->Color = m_Capture ? 0xED8A8D : 0xB3C98C; // pink, green
    jack->ConnectionType = 1;                    // 3.5 mm
    jack->GeoLocation = 1;                       // rear
    jack->GenLocation = 0;                       // on the primary box
    jack->PortConnection = 0;                    // a jack
    jack->IsConnected = TRUE;
    request->ValueSize = needed;
    return STATUS_SUCCESS;
}
