#include "card.h"

PAGED_SEGMENT NTSTATUS CCard::Open(IResourceList* resources) {
    KeInitializeSpinLock(&m_PositionLock);
    CM_PARTIAL_RESOURCE_DESCRIPTOR* bar = resources->FindTranslatedEntry(CmResourceTypeMemory, 0);
    if (!bar || bar->u.Memory.Length < CARD_BAR0_BYTES) return STATUS_DEVICE_CONFIGURATION_ERROR;
    m_Mapping = (volatile ULONG*)MmMapIoSpaceEx(bar->u.Memory.Start, CARD_BAR0_BYTES, PAGE_READWRITE | PAGE_NOCACHE);
    if (!m_Mapping) return STATUS_INSUFFICIENT_RESOURCES;
    m_Base = m_Mapping;

    const ULONG needed = FEATURE_SCATTER_GATHER | FEATURE_WRITTEN;
    if (!Present() || Read(REG_VERSION) >> 16 != 1) {
        DbgPrint("plainwave: this is not the card: magic %x, version %x\n", Read(REG_MAGIC), Read(REG_VERSION));
        return STATUS_DEVICE_CONFIGURATION_ERROR;
    }
    Write(REG_CONTROL, CONTROL_RESET);
    if ((Read(REG_FEATURES) & needed) != needed) return STATUS_DEVICE_CONFIGURATION_ERROR;
    m_Streams = Read(REG_STREAMS);
    m_RingBytesMax = Read(REG_RING_BYTES_MAX);
    m_EntriesMax = Read(REG_SG_ENTRIES_MAX);
    m_DmaBits = Read(REG_DMA_BITS);
    return STATUS_SUCCESS;
}

PAGED_SEGMENT void CCard::Close() {
    Retire();
    if (m_Mapping) MmUnmapIoSpace((PVOID)m_Mapping, CARD_BAR0_BYTES);
    m_Mapping = nullptr;
}

PHYSICAL_ADDRESS CCard::HighestAddress() const {
    PHYSICAL_ADDRESS highest;
    highest.QuadPart = m_DmaBits >= 63 ? 0x7FFFFFFFFFFFFFFFll : (1ll << m_DmaBits) - 1;
    return highest;
}

// The low half latches the high half for everybody, so two readers must not mix.
ULONGLONG CCard::Position(ULONG stream) {
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&m_PositionLock);
    ULONG low = ReadStream(stream, SR_POSITION_LO);
    ULONG high = ReadStream(stream, SR_POSITION_HI);
    KeReleaseSpinLock(&m_PositionLock, irql);
    return (ULONGLONG)high << 32 | low;
}

NTSTATUS CCard::Configure(ULONG stream, ULONG ringBytes, ULONG packets, PHYSICAL_ADDRESS table, ULONG entries) {
    WriteStream(stream, SR_ERROR, 0);
    WriteStream(stream, SR_FORMAT, 0 | 2 << 8);
    WriteStream(stream, SR_RATE, RATE_HZ);
    WriteStream(stream, SR_RING_BYTES, ringBytes);
    WriteStream(stream, SR_PACKETS, packets);
    WriteStream(stream, SR_DMA_MODE, 1);
    WriteStream(stream, SR_SG_ENTRIES, entries);
    WriteStream(stream, SR_DMA_ADDR_LO, table.u.LowPart);
    WriteStream(stream, SR_DMA_ADDR_HI, (ULONG)table.u.HighPart);
    return ReadStream(stream, SR_ERROR) == 0 ? STATUS_SUCCESS : STATUS_IO_DEVICE_ERROR;
}

NTSTATUS CCard::SetState(ULONG stream, KSSTATE state, ULONG* error) {
    WriteStream(stream, SR_STATE, (ULONG)state);
    if (ReadStream(stream, SR_STATE) == (ULONG)state) return STATUS_SUCCESS;
    *error = ReadStream(stream, SR_ERROR);
    WriteStream(stream, SR_ERROR, 0);
    return STATUS_IO_DEVICE_ERROR;
}

// --- configuration space -----------------------------------------------------------------------------------------------------------
static PAGED_SEGMENT NTSTATUS QueryBusInterface(DEVICE_OBJECT* pdo, BUS_INTERFACE_STANDARD* bus) {
    KEVENT event;
    IO_STATUS_BLOCK result = {};
    KeInitializeEvent(&event, NotificationEvent, FALSE);
    IRP* irp = IoBuildSynchronousFsdRequest(IRP_MJ_PNP, pdo, nullptr, 0, nullptr, &event, &result);
    if (!irp) return STATUS_INSUFFICIENT_RESOURCES;

    IO_STACK_LOCATION* next = IoGetNextIrpStackLocation(irp);
    next->MajorFunction = IRP_MJ_PNP;
    next->MinorFunction = IRP_MN_QUERY_INTERFACE;
    next->Parameters.QueryInterface.InterfaceType = &GUID_BUS_INTERFACE_STANDARD;
    next->Parameters.QueryInterface.Size = sizeof(*bus);
    next->Parameters.QueryInterface.Version = 1;
    next->Parameters.QueryInterface.Interface = bus;
    next->Parameters.QueryInterface.InterfaceSpecificData = nullptr;
    irp->IoStatus.Status = STATUS_NOT_SUPPORTED;

    NTSTATUS status = IoCallDriver(pdo, irp);
    if (status == STATUS_PENDING) {
        KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, nullptr);
        status = result.Status;
    }
    return status;
}

PAGED_SEGMENT NTSTATUS CCard::CheckBus(DEVICE_OBJECT* pdo) {
    BUS_INTERFACE_STANDARD bus = {};
    NTSTATUS status = QueryBusInterface(pdo, &bus);
    if (!NT_SUCCESS(status)) return status;

    UCHAR header[64] = {};
    ULONG got = bus.GetBusData(bus.Context, PCI_WHICHSPACE_CONFIG, header, 0, sizeof(header));
    if (got != sizeof(header)) {
        status = STATUS_IO_DEVICE_ERROR;
    } else {
        ULONG vendor = header[0] | header[1] << 8, device = header[2] | header[3] << 8;
        USHORT command = (USHORT)(header[4] | header[5] << 8);
        DbgPrint("plainwave: %04x:%04x rev %u, command %04x\n", vendor, device, (ULONG)header[8], (ULONG)command);
        if (!(command & 0x4)) {
            command |= 0x4;
            bus.SetBusData(bus.Context, PCI_WHICHSPACE_CONFIG, &command, 4, sizeof(command));
        }
    }
    if (bus.InterfaceDereference) bus.InterfaceDereference(bus.Context);
    return status;
}
