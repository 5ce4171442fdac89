#include "dmabuffer.h"

#define SLOTS_PER_PAGE (PAGE_SIZE / 16)
#define SLOT_LINK 1u

PAGED_SEGMENT NTSTATUS CDmaBuffer::Allocate(IPortWaveRTStream* port, const CCard& card, ULONG bytes) {
    m_Port = port;
    m_Mdl = port->AllocatePagesForMdl(card.HighestAddress(), bytes);
    if (!m_Mdl) return STATUS_INSUFFICIENT_RESOURCES;
    m_Bytes = bytes;
    // The port may have found less than was asked for.
    if (port->GetPhysicalPagesCount(m_Mdl) < (bytes + PAGE_SIZE - 1) / PAGE_SIZE) {
        Free();
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    m_Mapped = port->MapAllocatedPages(m_Mdl, MmCached);
    if (!m_Mapped) {
        Free();
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    RtlZeroMemory(m_Mapped, bytes);
    NTSTATUS status = BuildTable(card);
    if (!NT_SUCCESS(status)) Free();
    return status;
}

// One entry for each run of pages that follow each other. The last slot of a full page leads to the next page.
PAGED_SEGMENT NTSTATUS CDmaBuffer::BuildTable(const CCard& card) {
    ULONG pages = (m_Bytes + PAGE_SIZE - 1) / PAGE_SIZE;
    ULONG tablePages = (pages + SLOTS_PER_PAGE - 2) / (SLOTS_PER_PAGE - 1);
    m_TableMdl = m_Port->AllocatePagesForMdl(card.HighestAddress(), tablePages * PAGE_SIZE);
    if (!m_TableMdl || m_Port->GetPhysicalPagesCount(m_TableMdl) < tablePages) return STATUS_INSUFFICIENT_RESOURCES;
    m_Slots = (SLOT*)m_Port->MapAllocatedPages(m_TableMdl, MmCached);
    if (!m_Slots) return STATUS_INSUFFICIENT_RESOURCES;
    RtlZeroMemory(m_Slots, tablePages * PAGE_SIZE);
    m_Table = m_Port->GetPhysicalPageAddress(m_TableMdl, 0);

    ULONG slot = 0, left = m_Bytes;
    SLOT* last = nullptr;
    for (ULONG page = 0; page < pages; ++page) {
        ULONGLONG address = (ULONGLONG)m_Port->GetPhysicalPageAddress(m_Mdl, page).QuadPart;
        ULONG length = left < PAGE_SIZE ? left : PAGE_SIZE;
        left -= length;
        if (last && last->Address + last->Length == address) {
            last->Length += length;
            continue;
        }
        if (slot % SLOTS_PER_PAGE == SLOTS_PER_PAGE - 1) {
            m_Slots[slot].Address = (ULONGLONG)m_Port->GetPhysicalPageAddress(m_TableMdl, slot / SLOTS_PER_PAGE + 1).QuadPart;
            m_Slots[slot].Flags = SLOT_LINK;
            ++slot;
        }
        last = &m_Slots[slot++];
        last->Address = address;
        last->Length = length;
        ++m_Entries;
    }
    return m_Entries <= card.EntriesMax() ? STATUS_SUCCESS : STATUS_UNSUCCESSFUL;
}

PAGED_SEGMENT void CDmaBuffer::Free() {
    if (m_Slots) m_Port->UnmapAllocatedPages(m_Slots, m_TableMdl);
    if (m_TableMdl) m_Port->FreePagesFromMdl(m_TableMdl);
    if (m_Mapped) m_Port->UnmapAllocatedPages(m_Mapped, m_Mdl);
    if (m_Mdl) m_Port->FreePagesFromMdl(m_Mdl);
    m_Slots = nullptr;
    m_TableMdl = m_Mdl = nullptr;
    m_Mapped = nullptr;
    m_Bytes = m_Entries = 0;
}
