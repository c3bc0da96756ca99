//! `isobath inspect`: a model's plan, sizes and faults, without a GPU.

mod depth;
mod form;
mod plan;
pub mod sizes;

use std::collections::BTreeMap;
use std::io::{self, Write};

use isobath::network::config::ModelConfig;
use isobath::network::form::Form;
use isobath::network::generation::{Generation, Suggestion};
use isobath::network::plan::Plan;

use self::depth::Depth;
use self::form::FormLine;
use self::plan::Stage;
pub use self::sizes::TensorFact;
use self::sizes::{Kv, Parameters, Room};
use super::args::Inspect;
use super::facts;
use super::failure;
use super::open::{self, Fetching};

/// What could be read of a model. What could not is among the faults.
#[derive(Debug)]
pub struct Facts {
    /// The kind of file.
    pub format: &'static str,
    /// The network.
    pub config: Option<ModelConfig>,
    /// All tensors of the file.
    pub tensors: Vec<TensorFact>,
    /// Tokens that the tokenizer knows.
    pub vocabulary: Option<usize>,
    /// The tokens that end a text.
    pub ends: Vec<EndFact>,
    /// What the model's author says of writing.
    pub generation: Generation,
    /// The model knows how conversations are written.
    pub chat_template: bool,
    /// What a person should know although the model loads.
    pub warnings: Vec<String>,
    /// Why it would not load, all reasons.
    pub faults: Vec<String>,
}

/// A token that ends a text, with its spelling where there is one.
#[derive(Debug, serde::Serialize)]
pub struct EndFact {
    pub token: u32,
    pub text: Option<String>,
}

/// What is printed as JSON.
#[derive(Debug, serde::Serialize)]
struct Report<'a> {
    model: String,
    format: &'a str,
    family: Option<&'static str>,
    form: Option<Vec<FormLine>>,
    plan: Option<Vec<Stage>>,
    depth: Option<Depth>,
    parameters: Option<Parameters>,
    bytes_by_type: BTreeMap<&'static str, u64>,
    kv_bytes_per_token: Option<Kv>,
    kv_cache: Option<Vec<Room>>,
    context: Option<u32>,
    vocabulary: Option<usize>,
    ends: &'a [EndFact],
    sampling: Suggestion,
    chat_template: bool,
    warnings: Vec<String>,
    faults: &'a [String],
}

/// Reads the model and prints what it is; the exit code tells whether it would load.
pub fn inspect(inspect: &Inspect) -> anyhow::Result<u8> {
    let fetching = Fetching { revision: inspect.revision.as_deref(), quiet: false };
    let place = open::find(inspect.model.as_deref(), fetching)?;
    let facts = facts::facts(&place)?;
    let model = place.path().display().to_string();
    let mut out = io::stdout().lock();
    if inspect.json {
        writeln!(out, "{}", serde_json::to_string(&report(model, &facts))?)?;
    } else {
        write!(out, "{}", text(&model, &facts))?;
    }
    Ok(if facts.faults.is_empty() { failure::DONE } else { failure::MODEL })
}

impl Facts {
    /// What would run; why it cannot be run is among the faults.
    fn plan(&self) -> Option<Plan> {
        Plan::of(self.config.as_ref()?).ok()
    }
}

fn report(model: String, facts: &Facts) -> Report<'_> {
    let (config, plan) = (facts.config.as_ref(), facts.plan());
    let both = config.zip(plan.as_ref());
    Report {
        model,
        format: facts.format,
        family: config.map(|config| config.family.model_type),
        form: config.map(|config| form::lines(&Form::of(config))),
        plan: both.map(|(config, plan)| plan::stages(config, plan)),
        depth: plan.as_ref().map(depth::depth),
        parameters: config.map(|config| sizes::parameters(config, &facts.tensors)),
        bytes_by_type: sizes::bytes_by_type(&facts.tensors),
        kv_bytes_per_token: both.map(|(config, plan)| sizes::kv(config, plan)),
        kv_cache: both.map(|(config, plan)| sizes::rooms(config, plan)),
        context: config.map(|config| config.context_length),
        vocabulary: facts.vocabulary,
        ends: &facts.ends,
        sampling: facts.generation.suggestion,
        chat_template: facts.chat_template,
        warnings: warnings(facts).collect(),
        faults: &facts.faults,
    }
}

fn text(model: &str, facts: &Facts) -> String {
    let mut text = format!("{model} ({})\n", facts.format);
    let plan = facts.plan();
    if let Some(config) = &facts.config {
        text += &shape(config);
        let form = form::text(&Form::of(config));
        text += &if form.is_empty() { form } else { format!("\nform\n{form}") };
        let tied = !facts.tensors.iter().any(|tensor| tensor.name == "lm_head.weight");
        if let Some(plan) = &plan {
            text += &format!("\nplan\n{}{}", plan::picture(config, plan, tied), depth::text(plan));
        }
        let parameters = sizes::parameters(config, &facts.tensors);
        text += &format!("\nparameters  {} unique", sizes::count(parameters.unique));
        if parameters.unrolled != parameters.unique {
            text += &format!(", {} unrolled", sizes::count(parameters.unrolled));
        }
        text += "\n";
    }
    let by_type = sizes::bytes_by_type(&facts.tensors);
    if !by_type.is_empty() {
        let parts: Vec<String> =
            by_type.iter().map(|(name, count)| format!("{name} {}", sizes::bytes(*count))).collect();
        text += &format!("weights     {}\n", parts.join(", "));
    }
    if let Some((config, plan)) = facts.config.as_ref().zip(plan.as_ref()) {
        text += &format!("KV          {}\n", kv_line(&sizes::kv(config, plan)));
        text.extend(sizes::rooms(config, plan).iter().map(|room| format!("KV cache    {}\n", room.line())));
    }
    match facts.vocabulary {
        Some(tokens) => text += &format!("tokenizer   {tokens} tokens\n"),
        None => text += "tokenizer   none that can be read\n",
    }
    let ends: Vec<String> = facts.ends.iter().map(EndFact::shown).collect();
    if facts.config.is_some() {
        text += &format!("ends at     {}\n", if ends.is_empty() { "no token".into() } else { ends.join(", ") });
    }
    if let Some(words) = facts.generation.suggestion.words() {
        text += &format!("sampling    {words} ({}; for chat and the window)\n", facts.generation.origin);
    }
    text += &format!("template    {}\n", if facts.chat_template { "yes, `isobath chat` uses it" } else { "no" });
    text.extend(warnings(facts).map(|warning| format!("warning     {warning}\n")));
    if facts.faults.is_empty() {
        text += "\nIt would load.\n";
    } else {
        text += "\nIt would not load:\n";
        text.extend(facts.faults.iter().map(|fault| format!("  - {fault}\n")));
    }
    text
}

fn warnings(facts: &Facts) -> impl Iterator<Item = String> {
    facts.warnings.iter().cloned().chain(facts.generation.warning())
}

impl EndFact {
    fn shown(&self) -> String {
        self.text.as_ref().map_or(self.token.to_string(), |text| format!("{text:?} ({})", self.token))
    }
}

fn shape(config: &ModelConfig) -> String {
    format!(
        "{}: {} layers of width {} (feed-forward {}), {} query and {} key/value heads of {}, context {}, rotary base {}\n",
        config.family.model_type,
        config.n_layers,
        config.hidden_size,
        config.intermediate_size,
        config.n_heads,
        config.n_kv_heads,
        config.head_dim,
        config.context_length,
        config.rope_theta,
    )
}

fn kv_line(kv: &Kv) -> String {
    let rounds: Vec<String> = (1..)
        .zip(&kv.per_round)
        .filter(|(_, bytes)| **bytes > 0)
        .map(|(round, bytes)| format!("{} more in round {round}", sizes::bytes(*bytes)))
        .collect();
    let every = format!("{} per token as f32", sizes::bytes(kv.every_token));
    if rounds.is_empty() {
        return every;
    }
    let most = kv.by_depth.last().copied().unwrap_or_default();
    format!("{every}, {}; {} at full depth", rounds.join(", "), sizes::bytes(most))
}

#[cfg(test)]
mod tests {
    use isobath::network::config::*;
    use isobath::network::family::LLAMA;
    use isobath::network::form::Biases;
    use isobath::network::form::rotary::RopeScaling;

    use super::*;

    pub fn config(n_layers: u32) -> ModelConfig {
        ModelConfig {
            family: &LLAMA,
            hidden_size: 8,
            intermediate_size: 16,
            n_layers,
            n_heads: 4,
            n_kv_heads: 2,
            head_dim: 4,
            vocab_size: 100,
            context_length: 64,
            rms_norm_eps: 1e-5,
            rope_theta: 1e4,
            rope_scaling: RopeScaling::None,
            biases: Biases::default(),
            window: None,
            bos_token: None,
            end_tokens: Vec::new(),
            recursion: None,
            kv: KvMode::Own,
            lora: None,
            router: None,
        }
    }

    pub fn recursion(count: u32, sharing: Sharing) -> Recursion {
        Recursion { count, sharing, share_norms: true, share_attention: true, encoding: false }
    }

    pub fn expert() -> Router {
        Router {
            kind: RouterKind::Expert,
            network: RouterNetwork::Linear,
            function: RouterFunction::Sigmoid,
            alpha: 0.1,
            weighted: true,
            temperature: 1.0,
            auxiliary: false,
            bias: false,
            capacity: vec![1.0, 0.5, 0.25],
            gate_first: false,
        }
    }

    pub fn fact(name: &str, parameters: u64) -> TensorFact {
        TensorFact { name: name.into(), data_type: "f32", parameters, bytes: 4 * parameters }
    }

    fn facts() -> Facts {
        let mut config = config(8);
        config.recursion = Some(recursion(3, Sharing::MiddleCycle));
        config.router = Some(expert());
        Facts {
            format: "folder",
            config: Some(config),
            tensors: vec![fact("model.layers.1.mlp.up_proj.weight", 10_000)],
            vocabulary: Some(100),
            ends: vec![EndFact { token: 2, text: Some("<end>".into()) }, EndFact { token: 3, text: None }],
            generation: Generation::from_json(r#"{"do_sample": true, "eos_token_id": 2, "num_beams": 4}"#).unwrap(),
            chat_template: false,
            warnings: vec!["be careful".into()],
            faults: Vec::new(),
        }
    }

    #[test]
    fn the_text_tells_sizes_and_that_it_would_load() {
        let text = text("tiny", &facts());
        for want in [
            "tiny (folder)\nllama: 8 layers of width 8 (feed-forward 16), 4 query and 2 key/value heads of 4, context 64, rotary base 10000\n",
            "  ├ round 2     layers 3-4  weights of layers 1-2\n",
            "parameters  10000 unique, 30000 unrolled\nweights     f32 40.0 kB\n",
            "KV          256 bytes per token as f32, 128 bytes more in round 2, 128 bytes more in round 3; 512 bytes at full depth\n",
            "tokenizer   100 tokens\nends at     \"<end>\" (2), 3\n\
             sampling    temperature 1, top-k 50 (generation_config.json; for chat and the window)\n\
             template    no\nwarning     be careful\n\
             warning     generation_config.json: not followed: num_beams 4\n\nIt would load.\n",
        ] {
            assert!(text.contains(want), "{want}\nis not in\n{text}");
        }
    }

    #[test]
    fn every_fault_is_listed_even_without_a_config() {
        let faults = vec!["first".to_owned(), "second".to_owned()];
        let facts = Facts { config: None, tensors: Vec::new(), vocabulary: None, faults, ..facts() };
        let text = text("broken", &facts);
        assert!(text.ends_with("\nIt would not load:\n  - first\n  - second\n"), "{text}");
    }

    #[test]
    fn the_json_holds_the_same() {
        let json = serde_json::to_value(report("tiny".into(), &facts())).unwrap();
        assert_eq!(json["plan"][2]["name"], "round 2");
        assert_eq!(json["plan"][2]["weights"], serde_json::json!([1, 2]));
        assert_eq!(json["plan"][2]["gate"], "tokens go on whose score is at least 0, the others leave");
        assert_eq!((&json["family"], &json["form"]), (&"llama".into(), &serde_json::json!([])));
        assert_eq!(json["depth"]["commitment"], "stands");
        assert_eq!(json["depth"]["caches"][1]["classes"], serde_json::json!([1, 2, 3]));
        assert_eq!(json["parameters"]["unrolled"], 30_000);
        assert_eq!(json["ends"][0], serde_json::json!({"token": 2, "text": "<end>"}));
        assert_eq!((&json["sampling"]["top_k"], &json["sampling"]["temperature"]), (&50.into(), &1.0.into()));
        assert_eq!(json["warnings"][0], "be careful");
        assert_eq!(json["kv_bytes_per_token"]["by_depth"], serde_json::json!([256, 384, 512]));
    }
}
