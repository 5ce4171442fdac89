//! Makes an unsigned catalog.
//!
//! The same files, names, hardware ids, systems and time give the same bytes: the list identifier, which
//! Microsoft's tool draws at random, is derived from the contents here.
use crate::asn1::{
    self, CertificateTrustList, DigestInfo, IndirectData, NameValue, TrustedSubject, TypedValue,
};
use crate::digest::{Hashes, Kind, hashes};
use cms::content_info::{CmsVersion, ContentInfo};
use cms::signed_data::{EncapsulatedContentInfo, SignedData, SignerInfos};
use der::asn1::{BmpString, ContextSpecific, Null, ObjectIdentifier, OctetString, SetOfVec, UtcTime};
use der::{Any, Decode, Encode, TagMode};
use sha2::{Digest, Sha256};
use std::time::Duration;
use x509_cert::attr::Attribute;
use x509_cert::ext::Extension;
use x509_cert::spki::AlgorithmIdentifierOwned;
use x509_cert::time::Time;

/// Why a catalog cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file begins like a program and is none.
    #[error("{name}: {source}")]
    Program {
        /// The file.
        name: String,
        /// What is wrong with it.
        source: crate::authenticode::PeError,
    },
    /// Two files of one name: Windows compares names without case.
    #[error("{0} is given twice; a package has one folder")]
    SameName(String),
    /// Two files with the same bytes would be one member with two names.
    #[error("{0} and {1} have the same contents, which a catalog cannot tell apart; leave one out")]
    SameContents(String, String),
    /// A name Windows does not allow in a package, or nothing at all.
    #[error("{0:?} is no file name that a catalog can have; use visible ASCII without \\ / : * ? \" < > |")]
    Name(String),
    /// Nothing to list.
    #[error("a catalog needs at least one file, one hardware id and one operating system")]
    Empty,
    /// The time is outside 1970 to 2049, all that the catalog's form of time can say here.
    #[error("{0} s after 1970 is not a time that a catalog can have (1970 to 2049)")]
    Time(u64),
    /// The ASN.1 library refused a value.
    #[error("encoding: {0}")]
    Encoding(#[from] der::Error),
}

/// What is said in a catalog.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// Hardware ids of the package's devices, as in the INF, most specific first. The catalog has them in
    /// lower case.
    pub hardware_ids: Vec<String>,
    /// Operating systems, in the catalog's words ([`crate::os`]).
    pub systems: Vec<String>,
    /// The members' `OSAttr`: platform and version, `2:10.0` for Windows NT 10.
    pub system_attribute: String,
    /// When the list was made, since 1970 in UTC; whole seconds, up to the end of 2049.
    pub time: Duration,
}

/// A member to be: its name in the catalog and its hashes.
#[derive(Clone, Debug, Eq, PartialEq)]
struct File {
    name: String,
    hashes: Hashes,
}

/// Makes the catalog of the given files, each a name without folders and all its bytes.
///
/// # Errors
/// See [`Error`].
pub fn catalog(recipe: &Recipe, files: &[(&str, &[u8])]) -> Result<Vec<u8>, Error> {
    if files.is_empty() || recipe.hardware_ids.is_empty() || recipe.systems.is_empty() {
        return Err(Error::Empty);
    }
    let list = trust_list(recipe, &hash_all(files)?)?;
    Ok(unsigned(&list)?.to_der()?)
}

fn hash_all(files: &[(&str, &[u8])]) -> Result<Vec<File>, Error> {
    let mut all: Vec<File> = Vec::with_capacity(files.len());
    for (name, bytes) in files {
        let bad = |c: char| !(c.is_ascii_graphic() || c == ' ') || "\\/:*?\"<>|".contains(c);
        if name.is_empty() || name.contains(bad) {
            return Err(Error::Name((*name).to_owned()));
        }
        let hashes = hashes(bytes).map_err(|source| Error::Program { name: (*name).to_owned(), source })?;
        for other in &all {
            if other.name.eq_ignore_ascii_case(name) {
                return Err(Error::SameName((*name).to_owned()));
            }
            if other.hashes.sha256 == hashes.sha256 || other.hashes.sha1 == hashes.sha1 {
                return Err(Error::SameContents(other.name.clone(), (*name).to_owned()));
            }
        }
        all.push(File { name: (*name).to_owned(), hashes });
    }
    Ok(all)
}

/// The signed content, with an identifier that is its own digest.
fn trust_list(recipe: &Recipe, files: &[File]) -> Result<CertificateTrustList, Error> {
    let mut subjects = Vec::with_capacity(files.len() * 2);
    for file in files {
        subjects.push(sha1_member(file, recipe)?);
        subjects.push(sha256_member(file, recipe)?);
    }
    // Windows finds a member by a search in order.
    subjects.sort_by(|a, b| a.identifier.as_bytes().cmp(b.identifier.as_bytes()));
    let time = UtcTime::from_unix_duration(Duration::from_secs(recipe.time.as_secs()))
        .map_err(|_| Error::Time(recipe.time.as_secs()))?;
    let mut list = CertificateTrustList {
        subject_usage: vec![asn1::CATALOG_LIST],
        list_identifier: None,
        this_update: Time::UtcTime(time),
        subject_algorithm: algorithm(asn1::CATALOG_LIST_MEMBER2),
        trusted_subjects: Some(subjects),
        extensions: Some(extensions(recipe)?),
    };
    let digest = Sha256::digest(list.to_der()?);
    list.list_identifier = Some(OctetString::new(digest.get(..16).unwrap_or_default())?);
    Ok(list)
}

/// The catalog's own attributes: the systems, then the hardware ids.
fn extensions(recipe: &Recipe) -> der::Result<Vec<Extension>> {
    let mut named = vec![("OS".to_owned(), recipe.systems.join(","))];
    for (number, id) in (1..).zip(&recipe.hardware_ids) {
        named.push((format!("HWID{number}"), id.to_ascii_lowercase()));
    }
    let extension = |(name, value): (String, String)| {
        let value = OctetString::new(name_value(&name, &value)?.to_der()?)?;
        Ok(Extension { extn_id: asn1::CAT_NAME_VALUE, critical: false, extn_value: value })
    };
    named.into_iter().map(extension).collect()
}

fn sha1_member(file: &File, recipe: &Recipe) -> der::Result<TrustedSubject> {
    member(&file.hashes.sha1, said_of(file, recipe)?)
}

/// Beside what the SHA-1 member says, it repeats its hash in Authenticode's form.
fn sha256_member(file: &File, recipe: &Recipe) -> der::Result<TrustedSubject> {
    let data = match file.hashes.kind {
        Kind::Pe => TypedValue {
            kind: asn1::SPC_PE_IMAGE_DATA,
            value: Some(Any::encode_from(&asn1::pe_image_data()?)?),
        },
        Kind::Flat => {
            TypedValue { kind: asn1::SPC_CAB_DATA, value: Some(Any::encode_from(&asn1::empty_link()?)?) }
        }
    };
    let digest = OctetString::new(file.hashes.sha256)?;
    let indirect =
        IndirectData { data, message_digest: DigestInfo { algorithm: algorithm(asn1::SHA256), digest } };
    let mut attributes = said_of(file, recipe)?;
    attributes.push(attribute(asn1::SPC_INDIRECT_DATA, &indirect)?);
    member(&file.hashes.sha256, attributes)
}

fn member(hash: &[u8], attributes: Vec<Attribute>) -> der::Result<TrustedSubject> {
    Ok(TrustedSubject {
        identifier: OctetString::new(hash)?,
        attributes: Some(SetOfVec::try_from(attributes)?),
    })
}

/// What both members of a file say of it.
fn said_of(file: &File, recipe: &Recipe) -> der::Result<Vec<Attribute>> {
    let tag_number = match file.hashes.kind {
        Kind::Pe => asn1::MEMBER_INFO_PE,
        Kind::Flat => asn1::MEMBER_INFO_FLAT,
    };
    let hashed_as = ContextSpecific { tag_number, tag_mode: TagMode::Implicit, value: Null };
    Ok(vec![
        attribute(asn1::CAT_MEMBER_INFO2, &hashed_as)?,
        attribute(asn1::CAT_NAME_VALUE, &name_value("OSAttr", &recipe.system_attribute)?)?,
        attribute(asn1::CAT_NAME_VALUE, &name_value("File", &file.name)?)?,
    ])
}

fn attribute(oid: ObjectIdentifier, value: &impl Encode) -> der::Result<Attribute> {
    let value = Any::from_der(&value.to_der()?)?;
    Ok(Attribute { oid, values: SetOfVec::try_from([value])? })
}

fn name_value(name: &str, value: &str) -> der::Result<NameValue> {
    let utf16: Vec<u8> = value.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect();
    Ok(NameValue {
        name: BmpString::from_utf8(name)?,
        flags: asn1::NAME_VALUE_FLAGS,
        value: OctetString::new(utf16)?,
    })
}

fn algorithm(oid: ObjectIdentifier) -> AlgorithmIdentifierOwned {
    AlgorithmIdentifierOwned { oid, parameters: Some(Any::null()) }
}

/// The list in signed data that nobody has signed yet. PKCS #7's form: the content itself, where CMS would
/// have an octet string around it.
fn unsigned(list: &CertificateTrustList) -> der::Result<ContentInfo> {
    let signed_data = SignedData {
        version: CmsVersion::V1,
        digest_algorithms: SetOfVec::default(),
        encap_content_info: EncapsulatedContentInfo {
            econtent_type: asn1::CTL,
            econtent: Some(Any::encode_from(list)?),
        },
        certificates: None,
        crls: None,
        signer_infos: SignerInfos(SetOfVec::default()),
    };
    Ok(ContentInfo { content_type: asn1::SIGNED_DATA, content: Any::encode_from(&signed_data)? })
}
