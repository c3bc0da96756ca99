//! What is asked for: a prompt, how it is gone on with, and the one way from both to a [`Request`] of the engine.

use serde::{Deserialize, Serialize};

use crate::engine::request::{Request, Routing, Sampling};
use crate::error::TextError;
use crate::network::generation::Suggestion;
use crate::text::chat::{NEXT_TURN, transcript};
use crate::text::{ChatTemplate, Message, Tokenizer};

/// What a sequence begins with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Prompt {
    /// Text that is continued.
    Text(String),
    /// A conversation that is answered; without a chat template it is given as `User:` and `Assistant:` lines.
    Chat(Vec<Message>),
    /// Tokens, as they are.
    Tokens(Vec<u32>),
}

impl Prompt {
    /// What the engine is asked for this prompt: its tokens, begin-of-sequence included where the model wants it, and the
    /// settings. Without a template an answer also ends where the person's next turn would begin.
    ///
    /// # Errors
    /// A text that cannot become tokens, a conversation that the template refuses.
    pub fn request(
        &self,
        settings: &Settings,
        tokenizer: &Tokenizer,
        template: Option<&ChatTemplate>,
    ) -> Result<Request, TextError> {
        let mut stop = settings.stop.clone();
        let prompt = match (self, template) {
            (Self::Text(text), _) => tokenizer.encode_prompt(text, true)?,
            (Self::Tokens(tokens), _) => tokens.clone(),
            // The template writes the begin-of-sequence token itself where the model wants one.
            (Self::Chat(messages), Some(template)) => tokenizer.encode(&template.render(messages, true)?, true)?,
            (Self::Chat(messages), None) => {
                stop.push(NEXT_TURN.to_owned());
                tokenizer.encode_prompt(&transcript(messages), true)?
            }
        };
        Ok(Request {
            max_tokens: settings.max_tokens,
            sampling: settings.sampling(),
            stop,
            ignore_end: settings.ignore_end,
            depth: settings.depth,
            routing: settings.routing,
            priority: settings.priority,
            ..Request::new(prompt, 0)
        })
    }
}

impl From<&str> for Prompt {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Prompt {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Vec<Message>> for Prompt {
    fn from(messages: Vec<Message>) -> Self {
        Self::Chat(messages)
    }
}

impl From<&[Message]> for Prompt {
    fn from(messages: &[Message]) -> Self {
        Self::Chat(messages.to_vec())
    }
}

impl From<Vec<u32>> for Prompt {
    fn from(tokens: Vec<u32>) -> Self {
        Self::Tokens(tokens)
    }
}

/// How sequences are written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Most tokens to write.
    pub max_tokens: u32,
    /// 0 takes the most probable token.
    pub temperature: f32,
    /// Only the k most probable tokens; 0 keeps all.
    pub top_k: u32,
    /// Only the most probable tokens whose probabilities sum up to this; 1 keeps all.
    pub top_p: f32,
    /// Only tokens at least this fraction as probable as the best; 0 keeps all.
    pub min_p: f32,
    /// Above 1 makes repetition less likely.
    pub repeat_penalty: f32,
    /// The same seed gives the same text.
    pub seed: u64,
    /// Every token runs exactly this many rounds; `None` leaves it to the model.
    pub depth: Option<u32>,
    /// Writing ends before the first of these texts.
    pub stop: Vec<String>,
    /// The model's end-of-sequence tokens are written like any other.
    pub ignore_end: bool,
    /// How an expert-choice model decides on depth.
    #[serde(skip_serializing_if = "is_default")]
    pub routing: Routing,
    /// Higher comes first; 0 is normal. At most 64 later ones overtake a sequence.
    #[serde(skip_serializing_if = "is_default")]
    pub priority: u8,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_tokens: 128,
            temperature: 0.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            repeat_penalty: 1.0,
            seed: 0,
            depth: None,
            stop: Vec::new(),
            ignore_end: false,
            routing: Routing::default(),
            priority: 0,
        }
    }
}

impl Settings {
    /// The most probable text of at most so many tokens, each as deep as the model decides.
    pub fn of(max_tokens: u32) -> Self {
        Self { max_tokens, ..Self::default() }
    }

    /// How tokens are drawn, as the engine knows it.
    pub fn sampling(&self) -> Sampling {
        let Self { temperature, top_k, top_p, min_p, repeat_penalty, seed, .. } = *self;
        Sampling { temperature, top_k, top_p, min_p, repeat_penalty, seed }
    }

    /// Tokens drawn otherwise.
    #[must_use]
    pub fn drawn(self, sampling: Sampling) -> Self {
        let Sampling { temperature, top_k, top_p, min_p, repeat_penalty, seed } = sampling;
        Self { temperature, top_k, top_p, min_p, repeat_penalty, seed, ..self }
    }

    /// Tokens drawn as the model's author would have it, where the author says so.
    #[must_use]
    pub fn suggested(self, model: &Suggestion) -> Self {
        Self {
            temperature: model.temperature.unwrap_or(self.temperature),
            top_k: model.top_k.unwrap_or(self.top_k),
            top_p: model.top_p.unwrap_or(self.top_p),
            min_p: model.min_p.unwrap_or(self.min_p),
            repeat_penalty: model.repeat_penalty.unwrap_or(self.repeat_penalty),
            ..self
        }
    }

    /// Another chance for the sequence at this place of a list: each draws from a seed of its own.
    #[must_use]
    pub fn at(&self, place: u64) -> Self {
        Self { seed: self.seed.wrapping_add(place), ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokenizer() -> Tokenizer {
        Tokenizer::from_json(include_bytes!("../../tests/models/tiny/tokenizer.json")).unwrap()
    }

    #[test]
    fn a_prompt_of_each_kind_becomes_a_request() {
        let tokenizer = tokenizer();
        let settings = Settings { stop: vec!["x".into()], priority: 3, depth: Some(2), ..Settings::of(7) };
        let request = Prompt::from("the sea").request(&settings, &tokenizer, None).unwrap();
        let tokens = tokenizer.encode_prompt("the sea", true).unwrap();
        assert_eq!((&request.prompt, request.max_tokens, request.priority, request.depth), (&tokens, 7, 3, Some(2)));
        assert_eq!(request.stop, ["x"]);
        assert_eq!(Prompt::from(tokens.clone()).request(&settings, &tokenizer, None).unwrap(), request);
        let said = Prompt::from(vec![Message::new("user", "hello")]);
        let plain = said.request(&settings, &tokenizer, None).unwrap();
        assert_eq!(plain.stop, ["x", NEXT_TURN], "it does not go on to speak for the person");
        assert_eq!(plain.prompt, tokenizer.encode_prompt("User: hello\nAssistant:", true).unwrap());
        let template = ChatTemplate::new("{{ messages[0].content }}!", &Default::default()).unwrap();
        let templated = said.request(&settings, &tokenizer, Some(&template)).unwrap();
        assert_eq!(
            (templated.prompt, &*templated.stop),
            (tokenizer.encode("hello!", true).unwrap(), &["x".to_owned()][..])
        );
    }

    #[test]
    fn settings_say_all_of_the_drawing_and_nothing_twice() {
        let sampling =
            Sampling { temperature: 0.5, top_k: 4, top_p: 0.9, min_p: 0.1, repeat_penalty: 1.1, seed: u64::MAX };
        assert_eq!(Settings::default().drawn(sampling).sampling(), sampling);
        assert_eq!(Settings::default().drawn(sampling).at(2).seed, 1);
        assert_eq!(Settings::default().sampling(), Sampling::GREEDY);
        let model = Suggestion { temperature: Some(0.7), ..Suggestion::default() };
        let suggested = Settings::default().drawn(sampling).suggested(&model);
        assert_eq!((suggested.temperature, suggested.top_k), (0.7, 4));
    }
}
