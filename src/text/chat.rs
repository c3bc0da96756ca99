//! Chat templates: messages to the prompt that a model was trained on, rendered as transformers renders them.
//!
//! The template is a Jinja program out of a model file, so it is treated as a stranger's: it can include nothing,
//! and its work and memory are bounded by fuel. Fuel does not see all of what a list that holds another twice, again
//! and again, is worth as text, nor how deeply lists nest; so a rendering also has a time and a stack of its own.
//!
//! **Invariant:** no clock of its own; a template that asks for the date is given one by [`ChatTemplate::with_clock`],
//! or finds `strftime_now` undefined, for which some templates have a default.

use std::error::Error as _;
use std::sync::Arc;
#[cfg(not(target_arch = "wasm32"))]
use std::{sync::mpsc, thread, time::Duration};

use minijinja::syntax::SyntaxConfig;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Value};
use serde::{Deserialize, Serialize};

use super::SpecialTokens;
use super::template::{self, LocalTime};
use crate::error::TextError;

const NAME: &str = "chat template";

/// About as many instructions; also 64 bytes of memory each. A long conversation needs some ten thousands.
const FUEL: u64 = 1_000_000;

/// Longest time for one piece of work; a long conversation needs some milliseconds.
#[cfg(not(target_arch = "wasm32"))]
const LONGEST: Duration = Duration::from_secs(5);

/// Address space, of which only what is used becomes memory.
#[cfg(not(target_arch = "wasm32"))]
const STACK_BYTES: usize = 512 << 20;

/// Who speaks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Role {
    /// Instructions.
    System,
    /// The person.
    User,
    /// The model.
    Assistant,
    /// Whoever else the template knows, by the name that it has there.
    Other(String),
}

impl Role {
    /// The name that templates know.
    pub fn name(&self) -> &str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Other(name) => name,
        }
    }
}

impl From<&str> for Role {
    fn from(name: &str) -> Self {
        match name {
            "system" => Self::System,
            "user" => Self::User,
            "assistant" => Self::Assistant,
            other => Self::Other(other.to_owned()),
        }
    }
}

impl From<&String> for Role {
    fn from(name: &String) -> Self {
        Self::from(name.as_str())
    }
}

impl From<String> for Role {
    fn from(name: String) -> Self {
        Self::from(name.as_str())
    }
}

impl From<Role> for String {
    fn from(role: Role) -> Self {
        role.name().to_owned()
    }
}

/// One turn of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: String,
}

impl Message {
    /// What `role` says.
    pub fn new(role: impl Into<Role>, content: impl Into<String>) -> Self {
        Self { role: role.into(), content: content.into() }
    }
}

/// Where an answer to a [`transcript`] ends: the person's next turn would begin.
pub const NEXT_TURN: &str = "\nUser:";

/// A conversation for a model that knows no roles; its answers end at [`NEXT_TURN`].
pub fn transcript(messages: &[Message]) -> String {
    let line = |Message { role, content }: &Message| match role {
        Role::User => format!("User: {content}\n"),
        Role::Assistant => format!("Assistant: {content}\n"),
        Role::System | Role::Other(_) => format!("{content}\n\n"),
    };
    messages.iter().map(line).collect::<String>() + "Assistant:"
}

/// The chat template in a tokenizer_config.json, `default` where it has several.
///
/// # Errors
/// A text that is no JSON.
pub fn template_of(tokenizer_config: &str) -> Result<Option<String>, serde_json::Error> {
    let config: serde_json::Value = serde_json::from_str(tokenizer_config)?;
    let named = |name: &str| {
        let several = config["chat_template"].as_array()?;
        several.iter().find(|one| one["name"] == name)?["template"].as_str().map(str::to_owned)
    };
    Ok(config["chat_template"].as_str().map(str::to_owned).or_else(|| named("default")))
}

/// A compiled chat template.
#[derive(Debug)]
pub struct ChatTemplate {
    environment: Arc<Environment<'static>>,
    tokens: SpecialTokens,
}

impl ChatTemplate {
    /// Compiles a template, which finds the special tokens by their names.
    pub fn new(source: &str, tokens: &SpecialTokens) -> Result<Self, TextError> {
        let source = source.to_owned();
        let environment = bounded(move || {
            let mut environment = Environment::new();
            environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
            environment.set_auto_escape_callback(|_| AutoEscape::None);
            environment.set_fuel(Some(FUEL));
            template::add(&mut environment);
            environment.add_template_owned(NAME, template::translate(&source)?)?;
            Ok(environment)
        })?;
        Ok(Self { environment: Arc::new(environment), tokens: tokens.clone() })
    }

    /// Gives the template a clock, which is asked whenever a template asks for the date.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Fn() -> LocalTime + Send + Sync + 'static) -> Self {
        template::add_clock(Arc::make_mut(&mut self.environment), clock);
        self
    }

    /// Gives the template a clock that stands, in seconds since 1970 with the time zone's offset already added.
    #[must_use]
    pub fn at(self, local_unix_seconds: i64) -> Self {
        self.with_clock(move || LocalTime { unix_seconds: local_unix_seconds, offset_seconds: 0, microseconds: 0 })
    }

    /// The prompt for these messages; with `add_generation_prompt` it ends where the assistant begins to speak.
    pub fn render(&self, messages: &[Message], add_generation_prompt: bool) -> Result<String, TextError> {
        let messages = messages
            .iter()
            .map(|message| Value::from_pairs([("role", message.role.name()), ("content", message.content.as_str())]));
        let given = [
            ("messages", messages.collect::<Value>()),
            ("add_generation_prompt", Value::from(add_generation_prompt)),
            ("tools", Value::from(())),
            ("documents", Value::from(())),
        ];
        let tokens = self.tokens.iter().map(|(name, text)| (name, Value::from(text)));
        let values = Value::from_pairs(tokens.chain(given));
        let environment = self.environment.clone();
        bounded(move || environment.get_template(NAME)?.render(values))
    }
}

/// Works on a thread of its own, whose stack holds the deepest blocks that a template opens and the deepest lists that
/// the fuel pays for. Work that takes too long is left to itself.
#[cfg(not(target_arch = "wasm32"))]
fn bounded<T: Send + 'static>(work: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, TextError> {
    let failed = |why: String| TextError::Template { why };
    let (send, receive) = mpsc::channel();
    let answer = move || {
        // An error holds what the template held and ends here too. Nobody listens to one that took too long.
        let _ = send.send(work().map_err(refused));
    };
    let thread = thread::Builder::new().name("chat template".into()).stack_size(STACK_BYTES).spawn(answer);
    drop(thread.map_err(|error| failed(format!("no thread can be started for it: {error}")))?);
    match receive.recv_timeout(LONGEST) {
        Ok(done) => done,
        Err(mpsc::RecvTimeoutError::Timeout) => {
            Err(failed(format!("it did not end within {LONGEST:?}; the template loops for too long")))
        }
        // What it said stands on stderr.
        Err(mpsc::RecvTimeoutError::Disconnected) => {
            Err(failed("the renderer stopped, which is a defect of this program".into()))
        }
    }
}

/// A page has one thread, and itself ends what runs for too long.
#[cfg(target_arch = "wasm32")]
fn bounded<T>(work: impl FnOnce() -> Result<T, Error>) -> Result<T, TextError> {
    work().map_err(refused)
}

/// The renderer's message with its causes; says what to do when the fuel is gone.
fn refused(error: Error) -> TextError {
    let mut why = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        why = format!("{why}: {inner}");
        cause = inner.source();
    }
    if error.kind() == ErrorKind::OutOfFuel {
        why = format!("{why}; the template loops for too long or the conversation is too large");
    }
    TextError::Template { why }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(source: &str, messages: &[(&str, &str)], add_generation_prompt: bool) -> Result<String, String> {
        let messages: Vec<Message> = messages.iter().map(|&(role, content)| Message::new(role, content)).collect();
        let template = ChatTemplate::new(source, &[("bos_token", "<s>"), ("eos_token", "</s>")].into())
            .map_err(|error| error.to_string())?;
        template.render(&messages, add_generation_prompt).map_err(|error| error.to_string())
    }

    fn check(source: &str, expected: &str) {
        assert_eq!(
            render(source, &[("user", "Hi <b>"), ("assistant", "Yo")], true).as_deref(),
            Ok(expected),
            "{source}"
        );
    }

    #[test]
    fn chat_markup_language() {
        let source = r"{%- for message in messages %}
    {{- '<|im_start|>' + message.role + '\n' + message.content.strip() + '<|im_end|>' + '\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
{%- endif %}
";
        let messages = [("system", " Be brief. "), ("user", "Hi & <b>")];
        let expected = "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi & <b><|im_end|>\n";
        assert_eq!(render(source, &messages, false).as_deref(), Ok(expected));
        assert_eq!(render(source, &messages, true).as_deref(), Ok(&*format!("{expected}<|im_start|>assistant\n")));
    }

    const LLAMA_3: &str = r"{{- bos_token }}
{%- if not tools is defined %}
    {%- set tools = none %}
{%- endif %}
{%- if not date_string is defined %}
    {%- if strftime_now is defined %}
        {%- set date_string = strftime_now('%d %b %Y') %}
    {%- else %}
        {%- set date_string = '26 Jul 2024' %}
    {%- endif %}
{%- endif %}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content'] | trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = '' %}
{%- endif %}
{{- '<|start_header_id|>system<|end_header_id|>\n\n' }}
{{- 'Today Date: ' + date_string + '\n\n' }}
{{- system_message }}
{{- '<|eot_id|>' }}
{%- for message in messages %}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
        {{- raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}
    {%- endif %}
    {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' + message['content'] | trim + '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}
{%- endif %}";

    #[test]
    fn llama_3() {
        let messages = [("system", "Be brief. "), ("user", "Hi"), ("assistant", " Yo "), ("user", "?")];
        let expected = |date: &str| {
            format!(
                "<s><|start_header_id|>system<|end_header_id|>\n\nToday Date: {date}\n\nBe brief.<|eot_id|>\
                 <|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>\
                 <|start_header_id|>assistant<|end_header_id|>\n\nYo<|eot_id|>\
                 <|start_header_id|>user<|end_header_id|>\n\n?<|eot_id|>\
                 <|start_header_id|>assistant<|end_header_id|>\n\n"
            )
        };
        assert_eq!(render(LLAMA_3, &messages, true), Ok(expected("26 Jul 2024")));
        let messages: Vec<Message> = messages.iter().map(|&(role, content)| Message::new(role, content)).collect();
        let dated = ChatTemplate::new(LLAMA_3, &[("bos_token", "<s>")].into()).unwrap().at(1_709_210_096);
        assert_eq!(dated.render(&messages, true).unwrap(), expected("29 Feb 2024"));
    }

    #[test]
    fn raised_exceptions_keep_their_message() {
        let error = render(LLAMA_3, &[("assistant", "Yo")], true).unwrap_err();
        assert!(error.starts_with("chat template: ") && error.contains("roles must alternate"), "{error}");
    }

    #[test]
    fn details_of_transformers() {
        check("{{ {'a': [1, 'é<'], 'b': none} | tojson }}", "{\"a\": [1, \"é<\"], \"b\": null}");
        check("{{ [1, {}] | tojson(indent=2) }}", "[\n  1,\n  {}\n]");
        check("{{ 'é🙂' | tojson(ensure_ascii=true) }}", "\"\\u00e9\\ud83d\\ude42\"");
        check("{{ {'b': 1, 'a': 2} | tojson(sort_keys=true) }}", "{\"a\": 2, \"b\": 1}");
        check("{% for m in messages %}{% if loop.last %}{% break %}{% endif %}{{ m.content }}{% endfor %}", "Hi <b>");
        check("  {% if true %}\nx\n  {% endif %}\ny", "x\ny");
        check("{{ tools }}|{{ missing }}|{{ messages[0].get('name', 'none') }}|{{ true }}", "None||none|True");
        check(
            "{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{% endfor %}{{ ns.n }}",
            "2",
        );
    }

    #[test]
    fn generation_tags_mean_nothing() {
        check("a{% generation %}{{ messages[0].content }}{%- endgeneration -%} c", "aHi <b>c");
    }

    #[test]
    fn a_template_cannot_run_for_ever() {
        let loops = "{% for a in range(99999) %}{% for b in range(99999) %}{% set c = a %}{% endfor %}{% endfor %}";
        let error = render(loops, &[], false).unwrap_err();
        assert!(error.contains("loops for too long"), "{error}");
        let grows =
            "{% set ns = namespace(x='xxxxxxxx') %}{% for a in range(60) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}";
        assert!(render(grows, &[], false).is_err());
        assert!(render("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", &[], false).is_err());
    }

    #[test]
    fn errors_say_where() {
        let error = render("a\n{% if %}", &[], false).unwrap_err();
        assert!(error.contains("syntax error") && error.contains("chat template:2"), "{error}");
        assert!(render("{% include '/etc/hostname' %}", &[], false).is_err());
        assert!(render("{{ missing.attribute.of }}", &[], false).is_err());
    }
}
