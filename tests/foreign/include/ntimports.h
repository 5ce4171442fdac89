// Imports of the kernel, and the routines that the documentation has as macros or inline.
#pragma once
#include "nt.h"

NTSYSAPI ULONG DbgPrint(const char* format, ...);
NTSYSAPI int _vsnwprintf(WCHAR* buffer, SIZE_T count, const WCHAR* format, __builtin_va_list arguments);
NTSYSAPI int wcscmp(const WCHAR* a, const WCHAR* b);
NTSYSAPI void* memcpy(void* to, const void* from, SIZE_T bytes);
NTSYSAPI void* memset(void* to, int value, SIZE_T bytes);
#define RtlZeroMemory(to, bytes) memset((to), 0, (bytes))
#define RtlCopyMemory(to, from, bytes) memcpy((to), (from), (bytes))

NTSYSAPI void RtlInitUnicodeString(UNICODE_STRING* string, PCWSTR source);
NTSYSAPI NTSTATUS RtlAppendUnicodeToString(UNICODE_STRING* string, PCWSTR source);
NTSYSAPI void RtlCopyUnicodeString(UNICODE_STRING* to, const UNICODE_STRING* from);
NTSYSAPI LONG RtlCompareUnicodeString(const UNICODE_STRING* a, const UNICODE_STRING* b, BOOLEAN caseInsensitive);
NTSYSAPI void RtlFreeUnicodeString(UNICODE_STRING* string);
NTSYSAPI NTSTATUS RtlQueryRegistryValues(ULONG relativeTo, PCWSTR path, RTL_QUERY_REGISTRY_TABLE* table, PVOID context, PVOID environment);

NTSYSAPI NTSTATUS ZwOpenKey(PHANDLE key, ACCESS_MASK access, OBJECT_ATTRIBUTES* attributes);
NTSYSAPI NTSTATUS ZwCreateKey(PHANDLE key, ACCESS_MASK access, OBJECT_ATTRIBUTES* attributes, ULONG titleIndex, UNICODE_STRING* keyClass,
                              ULONG options, PULONG disposition);
NTSYSAPI NTSTATUS ZwSetValueKey(HANDLE key, UNICODE_STRING* name, ULONG titleIndex, ULONG type, PVOID data, ULONG bytes);
NTSYSAPI NTSTATUS ZwQueryValueKey(HANDLE key, UNICODE_STRING* name, KEY_VALUE_INFORMATION_CLASS what, PVOID information, ULONG length,
                                  PULONG resultLength);
NTSYSAPI NTSTATUS ZwEnumerateKey(HANDLE key, ULONG index, KEY_INFORMATION_CLASS what, PVOID information, ULONG length, PULONG resultLength);
NTSYSAPI NTSTATUS ZwEnumerateValueKey(HANDLE key, ULONG index, KEY_VALUE_INFORMATION_CLASS what, PVOID information, ULONG length,
                                      PULONG resultLength);
NTSYSAPI NTSTATUS ZwClose(HANDLE handle);

NTSYSAPI NTSTATUS IoOpenDeviceRegistryKey(DEVICE_OBJECT* pdo, ULONG type, ACCESS_MASK access, PHANDLE key);
NTSYSAPI NTSTATUS IoOpenDriverRegistryKey(DRIVER_OBJECT* driver, DRIVER_REGKEY_TYPE type, ACCESS_MASK access, ULONG flags, PHANDLE key);
NTSYSAPI NTSTATUS IoRegisterDeviceInterface(DEVICE_OBJECT* pdo, const GUID* kind, UNICODE_STRING* reference, UNICODE_STRING* link);
NTSYSAPI NTSTATUS IoSetDeviceInterfaceState(UNICODE_STRING* link, BOOLEAN enable);
NTSYSAPI NTSTATUS IoOpenDeviceInterfaceRegistryKey(UNICODE_STRING* link, ACCESS_MASK access, PHANDLE key);
NTSYSAPI NTSTATUS IoSetDeviceInterfacePropertyData(UNICODE_STRING* link, const DEVPROPKEY* key, ULONG lcid, ULONG flags, ULONG type,
                                                   ULONG size, PVOID data);
NTSYSAPI IRP* IoBuildSynchronousFsdRequest(ULONG major, DEVICE_OBJECT* device, PVOID buffer, ULONG length, LARGE_INTEGER* offset,
                                           KEVENT* event, IO_STATUS_BLOCK* status);
NTSYSAPI NTSTATUS IofCallDriver(DEVICE_OBJECT* device, IRP* irp);
#define IoCallDriver(device, irp) IofCallDriver((device), (irp))
NTSYSAPI IO_WORKITEM* IoAllocateWorkItem(DEVICE_OBJECT* device);
NTSYSAPI void IoQueueWorkItem(IO_WORKITEM* item, PIO_WORKITEM_ROUTINE routine, WORK_QUEUE_TYPE queue, PVOID context);
NTSYSAPI void IoFreeWorkItem(IO_WORKITEM* item);

NTSYSAPI PVOID MmMapIoSpaceEx(PHYSICAL_ADDRESS address, SIZE_T bytes, ULONG protect);
NTSYSAPI void MmUnmapIoSpace(PVOID base, SIZE_T bytes);
NTSYSAPI PVOID ExAllocatePool2(POOL_FLAGS flags, SIZE_T bytes, ULONG tag);
NTSYSAPI void ExFreePoolWithTag(PVOID memory, ULONG tag);

NTSYSAPI void ExInitializeNPagedLookasideList(NPAGED_LOOKASIDE_LIST* list, PALLOCATE_FUNCTION allocate, PFREE_FUNCTION free, ULONG flags,
                                              SIZE_T size, ULONG tag, USHORT depth);
NTSYSAPI void ExDeleteNPagedLookasideList(NPAGED_LOOKASIDE_LIST* list);
NTSYSAPI SLIST_ENTRY* ExpInterlockedPopEntrySList(SLIST_HEADER* list);
NTSYSAPI SLIST_ENTRY* ExpInterlockedPushEntrySList(SLIST_HEADER* list, SLIST_ENTRY* entry);
NTSYSAPI USHORT ExQueryDepthSList(SLIST_HEADER* list);
NTSYSAPI LIST_ENTRY* ExInterlockedInsertTailList(LIST_ENTRY* head, LIST_ENTRY* entry, KSPIN_LOCK* lock);
NTSYSAPI LIST_ENTRY* ExInterlockedRemoveHeadList(LIST_ENTRY* head, KSPIN_LOCK* lock);

NTSYSAPI void KeInitializeEvent(KEVENT* event, EVENT_TYPE type, BOOLEAN state);
NTSYSAPI LONG KeSetEvent(KEVENT* event, LONG increment, BOOLEAN wait);
NTSYSAPI NTSTATUS KeWaitForSingleObject(PVOID object, KWAIT_REASON reason, KPROCESSOR_MODE mode, BOOLEAN alertable, LARGE_INTEGER* timeout);
NTSYSAPI void KeInitializeDpc(KDPC* dpc, PKDEFERRED_ROUTINE routine, PVOID context);
NTSYSAPI BOOLEAN KeInsertQueueDpc(KDPC* dpc, PVOID argument1, PVOID argument2);
NTSYSAPI BOOLEAN KeRemoveQueueDpc(KDPC* dpc);
NTSYSAPI void KeFlushQueuedDpcs();
NTSYSAPI void KeInitializeTimerEx(KTIMER* timer, TIMER_TYPE type);
NTSYSAPI BOOLEAN KeSetTimerEx(KTIMER* timer, LARGE_INTEGER due, LONG period, KDPC* dpc);
NTSYSAPI BOOLEAN KeCancelTimer(KTIMER* timer);
NTSYSAPI void KeInitializeSpinLock(KSPIN_LOCK* lock);
NTSYSAPI KIRQL KeAcquireSpinLockRaiseToDpc(KSPIN_LOCK* lock);
NTSYSAPI void KeReleaseSpinLock(KSPIN_LOCK* lock, KIRQL irql);
NTSYSAPI void KeAcquireSpinLockAtDpcLevel(KSPIN_LOCK* lock);
NTSYSAPI void KeReleaseSpinLockFromDpcLevel(KSPIN_LOCK* lock);
NTSYSAPI LARGE_INTEGER KeQueryPerformanceCounter(LARGE_INTEGER* frequency);

// --- inline ------------------------------------------------------------------------------------------------------------------------
inline ULONG READ_REGISTER_ULONG(volatile ULONG* reg) {
    __asm__ __volatile__("mfence" ::: "memory");
    return *reg;
}
inline void WRITE_REGISTER_ULONG(volatile ULONG* reg, ULONG value) {
    *reg = value;
    __asm__ __volatile__("mfence" ::: "memory");
}

inline KIRQL KeGetCurrentIrql() {
    ULONG64 cr8;
    __asm__ __volatile__("mov %%cr8, %0" : "=r"(cr8));
    return (KIRQL)cr8;
}

inline ETHREAD* PsGetCurrentThread() {
    ETHREAD* thread;
    __asm__ __volatile__("movq %%gs:0x188, %0" : "=r"(thread));
    return thread;
}

// System time in 100 ns since 1601, from the page that the kernel shares with everybody.
inline LONGLONG KeQuerySystemTime() { return *(volatile LONGLONG*)(0xFFFFF78000000000ull + 0x14); }

inline LONG InterlockedIncrement(volatile LONG* value) { return __atomic_add_fetch(value, 1, __ATOMIC_SEQ_CST); }
inline LONG InterlockedDecrement(volatile LONG* value) { return __atomic_sub_fetch(value, 1, __ATOMIC_SEQ_CST); }
inline LONG InterlockedExchange(volatile LONG* value, LONG next) { return __atomic_exchange_n(value, next, __ATOMIC_SEQ_CST); }

inline void InitializeListHead(LIST_ENTRY* head) { head->Flink = head->Blink = head; }
inline bool IsListEmpty(const LIST_ENTRY* head) { return head->Flink == head; }
inline void InsertTailList(LIST_ENTRY* head, LIST_ENTRY* entry) {
    entry->Flink = head;
    entry->Blink = head->Blink;
    head->Blink->Flink = entry;
    head->Blink = entry;
}
inline void RemoveEntryList(LIST_ENTRY* entry) {
    entry->Blink->Flink = entry->Flink;
    entry->Flink->Blink = entry->Blink;
}

inline PVOID ExAllocateFromNPagedLookasideList(NPAGED_LOOKASIDE_LIST* list) {
    ++list->L.TotalAllocates;
    PVOID entry = ExpInterlockedPopEntrySList(&list->L.ListHead);
    if (!entry) {
        ++list->L.AllocateMisses;
        entry = list->L.Allocate(list->L.Type, list->L.Size, list->L.Tag);
    }
    return entry;
}
inline void ExFreeToNPagedLookasideList(NPAGED_LOOKASIDE_LIST* list, PVOID entry) {
    ++list->L.TotalFrees;
    if (ExQueryDepthSList(&list->L.ListHead) >= list->L.Depth) {
        ++list->L.FreeMisses;
        list->L.Free(entry);
    } else {
        ExpInterlockedPushEntrySList(&list->L.ListHead, (SLIST_ENTRY*)entry);
    }
}

inline bool IsEqualGUID(REFGUID a, REFGUID b) {
    const ULONG64 *left = (const ULONG64*)&a, *right = (const ULONG64*)&b;
    return left[0] == right[0] && left[1] == right[1];
}
