//! Slots and identities, as a C++ caller sees them: tables walked as arrays of words, by the numbers in
//! WAVERT.md 2.2.
use super::*;
use crate::client_event::{ClientEvents, EVENTS_MAX, StreamWithEvents};
use crate::ks::*;
use crate::{Com, ComIn, ComOut, ComRef, GUID, IUnknown, In, Interface, Out, com_class};
use core::ffi::c_void;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicU32, Ordering};
use nt::event::{Event, Kind};
use nt::sys::MDL;
use nt::{NTSTATUS, NtResult, status::*};
use std::sync::Arc;

/// Length of each table in slots, by the header.
#[test]
fn tables_have_the_headers_length() {
    fn slots<I: Interface>() -> usize {
        size_of::<I::Vtbl>() / size_of::<usize>()
    }
    assert_eq!(
        [slots::<IPort>(), slots::<IPortWaveRT>(), slots::<IPortTopology>(), slots::<IPortWaveRTStream>()],
        [6, 6, 6, 10]
    );
    assert_eq!([slots::<IMiniport>(), slots::<IMiniportWaveRT>(), slots::<IMiniportTopology>()], [5, 8, 6]);
    assert_eq!([slots::<IMiniportWaveRTStream>(), slots::<IMiniportWaveRTStreamNotification>()], [11, 15]);
    assert_eq!([slots::<IMiniportWaveRTInputStream>(), slots::<IMiniportWaveRTOutputStream>()], [4, 6]);
    assert_eq!([slots::<IResourceList>(), slots::<IRegistryKey>(), slots::<IInterruptSync>()], [11, 11, 8]);
    assert_eq!(
        [slots::<IUnregisterSubdevice>(), slots::<IUnregisterPhysicalConnection>(), slots::<IPortEvents>()],
        [4, 6, 5]
    );
    assert_eq!(
        [
            slots::<IAdapterPowerManagement>(),
            slots::<IAdapterPowerManagement2>(),
            slots::<IAdapterPowerManagement3>()
        ],
        [6, 7, 9]
    );
    assert_eq!(
        [slots::<IPowerNotify>(), slots::<IAdapterPnpManagement>(), slots::<IMiniportPnpNotify>()],
        [4, 7, 4]
    );
    assert_eq!([slots::<IPinCount>(), slots::<IMiniportAudioSignalProcessing>()], [4, 4]);
    assert_eq!([slots::<IDrmAudioStream>(), slots::<IPortClsEtwHelper>()], [4, 4]);
}

/// A stream that notes what reached it. `Arc` so that the test sees its end.
struct Stream {
    render: bool,
    state: AtomicU32,
    packet: AtomicU32,
    events: ClientEvents,
    alive: Arc<()>,
}

com_class! {
    Stream {
        0 => IMiniportWaveRTStreamNotification,
        1 => IMiniportWaveRTOutputStream if |stream| stream.render,
        2 => IPowerNotify,
    }
}

impl MiniportWaveRTStream for Stream {
    fn set_format(&self, format: In<'_, KSDATAFORMAT>) -> NtResult {
        format.get().map(|_| ()).ok_or(STATUS_INVALID_PARAMETER)
    }
    fn set_state(&self, state: KSSTATE) -> NtResult {
        self.state.store(state.0, Ordering::Relaxed);
        if state > KSSTATE::RUN { Err(STATUS_INVALID_PARAMETER) } else { Ok(()) }
    }
    fn get_position(&self, position: Out<'_, KSAUDIO_POSITION>) -> NtResult {
        position.write(KSAUDIO_POSITION { PlayOffset: 8, WriteOffset: 16 })
    }
    fn allocate_audio_buffer(
        &self,
        _: u32,
        _: Out<'_, PMDL>,
        _: Out<'_, u32>,
        _: Out<'_, u32>,
        _: Out<'_, i32>,
    ) -> NtResult {
        Err(STATUS_NOT_SUPPORTED)
    }
    fn free_audio_buffer(&self, _: *mut MDL, _: u32) {}
    fn get_hw_latency(&self, latency: Out<'_, KSRTAUDIO_HWLATENCY>) {
        let _ = latency.write(KSRTAUDIO_HWLATENCY { FifoSize: 1, ChipsetDelay: 2, CodecDelay: 3 });
    }
    fn get_position_register(&self, _: Out<'_, KSRTAUDIO_HWREGISTER>) -> NtResult {
        Err(STATUS_NOT_SUPPORTED)
    }
    fn get_clock_register(&self, _: Out<'_, KSRTAUDIO_HWREGISTER>) -> NtResult {
        Err(STATUS_NOT_SUPPORTED)
    }
}

impl MiniportWaveRTStreamNotification for Stream {
    fn allocate_buffer_with_notification(
        &self,
        count: u32,
        bytes: u32,
        mdl: Out<'_, PMDL>,
        actual: Out<'_, u32>,
        offset: Out<'_, u32>,
        cache: Out<'_, i32>,
    ) -> NtResult {
        mdl.write(null_mut())?;
        actual.write(bytes * count)?;
        offset.write(0)?;
        cache.write(1)
    }
    fn free_buffer_with_notification(&self, _: *mut MDL, _: u32) {}
}

impl StreamWithEvents for Stream {
    fn client_events(&self) -> &ClientEvents {
        &self.events
    }
    /// Not in RUN: as good a reason as any.
    fn may_register_event(&self) -> NtResult {
        if self.state.load(Ordering::Relaxed) == KSSTATE::RUN.0 {
            Err(STATUS_DEVICE_NOT_READY)
        } else {
            Ok(())
        }
    }
}

impl MiniportWaveRTOutputStream for Stream {
    fn set_write_packet(&self, number: u32, _: u32, _: u32) -> NtResult {
        self.packet.store(number, Ordering::Relaxed);
        Ok(())
    }
    fn get_output_stream_presentation_position(
        &self,
        position: Out<'_, KSAUDIO_PRESENTATION_POSITION>,
    ) -> NtResult {
        position.write(KSAUDIO_PRESENTATION_POSITION { u64PositionInBlocks: 4, u64QPCPosition: 5 })
    }
    fn get_packet_count(&self, count: Out<'_, u32>) -> NtResult {
        count.write(self.packet.load(Ordering::Relaxed))
    }
}

impl PowerNotify for Stream {
    fn power_change_notify(&self, state: POWER_STATE) {
        self.state.store(100 + state, Ordering::Relaxed);
    }
}

fn stream(render: bool) -> (Com<Stream>, Arc<()>) {
    let alive = Arc::new(());
    let (state, packet, events) = (AtomicU32::new(0), AtomicU32::new(0), ClientEvents::new());
    let made = Stream { render, state, packet, events, alive: Arc::clone(&alive) };
    let made = Com::try_new(made).unwrap();
    assert_eq!(Arc::strong_count(&made.alive), 2);
    (made, alive)
}

/// Calls a slot of a COM object as C++ does: table word `SLOT`, the object first.
macro_rules! call {
    ($object:expr, $slot:literal, ($($ty:ty),*) -> $ret:ty, $($arg:expr),*) => {{
        let object: *mut c_void = $object.cast();
        // SAFETY: the object's table has a function of that signature there.
        unsafe {
            let function: unsafe extern "system" fn(*mut c_void, $($ty),*) -> $ret = core::mem::transmute(*(*object.cast::<*const usize>()).add($slot));
            function(object, $($arg),*)
        }
    }};
}

fn query(object: *mut c_void, iid: &GUID) -> (NTSTATUS, *mut c_void) {
    query_bytes(object, &iid.to_bytes())
}

fn query_bytes(object: *mut c_void, iid: &[u8; 16]) -> (NTSTATUS, *mut c_void) {
    let mut found = core::ptr::without_provenance_mut(0xDEAD);
    let status = call!(object, 0, (*const u8, *mut *mut c_void) -> NTSTATUS, iid.as_ptr(), &raw mut found);
    (status, found)
}

#[test]
fn methods_are_in_their_slots() {
    let (object, _) = stream(true);
    let primary = object.to_unknown();
    let this = primary.as_raw();
    assert_eq!(call!(this, 4, (u32) -> NTSTATUS, 3), STATUS_SUCCESS);
    assert_eq!(object.state.load(Ordering::Relaxed), 3);
    assert_eq!(call!(this, 4, (u32) -> NTSTATUS, 4), STATUS_INVALID_PARAMETER);
    let mut position = KSAUDIO_POSITION::default();
    assert_eq!(call!(this, 5, (*mut KSAUDIO_POSITION) -> NTSTATUS, &raw mut position), STATUS_SUCCESS);
    assert_eq!((position.PlayOffset, position.WriteOffset), (8, 16));
    assert_eq!(
        call!(this, 5, (*mut KSAUDIO_POSITION) -> NTSTATUS, null_mut()),
        STATUS_INVALID_PARAMETER,
        "NULL was written to"
    );
    let mut latency = KSRTAUDIO_HWLATENCY::default();
    call!(this, 8, (*mut KSRTAUDIO_HWLATENCY) -> (), &raw mut latency);
    assert_eq!(latency, KSRTAUDIO_HWLATENCY { FifoSize: 1, ChipsetDelay: 2, CodecDelay: 3 });
    let (mut actual, mut offset, mut cache, mut mdl) = (0_u32, 9_u32, 0_i32, null_mut::<c_void>());
    let status = call!(this, 11, (u32, u32, *mut *mut c_void, *mut u32, *mut u32, *mut i32) -> NTSTATUS, 2, 480, &raw mut mdl, &raw mut actual, &raw mut offset, &raw mut cache);
    assert_eq!((status, actual, offset, cache), (STATUS_SUCCESS, 960, 0, 1));
    assert_eq!(call!(this, 14, (*mut c_void) -> NTSTATUS, null_mut()), STATUS_NOT_FOUND);

    let (status, output) = query(this.cast(), &IMiniportWaveRTOutputStream::IID);
    assert_eq!(status, STATUS_SUCCESS);
    assert_eq!(call!(output, 3, (u32, u32, u32) -> NTSTATUS, 77, 0, 0), STATUS_SUCCESS);
    assert_eq!(
        object.packet.load(Ordering::Relaxed),
        77,
        "the thunk did not find the object from its second word"
    );
    let mut count = 0_u32;
    call!(output, 5, (*mut u32) -> NTSTATUS, &raw mut count);
    assert_eq!(count, 77, "slot 5 is GetPacketCount, whatever the documentation's alphabet says");
    let (_, power) = query(output, &IPowerNotify::IID);
    call!(power, 3, (u32) -> (), 4);
    assert_eq!(object.state.load(Ordering::Relaxed), 104);
    for secondary in [output, power] {
        call!(secondary, 2, () -> u32,);
    }
}

#[test]
fn the_table_keeps_the_events_of_each_object_until_they_are_unregistered() {
    let streams = [stream(true).0, stream(false).0];
    let [one, other] = streams.each_ref().map(Com::to_unknown);
    let events = [(); 2].map(|()| Event::try_new(Kind::Synchronization).unwrap());
    let signalled = || events.each_ref().map(|event| event.wait_100ns(0));
    let register = |stream: &ComRef<IUnknown>, event: *mut c_void| call!(stream.as_raw(), 13, (*mut c_void) -> NTSTATUS, event);
    let unregister = |stream: &ComRef<IUnknown>, event: *mut c_void| call!(stream.as_raw(), 14, (*mut c_void) -> NTSTATUS, event);
    let [first, second] = events.each_ref().map(|event| event.as_ptr().cast::<c_void>());

    assert_eq!(register(&one, null_mut()), STATUS_INVALID_PARAMETER);
    assert_eq!(unregister(&one, null_mut()), STATUS_NOT_FOUND);
    assert_eq!([register(&one, first), register(&one, second)], [STATUS_SUCCESS; 2]);
    assert_eq!(register(&one, first), STATUS_UNSUCCESSFUL, "it has it already");
    assert_eq!(register(&other, first), STATUS_SUCCESS, "another object does not");
    assert_eq!(call!(other.as_raw(), 4, (u32) -> NTSTATUS, KSSTATE::RUN.0), STATUS_SUCCESS);
    assert_eq!(register(&other, second), STATUS_DEVICE_NOT_READY, "the object's own reason");
    assert_eq!(streams.each_ref().map(|stream| stream.events.count()), [2, 1]);

    streams[0].events.signal();
    assert_eq!(signalled(), [true; 2]);
    streams[1].events.signal();
    assert_eq!(signalled(), [true, false]);
    assert_eq!([unregister(&one, first), unregister(&one, first)], [STATUS_SUCCESS, STATUS_NOT_FOUND]);
    for stream in &streams {
        stream.events.signal();
    }
    assert_eq!(signalled(), [true; 2], "it is the other object's yet");

    // Of an object that goes nothing is left.
    drop(other);
    let [one_stream, other_stream] = streams;
    drop(other_stream);
    one_stream.events.signal();
    assert_eq!(signalled(), [false, true]);
    assert_eq!(unregister(&one, second), STATUS_SUCCESS);
    assert_eq!(one_stream.events.count(), 0);

    // Addresses that are compared and never followed.
    let strange = |number: usize| core::ptr::without_provenance_mut(number * 32);
    assert!((1..=EVENTS_MAX).all(|number| register(&one, strange(number)) == STATUS_SUCCESS));
    assert_eq!(register(&one, first), STATUS_UNSUCCESSFUL, "too many");
    assert!((1..=EVENTS_MAX).rev().all(|number| unregister(&one, strange(number)) == STATUS_SUCCESS));
}

#[test]
fn identity_is_stable_and_failures_leave_null() {
    let (object, alive) = stream(true);
    let primary: *mut c_void = object.to_unknown().as_raw().cast();
    // Ancestors share the primary pointer; the handler's cast relies on it.
    for iid in [IUnknown::IID, IMiniportWaveRTStream::IID, IMiniportWaveRTStreamNotification::IID] {
        assert_eq!(query(primary, &iid), (STATUS_SUCCESS, primary));
        call!(primary, 2, () -> u32,);
    }
    let word = size_of::<usize>();
    let (_, output) = query(primary, &IMiniportWaveRTOutputStream::IID);
    assert_eq!(output as usize, primary as usize + word);
    let (_, power) = query(output, &IPowerNotify::IID);
    assert_eq!(power as usize, primary as usize + 2 * word);
    for from in [output, power] {
        assert_eq!(
            query(from, &IUnknown::IID),
            (STATUS_SUCCESS, primary),
            "IUnknown is one, from everywhere"
        );
        call!(primary, 2, () -> u32,);
        assert_eq!(
            query(from, &IPort::IID),
            (STATUS_NOINTERFACE, null_mut()),
            "the pointer must be NULL after a failure"
        );
    }
    assert_eq!(
        call!(primary, 0, (*const GUID, *mut *mut c_void) -> NTSTATUS, &IUnknown::IID, null_mut()),
        STATUS_INVALID_PARAMETER
    );
    // Two references by hand, one of the owner.
    assert_eq!(call!(power, 2, () -> u32,), 2);
    assert_eq!(call!(output, 2, () -> u32,), 1);
    assert_eq!(Arc::strong_count(&alive), 2, "it ended while a reference was left");
    drop(object);
    assert_eq!(Arc::strong_count(&alive), 1, "it did not end with its last reference");
}

/// `IID_IUnknown` as its 16 bytes lie in a genuine kernel driver, and COM's.
const KERNEL_UNKNOWN: [u8; 16] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xC0, 0, 0, 0, 0, 0x46];
const COM_UNKNOWN: [u8; 16] = [0, 0, 0, 0, 0, 0, 0, 0, 0xC0, 0, 0, 0, 0, 0, 0, 0x46];

#[test]
fn identity_is_asked_by_the_kernels_id_and_answered_by_either() {
    assert_eq!(IUnknown::IID.to_bytes(), KERNEL_UNKNOWN, "what an object of PortCls is asked for");
    let (object, _) = stream(true);
    let primary: *mut c_void = object.to_unknown().as_raw().cast();
    let (_, output) = query(primary, &IMiniportWaveRTOutputStream::IID);
    for id in [KERNEL_UNKNOWN, COM_UNKNOWN] {
        for from in [primary, output] {
            assert_eq!(query_bytes(from, &id), (STATUS_SUCCESS, primary), "{id:x?}");
            call!(primary, 2, () -> u32,);
        }
    }
    assert_eq!(query_bytes(primary, &[0; 16]), (STATUS_NOINTERFACE, null_mut()));
    call!(output, 2, () -> u32,);
}

#[test]
fn a_conditional_interface_is_there_for_some_objects_only() {
    let (capture, _) = stream(false);
    let unknown = capture.to_unknown();
    assert_eq!(unknown.query::<IMiniportWaveRTOutputStream>().err(), Some(STATUS_NOINTERFACE));
    assert!(unknown.query::<IPowerNotify>().is_ok(), "a later slot went with the condition");
}

#[test]
fn references_are_counted_by_clone_query_and_drop() {
    let (object, alive) = stream(true);
    let first: ComRef<IMiniportWaveRTStreamNotification> = object.into_interface();
    let second = first.query::<IMiniportWaveRTOutputStream>().unwrap();
    let third = second.clone();
    assert!(first.same_object(&third));
    assert_ne!(first.as_raw().cast::<c_void>(), third.as_raw().cast::<c_void>());
    // A parent's method through a child's reference.
    // SAFETY: a live stream.
    assert_eq!(unsafe { first.set_state(KSSTATE::PAUSE) }, Ok(()));
    let mut count = 0;
    // SAFETY: a live stream and room for the count.
    assert_eq!(unsafe { third.get_packet_count(Out::new(&mut count)) }, Ok(()));
    drop(first);
    drop(second);
    assert_eq!(Arc::strong_count(&alive), 2);
    drop(third);
    assert_eq!(Arc::strong_count(&alive), 1);
}

/// A miniport that makes streams or fails.
struct Maker(bool);
com_class! { Maker { 0 => IMiniportWaveRT } }
impl Miniport for Maker {
    fn get_description(&self, description: Out<'_, *const crate::pc::PCFILTER_DESCRIPTOR>) -> NtResult {
        description.write(core::ptr::null())
    }
    fn data_range_intersection(
        &self,
        _: u32,
        _: In<'_, KSDATARANGE>,
        _: In<'_, KSDATARANGE>,
        _: OutFormat<'_>,
    ) -> NtResult {
        Err(STATUS_NOT_IMPLEMENTED)
    }
}
impl MiniportWaveRT for Maker {
    fn init(
        &self,
        _: ComIn<'_, IUnknown>,
        _: ComIn<'_, IResourceList>,
        _: ComIn<'_, IPortWaveRT>,
    ) -> NtResult {
        Ok(())
    }
    fn new_stream(
        &self,
        out: ComOut<'_, IMiniportWaveRTStream>,
        _: ComIn<'_, IPortWaveRTStream>,
        _: u32,
        _: u8,
        _: In<'_, KSDATAFORMAT>,
    ) -> NtResult {
        if !self.0 {
            return Err(STATUS_NO_MATCH);
        }
        out.set(stream(true).0.into_interface::<IMiniportWaveRTStreamNotification>().upcast())
    }
    fn get_device_description(&self, _: Out<'_, nt::sys::DEVICE_DESCRIPTION>) -> NtResult {
        Err(STATUS_NOT_IMPLEMENTED)
    }
}

#[test]
fn an_output_is_null_until_it_is_set() {
    for (makes, expected) in [(true, Ok(())), (false, Err(STATUS_NO_MATCH))] {
        let maker = Com::try_new(Maker(makes)).unwrap().into_interface::<IMiniportWaveRT>();
        let mut made: *mut IMiniportWaveRTStream = core::ptr::without_provenance_mut(0xDEAD);
        // SAFETY: the maker looks at nothing but the place.
        let answer = unsafe { maker.new_stream(ComOut::new(&mut made), ComIn::none(), 0, 0, In::none()) };
        assert_eq!(answer, expected);
        assert_eq!(made.is_null(), !makes, "a failed NewStream must leave NULL");
        // SAFETY: NULL or a reference of ours.
        drop(unsafe { ComRef::from_raw(made) });
    }
}

#[test]
fn a_handlers_target_is_the_object() {
    let (object, _) = stream(true);
    let unknown = object.to_unknown();
    // SAFETY: a live stream.
    let found = unsafe { Com::<Stream>::of_class(unknown.as_raw()) }.unwrap();
    found.packet.store(5, Ordering::Relaxed);
    assert_eq!(object.packet.load(Ordering::Relaxed), 5);
    let other = Com::try_new(Maker(true)).unwrap().to_unknown();
    // SAFETY: NULL, and a live object of another class.
    unsafe {
        assert!(Com::<Stream>::of_class(null_mut()).is_none());
        assert!(Com::<Stream>::of_class(other.as_raw()).is_none(), "another class's object");
        assert!(Com::<Maker>::of_class(other.as_raw()).is_some());
    }
}

#[test]
fn threads_share_one_object() {
    let (object, alive) = stream(true);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let mine = object.clone();
            scope.spawn(move || {
                for _ in 0..1000 {
                    drop(mine.to_unknown().query::<IPowerNotify>());
                }
            });
        }
    });
    drop(object);
    assert_eq!(Arc::strong_count(&alive), 1, "a reference was lost or leaked");
}
