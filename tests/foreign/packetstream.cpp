#include "packetstream.h"
#include "wave.h"

CPacketStream::CPacketStream(CAdapter* adapter, IPortWaveRTStream* port, ULONG index, bool capture)
    : m_Stream(adapter, port, index, capture) {
    KeInitializeSpinLock(&m_ListenerLock);
    InitializeListHead(&m_Listeners);
}

PAGED_SEGMENT NTSTATUS CPacketStream::Init() {
    m_Lockstep = m_Stream.Card().Lockstep();
    NTSTATUS status = m_Stream.Adapter()->Attach(m_Stream.Index(), this);
    m_Attached = NT_SUCCESS(status);
    return status;
}

CPacketStream::~CPacketStream() {
    m_Stream.Step(KSSTATE_STOP);
    if (m_Attached) m_Stream.Adapter()->Detach(m_Stream.Index());
    while (!IsListEmpty(&m_Listeners)) {
        LISTENER* listener = CONTAINING_RECORD(m_Listeners.Flink, LISTENER, Link);
        RemoveEntryList(&listener->Link);
        ExFreePoolWithTag(listener, PLAIN_TAG);
    }
}

PAGED_SEGMENT NTSTATUS CPacketStream::QueryInterface(REFIID iid, PVOID* object) {
    *object = nullptr;
    if (IsEqualGUID(iid, IID_IUnknown) || IsEqualGUID(iid, IID_IMiniportWaveRTStream))
        *object = static_cast<IMiniportWaveRTStream*>(this);
    else if (IsEqualGUID(iid, IID_IMiniportWaveRTStreamNotification))
        *object = static_cast<IMiniportWaveRTStreamNotification*>(this);
    else if (IsEqualGUID(iid, IID_IMiniportWaveRTInputStream) && m_Stream.Capture())
        *object = static_cast<IMiniportWaveRTInputStream*>(this);
    else if (IsEqualGUID(iid, IID_IMiniportWaveRTOutputStream) && !m_Stream.Capture())
        *object = static_cast<IMiniportWaveRTOutputStream*>(this);
    if (!*object) return STATUS_INVALID_PARAMETER;
    AddRef();
    return STATUS_SUCCESS;
}

// --- IMiniportWaveRTStream ---------------------------------------------------------------------------------------------------------
PAGED_SEGMENT NTSTATUS CPacketStream::SetFormat(KSDATAFORMAT* format) {
    if (m_Stream.State() == KSSTATE_RUN) return STATUS_INVALID_PARAMETER;
    // There is only one format, and the stream has it.
    return NT_SUCCESS(CWaveMiniport::CheckFormat(format)) ? STATUS_SUCCESS : STATUS_INVALID_PARAMETER;
}

NTSTATUS CPacketStream::SetState(KSSTATE state) {
    if (state < KSSTATE_STOP || state > KSSTATE_RUN) return STATUS_INVALID_PARAMETER;
    while (m_Stream.State() < state) {
        KSSTATE next = (KSSTATE)(m_Stream.State() + 1);
        NTSTATUS status = m_Stream.Step(next);
        if (!NT_SUCCESS(status)) return status;
        Entered(next);
    }
    if (m_Stream.State() > state) {
        NTSTATUS status = m_Stream.Step(state);
        if (!NT_SUCCESS(status)) return status;
        if (state == KSSTATE_STOP) {
            m_SeenCount = m_NextRead = 0;
            m_Marked = m_Owed = m_Ended = m_CaptureMarked = false;
        }
    }
    return STATUS_SUCCESS;
}

// On the way up.
void CPacketStream::Entered(KSSTATE state) {
    // Packets that came in STOP, where the card takes none.
    if (state == KSSTATE_ACQUIRE && m_Owed) Promise();
    if (state == KSSTATE_PAUSE && m_Stream.Capture() && m_Packets && m_Lockstep && m_Stream.Packets() == 2 &&
        m_Stream.Adapter()->Settings().CaptureMarked && !m_CaptureMarked && PacketCount() == 0) {
        // Nothing read yet, but it will be: the card waits for the reader.
        m_Stream.Write(SR_WRITTEN, 0xFFFFFFFF);
        m_CaptureMarked = true;
    }
    // A packet may have ended before its event could be enabled.
    if (state == KSSTATE_RUN) {
        KIRQL irql = KeAcquireSpinLockRaiseToDpc(&m_ListenerLock);
        bool signal = PacketCount() != m_SeenCount;
        KeReleaseSpinLock(&m_ListenerLock, irql);
        if (signal) OnCardEvent();
    }
}

NTSTATUS CPacketStream::GetPosition(KSAUDIO_POSITION* position) {
    m_Stream.Position(position);
    return STATUS_SUCCESS;
}

PAGED_SEGMENT NTSTATUS CPacketStream::AllocateAudioBuffer(ULONG requested, PMDL* mdl, ULONG* actual, ULONG* offset,
                                                          MEMORY_CACHING_TYPE* cache) {
    NTSTATUS status = m_Stream.Allocate(1, false, requested, mdl, actual, offset, cache);
    if (NT_SUCCESS(status)) m_Packets = false;
    return status;
}

PAGED_SEGMENT void CPacketStream::FreeAudioBuffer(PMDL mdl, ULONG) { m_Stream.Free(mdl); }

PAGED_SEGMENT void CPacketStream::GetHWLatency(KSRTAUDIO_HWLATENCY* latency) { m_Stream.Latency(latency); }

PAGED_SEGMENT NTSTATUS CPacketStream::GetPositionRegister(KSRTAUDIO_HWREGISTER*) { return STATUS_NOT_IMPLEMENTED; }

PAGED_SEGMENT NTSTATUS CPacketStream::GetClockRegister(KSRTAUDIO_HWREGISTER*) { return STATUS_NOT_IMPLEMENTED; }

// --- IMiniportWaveRTStreamNotification ---------------------------------------------------------------------------------------------
PAGED_SEGMENT NTSTATUS CPacketStream::AllocateBufferWithNotification(ULONG notifications, ULONG requested, PMDL* mdl, ULONG* actual,
                                                                     ULONG* offset, MEMORY_CACHING_TYPE* cache) {
    NTSTATUS status = m_Stream.Allocate(notifications, true, requested, mdl, actual, offset, cache);
    if (NT_SUCCESS(status)) m_Packets = true;
    return status;
}

PAGED_SEGMENT void CPacketStream::FreeBufferWithNotification(PMDL mdl, ULONG) {
    m_Stream.Free(mdl);
    m_Packets = false;
}

NTSTATUS CPacketStream::RegisterNotificationEvent(PKEVENT event) {
    LISTENER* listener = (LISTENER*)ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(LISTENER), PLAIN_TAG);
    if (!listener) return STATUS_INSUFFICIENT_RESOURCES;
    listener->Event = event;
    bool known = false;
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&m_ListenerLock);
    for (LIST_ENTRY* link = m_Listeners.Flink; link != &m_Listeners; link = link->Flink)
        known |= CONTAINING_RECORD(link, LISTENER, Link)->Event == event;
    if (!known) InsertTailList(&m_Listeners, &listener->Link);
    KeReleaseSpinLock(&m_ListenerLock, irql);
    if (!known) return STATUS_SUCCESS;
    ExFreePoolWithTag(listener, PLAIN_TAG);
    return STATUS_UNSUCCESSFUL;
}

NTSTATUS CPacketStream::UnregisterNotificationEvent(PKEVENT event) {
    LISTENER* found = nullptr;
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&m_ListenerLock);
    for (LIST_ENTRY* link = m_Listeners.Flink; link != &m_Listeners && !found; link = link->Flink) {
        LISTENER* listener = CONTAINING_RECORD(link, LISTENER, Link);
        if (listener->Event == event) found = listener;
    }
    if (found) RemoveEntryList(&found->Link);
    KeReleaseSpinLock(&m_ListenerLock, irql);
    if (!found) return STATUS_NOT_FOUND;
    ExFreePoolWithTag(found, PLAIN_TAG);
    return STATUS_SUCCESS;
}

ULONG CPacketStream::PacketCount() const {
    if (m_Stream.State() == KSSTATE_STOP) return 0;
    if (!m_Stream.Adapter()->Awake()) return m_SeenCount;
    ULONG count = m_Stream.Read(SR_PACKET_COUNT);
    return count == CARD_GONE && !m_Stream.Card().Present() ? m_SeenCount : count;
}

// Up to DISPATCH_LEVEL. An event of another stream leaves the count as it was.
void CPacketStream::OnCardEvent() {
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&m_ListenerLock);
    ULONG count = PacketCount();
    if (m_Stream.State() == KSSTATE_RUN && count != m_SeenCount) {
        m_SeenCount = count;
        for (LIST_ENTRY* link = m_Listeners.Flink; link != &m_Listeners; link = link->Flink)
            KeSetEvent(CONTAINING_RECORD(link, LISTENER, Link)->Event, IO_SOUND_INCREMENT, FALSE);
    }
    KeReleaseSpinLock(&m_ListenerLock, irql);
    ULONG error = m_Stream.Read(SR_ERROR);
    if (error != 0 && error != CARD_GONE) {
        m_Stream.Write(SR_ERROR, 0);
        m_Stream.Adapter()->Recorder().Note(NoteCardError, m_Stream.Index(), error);
    }
}

void CPacketStream::OnPowerUp() {
    if (m_Owed) Promise();
    m_Stream.PowerUp();
}

// --- IMiniportWaveRTInputStream ----------------------------------------------------------------------------------------------------
NTSTATUS CPacketStream::GetReadPacket(ULONG* number, DWORD* flags, ULONG64* counter, BOOL* more) {
    if (!m_Packets) return STATUS_NOT_SUPPORTED;
    if (m_Stream.State() < KSSTATE_PAUSE) return STATUS_INVALID_DEVICE_STATE;
    *flags = 0;
    *more = FALSE;
    ULONG count = PacketCount();

    // The caller is done with the packets before this one: their room is the card's again.
    if (m_CaptureMarked && m_NextRead != 0) m_Stream.Write(SR_WRITTEN, m_NextRead - 1);
    ULONG ready = count - m_NextRead;
    if (ready == 0) return STATUS_DEVICE_NOT_READY;

    // A card that does not wait has stored over all but the last packets.
    ULONG kept = m_CaptureMarked ? m_Stream.Packets() : 1;
    if (ready > kept) {
        m_Stream.Adapter()->Recorder().Note(NoteLate, m_Stream.Index(), ready - kept);
        m_NextRead = count - kept;
        ready = kept;
    }

    // When the first frame of the packet was heard: from where the card is now, back to there.
    LARGE_INTEGER frequency;
    ULONGLONG position = m_Stream.Frames();
    LARGE_INTEGER now = KeQueryPerformanceCounter(&frequency);
    ULONG packetFrames = m_Stream.PacketBytes() / FRAME_BYTES;
    ULONG behind = (ULONG)(position / packetFrames) - m_NextRead;
    ULONGLONG back = position % packetFrames + (ULONGLONG)behind * packetFrames;
    *number = m_NextRead;
    *counter = (ULONG64)now.QuadPart - back * (ULONGLONG)frequency.QuadPart / RATE_HZ;
    *more = ready > 1;
    ++m_NextRead;
    return STATUS_SUCCESS;
}

// --- IMiniportWaveRTOutputStream ---------------------------------------------------------------------------------------------------
// Tells the card what was written, or keeps it until the card can be told.
void CPacketStream::Promise() {
    m_Owed = m_Stream.State() == KSSTATE_STOP || !m_Stream.Adapter()->Awake();
    if (m_Owed) return;
    if (m_Ended) m_Stream.Write(SR_EOS, EOS_ARMED | m_EosBytes);
    m_Stream.Write(SR_WRITTEN, m_Written);
}

NTSTATUS CPacketStream::SetWritePacket(ULONG number, DWORD flags, ULONG eosLength) {
    if (!m_Packets) return STATUS_NOT_SUPPORTED;
    if (m_Ended) return STATUS_INVALID_DEVICE_STATE;
    if (flags & ~KSSTREAM_HEADER_OPTIONSF_ENDOFSTREAM) return STATUS_INVALID_PARAMETER;
    bool last = flags & KSSTREAM_HEADER_OPTIONSF_ENDOFSTREAM;
    if (last && (eosLength > m_Stream.PacketBytes() || eosLength % FRAME_BYTES)) return STATUS_INVALID_PARAMETER;

    // While it runs the present packet is on its way already; before, it is still to be written.
    ULONG count = PacketCount(), packets = m_Stream.Packets();
    bool runs = m_Stream.State() == KSSTATE_RUN;
    LONG ahead = (LONG)(number - count);
    // By lockstep the card stands still before a packet that it was not promised: for that one it is not too late.
    bool awaited = runs && m_Lockstep && ahead == 0 && m_Marked && (LONG)(m_Written - number) < 0;
    if (ahead < (runs && !awaited ? 1 : 0)) {
        m_Stream.Adapter()->Recorder().Note(NoteLate, m_Stream.Index(), number);
        return STATUS_DATA_LATE_ERROR;
    }
    if (ahead > (LONG)(packets == 1 && runs ? 1 : packets - 1)) return STATUS_DATA_OVERRUN;
    if (last) {
        m_Ended = true;
        m_EosBytes = eosLength;
    }
    // The card goes forward only; what was promised before stays promised.
    if (!m_Marked || last || (LONG)(number - m_Written) > 0) {
        m_Marked = true;
        m_Written = number;
        Promise();
    }
    return STATUS_SUCCESS;
}

NTSTATUS CPacketStream::GetOutputStreamPresentationPosition(KSAUDIO_PRESENTATION_POSITION* position) {
    if (!m_Packets) return STATUS_NOT_SUPPORTED;
    position->u64PositionInBlocks = m_Stream.Frames();
    position->u64QPCPosition = (ULONGLONG)KeQueryPerformanceCounter(nullptr).QuadPart;
    return STATUS_SUCCESS;
}

NTSTATUS CPacketStream::GetPacketCount(ULONG* count) {
    if (!m_Packets) return STATUS_NOT_SUPPORTED;
    *count = PacketCount();
    return STATUS_SUCCESS;
}
