// The adapter: card, interrupt, power, and the subdevices that it installs.
#pragma once
#include "card.h"
#include "recorder.h"

// Every object here counts its own references and is never aggregated.
#define DECLARE_UNKNOWN()                                             \
    NTSTATUS QueryInterface(REFIID iid, PVOID* object) override;      \
    ULONG AddRef() override { return InterlockedIncrement(&m_References); } \
    ULONG Release() override {                                        \
        LONG left = InterlockedDecrement(&m_References);              \
        if (left == 0) delete this;                                   \
        return left;                                                  \
    }                                                                 \
    volatile LONG m_References = 1

// A stream, as the adapter knows it. Called at DISPATCH_LEVEL.
class ICardClient {
  public:
    // The card had something to say, perhaps to another.
    virtual void OnCardEvent() = 0;
    // The card is in D0 again: what could not be written meanwhile can.
    virtual void OnPowerUp() = 0;
};

// The verbs of a property, as its table entry has them.
NTSTATUS BasicSupport(PCPROPERTY_REQUEST* request);

#define ADAPTER_STREAMS 16

class CAdapter : public IAdapterPowerManagement {
  public:
    DECLARE_UNKNOWN();
    CAdapter(DEVICE_OBJECT* device) : m_Device(device) {}
    virtual ~CAdapter();

    NTSTATUS Init(IResourceList* resources, const CSettings& settings);
    NTSTATUS InstallFilters(IRP* irp, IResourceList* resources);
    void Cleanup();

    void PowerChangeState(POWER_STATE state) override;
    NTSTATUS QueryPowerChangeState(POWER_STATE state) override;
    NTSTATUS QueryDeviceCapabilities(DEVICE_CAPABILITIES* capabilities) override;

    CCard& Card() { return m_Card; }
    CRecorder& Recorder() { return m_Recorder; }
    const CSettings& Settings() const { return m_Settings; }
    DEVICE_OBJECT* Device() const { return m_Device; }
    bool HasInterrupt() const { return m_InterruptCount != 0; }

    bool Awake() const { return m_Power == PowerDeviceD0; }

    NTSTATUS Attach(ULONG stream, ICardClient* client);
    void Detach(ULONG stream);
    // A stream runs or stands: the look for lost interrupts goes with the first and the last.
    void StreamRuns(bool runs);

  private:
    struct SUBDEVICE {
        IPort* Port;
        IUnknown* Miniport;
    };
    struct CONNECTION {
        SUBDEVICE *From, *To;
        ULONG FromPin, ToPin;
        bool Made;
    };
    NTSTATUS ConnectInterrupts(IResourceList* resources);
    NTSTATUS ConnectInterrupt(IResourceList* resources, ULONG index);
    void DisconnectInterrupts();
    NTSTATUS RegisterControlInterface();
    NTSTATUS DescribeInterface(PCWSTR name, PCWSTR friendlyName);
    NTSTATUS InstallSubdevice(IRP* irp, PCWSTR name, PCWSTR friendlyName, REFCLSID portClass, IUnknown* miniport, IResourceList* resources,
                              SUBDEVICE* subdevice);
    NTSTATUS Connect(CONNECTION* connection);
    void RemoveSubdevice(SUBDEVICE* subdevice, bool apart);
    bool RemoveConnection(CONNECTION* connection);
    void LookForMidi();
    void ServeClients(bool powerUp);
    void WakeClients();

    static NTSTATUS Isr(IInterruptSync* sync, PVOID context);
    static void Dpc(KDPC* dpc, PVOID context, PVOID argument1, PVOID argument2);
    static void Watchdog(KDPC* dpc, PVOID context, PVOID argument1, PVOID argument2);

    DEVICE_OBJECT* m_Device;
    DEVICE_OBJECT* m_Pdo = nullptr;
    CCard m_Card;
    CRecorder m_Recorder;
    CSettings m_Settings;
    IInterruptSync* m_Interrupts[ADAPTER_STREAMS] = {};
    ULONG m_InterruptCount = 0;
    KDPC m_Dpc = {}, m_WatchdogDpc = {};
    KTIMER m_WatchdogTimer = {};
    volatile LONG m_Running = 0;
    KSPIN_LOCK m_ClientLock = 0;
    ICardClient* m_Clients[ADAPTER_STREAMS] = {};
    volatile DEVICE_POWER_STATE m_Power = PowerDeviceD0;
    UNICODE_STRING m_ControlLink = {};
    bool m_CleanedUp = false;
    // Wave and topology, render and capture.
    SUBDEVICE m_WaveOut = {}, m_TopoOut = {}, m_WaveIn = {}, m_TopoIn = {};
    CONNECTION m_Render = {&m_WaveOut, &m_TopoOut, 1, 0, false};
    CONNECTION m_Capture = {&m_TopoIn, &m_WaveIn, 1, 0, false};
};
