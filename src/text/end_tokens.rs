//! Which tokens of a GGUF file end a text: those that keys name, and those that are spelled like an end.
//!
//! Files name one end, and chat models often have another. The spellings and their exceptions are those of llama.cpp
//! (`llama-vocab.cpp`, "end-of-generation").

use std::collections::HashSet;

use super::vocabulary::{CONTROL, GgufVocabulary, NORMAL, USER_DEFINED};

/// Ends beside `eos_token_id` that a file names by keys `tokenizer.ggml.*`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EndKeys {
    /// `eot_token_id`: end of a turn.
    pub turn: Option<u32>,
    /// `eom_token_id`: end of a message, where the model waits for a tool.
    pub message: Option<u32>,
    /// `fim_pad_token_id`: stands for nothing in a gap that is filled.
    pub padding: Option<u32>,
    /// `fim_rep_token_id`: a new repository begins.
    pub repository: Option<u32>,
    /// `fim_sep_token_id`: a new file begins.
    pub file: Option<u32>,
}

const END: &str = "<|end|>";
const END_OF_TEXT: &str = "</s>";

/// Spellings of an end.
const ENDS: [&str; 22] = [
    "<|eot_id|>",
    "<|im_end|>",
    END,
    "<|return|>",
    "<|call|>",
    "<|flush|>",
    "<|calls|>",
    "<end_of_turn>",
    "<|endoftext|>",
    END_OF_TEXT,
    "<|eom_id|>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "[EOS]",
    "<|end_of_text|>",
    "<end_of_utterance>",
    "<eos>",
    "<turn|>",
    "<|tool_response>",
    "<｜end▁of▁sentence｜>",
    "[e~[",
];

// Of these, one each, where no key names another.
const PADDINGS: [&str; 5] = ["<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]"];
const REPOSITORIES: [&str; 5] = ["<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>"];
const FILES: [&str; 1] = ["<|file_sep|>"];

/// Spellings of what stands around a gap that is filled: no ends, but no plain text either.
const GAPS: [&str; 24] = [
    "<|fim_prefix|>",
    "<|fim_suffix|>",
    "<|fim_middle|>",
    "<fim-prefix>",
    "<fim-suffix>",
    "<fim-middle>",
    "<fim_prefix>",
    "<fim_suffix>",
    "<fim_middle>",
    "<｜fim▁begin｜>",
    "<｜fim▁hole｜>",
    "<｜fim▁end｜>",
    "<PRE>",
    "<SUF>",
    "<MID>",
    "▁<PRE>",
    "▁<SUF>",
    "▁<MID>",
    "<|code_prefix|>",
    "<|code_suffix|>",
    "<|code_middle|>",
    "<|prefix|>",
    "<|suffix|>",
    "<|middle|>",
];

impl GgufVocabulary {
    /// The tokens that end a text, the file's `eos_token_id` first; `keys` are the ends that it names beside that.
    pub fn end_tokens(&self, keys: EndKeys) -> Vec<u32> {
        self.ends(keys).into_iter().filter(|(_, kind)| *kind == CONTROL).map(|(id, _)| id).collect()
    }

    /// Gives tokens that are spelled like an end the kind that they must have, and those without a spelling one that no
    /// other has.
    pub(super) fn settle(&mut self) {
        let mut kinds = self.ends(EndKeys::default());
        let spelled = |id: u32| self.tokens.get(id as usize).is_some_and(|text| is_spelled_like_an_end(text));
        kinds.retain(|(id, _)| spelled(*id));
        let gaps = (0..).zip(&self.tokens).filter(|(_, text)| GAPS.contains(&text.as_str()));
        kinds.extend(gaps.map(|(id, _)| (id, CONTROL)));
        if !kinds.is_empty() && self.token_types.is_empty() {
            self.token_types = vec![NORMAL; self.tokens.len()];
        }
        for (id, kind) in kinds {
            if let Some(own) = self.token_types.get_mut(id as usize) {
                *own = kind;
            }
        }
        for (id, text) in self.tokens.iter_mut().enumerate().filter(|(_, text)| text.is_empty()) {
            *text = format!("[EMPTY_{id}]");
        }
    }

    /// Candidates, with the kind that each has: control for those that are ends.
    fn ends(&self, keys: EndKeys) -> Vec<(u32, i32)> {
        let first = |spellings: &[&str]| (0..).zip(&self.tokens).find(|(_, text)| spellings.contains(&text.as_str()));
        let one = |key: Option<u32>, spellings: &[&str]| key.or_else(|| first(spellings).map(|(id, _)| id));
        let mut found = vec![
            self.eos_token,
            keys.turn,
            keys.message,
            one(keys.padding, &PADDINGS),
            one(keys.repository, &REPOSITORIES),
            one(keys.file, &FILES),
        ];
        found.extend((0..).zip(&self.tokens).filter(|(_, text)| ENDS.contains(&text.as_str())).map(|(id, _)| Some(id)));
        let mut seen = HashSet::new();
        let inside = found.into_iter().flatten().filter(|id| (*id as usize) < self.tokens.len());
        let ids: Vec<u32> = inside.filter(|id| seen.insert(*id)).collect();
        let text = |id: u32| self.tokens[id as usize].as_str();
        let has = |spelling: &str| ids.iter().any(|id| text(*id) == spelling);
        let calls = has("<|call|>") || has("<|calls|>");
        // There `<|end|>` ends a message within an answer.
        let end = if calls && (has("<|return|>") || has("<|flush|>")) { USER_DEFINED } else { CONTROL };
        let end_of_text = if has("<|tool_response>") { NORMAL } else { CONTROL };
        let kind = |id: u32| match text(id) {
            END => end,
            END_OF_TEXT => end_of_text,
            _ => CONTROL,
        };
        ids.iter().map(|id| (*id, kind(*id))).collect()
    }
}

fn is_spelled_like_an_end(text: &str) -> bool {
    [&ENDS[..], &PADDINGS, &REPOSITORIES, &FILES].iter().any(|spellings| spellings.contains(&text))
}
