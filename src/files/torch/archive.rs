//! The zip archive that `torch.save` writes: one program and the numbers it speaks of.
//!
//! Read by the layout in APPNOTE.TXT of PKWARE (sections 4.3.7, 4.3.12, 4.3.14 to 4.3.16 and 4.5.3), as far as torch uses
//! it: no encryption, no parts, entries stored as they are or deflated.
//!
//! **Invariant:** stored entries are borrowed from the file; compressed ones are unpacked to at most [`MOST_UNPACKED`]
//! times the file's size in all; no number in the file decides how much memory is taken.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Read;

use flate2::read::DeflateDecoder;

use crate::error::ModelError;

/// Bytes of all unpacked entries for each byte of the file. `torch.save` compresses nothing.
const MOST_UNPACKED: u64 = 16;

const STORED: u64 = 0;
const DEFLATED: u64 = 8;

/// In a field of 32 bits: the number stands in the entry's extra field of 64 bits.
const ELSEWHERE: u64 = 0xffff_ffff;

/// Entries by their names, without the folder that holds them all.
#[derive(Debug)]
pub(crate) struct Archive<'a> {
    pub entries: HashMap<String, Cow<'a, [u8]>>,
}

/// What the directory says of an entry.
struct Record<'a> {
    name: &'a str,
    method: u64,
    packed: &'a [u8],
}

impl<'a> Archive<'a> {
    /// Finds all entries beside `data.pkl`.
    pub fn parse(bytes: &'a [u8], file: &str) -> Result<Self, ModelError> {
        let format = |why: String| ModelError::Format { file: file.into(), why };
        let records = records(bytes).ok_or_else(|| {
            format(
                "the directory of the zip archive is not where it should be; the file is truncated or damaged".into(),
            )
        })?;
        let program = records.iter().find(|record| record.name == "data.pkl" || record.name.ends_with("/data.pkl"));
        let Some(folder) = program.and_then(|record| record.name.strip_suffix("data.pkl")) else {
            let why = "the zip archive holds no data.pkl; is this a checkpoint of torch.save?";
            return Err(format(why.into()));
        };
        let mut room = MOST_UNPACKED * bytes.len() as u64;
        let mut entries = HashMap::new();
        for Record { name, method, packed } in &records {
            let Some(name) = name.strip_prefix(folder) else { continue };
            let data = match *method {
                STORED => Cow::Borrowed(*packed),
                DEFLATED => Cow::Owned(unpack(packed, &mut room).map_err(|why| format(why_packed(name, &why)))?),
                other => return Err(format(why_packed(name, &format!("its method has number {other}")))),
            };
            if entries.insert(name.to_owned(), data).is_some() {
                return Err(format(format!("entry `{name}` stands in the zip archive twice")));
            }
        }
        Ok(Self { entries })
    }
}

fn why_packed(name: &str, why: &str) -> String {
    format!("entry `{name}` of the zip archive cannot be unpacked: {why}; save it uncompressed, as torch.save does")
}

fn unpack(packed: &[u8], room: &mut u64) -> Result<Vec<u8>, String> {
    let mut unpacked = Vec::new();
    let decoder = DeflateDecoder::new(packed);
    decoder.take(*room + 1).read_to_end(&mut unpacked).map_err(|error| error.to_string())?;
    match room.checked_sub(unpacked.len() as u64) {
        Some(rest) => *room = rest,
        None => return Err(format!("the entries unpack to more than {MOST_UNPACKED} times the file's size")),
    }
    Ok(unpacked)
}

/// A number of `width` bytes, little-endian.
fn number(bytes: &[u8], at: usize, width: usize) -> Option<u64> {
    let mut wide = [0; 8];
    wide[..width].copy_from_slice(bytes.get(at..at.checked_add(width)?)?);
    Some(u64::from_le_bytes(wide))
}

fn signed(bytes: &[u8], at: usize, signature: &[u8; 4]) -> Option<()> {
    (bytes.get(at..at.checked_add(4)?)? == signature).then_some(())
}

/// All entries of the directory.
fn records(bytes: &[u8]) -> Option<Vec<Record<'_>>> {
    let (mut at, count) = directory(bytes)?;
    let mut records = Vec::new();
    for _ in 0..count {
        signed(bytes, at, b"PK\x01\x02")?;
        let field = |offset: usize, width: usize| number(bytes, at + offset, width);
        let (name, extra, comment) = (field(28, 2)? as usize, field(30, 2)? as usize, field(32, 2)? as usize);
        let extra_at = at + 46 + name;
        let mut wide = wide_fields(bytes.get(extra_at..extra_at + extra)?);
        let mut size = |offset| match field(offset, 4)? {
            ELSEWHERE => wide.next(),
            size => Some(size),
        };
        let (unpacked, packed) = (size(24)?, size(20)?);
        let local = size(42)?;
        let method = field(10, 2)?;
        if method == STORED && unpacked != packed {
            return None;
        }
        let name = std::str::from_utf8(bytes.get(at + 46..extra_at)?).ok()?;
        records.push(Record { name, method, packed: data(bytes, local, packed)? });
        at = extra_at + extra + comment;
    }
    Some(records)
}

/// Where the directory begins, and how many entries it has.
fn directory(bytes: &[u8]) -> Option<(usize, u64)> {
    const END_BYTES: usize = 22;
    const LOCATOR_BYTES: usize = 20;
    // The record at the end is followed by a comment of up to 64 KiB.
    let last = bytes.len().checked_sub(END_BYTES)?;
    let first = last.saturating_sub(0xffff);
    let is_end = |at: &usize| {
        let comment = number(bytes, at + 20, 2).map(|length| length as usize);
        signed(bytes, *at, b"PK\x05\x06").is_some() && comment == Some(last - at)
    };
    let end = (first..=last).rev().find(is_end)?;
    let (mut count, mut start) = (number(bytes, end + 10, 2)?, number(bytes, end + 16, 4)?);
    if let Some(locator) = end.checked_sub(LOCATOR_BYTES).filter(|at| signed(bytes, *at, b"PK\x06\x07").is_some()) {
        let wide = usize::try_from(number(bytes, locator + 8, 8)?).ok()?;
        signed(bytes, wide, b"PK\x06\x06")?;
        (count, start) = (number(bytes, wide + 32, 8)?, number(bytes, wide + 48, 8)?);
    }
    Some((usize::try_from(start).ok()?, count))
}

/// The numbers of the extra field of 64-bit sizes, in its order: unpacked size, packed size, offset.
fn wide_fields(extra: &[u8]) -> impl Iterator<Item = u64> + '_ {
    let mut at = 0;
    let mut found = &[][..];
    while let (Some(kind), Some(length)) = (number(extra, at, 2), number(extra, at + 2, 2)) {
        let end = at + 4 + length as usize;
        if kind == 1 {
            found = extra.get(at + 4..end).unwrap_or_default();
        }
        at = end;
    }
    found.as_chunks::<8>().0.iter().map(|bytes| u64::from_le_bytes(*bytes))
}

/// The bytes of an entry, behind its own header.
fn data(bytes: &[u8], local: u64, length: u64) -> Option<&[u8]> {
    let local = usize::try_from(local).ok()?;
    signed(bytes, local, b"PK\x03\x04")?;
    let (name, extra) = (number(bytes, local + 26, 2)? as usize, number(bytes, local + 28, 2)? as usize);
    let start = local + 30 + name + extra;
    bytes.get(start..start.checked_add(usize::try_from(length).ok()?)?)
}
