#include "settings.h"

extern "C" int _fltused = 0;

void* operator new(SIZE_T bytes, POOL_FLAGS flags) noexcept { return ExAllocatePool2(flags, bytes, PLAIN_TAG); }
void operator delete(void* memory) noexcept {
    if (memory) ExFreePoolWithTag(memory, PLAIN_TAG);
}
void operator delete(void* memory, SIZE_T) noexcept {
    if (memory) ExFreePoolWithTag(memory, PLAIN_TAG);
}

void Format(WCHAR* buffer, SIZE_T count, PCWSTR format, ...) {
    __builtin_va_list arguments;
    __builtin_va_start(arguments, format);
    int written = _vsnwprintf(buffer, count - 1, format, arguments);
    __builtin_va_end(arguments);
    buffer[written < 0 || (SIZE_T)written >= count ? count - 1 : (SIZE_T)written] = 0;
}

// --- CKey --------------------------------------------------------------------------------------------------------------------------
PAGED_SEGMENT NTSTATUS CKey::OpenDevice(DEVICE_OBJECT* pdo, ULONG type, ACCESS_MASK access) {
    Close();
    return IoOpenDeviceRegistryKey(pdo, type, access, &m_Handle);
}

PAGED_SEGMENT NTSTATUS CKey::OpenDriver(DRIVER_OBJECT* driver, ACCESS_MASK access) {
    Close();
    return IoOpenDriverRegistryKey(driver, DriverRegKeyParameters, access, 0, &m_Handle);
}

PAGED_SEGMENT NTSTATUS CKey::OpenInterface(UNICODE_STRING* link, ACCESS_MASK access) {
    Close();
    return IoOpenDeviceInterfaceRegistryKey(link, access, &m_Handle);
}

PAGED_SEGMENT NTSTATUS CKey::Open(const CKey& parent, PCWSTR name, ACCESS_MASK access) {
    UNICODE_STRING string;
    OBJECT_ATTRIBUTES attributes;
    RtlInitUnicodeString(&string, name);
    InitializeObjectAttributes(&attributes, &string, OBJ_CASE_INSENSITIVE | OBJ_KERNEL_HANDLE, parent.m_Handle);
    Close();
    return ZwOpenKey(&m_Handle, access, &attributes);
}

PAGED_SEGMENT NTSTATUS CKey::Create(const CKey& parent, PCWSTR name, ULONG options, bool* created) {
    UNICODE_STRING string;
    OBJECT_ATTRIBUTES attributes;
    ULONG disposition = 0;
    RtlInitUnicodeString(&string, name);
    InitializeObjectAttributes(&attributes, &string, OBJ_CASE_INSENSITIVE | OBJ_KERNEL_HANDLE, parent.m_Handle);
    Close();
    NTSTATUS status = ZwCreateKey(&m_Handle, KEY_READ | KEY_WRITE, &attributes, 0, nullptr, options, &disposition);
    if (created) *created = NT_SUCCESS(status) && disposition == 1;
    return status;
}

PAGED_SEGMENT void CKey::Close() {
    if (m_Handle) {
        ZwClose(m_Handle);
        m_Handle = nullptr;
    }
}

PAGED_SEGMENT NTSTATUS CKey::SetDword(PCWSTR name, ULONG value) {
    UNICODE_STRING string;
    RtlInitUnicodeString(&string, name);
    return ZwSetValueKey(m_Handle, &string, 0, REG_DWORD, &value, sizeof(value));
}

PAGED_SEGMENT NTSTATUS CKey::SetQword(PCWSTR name, ULONGLONG value) {
    UNICODE_STRING string;
    RtlInitUnicodeString(&string, name);
    return ZwSetValueKey(m_Handle, &string, 0, REG_QWORD, &value, sizeof(value));
}

PAGED_SEGMENT NTSTATUS CKey::SetText(PCWSTR name, PCWSTR text) {
    UNICODE_STRING string, value;
    RtlInitUnicodeString(&string, name);
    RtlInitUnicodeString(&value, text);
    return ZwSetValueKey(m_Handle, &string, 0, REG_SZ, value.Buffer, value.Length + sizeof(WCHAR));
}

PAGED_SEGMENT NTSTATUS CKey::QueryDword(PCWSTR name, ULONG* value) {
    UNICODE_STRING string;
    union {
        KEY_VALUE_PARTIAL_INFORMATION partial;
        UCHAR room[sizeof(KEY_VALUE_PARTIAL_INFORMATION) + sizeof(ULONG)];
    } information;
    ULONG length = 0;
    RtlInitUnicodeString(&string, name);
    NTSTATUS status = ZwQueryValueKey(m_Handle, &string, KeyValuePartialInformation, &information, sizeof(information), &length);
    if (!NT_SUCCESS(status)) return status;
    if (information.partial.Type != REG_DWORD || information.partial.DataLength != sizeof(ULONG)) return STATUS_OBJECT_TYPE_MISMATCH;
    RtlCopyMemory(value, information.partial.Data, sizeof(ULONG));
    return STATUS_SUCCESS;
}

PAGED_SEGMENT NTSTATUS CKey::SubkeyName(ULONG index, WCHAR* name, SIZE_T count) {
    union {
        KEY_BASIC_INFORMATION basic;
        UCHAR room[sizeof(KEY_BASIC_INFORMATION) + 64 * sizeof(WCHAR)];
    } information;
    ULONG length = 0;
    NTSTATUS status = ZwEnumerateKey(m_Handle, index, KeyBasicInformation, &information, sizeof(information), &length);
    if (!NT_SUCCESS(status)) return status;
    SIZE_T characters = information.basic.NameLength / sizeof(WCHAR);
    if (characters >= count) return STATUS_BUFFER_OVERFLOW;
    RtlCopyMemory(name, information.basic.Name, characters * sizeof(WCHAR));
    name[characters] = 0;
    return STATUS_SUCCESS;
}

PAGED_SEGMENT NTSTATUS CKey::DwordAt(ULONG index, WCHAR* name, SIZE_T count, ULONG* value) {
    union {
        KEY_VALUE_FULL_INFORMATION full;
        UCHAR room[sizeof(KEY_VALUE_FULL_INFORMATION) + 128 * sizeof(WCHAR)];
    } information;
    ULONG length = 0;
    NTSTATUS status = ZwEnumerateValueKey(m_Handle, index, KeyValueFullInformation, &information, sizeof(information), &length);
    if (!NT_SUCCESS(status)) return status;
    SIZE_T characters = information.full.NameLength / sizeof(WCHAR);
    if (characters >= count) return STATUS_BUFFER_OVERFLOW;
    if (information.full.Type != REG_DWORD || information.full.DataLength != sizeof(ULONG)) return STATUS_OBJECT_TYPE_MISMATCH;
    RtlCopyMemory(name, information.full.Name, characters * sizeof(WCHAR));
    name[characters] = 0;
    RtlCopyMemory(value, information.room + information.full.DataOffset, sizeof(ULONG));
    return STATUS_SUCCESS;
}

// --- the service's key -------------------------------------------------------------------------------------------------------------
static UNICODE_STRING g_ParametersPath;

INIT_SEGMENT NTSTATUS CopyRegistryPath(const UNICODE_STRING* path) {
    static const WCHAR suffix[] = L"\\Parameters";
    USHORT room = (USHORT)(path->Length + sizeof(suffix));
    PWSTR buffer = (PWSTR)ExAllocatePool2(POOL_FLAG_PAGED, room, PLAIN_TAG);
    if (!buffer) return STATUS_INSUFFICIENT_RESOURCES;
    g_ParametersPath.Buffer = buffer;
    g_ParametersPath.Length = 0;
    g_ParametersPath.MaximumLength = room;
    RtlCopyUnicodeString(&g_ParametersPath, path);
    return RtlAppendUnicodeToString(&g_ParametersPath, suffix);
}

PAGED_SEGMENT void FreeRegistryPath() {
    if (g_ParametersPath.Buffer) ExFreePoolWithTag(g_ParametersPath.Buffer, PLAIN_TAG);
    RtlZeroMemory(&g_ParametersPath, sizeof(g_ParametersPath));
}

PAGED_SEGMENT void CSettings::ReadService(DRIVER_OBJECT* driver) {
    const ULONG how = RTL_QUERY_REGISTRY_DIRECT | RTL_QUERY_REGISTRY_TYPECHECK;
    const ULONG type = (REG_DWORD << RTL_QUERY_REGISTRY_TYPECHECK_SHIFT) | REG_DWORD;
    RTL_QUERY_REGISTRY_TABLE table[] = {
        {nullptr, how, L"PollingOnly", &PollingOnly, type, &PollingOnly, sizeof(ULONG)},
        {nullptr, how, L"CaptureMarked", &CaptureMarked, type, &CaptureMarked, sizeof(ULONG)},
        {nullptr, how, L"WatchdogMs", &WatchdogMs, type, &WatchdogMs, sizeof(ULONG)},
        {nullptr, 0, nullptr, nullptr, 0, nullptr, 0},
    };
    CKey key;
    NTSTATUS status = key.OpenDriver(driver, KEY_READ);
    if (NT_SUCCESS(status))
        status = RtlQueryRegistryValues(RTL_REGISTRY_HANDLE, (PCWSTR)key.Handle(), table, nullptr, nullptr);
    else if (g_ParametersPath.Buffer)
        status = RtlQueryRegistryValues(RTL_REGISTRY_ABSOLUTE, g_ParametersPath.Buffer, table, nullptr, nullptr);
    if (!NT_SUCCESS(status)) DbgPrint("plainwave: no service parameters (0x%x), defaults hold\n", status);
}

// --- the device's keys -------------------------------------------------------------------------------------------------------------
PAGED_SEGMENT void CSettings::Take(PCWSTR endpoint, PCWSTR name, ULONG value) {
    UNICODE_STRING have, want;
    RtlInitUnicodeString(&have, name);
    RtlInitUnicodeString(&want, L"BufferLimitMs");
    if (RtlCompareUnicodeString(&have, &want, TRUE) != 0) return;
    if (!wcscmp(endpoint, L"Render")) RenderLimitMs = value;
    if (!wcscmp(endpoint, L"Capture")) CaptureLimitMs = value;
}

PAGED_SEGMENT void CSettings::ReadDevice(DEVICE_OBJECT* fdo, DEVICE_OBJECT* pdo) {
    // The driver key by way of the port class.
    IRegistryKey* driverKey = nullptr;
    NTSTATUS status = PcNewRegistryKey(&driverKey, nullptr, DriverRegistryKey, KEY_READ, fdo, nullptr, nullptr, 0, nullptr);
    if (NT_SUCCESS(status)) {
        union {
            KEY_VALUE_PARTIAL_INFORMATION partial;
            UCHAR room[sizeof(KEY_VALUE_PARTIAL_INFORMATION) + sizeof(ULONG)];
        } information;
        UNICODE_STRING name;
        ULONG length = 0;
        RtlInitUnicodeString(&name, L"PollingOnly");
        status = driverKey->QueryValueKey(&name, KeyValuePartialInformation, &information, sizeof(information), &length);
        if (NT_SUCCESS(status) && information.partial.Type == REG_DWORD && information.partial.DataLength == sizeof(ULONG))
            RtlCopyMemory(&PollingOnly, information.partial.Data, sizeof(ULONG));
        driverKey->Release();
    }

    // The hardware key: Settings, with a subkey for each endpoint.
    CKey hardware, settings;
    if (!NT_SUCCESS(hardware.OpenDevice(pdo, PLUGPLAY_REGKEY_DEVICE, KEY_READ))) return;
    if (!NT_SUCCESS(settings.Open(hardware, L"Settings", KEY_READ))) return;
    settings.QueryDword(L"PollingOnly", &PollingOnly);
    settings.QueryDword(L"WatchdogMs", &WatchdogMs);
    WCHAR endpoint[32], name[32];
    for (ULONG i = 0;; ++i) {
        status = settings.SubkeyName(i, endpoint, SIZEOF_ARRAY(endpoint));
        if (status == STATUS_BUFFER_OVERFLOW) continue;
        if (!NT_SUCCESS(status)) break;
        CKey key;
        if (!NT_SUCCESS(key.Open(settings, endpoint, KEY_READ))) continue;
        for (ULONG j = 0;; ++j) {
            ULONG value = 0;
            status = key.DwordAt(j, name, SIZEOF_ARRAY(name), &value);
            if (status == STATUS_BUFFER_OVERFLOW || status == STATUS_OBJECT_TYPE_MISMATCH) continue;
            if (!NT_SUCCESS(status)) break;
            Take(endpoint, name, value);
        }
    }
}
