//! A small driver image, put together by hand, and changed in one place by each test: what the linker would
//! have to do wrong for a rule to find it. Shared by the unit tests and the tests of the program; no linker
//! needed.
#![allow(dead_code, reason = "each test program uses a part")]
#![allow(clippy::unwrap_used, reason = "only tests use it")]

#[path = "../../../build/version_resource.rs"]
mod version_resource;

/// Flags of sections: code, readable and executable.
pub const CODE: u32 = 0x6000_0020;
/// Data, readable.
pub const READ_ONLY: u32 = 0x4000_0040;
/// Data, readable and writable.
pub const DATA: u32 = 0xC000_0040;
/// Never paged out.
pub const NOT_PAGED: u32 = 0x0800_0000;
/// Thrown away after the start.
pub const DISCARDABLE: u32 = 0x0200_0000;

/// Where the image wants to lie.
pub const BASE: u64 = 0x1_4000_0000;

/// Addresses of the sections, one page each.
pub const TEXT: u32 = 0x1000;
/// Import tables and the debug directory.
pub const RDATA: u32 = 0x2000;
/// Two relocated pointers.
pub const DATA_ADDRESS: u32 = 0x3000;
/// Exception directory.
pub const PDATA: u32 = 0x4000;
/// The entry point.
pub const INIT: u32 = 0x5000;
/// The version resource.
pub const RSRC: u32 = 0x6000;
/// Relocations.
pub const RELOC: u32 = 0x7000;

/// A section to be.
#[derive(Clone)]
pub struct Part {
    pub name: &'static str,
    pub address: u32,
    pub flags: u32,
    pub data: Vec<u8>,
}

/// An image to be; [`Driver::default`] keeps every rule.
#[derive(Clone)]
pub struct Driver {
    pub machine: u16,
    pub characteristics: u16,
    pub entry: u32,
    pub section_alignment: u32,
    pub subsystem: u16,
    pub dll_characteristics: u16,
    pub size_of_image: u32,
    pub parts: Vec<Part>,
    /// Number, address and size of data directories.
    pub directories: Vec<(usize, u32, u32)>,
    /// Bytes behind the sections.
    pub tail: Vec<u8>,
}

impl Default for Driver {
    fn default() -> Self {
        let rdata = read_only_data();
        Self {
            machine: 0x8664,
            characteristics: 0x22,
            entry: INIT,
            section_alignment: 4096,
            subsystem: 1,
            dll_characteristics: 0xA160,
            size_of_image: 0x8000,
            directories: vec![
                (1, RDATA, 80),
                (2, RSRC, u32::try_from(resources().len()).unwrap()),
                (3, PDATA, 24),
                (5, RELOC, 12),
                (6, RDATA + DEBUG_DIRECTORY, 28),
            ],
            parts: vec![
                Part { name: ".text", address: TEXT, flags: CODE | NOT_PAGED, data: text() },
                Part { name: ".rdata", address: RDATA, flags: READ_ONLY | NOT_PAGED, data: rdata },
                Part { name: ".data", address: DATA_ADDRESS, flags: DATA | NOT_PAGED, data: data() },
                Part { name: ".pdata", address: PDATA, flags: READ_ONLY | NOT_PAGED, data: exceptions() },
                // xor eax, eax; ret
                Part { name: "INIT", address: INIT, flags: CODE | DISCARDABLE, data: vec![0x31, 0xC0, 0xC3] },
                Part { name: ".rsrc", address: RSRC, flags: READ_ONLY, data: resources() },
                Part { name: ".reloc", address: RELOC, flags: READ_ONLY | DISCARDABLE, data: relocations() },
            ],
            tail: Vec::new(),
        }
    }
}

/// Offset in `.text` of a function that the exception directory does not have.
pub const LEAF: usize = 0x20;
/// Where a function with a fence begins in .text.
pub const FENCED: usize = 0x40;
/// Offset in `.text` of the instructions in the middle of a function that it has.
pub const FRAMED: usize = 4;

fn text() -> Vec<u8> {
    // sub rsp, 40; movaps xmm0, xmm1; call [the first import]; add rsp, 40; ret
    let mut code = vec![0x48, 0x83, 0xEC, 0x28, 0x0F, 0x28, 0xC1, 0xFF, 0x15];
    let behind_call = TEXT + 13;
    code.extend((RDATA + THUNKS - behind_call).to_le_bytes());
    code.extend([0x48, 0x83, 0xC4, 0x28, 0xC3]);
    code.resize(LEAF, 0xCC);
    // mov eax, 1; ret; and room to change them
    code.extend([0xB8, 1, 0, 0, 0, 0xC3]);
    code.resize(FENCED, 0xCC);
    // mov [rcx], rdx; mfence; mov eax, [rcx + 8]; ret
    code.extend([0x48, 0x89, 0x11, 0x0F, 0xAE, 0xF0, 0x8B, 0x41, 8, 0xC3]);
    code.resize(0x60, 0xCC);
    code
}

fn data() -> Vec<u8> {
    [BASE + u64::from(TEXT), BASE + u64::from(RDATA)]
        .iter()
        .flat_map(|pointer| pointer.to_le_bytes())
        .collect()
}

fn exceptions() -> Vec<u8> {
    let unwind = RDATA + 0x1F0;
    [TEXT, TEXT + 18, unwind, INIT, INIT + 3, unwind].iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// Offset in `.rsrc` of the version resource, behind a directory of three levels with one entry each, and a
/// data entry.
pub const VERSION: u32 = 3 * 24 + 16;

fn resources() -> Vec<u8> {
    let info = version_resource::info([1, 2, 3, 4], &[("FileVersion", "1.2.3.4")]);
    let mut data = vec![0; VERSION as usize];
    // RT_VERSION, then name 1, then US English; the high bit says that a directory follows.
    for (level, (id, next)) in (0u32..).zip([(16, 1 << 31 | 0x18), (1, 1 << 31 | 0x30), (0x409, 0x48)]) {
        write(&mut data, level * 24 + 14, &1u16.to_le_bytes());
        put(&mut data, level * 24 + 16, id);
        put(&mut data, level * 24 + 20, next);
    }
    put(&mut data, 72, RSRC + VERSION);
    put(&mut data, 76, u32::try_from(info.len()).unwrap());
    data.extend(info);
    data
}

fn relocations() -> Vec<u8> {
    let mut block = Vec::new();
    block.extend(DATA_ADDRESS.to_le_bytes());
    block.extend(12u32.to_le_bytes());
    // Type 10 at 0 and at 8.
    block.extend([0x00, 0xA0, 0x08, 0xA0]);
    block
}

/// Offset in `.rdata` of the three modules' lists of names: each one name and the end.
const LOOKUPS: u32 = 80;
/// Offset in `.rdata` of the addresses the loader fills in.
const THUNKS: u32 = 128;
/// Offset in `.rdata` of the modules' names, 16 bytes each.
pub const MODULE_NAMES: u32 = 176;
/// Offset in `.rdata` of the imports' names behind two bytes of hint, 32 bytes each.
pub const IMPORT_NAMES: u32 = 224;
/// Offset in `.rdata` of the debug directory.
const DEBUG_DIRECTORY: u32 = 320;
/// Offset in `.rdata` of what it points to: "RSDS", GUID, age, name.
const CODEVIEW: u32 = 352;
/// Offset in `.rdata` of the symbols' file's name.
pub const SYMBOLS: usize = CODEVIEW as usize + 24;

fn read_only_data() -> Vec<u8> {
    let mut data = vec![0; 512];
    let imports = [
        ("ntoskrnl.exe", "KeSetEvent"),
        ("HAL.dll", "KeQueryPerformanceCounter"),
        ("portcls.sys", "PcNewPort"),
    ];
    for (number, (module, name)) in (0u32..).zip(imports) {
        let descriptor = number * 20;
        put(&mut data, descriptor, RDATA + LOOKUPS + number * 16);
        put(&mut data, descriptor + 12, RDATA + MODULE_NAMES + number * 16);
        put(&mut data, descriptor + 16, RDATA + THUNKS + number * 16);
        put(&mut data, LOOKUPS + number * 16, RDATA + IMPORT_NAMES + number * 32);
        put(&mut data, THUNKS + number * 16, RDATA + IMPORT_NAMES + number * 32);
        write(&mut data, MODULE_NAMES + number * 16, module.as_bytes());
        write(&mut data, IMPORT_NAMES + number * 32 + 2, name.as_bytes());
    }
    put(&mut data, DEBUG_DIRECTORY + 12, 2);
    put(&mut data, DEBUG_DIRECTORY + 16, 48);
    put(&mut data, DEBUG_DIRECTORY + 20, RDATA + CODEVIEW);
    // .rdata's place in the file: behind 0x400 bytes of headers and 0x200 of .text.
    put(&mut data, DEBUG_DIRECTORY + 24, 0x600 + CODEVIEW);
    write(&mut data, CODEVIEW, b"RSDS");
    write(&mut data, CODEVIEW + 24, b"sample.pdb");
    data
}

fn put(bytes: &mut [u8], at: u32, value: u32) {
    write(bytes, at, &value.to_le_bytes());
}

fn write(bytes: &mut [u8], at: u32, value: &[u8]) {
    bytes[at as usize..at as usize + value.len()].copy_from_slice(value);
}

impl Driver {
    /// A section to change.
    pub fn part(&mut self, name: &str) -> &mut Part {
        self.parts.iter_mut().find(|part| part.name == name).unwrap()
    }

    /// A data directory to change: address and size.
    pub fn directory(&mut self, number: usize) -> (&mut u32, &mut u32) {
        let entry = self.directories.iter_mut().find(|entry| entry.0 == number).unwrap();
        (&mut entry.1, &mut entry.2)
    }

    /// The file, with a right checksum.
    pub fn build(&self) -> Vec<u8> {
        let mut file = self.headers();
        for part in &self.parts {
            file.extend(&part.data);
            file.resize(file.len().next_multiple_of(512), 0);
        }
        file.extend(&self.tail);
        let sum = sum(&file);
        write(&mut file, CHECKSUM, &sum.to_le_bytes());
        file
    }

    fn headers(&self) -> Vec<u8> {
        let mut file = vec![0; 0x400];
        write(&mut file, 0, b"MZ");
        put(&mut file, 0x3C, PE);
        write(&mut file, PE, b"PE\0\0");
        write(&mut file, PE + 4, &self.machine.to_le_bytes());
        write(&mut file, PE + 6, &u16::try_from(self.parts.len()).unwrap().to_le_bytes());
        write(&mut file, PE + 20, &240u16.to_le_bytes());
        write(&mut file, PE + 22, &self.characteristics.to_le_bytes());
        let optional = PE + 24;
        write(&mut file, optional, &0x20Bu16.to_le_bytes());
        put(&mut file, optional + 16, self.entry);
        put(&mut file, optional + 20, TEXT);
        write(&mut file, optional + 24, &BASE.to_le_bytes());
        put(&mut file, optional + 32, self.section_alignment);
        put(&mut file, optional + 36, 512);
        write(&mut file, optional + 48, &10u16.to_le_bytes());
        put(&mut file, optional + 56, self.size_of_image);
        put(&mut file, optional + 60, 0x400);
        write(&mut file, optional + 68, &self.subsystem.to_le_bytes());
        write(&mut file, optional + 70, &self.dll_characteristics.to_le_bytes());
        put(&mut file, optional + 108, 16);
        for (number, address, size) in &self.directories {
            let entry = optional + 112 + u32::try_from(*number).unwrap() * 8;
            put(&mut file, entry, *address);
            put(&mut file, entry + 4, *size);
        }
        let (mut at, mut offset) = (optional + 240, 0x400);
        for part in &self.parts {
            let size = u32::try_from(part.data.len()).unwrap();
            write(&mut file, at, part.name.as_bytes());
            put(&mut file, at + 8, size);
            put(&mut file, at + 12, part.address);
            put(&mut file, at + 16, size.next_multiple_of(512));
            put(&mut file, at + 20, offset);
            put(&mut file, at + 36, part.flags);
            at += 40;
            offset += size.next_multiple_of(512);
        }
        file
    }
}

/// Offset of the PE header in the file.
const PE: u32 = 0x80;
/// Offset of the checksum.
pub const CHECKSUM: u32 = PE + 24 + 64;

/// The checksum while its field is zero: a running sum whose carry is added at once.
fn sum(file: &[u8]) -> u32 {
    let mut sum = 0u16;
    for pair in file.chunks(2) {
        let word = u16::from_le_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]);
        let (next, carry) = sum.overflowing_add(word);
        sum = next + u16::from(carry);
    }
    u32::from(sum) + u32::try_from(file.len()).unwrap()
}

/// The image without the function that has a fence.
pub fn unfenced() -> Vec<u8> {
    let mut driver = Driver::default();
    driver.part(".text").data.truncate(FENCED);
    driver.build()
}

/// The image that keeps every rule.
pub fn driver() -> Vec<u8> {
    Driver::default().build()
}

/// An image without resources, flags for paging and a fence: as it was when `two-files.hex` was made.
pub fn without_resources() -> Vec<u8> {
    let mut driver = Driver { size_of_image: RELOC, ..Driver::default() };
    driver.directories.retain(|entry| entry.0 != 2);
    *driver.directory(5).0 = RSRC;
    driver.parts.retain(|part| part.name != ".rsrc");
    driver.part(".text").data.truncate(FENCED);
    driver.part(".reloc").address = RSRC;
    driver.parts.iter_mut().for_each(|part| part.flags &= !NOT_PAGED);
    driver.build()
}
