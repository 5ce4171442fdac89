// A WaveRT stream of the first kind: the client asks for the position, and nobody tells it anything.
#pragma once
#include "cardstream.h"

class CPollStream : public IMiniportWaveRTStream, private ICardClient {
  public:
    DECLARE_UNKNOWN();
    CPollStream(CAdapter* adapter, IPortWaveRTStream* port, ULONG index, bool capture);
    virtual ~CPollStream();
    NTSTATUS Init();

    NTSTATUS SetFormat(KSDATAFORMAT* format) override;
    NTSTATUS SetState(KSSTATE state) override;
    NTSTATUS GetPosition(KSAUDIO_POSITION* position) override;
    NTSTATUS AllocateAudioBuffer(ULONG requested, PMDL* mdl, ULONG* actual, ULONG* offset, MEMORY_CACHING_TYPE* cache) override;
    void FreeAudioBuffer(PMDL mdl, ULONG size) override;
    void GetHWLatency(KSRTAUDIO_HWLATENCY* latency) override;
    NTSTATUS GetPositionRegister(KSRTAUDIO_HWREGISTER* reg) override;
    NTSTATUS GetClockRegister(KSRTAUDIO_HWREGISTER* reg) override;

  private:
    static void Tick(KDPC* dpc, PVOID context, PVOID argument1, PVOID argument2);
    void StopTimer();
    void OnCardEvent() override {}
    void OnPowerUp() override { m_Stream.PowerUp(); }

    CCardStream m_Stream;
    KTIMER m_Timer;
    KDPC m_Dpc;
    bool m_Attached = false, m_Ticking = false;
    ULONGLONG m_LastFrames = 0;
    ULONG m_StillTicks = 0;
};
