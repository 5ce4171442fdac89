//! Each rule, seen to find what it is for in an image that keeps all the others; and images that are not
//! images.
use super::{AllowList, Rule, check};
use crate::sample::{self, Driver};
use proptest::prelude::*;

/// The rules an image breaks.
fn broken(file: &[u8]) -> Vec<Rule> {
    broken_by(file, &[])
}

fn broken_by(file: &[u8], forbidden: &[String]) -> Vec<Rule> {
    let report = check(file, &AllowList::built_in().unwrap(), forbidden);
    report.into_iter().filter(|(_, findings)| !findings.is_empty()).map(|(rule, _)| rule).collect()
}

/// The rules the sample breaks after a change.
fn after(change: impl FnOnce(&mut Driver)) -> Vec<Rule> {
    let mut driver = Driver::default();
    change(&mut driver);
    broken(&driver.build())
}

/// The rules the sample breaks after writing over a section.
fn written(part: &str, at: usize, bytes: &[u8]) -> Vec<Rule> {
    after(|driver| driver.part(part).data[at..at + bytes.len()].copy_from_slice(bytes))
}

#[test]
fn a_proper_driver_keeps_every_rule() {
    let report = check(&sample::driver(), &AllowList::built_in().unwrap(), &[]);
    assert_eq!(
        report.iter().filter(|(_, findings)| !findings.is_empty()).collect::<Vec<_>>(),
        Vec::<&_>::new()
    );
    assert_eq!(report.len(), 16);
}

#[test]
fn format() {
    assert_eq!(broken(b"[Version]\r\n"), [Rule::Format]);
    assert_eq!(broken(b""), [Rule::Format]);
    assert_eq!(after(|driver| driver.machine = 0xAA64), [Rule::Format]);
    assert_eq!(after(|driver| driver.characteristics = 0x20), [Rule::Format]);
    assert_eq!(
        after(|driver| driver.directories.push((9, sample::RDATA, 40))),
        [Rule::Format],
        "a TLS directory"
    );
}

#[test]
fn subsystem() {
    assert_eq!(after(|driver| driver.subsystem = 3), [Rule::Subsystem], "a console program");
    assert_eq!(after(|driver| driver.dll_characteristics &= !0x100), [Rule::Subsystem], "executable data");
    assert_eq!(after(|driver| driver.dll_characteristics &= !0x40), [Rule::Subsystem], "a fixed address");
}

#[test]
fn checksum() {
    let mut file = sample::driver();
    file[sample::CHECKSUM as usize] ^= 1;
    assert_eq!(broken(&file), [Rule::Checksum]);
    file[sample::CHECKSUM as usize..][..4].fill(0);
    assert_eq!(broken(&file), [Rule::Checksum], "what a linker without /RELEASE writes");
}

#[test]
fn alignment() {
    assert_eq!(after(|driver| driver.section_alignment = 512), [Rule::Alignment]);
    assert_eq!(after(|driver| driver.size_of_image += 1), [Rule::Alignment]);
    assert_eq!(
        after(|driver| {
            driver.part(".reloc").address += 0x1000;
            *driver.directory(5).0 += 0x1000;
            driver.size_of_image += 0x1000;
        }),
        [Rule::Alignment],
        "a hole between sections"
    );
}

#[test]
fn writable_code() {
    assert_eq!(after(|driver| driver.part(".text").flags |= 0x8000_0000), [Rule::Writable]);
    assert_eq!(after(|driver| driver.part("INIT").flags |= 0x8000_0000), [Rule::Writable]);
}

#[test]
fn not_paged() {
    for part in [".text", ".rdata", ".data", ".pdata"] {
        assert_eq!(after(|driver| driver.part(part).flags &= !sample::NOT_PAGED), [Rule::NotPaged], "{part}");
    }
}

#[test]
fn version() {
    assert_eq!(after(|driver| driver.directories.retain(|entry| entry.0 != 2)), [Rule::Version], "none");
    let fixed = sample::VERSION as usize + 40;
    assert_eq!(written(".rsrc", fixed, &[0]), [Rule::Version], "unreadable");
    assert_eq!(written(".rsrc", fixed + 8, &[0; 8]), [Rule::Version], "version 0.0.0.0");
    assert_eq!(written(".rsrc", fixed + 36, &[1]), [Rule::Version], "a program");
    assert_eq!(written(".rsrc", 16, &[3]), [Rule::Version], "an icon alone");
}

#[test]
fn init() {
    assert_eq!(
        after(|driver| driver.part("INIT").flags &= !sample::DISCARDABLE),
        [Rule::NotPaged, Rule::Init]
    );
    assert_eq!(after(|driver| driver.entry = sample::TEXT), [Rule::Init]);
    assert_eq!(after(|driver| driver.part("INIT").name = "PAGE"), [Rule::Init, Rule::Discarded]);
}

#[test]
fn discarded() {
    assert_eq!(after(|driver| driver.part(".pdata").flags |= sample::DISCARDABLE), [Rule::Discarded]);
    // call INIT, from the function that stays.
    let distance = (sample::INIT - (sample::TEXT + 0x25)).to_le_bytes();
    let call = [&[0xE8], &distance[..], &[0xC3]].concat();
    assert_eq!(written(".text", sample::LEAF, &call), [Rule::Discarded]);
    // lea rax, [INIT]
    let distance = (sample::INIT - (sample::TEXT + 0x27)).to_le_bytes();
    let load = [&[0x48, 0x8D, 0x05], &distance[..], &[0xC3]].concat();
    assert_eq!(written(".text", sample::LEAF, &load), [Rule::Discarded]);
    let pointer = (sample::BASE + u64::from(sample::INIT)).to_le_bytes();
    assert_eq!(written(".data", 0, &pointer), [Rule::Discarded]);
}

#[test]
fn relocations() {
    assert_eq!(after(|driver| driver.characteristics |= 1), [Rule::Relocations], "stripped");
    assert_eq!(after(|driver| driver.directories.retain(|entry| entry.0 != 5)), [Rule::Relocations], "none");
    assert_eq!(written(".reloc", 9, &[0x30]), [Rule::Relocations], "32-bit");
    assert_eq!(written(".reloc", 4, &[7]), [Rule::Relocations], "unreadable");
    assert_eq!(written(".data", 8, &[0; 8]), [Rule::Relocations], "no pointer");
}

#[test]
fn imports() {
    let later = *b"ExAllocatePool2\0";
    let name = sample::IMPORT_NAMES as usize + 2;
    assert_eq!(written(".rdata", name, &later), [Rule::Imports], "newer than the oldest Windows");
    let module = sample::MODULE_NAMES as usize;
    assert_eq!(written(".rdata", module, b"kernel32.dll\0"), [Rule::Imports], "a program's module");
    assert_eq!(written(".rdata", module, b"NTOSKRNL.EXE\0"), [], "modules are the same in any case");
    assert_eq!(written(".rdata", 80 + 7, &[0x80]), [Rule::Imports], "by number");
    assert_eq!(written(".rdata", 12, &[0xFF; 4]), [Rule::Imports], "unreadable");
    assert_eq!(after(|driver| driver.directories.retain(|entry| entry.0 != 1)), [Rule::Imports], "none");
}

#[test]
fn an_import_that_is_not_allowed_is_named() {
    let allowed =
        AllowList::parse("HAL.dll KeQueryPerformanceCounter\nportcls.sys PcNewPort # source\n\n").unwrap();
    let report = check(&sample::driver(), &allowed, &[]);
    let findings: Vec<_> = report.into_iter().flat_map(|(_, findings)| findings).collect();
    assert!(matches!(findings.as_slice(), [one] if one.contains("ntoskrnl.exe KeSetEvent")), "{findings:?}");
}

#[test]
fn a_module_of_programs_is_named() {
    let mut driver = Driver::default();
    driver.part(".rdata").data[sample::MODULE_NAMES as usize..][..13].copy_from_slice(b"kernel32.dll\0");
    let report = check(&driver.build(), &AllowList::built_in().unwrap(), &[]);
    let findings: Vec<_> = report.into_iter().flat_map(|(_, findings)| findings).collect();
    assert!(
        matches!(findings.as_slice(), [one] if one.starts_with("kernel32.dll is no module")),
        "{findings:?}"
    );
}

#[test]
fn allow_lists_with_other_lines_are_refused() {
    for text in ["ntoskrnl.exe", "user32.dll MessageBoxA", "HAL.dll a b", "HAL.dll a\nhal.dll a"] {
        assert!(AllowList::parse(text).is_err(), "{text}");
    }
}

#[test]
fn fence() {
    let with = |bytes: &[u8]| written(".text", sample::FENCED, bytes);
    // lock or dword ptr [rsp], 0 and a long nop: what a compiler makes of a fence, but not this rule's.
    assert_eq!(with(&[0x48, 0x89, 0x11, 0xF0, 0x83, 0x0C, 0x24, 0, 0x8B, 0x41, 8, 0xC3]), [Rule::Fence]);
    assert_eq!(broken(&sample::unfenced()), [Rule::Fence]);
    assert_eq!(with(&[0x48, 0x89, 0x11, 0x0F, 0xAE, 0xE8]), [Rule::Fence], "LFENCE");
    assert_eq!(with(&[0x89, 0x11, 0x90]), [Rule::Fence], "a store of 32 bits");
    assert_eq!(with(&[0x48, 0x8B, 0x11]), [Rule::Fence], "a load in place of the store");
    assert_eq!(
        with(&[0x48, 0x89, 0x11, 0x0F, 0xAE, 0xF0, 0x89, 0x41, 8, 0xC3]),
        [Rule::Fence],
        "a store in place of the load"
    );
    assert_eq!(with(&[0x48, 0x89, 0x11, 0x0F, 0xAE, 0xF0, 0xC3]), [Rule::Fence], "the function ends first");
    assert_eq!(with(&[0x48, 0x89, 0x11, 0x0F, 0xAE, 0xF0, 0x83, 0x79, 8, 1, 0xC3]), [], "cmp in memory");
    // A virtqueue's: a store and a load of 16 bits. It does not stand for the mark page's.
    let queue = [0x66, 0x89, 0x11, 0x0F, 0xAE, 0xF0, 0x0F, 0xB7, 0x41, 2, 0xC3];
    assert_eq!(with(&queue), [Rule::Fence], "a virtqueue's alone");
    assert_eq!(with(&[&[0x48, 0x89, 0x11, 0x0F, 0xAE, 0xF0, 0x8B, 0x41, 8][..], &queue].concat()), []);
    // jbe over a ret to the load, and the same to nothing but a ret.
    let behind =
        |last: &[u8]| with(&[&[0x48, 0x89, 0x11, 0x0F, 0xAE, 0xF0, 0x76, 1, 0xC3][..], last].concat());
    assert_eq!(behind(&[0x8B, 0x41, 8, 0xC3]), [], "behind a branch");
    assert_eq!(behind(&[0x90, 0xC3]), [Rule::Fence], "a branch to nothing");
}

#[test]
fn avx() {
    // vmovaps ymm0, ymm1; vmovaps zmm0, zmm1; and a form of AMD's own, vpcmov: each with ret behind it.
    let forms: [&[u8]; 3] = [
        &[0xC5, 0xFC, 0x28, 0xC1, 0xC3],
        &[0x62, 0xF1, 0x7C, 0x48, 0x28, 0xC1, 0xC3],
        &[0x8F, 0xE8, 0x68, 0xA2, 0xC1, 0x40, 0xC3],
    ];
    for form in forms {
        assert_eq!(
            written(".text", sample::LEAF, form),
            [Rule::Avx],
            "in a function without a frame: {form:02x?}"
        );
    }
    assert_eq!(
        written(".text", sample::FRAMED, &[0xC5, 0xF8, 0x28, 0xC1, 0x90]),
        [Rule::Avx],
        "in one with a frame"
    );
    let hidden = after(|driver| {
        let code = &mut driver.part(".text").data;
        code.resize(0x180, 0xCC);
        code.extend([0xC5, 0xFC, 0x28, 0xC1, 0xC3]);
    });
    assert_eq!(hidden, [Rule::Avx], "behind everything");
}

#[test]
fn code_that_is_none() {
    assert_eq!(written(".text", sample::LEAF, &[0x06]), [Rule::Avx], "no instruction on x64");
    assert_eq!(written(".pdata", 4, &[0; 4]), [Rule::Avx], "a function that ends before it begins");
}

#[test]
fn retplne() {
    assert_eq!(after(|driver| driver.part(".data").name = ".retplne"), [Rule::Retplne]);
}

#[test]
fn overlay() {
    assert_eq!(after(|driver| driver.tail = vec![1; 16]), [Rule::Overlay]);
    let signed = |tail: usize, offset: u32| {
        after(|driver| {
            driver.tail = vec![1; tail];
            driver.directories.push((4, offset, 16));
        })
    };
    let end = u32::try_from(sample::driver().len()).unwrap();
    assert_eq!(signed(16, end), [], "signatures alone");
    assert_eq!(signed(32, end + 16), [Rule::Overlay], "something before the signatures");
}

#[test]
fn paths() {
    for path in ["/home/me/ringwave/driver", "x/.cargo/bin", "D:\\a\\ringwave", "at C:/src/x.rs"] {
        let text = [path.as_bytes(), b"\0"].concat();
        assert_eq!(written(".rdata", 450, &text), [Rule::Paths], "{path}");
        let wide: Vec<u8> = path.encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(written(".rdata", 401, &wide), [Rule::Paths], "{path} in UTF-16");
    }
    for path in ["driver/src/adapter.rs", "\\Device\\Ringwave", "/rustc/1234/library/core", "https://x"] {
        assert_eq!(written(".rdata", 450, path.as_bytes()), [], "{path}");
    }
    assert_eq!(written(".rdata", sample::SYMBOLS, b"out/sample.pdb\0"), [Rule::Paths]);
    assert_eq!(broken_by(&sample::driver(), &["sample".to_owned()]), [Rule::Paths], "a forbidden text");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_change_gets_an_answer(at in any::<prop::sample::Index>(), bytes in prop::collection::vec(any::<u8>(), 1..9)) {
        let mut file = sample::driver();
        let at = at.index(file.len() - bytes.len());
        file[at..at + bytes.len()].copy_from_slice(&bytes);
        let _ = broken(&file);
    }

    #[test]
    fn any_change_of_the_headers_gets_an_answer(changes in prop::collection::vec((0x80usize..0x280, any::<u8>()), 1..6)) {
        let mut file = sample::driver();
        for (at, byte) in changes {
            file[at] = byte;
        }
        let _ = broken(&file);
    }

    #[test]
    fn a_cut_file_gets_an_answer(length in 0usize..0x1200) {
        let file = sample::driver();
        let _ = broken(&file[..length.min(file.len())]);
    }
}
