#include "recorder.h"

static PCWSTR const g_Names[] = {L"started", L"state", L"card error", L"lost interrupt", L"power", L"stalled", L"late", L"stopped"};

NTSTATUS CRecorder::Start(DEVICE_OBJECT* fdo, DEVICE_OBJECT* pdo) {
    m_Pdo = pdo;
    InitializeListHead(&m_List);
    KeInitializeSpinLock(&m_ListLock);
    KeInitializeSpinLock(&m_StateLock);
    KeInitializeEvent(&m_Done, NotificationEvent, FALSE);
    m_WorkItem = IoAllocateWorkItem(fdo);
    if (!m_WorkItem) return STATUS_INSUFFICIENT_RESOURCES;
    ExInitializeNPagedLookasideList(&m_Records, nullptr, nullptr, POOL_NX_ALLOCATION, sizeof(RECORD), PLAIN_TAG, 0);
    m_Stopping = false;
    return STATUS_SUCCESS;
}

void CRecorder::Note(NOTE what, ULONG stream, ULONG value) {
    if (!m_WorkItem || m_Stopping) return;
    RECORD* record = (RECORD*)ExAllocateFromNPagedLookasideList(&m_Records);
    if (!record) return;
    record->Irql = KeGetCurrentIrql();
    record->Time = KeQuerySystemTime();
    record->Thread = PsGetCurrentThread();
    record->What = what;
    record->Stream = stream;
    record->Value = value;
    InterlockedIncrement(&m_Waiting);
    ExInterlockedInsertTailList(&m_List, &record->Link, &m_ListLock);

    bool queue = false;
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&m_StateLock);
    if (!m_Queued && !m_Stopping) m_Queued = queue = true;
    KeReleaseSpinLock(&m_StateLock, irql);
    if (queue) IoQueueWorkItem(m_WorkItem, Worker, DelayedWorkQueue, this);
}

void CRecorder::Drain() {
    while (LIST_ENTRY* entry = ExInterlockedRemoveHeadList(&m_List, &m_ListLock)) {
        RECORD* record = CONTAINING_RECORD(entry, RECORD, Link);
        InterlockedDecrement(&m_Waiting);
        Write(*record);
        ExFreeToNPagedLookasideList(&m_Records, record);
    }
}

void CRecorder::Worker(DEVICE_OBJECT*, PVOID context) {
    CRecorder* self = (CRecorder*)context;
    for (bool more = true; more;) {
        self->Drain();
        KIRQL irql = KeAcquireSpinLockRaiseToDpc(&self->m_StateLock);
        if (self->m_Waiting == 0) {
            more = self->m_Queued = false;
            if (self->m_Stopping) KeSetEvent(&self->m_Done, IO_NO_INCREMENT, FALSE);
        }
        KeReleaseSpinLock(&self->m_StateLock, irql);
    }
}

// PASSIVE_LEVEL. A volatile key, so that it is as empty after a restart as this object is.
void CRecorder::Write(const RECORD& record) {
    CKey hardware, status;
    if (!NT_SUCCESS(hardware.OpenDevice(m_Pdo, PLUGPLAY_REGKEY_DEVICE, KEY_READ | KEY_WRITE))) return;
    if (!NT_SUCCESS(status.Create(hardware, L"Status", REG_OPTION_VOLATILE, nullptr))) return;
    WCHAR text[96];
    Format(text, SIZEOF_ARRAY(text), L"%ls, stream %u, value %x, irql %u, thread %p", g_Names[record.What], record.Stream, record.Value,
           (ULONG)record.Irql, (PVOID)record.Thread);
    status.SetText(L"LastEvent", text);
    status.SetQword(L"LastTime", (ULONGLONG)record.Time);
    status.SetDword(L"Events", ++m_Written);
}

void CRecorder::Stop() {
    if (!m_WorkItem) return;
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&m_StateLock);
    m_Stopping = true;
    bool wait = m_Queued;
    KeReleaseSpinLock(&m_StateLock, irql);
    if (wait) {
        KeWaitForSingleObject(&m_Done, Executive, KernelMode, FALSE, nullptr);
        // The worker set the event inside the lock: let it leave.
        irql = KeAcquireSpinLockRaiseToDpc(&m_StateLock);
        KeReleaseSpinLock(&m_StateLock, irql);
    }
    Drain();
    IoFreeWorkItem(m_WorkItem);
    m_WorkItem = nullptr;
    ExDeleteNPagedLookasideList(&m_Records);
}
