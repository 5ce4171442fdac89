#include "pollstream.h"
#include "wave.h"

#define TICK_MS 10
#define STILL_TICKS 10

CPollStream::CPollStream(CAdapter* adapter, IPortWaveRTStream* port, ULONG index, bool capture) : m_Stream(adapter, port, index, capture) {
    KeInitializeTimerEx(&m_Timer, SynchronizationTimer);
    KeInitializeDpc(&m_Dpc, Tick, this);
}

PAGED_SEGMENT NTSTATUS CPollStream::Init() {
    NTSTATUS status = m_Stream.Adapter()->Attach(m_Stream.Index(), this);
    m_Attached = NT_SUCCESS(status);
    return status;
}

CPollStream::~CPollStream() {
    StopTimer();
    if (m_Attached) m_Stream.Adapter()->Detach(m_Stream.Index());
}

PAGED_SEGMENT NTSTATUS CPollStream::QueryInterface(REFIID iid, PVOID* object) {
    if (IsEqualGUID(iid, IID_IUnknown) || IsEqualGUID(iid, IID_IMiniportWaveRTStream)) {
        *object = static_cast<IMiniportWaveRTStream*>(this);
        AddRef();
        return STATUS_SUCCESS;
    }
    *object = nullptr;
    return STATUS_INVALID_PARAMETER;
}

PAGED_SEGMENT NTSTATUS CPollStream::SetFormat(KSDATAFORMAT* format) {
    if (m_Stream.State() == KSSTATE_RUN) return STATUS_INVALID_PARAMETER;
    return NT_SUCCESS(CWaveMiniport::CheckFormat(format)) ? STATUS_SUCCESS : STATUS_INVALID_PARAMETER;
}

PAGED_SEGMENT NTSTATUS CPollStream::SetState(KSSTATE state) {
    if (state < KSSTATE_STOP || state > KSSTATE_RUN) return STATUS_INVALID_PARAMETER;
    if (m_Stream.State() == KSSTATE_RUN && state < KSSTATE_RUN) StopTimer();
    NTSTATUS status = STATUS_SUCCESS;
    while (NT_SUCCESS(status) && m_Stream.State() < state) status = m_Stream.Step((KSSTATE)(m_Stream.State() + 1));
    if (NT_SUCCESS(status) && m_Stream.State() > state) status = m_Stream.Step(state);
    if (NT_SUCCESS(status) && state == KSSTATE_RUN && !m_Ticking) {
        LARGE_INTEGER due;
        due.QuadPart = -10000ll * TICK_MS;
        m_LastFrames = m_Stream.Frames();
        m_StillTicks = 0;
        m_Ticking = true;
        KeSetTimerEx(&m_Timer, due, TICK_MS, &m_Dpc);
    }
    return status;
}

// Nobody is told by an interrupt that the card has come to a halt, so the timer looks.
void CPollStream::Tick(KDPC*, PVOID context, PVOID, PVOID) {
    CPollStream* self = (CPollStream*)context;
    ULONGLONG frames = self->m_Stream.Frames();
    self->m_StillTicks = frames == self->m_LastFrames ? self->m_StillTicks + 1 : 0;
    self->m_LastFrames = frames;
    if (self->m_StillTicks == STILL_TICKS) self->m_Stream.Adapter()->Recorder().Note(NoteStalled, self->m_Stream.Index(), (ULONG)frames);
}

PAGED_SEGMENT void CPollStream::StopTimer() {
    if (!m_Ticking) return;
    m_Ticking = false;
    KeCancelTimer(&m_Timer);
    KeFlushQueuedDpcs();
}

NTSTATUS CPollStream::GetPosition(KSAUDIO_POSITION* position) {
    m_Stream.Position(position);
    return STATUS_SUCCESS;
}

PAGED_SEGMENT NTSTATUS CPollStream::AllocateAudioBuffer(ULONG requested, PMDL* mdl, ULONG* actual, ULONG* offset,
                                                        MEMORY_CACHING_TYPE* cache) {
    return m_Stream.Allocate(1, false, requested, mdl, actual, offset, cache);
}

PAGED_SEGMENT void CPollStream::FreeAudioBuffer(PMDL mdl, ULONG) { m_Stream.Free(mdl); }

PAGED_SEGMENT void CPollStream::GetHWLatency(KSRTAUDIO_HWLATENCY* latency) { m_Stream.Latency(latency); }

PAGED_SEGMENT NTSTATUS CPollStream::GetPositionRegister(KSRTAUDIO_HWREGISTER*) { return STATUS_NOT_IMPLEMENTED; }

PAGED_SEGMENT NTSTATUS CPollStream::GetClockRegister(KSRTAUDIO_HWREGISTER*) { return STATUS_NOT_IMPLEMENTED; }
