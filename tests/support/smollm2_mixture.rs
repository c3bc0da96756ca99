//! SmolLM2 as a GGUF file of a mixture, made by our own importer when a test asks for it.

use std::fs;

use isobath::files::gguf::Gguf;
use isobath::files::gguf::write::{GgufText, gguf};
use isobath::files::mixture::Mixture;
use isobath::files::write::{Export, ExportType};

/// What `isobath import SmolLM2-135M-Instruct.Q4_1.gguf DEST.gguf --dtype MIXTURE` writes, 105 to 145 MB; takes seconds.
pub fn smollm2_as(mixture: Mixture) -> Vec<u8> {
    with_smollm2(mixture, |export| export.to_bytes().unwrap())
}

/// That file before it is written.
pub fn with_smollm2<T>(mixture: Mixture, then: impl FnOnce(&Export<'_>) -> T) -> T {
    let bytes = fs::read(super::smollm2::gguf()).unwrap();
    let source = Gguf::parse(&bytes, "SmolLM2").unwrap();
    let vocabulary = source.vocabulary().unwrap();
    let template = source.string("tokenizer.chat_template").unwrap();
    let text = GgufText { vocabulary: &vocabulary, template, name: mixture.name() };
    then(&gguf(&source.config().unwrap(), &source, text, ExportType::Mixture(mixture)).unwrap())
}
