#include "cardstream.h"

CCardStream::CCardStream(CAdapter* adapter, IPortWaveRTStream* port, ULONG index, bool capture)
    : m_Adapter(adapter), m_Port(port), m_Card(adapter->Card()), m_Index(index), m_Capture(capture) {
    m_Adapter->AddRef();
    m_Port->AddRef();
}

CCardStream::~CCardStream() {
    if (m_State != KSSTATE_STOP) Step(KSSTATE_STOP);
    m_Buffer.Free();
    m_Port->Release();
    m_Adapter->Release();
}

// The size goes up to whole frames in whole packets, and to the shortest packet that the card takes.
PAGED_SEGMENT NTSTATUS CCardStream::Allocate(ULONG packets, bool interrupts, ULONG requested, PMDL* mdl, ULONG* actual, ULONG* offset,
                                             MEMORY_CACHING_TYPE* cache) {
    if (m_Buffer.Mdl() || m_State != KSSTATE_STOP) return STATUS_INVALID_DEVICE_STATE;
    if (packets < 1 || packets > 2) return STATUS_INVALID_PARAMETER;
    if (requested == 0 || requested > m_Card.RingBytesMax()) return STATUS_UNSUCCESSFUL;
    ULONG limit = m_Capture ? m_Adapter->Settings().CaptureLimitMs : m_Adapter->Settings().RenderLimitMs;
    if (limit && limit <= 60000 && requested > limit * (RATE_HZ / 1000) * FRAME_BYTES) requested = limit * (RATE_HZ / 1000) * FRAME_BYTES;
    const ULONG unit = packets * FRAME_BYTES;
    ULONG bytes = (requested + unit - 1) / unit * unit;
    if (bytes < PACKET_FRAMES_MIN * unit) bytes = PACKET_FRAMES_MIN * unit;
    if (bytes > m_Card.RingBytesMax()) return STATUS_UNSUCCESSFUL;

    NTSTATUS status = m_Buffer.Allocate(m_Port, m_Card, bytes);
    if (!NT_SUCCESS(status)) return status;
    m_Packets = packets;
    m_Interrupts = interrupts;
    *mdl = m_Buffer.Mdl();
    *actual = bytes;
    *offset = 0;
    *cache = MmCached;
    return STATUS_SUCCESS;
}

PAGED_SEGMENT void CCardStream::Free(PMDL mdl) {
    if (!mdl || mdl != m_Buffer.Mdl()) return;
    if (m_State != KSSTATE_STOP) Step(KSSTATE_STOP);
    m_Buffer.Free();
    m_Packets = 0;
}

NTSTATUS CCardStream::Step(KSSTATE state) {
    ULONG error = 0;
    if (state == m_State) return STATUS_SUCCESS;
    if (state > m_State) {
        if (!m_Buffer.Mdl()) return STATUS_INVALID_DEVICE_STATE;
        if (!m_Adapter->Awake()) return STATUS_DEVICE_NOT_READY;
        if (state == KSSTATE_ACQUIRE) {
            NTSTATUS status = m_Card.Configure(m_Index, m_Buffer.Bytes(), m_Packets, m_Buffer.Table(), m_Buffer.Entries());
            if (!NT_SUCCESS(status)) return status;
            Write(SR_INT_ENABLE, m_Interrupts ? INT_PACKET | INT_ERROR : 0);
        }
        NTSTATUS status = m_Card.SetState(m_Index, state, &error);
        if (!NT_SUCCESS(status)) {
            m_Adapter->Recorder().Note(NoteCardError, m_Index, error);
            return status;
        }
        m_State = state;
        if (state == KSSTATE_RUN) m_Adapter->StreamRuns(true);
    } else {
        bool ran = m_State == KSSTATE_RUN;
        // A card that is gone or asleep does not answer; it does not run either.
        if (m_Adapter->Awake()) {
            m_Card.SetState(m_Index, state, &error);
            if (state == KSSTATE_STOP) Write(SR_INT_ENABLE, 0);
        }
        m_State = state;
        if (state == KSSTATE_STOP) m_LastFrames = 0;
        if (ran) m_Adapter->StreamRuns(false);
    }
    m_Adapter->Recorder().Note(NoteState, m_Index, (ULONG)state);
    return STATUS_SUCCESS;
}

void CCardStream::PowerUp() {
    ULONG error = 0, state = Read(SR_STATE);
    if (state == (ULONG)m_State || state > KSSTATE_RUN) return;
    if (!NT_SUCCESS(m_Card.SetState(m_Index, m_State, &error))) m_Adapter->Recorder().Note(NoteCardError, m_Index, error);
    if (m_State == KSSTATE_STOP) Write(SR_INT_ENABLE, 0);
}

ULONGLONG CCardStream::Frames() {
    if (m_State == KSSTATE_STOP || !m_Adapter->Awake()) return m_LastFrames;
    ULONGLONG frames = m_Card.Position(m_Index);
    if (frames != ~0ull) m_LastFrames = frames;
    return m_LastFrames;
}

// Render: played up to Play, fetched up to Write. Capture: what lies before both has been stored.
void CCardStream::Position(KSAUDIO_POSITION* position) {
    const ULONG frames = m_Buffer.Bytes() / FRAME_BYTES;
    position->PlayOffset = position->WriteOffset = 0;
    if (frames == 0 || m_State == KSSTATE_STOP) return;
    ULONGLONG now = Frames();
    const ULONG fifo = FifoFrames();
    ULONGLONG play = now, write = now + (m_State == KSSTATE_RUN ? fifo : 0);
    if (m_Capture) play = write = now > fifo ? now - fifo : 0;
    position->PlayOffset = play % frames * FRAME_BYTES;
    position->WriteOffset = write % frames * FRAME_BYTES;
}

// As it was when the card last told it.
ULONG CCardStream::FifoFrames() {
    ULONG fifo = Read(SR_FIFO_FRAMES);
    if (fifo != CARD_GONE) m_FifoFrames = fifo;
    return m_FifoFrames;
}

void CCardStream::Latency(KSRTAUDIO_HWLATENCY* latency) {
    ULONG fifo = FifoFrames();
    if (fifo == 0) fifo = m_Capture ? RATE_HZ / 500 : RATE_HZ / 100;
    latency->FifoSize = fifo * FRAME_BYTES;
    latency->ChipsetDelay = latency->CodecDelay = 0;
}
