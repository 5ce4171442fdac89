// A WaveRT stream with notification events and packets.
#pragma once
#include "cardstream.h"

class CPacketStream : public IMiniportWaveRTStreamNotification,
                      public IMiniportWaveRTInputStream,
                      public IMiniportWaveRTOutputStream,
                      private ICardClient {
  public:
    DECLARE_UNKNOWN();
    CPacketStream(CAdapter* adapter, IPortWaveRTStream* port, ULONG index, bool capture);
    virtual ~CPacketStream();
    NTSTATUS Init();

    // IMiniportWaveRTStream
    NTSTATUS SetFormat(KSDATAFORMAT* format) override;
    NTSTATUS SetState(KSSTATE state) override;
    NTSTATUS GetPosition(KSAUDIO_POSITION* position) override;
    NTSTATUS AllocateAudioBuffer(ULONG requested, PMDL* mdl, ULONG* actual, ULONG* offset, MEMORY_CACHING_TYPE* cache) override;
    void FreeAudioBuffer(PMDL mdl, ULONG size) override;
    void GetHWLatency(KSRTAUDIO_HWLATENCY* latency) override;
    NTSTATUS GetPositionRegister(KSRTAUDIO_HWREGISTER* reg) override;
    NTSTATUS GetClockRegister(KSRTAUDIO_HWREGISTER* reg) override;
    // IMiniportWaveRTStreamNotification
    NTSTATUS AllocateBufferWithNotification(ULONG notifications, ULONG requested, PMDL* mdl, ULONG* actual, ULONG* offset,
                                            MEMORY_CACHING_TYPE* cache) override;
    void FreeBufferWithNotification(PMDL mdl, ULONG size) override;
    NTSTATUS RegisterNotificationEvent(PKEVENT event) override;
    NTSTATUS UnregisterNotificationEvent(PKEVENT event) override;
    // IMiniportWaveRTInputStream
    NTSTATUS GetReadPacket(ULONG* number, DWORD* flags, ULONG64* counter, BOOL* more) override;
    // IMiniportWaveRTOutputStream
    NTSTATUS SetWritePacket(ULONG number, DWORD flags, ULONG eosLength) override;
    NTSTATUS GetOutputStreamPresentationPosition(KSAUDIO_PRESENTATION_POSITION* position) override;
    NTSTATUS GetPacketCount(ULONG* count) override;

  private:
    struct LISTENER {
        LIST_ENTRY Link;
        PKEVENT Event;
    };
    void OnCardEvent() override;
    void OnPowerUp() override;
    void Entered(KSSTATE state);
    void Promise();
    ULONG PacketCount() const;

    CCardStream m_Stream;
    bool m_Attached = false, m_Packets = false, m_Lockstep = false;
    KSPIN_LOCK m_ListenerLock;
    LIST_ENTRY m_Listeners;
    ULONG m_SeenCount = 0;

    // Render: what the client has written.
    bool m_Marked = false, m_Owed = false, m_Ended = false;
    ULONG m_Written = 0, m_EosBytes = 0;
    // Capture: the next packet that the client has not read.
    ULONG m_NextRead = 0;
    bool m_CaptureMarked = false;
};
