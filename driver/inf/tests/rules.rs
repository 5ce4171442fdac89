//! The INF that ships keeps every rule, and every rule notices when it is broken.

use proptest::prelude::*;
use ringwave_inf::{check, facts, make};
use std::collections::BTreeSet;

const INX: &str = include_str!("../../ringwave.inx");

fn inf() -> String {
    let date = "2026-11-21".parse().expect("a date");
    make::make(INX, &facts::all(date)).expect("the INX takes every fact")
}

/// The names of the rules that this INF breaks.
fn broken(inf: &str) -> BTreeSet<&'static str> {
    check::check(inf.as_bytes()).into_iter().map(|violation| violation.rule).collect()
}

#[test]
fn the_inf_that_ships_keeps_every_rule() {
    assert_eq!(check::check(inf().as_bytes()), []);
    assert_eq!(
        check::hardware_ids(&ringwave_inf::parse::Inf::parse(&inf()).expect("an INF")),
        [r"PCI\VEN_1234&DEV_5257", r"PCI\VEN_1AF4&DEV_1059"]
    );
}

/// On Windows stampinf takes the INX without us: what stands in it must be what the sources would fill in,
/// but for the date.
#[test]
fn the_inx_spells_what_the_sources_spell() {
    let written = INX.lines().skip_while(|line| !line.starts_with('['));
    let made = inf();
    let made = made.lines().skip_while(|line| !line.starts_with('['));
    for (written, made) in written.zip(made).filter(|(_, made)| !made.starts_with("DriverVer")) {
        let written = written.split_once("; @").map_or(written, |(content, _)| content.trim_end());
        assert_eq!(written.replace("$ARCH$", "amd64"), made);
    }
}

/// What is changed in the good INF, and the rule that must notice.
const BREAKS: &[(&str, &str, &str)] = &[
    ("encoding", "PnpLockdown = 1\r\n", "PnpLockdown = 1\n"),
    ("encoding", "\"Ringwave driver disk\"", "\"Ringwave drivér disk\""),
    ("syntax", "\"Ringwave driver disk\"", "\"Ringwave driver disk"),
    ("sections", "[Ringwave.NT.HW]", "[Ringwave.HW]"),
    ("sections", "[Ringwave.AddReg]", "[Ringwave.AddRegs]"),
    ("sections", "[Ringwave.I.Wave.AddReg]", "[Ringwave.I.Topology.AddReg]"),
    ("sections", "[Strings]", "[String]"),
    ("strings", "Device.Wave       =", "Device.Waves      ="),
    ("strings", "Disk            =", "Disc = \"x\"\r\nDisk            ="),
    ("universal", "CopyFiles =", "DelReg = Ringwave.AddReg\r\nCopyFiles ="),
    ("universal", "[Ringwave.NT.Services]", "[Ringwave.NT.CoInstallers]\r\n[Ringwave.NT.Services]"),
    ("version", "PnpLockdown = 1", "PnpLockdown = 0"),
    ("version", "Class       = MEDIA", "Class       = System"),
    ("version", "DriverVer   = 11/21/2026", "DriverVer   = 21/11/2026"),
    ("version", "2026,0", "2026,9"),
    ("version", "CatalogFile = ringwave.cat\r\n", ""),
    ("decoration", "NTamd64.10.0...17763", "NTamd64"),
    ("decoration", "NTamd64.10.0...17763", "NTamd64.10.0...14393"),
    ("files", "ringwave.sys = 1", "ringwave.exe = 1"),
    ("files", "ringwave.sys = 1", "ringwave.sys = 2"),
    ("files", "Ringwave.CopyList = 13", "Ringwave.CopyList = 12"),
    ("files", "Ringwave.CopyList = 13", "Ringwave.CopyList = 13\r\nDefaultDestDir = 12"),
    ("files", "CopyFiles = Ringwave.CopyList\r\n", ""),
    ("service", r"%13%\ringwave.sys", r"%12%\ringwave.sys"),
    ("service", "Ringwave,0x00000002", "Ringwave,0x00000000"),
    ("service", "StartType     = 3", "StartType     = 0"),
    ("hardware-id", "DEV_5257", "DEV_5258"),
    ("hardware-id", "VEN_1AF4&DEV_1059", "VEN_1AF4&DEV_1059,PCI\\CC_0401"),
    ("hardware-id", "%Device.Virtio% = Ringwave,PCI\\VEN_1AF4&DEV_1059\r\n", ""),
    ("decoration", "%Device.Virtio% = Ringwave,", "%Device.Virtio% = Ringwave.HW.AddReg,"),
    ("hkr", "HKR,,Driver,,", "HKLM,,Driver,,"),
    ("values", "IdlePowerState,1,", "IdlePowerState,,"),
    ("values", "MSISupported,0x00010001,1", "MSISupported,0x00010001,yes"),
    ("values", "HKR,,CLSID,,%Proxy.CLSID%\r\n", "HKR,,CLSID,,%Proxy.CLSID%\r\nHKR,,clsid,,\"x\"\r\n"),
    ("needs", "KS.Registration,", ""),
    ("needs", "ks.inf,", ""),
    ("driver-key", "HKR,,Driver,,ringwave.sys", "HKR,,Driver,,other.sys"),
    ("device-object", "0x0000001D", "0x0000001E"),
    ("device-object", "(A;;GRGWGX;;;WD)", ""),
    ("messages", "MSISupported,0x00010001,1", "MSISupported,0x00010001,0"),
    ("messages", "MessageNumberLimit,0x00010001,16", "MessageNumberLimit,0x00010001,32"),
    ("messages", "MSISupported,0x00010001,1", "MSISupported,,1"),
    ("messages", "AddReg = Ringwave.HW.AddReg", "AddReg = Ringwave.AddReg"),
    ("dma-remapping", "RemappingSupported,0x00010001,0", "RemappingSupported,0x00010001,1"),
    ("dma-remapping", "HKR,DMA Management,RemappingSupported,0x00010001,0\r\n", ""),
    ("dma-remapping", "DmaRemappingCompatible,0x00010001,0", "DmaRemappingCompatible,0x00010001,2"),
    ("dma-remapping", "AddReg        = Ringwave.Service.AddReg\r\n", ""),
    ("registry-values", "\"ContiguousBuffer\"", "\"ContiguousBuffers\""),
    ("registry-values", "HKR,,%Value.PositionRegister%,0x00010003,0\r\n", ""),
    ("registry-values", "0x00010003,0", "0x00010001,0"),
    ("interfaces", "\"Wave\"", "\"Waves\""),
    ("interfaces", "AddInterface = %KSCATEGORY_REALTIME%,%KSNAME_Wave%,Ringwave.I.Wave\r\n", ""),
    ("interfaces", "AddInterface = %KSCATEGORY_CAPTURE%,%KSNAME_WaveIn4%,Ringwave.I.WaveIn4\r\n", ""),
    ("interfaces", "\"WaveIn2\"", "\"WaveIn5\""),
    ("interfaces", "{17CCA71B", "{17CCA71C"),
    ("interfaces", "HKR,,FriendlyName,,%Device.Topology%\r\n", ""),
    ("interfaces", "\"Ringwave Wave 2\"", "\"Ringwave Wave\""),
    (
        "interfaces",
        "TOPOLOGY%,%KSNAME_Topology3%,Ringwave.I.Topology3",
        "TOPOLOGY%,%KSNAME_Topology3%,Ringwave.I.Topology",
    ),
    ("jack-names", "\"Speakers 3\"", "\"Speakers 2\""),
    ("jack-names", r"HKR,MediaCategories\%Jack.Microphone4%,Name,,%Name.Microphone4%", ""),
    ("jack-names", "{AF619730", "{AF619731"),
    (
        "default-format",
        "HKR,EP\\0,%PKEY_AudioEndpoint_Association%",
        "HKR,EP\\0,\"{E4870E26-3CC5-4CD2-BA46-CA0A9A70ED04},3\",1,41\r\nHKR,EP\\0,%PKEY_AudioEndpoint_Association%",
    ),
    ("endpoint", "_Mode%,0x00010001,1", "_Mode%,,1"),
    ("endpoint", "{1DA5D803-D492-4EDD-8C23-E0C0FFEE7F0E},7", "{1DA5D803-D492-4EDD-8C23-E0C0FFEE7F0E},8"),
    ("endpoint", "{DFF21CE1", "{DFF21CE2"),
    ("endpoint", "%KSNAME_TopologyIn3%,Ringwave.I.TopologyIn", "%KSNAME_TopologyIn3%,Ringwave.I.Topology"),
];

/// A default format in the INF must be the one that the driver proposes: 24 bits in 32, 48 kHz, stereo.
#[test]
fn a_default_format_in_the_inf_is_the_one_that_is_proposed() {
    let good = inf();
    let section = "[Ringwave.I.Speaker.AddReg]\r\n";
    let with = |bytes: &str| {
        let key = r#""{E4870E26-3CC5-4CD2-BA46-CA0A9A70ED04},3""#;
        let strings = good.replace("[Strings]\r\n", &format!("[Strings]\r\nOEM = {key}\r\n"));
        strings.replace(section, &format!("{section}HKR,EP\\0,%OEM%,1,{bytes}\r\n"))
    };
    let right = "41,00,00,00,01,00,00,00,28,00,00,00,FE,FF,02,00,80,BB,00,00,00,DC,05,00,08,00,20,00,16,00,\
        18,00,03,00,00,00,01,00,00,00,00,00,10,00,80,00,00,AA,00,38,9B,71";
    assert!(!broken(&with(right)).contains("default-format"), "{:?}", check::check(with(right).as_bytes()));
    assert!(broken(&with(&right.replace("80,BB", "44,AC"))).contains("default-format"), "44.1 kHz");
    assert!(broken(&with(&right.replace("18,00,03", "20,00,03"))).contains("default-format"), "32 bits");
}

#[test]
fn every_rule_notices_when_it_is_broken() {
    let good = inf();
    for (rule, from, to) in BREAKS {
        assert!(good.contains(from), "the INF no longer has {from:?}");
        let bad = good.replace(from, to);
        assert!(broken(&bad).contains(rule), "{rule} does not notice {from:?} -> {to:?}: {:?}", broken(&bad));
    }
    let covered: BTreeSet<_> = BREAKS.iter().map(|(rule, ..)| *rule).collect();
    let rules: BTreeSet<_> =
        check::RULES.iter().map(|(name, _)| *name).chain(["encoding", "syntax"]).collect();
    assert_eq!(covered, rules, "a rule that was never seen to fail");
}

proptest! {
    #[test]
    fn a_damaged_inf_never_panics(at in 0..12000_usize, byte: u8, cut in 0..12000_usize) {
        let mut bytes = inf().into_bytes();
        if let Some(place) = bytes.get_mut(at) {
            *place = byte;
        }
        bytes.truncate(bytes.len().saturating_sub(cut));
        check::check(&bytes);
    }
}
