//! Windows driver catalogs (`.cat`), written, read and verified on any host; and the rules a driver image
//! keeps.
//!
//! Windows trusts a driver package through its catalog: a signed list of the hashes of every file in the
//! package. Microsoft's Inf2Cat makes it, on Windows only. This crate makes a list of the same form
//! ([`make`]), and for the same files, names and time always the same bytes; `osslsigncode` signs it.
//! [`read`] and [`verify`] go the other way. [`pe`] checks what `ringwave.sys` must be before it is put in a
//! catalog at all.
//!
//! What a catalog is: PKCS #7 `SignedData` (RFC 2315, RFC 5652) around a certificate trust list ([`asn1`])
//! with two members a file, one by SHA-1 and one by SHA-256. A program's hash is its Authenticode hash
//! ([`authenticode`]), which a signature inside the file does not change; any other file's is the hash of its
//! exact bytes ([`digest`]).
//!
//! The layout was held against a catalog that Microsoft's tool made for a shipping driver; nothing here was
//! tried on Windows.
#![forbid(unsafe_code)]
#![allow(clippy::doc_markdown, reason = "names of Microsoft's tools and of file formats")]

pub mod asn1;
pub mod authenticode;
pub mod digest;
pub mod make;
pub mod os;
pub mod pe;
pub mod read;
pub mod verify;

#[cfg(test)]
#[path = "../tests/common/sample.rs"]
mod sample;
