// The ABI's second opinion: WaveRT interfaces as C++ sees them.
//
// clang compiles this file for the Microsoft ABI (x86_64-pc-windows-msvc) and ntguest links the object. It shares no declaration with the
// Rust side: every interface is declared here, from WAVERT.md 2.2, as the C++ classes they are on Windows. So slot order, `this`,
// argument sizes and the hidden result pointer of GetPhysicalPageAddress are the compiler's, not ours.
//
// Two halves: (1) a class that *is* the IPortWaveRTStream the driver gets (cfg `oracle=1`) and forwards to a table of plain functions;
// (2) plain functions that call the driver's miniport and stream through virtual calls.
//
// No headers, no exceptions, no RTTI, no floating point. `long` has 32 bits in this ABI, as the interfaces want.

typedef unsigned char BOOLEAN;
typedef int BOOL;
typedef long NTSTATUS;
typedef unsigned long ULONG;
typedef long long LONGLONG;
typedef unsigned long long ULONGLONG;
typedef unsigned long long SIZE_T;

static_assert(sizeof(ULONG) == 4 && sizeof(LONGLONG) == 8 && sizeof(void*) == 8, "this is not the Windows x64 ABI");

struct GUID {
    ULONG Data1;
    unsigned short Data2, Data3;
    unsigned char Data4[8];
};

// A union with two views of eight bytes, returned by value from a member function: the trap of WAVERT.md 2.3.
union PHYSICAL_ADDRESS {
    struct {
        ULONG LowPart;
        long HighPart;
    } u;
    LONGLONG QuadPart;
};

struct MDL;
struct KEVENT;
struct KSDATAFORMAT;
struct PCFILTER_DESCRIPTOR;
struct DEVICE_DESCRIPTION;
struct RESOURCELIST;
enum KSSTATE : int { KSSTATE_STOP, KSSTATE_ACQUIRE, KSSTATE_PAUSE, KSSTATE_RUN };
enum MEMORY_CACHING_TYPE : int { MmNonCached, MmCached, MmWriteCombined };

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
    void* Register;
    ULONG Width;
    ULONGLONG Numerator, Denominator;
    ULONG Accuracy;
};
static_assert(sizeof(KSRTAUDIO_HWREGISTER) == 40 && sizeof(KSAUDIO_POSITION) == 16, "structure layout");

#define INTERFACE struct __declspec(novtable)

INTERFACE IUnknown {
    virtual NTSTATUS QueryInterface(const GUID& iid, void** out) = 0;
    virtual ULONG AddRef() = 0;
    virtual ULONG Release() = 0;
};

INTERFACE IPortWaveRTStream : IUnknown {
    virtual MDL* AllocatePagesForMdl(PHYSICAL_ADDRESS high, SIZE_T bytes) = 0;
    virtual MDL* AllocateContiguousPagesForMdl(PHYSICAL_ADDRESS low, PHYSICAL_ADDRESS high, SIZE_T bytes) = 0;
    virtual void* MapAllocatedPages(MDL* mdl, MEMORY_CACHING_TYPE cache) = 0;
    virtual void UnmapAllocatedPages(void* base, MDL* mdl) = 0;
    virtual void FreePagesFromMdl(MDL* mdl) = 0;
    virtual ULONG GetPhysicalPagesCount(MDL* mdl) = 0;
    virtual PHYSICAL_ADDRESS GetPhysicalPageAddress(MDL* mdl, ULONG index) = 0;
};

INTERFACE IMiniportWaveRTStream : IUnknown {
    virtual NTSTATUS SetFormat(KSDATAFORMAT* format) = 0;
    virtual NTSTATUS SetState(KSSTATE state) = 0;
    virtual NTSTATUS GetPosition(KSAUDIO_POSITION* position) = 0;
    virtual NTSTATUS AllocateAudioBuffer(ULONG size, MDL** mdl, ULONG* actual, ULONG* offset, MEMORY_CACHING_TYPE* cache) = 0;
    virtual void FreeAudioBuffer(MDL* mdl, ULONG size) = 0;
    virtual void GetHWLatency(KSRTAUDIO_HWLATENCY* latency) = 0;
    virtual NTSTATUS GetPositionRegister(KSRTAUDIO_HWREGISTER* reg) = 0;
    virtual NTSTATUS GetClockRegister(KSRTAUDIO_HWREGISTER* reg) = 0;
};

INTERFACE IMiniportWaveRTStreamNotification : IMiniportWaveRTStream {
    virtual NTSTATUS AllocateBufferWithNotification(ULONG count, ULONG size, MDL** mdl, ULONG* actual, ULONG* offset,
                                                    MEMORY_CACHING_TYPE* cache) = 0;
    virtual void FreeBufferWithNotification(MDL* mdl, ULONG size) = 0;
    virtual NTSTATUS RegisterNotificationEvent(KEVENT* event) = 0;
    virtual NTSTATUS UnregisterNotificationEvent(KEVENT* event) = 0;
};

// Packet number, flags, raw performance counter of its first sample, and a BOOL, which has 32 bits.
INTERFACE IMiniportWaveRTInputStream : IUnknown {
    virtual NTSTATUS GetReadPacket(ULONG* number, ULONG* flags, ULONGLONG* counter, BOOL* more) = 0;
};

INTERFACE IMiniportWaveRTOutputStream : IUnknown {
    virtual NTSTATUS SetWritePacket(ULONG number, ULONG flags, ULONG end_of_stream_length) = 0;
    virtual NTSTATUS GetOutputStreamPresentationPosition(KSAUDIO_PRESENTATION_POSITION* position) = 0;
    virtual NTSTATUS GetPacketCount(ULONG* count) = 0;
};

// Rights that a stream is asked to enforce, drmk.h.
struct DRMRIGHTS {
    BOOL CopyProtect;
    ULONG Reserved;
    BOOL DigitalOutputDisable;
};

INTERFACE IDrmAudioStream : IUnknown {
    virtual NTSTATUS SetContentId(ULONG content, const DRMRIGHTS* rights) = 0;
};

enum PC_REBALANCE_TYPE : int { PcRebalanceNotSupported, PcRebalanceRemoveSubdevices };

// What an adapter is asked and told around a rebalance.
INTERFACE IAdapterPnpManagement : IUnknown {
    virtual PC_REBALANCE_TYPE GetSupportedRebalanceType() = 0;
    virtual void PnpQueryStop() = 0;
    virtual void PnpCancelStop() = 0;
    virtual void PnpStop() = 0;
};

// What a miniport is told.
INTERFACE IMiniportPnpNotify : IUnknown {
    virtual void PnpStop() = 0;
};

INTERFACE IMiniport : IUnknown {
    virtual NTSTATUS GetDescription(PCFILTER_DESCRIPTOR** description) = 0;
    virtual NTSTATUS DataRangeIntersection(ULONG pin, KSDATAFORMAT* client, KSDATAFORMAT* mine, ULONG room, void* result, ULONG* length) = 0;
};

INTERFACE IMiniportWaveRT : IMiniport {
    virtual NTSTATUS Init(IUnknown* adapter, RESOURCELIST* resources, IUnknown* port) = 0;
    virtual NTSTATUS NewStream(IMiniportWaveRTStream** stream, IPortWaveRTStream* port_stream, ULONG pin, BOOLEAN capture,
                               KSDATAFORMAT* format) = 0;
    virtual NTSTATUS GetDeviceDescription(DEVICE_DESCRIPTION* description) = 0;
};

// ------------------------------------------------------------------------------------------------------------------------------------
// (1) The port side.

extern "C" {
// What the class below forwards to; `context` is the Rust port stream that keeps the accounts.
struct PageFunctions {
    void* context;
    ULONG (*add_ref)(void* context);
    ULONG (*release)(void* context);
    MDL* (*allocate)(void* context, ULONGLONG high, SIZE_T bytes);
    MDL* (*allocate_contiguous)(void* context, ULONGLONG low, ULONGLONG high, SIZE_T bytes);
    void* (*map)(void* context, MDL* mdl, ULONG cache);
    void (*unmap)(void* context, void* base, MDL* mdl);
    void (*free)(void* context, MDL* mdl);
    ULONG (*page_count)(void* context, MDL* mdl);
    ULONGLONG (*page_address)(void* context, MDL* mdl, ULONG index);
};
}

namespace {

constexpr NTSTATUS kSuccess = 0;
constexpr NTSTATUS kNoInterface = static_cast<NTSTATUS>(0xC00002B9);

constexpr GUID kUnknown = {0x00000000, 0x0000, 0x0000, {0xC0, 0, 0, 0, 0, 0, 0, 0x46}};
constexpr GUID kPortWaveRtStream = {0x1809CE5A, 0x64BC, 0x4E62, {0xBD, 0x7D, 0x95, 0xBC, 0xE4, 0x3D, 0xE3, 0x93}};

// How often each half was called: the run's proof that C++ was in the middle. Threads interrupt each other, hence atomic.
ULONG port_calls = 0;
ULONG client_calls = 0;

void note(ULONG& calls) { __atomic_fetch_add(&calls, 1, __ATOMIC_RELAXED); }

bool same(const GUID& a, const GUID& b) {
    const auto* x = reinterpret_cast<const unsigned char*>(&a);
    const auto* y = reinterpret_cast<const unsigned char*>(&b);
    for (int i = 0; i < 16; ++i)
        if (x[i] != y[i]) return false;
    return true;
}

class PortStream final : public IPortWaveRTStream {
public:
    explicit PortStream(const PageFunctions& functions) : functions_(functions) {}

    NTSTATUS QueryInterface(const GUID& iid, void** out) override {
        *out = nullptr;
        if (!same(iid, kUnknown) && !same(iid, kPortWaveRtStream)) return kNoInterface;
        *out = this;
        AddRef();
        return kSuccess;
    }
    ULONG AddRef() override { return functions_.add_ref(functions_.context); }
    ULONG Release() override { return functions_.release(functions_.context); }

    MDL* AllocatePagesForMdl(PHYSICAL_ADDRESS high, SIZE_T bytes) override {
        note(port_calls);
        return functions_.allocate(functions_.context, static_cast<ULONGLONG>(high.QuadPart), bytes);
    }
    MDL* AllocateContiguousPagesForMdl(PHYSICAL_ADDRESS low, PHYSICAL_ADDRESS high, SIZE_T bytes) override {
        note(port_calls);
        return functions_.allocate_contiguous(functions_.context, static_cast<ULONGLONG>(low.QuadPart),
                                              static_cast<ULONGLONG>(high.QuadPart), bytes);
    }
    void* MapAllocatedPages(MDL* mdl, MEMORY_CACHING_TYPE cache) override {
        note(port_calls);
        return functions_.map(functions_.context, mdl, static_cast<ULONG>(cache));
    }
    void UnmapAllocatedPages(void* base, MDL* mdl) override {
        note(port_calls);
        functions_.unmap(functions_.context, base, mdl);
    }
    void FreePagesFromMdl(MDL* mdl) override {
        note(port_calls);
        functions_.free(functions_.context, mdl);
    }
    ULONG GetPhysicalPagesCount(MDL* mdl) override {
        note(port_calls);
        return functions_.page_count(functions_.context, mdl);
    }
    PHYSICAL_ADDRESS GetPhysicalPageAddress(MDL* mdl, ULONG index) override {
        note(port_calls);
        PHYSICAL_ADDRESS address;
        address.QuadPart = static_cast<LONGLONG>(functions_.page_address(functions_.context, mdl, index));
        return address;
    }

private:
    PageFunctions functions_;
};

struct Placement {};

}  // namespace

inline void* operator new(SIZE_T, void* where, Placement) { return where; }

extern "C" {

// Calls of the driver into the port stream above, and of the client into the driver below.
ULONG oracle_port_calls() { return __atomic_load_n(&port_calls, __ATOMIC_RELAXED); }
ULONG oracle_client_calls() { return __atomic_load_n(&client_calls, __ATOMIC_RELAXED); }

// Bytes of memory, 16-byte aligned, that a port stream needs.
SIZE_T oracle_port_stream_bytes() { return sizeof(PortStream); }

// A port stream for the driver, made in memory that must outlive it.
void* oracle_port_stream(const PageFunctions* functions, void* memory) {
    IPortWaveRTStream* stream = new (memory, Placement()) PortStream(*functions);
    return stream;
}

// What GetPhysicalPageAddress looks like to a C++ caller: proves our Rust port stream's slot 9 from the other side.
ULONGLONG oracle_page_address(void* port_stream, MDL* mdl, ULONG index) {
    return static_cast<ULONGLONG>(static_cast<IPortWaveRTStream*>(port_stream)->GetPhysicalPageAddress(mdl, index).QuadPart);
}

// ------------------------------------------------------------------------------------------------------------------------------------
// (2) The client side. `stream` is what the driver returned for IMiniportWaveRTStreamNotification, `output` for IMiniportWaveRTOutputStream,
// `input` for IMiniportWaveRTInputStream.

NTSTATUS oracle_new_stream(void* miniport, void** stream, void* port_stream, ULONG pin, BOOLEAN capture, void* format) {
    note(client_calls);
    return static_cast<IMiniportWaveRT*>(miniport)->NewStream(reinterpret_cast<IMiniportWaveRTStream**>(stream),
                                                              static_cast<IPortWaveRTStream*>(port_stream), pin, capture,
                                                              static_cast<KSDATAFORMAT*>(format));
}

NTSTATUS oracle_set_state(void* stream, int state) {
    note(client_calls);
    return static_cast<IMiniportWaveRTStreamNotification*>(stream)->SetState(static_cast<KSSTATE>(state));
}
NTSTATUS oracle_get_position(void* stream, KSAUDIO_POSITION* position) {
    note(client_calls);
    return static_cast<IMiniportWaveRTStreamNotification*>(stream)->GetPosition(position);
}
void oracle_get_hw_latency(void* stream, KSRTAUDIO_HWLATENCY* latency) {
    note(client_calls);
    static_cast<IMiniportWaveRTStreamNotification*>(stream)->GetHWLatency(latency);
}
NTSTATUS oracle_get_position_register(void* stream, KSRTAUDIO_HWREGISTER* reg) {
    note(client_calls);
    return static_cast<IMiniportWaveRTStreamNotification*>(stream)->GetPositionRegister(reg);
}
NTSTATUS oracle_get_clock_register(void* stream, KSRTAUDIO_HWREGISTER* reg) {
    note(client_calls);
    return static_cast<IMiniportWaveRTStreamNotification*>(stream)->GetClockRegister(reg);
}
NTSTATUS oracle_allocate_audio_buffer(void* stream, ULONG size, MDL** mdl, ULONG* actual, ULONG* offset, ULONG* cache) {
    note(client_calls);
    MEMORY_CACHING_TYPE type = static_cast<MEMORY_CACHING_TYPE>(*cache);
    NTSTATUS status = static_cast<IMiniportWaveRTStreamNotification*>(stream)->AllocateAudioBuffer(size, mdl, actual, offset, &type);
    *cache = static_cast<ULONG>(type);
    return status;
}
void oracle_free_audio_buffer(void* stream, MDL* mdl, ULONG size) {
    note(client_calls);
    static_cast<IMiniportWaveRTStreamNotification*>(stream)->FreeAudioBuffer(mdl, size);
}
NTSTATUS oracle_allocate_buffer(void* stream, ULONG count, ULONG size, MDL** mdl, ULONG* actual, ULONG* offset, ULONG* cache) {
    note(client_calls);
    MEMORY_CACHING_TYPE type = static_cast<MEMORY_CACHING_TYPE>(*cache);
    NTSTATUS status =
        static_cast<IMiniportWaveRTStreamNotification*>(stream)->AllocateBufferWithNotification(count, size, mdl, actual, offset, &type);
    *cache = static_cast<ULONG>(type);
    return status;
}
void oracle_free_buffer(void* stream, MDL* mdl, ULONG size) {
    note(client_calls);
    static_cast<IMiniportWaveRTStreamNotification*>(stream)->FreeBufferWithNotification(mdl, size);
}
NTSTATUS oracle_register_event(void* stream, KEVENT* event) {
    note(client_calls);
    return static_cast<IMiniportWaveRTStreamNotification*>(stream)->RegisterNotificationEvent(event);
}
NTSTATUS oracle_unregister_event(void* stream, KEVENT* event) {
    note(client_calls);
    return static_cast<IMiniportWaveRTStreamNotification*>(stream)->UnregisterNotificationEvent(event);
}
NTSTATUS oracle_set_write_packet(void* output, ULONG number, ULONG flags, ULONG length) {
    note(client_calls);
    return static_cast<IMiniportWaveRTOutputStream*>(output)->SetWritePacket(number, flags, length);
}
NTSTATUS oracle_get_presentation_position(void* output, KSAUDIO_PRESENTATION_POSITION* position) {
    note(client_calls);
    return static_cast<IMiniportWaveRTOutputStream*>(output)->GetOutputStreamPresentationPosition(position);
}
NTSTATUS oracle_get_packet_count(void* output, ULONG* count) {
    note(client_calls);
    return static_cast<IMiniportWaveRTOutputStream*>(output)->GetPacketCount(count);
}
NTSTATUS oracle_set_content_id(void* drm, ULONG content, const DRMRIGHTS* rights) {
    note(client_calls);
    return static_cast<IDrmAudioStream*>(drm)->SetContentId(content, rights);
}
ULONG oracle_get_supported_rebalance_type(void* management) {
    note(client_calls);
    return static_cast<ULONG>(static_cast<IAdapterPnpManagement*>(management)->GetSupportedRebalanceType());
}
void oracle_pnp_query_stop(void* management) {
    note(client_calls);
    static_cast<IAdapterPnpManagement*>(management)->PnpQueryStop();
}
void oracle_pnp_cancel_stop(void* management) {
    note(client_calls);
    static_cast<IAdapterPnpManagement*>(management)->PnpCancelStop();
}
void oracle_pnp_stop(void* management) {
    note(client_calls);
    static_cast<IAdapterPnpManagement*>(management)->PnpStop();
}
void oracle_miniport_pnp_stop(void* notify) {
    note(client_calls);
    static_cast<IMiniportPnpNotify*>(notify)->PnpStop();
}
NTSTATUS oracle_get_read_packet(void* input, ULONG* number, ULONG* flags, ULONGLONG* counter, BOOL* more) {
    note(client_calls);
    return static_cast<IMiniportWaveRTInputStream*>(input)->GetReadPacket(number, flags, counter, more);
}
}
