#include "adapter.h"

NTSTATUS CAdapter::QueryInterface(REFIID iid, PVOID* object) {
    if (IsEqualGUID(iid, IID_IUnknown) || IsEqualGUID(iid, IID_IAdapterPowerManagement)) {
        *object = static_cast<IAdapterPowerManagement*>(this);
    } else if (IsEqualGUID(iid, IID_IPlainAdapter)) {
        *object = this;
    } else {
        *object = nullptr;
        return STATUS_INVALID_PARAMETER;
    }
    AddRef();
    return STATUS_SUCCESS;
}

CAdapter::~CAdapter() {
    Cleanup();
    m_Card.Close();
}

PAGED_SEGMENT NTSTATUS CAdapter::Init(IResourceList* resources, const CSettings& settings) {
    m_Settings = settings;
    KeInitializeSpinLock(&m_ClientLock);
    KeInitializeDpc(&m_Dpc, Dpc, this);
    KeInitializeDpc(&m_WatchdogDpc, Watchdog, this);
    KeInitializeTimerEx(&m_WatchdogTimer, NotificationTimer);

    NTSTATUS status = PcGetPhysicalDeviceObject(m_Device, &m_Pdo);
    if (!NT_SUCCESS(status)) return status;
    m_Settings.ReadDevice(m_Device, m_Pdo);
    status = m_Recorder.Start(m_Device, m_Pdo);
    if (!NT_SUCCESS(status)) return status;
    // The bus driver need not offer its interface: without it the card is taken as found.
    status = m_Card.CheckBus(m_Pdo);
    if (!NT_SUCCESS(status)) DbgPrint("plainwave: no bus interface (0x%x)\n", status);
    status = m_Card.Open(resources);
    if (!NT_SUCCESS(status)) return status;
    status = ConnectInterrupts(resources);
    if (!NT_SUCCESS(status)) return status;
    status = RegisterControlInterface();
    if (!NT_SUCCESS(status)) DbgPrint("plainwave: no control interface (0x%x)\n", status);
    m_Recorder.Note(NoteStarted, 0, m_Card.Read(REG_VERSION));
    return STATUS_SUCCESS;
}

PAGED_SEGMENT void CAdapter::Cleanup() {
    if (m_CleanedUp) return;
    m_CleanedUp = true;
    const bool renderApart = RemoveConnection(&m_Render), captureApart = RemoveConnection(&m_Capture);
    RemoveSubdevice(&m_WaveOut, renderApart);
    RemoveSubdevice(&m_TopoOut, renderApart);
    RemoveSubdevice(&m_WaveIn, captureApart);
    RemoveSubdevice(&m_TopoIn, captureApart);
    if (m_ControlLink.Buffer) {
        IoSetDeviceInterfaceState(&m_ControlLink, FALSE);
        RtlFreeUnicodeString(&m_ControlLink);
        m_ControlLink.Buffer = nullptr;
    }
    KeCancelTimer(&m_WatchdogTimer);
    DisconnectInterrupts();
    KeFlushQueuedDpcs();
    m_Recorder.Note(NoteStopped, 0, 0);
    m_Recorder.Stop();
    m_Card.Retire();
}

// --- interrupt ---------------------------------------------------------------------------------------------------------------------
// The line, or every message: the INF asks for one, which then stands for all streams. No interrupt at all leaves the client to poll.
PAGED_SEGMENT NTSTATUS CAdapter::ConnectInterrupts(IResourceList* resources) {
    ULONG count = resources->NumberOfEntriesOfType(CmResourceTypeInterrupt);
    if (count > SIZEOF_ARRAY(m_Interrupts)) count = SIZEOF_ARRAY(m_Interrupts);
    if (count == 0) return STATUS_SUCCESS;
    for (ULONG i = 0; i < count; ++i) {
        NTSTATUS status = ConnectInterrupt(resources, i);
        if (!NT_SUCCESS(status)) return status;
    }
    m_Card.Write(REG_INT_STATUS, 0xFFFFFFFF);
    m_Card.Write(REG_CONTROL, CONTROL_INT_ENABLE);
    return STATUS_SUCCESS;
}

PAGED_SEGMENT NTSTATUS CAdapter::ConnectInterrupt(IResourceList* resources, ULONG index) {
    CM_PARTIAL_RESOURCE_DESCRIPTOR* interrupt = resources->FindTranslatedEntry(CmResourceTypeInterrupt, index);
    if (!interrupt) return STATUS_DEVICE_CONFIGURATION_ERROR;
    DbgPrint("plainwave: %s interrupt\n", interrupt->Flags & CM_RESOURCE_INTERRUPT_MESSAGE ? "message" : "line");
    IInterruptSync* sync = nullptr;
    NTSTATUS status = PcNewInterruptSync(&sync, nullptr, resources, index, InterruptSyncModeNormal);
    if (!NT_SUCCESS(status)) return status;
    status = sync->RegisterServiceRoutine(Isr, this, FALSE);
    if (NT_SUCCESS(status)) status = sync->Connect();
    if (NT_SUCCESS(status))
        m_Interrupts[m_InterruptCount++] = sync;
    else
        sync->Release();
    return status;
}

PAGED_SEGMENT void CAdapter::DisconnectInterrupts() {
    if (m_InterruptCount == 0) return;
    m_Card.Write(REG_CONTROL, 0);
    while (m_InterruptCount != 0) {
        IInterruptSync* sync = m_Interrupts[--m_InterruptCount];
        sync->Disconnect();
        sync->Release();
    }
    KeRemoveQueueDpc(&m_Dpc);
}

// Serves a line and a message alike: what the card has to say stands in INT_STATUS, and is acknowledged before it is looked at.
NTSTATUS CAdapter::Isr(IInterruptSync*, PVOID context) {
    CAdapter* self = (CAdapter*)context;
    ULONG events = self->m_Card.Read(REG_INT_STATUS);
    if (events == 0 || events == CARD_GONE) return STATUS_UNSUCCESSFUL;
    self->m_Card.Write(REG_INT_STATUS, events);
    KeInsertQueueDpc(&self->m_Dpc, nullptr, nullptr);
    return STATUS_SUCCESS;
}

// With the lock on the clients.
void CAdapter::ServeClients(bool powerUp) {
    for (ICardClient* client : m_Clients) {
        if (client && powerUp) client->OnPowerUp();
        if (client) client->OnCardEvent();
    }
}

void CAdapter::Dpc(KDPC*, PVOID context, PVOID, PVOID) {
    CAdapter* self = (CAdapter*)context;
    KeAcquireSpinLockAtDpcLevel(&self->m_ClientLock);
    self->ServeClients(false);
    KeReleaseSpinLockFromDpcLevel(&self->m_ClientLock);
}

// An event that nobody has acknowledged for so long means a lost interrupt.
void CAdapter::Watchdog(KDPC*, PVOID context, PVOID, PVOID) {
    CAdapter* self = (CAdapter*)context;
    ULONG events = self->m_Card.Read(REG_INT_STATUS);
    if (events == 0 || events == CARD_GONE) return;
    self->m_Recorder.Note(NoteLostInterrupt, 0, events);
    self->m_Card.Write(REG_INT_STATUS, events);
    Dpc(nullptr, context, nullptr, nullptr);
}

void CAdapter::StreamRuns(bool runs) {
    if (!m_Settings.WatchdogMs || !HasInterrupt()) return;
    if (runs && InterlockedIncrement(&m_Running) == 1) {
        LARGE_INTEGER due;
        due.QuadPart = -10000ll * m_Settings.WatchdogMs;
        KeSetTimerEx(&m_WatchdogTimer, due, (LONG)m_Settings.WatchdogMs, &m_WatchdogDpc);
    }
    if (!runs && InterlockedDecrement(&m_Running) == 0) KeCancelTimer(&m_WatchdogTimer);
}

NTSTATUS CAdapter::Attach(ULONG stream, ICardClient* client) {
    if (stream >= ADAPTER_STREAMS) return STATUS_INVALID_PARAMETER;
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&m_ClientLock);
    NTSTATUS status = m_Clients[stream] ? STATUS_INVALID_DEVICE_REQUEST : STATUS_SUCCESS;
    if (NT_SUCCESS(status)) m_Clients[stream] = client;
    KeReleaseSpinLock(&m_ClientLock, irql);
    return status;
}

void CAdapter::Detach(ULONG stream) {
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&m_ClientLock);
    m_Clients[stream] = nullptr;
    KeReleaseSpinLock(&m_ClientLock, irql);
}

// --- power -------------------------------------------------------------------------------------------------------------------------
STAYS_OUT_OF_PAGED void CAdapter::WakeClients() {
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&m_ClientLock);
    ServeClients(true);
    KeReleaseSpinLock(&m_ClientLock, irql);
}

// The card keeps its registers in D3hot but for RUN. Asleep it takes no write: who has one keeps it until OnPowerUp.
PAGED_SEGMENT void CAdapter::PowerChangeState(POWER_STATE state) {
    if (state.DeviceState == m_Power) return;
    m_Recorder.Note(NotePower, 0, (ULONG)state.DeviceState);
    if (m_Power == PowerDeviceD0) m_Card.Write(REG_CONTROL, 0);
    m_Power = state.DeviceState;
    if (m_Power != PowerDeviceD0) return;
    if (HasInterrupt()) {
        m_Card.Write(REG_INT_STATUS, 0xFFFFFFFF);
        m_Card.Write(REG_CONTROL, CONTROL_INT_ENABLE);
    }
    // What came while the interrupt was off has no interrupt any more.
    WakeClients();
}

PAGED_SEGMENT NTSTATUS CAdapter::QueryPowerChangeState(POWER_STATE) { return STATUS_SUCCESS; }
PAGED_SEGMENT NTSTATUS CAdapter::QueryDeviceCapabilities(DEVICE_CAPABILITIES*) { return STATUS_SUCCESS; }
