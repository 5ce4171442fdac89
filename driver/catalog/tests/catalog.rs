//! Catalogs as a user of the library meets them: what is made can be read and verified, what is changed is
//! noticed and named, and bytes that are no catalog are refused.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up fails")]
use proptest::prelude::*;
use ringwave_catalog::make::{Error, Recipe, catalog};
use ringwave_catalog::read::Catalog;
use ringwave_catalog::verify::{Mismatch, verify};
use std::time::Duration;

#[path = "common/sample.rs"]
mod sample;

/// 1 January 2050: seconds since 1970 that the catalog's form of time cannot say any more.
const END_OF_TIME: u64 = 2_524_608_000;

const INF: &[u8] = b"[Version]\r\nSignature=\"$WINDOWS NT$\"\r\n";

fn recipe() -> Recipe {
    Recipe {
        hardware_ids: vec!["PCI\\VEN_1234&DEV_5257".to_owned()],
        systems: vec!["_v100_X64".to_owned()],
        system_attribute: "2:10.0".to_owned(),
        time: Duration::from_secs(1_700_000_000),
    }
}

/// A package of a program and a text.
fn package() -> (Vec<u8>, Vec<u8>) {
    (sample::driver(), INF.to_vec())
}

fn made() -> Vec<u8> {
    let (sys, inf) = package();
    catalog(&recipe(), &[("ringwave.sys", &sys), ("ringwave.inf", &inf)]).unwrap()
}

fn check(sys: &[u8], inf: &[u8]) -> Result<(), Mismatch> {
    verify(&Catalog::from_der(&made()).unwrap(), &[("ringwave.sys", sys), ("ringwave.inf", inf)])
}

#[test]
fn a_catalog_is_for_its_files() {
    let (sys, inf) = package();
    assert_eq!(check(&sys, &inf), Ok(()));
}

#[test]
fn the_order_of_the_files_does_not_matter() {
    let (sys, inf) = package();
    let other = catalog(&recipe(), &[("ringwave.inf", &inf), ("ringwave.sys", &sys)]).unwrap();
    assert_eq!(other, made());
}

#[test]
fn the_list_is_known_by_its_contents() {
    let (sys, _) = package();
    let identifier = |inf: &[u8]| {
        let bytes = catalog(&recipe(), &[("ringwave.sys", &sys), ("ringwave.inf", inf)]).unwrap();
        Catalog::from_der(&bytes).unwrap().list_identifier
    };
    assert_eq!(identifier(INF).len(), 16);
    assert_eq!(identifier(INF), identifier(INF));
    assert_ne!(identifier(INF), identifier(b"[Version]\r\n"));
}

/// The bytes were held against `proofs/catalog.py`, whose output for a shipping driver's files was that of
/// Microsoft's tool.
#[test]
fn the_bytes_are_those_of_microsofts_form() {
    let bytes = catalog(&recipe(), &[("a.inf", b"abc"), ("a.sys", &sample::without_resources())]).unwrap();
    assert_eq!(ringwave_catalog::digest::hex(&bytes), include_str!("two-files.hex").trim());
}

#[test]
fn a_catalog_says_what_it_is_for() {
    let read = Catalog::from_der(&made()).unwrap();
    assert_eq!(read.signatures, 0);
    assert_eq!(read.time, recipe().time);
    let named = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(read.attributes, [named("OS", "_v100_X64"), named("HWID1", "pci\\ven_1234&dev_5257")]);
    assert_eq!(read.members.len(), 4);
    assert!(read.members.iter().all(|member| member.texts.contains(&named("OSAttr", "2:10.0"))));
    assert!(read.members.is_sorted_by_key(|member| member.identifier.clone()));
}

/// PKCS #7 around something else, and something else around a list: the last byte of each type, one more.
#[test]
fn other_contents_are_no_catalog() {
    let signed_data = [0x06, 0x09, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x07, 0x02];
    let list = [0x06, 0x09, 0x2B, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x0A, 0x01];
    let usage = [0x06, 0x0A, 0x2B, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x0C, 0x01, 0x01];
    for oid in [&signed_data[..], &list, &usage] {
        let mut bytes = made();
        let at = bytes.windows(oid.len()).position(|window| window == oid).unwrap();
        bytes[at + oid.len() - 1] += 1;
        assert!(
            matches!(Catalog::from_der(&bytes), Err(ringwave_catalog::read::Error::Type { .. })),
            "{oid:02x?}"
        );
    }
}

#[test]
fn a_missing_or_additional_file_is_named() {
    let (sys, inf) = package();
    let read = Catalog::from_der(&made()).unwrap();
    assert_eq!(verify(&read, &[("ringwave.sys", &sys)]), Err(Mismatch::NotGiven("ringwave.inf".to_owned())));
    let more = [("ringwave.sys", &sys[..]), ("ringwave.inf", &inf), ("readme.txt", b"hello")];
    assert_eq!(verify(&read, &more), Err(Mismatch::NotListed("readme.txt".to_owned())));
    let swapped = verify(&read, &[("ringwave.inf", &sys[..]), ("ringwave.sys", &inf)]);
    assert!(matches!(swapped, Err(Mismatch::Hash { file, .. }) if file == "ringwave.inf"));
}

#[test]
fn what_a_member_says_of_itself_is_checked() {
    let (sys, inf) = package();
    let files = [("ringwave.sys", &sys[..]), ("ringwave.inf", &inf[..])];
    let after = |change: &dyn Fn(&mut Catalog)| {
        let mut read = Catalog::from_der(&made()).unwrap();
        change(&mut read);
        verify(&read, &files)
    };
    let no_sha1 = after(&|read| read.members.retain(|member| member.identifier.len() == 32));
    assert!(matches!(no_sha1, Err(Mismatch::NoMember { algorithm: "SHA-1", .. })), "{no_sha1:?}");
    let no_sha256 = after(&|read| read.members.retain(|member| member.identifier.len() == 20));
    assert!(matches!(no_sha256, Err(Mismatch::NoMember { algorithm: "SHA-256", .. })), "{no_sha256:?}");
    let no_kind = after(&|read| read.members.iter_mut().for_each(|member| member.kind = None));
    assert!(matches!(no_kind, Err(Mismatch::Kind { .. })), "{no_kind:?}");
    let no_digest = after(&|read| read.members.iter_mut().for_each(|member| member.digest = None));
    assert!(matches!(no_digest, Err(Mismatch::Digest(_))), "{no_digest:?}");
    let nameless = after(&|read| {
        let mut member = read.members[0].clone();
        member.texts.clear();
        read.members.push(member);
    });
    assert!(matches!(nameless, Err(Mismatch::Nameless(_))), "{nameless:?}");
}

#[test]
fn what_no_catalog_can_hold_is_refused() {
    let make = |files: &[(&str, &[u8])]| catalog(&recipe(), files);
    assert!(matches!(make(&[]), Err(Error::Empty)));
    assert!(matches!(make(&[("a", b"1"), ("A", b"2")]), Err(Error::SameName(_))));
    assert!(matches!(make(&[("a", b"1"), ("b", b"1")]), Err(Error::SameContents(..))));
    assert!(matches!(make(&[("x\\a", b"1")]), Err(Error::Name(_))));
    assert!(matches!(make(&[("a.sys", b"MZ is not enough")]), Err(Error::Program { .. })));
    let at = |seconds| catalog(&Recipe { time: Duration::from_secs(seconds), ..recipe() }, &[("a", b"1")]);
    assert!(matches!(at(END_OF_TIME), Err(Error::Time(_))));
    assert!(at(END_OF_TIME - 1).is_ok());
}

fn text() -> impl Strategy<Value = String> {
    "[ -~äΩ]{1,40}"
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn what_is_made_can_be_read(
        contents in prop::collection::btree_set(prop::collection::vec(any::<u8>(), 0..64), 1..6),
        hardware_ids in prop::collection::vec(text(), 1..4),
        systems in prop::collection::vec("[a-zA-Z0-9_]{1,12}", 1..3),
        seconds in 0..END_OF_TIME,
    ) {
        prop_assume!(contents.iter().all(|bytes| !bytes.starts_with(b"MZ")));
        let named: Vec<_> = contents.iter().enumerate().map(|(n, bytes)| (format!("file {n}.bin"), bytes)).collect();
        let files: Vec<_> = named.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
        let recipe = Recipe { hardware_ids, systems, time: Duration::from_secs(seconds), ..recipe() };
        let bytes = catalog(&recipe, &files).unwrap();
        prop_assert_eq!(&bytes, &catalog(&recipe, &files).unwrap());
        let read = Catalog::from_der(&bytes).unwrap();
        prop_assert_eq!(read.time, recipe.time);
        let ids: Vec<_> = read.attributes[1..].iter().map(|(_, id)| id.clone()).collect();
        prop_assert_eq!(ids, recipe.hardware_ids.iter().map(|id| id.to_ascii_lowercase()).collect::<Vec<_>>());
        prop_assert_eq!(&read.attributes[0].1, &recipe.systems.join(","));
        prop_assert_eq!(read.members.len(), files.len() * 2);
        prop_assert_eq!(verify(&read, &files), Ok(()));
    }

    #[test]
    fn one_changed_byte_in_a_member_is_noticed(at in any::<prop::sample::Index>(), flip in 1u8..) {
        let (sys, inf) = package();
        let mut other = inf.clone();
        let index = at.index(inf.len());
        other[index] ^= flip;
        prop_assert!(check(&sys, &other).is_err());
        let mut other = sys.clone();
        let index = at.index(sys.len());
        other[index] ^= flip;
        // The checksum changes when a program is signed, and does not count; nor does the entry for
        // signatures (its size or place alone is refused, since there are none).
        let counts = !(0xD8..0xDC).contains(&index);
        prop_assert_eq!(check(&other, &inf).is_err(), counts, "byte {:#x}", index);
    }

    #[test]
    fn a_changed_catalog_is_refused_or_read(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5)) {
        let (sys, inf) = package();
        let mut bytes = made();
        for (at, byte) in changes {
            let index = at.index(bytes.len());
            bytes[index] = byte;
        }
        if let Ok(read) = Catalog::from_der(&bytes) {
            let _ = verify(&read, &[("ringwave.sys", &sys), ("ringwave.inf", &inf)]);
        }
    }

    #[test]
    fn a_cut_catalog_is_refused(length in any::<prop::sample::Index>()) {
        let bytes = made();
        prop_assert!(Catalog::from_der(&bytes[..length.index(bytes.len())]).is_err());
    }

    #[test]
    fn any_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Catalog::from_der(&bytes).is_err());
    }
}
