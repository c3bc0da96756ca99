//! Where rows go: each to stdout as soon as it is measured.

use std::io::{self, Write};

use super::super::args::TableFormat;
use super::row::{Row, Setting};

/// The table under way.
#[derive(Debug)]
pub struct Table {
    format: TableFormat,
    quiet: bool,
    header: Vec<String>,
}

impl Table {
    pub fn new(format: TableFormat, quiet: bool) -> Self {
        Self { format, quiet, header: vec![] }
    }

    /// On what is measured; other formats have it in each row.
    pub fn heading(&mut self, setting: &Setting, by_kernel: bool) -> io::Result<()> {
        if self.format != TableFormat::Md {
            return Ok(());
        }
        let mut out = io::stdout().lock();
        let gap = if self.header.is_empty() { "" } else { "\n" };
        let features = if setting.features.is_empty() { "no optional features" } else { &setting.features };
        let Setting { model, adapter, kind, driver, backend, .. } = setting;
        writeln!(out, "{gap}{model} on {adapter} ({kind}), {backend}, {driver}, {features}")?;
        let how = if by_kernel { "a kernel" } else { "the device's copy command" };
        writeln!(out, "copy of storage buffers: {:.2} GB/s read and written, by {how}", setting.copy_gb_per_second)?;
        // The next row begins a table of its own.
        self.header.clear();
        out.flush()
    }

    /// A row, and on stderr what is wrong with it.
    pub fn row(&mut self, row: &Row) -> anyhow::Result<()> {
        if !self.quiet {
            row.warnings.iter().for_each(|warning| eprintln!("warning: {}: {warning}", row.test));
        }
        let mut out = io::stdout().lock();
        match self.format {
            TableFormat::Json => writeln!(out, "{}", serde_json::to_string(row)?)?,
            TableFormat::Csv => {
                let (names, values) = row.values()?;
                if self.begins(names.clone()) {
                    writeln!(out, "{}", names.join(","))?;
                }
                writeln!(out, "{}", values.join(","))?;
            }
            TableFormat::Md => {
                let (names, values): (Vec<String>, Vec<String>) = row.columns().into_iter().unzip();
                if self.begins(names.clone()) {
                    writeln!(out, "\n| {} |\n|{}", names.join(" | "), " --- |".repeat(names.len()))?;
                }
                writeln!(out, "| {} |", values.join(" | "))?;
            }
        }
        Ok(out.flush()?)
    }

    /// Whether the row has other columns than the one before it.
    fn begins(&mut self, names: Vec<String>) -> bool {
        let other = self.header != names;
        self.header = names;
        other
    }
}
