// Kernel streaming and port class as far as this driver goes, declared from their documentation.
#pragma once
#include "ntimports.h"

#define INTERFACE_CLASS struct __declspec(novtable)

// --- kernel streaming --------------------------------------------------------------------------------------------------------------
union KSDATAFORMAT {
    struct {
        ULONG FormatSize, Flags, SampleSize, Reserved;
        GUID MajorFormat, SubFormat, Specifier;
    };
    LONGLONG Alignment;
};
typedef KSDATAFORMAT KSDATARANGE;
struct KSDATARANGE_AUDIO {
    KSDATARANGE DataRange;
    ULONG MaximumChannels, MinimumBitsPerSample, MaximumBitsPerSample, MinimumSampleFrequency, MaximumSampleFrequency;
};
#pragma pack(push, 1)
struct WAVEFORMATEX {
    USHORT wFormatTag, nChannels;
    ULONG nSamplesPerSec, nAvgBytesPerSec;
    USHORT nBlockAlign, wBitsPerSample, cbSize;
};
struct WAVEFORMATEXTENSIBLE {
    WAVEFORMATEX Format;
    USHORT wValidBitsPerSample;
    ULONG dwChannelMask;
    GUID SubFormat;
};
#pragma pack(pop)
static_assert(sizeof(KSDATAFORMAT) == 64 && sizeof(KSDATARANGE_AUDIO) == 88, "data formats");
static_assert(sizeof(WAVEFORMATEX) == 18 && sizeof(WAVEFORMATEXTENSIBLE) == 40, "wave formats");
#define WAVE_FORMAT_PCM 1
#define WAVE_FORMAT_EXTENSIBLE 0xFFFE

enum KSSTATE : int { KSSTATE_STOP, KSSTATE_ACQUIRE, KSSTATE_PAUSE, KSSTATE_RUN };
enum KSPIN_DATAFLOW : int { KSPIN_DATAFLOW_IN = 1, KSPIN_DATAFLOW_OUT };
enum KSPIN_COMMUNICATION : int { KSPIN_COMMUNICATION_NONE, KSPIN_COMMUNICATION_SINK, KSPIN_COMMUNICATION_SOURCE };

struct KSPIN_DESCRIPTOR {
    ULONG InterfacesCount;
    const void* Interfaces;
    ULONG MediumsCount;
    const void* Mediums;
    ULONG DataRangesCount;
    const KSDATARANGE* const* DataRanges;
    KSPIN_DATAFLOW DataFlow;
    KSPIN_COMMUNICATION Communication;
    const GUID *Category, *Name;
    LONGLONG Reserved;
    const void* ConstrainedDataRanges;
};
static_assert(sizeof(KSPIN_DESCRIPTOR) == 0x58, "pin descriptor");

struct KSTOPOLOGY_CONNECTION {
    ULONG FromNode, FromNodePin, ToNode, ToNodePin;
};
struct KSMULTIPLE_ITEM {
    ULONG Size, Count;
};
struct KSAUDIO_POSITION {
    ULONGLONG PlayOffset, WriteOffset;
};
struct KSAUDIO_PRESENTATION_POSITION {
    ULONGLONG u64PositionInBlocks, u64QPCPosition;
};
struct KSRTAUDIO_HWLATENCY {
    ULONG FifoSize, ChipsetDelay, CodecDelay;
};
struct KSRTAUDIO_HWREGISTER {
    PVOID Register;
    ULONG Width;
    ULONGLONG Numerator, Denominator;
    ULONG Accuracy;
};
struct KSJACK_DESCRIPTION {
    ULONG ChannelMapping, Color;
    int ConnectionType, GeoLocation, GenLocation, PortConnection;
    BOOL IsConnected;
};
static_assert(sizeof(KSJACK_DESCRIPTION) == 28 && sizeof(KSRTAUDIO_HWREGISTER) == 40, "KS records");
#define KSPROPERTY_TYPE_GET 0x1u
#define KSPROPERTY_TYPE_SET 0x2u
#define KSPROPERTY_TYPE_BASICSUPPORT 0x200u
#define KSPROPERTY_JACK_DESCRIPTION 1u
#define KSPROPERTY_PIN_PROPOSEDATAFORMAT 14u
#define KSSTREAM_HEADER_OPTIONSF_ENDOFSTREAM 0x200u
#define KSFILTER_NODE 0xFFFFFFFFu

// --- descriptors of a filter -------------------------------------------------------------------------------------------------------
struct IUnknown;
struct PCPROPERTY_REQUEST;
struct PCPROPERTY_ITEM {
    const GUID* Set;
    ULONG Id, Flags;
    NTSTATUS (*Handler)(PCPROPERTY_REQUEST* request);
};
struct PCPROPERTY_REQUEST {
    IUnknown *MajorTarget, *MinorTarget;
    ULONG Node;
    const PCPROPERTY_ITEM* PropertyItem;
    ULONG Verb, InstanceSize;
    PVOID Instance;
    ULONG ValueSize;
    PVOID Value;
    IRP* Irp;
};
struct PCAUTOMATION_TABLE {
    ULONG PropertyItemSize, PropertyCount;
    const PCPROPERTY_ITEM* Properties;
    ULONG MethodItemSize, MethodCount;
    const void* Methods;
    ULONG EventItemSize, EventCount;
    const void* Events;
    ULONG Reserved;
};
struct PCPIN_DESCRIPTOR {
    ULONG MaxGlobalInstanceCount, MaxFilterInstanceCount, MinFilterInstanceCount;
    const PCAUTOMATION_TABLE* AutomationTable;
    KSPIN_DESCRIPTOR KsPinDescriptor;
};
struct PCNODE_DESCRIPTOR {
    ULONG Flags;
    const PCAUTOMATION_TABLE* AutomationTable;
    const GUID *Type, *Name;
};
typedef KSTOPOLOGY_CONNECTION PCCONNECTION_DESCRIPTOR;
struct PCFILTER_DESCRIPTOR {
    ULONG Version;
    const PCAUTOMATION_TABLE* AutomationTable;
    ULONG PinSize, PinCount;
    const PCPIN_DESCRIPTOR* Pins;
    ULONG NodeSize, NodeCount;
    const PCNODE_DESCRIPTOR* Nodes;
    ULONG ConnectionCount;
    const PCCONNECTION_DESCRIPTOR* Connections;
    ULONG CategoryCount;
    const GUID* Categories;
};
#define PCFILTER_NODE KSFILTER_NODE

// --- interfaces --------------------------------------------------------------------------------------------------------------------
INTERFACE_CLASS IUnknown {
    virtual NTSTATUS QueryInterface(REFIID iid, PVOID* object) = 0;
    virtual ULONG AddRef() = 0;
    virtual ULONG Release() = 0;
};

INTERFACE_CLASS IResourceList : IUnknown {
    virtual ULONG NumberOfEntries() = 0;
    virtual ULONG NumberOfEntriesOfType(CM_RESOURCE_TYPE type) = 0;
    virtual CM_PARTIAL_RESOURCE_DESCRIPTOR* FindTranslatedEntry(CM_RESOURCE_TYPE type, ULONG index) = 0;
    virtual CM_PARTIAL_RESOURCE_DESCRIPTOR* FindUntranslatedEntry(CM_RESOURCE_TYPE type, ULONG index) = 0;
    virtual NTSTATUS AddEntry(CM_PARTIAL_RESOURCE_DESCRIPTOR* translated, CM_PARTIAL_RESOURCE_DESCRIPTOR* untranslated) = 0;
    virtual NTSTATUS AddEntryFromParent(IResourceList* parent, CM_RESOURCE_TYPE type, ULONG index) = 0;
    virtual PVOID TranslatedList() = 0;
    virtual PVOID UntranslatedList() = 0;
};

enum INTERRUPTSYNCMODE : int { InterruptSyncModeNormal = 1, InterruptSyncModeAll, InterruptSyncModeRepeat };
struct IInterruptSync;
typedef NTSTATUS (*PINTERRUPTSYNCROUTINE)(IInterruptSync* sync, PVOID context);
INTERFACE_CLASS IInterruptSync : IUnknown {
    virtual NTSTATUS CallSynchronizedRoutine(PINTERRUPTSYNCROUTINE routine, PVOID context) = 0;
    virtual PVOID GetKInterrupt() = 0;
    virtual NTSTATUS Connect() = 0;
    virtual void Disconnect() = 0;
    virtual NTSTATUS RegisterServiceRoutine(PINTERRUPTSYNCROUTINE routine, PVOID context, BOOLEAN first) = 0;
};

enum REGISTRYKEYTYPE : int { GeneralRegistryKey, DeviceRegistryKey, DriverRegistryKey, HwProfileRegistryKey, DeviceInterfaceRegistryKey };
INTERFACE_CLASS IRegistryKey : IUnknown {
    virtual NTSTATUS QueryKey(KEY_INFORMATION_CLASS what, PVOID information, ULONG length, PULONG resultLength) = 0;
    virtual NTSTATUS EnumerateKey(ULONG index, KEY_INFORMATION_CLASS what, PVOID information, ULONG length, PULONG resultLength) = 0;
    virtual NTSTATUS QueryValueKey(UNICODE_STRING* name, KEY_VALUE_INFORMATION_CLASS what, PVOID information, ULONG length,
                                   PULONG resultLength) = 0;
    virtual NTSTATUS EnumerateValueKey(ULONG index, KEY_VALUE_INFORMATION_CLASS what, PVOID information, ULONG length,
                                       PULONG resultLength) = 0;
    virtual NTSTATUS SetValueKey(UNICODE_STRING* name, ULONG type, PVOID data, ULONG bytes) = 0;
    virtual NTSTATUS QueryRegistryValues(RTL_QUERY_REGISTRY_TABLE* table, PVOID context) = 0;
    virtual NTSTATUS NewSubKey(IRegistryKey** key, IUnknown* outer, ACCESS_MASK access, UNICODE_STRING* name, ULONG options,
                               PULONG disposition) = 0;
    virtual NTSTATUS DeleteKey() = 0;
};

INTERFACE_CLASS IPort : IUnknown {
    virtual NTSTATUS Init(DEVICE_OBJECT* device, IRP* irp, IUnknown* miniport, IUnknown* adapter, IResourceList* resources) = 0;
    virtual NTSTATUS GetDeviceProperty(int property, ULONG length, PVOID buffer, PULONG resultLength) = 0;
    virtual NTSTATUS NewRegistryKey(IRegistryKey** key, IUnknown* outer, ULONG type, ACCESS_MASK access, OBJECT_ATTRIBUTES* attributes,
                                    ULONG options, PULONG disposition) = 0;
};
INTERFACE_CLASS IPortTopology : IPort{};
INTERFACE_CLASS IPortWaveRT : IPort{};

INTERFACE_CLASS IPortWaveRTStream : IUnknown {
    virtual PMDL AllocatePagesForMdl(PHYSICAL_ADDRESS highest, SIZE_T bytes) = 0;
    virtual PMDL AllocateContiguousPagesForMdl(PHYSICAL_ADDRESS lowest, PHYSICAL_ADDRESS highest, SIZE_T bytes) = 0;
    virtual PVOID MapAllocatedPages(PMDL mdl, MEMORY_CACHING_TYPE cache) = 0;
    virtual void UnmapAllocatedPages(PVOID base, PMDL mdl) = 0;
    virtual void FreePagesFromMdl(PMDL mdl) = 0;
    virtual ULONG GetPhysicalPagesCount(PMDL mdl) = 0;
    virtual PHYSICAL_ADDRESS GetPhysicalPageAddress(PMDL mdl, ULONG index) = 0;
};

INTERFACE_CLASS IMiniport : IUnknown {
    virtual NTSTATUS GetDescription(PCFILTER_DESCRIPTOR** description) = 0;
    virtual NTSTATUS DataRangeIntersection(ULONG pin, KSDATARANGE* range, KSDATARANGE* matching, ULONG length, PVOID format,
                                           PULONG formatLength) = 0;
};
INTERFACE_CLASS IMiniportTopology : IMiniport {
    virtual NTSTATUS Init(IUnknown* adapter, IResourceList* resources, IPortTopology* port) = 0;
};

INTERFACE_CLASS IMiniportWaveRTStream : IUnknown {
    virtual NTSTATUS SetFormat(KSDATAFORMAT* format) = 0;
    virtual NTSTATUS SetState(KSSTATE state) = 0;
    virtual NTSTATUS GetPosition(KSAUDIO_POSITION* position) = 0;
    virtual NTSTATUS AllocateAudioBuffer(ULONG requested, PMDL* mdl, ULONG* actual, ULONG* offset, MEMORY_CACHING_TYPE* cache) = 0;
    virtual void FreeAudioBuffer(PMDL mdl, ULONG size) = 0;
    virtual void GetHWLatency(KSRTAUDIO_HWLATENCY* latency) = 0;
    virtual NTSTATUS GetPositionRegister(KSRTAUDIO_HWREGISTER* reg) = 0;
    virtual NTSTATUS GetClockRegister(KSRTAUDIO_HWREGISTER* reg) = 0;
};
INTERFACE_CLASS IMiniportWaveRTStreamNotification : IMiniportWaveRTStream {
    virtual NTSTATUS AllocateBufferWithNotification(ULONG notifications, ULONG requested, PMDL* mdl, ULONG* actual, ULONG* offset,
                                                    MEMORY_CACHING_TYPE* cache) = 0;
    virtual void FreeBufferWithNotification(PMDL mdl, ULONG size) = 0;
    virtual NTSTATUS RegisterNotificationEvent(PKEVENT event) = 0;
    virtual NTSTATUS UnregisterNotificationEvent(PKEVENT event) = 0;
};
INTERFACE_CLASS IMiniportWaveRTInputStream : IUnknown {
    virtual NTSTATUS GetReadPacket(ULONG* number, DWORD* flags, ULONG64* counter, BOOL* more) = 0;
};
INTERFACE_CLASS IMiniportWaveRTOutputStream : IUnknown {
    virtual NTSTATUS SetWritePacket(ULONG number, DWORD flags, ULONG eosLength) = 0;
    virtual NTSTATUS GetOutputStreamPresentationPosition(KSAUDIO_PRESENTATION_POSITION* position) = 0;
    virtual NTSTATUS GetPacketCount(ULONG* count) = 0;
};
INTERFACE_CLASS IMiniportWaveRT : IMiniport {
    virtual NTSTATUS Init(IUnknown* adapter, IResourceList* resources, IPortWaveRT* port) = 0;
    virtual NTSTATUS NewStream(IMiniportWaveRTStream** stream, IPortWaveRTStream* portStream, ULONG pin, BOOLEAN capture,
                               KSDATAFORMAT* format) = 0;
    virtual NTSTATUS GetDeviceDescription(DEVICE_DESCRIPTION* description) = 0;
};

INTERFACE_CLASS IAdapterPowerManagement : IUnknown {
    virtual void PowerChangeState(POWER_STATE state) = 0;
    virtual NTSTATUS QueryPowerChangeState(POWER_STATE state) = 0;
    virtual NTSTATUS QueryDeviceCapabilities(DEVICE_CAPABILITIES* capabilities) = 0;
};

INTERFACE_CLASS IUnregisterSubdevice : IUnknown {
    virtual NTSTATUS UnregisterSubdevice(DEVICE_OBJECT* device, IUnknown* subdevice) = 0;
};
INTERFACE_CLASS IUnregisterPhysicalConnection : IUnknown {
    virtual NTSTATUS UnregisterPhysicalConnection(DEVICE_OBJECT* device, IUnknown* from, ULONG fromPin, IUnknown* to, ULONG toPin) = 0;
    virtual NTSTATUS UnregisterPhysicalConnectionToExternal(DEVICE_OBJECT* device, IUnknown* from, ULONG fromPin, UNICODE_STRING* to,
                                                            ULONG toPin) = 0;
    virtual NTSTATUS UnregisterPhysicalConnectionFromExternal(DEVICE_OBJECT* device, UNICODE_STRING* from, ULONG fromPin, IUnknown* to,
                                                              ULONG toPin) = 0;
};

// --- imports -----------------------------------------------------------------------------------------------------------------------
typedef NTSTATUS (*PCPFNSTARTDEVICE)(DEVICE_OBJECT* device, IRP* irp, IResourceList* resources);
NTSYSAPI NTSTATUS PcInitializeAdapterDriver(DRIVER_OBJECT* driver, UNICODE_STRING* registryPath, PDRIVER_ADD_DEVICE addDevice);
NTSYSAPI NTSTATUS PcAddAdapterDevice(DRIVER_OBJECT* driver, DEVICE_OBJECT* pdo, PCPFNSTARTDEVICE start, ULONG maxObjects,
                                     ULONG extensionSize);
NTSYSAPI NTSTATUS PcDispatchIrp(DEVICE_OBJECT* device, IRP* irp);
NTSYSAPI NTSTATUS PcNewPort(IPort** port, REFCLSID clsid);
NTSYSAPI NTSTATUS PcNewMiniport(IMiniport** miniport, REFCLSID clsid);
NTSYSAPI NTSTATUS PcNewInterruptSync(IInterruptSync** sync, IUnknown* outer, IResourceList* resources, ULONG index, INTERRUPTSYNCMODE mode);
NTSYSAPI NTSTATUS PcNewRegistryKey(IRegistryKey** key, IUnknown* outer, ULONG type, ACCESS_MASK access, PVOID device, PVOID subDevice,
                                   OBJECT_ATTRIBUTES* attributes, ULONG options, PULONG disposition);
NTSYSAPI NTSTATUS PcRegisterSubdevice(DEVICE_OBJECT* device, PWSTR name, IUnknown* port);
NTSYSAPI NTSTATUS PcRegisterPhysicalConnection(DEVICE_OBJECT* device, IUnknown* from, ULONG fromPin, IUnknown* to, ULONG toPin);
NTSYSAPI NTSTATUS PcRegisterAdapterPowerManagement(IUnknown* unknown, PVOID device);
NTSYSAPI NTSTATUS PcGetPhysicalDeviceObject(DEVICE_OBJECT* device, DEVICE_OBJECT** pdo);
#define PORT_CLASS_DEVICE_EXTENSION_SIZE (64 * sizeof(ULONG_PTR))
