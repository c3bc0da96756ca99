//! Chat templates: messages to the prompt that a model was trained on, rendered as transformers renders them.
//!
//! The template is a Jinja program out of a model file, so it is treated as a stranger's: it can include nothing,
//! and its work and memory are bounded by fuel. Fuel does not see all of what a list that holds another twice, again
//! and again, is worth as text, nor how deeply lists nest; so a rendering also has a time and a stack of its own.
//!
//! **Invariant:** no clock; a template that asks for the date gets the time given by [`ChatTemplate::at`], or finds
//! `strftime_now` undefined, for which templates have a default.

use std::error::Error as _;
use std::sync::Arc;
#[cfg(not(target_arch = "wasm32"))]
use std::{sync::mpsc, thread, time::Duration};

use minijinja::syntax::SyntaxConfig;
use minijinja::value::ValueKind;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, State, Value, context, escape_formatter};
use serde::Serialize;

use super::strftime::strftime;
use super::template_json;
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

/// One turn of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Message {
    /// Who speaks: `system`, `user`, `assistant`, or what else the template knows.
    pub role: String,
    /// What is said.
    pub content: String,
}

impl Message {
    /// A message of `role`.
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Self {
        Self { role: role.into(), content: content.into() }
    }
}

/// A conversation for a model that knows no roles; its answers end where the next `User:` would begin.
pub fn transcript(messages: &[Message]) -> String {
    let line = |Message { role, content }: &Message| match role.as_str() {
        "user" => format!("User: {content}\n"),
        "assistant" => format!("Assistant: {content}\n"),
        _ => format!("{content}\n\n"),
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
    bos_text: String,
    eos_text: String,
}

impl ChatTemplate {
    /// Compiles a template; `bos_text` and `eos_text` are what it finds as `bos_token` and `eos_token`.
    pub fn new(source: &str, bos_text: &str, eos_text: &str) -> Result<Self, TextError> {
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build().map_err(refused)?;
        environment.set_syntax(syntax);
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_unknown_method_callback(method);
        environment.set_fuel(Some(FUEL));
        environment.set_formatter(|out, state, value| {
            if matches!(value.kind(), ValueKind::Seq | ValueKind::Map) {
                template_json::charge(state, value)?;
            }
            escape_formatter(out, state, value)
        });
        environment.add_filter("tojson", template_json::tojson);
        environment.add_function("raise_exception", raise_exception);
        let source = without_generation_tags(source);
        let environment = bounded(move || {
            environment.add_template_owned(NAME, source)?;
            Ok(environment)
        })?;
        Ok(Self { environment: Arc::new(environment), bos_text: bos_text.to_string(), eos_text: eos_text.to_string() })
    }

    /// Gives the template the time, in seconds since 1970 with the time zone's offset already added.
    pub fn at(mut self, local_unix_seconds: i64) -> Self {
        Arc::make_mut(&mut self.environment).add_function("strftime_now", move |format: &str| {
            strftime(format, local_unix_seconds).map_err(|directive| {
                Error::new(ErrorKind::InvalidOperation, format!("strftime_now does not know `{directive}`"))
            })
        });
        self
    }

    /// The prompt for these messages; with `add_generation_prompt` it ends where the assistant begins to speak.
    pub fn render(&self, messages: &[Message], add_generation_prompt: bool) -> Result<String, TextError> {
        let messages = messages
            .iter()
            .map(|message| Value::from_pairs([("role", message.role.as_str()), ("content", message.content.as_str())]));
        let values = context! {
            messages => messages.collect::<Vec<Value>>(),
            add_generation_prompt => add_generation_prompt,
            bos_token => self.bos_text.as_str(),
            eos_token => self.eos_text.as_str(),
            tools => (),
            documents => (),
        };
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
    let told = move || {
        // An error holds what the template held and ends here too. Nobody listens to one that took too long.
        let _ = send.send(work().map_err(refused));
    };
    let thread = thread::Builder::new().name("chat template".into()).stack_size(STACK_BYTES).spawn(told);
    drop(thread.map_err(|error| failed(format!("no thread can be started for it: {error}")))?);
    match receive.recv_timeout(LONGEST) {
        Ok(done) => done,
        Err(_) => Err(failed(format!("it did not end within {LONGEST:?}; the template loops for too long"))),
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

/// Methods of Python's values. The crate's `title` takes words at spaces; Python's begins one behind each non-letter.
fn method(state: &mut State, value: &Value, name: &str, arguments: &[Value]) -> Result<Value, Error> {
    match (value.as_str(), name, arguments) {
        (Some(text), "title", []) => {
            let mut inside = false;
            let mut titled = String::with_capacity(text.len());
            for letter in text.chars() {
                match inside {
                    true => titled.extend(letter.to_lowercase()),
                    false => titled.extend(letter.to_uppercase()),
                }
                inside = letter.is_alphabetic();
            }
            Ok(Value::from(titled))
        }
        _ => minijinja_contrib::pycompat::unknown_method_callback(state, value, name, arguments),
    }
}

fn raise_exception(message: &str) -> Result<Value, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, message.to_string()))
}

/// Transformers marks what the assistant said by `{% generation %}`; for the text it means nothing.
fn without_generation_tags(source: &str) -> String {
    let mut result = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(start) = rest.find("{%") {
        let (before, inside) = (&rest[..start], &rest[start + 2..]);
        let Some(length) = inside.find("%}") else { break };
        let tag = &inside[..length];
        let word = tag.trim_matches(['-', '+']).trim();
        result.push_str(before);
        result.push_str("{%");
        result.push_str(&match word {
            "generation" => tag.replace("generation", "if true"),
            "endgeneration" => tag.replace("endgeneration", "endif"),
            _ => tag.to_string(),
        });
        rest = &inside[length..];
    }
    result + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(source: &str, messages: &[(&str, &str)], add_generation_prompt: bool) -> Result<String, String> {
        let messages: Vec<Message> = messages.iter().map(|&(role, content)| Message::new(role, content)).collect();
        let template = ChatTemplate::new(source, "<s>", "</s>").map_err(|error| error.to_string())?;
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
        let dated = ChatTemplate::new(LLAMA_3, "<s>", "").unwrap().at(1_709_210_096);
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
