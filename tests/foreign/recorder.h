// What happened lately: noted at any level up to DISPATCH_LEVEL, written to the registry by a worker.
#pragma once
#include "settings.h"

enum NOTE : ULONG { NoteStarted, NoteState, NoteCardError, NoteLostInterrupt, NotePower, NoteStalled, NoteLate, NoteStopped };

class CRecorder {
  public:
    NTSTATUS Start(DEVICE_OBJECT* fdo, DEVICE_OBJECT* pdo);
    void Note(NOTE what, ULONG stream, ULONG value);
    void Stop();

  private:
    struct RECORD {
        LIST_ENTRY Link;
        LONGLONG Time;
        ETHREAD* Thread;
        NOTE What;
        ULONG Stream, Value;
        KIRQL Irql;
    };
    static void Worker(DEVICE_OBJECT* device, PVOID context);
    void Drain();
    void Write(const RECORD& record);

    DEVICE_OBJECT* m_Pdo = nullptr;
    IO_WORKITEM* m_WorkItem = nullptr;
    NPAGED_LOOKASIDE_LIST m_Records;
    LIST_ENTRY m_List;
    KSPIN_LOCK m_ListLock, m_StateLock;
    KEVENT m_Done;
    volatile LONG m_Waiting = 0;
    bool m_Queued = false, m_Stopping = true;
    ULONG m_Written = 0;
};
