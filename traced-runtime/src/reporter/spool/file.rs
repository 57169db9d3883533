//! A batch as a file: a header of 40 bytes, and the body of its request.
//!
//! | offset | bytes | what, all numbers little-endian |
//! |---|---|---|
//! | 0 | 8 | the letters `TRACEDSP` |
//! | 8 | 4 | version of this format: 1 |
//! | 12 | 4 | CRC-32 (IEEE) of everything behind it |
//! | 16 | 8 | time of writing, in milliseconds since 1970 |
//! | 24 | 4 | number of spans |
//! | 28 | 4 | how they are encoded: 1, a list in Zipkin's JSON, version 2 |
//! | 32 | 8 | bytes of the body |
//! | 40 | … | the body |
//!
//! So a file can be sent by hand: `tail -c +41 FILE | curl -H 'content-type: application/json' --data-binary @- URL`.

use std::fmt;

/// Bytes before the body.
pub(crate) const HEADER: usize = 40;

/// The longest body that is read: far more than any collector takes.
pub(crate) const LONGEST_BODY: u64 = 64 << 20;

const MAGIC: &[u8; 8] = b"TRACEDSP";
const VERSION: u32 = 1;
const JSON: u32 = 1;

/// What a file says about its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    crc: u32,
    /// Milliseconds since 1970.
    pub(crate) written: u64,
    pub(crate) spans: u32,
    pub(crate) length: u64,
}

/// Why a file is no batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Damage {
    /// It does not begin as ours do.
    Foreign,
    /// It is of another version of the format.
    Version(u32),
    /// It is shorter or longer than it says.
    Torn,
    /// Its bytes are not those that were written.
    Checksum,
    /// The checksum is right, and it is no list of as many spans as it says.
    NoList,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foreign => f.write_str("it is no file of this program"),
            Self::Version(version) => write!(f, "its format is version {version}, and {VERSION} is known"),
            Self::Torn => f.write_str("it was not written to its end"),
            Self::Checksum => f.write_str("its checksum is wrong"),
            Self::NoList => f.write_str("it holds no list of spans"),
        }
    }
}

/// The header for this body.
pub(crate) fn header(body: &[u8], spans: u32, written: u64) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, MAGIC);
    put(8, &VERSION.to_le_bytes());
    put(16, &written.to_le_bytes());
    put(24, &spans.to_le_bytes());
    put(28, &JSON.to_le_bytes());
    put(32, &(body.len() as u64).to_le_bytes());
    let crc = checksum(&header, body);
    header[12..16].copy_from_slice(&crc.to_le_bytes());
    header
}

/// Reads the beginning of a file that has this many bytes.
pub(crate) fn parse_header(start: &[u8], file_length: u64) -> Result<Header, Damage> {
    let number = |at: usize| start.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_le_bytes);
    let long = |at: usize| start.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map(u64::from_le_bytes);
    // One that ends in the middle of the first word may well be ours.
    if !start.starts_with(&MAGIC[..start.len().min(MAGIC.len())]) {
        return Err(Damage::Foreign);
    }
    match number(8) {
        None => return Err(Damage::Torn),
        Some(VERSION) => {}
        Some(version) => return Err(Damage::Version(version)),
    }
    let (Some(crc), Some(written), Some(spans)) = (number(12), long(16), number(24)) else { return Err(Damage::Torn) };
    let (Some(encoding), Some(length)) = (number(28), long(32)) else { return Err(Damage::Torn) };
    if encoding != JSON || spans == 0 || length > LONGEST_BODY {
        return Err(Damage::Foreign);
    }
    if file_length != length + HEADER as u64 {
        return Err(Damage::Torn);
    }
    Ok(Header { crc, written, spans, length })
}

/// Takes a whole file apart, into its header and its body.
pub(crate) fn parse(file: &[u8]) -> Result<(Header, &[u8]), Damage> {
    let header = parse_header(file, file.len() as u64)?;
    let (start, body) = file.split_at_checked(HEADER).ok_or(Damage::Torn)?;
    if checksum(start, body) == header.crc { Ok((header, body)) } else { Err(Damage::Checksum) }
}

fn checksum(header: &[u8], body: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(header.get(16..).unwrap_or_default());
    crc.update(body);
    crc.finalize()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]
    use rand::rngs::SmallRng;
    use rand::{RngExt as _, SeedableRng as _};

    use super::*;

    fn file(body: &[u8]) -> Vec<u8> {
        [&header(body, 2, 1_700_000_000_123)[..], body].concat()
    }

    #[test]
    fn the_bytes_are_those_of_the_documentation() {
        let file = file(b"[{},{}]");
        let start =
            b"TRACEDSP\x01\0\0\0\x25\xe6\x5c\x34\x7b\x68\xe5\xcf\x8b\x01\0\0\x02\0\0\0\x01\0\0\0\x07\0\0\0\0\0\0\0";
        assert_eq!((&file[..12], &file[16..HEADER]), (&start[..12], &start[16..]));
        assert_eq!(file[12..16], crc32fast::hash(&file[16..]).to_le_bytes());
        assert_eq!(&file[HEADER..], b"[{},{}]");
        let (header, body) = parse(&file).unwrap();
        assert_eq!((header.spans, header.written, header.length, body), (2, 1_700_000_000_123, 7, &b"[{},{}]"[..]));
    }

    #[test]
    fn a_file_cut_anywhere_is_torn() {
        let file = file(b"[{},{}]");
        for length in 0..file.len() {
            assert_eq!(parse(&file[..length]), Err(Damage::Torn), "{length}");
        }
        let long = [&file[..], b"x"].concat();
        assert_eq!(parse(&long), Err(Damage::Torn));
    }

    #[test]
    fn no_flipped_bit_goes_unnoticed() {
        let file = file(b"[{},{}]");
        for at in 0..file.len() {
            for bit in 0..8 {
                let mut file = file.clone();
                file[at] ^= 1 << bit;
                assert!(parse(&file).is_err(), "bit {bit} of byte {at}");
            }
        }
    }

    #[test]
    fn whatever_is_found_there_is_told_apart() {
        assert_eq!(parse(b"#!/bin/sh"), Err(Damage::Foreign));
        let mut newer = file(b"[]");
        newer[8] = 2;
        assert_eq!(parse(&newer), Err(Damage::Version(2)));
        let mut rng = SmallRng::seed_from_u64(5);
        for _ in 0..2_000 {
            let mut noise: Vec<u8> = (0..rng.random_range(0..100)).map(|_| rng.random()).collect();
            if rng.random() {
                noise.splice(..noise.len().min(8), *MAGIC);
            }
            assert!(parse(&noise).is_err());
        }
    }
}
