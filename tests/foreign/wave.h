// WaveRT miniport of one direction.
#pragma once
#include "adapter.h"

// Pins of the wave filters, in the order of their descriptors.
enum { WAVEOUT_PIN_HOST, WAVEOUT_PIN_BRIDGE };
enum { WAVEIN_PIN_BRIDGE, WAVEIN_PIN_HOST };

class CWaveMiniport : public IMiniportWaveRT {
  public:
    DECLARE_UNKNOWN();
    explicit CWaveMiniport(bool capture) : m_Capture(capture) {}
    virtual ~CWaveMiniport();

    NTSTATUS GetDescription(PCFILTER_DESCRIPTOR** description) override;
    NTSTATUS DataRangeIntersection(ULONG pin, KSDATARANGE* range, KSDATARANGE* matching, ULONG length, PVOID format,
                                   PULONG formatLength) override;
    NTSTATUS Init(IUnknown* adapter, IResourceList* resources, IPortWaveRT* port) override;
    NTSTATUS NewStream(IMiniportWaveRTStream** stream, IPortWaveRTStream* portStream, ULONG pin, BOOLEAN capture,
                       KSDATAFORMAT* format) override;
    NTSTATUS GetDeviceDescription(DEVICE_DESCRIPTION* description) override;

    static NTSTATUS CheckFormat(const KSDATAFORMAT* format);
    static NTSTATUS ProposeFormat(PCPROPERTY_REQUEST* request);

  private:
    ULONG HostPin() const { return m_Capture ? (ULONG)WAVEIN_PIN_HOST : (ULONG)WAVEOUT_PIN_HOST; }
    const bool m_Capture;
    CAdapter* m_Adapter = nullptr;
};
