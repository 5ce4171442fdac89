// Where the system comes in: the driver's entry, a new device, its start, and its end.
#include "adapter.h"

#define MAX_SUBDEVICES 4

struct DEVICE_CONTEXT {
    UCHAR PortClass[PORT_CLASS_DEVICE_EXTENSION_SIZE];
    CAdapter* Adapter;
};

static CSettings g_Settings;
static PDRIVER_UNLOAD g_PortClassUnload;

static DEVICE_CONTEXT* ContextOf(DEVICE_OBJECT* device) { return (DEVICE_CONTEXT*)device->DeviceExtension; }

static PAGED_SEGMENT NTSTATUS StartDevice(DEVICE_OBJECT* device, IRP* irp, IResourceList* resources) {
    CAdapter* adapter = new (POOL_FLAG_NON_PAGED) CAdapter(device);
    if (!adapter) return STATUS_INSUFFICIENT_RESOURCES;
    NTSTATUS status = adapter->Init(resources, g_Settings);
    if (NT_SUCCESS(status)) status = PcRegisterAdapterPowerManagement(adapter, device);
    if (NT_SUCCESS(status)) status = adapter->InstallFilters(irp, resources);
    if (NT_SUCCESS(status)) {
        ContextOf(device)->Adapter = adapter;
    } else {
        DbgPrint("plainwave: the device does not start (0x%x)\n", status);
        adapter->Cleanup();
        adapter->Release();
    }
    return status;
}

static PAGED_SEGMENT NTSTATUS AddDevice(DRIVER_OBJECT* driver, DEVICE_OBJECT* pdo) {
    return PcAddAdapterDevice(driver, pdo, StartDevice, MAX_SUBDEVICES, sizeof(DEVICE_CONTEXT));
}

// The port class does all of plug and play but for what this driver holds itself.
static PAGED_SEGMENT NTSTATUS PnpHandler(DEVICE_OBJECT* device, IRP* irp) {
    switch (IoGetCurrentIrpStackLocation(irp)->MinorFunction) {
    case IRP_MN_STOP_DEVICE:
    case IRP_MN_SURPRISE_REMOVAL:
    case IRP_MN_REMOVE_DEVICE:
        if (CAdapter* adapter = ContextOf(device)->Adapter) {
            ContextOf(device)->Adapter = nullptr;
            adapter->Cleanup();
            adapter->Release();
        }
        break;
    default: break;
    }
    return PcDispatchIrp(device, irp);
}

static PAGED_SEGMENT void Unload(DRIVER_OBJECT* driver) {
    if (g_PortClassUnload) g_PortClassUnload(driver);
    FreeRegistryPath();
}

extern "C" INIT_SEGMENT NTSTATUS DriverEntry(DRIVER_OBJECT* driver, UNICODE_STRING* registryPath) {
    NTSTATUS status = CopyRegistryPath(registryPath);
    if (NT_SUCCESS(status)) {
        g_Settings.ReadService(driver);
        status = PcInitializeAdapterDriver(driver, registryPath, AddDevice);
    }
    if (!NT_SUCCESS(status)) {
        FreeRegistryPath();
        return status;
    }
    driver->MajorFunction[IRP_MJ_PNP] = PnpHandler;
    g_PortClassUnload = driver->DriverUnload;
    driver->DriverUnload = Unload;
    return STATUS_SUCCESS;
}
