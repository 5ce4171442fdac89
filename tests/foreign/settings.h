// Registry: a key as an object, and what this driver reads from it.
#pragma once
#include "include/guids.h"
#include "include/portcls.h"

#define PLAIN_TAG 'vwlP'
#define PAGED_SEGMENT __attribute__((section("PAGE")))
// Of what raises IRQL and has a PAGED_SEGMENT caller in its file: inlined there it would be taken away while it runs.
#define STAYS_OUT_OF_PAGED __attribute__((noinline))
#define INIT_SEGMENT __attribute__((section("INIT")))

void* operator new(SIZE_T bytes, POOL_FLAGS flags) noexcept;
void operator delete(void* memory) noexcept;
void operator delete(void* memory, SIZE_T bytes) noexcept;

// Formats into a buffer of `count` characters; always terminated.
void Format(WCHAR* buffer, SIZE_T count, PCWSTR format, ...);

class CKey {
  public:
    CKey() = default;
    ~CKey() { Close(); }
    CKey(const CKey&) = delete;
    CKey& operator=(const CKey&) = delete;

    NTSTATUS OpenDevice(DEVICE_OBJECT* pdo, ULONG type, ACCESS_MASK access);
    NTSTATUS OpenDriver(DRIVER_OBJECT* driver, ACCESS_MASK access);
    NTSTATUS OpenInterface(UNICODE_STRING* link, ACCESS_MASK access);
    NTSTATUS Open(const CKey& parent, PCWSTR name, ACCESS_MASK access);
    NTSTATUS Create(const CKey& parent, PCWSTR name, ULONG options, bool* created);
    void Close();
    HANDLE Handle() const { return m_Handle; }

    NTSTATUS SetDword(PCWSTR name, ULONG value);
    NTSTATUS SetQword(PCWSTR name, ULONGLONG value);
    NTSTATUS SetText(PCWSTR name, PCWSTR text);
    NTSTATUS QueryDword(PCWSTR name, ULONG* value);
    // Name of the index-th subkey, terminated; STATUS_NO_MORE_ENTRIES behind the last.
    NTSTATUS SubkeyName(ULONG index, WCHAR* name, SIZE_T count);
    // Name and, if it is a DWORD, value of the index-th value.
    NTSTATUS DwordAt(ULONG index, WCHAR* name, SIZE_T count, ULONG* value);

  private:
    HANDLE m_Handle = nullptr;
};

struct CSettings {
    ULONG PollingOnly = 0;      // 1: streams without notification
    ULONG CaptureMarked = 1;    // capture in packets waits for its reader where the card's clock can
    ULONG WatchdogMs = 100;     // period of the look for a lost interrupt, 0: none
    ULONG RenderLimitMs = 0;    // longest buffer that is given, 0: as asked for
    ULONG CaptureLimitMs = 0;

    void ReadService(DRIVER_OBJECT* driver);
    void ReadDevice(DEVICE_OBJECT* fdo, DEVICE_OBJECT* pdo);

  private:
    void Take(PCWSTR endpoint, PCWSTR name, ULONG value);
};

// From DriverEntry on: a copy of the path of the service's key, with \Parameters.
NTSTATUS CopyRegistryPath(const UNICODE_STRING* path);
void FreeRegistryPath();
