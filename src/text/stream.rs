//! Tokens as they come, text as it can be shown.
//!
//! Bytes of an unfinished character and the beginnings of stop texts are held back. What was pushed and finished,
//! joined together, is the text that [`Tokenizer::decode`] gives for all tokens, or its part before the stop text.
//!
//! **Invariant:** the cost of a token does not grow with the text before it.

use std::sync::Arc;

use super::tokenizer::Tokenizer;

/// What one token led to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StreamStep {
    /// Text that can be shown now; may be empty.
    pub text: String,
    /// Index of the stop text that was hit; nothing follows `text` then.
    pub stop: Option<usize>,
}

/// Turns the tokens of one sequence into text.
#[derive(Debug, Clone)]
pub struct TextStream {
    tokenizer: Arc<Tokenizer>,
    stops: Vec<String>,
    skip_special: bool,
    /// At most three bytes: the start of a character.
    unfinished: Vec<u8>,
    /// Text that may be the start of a stop text.
    held: String,
    /// A space that comes now is the one which the tokenizer put before the text.
    strip_space: bool,
    stopped: bool,
}

impl TextStream {
    /// A stream at its start; empty stop texts never stop it. With `skip_special`, special tokens show nothing.
    pub fn new(tokenizer: Arc<Tokenizer>, stops: &[String], skip_special: bool) -> Self {
        Self {
            strip_space: tokenizer.strips_first_space(),
            tokenizer,
            stops: stops.to_vec(),
            skip_special,
            unfinished: Vec::new(),
            held: String::new(),
            stopped: false,
        }
    }

    /// Takes the next token; after a stop, tokens lead to nothing.
    pub fn push(&mut self, token: u32) -> StreamStep {
        if self.stopped {
            return StreamStep::default();
        }
        self.unfinished.extend_from_slice(self.tokenizer.shown_bytes(token, self.skip_special));
        let start = self.unfinished_start();
        let text = String::from_utf8_lossy(&self.unfinished[..start]).into_owned();
        self.unfinished.drain(..start);
        self.take_text(&text);
        if let Some((at, stop)) = self.find_stop() {
            self.stopped = true;
            self.held.truncate(at);
            return StreamStep { text: std::mem::take(&mut self.held), stop: Some(stop) };
        }
        let rest = self.held.split_off(self.held_start());
        StreamStep { text: std::mem::replace(&mut self.held, rest), stop: None }
    }

    /// Ends the stream and gives what was held back; an unfinished character becomes `U+FFFD`.
    pub fn finish(mut self) -> StreamStep {
        if self.stopped {
            return StreamStep::default();
        }
        let text = String::from_utf8_lossy(&std::mem::take(&mut self.unfinished)).into_owned();
        self.take_text(&text);
        let stop = self.find_stop();
        if let Some((at, _)) = stop {
            self.held.truncate(at);
        }
        StreamStep { text: self.held, stop: stop.map(|(_, stop)| stop) }
    }

    /// Where the last character begins if more bytes could complete it; else the end.
    fn unfinished_start(&self) -> usize {
        let length = self.unfinished.len();
        let chunk = self.unfinished.utf8_chunks().last();
        let invalid = chunk.map_or(&[][..], |chunk| chunk.invalid());
        match std::str::from_utf8(invalid) {
            Err(error) if error.error_len().is_none() => length - invalid.len(),
            _ => length,
        }
    }

    fn take_text(&mut self, text: &str) {
        let shown = if self.strip_space { text.strip_prefix(' ').unwrap_or(text) } else { text };
        self.strip_space &= text.is_empty();
        self.held.push_str(shown);
    }

    /// The stop text that begins first.
    fn find_stop(&self) -> Option<(usize, usize)> {
        let stops = self.stops.iter().enumerate().filter(|(_, stop)| !stop.is_empty());
        stops.filter_map(|(index, stop)| Some((self.held.find(stop.as_str())?, index))).min()
    }

    /// From where on the held text may become a stop text.
    fn held_start(&self) -> usize {
        let longest = self.stops.iter().map(String::len).max().unwrap_or(0);
        let from = (self.held.len() + 1).saturating_sub(longest);
        let mut starts = self.held.char_indices().map(|(at, _)| at).skip_while(|&at| at < from);
        let is_start = |&at: &usize| self.stops.iter().any(|stop| stop.starts_with(&self.held[at..]));
        starts.find(is_start).unwrap_or(self.held.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    /// Every byte is a token (0 to 255), then some words, a special token and broken characters.
    fn tokenizer(decoder: &str) -> Arc<Tokenizer> {
        let mut vocab: serde_json::Map<String, serde_json::Value> = serde_json::Map::new();
        for byte in 0..256u32 {
            vocab.insert(format!("<0x{byte:02X}>"), json!(byte));
        }
        for word in ["▁a", "b", "stop", "▁▁", "é", "日本", "▁END", "EN", "D"] {
            vocab.insert(word.to_string(), json!(vocab.len()));
        }
        let decoder = match decoder {
            "llama" => json!({"type": "Sequence", "decoders": [
                {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"},
                {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}),
            _ => json!({"type": "Sequence", "decoders": [
                {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}]}),
        };
        let special = json!({"id": vocab.len(), "content": "<end>", "special": true});
        let json = json!({"added_tokens": [special], "decoder": decoder,
            "model": {"type": "BPE", "vocab": vocab, "merges": [], "byte_fallback": true}});
        Arc::new(Tokenizer::from_json(json.to_string().as_bytes()).unwrap())
    }

    fn run(stream: TextStream, tokens: &[u32]) -> (Vec<String>, Option<usize>) {
        let mut stream = stream;
        let mut texts = Vec::new();
        for &token in tokens {
            let step = stream.push(token);
            texts.push(step.text);
            if step.stop.is_some() {
                assert_eq!(stream.push(token), StreamStep::default());
                assert_eq!(stream.finish(), StreamStep::default());
                return (texts, step.stop);
            }
        }
        let last = stream.finish();
        texts.push(last.text);
        (texts, last.stop)
    }

    fn check(tokens: &[u32], stops: &[&str], expected: &[&str], stop: Option<usize>) {
        let stops: Vec<String> = stops.iter().map(ToString::to_string).collect();
        let stream = TextStream::new(tokenizer("plain"), &stops, true);
        let expected: Vec<String> = expected.iter().map(ToString::to_string).collect();
        assert_eq!(run(stream, tokens), (expected, stop));
    }

    #[test]
    fn characters_come_whole() {
        check(&[0xe6, 0x97, 0xa5, 257], &[], &["", "", "日", "b", ""], None);
        check(&[0xe6, 0x97, 257, 0xe6], &[], &["", "", "\u{fffd}b", "", "\u{fffd}"], None);
        check(&[0xff, 257], &[], &["\u{fffd}", "b", ""], None);
    }

    #[test]
    fn stop_texts_are_held_back() {
        check(&[257, 263, 264, 257], &["END"], &["b", "", ""], Some(0));
        check(&[263, 257], &["END"], &["", "ENb", ""], None);
        check(&[263], &["END"], &["", "EN"], None);
        check(&[258, 258], &["", "xyz", "pst"], &["sto", ""], Some(2));
        check(&[257, 265, 257], &["<end>"], &["b", "", "b", ""], None);
    }

    #[test]
    fn a_broken_character_can_complete_a_stop_text() {
        check(&[257, 0xe6], &["\u{fffd}"], &["b", "", ""], Some(0));
    }

    proptest! {
        #[test]
        fn joined_text_is_the_decoded_text(
            tokens in prop::collection::vec(0u32..270, 0..60), llama: bool, skip: bool,
        ) {
            let tokenizer = tokenizer(if llama { "llama" } else { "plain" });
            let (texts, stop) = run(TextStream::new(tokenizer.clone(), &[], skip), &tokens);
            prop_assert_eq!(texts.concat(), tokenizer.decode(&tokens, skip));
            prop_assert_eq!(stop, None);
        }

        #[test]
        fn text_ends_before_the_first_stop(tokens in prop::collection::vec(254u32..266, 0..40)) {
            let stops = ["END".to_string(), "stopb".to_string(), "bb".to_string()];
            let tokenizer = tokenizer("llama");
            let (texts, stop) = run(TextStream::new(tokenizer.clone(), &stops, false), &tokens);
            let decoded = tokenizer.decode(&tokens, false);
            let first = stops.iter().filter_map(|stop| decoded.find(stop.as_str())).min();
            prop_assert_eq!(texts.concat(), &decoded[..first.unwrap_or(decoded.len())]);
            prop_assert_eq!(stop.is_some(), first.is_some());
        }
    }
}
