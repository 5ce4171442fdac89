// The interfaces of portcls.h and drmk.h as the C++ classes they are on Windows, for the check of portcls-sys by Microsoft's ABI
// (driver/portcls/src/interfaces/abi_tests.rs). clang compiles this for x86_64-pc-windows-msvc; nothing runs, the object is read:
//
//   slot_I__M    a pointer to the member M of I: the compiler's thunk, whose name holds the offset in the table
//   sig_I__M     bytes of the result (0: none; a class: through a hidden pointer) and of each argument
//   iid_I        the interface id
//   layout_S     size of a structure of portcls.h that Microsoft's metadata does not have, then the offsets of its members
//
// Order, types and ids are those of the genuine header. IDmaChannel is left out: WaveRT has no use for it.

typedef unsigned char BOOLEAN, UCHAR;
typedef int BOOL, INT;
typedef long NTSTATUS, LONG;
typedef unsigned long ULONG, DWORD, ACCESS_MASK;
typedef unsigned int UINT32;
typedef unsigned short USHORT, WORD;
typedef long long LONGLONG;
typedef unsigned long long ULONGLONG, ULONG64, SIZE_T;
typedef void *PVOID, *PKINTERRUPT, *PIRP, *PMDL, *PKEVENT, *PDEVICE_OBJECT, *PFILE_OBJECT, *PUNICODE_STRING, *POBJECT_ATTRIBUTES;
typedef ULONG* PULONG;

static_assert(sizeof(ULONG) == 4 && sizeof(LONGLONG) == 8 && sizeof(void*) == 8, "this is not the Windows x64 ABI");

struct GUID {
    ULONG Data1;
    USHORT Data2, Data3;
    UCHAR Data4[8];
};
typedef const GUID& REFIID;

// Returned by value from a member function: the trap of WAVERT.md 2.3.
union PHYSICAL_ADDRESS {
    struct {
        ULONG LowPart;
        LONG HighPart;
    } u;
    LONGLONG QuadPart;
};
union POWER_STATE {
    int SystemState;
    int DeviceState;
};

enum KSSTATE : int {};
enum MEMORY_CACHING_TYPE : int {};
enum DEVICE_REGISTRY_PROPERTY : int {};
enum KEY_INFORMATION_CLASS : int {};
enum KEY_VALUE_INFORMATION_CLASS : int {};
enum DEVICE_POWER_STATE : int {};
enum SYSTEM_POWER_STATE : int {};
enum POOL_TYPE : int {};
enum PC_EXIT_LATENCY { PcExitLatencyInstant };
enum PC_REBALANCE_TYPE { PcRebalanceNotSupported };
enum EPcMiniportEngineEvent { eMINIPORT_IHV_DEFINED };
enum eEngineFormatType { eMixFormat };
enum eChannelTargetType { eVolumeAttribute };
enum AUDIO_CURVE_TYPE { AUDIO_CURVE_TYPE_NONE };
enum CONSTRICTOR_OPTION { CONSTRICTOR_OPTION_DISABLE };
typedef int CM_RESOURCE_TYPE;

struct KSDATAFORMAT;
typedef KSDATAFORMAT *PKSDATAFORMAT, *PKSDATARANGE;
struct KSDATAFORMAT_WAVEFORMATEX;
struct KSMULTIPLE_ITEM;
struct KSP_PIN;
struct KSAUDIO_POSITION;
struct KSAUDIO_PRESENTATION_POSITION;
struct KSAUDIOENGINE_DESCRIPTOR;
struct KSAUDIOENGINE_BUFFER_SIZE_RANGE;
struct KSPROPERTY_STEPPING_LONG;
struct KSRTAUDIO_HWLATENCY;
struct KSRTAUDIO_HWREGISTER;
struct PCNOTIFICATION_BUFFER;
struct DEVICE_DESCRIPTION;
struct DEVICE_CAPABILITIES;
struct CM_PARTIAL_RESOURCE_DESCRIPTOR;
struct CM_RESOURCE_LIST;
struct DRMRIGHTS;
struct DRMFORWARD;
struct PCSTREAMRESOURCE__;
typedef PCSTREAMRESOURCE__* PCSTREAMRESOURCE;

// ------------------------------------------------------------------------------------------------------------------------------------
// What is written down of each of them.

struct Signature {
    UCHAR result, hidden_result, count, arguments[13];
};
template <class T> struct Result {
    static constexpr UCHAR bytes = sizeof(T);
    static constexpr UCHAR hidden = __is_class(T) || __is_union(T);
};
template <> struct Result<void> {
    static constexpr UCHAR bytes = 0, hidden = 0;
};
template <class I, class R, class... A> constexpr Signature signature(R (I::*)(A...)) {
    return Signature{Result<R>::bytes, Result<R>::hidden, sizeof...(A), {static_cast<UCHAR>(sizeof(A))...}};
}

#define METHOD(I, M)                                       \
    extern "C" {                                           \
    extern decltype(&I::M) const slot_##I##__##M;          \
    decltype(&I::M) const slot_##I##__##M = &I::M;         \
    extern const Signature sig_##I##__##M;                 \
    const Signature sig_##I##__##M = signature(&I::M);     \
    }
#define IID(I, ...)                \
    extern "C" {                   \
    extern const GUID iid_##I;     \
    const GUID iid_##I = {__VA_ARGS__}; \
    }
#define INTERFACE(I, Parent) struct __declspec(novtable) I : Parent

struct __declspec(novtable) IUnknown {
    virtual NTSTATUS QueryInterface(REFIID, PVOID*) = 0;
    virtual ULONG AddRef() = 0;
    virtual ULONG Release() = 0;
};
typedef IUnknown* PUNKNOWN;

// ------------------------------------------------------------------------------------------------------------------------------------
// Resources, registry, interrupts, services.

INTERFACE(IResourceList, IUnknown) {
    virtual ULONG NumberOfEntries() = 0;
    virtual ULONG NumberOfEntriesOfType(CM_RESOURCE_TYPE) = 0;
    virtual CM_PARTIAL_RESOURCE_DESCRIPTOR* FindTranslatedEntry(CM_RESOURCE_TYPE, ULONG) = 0;
    virtual CM_PARTIAL_RESOURCE_DESCRIPTOR* FindUntranslatedEntry(CM_RESOURCE_TYPE, ULONG) = 0;
    virtual NTSTATUS AddEntry(CM_PARTIAL_RESOURCE_DESCRIPTOR*, CM_PARTIAL_RESOURCE_DESCRIPTOR*) = 0;
    virtual NTSTATUS AddEntryFromParent(IResourceList*, CM_RESOURCE_TYPE, ULONG) = 0;
    virtual CM_RESOURCE_LIST* TranslatedList() = 0;
    virtual CM_RESOURCE_LIST* UntranslatedList() = 0;
};
typedef IResourceList* PRESOURCELIST;
IID(IResourceList, 0x22C6AC60L, 0x851B, 0x11D0, {0x9A, 0x7F, 0x00, 0xAA, 0x00, 0x38, 0xAC, 0xFE})
METHOD(IResourceList, NumberOfEntries)
METHOD(IResourceList, NumberOfEntriesOfType)
METHOD(IResourceList, FindTranslatedEntry)
METHOD(IResourceList, FindUntranslatedEntry)
METHOD(IResourceList, AddEntry)
METHOD(IResourceList, AddEntryFromParent)
METHOD(IResourceList, TranslatedList)
METHOD(IResourceList, UntranslatedList)

INTERFACE(IRegistryKey, IUnknown) {
    virtual NTSTATUS QueryKey(KEY_INFORMATION_CLASS, PVOID, ULONG, PULONG) = 0;
    virtual NTSTATUS EnumerateKey(ULONG, KEY_INFORMATION_CLASS, PVOID, ULONG, PULONG) = 0;
    virtual NTSTATUS QueryValueKey(PUNICODE_STRING, KEY_VALUE_INFORMATION_CLASS, PVOID, ULONG, PULONG) = 0;
    virtual NTSTATUS EnumerateValueKey(ULONG, KEY_VALUE_INFORMATION_CLASS, PVOID, ULONG, PULONG) = 0;
    virtual NTSTATUS SetValueKey(PUNICODE_STRING, ULONG, PVOID, ULONG) = 0;
    virtual NTSTATUS QueryRegistryValues(struct RTL_QUERY_REGISTRY_TABLE*, PVOID) = 0;
    virtual NTSTATUS NewSubKey(IRegistryKey**, PUNKNOWN, ACCESS_MASK, PUNICODE_STRING, ULONG, PULONG) = 0;
    virtual NTSTATUS DeleteKey() = 0;
};
IID(IRegistryKey, 0xE8DA4302L, 0xF304, 0x11D0, {0x95, 0x8B, 0x00, 0xC0, 0x4F, 0xB9, 0x25, 0xD3})
METHOD(IRegistryKey, QueryKey)
METHOD(IRegistryKey, EnumerateKey)
METHOD(IRegistryKey, QueryValueKey)
METHOD(IRegistryKey, EnumerateValueKey)
METHOD(IRegistryKey, SetValueKey)
METHOD(IRegistryKey, QueryRegistryValues)
METHOD(IRegistryKey, NewSubKey)
METHOD(IRegistryKey, DeleteKey)

INTERFACE(IInterruptSync, IUnknown) {
    typedef NTSTATUS (*PINTERRUPTSYNCROUTINE)(IInterruptSync*, PVOID);
    virtual NTSTATUS CallSynchronizedRoutine(PINTERRUPTSYNCROUTINE, PVOID) = 0;
    virtual PKINTERRUPT GetKInterrupt() = 0;
    virtual NTSTATUS Connect() = 0;
    virtual void Disconnect() = 0;
    virtual NTSTATUS RegisterServiceRoutine(PINTERRUPTSYNCROUTINE, PVOID, BOOLEAN) = 0;
};
IID(IInterruptSync, 0x22C6AC63L, 0x851B, 0x11D0, {0x9A, 0x7F, 0x00, 0xAA, 0x00, 0x38, 0xAC, 0xFE})
METHOD(IInterruptSync, CallSynchronizedRoutine)
METHOD(IInterruptSync, GetKInterrupt)
METHOD(IInterruptSync, Connect)
METHOD(IInterruptSync, Disconnect)
METHOD(IInterruptSync, RegisterServiceRoutine)

INTERFACE(IServiceSink, IUnknown) {
    virtual void RequestService() = 0;
};
IID(IServiceSink, 0x22C6AC64L, 0x851B, 0x11D0, {0x9A, 0x7F, 0x00, 0xAA, 0x00, 0x38, 0xAC, 0xFE})
METHOD(IServiceSink, RequestService)

INTERFACE(IServiceGroup, IServiceSink) {
    virtual NTSTATUS AddMember(IServiceSink*) = 0;
    virtual void RemoveMember(IServiceSink*) = 0;
    virtual void SupportDelayedService() = 0;
    virtual void RequestDelayedService(ULONGLONG) = 0;
    virtual void CancelDelayedService() = 0;
};
IID(IServiceGroup, 0x22C6AC65L, 0x851B, 0x11D0, {0x9A, 0x7F, 0x00, 0xAA, 0x00, 0x38, 0xAC, 0xFE})
METHOD(IServiceGroup, AddMember)
METHOD(IServiceGroup, RemoveMember)
METHOD(IServiceGroup, SupportDelayedService)
METHOD(IServiceGroup, RequestDelayedService)
METHOD(IServiceGroup, CancelDelayedService)

// ------------------------------------------------------------------------------------------------------------------------------------
// Descriptors and requests.

struct KSIDENTIFIER {
    union {
        struct {
            GUID Set;
            ULONG Id, Flags;
        };
        LONGLONG Alignment;
    };
};
struct KSPIN_DESCRIPTOR {
    ULONG InterfacesCount;
    const KSIDENTIFIER* Interfaces;
    ULONG MediumsCount;
    const KSIDENTIFIER* Mediums;
    ULONG DataRangesCount;
    const PKSDATARANGE* DataRanges;
    int DataFlow, Communication;
    const GUID *Category, *Name;
    union {
        LONGLONG Reserved;
        struct {
            ULONG ConstrainedDataRangesCount;
            PKSDATARANGE* ConstrainedDataRanges;
        };
    };
};
struct PCPROPERTY_REQUEST;
struct PCMETHOD_REQUEST;
struct PCEVENT_REQUEST;
struct PCPROPERTY_ITEM {
    const GUID* Set;
    ULONG Id, Flags;
    NTSTATUS (*Handler)(PCPROPERTY_REQUEST*);
};
struct PCMETHOD_ITEM {
    const GUID* Set;
    ULONG Id, Flags;
    NTSTATUS (*Handler)(PCMETHOD_REQUEST*);
};
struct PCEVENT_ITEM {
    const GUID* Set;
    ULONG Id, Flags;
    NTSTATUS (*Handler)(PCEVENT_REQUEST*);
};
struct PCPROPERTY_REQUEST {
    PUNKNOWN MajorTarget, MinorTarget;
    ULONG Node;
    const PCPROPERTY_ITEM* PropertyItem;
    ULONG Verb, InstanceSize;
    PVOID Instance;
    ULONG ValueSize;
    PVOID Value;
    PIRP Irp;
};
struct PCMETHOD_REQUEST {
    PUNKNOWN MajorTarget, MinorTarget;
    ULONG Node;
    const PCMETHOD_ITEM* MethodItem;
    ULONG Verb;
};
struct PCEVENT_REQUEST {
    PUNKNOWN MajorTarget, MinorTarget;
    ULONG Node;
    const PCEVENT_ITEM* EventItem;
    struct KSEVENT_ENTRY* EventEntry;
    ULONG Verb;
    PIRP Irp;
};
struct PCAUTOMATION_TABLE {
    ULONG PropertyItemSize, PropertyCount;
    const PCPROPERTY_ITEM* Properties;
    ULONG MethodItemSize, MethodCount;
    const PCMETHOD_ITEM* Methods;
    ULONG EventItemSize, EventCount;
    const PCEVENT_ITEM* Events;
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
struct PCCONNECTION_DESCRIPTOR {
    ULONG FromNode, FromNodePin, ToNode, ToNodePin;
};
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
struct PCSTREAMRESOURCE_DESCRIPTOR {
    ULONG Size, Flags;
    PDEVICE_OBJECT Pdo;
    int Type;
    union {
        struct {
            ULONG Version;
            PVOID Generic;
        } Interrupt;
        PVOID Thread, ResourceSet;
    } Resource;
};
struct PC_POWER_FRAMEWORK_SETTINGS {
    ULONG Size;
    PVOID EvtPcPostPoFxRegisterDevice, EvtPcPrePoFxUnregisterDevice, Component, ComponentActiveConditionCallback,
        ComponentIdleConditionCallback, ComponentIdleStateCallback, PowerControlCallback, PoFxDeviceContext;
};
struct DRMRIGHTS {
    BOOL CopyProtect;
    ULONG Reserved;
    BOOL DigitalOutputDisable;
};
struct DRMFORWARD {
    DWORD Flags;
    PDEVICE_OBJECT DeviceObject;
    PFILE_OBJECT FileObject;
    PVOID Context;
};
#define AT(S, M) static_cast<ULONG>(__builtin_offsetof(S, M))
#define LAYOUT(S, ...)                \
    extern "C" {                      \
    extern const ULONG layout_##S[];  \
    const ULONG layout_##S[] = {sizeof(S), __VA_ARGS__}; \
    }
LAYOUT(KSPIN_DESCRIPTOR, AT(KSPIN_DESCRIPTOR, Interfaces), AT(KSPIN_DESCRIPTOR, Mediums), AT(KSPIN_DESCRIPTOR, DataRanges),
       AT(KSPIN_DESCRIPTOR, DataFlow), AT(KSPIN_DESCRIPTOR, Communication), AT(KSPIN_DESCRIPTOR, Category),
       AT(KSPIN_DESCRIPTOR, Name), AT(KSPIN_DESCRIPTOR, Reserved), AT(KSPIN_DESCRIPTOR, ConstrainedDataRanges))
LAYOUT(PCPROPERTY_ITEM, AT(PCPROPERTY_ITEM, Id), AT(PCPROPERTY_ITEM, Flags), AT(PCPROPERTY_ITEM, Handler))
LAYOUT(PCMETHOD_ITEM, AT(PCMETHOD_ITEM, Id), AT(PCMETHOD_ITEM, Flags), AT(PCMETHOD_ITEM, Handler))
LAYOUT(PCEVENT_ITEM, AT(PCEVENT_ITEM, Id), AT(PCEVENT_ITEM, Flags), AT(PCEVENT_ITEM, Handler))
LAYOUT(PCPROPERTY_REQUEST, AT(PCPROPERTY_REQUEST, MinorTarget), AT(PCPROPERTY_REQUEST, Node), AT(PCPROPERTY_REQUEST, PropertyItem),
       AT(PCPROPERTY_REQUEST, Verb), AT(PCPROPERTY_REQUEST, InstanceSize), AT(PCPROPERTY_REQUEST, Instance),
       AT(PCPROPERTY_REQUEST, ValueSize), AT(PCPROPERTY_REQUEST, Value), AT(PCPROPERTY_REQUEST, Irp))
LAYOUT(PCMETHOD_REQUEST, AT(PCMETHOD_REQUEST, MinorTarget), AT(PCMETHOD_REQUEST, Node), AT(PCMETHOD_REQUEST, MethodItem),
       AT(PCMETHOD_REQUEST, Verb))
LAYOUT(PCEVENT_REQUEST, AT(PCEVENT_REQUEST, MinorTarget), AT(PCEVENT_REQUEST, Node), AT(PCEVENT_REQUEST, EventItem),
       AT(PCEVENT_REQUEST, EventEntry), AT(PCEVENT_REQUEST, Verb), AT(PCEVENT_REQUEST, Irp))
LAYOUT(PCAUTOMATION_TABLE, AT(PCAUTOMATION_TABLE, Properties), AT(PCAUTOMATION_TABLE, MethodItemSize), AT(PCAUTOMATION_TABLE, Methods),
       AT(PCAUTOMATION_TABLE, EventItemSize), AT(PCAUTOMATION_TABLE, Events), AT(PCAUTOMATION_TABLE, Reserved))
LAYOUT(PCPIN_DESCRIPTOR, AT(PCPIN_DESCRIPTOR, MinFilterInstanceCount), AT(PCPIN_DESCRIPTOR, AutomationTable),
       AT(PCPIN_DESCRIPTOR, KsPinDescriptor))
LAYOUT(PCNODE_DESCRIPTOR, AT(PCNODE_DESCRIPTOR, AutomationTable), AT(PCNODE_DESCRIPTOR, Type), AT(PCNODE_DESCRIPTOR, Name))
LAYOUT(PCCONNECTION_DESCRIPTOR, AT(PCCONNECTION_DESCRIPTOR, FromNodePin), AT(PCCONNECTION_DESCRIPTOR, ToNodePin))
LAYOUT(PCFILTER_DESCRIPTOR, AT(PCFILTER_DESCRIPTOR, AutomationTable), AT(PCFILTER_DESCRIPTOR, PinSize), AT(PCFILTER_DESCRIPTOR, Pins),
       AT(PCFILTER_DESCRIPTOR, NodeSize), AT(PCFILTER_DESCRIPTOR, Nodes), AT(PCFILTER_DESCRIPTOR, ConnectionCount),
       AT(PCFILTER_DESCRIPTOR, Connections), AT(PCFILTER_DESCRIPTOR, CategoryCount), AT(PCFILTER_DESCRIPTOR, Categories))
LAYOUT(PCSTREAMRESOURCE_DESCRIPTOR, AT(PCSTREAMRESOURCE_DESCRIPTOR, Flags), AT(PCSTREAMRESOURCE_DESCRIPTOR, Pdo),
       AT(PCSTREAMRESOURCE_DESCRIPTOR, Type), AT(PCSTREAMRESOURCE_DESCRIPTOR, Resource))
LAYOUT(PC_POWER_FRAMEWORK_SETTINGS, AT(PC_POWER_FRAMEWORK_SETTINGS, EvtPcPostPoFxRegisterDevice),
       AT(PC_POWER_FRAMEWORK_SETTINGS, Component), AT(PC_POWER_FRAMEWORK_SETTINGS, PoFxDeviceContext))
LAYOUT(DRMRIGHTS, AT(DRMRIGHTS, Reserved), AT(DRMRIGHTS, DigitalOutputDisable))
LAYOUT(DRMFORWARD, AT(DRMFORWARD, DeviceObject), AT(DRMFORWARD, FileObject), AT(DRMFORWARD, Context))

// ------------------------------------------------------------------------------------------------------------------------------------
// Ports and miniports.

INTERFACE(IMiniport, IUnknown) {
    virtual NTSTATUS GetDescription(PCFILTER_DESCRIPTOR**) = 0;
    virtual NTSTATUS DataRangeIntersection(ULONG, PKSDATARANGE, PKSDATARANGE, ULONG, PVOID, PULONG) = 0;
};
IID(IMiniport, 0xb4c90a24L, 0x5791, 0x11d0, {0x86, 0xf9, 0x00, 0xa0, 0xc9, 0x11, 0xb5, 0x44})
METHOD(IMiniport, GetDescription)
METHOD(IMiniport, DataRangeIntersection)

INTERFACE(IPort, IUnknown) {
    virtual NTSTATUS Init(PVOID, PVOID, PUNKNOWN, PUNKNOWN, PRESOURCELIST) = 0;
    virtual NTSTATUS GetDeviceProperty(DEVICE_REGISTRY_PROPERTY, ULONG, PVOID, PULONG) = 0;
    virtual NTSTATUS NewRegistryKey(IRegistryKey**, PUNKNOWN, ULONG, ACCESS_MASK, POBJECT_ATTRIBUTES, ULONG, PULONG) = 0;
};
IID(IPort, 0xb4c90a25L, 0x5791, 0x11d0, {0x86, 0xf9, 0x00, 0xa0, 0xc9, 0x11, 0xb5, 0x44})
METHOD(IPort, Init)
METHOD(IPort, GetDeviceProperty)
METHOD(IPort, NewRegistryKey)

INTERFACE(IPortTopology, IPort) {};
IID(IPortTopology, 0xb4c90a30L, 0x5791, 0x11d0, {0x86, 0xf9, 0x00, 0xa0, 0xc9, 0x11, 0xb5, 0x44})
INTERFACE(IPortWaveRT, IPort) {};
IID(IPortWaveRT, 0x339ff909, 0x68a9, 0x4310, {0xb0, 0x9b, 0x27, 0x4e, 0x96, 0xee, 0x4c, 0xbd})

INTERFACE(IMiniportTopology, IMiniport) {
    virtual NTSTATUS Init(PUNKNOWN, PRESOURCELIST, IPortTopology*) = 0;
};
IID(IMiniportTopology, 0xb4c90a31L, 0x5791, 0x11d0, {0x86, 0xf9, 0x00, 0xa0, 0xc9, 0x11, 0xb5, 0x44})
METHOD(IMiniportTopology, Init)

INTERFACE(IPortWaveRTStream, IUnknown) {
    virtual PMDL AllocatePagesForMdl(PHYSICAL_ADDRESS, SIZE_T) = 0;
    virtual PMDL AllocateContiguousPagesForMdl(PHYSICAL_ADDRESS, PHYSICAL_ADDRESS, SIZE_T) = 0;
    virtual PVOID MapAllocatedPages(PMDL, MEMORY_CACHING_TYPE) = 0;
    virtual void UnmapAllocatedPages(PVOID, PMDL) = 0;
    virtual void FreePagesFromMdl(PMDL) = 0;
    virtual ULONG GetPhysicalPagesCount(PMDL) = 0;
    virtual PHYSICAL_ADDRESS GetPhysicalPageAddress(PMDL, ULONG) = 0;
};
IID(IPortWaveRTStream, 0x1809ce5a, 0x64bc, 0x4e62, {0xbd, 0x7d, 0x95, 0xbc, 0xe4, 0x3d, 0xe3, 0x93})
METHOD(IPortWaveRTStream, AllocatePagesForMdl)
METHOD(IPortWaveRTStream, AllocateContiguousPagesForMdl)
METHOD(IPortWaveRTStream, MapAllocatedPages)
METHOD(IPortWaveRTStream, UnmapAllocatedPages)
METHOD(IPortWaveRTStream, FreePagesFromMdl)
METHOD(IPortWaveRTStream, GetPhysicalPagesCount)
METHOD(IPortWaveRTStream, GetPhysicalPageAddress)

INTERFACE(IMiniportWaveRTStream, IUnknown) {
    virtual NTSTATUS SetFormat(PKSDATAFORMAT) = 0;
    virtual NTSTATUS SetState(KSSTATE) = 0;
    virtual NTSTATUS GetPosition(KSAUDIO_POSITION*) = 0;
    virtual NTSTATUS AllocateAudioBuffer(ULONG, PMDL*, ULONG*, ULONG*, MEMORY_CACHING_TYPE*) = 0;
    virtual void FreeAudioBuffer(PMDL, ULONG) = 0;
    virtual void GetHWLatency(KSRTAUDIO_HWLATENCY*) = 0;
    virtual NTSTATUS GetPositionRegister(KSRTAUDIO_HWREGISTER*) = 0;
    virtual NTSTATUS GetClockRegister(KSRTAUDIO_HWREGISTER*) = 0;
};
IID(IMiniportWaveRTStream, 0xac9ab, 0xfaab, 0x4f3d, {0x94, 0x55, 0x6f, 0xf8, 0x30, 0x6a, 0x74, 0xa0})
METHOD(IMiniportWaveRTStream, SetFormat)
METHOD(IMiniportWaveRTStream, SetState)
METHOD(IMiniportWaveRTStream, GetPosition)
METHOD(IMiniportWaveRTStream, AllocateAudioBuffer)
METHOD(IMiniportWaveRTStream, FreeAudioBuffer)
METHOD(IMiniportWaveRTStream, GetHWLatency)
METHOD(IMiniportWaveRTStream, GetPositionRegister)
METHOD(IMiniportWaveRTStream, GetClockRegister)

INTERFACE(IMiniportWaveRTStreamNotification, IMiniportWaveRTStream) {
    virtual NTSTATUS AllocateBufferWithNotification(ULONG, ULONG, PMDL*, ULONG*, ULONG*, MEMORY_CACHING_TYPE*) = 0;
    virtual void FreeBufferWithNotification(PMDL, ULONG) = 0;
    virtual NTSTATUS RegisterNotificationEvent(PKEVENT) = 0;
    virtual NTSTATUS UnregisterNotificationEvent(PKEVENT) = 0;
};
IID(IMiniportWaveRTStreamNotification, 0x23759128, 0x96f1, 0x423b, {0xab, 0x4d, 0x81, 0x63, 0x5b, 0xcf, 0x8c, 0xa1})
METHOD(IMiniportWaveRTStreamNotification, AllocateBufferWithNotification)
METHOD(IMiniportWaveRTStreamNotification, FreeBufferWithNotification)
METHOD(IMiniportWaveRTStreamNotification, RegisterNotificationEvent)
METHOD(IMiniportWaveRTStreamNotification, UnregisterNotificationEvent)

INTERFACE(IMiniportWaveRTInputStream, IUnknown) {
    virtual NTSTATUS GetReadPacket(ULONG*, DWORD*, ULONG64*, BOOL*) = 0;
};
IID(IMiniportWaveRTInputStream, 0xcd8e756a, 0x5fc7, 0x4624, {0x98, 0x4b, 0x2a, 0xf0, 0x29, 0x25, 0xb9, 0x1f})
METHOD(IMiniportWaveRTInputStream, GetReadPacket)

INTERFACE(IMiniportWaveRTOutputStream, IUnknown) {
    virtual NTSTATUS SetWritePacket(ULONG, DWORD, ULONG) = 0;
    virtual NTSTATUS GetOutputStreamPresentationPosition(KSAUDIO_PRESENTATION_POSITION*) = 0;
    virtual NTSTATUS GetPacketCount(ULONG*) = 0;
};
IID(IMiniportWaveRTOutputStream, 0x831fc7bc, 0x6347, 0x44bc, {0xb4, 0x7b, 0xc0, 0xc6, 0x57, 0xb5, 0xbf, 0x73})
METHOD(IMiniportWaveRTOutputStream, SetWritePacket)
METHOD(IMiniportWaveRTOutputStream, GetOutputStreamPresentationPosition)
METHOD(IMiniportWaveRTOutputStream, GetPacketCount)

INTERFACE(IMiniportWaveRT, IMiniport) {
    virtual NTSTATUS Init(PUNKNOWN, PRESOURCELIST, IPortWaveRT*) = 0;
    virtual NTSTATUS NewStream(IMiniportWaveRTStream**, IPortWaveRTStream*, ULONG, BOOLEAN, PKSDATAFORMAT) = 0;
    virtual NTSTATUS GetDeviceDescription(DEVICE_DESCRIPTION*) = 0;
};
IID(IMiniportWaveRT, 0xf9fc4d6, 0x6061, 0x4f3c, {0xb1, 0xfc, 0x7, 0x5e, 0x35, 0xf7, 0x96, 0xa})
METHOD(IMiniportWaveRT, Init)
METHOD(IMiniportWaveRT, NewStream)
METHOD(IMiniportWaveRT, GetDeviceDescription)

INTERFACE(IMiniportAudioSignalProcessing, IUnknown) {
    virtual NTSTATUS GetModes(ULONG, GUID*, ULONG*) = 0;
};
IID(IMiniportAudioSignalProcessing, 0xb532678c, 0xbe50, 0x472d, {0x99, 0x73, 0x8a, 0x6f, 0x16, 0x59, 0x49, 0x89})
METHOD(IMiniportAudioSignalProcessing, GetModes)

INTERFACE(IPinCount, IUnknown) {
    virtual void PinCount(ULONG, PULONG, PULONG, PULONG, PULONG, PULONG) = 0;
};
IID(IPinCount, 0x5dadb7dcL, 0xa2cb, 0x4540, {0xa4, 0xa8, 0x42, 0x5e, 0xe4, 0xae, 0x90, 0x51})
METHOD(IPinCount, PinCount)

INTERFACE(IPinName, IUnknown) {
    virtual NTSTATUS GetPinName(PIRP, KSP_PIN*, PVOID) = 0;
};
IID(IPinName, 0x29cc9ab1, 0xe89d, 0x413c, {0xb6, 0xb2, 0xf6, 0xd5, 0x0, 0x5, 0xd0, 0x63})
METHOD(IPinName, GetPinName)

INTERFACE(IPortEvents, IUnknown) {
    virtual void AddEventToEventList(KSEVENT_ENTRY*) = 0;
    virtual void GenerateEventList(GUID*, ULONG, BOOL, ULONG, BOOL, ULONG) = 0;
};
IID(IPortEvents, 0xA80F29C4L, 0x5498, 0x11D2, {0x95, 0xD9, 0x00, 0xC0, 0x4F, 0xB9, 0x25, 0xD3})
METHOD(IPortEvents, AddEventToEventList)
METHOD(IPortEvents, GenerateEventList)

INTERFACE(IPreFetchOffset, IUnknown) {
    virtual void SetPreFetchOffset(ULONG) = 0;
};
IID(IPreFetchOffset, 0x7000f480L, 0xed44, 0x4e8b, {0xb3, 0x8a, 0x41, 0x2f, 0x8d, 0x7a, 0x50, 0x4d})
METHOD(IPreFetchOffset, SetPreFetchOffset)

INTERFACE(IUnregisterSubdevice, IUnknown) {
    virtual NTSTATUS UnregisterSubdevice(PDEVICE_OBJECT, PUNKNOWN) = 0;
};
IID(IUnregisterSubdevice, 0x16738177L, 0xe199, 0x41f9, {0x9a, 0x87, 0xab, 0xb2, 0xa5, 0x43, 0x2f, 0x21})
METHOD(IUnregisterSubdevice, UnregisterSubdevice)

INTERFACE(IUnregisterPhysicalConnection, IUnknown) {
    virtual NTSTATUS UnregisterPhysicalConnection(PDEVICE_OBJECT, PUNKNOWN, ULONG, PUNKNOWN, ULONG) = 0;
    virtual NTSTATUS UnregisterPhysicalConnectionToExternal(PDEVICE_OBJECT, PUNKNOWN, ULONG, PUNICODE_STRING, ULONG) = 0;
    virtual NTSTATUS UnregisterPhysicalConnectionFromExternal(PDEVICE_OBJECT, PUNICODE_STRING, ULONG, PUNKNOWN, ULONG) = 0;
};
IID(IUnregisterPhysicalConnection, 0x6c38e231L, 0x2a0d, 0x428d, {0x81, 0xf8, 0x07, 0xcc, 0x42, 0x8b, 0xb9, 0xa4})
METHOD(IUnregisterPhysicalConnection, UnregisterPhysicalConnection)
METHOD(IUnregisterPhysicalConnection, UnregisterPhysicalConnectionToExternal)
METHOD(IUnregisterPhysicalConnection, UnregisterPhysicalConnectionFromExternal)

// ------------------------------------------------------------------------------------------------------------------------------------
// Power, plug and play, services of a port.

INTERFACE(IAdapterPowerManagement, IUnknown) {
    virtual void PowerChangeState(POWER_STATE) = 0;
    virtual NTSTATUS QueryPowerChangeState(POWER_STATE) = 0;
    virtual NTSTATUS QueryDeviceCapabilities(DEVICE_CAPABILITIES*) = 0;
};
IID(IAdapterPowerManagement, 0x793417D0L, 0x35FE, 0x11D1, {0xAD, 0x08, 0x00, 0xA0, 0xC9, 0x0A, 0xB1, 0xB0})
METHOD(IAdapterPowerManagement, PowerChangeState)
METHOD(IAdapterPowerManagement, QueryPowerChangeState)
METHOD(IAdapterPowerManagement, QueryDeviceCapabilities)

// The header derives these two from IUnknown and repeats the methods: the same tables.
INTERFACE(IAdapterPowerManagement2, IAdapterPowerManagement) {
    virtual void PowerChangeState2(DEVICE_POWER_STATE, SYSTEM_POWER_STATE) = 0;
};
IID(IAdapterPowerManagement2, 0xE0F92E5DL, 0x67F5, 0x48EE, {0xB5, 0x7A, 0x7D, 0x1E, 0x90, 0xC5, 0xF4, 0x3D})
METHOD(IAdapterPowerManagement2, PowerChangeState2)
INTERFACE(IAdapterPowerManagement3, IAdapterPowerManagement2) {
    virtual void PowerChangeState3(DEVICE_POWER_STATE, SYSTEM_POWER_STATE, PC_EXIT_LATENCY) = 0;
    virtual NTSTATUS D3ExitLatencyChanged(PC_EXIT_LATENCY) = 0;
};
IID(IAdapterPowerManagement3, 0xA8C7303EL, 0xF80C, 0x4BC9, {0xB2, 0xE3, 0xFB, 0x2D, 0x08, 0xBE, 0x92, 0x0F})
METHOD(IAdapterPowerManagement3, PowerChangeState3)
METHOD(IAdapterPowerManagement3, D3ExitLatencyChanged)

INTERFACE(IPowerNotify, IUnknown) {
    virtual void PowerChangeNotify(POWER_STATE) = 0;
};
IID(IPowerNotify, 0x3DD648B8L, 0x969F, 0x11D1, {0x95, 0xA9, 0x00, 0xC0, 0x4F, 0xB9, 0x25, 0xD3})
METHOD(IPowerNotify, PowerChangeNotify)

INTERFACE(IAdapterPnpManagement, IUnknown) {
    virtual PC_REBALANCE_TYPE GetSupportedRebalanceType() = 0;
    virtual void PnpQueryStop() = 0;
    virtual void PnpCancelStop() = 0;
    virtual void PnpStop() = 0;
};
IID(IAdapterPnpManagement, 0x706f2368L, 0x4086, 0x47f5, {0xb9, 0x13, 0x57, 0xb7, 0x6e, 0xed, 0x1a, 0x32})
METHOD(IAdapterPnpManagement, GetSupportedRebalanceType)
METHOD(IAdapterPnpManagement, PnpQueryStop)
METHOD(IAdapterPnpManagement, PnpCancelStop)
METHOD(IAdapterPnpManagement, PnpStop)

INTERFACE(IMiniportPnpNotify, IUnknown) {
    virtual void PnpStop() = 0;
};
IID(IMiniportPnpNotify, 0x6b735365L, 0x9487, 0x464c, {0x93, 0xe3, 0xfa, 0x2c, 0x63, 0x91, 0xd5, 0xa4})
METHOD(IMiniportPnpNotify, PnpStop)

INTERFACE(IPortClsPnp, IUnknown) {
    virtual NTSTATUS RegisterAdapterPnpManagement(PUNKNOWN, PDEVICE_OBJECT) = 0;
    virtual NTSTATUS UnregisterAdapterPnpManagement(PDEVICE_OBJECT) = 0;
};
IID(IPortClsPnp, 0x0485791b, 0x17f5, 0x4b73, {0x90, 0x2a, 0x20, 0x34, 0x48, 0x60, 0xb9, 0xca})
METHOD(IPortClsPnp, RegisterAdapterPnpManagement)
METHOD(IPortClsPnp, UnregisterAdapterPnpManagement)

INTERFACE(IPortClsPower, IUnknown) {
    virtual NTSTATUS RegisterAdapterPowerManagement(PUNKNOWN, PDEVICE_OBJECT) = 0;
    virtual NTSTATUS UnregisterAdapterPowerManagement(PDEVICE_OBJECT) = 0;
    virtual NTSTATUS SetIdlePowerManagement(PDEVICE_OBJECT, BOOLEAN) = 0;
};
IID(IPortClsPower, 0x47ba0351, 0xbc4b, 0x4869, {0x81, 0x34, 0xb7, 0x4f, 0xe1, 0x78, 0x52, 0xd8})
METHOD(IPortClsPower, RegisterAdapterPowerManagement)
METHOD(IPortClsPower, UnregisterAdapterPowerManagement)
METHOD(IPortClsPower, SetIdlePowerManagement)

INTERFACE(IPortClsRuntimePower, IUnknown) {
    typedef NTSTATUS (*PCPFNRUNTIME_POWER_CONTROL_CALLBACK)(const GUID*, PVOID, SIZE_T, PVOID, SIZE_T, SIZE_T*, PVOID);
    virtual NTSTATUS SendPowerControl(PDEVICE_OBJECT, const GUID*, PVOID, SIZE_T, PVOID, SIZE_T, SIZE_T*) = 0;
    virtual NTSTATUS RegisterPowerControlCallback(PDEVICE_OBJECT, PCPFNRUNTIME_POWER_CONTROL_CALLBACK, PVOID) = 0;
    virtual NTSTATUS UnregisterPowerControlCallback(PDEVICE_OBJECT) = 0;
};
IID(IPortClsRuntimePower, 0xe057c351, 0x430, 0x4dbc, {0xb1, 0x72, 0xc7, 0x11, 0xd4, 0xa, 0x23, 0x73})
METHOD(IPortClsRuntimePower, SendPowerControl)
METHOD(IPortClsRuntimePower, RegisterPowerControlCallback)
METHOD(IPortClsRuntimePower, UnregisterPowerControlCallback)

INTERFACE(IPortClsVersion, IUnknown) {
    virtual DWORD GetVersion() = 0;
};
IID(IPortClsVersion, 0x7D89A7BBL, 0x869B, 0x4567, {0x8D, 0xBE, 0x1E, 0x16, 0x8C, 0xC8, 0x53, 0xDE})
METHOD(IPortClsVersion, GetVersion)

INTERFACE(IPortClsSubdeviceEx, IUnknown) {
    virtual NTSTATUS UpdatePinDescriptor(ULONG, ULONG, PCPIN_DESCRIPTOR*) = 0;
};
IID(IPortClsSubdeviceEx, 0xc3d5e80c, 0x7f55, 0x40c5, {0x88, 0xb2, 0x62, 0x10, 0xd0, 0xcb, 0x2b, 0x59})
METHOD(IPortClsSubdeviceEx, UpdatePinDescriptor)

INTERFACE(IPortClsEtwHelper, IUnknown) {
    virtual NTSTATUS MiniportWriteEtwEvent(EPcMiniportEngineEvent, ULONGLONG, ULONGLONG, ULONGLONG, ULONGLONG) = 0;
};
IID(IPortClsEtwHelper, 0x80ef6667, 0xe8b1, 0x4252, {0xab, 0x9, 0x8f, 0x6d, 0x5e, 0xbb, 0xd1, 0x9f})
METHOD(IPortClsEtwHelper, MiniportWriteEtwEvent)

INTERFACE(IPortClsStreamResourceManager, IUnknown) {
    virtual NTSTATUS AddStreamResource(PVOID, PCSTREAMRESOURCE_DESCRIPTOR*, PCSTREAMRESOURCE*) = 0;
    virtual NTSTATUS RemoveStreamResource(PCSTREAMRESOURCE) = 0;
};
IID(IPortClsStreamResourceManager, 0xe1cd9915, 0xcab1, 0x4103, {0xbb, 0x2f, 0x7d, 0xc0, 0x9c, 0x9b, 0xe9, 0x42})
METHOD(IPortClsStreamResourceManager, AddStreamResource)
METHOD(IPortClsStreamResourceManager, RemoveStreamResource)
INTERFACE(IPortClsStreamResourceManager2, IPortClsStreamResourceManager) {
    virtual NTSTATUS AddStreamResource2(PDEVICE_OBJECT, PVOID, PCSTREAMRESOURCE_DESCRIPTOR*, PCSTREAMRESOURCE*) = 0;
};
IID(IPortClsStreamResourceManager2, 0x0d500bae, 0xd565, 0x469d, {0xa0, 0xe2, 0xf2, 0x83, 0x76, 0x0d, 0x71, 0x48})
METHOD(IPortClsStreamResourceManager2, AddStreamResource2)

INTERFACE(IPortClsNotifications, IUnknown) {
    virtual NTSTATUS AllocNotificationBuffer(POOL_TYPE, USHORT, PCNOTIFICATION_BUFFER**) = 0;
    virtual void FreeNotificationBuffer(PCNOTIFICATION_BUFFER*) = 0;
    virtual void SendNotification(const GUID*, PCNOTIFICATION_BUFFER*) = 0;
};
IID(IPortClsNotifications, 0x1E092CE2L, 0xDB25, 0x483B, {0x84, 0x46, 0xB0, 0x96, 0x12, 0x15, 0x25, 0x8B})
METHOD(IPortClsNotifications, AllocNotificationBuffer)
METHOD(IPortClsNotifications, FreeNotificationBuffer)
METHOD(IPortClsNotifications, SendNotification)

INTERFACE(IPortWMIRegistration, IUnknown) {
    virtual NTSTATUS RegisterWMIProvider(PDEVICE_OBJECT, PVOID) = 0;
    virtual NTSTATUS UnregisterWMIProvider(PDEVICE_OBJECT) = 0;
};
IID(IPortWMIRegistration, 0xd80b18e7, 0x804c, 0x4e1e, {0x82, 0xd3, 0x24, 0x61, 0xec, 0x6, 0xe7, 0xc7})
METHOD(IPortWMIRegistration, RegisterWMIProvider)
METHOD(IPortWMIRegistration, UnregisterWMIProvider)

// ------------------------------------------------------------------------------------------------------------------------------------
// DRM.

INTERFACE(IDrmAudioStream, IUnknown) {
    virtual NTSTATUS SetContentId(ULONG, const DRMRIGHTS*) = 0;
};
IID(IDrmAudioStream, 0x1915c967, 0x3299, 0x48cb, {0xa3, 0xe4, 0x69, 0xfd, 0x1d, 0x1b, 0x30, 0x6e})
METHOD(IDrmAudioStream, SetContentId)

INTERFACE(IDrmPort, IUnknown) {
    virtual NTSTATUS CreateContentMixed(PULONG, ULONG, PULONG) = 0;
    virtual NTSTATUS DestroyContent(ULONG) = 0;
    virtual NTSTATUS ForwardContentToFileObject(ULONG, PFILE_OBJECT) = 0;
    virtual NTSTATUS ForwardContentToInterface(ULONG, PUNKNOWN, ULONG) = 0;
    virtual NTSTATUS GetContentRights(ULONG, DRMRIGHTS*) = 0;
};
IID(IDrmPort, 0x286D3DF8L, 0xCA22, 0x4E2E, {0xB9, 0xBC, 0x20, 0xB4, 0xF0, 0xE2, 0x01, 0xCE})
METHOD(IDrmPort, CreateContentMixed)
METHOD(IDrmPort, DestroyContent)
METHOD(IDrmPort, ForwardContentToFileObject)
METHOD(IDrmPort, ForwardContentToInterface)
METHOD(IDrmPort, GetContentRights)
INTERFACE(IDrmPort2, IDrmPort) {
    virtual NTSTATUS AddContentHandlers(ULONG, PVOID*, ULONG) = 0;
    virtual NTSTATUS ForwardContentToDeviceObject(ULONG, PVOID, const DRMFORWARD*) = 0;
};
IID(IDrmPort2, 0x1ACCE59CL, 0x7311, 0x4B6B, {0x9F, 0xBA, 0xCC, 0x3B, 0xA5, 0x9A, 0xCD, 0xCE})
METHOD(IDrmPort2, AddContentHandlers)
METHOD(IDrmPort2, ForwardContentToDeviceObject)

// ------------------------------------------------------------------------------------------------------------------------------------
// Offload.

INTERFACE(IMiniportAudioEngineNode, IUnknown) {
    virtual NTSTATUS GetAudioEngineDescriptor(ULONG, KSAUDIOENGINE_DESCRIPTOR*) = 0;
    virtual NTSTATUS GetGfxState(ULONG, BOOL*) = 0;
    virtual NTSTATUS SetGfxState(ULONG, BOOL) = 0;
    virtual NTSTATUS GetEngineFormatSize(ULONG, eEngineFormatType, ULONG*) = 0;
    virtual NTSTATUS GetMixFormat(ULONG, KSDATAFORMAT_WAVEFORMATEX*, ULONG) = 0;
    virtual NTSTATUS GetDeviceFormat(ULONG, KSDATAFORMAT_WAVEFORMATEX*, ULONG) = 0;
    virtual NTSTATUS SetDeviceFormat(ULONG, KSDATAFORMAT_WAVEFORMATEX*, ULONG) = 0;
    virtual NTSTATUS GetSupportedDeviceFormats(ULONG, KSMULTIPLE_ITEM*, ULONG) = 0;
    virtual NTSTATUS GetDeviceChannelCount(ULONG, eChannelTargetType, UINT32*) = 0;
    virtual NTSTATUS GetDeviceAttributeSteppings(ULONG, eChannelTargetType, KSPROPERTY_STEPPING_LONG*, UINT32) = 0;
    virtual NTSTATUS GetDeviceChannelVolume(ULONG, UINT32, LONG*) = 0;
    virtual NTSTATUS SetDeviceChannelVolume(ULONG, UINT32, LONG) = 0;
    virtual NTSTATUS GetDeviceChannelMute(ULONG, UINT32, BOOL*) = 0;
    virtual NTSTATUS SetDeviceChannelMute(ULONG, UINT32, BOOL) = 0;
    virtual NTSTATUS GetDeviceChannelPeakMeter(ULONG, UINT32, LONG*) = 0;
    virtual NTSTATUS GetBufferSizeRange(ULONG, KSDATAFORMAT_WAVEFORMATEX*, KSAUDIOENGINE_BUFFER_SIZE_RANGE*) = 0;
};
IID(IMiniportAudioEngineNode, 0x2ebf536c, 0xef57, 0x4c64, {0xbe, 0xdc, 0x25, 0xc1, 0xa6, 0xd6, 0x68, 0xe6})
METHOD(IMiniportAudioEngineNode, GetAudioEngineDescriptor)
METHOD(IMiniportAudioEngineNode, GetGfxState)
METHOD(IMiniportAudioEngineNode, SetGfxState)
METHOD(IMiniportAudioEngineNode, GetEngineFormatSize)
METHOD(IMiniportAudioEngineNode, GetMixFormat)
METHOD(IMiniportAudioEngineNode, GetDeviceFormat)
METHOD(IMiniportAudioEngineNode, SetDeviceFormat)
METHOD(IMiniportAudioEngineNode, GetSupportedDeviceFormats)
METHOD(IMiniportAudioEngineNode, GetDeviceChannelCount)
METHOD(IMiniportAudioEngineNode, GetDeviceAttributeSteppings)
METHOD(IMiniportAudioEngineNode, GetDeviceChannelVolume)
METHOD(IMiniportAudioEngineNode, SetDeviceChannelVolume)
METHOD(IMiniportAudioEngineNode, GetDeviceChannelMute)
METHOD(IMiniportAudioEngineNode, SetDeviceChannelMute)
METHOD(IMiniportAudioEngineNode, GetDeviceChannelPeakMeter)
METHOD(IMiniportAudioEngineNode, GetBufferSizeRange)

INTERFACE(IMiniportStreamAudioEngineNode, IUnknown) {
    virtual NTSTATUS GetLfxState(BOOL*) = 0;
    virtual NTSTATUS SetLfxState(BOOL) = 0;
    virtual NTSTATUS GetStreamChannelCount(eChannelTargetType, UINT32*) = 0;
    virtual NTSTATUS GetStreamAttributeSteppings(eChannelTargetType, KSPROPERTY_STEPPING_LONG*, UINT32) = 0;
    virtual NTSTATUS GetStreamChannelVolume(UINT32, LONG*) = 0;
    virtual NTSTATUS SetStreamChannelVolume(UINT32, LONG, AUDIO_CURVE_TYPE, ULONGLONG) = 0;
    virtual NTSTATUS GetStreamChannelMute(UINT32, BOOL*) = 0;
    virtual NTSTATUS SetStreamChannelMute(UINT32, BOOL) = 0;
    virtual NTSTATUS GetStreamChannelPeakMeter(UINT32, LONG*) = 0;
    virtual NTSTATUS GetStreamPresentationPosition(KSAUDIO_PRESENTATION_POSITION*) = 0;
    virtual NTSTATUS SetStreamCurrentWritePosition(ULONG) = 0;
    virtual NTSTATUS GetStreamLinearBufferPosition(ULONGLONG*) = 0;
    virtual NTSTATUS SetStreamLoopbackProtection(CONSTRICTOR_OPTION) = 0;
};
IID(IMiniportStreamAudioEngineNode, 0xbd6eeb4b, 0xe6e5, 0x40fd, {0x8d, 0x5a, 0x5b, 0x1d, 0xcd, 0xe2, 0xc, 0x42})
METHOD(IMiniportStreamAudioEngineNode, GetLfxState)
METHOD(IMiniportStreamAudioEngineNode, SetLfxState)
METHOD(IMiniportStreamAudioEngineNode, GetStreamChannelCount)
METHOD(IMiniportStreamAudioEngineNode, GetStreamAttributeSteppings)
METHOD(IMiniportStreamAudioEngineNode, GetStreamChannelVolume)
METHOD(IMiniportStreamAudioEngineNode, SetStreamChannelVolume)
METHOD(IMiniportStreamAudioEngineNode, GetStreamChannelMute)
METHOD(IMiniportStreamAudioEngineNode, SetStreamChannelMute)
METHOD(IMiniportStreamAudioEngineNode, GetStreamChannelPeakMeter)
METHOD(IMiniportStreamAudioEngineNode, GetStreamPresentationPosition)
METHOD(IMiniportStreamAudioEngineNode, SetStreamCurrentWritePosition)
METHOD(IMiniportStreamAudioEngineNode, GetStreamLinearBufferPosition)
METHOD(IMiniportStreamAudioEngineNode, SetStreamLoopbackProtection)

INTERFACE(IMiniportStreamAudioEngineNode2, IUnknown) {
    virtual NTSTATUS SetStreamCurrentWritePositionForLastBuffer(ULONG) = 0;
};
IID(IMiniportStreamAudioEngineNode2, 0xaeb7f86a, 0x6cba, 0x44cf, {0xa2, 0xd2, 0xb3, 0xfa, 0x5b, 0x69, 0x68, 0x17})
METHOD(IMiniportStreamAudioEngineNode2, SetStreamCurrentWritePositionForLastBuffer)
