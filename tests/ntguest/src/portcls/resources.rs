//! `IResourceList`: the card's memory and interrupts as PortCls hands them to `StartDevice` and to every
//! miniport.

use super::cm_list::{self, CmList};
use super::guid::IID_RESOURCE_LIST;
use super::layout::CmPartialResourceDescriptor;
use super::object::{self, Body, Interface, Object};
use super::status::Status;
use super::vtable::{This, Unknown};
use crate::kernel::sync::IrqLock;
use crate::kernel::{self, inject, irql, pci};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ptr;

type Descriptor = CmPartialResourceDescriptor;

#[repr(C)]
struct Vtable {
    unknown: Unknown,
    number_of_entries: unsafe extern "win64" fn(This) -> u32,
    number_of_entries_of_type: unsafe extern "win64" fn(This, i32) -> u32,
    find_translated_entry: unsafe extern "win64" fn(This, i32, u32) -> *const Descriptor,
    find_untranslated_entry: unsafe extern "win64" fn(This, i32, u32) -> *const Descriptor,
    add_entry: unsafe extern "win64" fn(This, *const Descriptor, *const Descriptor) -> i32,
    add_entry_from_parent: unsafe extern "win64" fn(This, This, i32, u32) -> i32,
    translated_list: unsafe extern "win64" fn(This) -> *const u32,
    untranslated_list: unsafe extern "win64" fn(This) -> *const u32,
}

static VTABLE: Vtable = Vtable {
    unknown: object::UNKNOWN,
    number_of_entries,
    number_of_entries_of_type,
    find_translated_entry,
    find_untranslated_entry,
    add_entry,
    add_entry_from_parent,
    translated_list,
    untranslated_list,
};

struct Lists {
    raw: CmList,
    translated: CmList,
}

/// What is behind an `IResourceList`.
struct ResourceList(IrqLock<Lists>);

impl Body for ResourceList {}

fn create(kind: &'static str, raw: CmList, translated: CmList) -> &'static Object {
    let interface = Interface { iids: &[IID_RESOURCE_LIST], vtable: (&raw const VTABLE).cast() };
    object::create(kind, Box::new(ResourceList(IrqLock::new(Lists { raw, translated }))), &[interface])
}

/// The resources of a card, with one reference.
pub fn of_card(card: &pci::Card) -> &'static Object {
    let bar = |bar: &pci::Bar| {
        let length = u32::try_from(bar.len).unwrap_or(u32::MAX);
        let resource = if bar.is_io {
            cm_list::port(bar.base, length)
        } else {
            cm_list::memory(bar.base, length, bar.prefetchable)
        };
        [resource, cm_list::bar_number(bar.index)]
    };
    let bars: Vec<Descriptor> = card.bars.iter().flat_map(bar).collect();
    let (raw, translated) = interrupts(card);
    let (raw, translated) = cm_list::lists(u32::from(card.bus), &bars, &raw, &translated);
    create("IResourceList of the card", raw, translated)
}

fn interrupts(card: &pci::Card) -> (Vec<Descriptor>, Vec<Descriptor>) {
    if let Some(first) = card.messages.first() {
        let all = u16::try_from(card.messages.len()).unwrap_or(u16::MAX);
        // Plain MSI is one descriptor for all its messages, raw and translated; MSI-X is one for each (the
        // page of CM_PARTIAL_RESOURCE_DESCRIPTOR, and that on using interrupt resource descriptors).
        let (described, count) =
            if card.msix { (&card.messages[..], 1) } else { (core::slice::from_ref(first), all) };
        let raw = described.iter().map(|m| cm_list::raw_messages(count, m.vector, m.affinity)).collect();
        let translated = described.iter().map(|m| cm_list::translated_message(m.irql, m.vector, m.affinity));
        return (raw, translated.collect());
    }
    let line = card.line.as_ref();
    let raw = line.map(|line| cm_list::line(line.raw, line.raw, line.affinity)).into_iter().collect();
    let translated = line
        .map(|line| cm_list::line(u32::from(line.irql), line.vector, line.affinity))
        .into_iter()
        .collect();
    (raw, translated)
}

/// The raw and the translated `CM_RESOURCE_LIST` of a list, for the START IRP.
pub fn cm_pointers(list: &Object) -> (*const u32, *const u32) {
    list.body::<ResourceList>().map_or((ptr::null(), ptr::null()), |body| {
        let lists = body.0.lock();
        (lists.raw.as_ptr(), lists.translated.as_ptr())
    })
}

/// `PcNewResourceSublist`: an empty list with room for `capacity` entries.
pub fn empty(capacity: u32) -> &'static Object {
    let bus = u32::from(pci::card().bus);
    let capacity = capacity.min(64) as usize;
    create("IResourceList (sublist)", CmList::new(bus, capacity), CmList::new(bus, capacity))
}

/// `PcNewResourceList`: a list of the driver's own making.
///
/// # Safety
/// Both are null or `CM_RESOURCE_LIST`s with one full descriptor, as long as it says.
pub unsafe fn from_cm(translated: *const u32, raw: *const u32) -> Option<&'static Object> {
    // SAFETY: as promised.
    let (translated, raw) = unsafe { (CmList::read(translated)?, CmList::read(raw)?) };
    Some(create("IResourceList (of the driver)", raw, translated))
}

/// The `index`th translated descriptor of a type in somebody's list.
pub fn translated(list: This, kind: u8, index: u32, method: &'static str) -> Option<Descriptor> {
    let found = with(list, method, ptr::null(), |lists| lists.translated.find(kind, index as usize));
    // SAFETY: not null, in a list of ours, whose memory never moves nor goes.
    (!found.is_null()).then(|| unsafe { found.read_unaligned() })
}

/// Runs `f` on the lists of `this`; every method is for PASSIVE level.
fn with<R>(this: This, method: &'static str, otherwise: R, f: impl FnOnce(&mut Lists) -> R) -> R {
    irql::require(method, irql::PASSIVE);
    match object::find_body::<ResourceList>(this, method) {
        Some((_, body)) => f(&mut body.0.lock()),
        None => otherwise,
    }
}

/// The type as the field of a descriptor holds it, which is a byte; the parameter is an `int` (wdm.h). A
/// caller that declares it as a byte leaves the rest of the register as it was, and Windows finds nothing
/// (rule `resource-type`).
fn field(resource_type: i32) -> u8 {
    u8::try_from(resource_type).unwrap_or_else(|_| {
        kernel::violation(
            "resource-type",
            format_args!(
                "CM_RESOURCE_TYPE {resource_type:#x}, which is an int and no byte, {}",
                object::lately()
            ),
        );
        u8::MAX
    })
}

unsafe extern "win64" fn number_of_entries(this: This) -> u32 {
    with(this, "IResourceList::NumberOfEntries", 0, |lists| {
        u32::try_from(lists.translated.len()).unwrap_or(0)
    })
}

unsafe extern "win64" fn number_of_entries_of_type(this: This, resource_type: i32) -> u32 {
    if inject::COUNT_RESOURCES.fails().is_some() {
        return 0;
    }
    with(this, "IResourceList::NumberOfEntriesOfType", 0, |lists| {
        u32::try_from(lists.translated.count_of(field(resource_type))).unwrap_or(0)
    })
}

unsafe extern "win64" fn find_translated_entry(
    this: This,
    resource_type: i32,
    index: u32,
) -> *const Descriptor {
    if inject::FIND_RESOURCE.fails().is_some() {
        return ptr::null();
    }
    with(this, "IResourceList::FindTranslatedEntry", ptr::null(), |lists| {
        lists.translated.find(field(resource_type), index as usize)
    })
}

unsafe extern "win64" fn find_untranslated_entry(
    this: This,
    resource_type: i32,
    index: u32,
) -> *const Descriptor {
    with(this, "IResourceList::FindUntranslatedEntry", ptr::null(), |lists| {
        lists.raw.find(field(resource_type), index as usize)
    })
}

unsafe extern "win64" fn add_entry(this: This, translated: *const Descriptor, raw: *const Descriptor) -> i32 {
    if translated.is_null() || raw.is_null() {
        kernel::violation("null-argument", format_args!("IResourceList::AddEntry, {}", object::lately()));
        return Status::INVALID_PARAMETER.0;
    }
    // SAFETY: two descriptors of the driver by the contract of AddEntry.
    let (translated, raw) = unsafe { (translated.read_unaligned(), raw.read_unaligned()) };
    push(this, "IResourceList::AddEntry", translated, raw).0
}

fn push(this: This, method: &'static str, translated: Descriptor, raw: Descriptor) -> Status {
    with(this, method, Status::INVALID_PARAMETER, |lists| {
        if lists.translated.push(translated) && lists.raw.push(raw) {
            Status::SUCCESS
        } else {
            Status::INSUFFICIENT_RESOURCES
        }
    })
}

unsafe extern "win64" fn add_entry_from_parent(
    this: This,
    parent: This,
    resource_type: i32,
    index: u32,
) -> i32 {
    const METHOD: &str = "IResourceList::AddEntryFromParent";
    let (translated, raw) = with(parent, METHOD, (ptr::null(), ptr::null()), |lists| {
        let (kind, index) = (field(resource_type), index as usize);
        (lists.translated.find(kind, index), lists.raw.find(kind, index))
    });
    if translated.is_null() || raw.is_null() {
        return Status::INVALID_PARAMETER.0;
    }
    // SAFETY: both point into lists of ours, whose memory never moves nor goes.
    let (translated, raw) = unsafe { (translated.read_unaligned(), raw.read_unaligned()) };
    push(this, METHOD, translated, raw).0
}

unsafe extern "win64" fn translated_list(this: This) -> *const u32 {
    with(this, "IResourceList::TranslatedList", ptr::null(), |lists| lists.translated.as_ptr())
}

unsafe extern "win64" fn untranslated_list(this: This) -> *const u32 {
    with(this, "IResourceList::UntranslatedList", ptr::null(), |lists| lists.raw.as_ptr())
}
