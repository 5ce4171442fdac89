//! Every interface against C++: `tests/abi/interfaces.cpp` declares them as classes, clang compiles them for
//! Microsoft's ABI, and slots, sizes of arguments and results, ids and layouts are read out of the object.
//! Nothing of it is run; that calls arrive is ntguest's to show (`oracle=1`).

use super::{adapter, audio_engine, drm, etw, miniport, port, port_services, service_group, stream, support};
use crate::com::interface::InterfaceLayout;
use crate::imports::{PC_POWER_FRAMEWORK_SETTINGS, PCSTREAMRESOURCE_DESCRIPTOR};
use crate::interfaces::{DRMFORWARD, DRMRIGHTS};
use crate::pc::*;
use core::mem::offset_of;
use object::{Object, ObjectSection, ObjectSymbol, RelocationTarget};
use std::collections::BTreeSet;
use std::process::Command;

/// Every interface of this crate but IUnknown.
fn declared() -> impl Iterator<Item = &'static InterfaceLayout> {
    [
        adapter::DECLARED,
        audio_engine::DECLARED,
        drm::DECLARED,
        etw::DECLARED,
        miniport::DECLARED,
        port::DECLARED,
        port_services::DECLARED,
        service_group::DECLARED,
        stream::DECLARED,
        support::DECLARED,
    ]
    .into_iter()
    .flatten()
}

/// Compiles the C++ half.
fn compile() -> Vec<u8> {
    const FLAGS: &[&str] = &[
        "--target=x86_64-pc-windows-msvc",
        "-std=c++17",
        "-ffreestanding",
        "-fno-exceptions",
        "-fno-rtti",
        "-nostdinc",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-c",
    ];
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/abi/interfaces.cpp");
    let folder = tempfile::tempdir().unwrap();
    let object = folder.path().join("interfaces.obj");
    let named = std::env::var("RINGWAVE_CLANG").ok();
    for clang in named.iter().map(String::as_str).chain(["clang++", "clang++-14"]) {
        if let Ok(status) = Command::new(clang).args(FLAGS).arg(source).arg("-o").arg(&object).status() {
            assert!(status.success(), "{clang}: {status}");
            return std::fs::read(object).unwrap();
        }
    }
    panic!("no clang++ found: qemu-scripts/setup installs it");
}

/// The object, read.
struct Cpp<'a>(object::File<'a>);

impl<'a> Cpp<'a> {
    fn names(&self, prefix: &'a str) -> impl Iterator<Item = String> {
        let names = self.0.symbols().filter_map(|symbol| symbol.name().ok()?.strip_prefix(prefix));
        names.map(str::to_owned).collect::<Vec<_>>().into_iter()
    }

    /// The first bytes of a constant.
    fn bytes<const N: usize>(&self, name: &str) -> [u8; N] {
        let symbol = self.0.symbol_by_name(name).unwrap_or_else(|| panic!("C++ has no {name}"));
        let section = self.0.section_by_index(symbol.section_index().unwrap()).unwrap();
        let at = usize::try_from(symbol.address()).unwrap();
        section.data().unwrap()[at..][..N].try_into().unwrap()
    }

    /// The slot that a pointer to a member stands for: what it points to is called `??_9CLASS@@$B<offset>AA`.
    fn slot(&self, method: &str) -> usize {
        let symbol = self.0.symbol_by_name(&format!("slot_{method}")).unwrap();
        let section = self.0.section_by_index(symbol.section_index().unwrap()).unwrap();
        let (_, relocation) = section.relocations().find(|(at, _)| *at == symbol.address()).unwrap();
        let RelocationTarget::Symbol(target) = relocation.target() else { panic!("{method}") };
        let target = self.0.symbol_by_index(target).unwrap();
        let offset = target.name().unwrap().rsplit_once("$B").unwrap().1.strip_suffix("AA").unwrap();
        number(offset) / size_of::<usize>()
    }
}

/// A number as Microsoft's names have it: a digit is one less than the number, `A` to `P` up to `@` are the
/// hexadecimal digits.
fn number(text: &str) -> usize {
    match text.strip_suffix('@') {
        Some(hex) => hex.bytes().fold(0, |sum, letter| sum << 4 | usize::from(letter - b'A')),
        None => text.parse::<usize>().unwrap() + 1,
    }
}

#[test]
fn numbers_in_names() {
    assert_eq!((number("7"), number("BI@"), number("JA@")), (8, 0x18, 0x90));
}

#[test]
#[ignore = "needs clang++: run qemu-scripts/test"]
fn every_interface_is_what_cpp_makes_of_it() {
    let object = compile();
    let cpp = Cpp(object::File::parse(object.as_slice()).unwrap());
    let mut seen = BTreeSet::new();
    for InterfaceLayout { name, iid, methods } in declared() {
        assert_eq!(iid.to_bytes(), cpp.bytes::<16>(&format!("iid_{name}")), "id of {name}");
        for (slot, method, result, arguments) in *methods {
            let full = format!("{name}__{method}");
            assert_eq!(cpp.slot(&full), *slot, "slot of {full}");
            // Bytes of the result, whether it is returned through a hidden pointer, how many arguments.
            let [bytes, hidden, count, sizes @ ..] = cpp.bytes::<16>(&format!("sig_{full}"));
            let mut expected = vec![8; usize::from(hidden)];
            expected.extend(sizes[..usize::from(count)].iter().map(|bytes| usize::from(*bytes)));
            let bytes = if hidden == 1 { 8 } else { usize::from(bytes) };
            assert_eq!((*result, arguments.to_vec()), (bytes, expected), "signature of {full}");
            seen.insert(full);
        }
    }
    assert!(declared().count() == 45 && seen.len() == 138, "{} and {}", declared().count(), seen.len());
    let only_cpp: Vec<_> = cpp.names("slot_").filter(|name| !seen.contains(name)).collect();
    assert!(only_cpp.is_empty(), "only C++ has {only_cpp:?}");
    let ids: BTreeSet<_> = declared().map(|interface| interface.name.to_owned()).collect();
    assert_eq!(cpp.names("iid_").collect::<BTreeSet<_>>(), ids);
}

/// Size, then offsets, in the order of the C++ file.
macro_rules! layouts {
    ($($ty:ident { $($field:ident),* })*) => {
        &[$((stringify!($ty), &[size_of::<$ty>(), $(offset_of!($ty, $field)),*])),*]
    };
}

#[test]
#[ignore = "needs clang++: run qemu-scripts/test"]
fn every_structure_of_portcls_is_what_cpp_makes_of_it() {
    let all: &[(&str, &[usize])] = layouts! {
        KSPIN_DESCRIPTOR { Interfaces, Mediums, DataRanges, DataFlow, Communication, Category, Name, Reserved, ConstrainedDataRanges }
        PCPROPERTY_ITEM { Id, Flags, Handler }
        PCMETHOD_ITEM { Id, Flags, Handler }
        PCEVENT_ITEM { Id, Flags, Handler }
        PCPROPERTY_REQUEST { MinorTarget, Node, PropertyItem, Verb, InstanceSize, Instance, ValueSize, Value, Irp }
        PCMETHOD_REQUEST { MinorTarget, Node, MethodItem, Verb }
        PCEVENT_REQUEST { MinorTarget, Node, EventItem, EventEntry, Verb, Irp }
        PCAUTOMATION_TABLE { Properties, MethodItemSize, Methods, EventItemSize, Events, Reserved }
        PCPIN_DESCRIPTOR { MinFilterInstanceCount, AutomationTable, KsPinDescriptor }
        PCNODE_DESCRIPTOR { AutomationTable, Type, Name }
        PCCONNECTION_DESCRIPTOR { FromNodePin, ToNodePin }
        PCFILTER_DESCRIPTOR { AutomationTable, PinSize, Pins, NodeSize, Nodes, ConnectionCount, Connections, CategoryCount, Categories }
        PCSTREAMRESOURCE_DESCRIPTOR { Flags, Pdo, Type, Resource }
        PC_POWER_FRAMEWORK_SETTINGS { EvtPcPostPoFxRegisterDevice, Component, PoFxDeviceContext }
        DRMRIGHTS { Reserved, DigitalOutputDisable }
        DRMFORWARD { DeviceObject, FileObject, Context }
    };
    let object = compile();
    let cpp = Cpp(object::File::parse(object.as_slice()).unwrap());
    for (name, layout) in all {
        let words = cpp.bytes::<48>(&format!("layout_{name}"));
        let words = words.chunks_exact(4).map(|word| u32::from_le_bytes(word.try_into().unwrap()) as usize);
        assert_eq!(layout.to_vec(), words.take(layout.len()).collect::<Vec<_>>(), "{name}");
    }
    assert_eq!(cpp.names("layout_").count(), all.len());
}
