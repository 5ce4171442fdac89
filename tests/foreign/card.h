// The card's registers (device/DATASHEET.md) and its configuration space.
#pragma once
#include "settings.h"

enum CARD_REG : ULONG {
    REG_MAGIC = 0x000,
    REG_VERSION = 0x004,
    REG_FEATURES = 0x008,
    REG_STREAMS = 0x00C,
    REG_DMA_BITS = 0x010,
    REG_SG_ENTRIES_MAX = 0x014,
    REG_RING_BYTES_MAX = 0x018,
    REG_CONTROL = 0x020,
    REG_INT_STATUS = 0x024,
    REG_CLOCK_MODE = 0x058,
};
enum STREAM_REG : ULONG {
    SR_CAPS = 0x00,
    SR_FORMATS = 0x04,
    SR_RATES = 0x08,
    SR_STATE = 0x10,
    SR_ERROR = 0x14,
    SR_FORMAT = 0x18,
    SR_RATE = 0x1C,
    SR_RING_BYTES = 0x20,
    SR_PACKETS = 0x24,
    SR_DMA_MODE = 0x28,
    SR_SG_ENTRIES = 0x2C,
    SR_DMA_ADDR_LO = 0x30,
    SR_DMA_ADDR_HI = 0x34,
    SR_INT_ENABLE = 0x38,
    SR_EOS = 0x3C,
    SR_WRITTEN = 0x40,
    SR_FIFO_FRAMES = 0x50,
    SR_PACKET_COUNT = 0x54,
    SR_POSITION_LO = 0x58,
    SR_POSITION_HI = 0x5C,
};
#define CARD_MAGIC 0x56415752u
#define CARD_BAR0_BYTES 0x4000u
#define CARD_GONE 0xFFFFFFFFu
#define FEATURE_SCATTER_GATHER 0x2u
#define FEATURE_WRITTEN 0x4u
#define CONTROL_INT_ENABLE 0x1u
#define CONTROL_RESET 0x2u
#define INT_PACKET 0x1u
#define INT_ERROR 0x2u
#define EOS_ARMED 0x80000000u

#define RATE_HZ 48000u
#define RATE_BIT (1u << 8)
#define FRAME_BYTES 4u
#define PACKET_FRAMES_MIN 48u

class CCard {
  public:
    // Maps BAR 0, checks that it is the card, and resets it.
    NTSTATUS Open(IResourceList* resources);
    // From now on nothing reaches the card. The mapping stays for who is just using it, until Close.
    void Retire() { m_Base = nullptr; }
    void Close();
    // Vendor and device by way of the bus driver; switches bus mastering on where nobody has.
    NTSTATUS CheckBus(DEVICE_OBJECT* pdo);

    ULONG Read(ULONG reg) const {
        volatile ULONG* base = m_Base;
        return base ? READ_REGISTER_ULONG(base + reg / 4) : CARD_GONE;
    }
    void Write(ULONG reg, ULONG value) const {
        if (volatile ULONG* base = m_Base) WRITE_REGISTER_ULONG(base + reg / 4, value);
    }
    ULONG ReadStream(ULONG stream, ULONG reg) const { return Read(0x1000 + 0x100 * stream + reg); }
    void WriteStream(ULONG stream, ULONG reg, ULONG value) const { Write(0x1000 + 0x100 * stream + reg, value); }

    ULONGLONG Position(ULONG stream);
    NTSTATUS Configure(ULONG stream, ULONG ringBytes, ULONG packets, PHYSICAL_ADDRESS table, ULONG entries);
    // One transition; the card's error code if it refuses.
    NTSTATUS SetState(ULONG stream, KSSTATE state, ULONG* error);

    bool Present() const { return Read(REG_MAGIC) == CARD_MAGIC; }
    bool Lockstep() const { return Read(REG_CLOCK_MODE) == 0; }
    ULONG RenderStreams() const { return m_Streams & 0xFF; }
    ULONG CaptureStreams() const { return m_Streams >> 8 & 0xFF; }
    ULONG RingBytesMax() const { return m_RingBytesMax; }
    ULONG EntriesMax() const { return m_EntriesMax; }
    PHYSICAL_ADDRESS HighestAddress() const;

  private:
    volatile ULONG* volatile m_Base = nullptr;
    volatile ULONG* m_Mapping = nullptr;
    ULONG m_Streams = 0, m_RingBytesMax = 0, m_EntriesMax = 0, m_DmaBits = 32;
    KSPIN_LOCK m_PositionLock = 0;
};
