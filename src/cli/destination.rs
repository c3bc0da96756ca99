//! Where a model is written: a folder or a GGUF file.
//!
//! **Invariant:** what has the final name is whole. Files are written under another name and renamed at the end; one that
//! could not be finished is taken away.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use isobath::error::ModelError;
use isobath::files::gguf::write::{GgufText, gguf_suggesting};
use isobath::files::write::{self, Export, ExportType};
use isobath::network::config::ModelConfig;
use isobath::network::generation::Generation;
use isobath::tensor::{DataType, TensorSource};

use super::progress::Progress;
use super::source::Text;

/// A place that may be written to.
#[derive(Debug)]
pub struct Destination {
    path: PathBuf,
    gguf: bool,
    quiet: bool,
}

/// A file under its preliminary name; removed unless it is finished.
pub(super) struct Part {
    preliminary: PathBuf,
    path: PathBuf,
    finished: bool,
}

impl Destination {
    /// Refuses what is there already, unless it may be overwritten.
    pub fn new(path: &Path, force: bool, quiet: bool) -> anyhow::Result<Self> {
        let gguf = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"));
        let taken = if gguf || path.is_file() { path.exists() } else { path.join("config.json").exists() };
        anyhow::ensure!(force || !taken, "{} is there already; --force overwrites it", path.display());
        anyhow::ensure!(
            gguf || !path.is_file(),
            "{} is a file; name a folder, or a file whose name ends with .gguf",
            path.display()
        );
        anyhow::ensure!(!gguf || !path.is_dir(), "{} is a folder; name a file", path.display());
        Ok(Self { path: path.to_owned(), gguf, quiet })
    }

    /// Writes the model and tells what was written, in a line.
    pub fn write(
        &self,
        config: &ModelConfig,
        source: &dyn TensorSource,
        text: &Text,
        export: ExportType,
    ) -> anyhow::Result<String> {
        if self.gguf {
            self.write_gguf(config, source, text, export)
        } else {
            self.write_folder(config, source, text, export)
        }
    }

    fn write_gguf(
        &self,
        config: &ModelConfig,
        source: &dyn TensorSource,
        text: &Text,
        export: ExportType,
    ) -> anyhow::Result<String> {
        let vocabulary = text.vocabulary(config.vocab_size)?;
        let mut generation =
            text.generation_config.as_deref().map(Generation::from_json).transpose()?.unwrap_or_default();
        let mut ending = config.clone();
        generation.apply(&mut ending);
        if ending.end_tokens.is_empty() {
            // llama.cpp takes some token or other for the end of a file that names none.
            ending.end_tokens.clone_from(&config.end_tokens);
        }
        let name = self.path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let template = text.template.as_deref();
        let text = GgufText { vocabulary: &vocabulary, template, name: &name };
        let file = gguf_suggesting(&ending, source, text, &generation.suggestion, export)?;
        let mut part = Part::new(&self.path);
        self.stream(&file, &part.preliminary)?;
        part.finish()?;
        Ok(self.summary(&file))
    }

    fn write_folder(
        &self,
        config: &ModelConfig,
        source: &dyn TensorSource,
        text: &Text,
        export: ExportType,
    ) -> anyhow::Result<String> {
        let (json, file) = write::folder(config, source, export)?;
        let tokenizer = text.json()?;
        let made = !self.path.exists();
        fs::create_dir_all(&self.path).with_context(|| format!("cannot make the folder {}", self.path.display()))?;
        let written = self.write_files(&file, &json, &tokenizer, text);
        if written.is_err() && made {
            // Only where nothing else has come to lie in it.
            let _ = fs::remove_dir(&self.path);
        }
        written.map(|()| self.summary(&file))
    }

    /// config.json comes last: a folder without it is no model.
    fn write_files(&self, file: &Export<'_>, config: &str, tokenizer: &[u8], text: &Text) -> anyhow::Result<()> {
        let mut parts = vec![Part::new(&self.path.join("model.safetensors"))];
        self.stream(file, &parts[0].preliminary)?;
        let template = text.template.as_deref().map(str::as_bytes);
        let tokenizer_config = text.tokenizer_config.as_deref().map(str::as_bytes);
        let generation_config = text.generation_config.as_deref().map(str::as_bytes);
        for (name, bytes) in [
            ("tokenizer.json", Some(tokenizer)),
            ("tokenizer_config.json", tokenizer_config),
            ("chat_template.jinja", template),
            ("generation_config.json", generation_config),
            ("config.json", Some(config.as_bytes())),
        ] {
            let Some(bytes) = bytes else { continue };
            parts.push(Part::written(&self.path.join(name), bytes)?);
        }
        parts.iter_mut().try_for_each(Part::finish)
    }

    fn stream(&self, export: &Export<'_>, path: &Path) -> anyhow::Result<()> {
        let cannot = || format!("cannot write {}", path.display());
        let mut file = BufWriter::new(File::create(path).with_context(cannot)?);
        let bar = Progress::writing(self.quiet);
        let (mut done, total) = (0, export.bytes());
        let written = export.write::<anyhow::Error>(&mut |piece| {
            file.write_all(piece).with_context(cannot)?;
            done += piece.len() as u64;
            bar.set(done, total);
            Ok(())
        });
        bar.end();
        written?;
        let file = file.into_inner().map_err(|error| error.into_error()).with_context(cannot)?;
        file.sync_all().with_context(cannot)
    }

    fn summary(&self, file: &Export<'_>) -> String {
        let of = |data_type: DataType| {
            let entries = file.entries().iter().filter(|entry| entry.data_type == data_type);
            let bytes: u64 = entries.map(|entry| entry.bytes as u64).sum();
            (bytes > 0).then(|| format!("{} {}", data_type.name(), size(bytes)))
        };
        let types: Vec<String> = DataType::ALL.into_iter().filter_map(of).collect();
        let count = file.entries().len();
        format!("{}: {count} tensors, {} ({})", self.path.display(), size(file.bytes()), types.join(", "))
    }
}

/// Bytes for people to read.
pub fn size(bytes: u64) -> String {
    let megabytes = bytes as f64 / 1e6;
    if megabytes >= 1000.0 { format!("{:.2} GB", megabytes / 1000.0) } else { format!("{megabytes:.2} MB") }
}

impl Part {
    fn new(path: &Path) -> Self {
        let mut name = path.as_os_str().to_owned();
        name.push(".part");
        Self { preliminary: name.into(), path: path.to_owned(), finished: false }
    }

    /// A file that is written as a whole.
    pub(super) fn written(path: &Path, bytes: &[u8]) -> anyhow::Result<Self> {
        let part = Self::new(path);
        let cannot = || format!("cannot write {}", part.preliminary.display());
        let mut file = File::create(&part.preliminary).with_context(cannot)?;
        file.write_all(bytes).with_context(cannot)?;
        file.sync_all().with_context(cannot)?;
        Ok(part)
    }

    pub(super) fn finish(&mut self) -> anyhow::Result<()> {
        fs::rename(&self.preliminary, &self.path).with_context(|| format!("cannot write {}", self.path.display()))?;
        self.finished = true;
        Ok(())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.finished {
            let _ = fs::remove_file(&self.preliminary);
        }
    }
}

/// A model that cannot be made, as an error of the command.
pub fn refuse(why: impl Into<String>) -> anyhow::Error {
    ModelError::Config { why: why.into() }.into()
}
