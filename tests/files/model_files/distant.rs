//! Files that are not in memory: read row by row, with the same result, and never more than is asked for.

use std::cell::{Cell, RefCell};
use std::future::ready;
use std::ops::Range;

use isobath::files::gguf::{self, Gguf};
use isobath::files::safetensors::{Folder, Safetensors};
use isobath::tensor::TensorSource;
use isobath::tensor::bytes::{Awaited, FileBytes};
use pollster::block_on;

use crate::support::tiny_model::{self, says};

/// A file somewhere else, which counts what is read of it.
#[derive(Default)]
struct Elsewhere {
    bytes: Vec<u8>,
    reads: RefCell<Vec<Range<u64>>>,
    /// Bytes that are missing at the end of every part.
    short: Cell<usize>,
}

impl Elsewhere {
    fn of(bytes: Vec<u8>) -> Self {
        Self { bytes, ..Self::default() }
    }
}

impl FileBytes for Elsewhere {
    fn length(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn in_memory(&self) -> Option<&[u8]> {
        None
    }

    fn read(&self, range: Range<u64>) -> Awaited<'_, Result<Vec<u8>, String>> {
        assert!(range.end <= self.length(), "{range:?} of {}", self.length());
        let part = &self.bytes[range.start as usize..range.end as usize];
        self.reads.borrow_mut().push(range);
        let part = part[..part.len().saturating_sub(self.short.get())].to_vec();
        Box::pin(ready(Ok(part)))
    }
}

/// Any rows of any tensor are those of the file in memory.
fn compare(near: &dyn TensorSource, far: &dyn TensorSource, elsewhere: &Elsewhere) {
    assert_eq!(near.names(), far.names());
    for name in near.names() {
        let whole = near.tensor(&name).unwrap().unwrap();
        let all = whole.shape[0];
        let row = whole.data.len() / all;
        for rows in [0..all, 0..1, all - 1..all, all / 3..all / 2, 0..usize::MAX, all..all] {
            elsewhere.reads.borrow_mut().clear();
            let want = &whole.data[rows.start * row..rows.end.min(all) * row];
            for source in [near, far] {
                let part = block_on(source.rows(&name, rows.clone())).unwrap().unwrap();
                assert_eq!(&*part.data, want, "{name} {rows:?}");
                assert_eq!((part.shape[0], part.data_type), (want.len() / row, whole.data_type), "{name} {rows:?}");
            }
            let read: u64 = elsewhere.reads.borrow().iter().map(|range| range.end - range.start).sum();
            // Rows of q and k come by whole heads.
            let slack = if name.contains("q_proj") || name.contains("k_proj") { 2 * row * all } else { 0 };
            assert!(read as usize <= want.len() + slack, "{name} {rows:?}: {read} bytes read");
        }
        assert!(far.tensor(&name).is_err(), "{name} is not in memory");
    }
    assert!(block_on(far.rows("no such tensor", 0..1)).unwrap().is_none());
}

#[test]
fn rows_are_the_same_from_anywhere() {
    let near = tiny_model::safetensors();
    let far = Elsewhere::of(near.clone());
    let file = block_on(Safetensors::open(&far, "model.safetensors")).unwrap();
    let folder = Folder::new(vec![Safetensors::parse(&near, "model.safetensors").unwrap()]).unwrap();
    compare(&folder, &Folder::new(vec![file]).unwrap(), &far);

    let near = tiny_model::gguf().bytes();
    let far = Elsewhere::of(near.clone());
    let head = block_on(gguf::head(&far, "tiny.gguf")).unwrap();
    compare(&Gguf::parse(&near, "tiny.gguf").unwrap(), &Gguf::open(&head, &far, "tiny.gguf").unwrap(), &far);
}

#[test]
fn damaged_files_are_refused_by_their_beginning() {
    let good = tiny_model::safetensors();
    let refused = |bytes: Vec<u8>| {
        let far = Elsewhere::of(bytes.clone());
        assert!(Safetensors::parse(&bytes, "model.safetensors").is_err());
        block_on(Safetensors::open(&far, "model.safetensors")).map(|_| ())
    };
    says(refused(vec![]), &["model.safetensors", "0 bytes, too few"]);
    says(refused(vec![255; 16]), &["more than any real one"]);
    says(refused(good[..good.len() - 4].to_vec()), &["truncated"]);
    says(refused([good.clone(), vec![0; 4]].concat()), &["has a tail"]);
    let mut claims = good.clone();
    claims[2] = 255;
    says(refused(claims), &["but the file has only"]);
    let mut garbled = good.clone();
    garbled[8] = b'!';
    says(refused(garbled), &["not what safetensors asks for"]);

    for bytes in [vec![], b"GGUF".to_vec(), b"not a model at all".to_vec(), {
        let mut cut = tiny_model::gguf().bytes();
        cut.truncate(cut.len() - 100);
        cut
    }] {
        let far = Elsewhere::of(bytes.clone());
        let head = block_on(gguf::head(&far, "tiny.gguf")).unwrap();
        let far = Gguf::open(&head, &far, "tiny.gguf").unwrap_err().to_string();
        assert_eq!(far, Gguf::parse(&bytes, "tiny.gguf").unwrap_err().to_string());
    }
}

#[test]
fn a_part_that_is_too_short_is_an_error() {
    let far = Elsewhere::of(tiny_model::safetensors());
    let file = block_on(Safetensors::open(&far, "model.safetensors")).unwrap();
    let name = file.names()[0].clone();
    far.short.set(1);
    says(block_on(file.rows(&name, 0..1)), &["model.safetensors", "bytes came for", "load it again"]);
}
