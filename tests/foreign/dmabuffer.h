// The cyclic buffer of a stream and the card's scatter-gather table for it, both from the port's allocator.
#pragma once
#include "card.h"

class CDmaBuffer {
  public:
    NTSTATUS Allocate(IPortWaveRTStream* port, const CCard& card, ULONG bytes);
    void Free();

    PMDL Mdl() const { return m_Mdl; }
    ULONG Bytes() const { return m_Bytes; }
    ULONG Entries() const { return m_Entries; }
    PHYSICAL_ADDRESS Table() const { return m_Table; }

  private:
    struct SLOT {
        ULONGLONG Address;
        ULONG Length, Flags;
    };
    NTSTATUS BuildTable(const CCard& card);

    IPortWaveRTStream* m_Port = nullptr;
    PMDL m_Mdl = nullptr, m_TableMdl = nullptr;
    PVOID m_Mapped = nullptr;
    SLOT* m_Slots = nullptr;
    ULONG m_Bytes = 0, m_Entries = 0;
    PHYSICAL_ADDRESS m_Table = {};
};
