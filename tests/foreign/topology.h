// Topology miniport of one direction: a bridge pin to the wave filter and a jack.
#pragma once
#include "adapter.h"

// Pins of the topology filters, in the order of their descriptors.
enum { TOPOOUT_PIN_BRIDGE, TOPOOUT_PIN_SPEAKER };
enum { TOPOIN_PIN_MICROPHONE, TOPOIN_PIN_BRIDGE };

class CTopologyMiniport : public IMiniportTopology {
  public:
    DECLARE_UNKNOWN();
    explicit CTopologyMiniport(bool capture) : m_Capture(capture) {}
    virtual ~CTopologyMiniport() = default;

    NTSTATUS GetDescription(PCFILTER_DESCRIPTOR** description) override;
    NTSTATUS DataRangeIntersection(ULONG pin, KSDATARANGE* range, KSDATARANGE* matching, ULONG length, PVOID format,
                                   PULONG formatLength) override;
    NTSTATUS Init(IUnknown* adapter, IResourceList* resources, IPortTopology* port) override;

    static NTSTATUS JackProperty(PCPROPERTY_REQUEST* request);

  private:
    NTSTATUS JackDescription(PCPROPERTY_REQUEST* request) const;
    const bool m_Capture;
};
