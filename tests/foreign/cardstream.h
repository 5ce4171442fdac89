// One stream of the card with its buffer: what both kinds of WaveRT stream share.
#pragma once
#include "adapter.h"
#include "dmabuffer.h"

class CCardStream {
  public:
    CCardStream(CAdapter* adapter, IPortWaveRTStream* port, ULONG index, bool capture);
    ~CCardStream();

    NTSTATUS Allocate(ULONG packets, bool interrupts, ULONG requested, PMDL* mdl, ULONG* actual, ULONG* offset, MEMORY_CACHING_TYPE* cache);
    void Free(PMDL mdl);
    // One step up, or any number of steps down.
    NTSTATUS Step(KSSTATE state);
    // In D0 again: brings the card to where the stream is. DISPATCH_LEVEL.
    void PowerUp();
    void Position(KSAUDIO_POSITION* position);
    ULONGLONG Frames();
    void Latency(KSRTAUDIO_HWLATENCY* latency);

    // Asleep it answers nothing.
    ULONG Read(ULONG reg) const { return m_Adapter->Awake() ? m_Card.ReadStream(m_Index, reg) : CARD_GONE; }
    void Write(ULONG reg, ULONG value) const { m_Card.WriteStream(m_Index, reg, value); }
    CAdapter* Adapter() const { return m_Adapter; }
    CCard& Card() const { return m_Card; }
    KSSTATE State() const { return m_State; }
    ULONG Index() const { return m_Index; }
    bool Capture() const { return m_Capture; }
    ULONG Packets() const { return m_Packets; }
    ULONG PacketBytes() const { return m_Packets ? m_Buffer.Bytes() / m_Packets : 0; }

  private:
    ULONG FifoFrames();
    CAdapter* const m_Adapter;
    IPortWaveRTStream* const m_Port;
    CCard& m_Card;
    const ULONG m_Index;
    const bool m_Capture;
    CDmaBuffer m_Buffer;
    ULONG m_Packets = 0, m_FifoFrames = 0;
    bool m_Interrupts = false;
    ULONGLONG m_LastFrames = 0;
    volatile KSSTATE m_State = KSSTATE_STOP;
};
