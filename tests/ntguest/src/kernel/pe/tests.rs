//! A driver image is made byte by byte, so that each rule can be broken one at a time.

use super::{Import, Pe, checksum};

const BASE: u64 = 0x1_4000_0000;
const OPTIONAL: usize = 0x40 + 24;
const CHECKSUM: usize = OPTIONAL + 64;

fn put(file: &mut [u8], at: usize, bytes: &[u8]) {
    file[at..at + bytes.len()].copy_from_slice(bytes);
}

fn section(file: &mut [u8], n: usize, name: &[u8], rva: u32, raw: u32, flags: u32) {
    let at = OPTIONAL + 240 + n * 40;
    put(file, at, name);
    for (offset, value) in [(8, 0x200u32), (12, rva), (16, 0x200), (20, raw), (36, flags)] {
        put(file, at + offset, &value.to_le_bytes());
    }
}

/// `.text` at 0x1000 (execute, read), `.data` at 0x2000 (read, write) with an import table, a relocation
/// block and one address to be relocated.
fn driver() -> Vec<u8> {
    let mut f = vec![0u8; 0x800];
    put(&mut f, 0, b"MZ");
    put(&mut f, 0x3c, &0x40u32.to_le_bytes());
    put(&mut f, 0x40, b"PE\0\0");
    for (at, value) in [(0x44, 0x8664u16), (0x46, 2), (0x54, 240), (0x56, 0x22)] {
        put(&mut f, at, &value.to_le_bytes());
    }
    put(&mut f, OPTIONAL, &0x20bu16.to_le_bytes());
    for (offset, value) in [(16, 0x1010u32), (32, 0x1000), (36, 0x200), (56, 0x3000), (60, 0x400), (108, 16)]
    {
        put(&mut f, OPTIONAL + offset, &value.to_le_bytes());
    }
    put(&mut f, OPTIONAL + 24, &BASE.to_le_bytes());
    put(&mut f, OPTIONAL + 68, &1u16.to_le_bytes());
    put(&mut f, OPTIONAL + 70, &0x140u16.to_le_bytes());
    put(&mut f, OPTIONAL + 112 + 8, &0x2000u32.to_le_bytes());
    put(&mut f, OPTIONAL + 116 + 8, &40u32.to_le_bytes());
    put(&mut f, OPTIONAL + 112 + 40, &0x2100u32.to_le_bytes());
    put(&mut f, OPTIONAL + 116 + 40, &12u32.to_le_bytes());
    section(&mut f, 0, b".text", 0x1000, 0x400, 0x6000_0020);
    section(&mut f, 1, b".data", 0x2000, 0x600, 0xc000_0040);
    let data = 0x600;
    for (offset, value) in [(0, 0x2040u32), (12, 0x2060), (16, 0x2050)] {
        put(&mut f, data + offset, &value.to_le_bytes());
    }
    put(&mut f, data + 0x40, &0x2070u64.to_le_bytes());
    put(&mut f, data + 0x60, b"ntoskrnl.exe\0");
    put(&mut f, data + 0x72, b"KeSetEvent\0");
    put(&mut f, data + 0x80, &(BASE + 0x1010).to_le_bytes());
    put(&mut f, data + 0x100, &0x2000u32.to_le_bytes());
    put(&mut f, data + 0x104, &12u32.to_le_bytes());
    put(&mut f, data + 0x108, &0xa080u16.to_le_bytes());
    seal(&mut f);
    f
}

fn seal(file: &mut [u8]) {
    let sum = checksum(file, CHECKSUM);
    put(file, CHECKSUM, &sum.to_le_bytes());
}

fn refused(at: usize, bytes: &[u8]) -> String {
    let mut file = driver();
    put(&mut file, at, bytes);
    seal(&mut file);
    Pe::parse(&file).unwrap_err()
}

#[test]
fn a_good_image_is_laid_out_relocated_and_bound() {
    let file = driver();
    let pe = Pe::parse(&file).unwrap();
    assert_eq!((pe.entry, pe.size, pe.sections.len()), (0x1010, 0x3000, 2));
    let mut image = pe.lay_out(&file).unwrap();
    assert_eq!(pe.relocate(&mut image, 0xffff_f800_0000_0000).unwrap(), 1);
    assert_eq!(image[0x2080..0x2088], 0xffff_f800_0000_1010u64.to_le_bytes());
    let imports = pe.imports(&image).unwrap();
    assert_eq!(imports, [Import { dll: "ntoskrnl.exe".into(), name: "KeSetEvent".into(), slot: 0x2050 }]);
    Pe::bind(&mut image, imports[0].slot, 0x1122).unwrap();
    assert_eq!(image[0x2050..0x2058], 0x1122u64.to_le_bytes());
}

#[test]
fn every_rule_is_named_when_it_is_broken() {
    assert!(refused(0x44, &[0x4c, 1]).contains("x64"));
    assert!(refused(OPTIONAL + 68, &[2, 0]).contains("native"));
    assert!(refused(OPTIONAL + 70, &[0x40, 0]).contains("NX"));
    assert!(refused(OPTIONAL + 32, &[0, 2, 0, 0]).contains("aligned"));
    assert!(refused(0x56, &[0x23, 0]).contains("stripped"));
    assert!(
        refused(OPTIONAL + 240 + 36, &0xe000_0020u32.to_le_bytes())
            .contains(".text is writable and executable")
    );
    assert!(refused(OPTIONAL + 240 + 40 + 12, &0x1000u32.to_le_bytes()).contains(".data overlaps"));
    assert!(refused(OPTIONAL + 240 + 40 + 8, &0x2000u32.to_le_bytes()).contains(".data leaves"));
    assert!(refused(OPTIONAL + 16, &0x2000u32.to_le_bytes()).contains("entry point"));
    assert!(refused(OPTIONAL + 116 + 9 * 8, &[1]).contains("thread-local"));
}

#[test]
fn an_import_table_among_code_is_found() {
    let table = |slots: u32| {
        let mut file = driver();
        put(&mut file, 0x610, &slots.to_le_bytes());
        seal(&mut file);
        let pe = Pe::parse(&file).unwrap();
        let imports = pe.imports(&pe.lay_out(&file).unwrap()).unwrap();
        pe.executable_import_table(&imports).map(String::from)
    };
    assert_eq!(table(0x2050), None);
    assert_eq!(table(0x1080).as_deref(), Some(".text"));
}

#[test]
fn sections_that_stay_in_memory_say_so() {
    let flags = |n: usize| OPTIONAL + 240 + n * 40 + 36;
    let unmarked = |text: u32, data: u32, name: &[u8]| {
        let mut file = driver();
        put(&mut file, flags(0), &text.to_le_bytes());
        put(&mut file, flags(1), &data.to_le_bytes());
        put(&mut file, flags(1) - 36, name);
        seal(&mut file);
        Pe::parse(&file).unwrap().unmarked().map(String::from).collect::<Vec<_>>()
    };
    assert_eq!(unmarked(0x6000_0020, 0xc000_0040, b".data"), [".text", ".data"]);
    assert_eq!(unmarked(0x6800_0020, 0xc000_0040, b".data"), [".data"]);
    assert!(unmarked(0x6800_0020, 0xc000_0040, b"PAGE\0").is_empty(), "pageable by its name");
    assert!(unmarked(0x6800_0020, 0xc200_0040, b".data").is_empty(), "thrown away");
}

#[test]
fn the_largest_frame_is_found() {
    let mut file = driver();
    let largest = |file: &[u8]| {
        let pe = Pe::parse(file).unwrap();
        pe.largest_frame(&pe.lay_out(file).unwrap())
    };
    assert_eq!(largest(&file), None, "no unwind information");
    // Two functions in .data: one takes 16 bytes, the other 5,000.
    put(&mut file, OPTIONAL + 112 + 3 * 8, &0x2180u32.to_le_bytes());
    put(&mut file, OPTIONAL + 116 + 3 * 8, &24u32.to_le_bytes());
    for (at, info) in [(0x780, [0x1010u32, 0x1020, 0x21a0]), (0x78c, [0x1020, 0x1030, 0x21b0])] {
        put(&mut file, at, info.map(u32::to_le_bytes).as_flattened());
    }
    put(&mut file, 0x7a0, &[1, 4, 1, 0, 4, 0x12]);
    put(&mut file, 0x7b0, &[1, 7, 2, 0, 7, 0x01, 0x71, 0x02]);
    seal(&mut file);
    assert_eq!(largest(&file), Some((0x1020, 0x271 * 8)));
    // Unwind information that leaves the image is no frame.
    put(&mut file, 0x788, &0x9000u32.to_le_bytes());
    seal(&mut file);
    assert_eq!(largest(&file), Some((0x1020, 0x271 * 8)));
}

#[test]
fn a_wrong_checksum_is_refused() {
    let mut file = driver();
    file[0x7ff] ^= 1;
    assert!(Pe::parse(&file).unwrap_err().contains("checksum"));
}

#[test]
fn relocations_of_another_type_and_ordinals_are_refused() {
    let mut file = driver();
    put(&mut file, 0x708, &0x3080u16.to_le_bytes());
    put(&mut file, 0x647, &[0x80]);
    seal(&mut file);
    let pe = Pe::parse(&file).unwrap();
    let mut image = pe.lay_out(&file).unwrap();
    assert!(pe.imports(&image).unwrap_err().contains("ordinal"));
    assert!(pe.relocate(&mut image, 0).unwrap_err().contains("type 3"));
}

#[test]
fn the_stack_cookie_is_set_where_the_load_configuration_says() {
    let mut file = driver();
    put(&mut file, OPTIONAL + 112 + 80, &0x2110u32.to_le_bytes());
    put(&mut file, OPTIONAL + 116 + 80, &0x60u32.to_le_bytes());
    put(&mut file, 0x710 + 0x58, &(BASE + 0x2180).to_le_bytes());
    seal(&mut file);
    let pe = Pe::parse(&file).unwrap();
    let mut image = pe.lay_out(&file).unwrap();
    pe.set_cookie(&mut image, 0x1122_3344).unwrap();
    assert_eq!(image[0x2180..0x2188], 0x1122_3344u64.to_le_bytes());
}

#[test]
fn slots_without_a_table_of_names_hold_the_names_themselves() {
    let mut file = driver();
    put(&mut file, 0x600, &[0; 4]);
    put(&mut file, 0x650, &0x2070u64.to_le_bytes());
    seal(&mut file);
    let pe = Pe::parse(&file).unwrap();
    let imports = pe.imports(&pe.lay_out(&file).unwrap()).unwrap();
    assert_eq!(imports, [Import { dll: "ntoskrnl.exe".into(), name: "KeSetEvent".into(), slot: 0x2050 }]);
}

#[test]
fn no_truncation_panics() {
    let file = driver();
    for len in 0..file.len() {
        let _ = Pe::parse(&file[..len]);
    }
    for (at, width) in (0..file.len() - 4).flat_map(|at| [1, 4].map(|width| (at, width))) {
        let mut broken = file.clone();
        broken[at..at + width].fill(0xff);
        seal(&mut broken);
        if let Ok(pe) = Pe::parse(&broken)
            && let Ok(mut image) = pe.lay_out(&broken)
        {
            let _ = pe.imports(&image);
            let _ = pe.set_cookie(&mut image, 0x1234);
            let _ = pe.relocate(&mut image, 0x1000);
        }
    }
}
