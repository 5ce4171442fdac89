// What this driver needs of the kernel, declared from its documentation (x64 only): there are no SDK headers here.
// Types, records and the documented inline routines; the imports are in ntimports.h.
#pragma once

typedef unsigned char UCHAR, BOOLEAN, KIRQL, *PUCHAR;
typedef unsigned short USHORT;
typedef int BOOL;
typedef long LONG, NTSTATUS, *PLONG;
typedef unsigned long ULONG, DWORD, ACCESS_MASK, *PULONG;
typedef long long LONGLONG;
typedef unsigned long long ULONGLONG, ULONG64, ULONG_PTR, SIZE_T, KSPIN_LOCK, *PULONG64;
typedef wchar_t WCHAR, *PWSTR;
typedef const wchar_t* PCWSTR;
typedef void *PVOID, *HANDLE;
typedef HANDLE* PHANDLE;

static_assert(sizeof(LONG) == 4 && sizeof(PVOID) == 8 && sizeof(WCHAR) == 2, "not the Windows x64 ABI");

#define TRUE 1
#define FALSE 0
#define NTAPI
#define NTSYSAPI extern "C" __declspec(dllimport)
#define UNREFERENCED_PARAMETER(p) ((void)(p))
#define SIZEOF_ARRAY(a) (sizeof(a) / sizeof((a)[0]))
#define FIELD_OFFSET(type, field) __builtin_offsetof(type, field)
#define CONTAINING_RECORD(address, type, field) ((type*)((UCHAR*)(address) - FIELD_OFFSET(type, field)))
#define PAGE_SIZE 4096u

// --- status ------------------------------------------------------------------------------------------------------------------------
#define NT_SUCCESS(status) ((NTSTATUS)(status) >= 0)
#define STATUS_SUCCESS ((NTSTATUS)0x00000000L)
#define STATUS_PENDING ((NTSTATUS)0x00000103L)
#define STATUS_BUFFER_OVERFLOW ((NTSTATUS)0x80000005L)
#define STATUS_NO_MORE_ENTRIES ((NTSTATUS)0x8000001AL)
#define STATUS_UNSUCCESSFUL ((NTSTATUS)0xC0000001L)
#define STATUS_NOT_IMPLEMENTED ((NTSTATUS)0xC0000002L)
#define STATUS_INVALID_PARAMETER ((NTSTATUS)0xC000000DL)
#define STATUS_INVALID_DEVICE_REQUEST ((NTSTATUS)0xC0000010L)
#define STATUS_BUFFER_TOO_SMALL ((NTSTATUS)0xC0000023L)
#define STATUS_OBJECT_TYPE_MISMATCH ((NTSTATUS)0xC0000024L)
#define STATUS_DATA_OVERRUN ((NTSTATUS)0xC000003CL)
#define STATUS_DATA_LATE_ERROR ((NTSTATUS)0xC000003DL)
#define STATUS_INSUFFICIENT_RESOURCES ((NTSTATUS)0xC000009AL)
#define STATUS_DEVICE_NOT_READY ((NTSTATUS)0xC00000A3L)
#define STATUS_NOT_SUPPORTED ((NTSTATUS)0xC00000BBL)
#define STATUS_INVALID_DEVICE_STATE ((NTSTATUS)0xC0000184L)
#define STATUS_IO_DEVICE_ERROR ((NTSTATUS)0xC0000185L)
#define STATUS_DEVICE_CONFIGURATION_ERROR ((NTSTATUS)0xC0000182L)
#define STATUS_NOT_FOUND ((NTSTATUS)0xC0000225L)
#define STATUS_NO_MATCH ((NTSTATUS)0xC0000272L)

// --- plain records -----------------------------------------------------------------------------------------------------------------
struct GUID {
    ULONG Data1;
    USHORT Data2, Data3;
    UCHAR Data4[8];
};
typedef const GUID &REFGUID, &REFIID, &REFCLSID;

union LARGE_INTEGER {
    struct {
        ULONG LowPart;
        LONG HighPart;
    } u;
    LONGLONG QuadPart;
};
typedef LARGE_INTEGER PHYSICAL_ADDRESS;

struct UNICODE_STRING {
    USHORT Length, MaximumLength;
    PWSTR Buffer;
};

struct LIST_ENTRY {
    LIST_ENTRY *Flink, *Blink;
};

struct OBJECT_ATTRIBUTES {
    ULONG Length;
    HANDLE RootDirectory;
    UNICODE_STRING* ObjectName;
    ULONG Attributes;
    PVOID SecurityDescriptor, SecurityQualityOfService;
};
#define OBJ_CASE_INSENSITIVE 0x40u
#define OBJ_KERNEL_HANDLE 0x200u

inline void InitializeObjectAttributes(OBJECT_ATTRIBUTES* oa, UNICODE_STRING* name, ULONG attributes, HANDLE root) {
    *oa = {sizeof(OBJECT_ATTRIBUTES), root, name, attributes, nullptr, nullptr};
}

struct DEVPROPKEY {
    GUID fmtid;
    ULONG pid;
};
#define DEVPROP_TYPE_UINT32 0x7u
#define DEVPROP_TYPE_STRING 0x12u
#define PLUGPLAY_PROPERTY_PERSISTENT 1u
#define LOCALE_NEUTRAL 0u

// --- dispatcher objects, DPCs, timers ----------------------------------------------------------------------------------------------
struct DISPATCHER_HEADER {
    ULONG Lock;
    LONG SignalState;
    LIST_ENTRY WaitListHead;
};
struct KEVENT {
    DISPATCHER_HEADER Header;
};
typedef KEVENT* PKEVENT;

struct KDPC;
typedef void (*PKDEFERRED_ROUTINE)(KDPC* dpc, PVOID context, PVOID argument1, PVOID argument2);
struct KDPC {
    ULONG TargetInfoAsUlong;
    PVOID DpcListEntry;
    ULONG_PTR ProcessorHistory;
    PKDEFERRED_ROUTINE DeferredRoutine;
    PVOID DeferredContext, SystemArgument1, SystemArgument2, DpcData;
};
struct KTIMER {
    DISPATCHER_HEADER Header;
    LARGE_INTEGER DueTime;
    LIST_ENTRY TimerListEntry;
    KDPC* Dpc;
    ULONG Processor, Period;
};
static_assert(sizeof(KEVENT) == 0x18 && sizeof(KDPC) == 0x40 && sizeof(KTIMER) == 0x40, "dispatcher objects");

enum EVENT_TYPE : int { NotificationEvent, SynchronizationEvent };
enum TIMER_TYPE : int { NotificationTimer, SynchronizationTimer };
enum KWAIT_REASON : int { Executive };
enum KPROCESSOR_MODE : char { KernelMode, UserMode };
enum WORK_QUEUE_TYPE : int { CriticalWorkQueue, DelayedWorkQueue };
enum MEMORY_CACHING_TYPE : int { MmNonCached, MmCached, MmWriteCombined };
#define IO_NO_INCREMENT 0
#define IO_SOUND_INCREMENT 8
#define PAGE_READWRITE 0x04u
#define PAGE_NOCACHE 0x200u

// --- pool and lookaside lists ------------------------------------------------------------------------------------------------------
typedef ULONG64 POOL_FLAGS;
#define POOL_FLAG_NON_PAGED 0x40ull
#define POOL_FLAG_PAGED 0x100ull
#define POOL_NX_ALLOCATION 512u
typedef int POOL_TYPE;

struct SLIST_ENTRY {
    SLIST_ENTRY* Next;
};
struct alignas(16) SLIST_HEADER {
    ULONGLONG Alignment, Region;
};
typedef PVOID (*PALLOCATE_FUNCTION)(POOL_TYPE type, SIZE_T bytes, ULONG tag);
typedef void (*PFREE_FUNCTION)(PVOID buffer);

// The system's has the size of two cache lines and asks for their alignment; pool gives 16, which is what the list head needs.
struct GENERAL_LOOKASIDE {
    SLIST_HEADER ListHead;
    USHORT Depth, MaximumDepth;
    ULONG TotalAllocates, AllocateMisses, TotalFrees, FreeMisses;
    POOL_TYPE Type;
    ULONG Tag, Size;
    PALLOCATE_FUNCTION Allocate;
    PFREE_FUNCTION Free;
    LIST_ENTRY ListEntry;
    ULONG LastTotalAllocates, LastAllocateMisses, Future[2];
    UCHAR Padding[0x20];
};
struct NPAGED_LOOKASIDE_LIST {
    GENERAL_LOOKASIDE L;
};
static_assert(sizeof(NPAGED_LOOKASIDE_LIST) == 0x80 && FIELD_OFFSET(GENERAL_LOOKASIDE, Allocate) == 0x30, "lookaside list");

// --- I/O: only the fields that are used have names ---------------------------------------------------------------------------------
struct MDL;
typedef MDL* PMDL;
struct DRIVER_OBJECT;
struct IRP;
struct IO_WORKITEM;
struct ETHREAD;

struct DEVICE_OBJECT {
    short Type;
    USHORT Size;
    LONG ReferenceCount;
    DRIVER_OBJECT* DriverObject;
    PVOID Reserved1[6];
    PVOID DeviceExtension;
    UCHAR Reserved2[0x150 - 0x48];
};
static_assert(FIELD_OFFSET(DEVICE_OBJECT, DeviceExtension) == 0x40 && sizeof(DEVICE_OBJECT) == 0x150, "device object");

struct IO_STATUS_BLOCK {
    union {
        NTSTATUS Status;
        PVOID Pointer;
    };
    ULONG_PTR Information;
};

struct INTERFACE {
    USHORT Size, Version;
    PVOID Context;
    void (*InterfaceReference)(PVOID context);
    void (*InterfaceDereference)(PVOID context);
};
typedef ULONG (*PGET_SET_DEVICE_DATA)(PVOID context, ULONG type, PVOID buffer, ULONG offset, ULONG length);
struct BUS_INTERFACE_STANDARD : INTERFACE {
    PVOID TranslateBusAddress, GetDmaAdapter;
    PGET_SET_DEVICE_DATA SetBusData, GetBusData;
};
static_assert(sizeof(BUS_INTERFACE_STANDARD) == 0x40, "bus interface");
#define PCI_WHICHSPACE_CONFIG 0u

#define IRP_MJ_PNP 0x1B
#define IRP_MN_REMOVE_DEVICE 0x02
#define IRP_MN_STOP_DEVICE 0x04
#define IRP_MN_QUERY_INTERFACE 0x08
#define IRP_MN_SURPRISE_REMOVAL 0x17

struct IO_STACK_LOCATION {
    UCHAR MajorFunction, MinorFunction, Flags, Control;
    union {
        struct {
            const GUID* InterfaceType;
            USHORT Size, Version;
            INTERFACE* Interface;
            PVOID InterfaceSpecificData;
        } QueryInterface;
        PVOID Arguments[4];
    } Parameters;
    DEVICE_OBJECT* DeviceObject;
    PVOID FileObject, CompletionRoutine, Context;
};
static_assert(sizeof(IO_STACK_LOCATION) == 0x48 && FIELD_OFFSET(IO_STACK_LOCATION, DeviceObject) == 0x28, "stack location");

struct IRP {
    UCHAR Reserved1[0x30];
    IO_STATUS_BLOCK IoStatus;
    UCHAR Reserved2[0xB8 - 0x40];
    IO_STACK_LOCATION* CurrentStackLocation;
    UCHAR Reserved3[0xD0 - 0xC0];
};
static_assert(sizeof(IRP) == 0xD0 && FIELD_OFFSET(IRP, CurrentStackLocation) == 0xB8, "IRP");

inline IO_STACK_LOCATION* IoGetCurrentIrpStackLocation(IRP* irp) { return irp->CurrentStackLocation; }
inline IO_STACK_LOCATION* IoGetNextIrpStackLocation(IRP* irp) { return irp->CurrentStackLocation - 1; }

typedef NTSTATUS (*PDRIVER_DISPATCH)(DEVICE_OBJECT* device, IRP* irp);
typedef void (*PDRIVER_UNLOAD)(DRIVER_OBJECT* driver);
typedef NTSTATUS (*PDRIVER_ADD_DEVICE)(DRIVER_OBJECT* driver, DEVICE_OBJECT* pdo);
typedef void (*PIO_WORKITEM_ROUTINE)(DEVICE_OBJECT* device, PVOID context);

struct DRIVER_OBJECT {
    UCHAR Reserved[0x68];
    PDRIVER_UNLOAD DriverUnload;
    PDRIVER_DISPATCH MajorFunction[0x1C];
};
static_assert(sizeof(DRIVER_OBJECT) == 0x150, "driver object");

// --- hardware resources ------------------------------------------------------------------------------------------------------------
typedef int CM_RESOURCE_TYPE;
#define CmResourceTypeInterrupt 2
#define CmResourceTypeMemory 3
#define CM_RESOURCE_INTERRUPT_MESSAGE 0x2u

#pragma pack(push, 4)
struct CM_PARTIAL_RESOURCE_DESCRIPTOR {
    UCHAR Type, ShareDisposition;
    USHORT Flags;
    union {
        struct {
            PHYSICAL_ADDRESS Start;
            ULONG Length;
        } Memory;
        struct {
            ULONG Level, Vector;
            ULONG_PTR Affinity;
        } Interrupt;
    } u;
};
#pragma pack(pop)
static_assert(sizeof(CM_PARTIAL_RESOURCE_DESCRIPTOR) == 0x14, "resource descriptor");

struct DEVICE_DESCRIPTION {
    ULONG Version;
    BOOLEAN Master, ScatterGather, DemandMode, AutoInitialize, Dma32BitAddresses, IgnoreCount, Reserved1, Dma64BitAddresses;
    ULONG BusNumber, DmaChannel;
    int InterfaceType, DmaWidth, DmaSpeed;
    ULONG MaximumLength, DmaPort, DmaAddressWidth, DmaControllerInstance, DmaRequestLine;
    PHYSICAL_ADDRESS DeviceAddress;
};
static_assert(sizeof(DEVICE_DESCRIPTION) == 0x40, "device description");
#define DEVICE_DESCRIPTION_VERSION 0u
#define PCIBus 5

// --- power -------------------------------------------------------------------------------------------------------------------------
enum DEVICE_POWER_STATE : int { PowerDeviceUnspecified, PowerDeviceD0, PowerDeviceD1, PowerDeviceD2, PowerDeviceD3 };
enum SYSTEM_POWER_STATE : int { PowerSystemUnspecified, PowerSystemWorking };
union POWER_STATE {
    SYSTEM_POWER_STATE SystemState;
    DEVICE_POWER_STATE DeviceState;
};
struct DEVICE_CAPABILITIES;

// --- registry ----------------------------------------------------------------------------------------------------------------------
#define KEY_READ 0x20019u
#define KEY_WRITE 0x20006u
#define KEY_ALL_ACCESS 0xF003Fu
#define REG_OPTION_NON_VOLATILE 0u
#define REG_OPTION_VOLATILE 1u
#define REG_SZ 1u
#define REG_DWORD 4u
#define REG_QWORD 11u
#define PLUGPLAY_REGKEY_DEVICE 1u
#define PLUGPLAY_REGKEY_DRIVER 2u
#define RTL_REGISTRY_ABSOLUTE 0u
#define RTL_REGISTRY_HANDLE 0x40000000u
#define RTL_QUERY_REGISTRY_DIRECT 0x20u
#define RTL_QUERY_REGISTRY_TYPECHECK 0x100u
#define RTL_QUERY_REGISTRY_TYPECHECK_SHIFT 24
enum DRIVER_REGKEY_TYPE : int { DriverRegKeyParameters, DriverRegKeyPersistentState, DriverRegKeySharedPersistentState };
enum KEY_INFORMATION_CLASS : int { KeyBasicInformation, KeyNodeInformation, KeyFullInformation };
enum KEY_VALUE_INFORMATION_CLASS : int { KeyValueBasicInformation, KeyValueFullInformation, KeyValuePartialInformation };

struct KEY_BASIC_INFORMATION {
    LARGE_INTEGER LastWriteTime;
    ULONG TitleIndex, NameLength;
    WCHAR Name[1];
};
struct KEY_VALUE_FULL_INFORMATION {
    ULONG TitleIndex, Type, DataOffset, DataLength, NameLength;
    WCHAR Name[1];
};
struct KEY_VALUE_PARTIAL_INFORMATION {
    ULONG TitleIndex, Type, DataLength;
    UCHAR Data[1];
};
typedef NTSTATUS (*PRTL_QUERY_REGISTRY_ROUTINE)(PWSTR name, ULONG type, PVOID data, ULONG length, PVOID context, PVOID entry);
struct RTL_QUERY_REGISTRY_TABLE {
    PRTL_QUERY_REGISTRY_ROUTINE QueryRoutine;
    ULONG Flags;
    PCWSTR Name;
    PVOID EntryContext;
    ULONG DefaultType;
    const void* DefaultData;
    ULONG DefaultLength;
};
static_assert(sizeof(RTL_QUERY_REGISTRY_TABLE) == 0x38, "registry query table");
