//! The `isobath` block: what a Llama config lacks to describe models whose tokens differ in depth.
//!
//! It stands in `config.json` under `"isobath"`, or in a GGUF file as the text of `isobath.config`:
//!
//! ```json
//! { "version": 1,
//!   "recursion": { "count": 3, "sharing": "middle_cycle", "share_norms": true, "share_attention": true,
//!                  "encoding": false },
//!   "kv": { "mode": "share", "count": 3, "sharing": "middle_cycle" },
//!   "lora": { "scale": 1.0 },
//!   "router": { "kind": "expert", "network": "linear", "function": "sigmoid", "alpha": 0.1,
//!               "gating": "weighted", "temperature": 1.0, "auxiliary": false, "bias": false,
//!               "capacity": [1.0, 0.667, 0.333], "gate_first": false } }
//! ```
//!
//! Every part is optional; `docs/models.md` describes each field and its default.
//!
//! **Invariant:** an unknown key is refused by name, because a setting that is not understood would change the
//! model's output in silence.

use serde_json::{Map, Value, json};

use crate::error::{ModelError, refuse};
use crate::network::config::json::plain_number;
use crate::network::config::{
    KvMode, LIMITS, Lora, ModelConfig, Recursion, Router, RouterFunction, RouterKind, RouterNetwork, Sharing,
};
use crate::network::json_fields::Fields;

const SHARING: [(&str, Sharing); 4] = [
    ("cycle", Sharing::Cycle),
    ("sequence", Sharing::Sequence),
    ("middle_cycle", Sharing::MiddleCycle),
    ("middle_sequence", Sharing::MiddleSequence),
];

const FUNCTIONS: [(&str, RouterFunction); 4] = [
    ("sigmoid", RouterFunction::Sigmoid),
    ("tanh", RouterFunction::Tanh),
    ("softmax", RouterFunction::Softmax),
    ("none", RouterFunction::Identity),
];

#[derive(Clone, Copy)]
enum Mode {
    Own,
    Share,
    Hybrid,
}

impl ModelConfig {
    /// Reads the `isobath` block into the config and checks the whole.
    pub fn apply_block(&mut self, block: &Value) -> Result<(), ModelError> {
        let fields = Fields::new("isobath", block)?;
        fields.only(&["version", "recursion", "kv", "lora", "router"])?;
        if let Some(version) = fields.unsigned("version")?.filter(|version| *version != 1) {
            return Err(ModelError::Unsupported {
                what: format!("version {version} of the `isobath` block"),
                supported: "version 1".into(),
            });
        }
        self.recursion = fields.object("recursion")?.map(|part| read_recursion(&part)).transpose()?;
        if let Some(part) = fields.object("kv")? {
            self.kv = read_kv(&part, self.recursion)?;
        }
        if let Some(part) = fields.object("lora")? {
            part.only(&["scale"])?;
            self.lora = Some(Lora { scale: part.number("scale")?.unwrap_or(1.0) });
        }
        if let Some(part) = fields.object("router")? {
            self.router = Some(read_router(&part, self.n_recursions())?);
        }
        self.check()
    }

    /// The `isobath` block as JSON, `None` for a plain Llama model.
    pub fn block(&self) -> Option<Value> {
        let mut block = Map::new();
        block.insert("version".into(), json!(1));
        if let Some(recursion) = self.recursion {
            block.insert("recursion".into(), write_recursion(recursion));
        }
        match self.kv {
            KvMode::Own => None,
            KvMode::Share { count, sharing } => {
                Some(json!({ "mode": "share", "count": count, "sharing": sharing.name() }))
            }
            KvMode::Hybrid => Some(json!({ "mode": "hybrid" })),
        }
        .and_then(|kv| block.insert("kv".into(), kv));
        if let Some(lora) = self.lora {
            block.insert("lora".into(), json!({ "scale": plain_number(lora.scale) }));
        }
        if let Some(router) = &self.router {
            block.insert("router".into(), write_router(router));
        }
        (block.len() > 1).then_some(Value::Object(block))
    }
}

fn read_recursion(part: &Fields) -> Result<Recursion, ModelError> {
    part.only(&["count", "sharing", "share_norms", "share_attention", "encoding"])?;
    Ok(Recursion {
        count: part.required("count")?,
        sharing: part.required_word("sharing", &SHARING)?,
        share_norms: part.boolean("share_norms")?.unwrap_or(true),
        share_attention: part.boolean("share_attention")?.unwrap_or(true),
        encoding: part.boolean("encoding")?.unwrap_or(false),
    })
}

fn read_kv(part: &Fields, recursion: Option<Recursion>) -> Result<KvMode, ModelError> {
    part.only(&["mode", "count", "sharing"])?;
    let modes = [("own", Mode::Own), ("share", Mode::Share), ("hybrid", Mode::Hybrid)];
    let mode = part.required_word("mode", &modes)?;
    let count = part.unsigned("count")?;
    let sharing = part.word("sharing", &SHARING)?;
    let needs = "given, because there is no `isobath.recursion` to take it from";
    match mode {
        Mode::Share => Ok(KvMode::Share {
            count: count.or(recursion.map(|own| own.count)).ok_or_else(|| part.missing("count", needs))?,
            sharing: sharing.or(recursion.map(|own| own.sharing)).ok_or_else(|| part.missing("sharing", needs))?,
        }),
        _ if count.is_some() || sharing.is_some() => {
            Err(refuse("`isobath.kv` has `count` or `sharing`; these are for `isobath.kv.mode` \"share\" only"))
        }
        Mode::Own => Ok(KvMode::Own),
        Mode::Hybrid => Ok(KvMode::Hybrid),
    }
}

fn read_router(part: &Fields, count: u32) -> Result<Router, ModelError> {
    part.only(&[
        "kind",
        "network",
        "function",
        "alpha",
        "gating",
        "temperature",
        "auxiliary",
        "bias",
        "capacity",
        "gate_first",
    ])?;
    let kinds = [("expert", RouterKind::Expert), ("token", RouterKind::Token)];
    let networks = [("linear", RouterNetwork::Linear), ("mlp", RouterNetwork::Mlp), ("wide_mlp", RouterNetwork::Mlp)];
    let kind = part.required_word("kind", &kinds)?;
    let (function, alpha) = match kind {
        RouterKind::Expert => (RouterFunction::Sigmoid, 0.1),
        RouterKind::Token => (RouterFunction::Softmax, 1.0),
    };
    let capacity = match read_capacity(part)? {
        Some(capacity) => capacity,
        None if kind == RouterKind::Token => Vec::new(),
        // The count is checked later, together with the rest; until then it must not decide an allocation.
        None => (0..count.min(LIMITS.recursions)).map(|r| f64::from(count - r) / f64::from(count)).collect(),
    };
    Ok(Router {
        kind,
        network: part.word("network", &networks)?.unwrap_or(RouterNetwork::Linear),
        function: part.word("function", &FUNCTIONS)?.unwrap_or(function),
        alpha: part.number("alpha")?.unwrap_or(alpha),
        weighted: part.word("gating", &[("weighted", true), ("additive", false)])?.unwrap_or(true),
        temperature: part.number("temperature")?.unwrap_or(1.0),
        auxiliary: part.boolean("auxiliary")?.unwrap_or(false),
        bias: part.boolean("bias")?.unwrap_or(false),
        capacity,
        gate_first: part.boolean("gate_first")?.unwrap_or(false),
    })
}

fn read_capacity(part: &Fields) -> Result<Option<Vec<f64>>, ModelError> {
    let Some(value) = part.value("capacity") else {
        return Ok(None);
    };
    let wrong = || part.wrong("capacity", value, "a list of numbers, one per recursion");
    let list = value.as_array().ok_or_else(wrong)?;
    let numbers: Option<Vec<f64>> = list.iter().map(Value::as_f64).collect();
    numbers.map(Some).ok_or_else(wrong)
}

fn write_recursion(recursion: Recursion) -> Value {
    json!({
        "count": recursion.count,
        "sharing": recursion.sharing.name(),
        "share_norms": recursion.share_norms,
        "share_attention": recursion.share_attention,
        "encoding": recursion.encoding,
    })
}

fn write_router(router: &Router) -> Value {
    let function = FUNCTIONS.iter().find(|(_, function)| *function == router.function);
    let mut part = json!({
        "kind": match router.kind { RouterKind::Expert => "expert", RouterKind::Token => "token" },
        "network": match router.network { RouterNetwork::Linear => "linear", RouterNetwork::Mlp => "mlp" },
        "function": function.map(|(name, _)| *name),
        "alpha": plain_number(router.alpha),
        "gating": if router.weighted { "weighted" } else { "additive" },
        "temperature": plain_number(router.temperature),
        "auxiliary": router.auxiliary,
        "bias": router.bias,
        "gate_first": router.gate_first,
    });
    if router.kind == RouterKind::Expert {
        part["capacity"] = json!(router.capacity);
    }
    part
}
