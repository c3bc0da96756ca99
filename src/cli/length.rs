//! How long sequences must be able to get: the context to ask for where the user names none.

use isobath::engine::DEFAULT_CONTEXT;
use isobath::network::config::ModelConfig;
use isobath::network::plan::Plan;
use isobath::runtime::cache::CacheMemory;
use isobath::runtime::room::CACHE_BYTES;
use isobath::schedule::PAGE;
use isobath::text::Tokenizer;

/// How long sequences must be able to get where the user does not say.
#[derive(Clone, Copy)]
pub enum Length<'a> {
    /// [`DEFAULT_CONTEXT`], or the model's own limit.
    Usual,
    /// A prompt and so many tokens behind it may need more.
    Prompt(&'a str, u32),
    /// The longest of many needs so many tokens, with its answer.
    Longest(u32),
    /// A conversation grows.
    Conversation,
}

/// A longer answer than that gets the room of its own only where [`CACHE_BYTES`] hold it.
pub const ANSWER: u32 = 1024;

impl Length<'_> {
    /// The context to ask for.
    pub fn context(self, config: &ModelConfig, tokenizer: &Tokenizer) -> anyhow::Result<u32> {
        let usual = config.context_length.min(DEFAULT_CONTEXT);
        let page = CacheMemory::of(config, &Plan::of(config)?, 1).bytes.max(1);
        let cheap = u32::try_from(CACHE_BYTES / page).unwrap_or(u32::MAX).saturating_mul(PAGE);
        let wanted = match self {
            Self::Usual => usual,
            Self::Prompt(text, tokens) => {
                let prompt = tokenizer.encode_prompt(text, true)?.len() as u32;
                let least = prompt.saturating_add(tokens.min(ANSWER));
                prompt.saturating_add(tokens).min(cheap).max(least)
            }
            Self::Longest(tokens) => tokens,
            Self::Conversation => cheap.min(2 * DEFAULT_CONTEXT),
        };
        Ok(wanted.clamp(usual, config.context_length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_bounds_what_answers_and_conversations_are_given() {
        let json = include_str!("../../tests/models/tiny/config.json");
        let mut config = ModelConfig::from_json(json).unwrap();
        let tokenizer = Tokenizer::from_json(include_bytes!("../../tests/models/tiny/tokenizer.json")).unwrap();
        let context = |config: &ModelConfig, length: Length<'_>| length.context(config, &tokenizer).unwrap();
        assert_eq!(context(&config, Length::Prompt("sea", 9)), 1024, "the model's own limit");
        config.context_length = 1 << 20;
        let prompt = "the sea ".repeat(9000);
        let tokens = tokenizer.encode_prompt(&prompt, true).unwrap().len() as u32;
        assert!(tokens > 8192, "{tokens}");
        assert_eq!(context(&config, Length::Usual), 4096);
        assert_eq!(context(&config, Length::Prompt("sea", 512)), 4096);
        assert_eq!(context(&config, Length::Prompt(&prompt, 512)), tokens + 512);
        assert_eq!(context(&config, Length::Longest(5000)), 5000);
        assert_eq!(context(&config, Length::Conversation), 8192);
        // 8 layers of 2 heads of 16: 2,048 bytes a token, so half a million in 1 GiB.
        assert_eq!(context(&config, Length::Prompt("sea", u32::MAX)), 1 << 19);
        // A model of 64 times that: 8,192 in all.
        config.n_kv_heads *= 64;
        config.n_heads *= 64;
        assert_eq!(context(&config, Length::Prompt("sea", u32::MAX)), 8192);
        assert_eq!(context(&config, Length::Prompt(&prompt, u32::MAX)), tokens + ANSWER);
    }
}
