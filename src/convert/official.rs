//! How the released Mixture-of-Recursions code names its tensors, and what these names tell of the model.
//!
//! | model | a layer stands under |
//! | --- | --- |
//! | vanilla, recursive | `model.layers.{l}`, for every unrolled layer l |
//! | expert-choice | `model.layers.{r + 1}.block.{j}` between `model.layers.0` and `.{N + 1}`; cycle: `model.layers.{r}.block.{j}` |
//! | token-choice | `model.layers.1.block_list.{r}.{j}` between `model.layers.0` and `.2`; cycle: `model.layers.0.block_list...` |
//!
//! r is a recursion, j a layer of its block. peft puts `base_layer` or `default` into the names of adapted matrices and
//! their adapters, and may put `base_model.model.` before all names.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::ModelError;
use crate::network::config::{ModelConfig, RouterKind, RouterNetwork};
use crate::network::names::{self, Linear, Norm, ROUTER_BIAS, RouterRole};

use super::facts::Facts;

/// What peft puts before all names.
const PEFT: &str = "base_model.model.";

/// Where a model's layers stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// Each unrolled layer under its number; how many.
    Plain(u32),
    /// A block per recursion.
    Expert(Blocks),
    /// All blocks under one layer.
    Token(Blocks),
}

/// The repeated part of a routed model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Blocks {
    /// Layers before it, 0 or 1; as many follow.
    first: u32,
    /// Recursions, N.
    count: u32,
    /// Layers of a block, D.
    depth: u32,
}

/// All names of a file, and the layout that they show.
#[derive(Debug, Clone)]
pub(super) struct Names {
    /// Name without peft's prefix, and the name in the file.
    names: BTreeMap<String, String>,
    pub(super) layout: Layout,
}

impl Blocks {
    fn layers(self) -> u32 {
        self.count * self.depth + 2 * self.first
    }

    /// Recursion and place in the block of an unrolled layer.
    fn place(self, layer: u32) -> Option<(u32, u32)> {
        let inside = layer.checked_sub(self.first)?;
        (inside < self.count * self.depth).then(|| (inside / self.depth, inside % self.depth))
    }
}

impl Layout {
    /// Unrolled layers.
    pub(super) fn layers(self) -> u32 {
        match self {
            Self::Plain(layers) => layers,
            Self::Expert(blocks) | Self::Token(blocks) => blocks.layers(),
        }
    }

    /// What stands before the names of an unrolled layer.
    fn prefix(self, layer: u32) -> String {
        let outside = |last: u32| format!("model.layers.{}", if layer == 0 { 0 } else { last });
        match self {
            Self::Plain(_) => format!("model.layers.{layer}"),
            Self::Expert(blocks) => match blocks.place(layer) {
                Some((r, j)) => format!("model.layers.{}.block.{j}", r + blocks.first),
                None => outside(blocks.count + 1),
            },
            Self::Token(blocks) => match blocks.place(layer) {
                Some((r, j)) => format!("model.layers.{}.block_list.{r}.{j}", blocks.first),
                None => outside(2),
            },
        }
    }
}

impl Names {
    /// Reads the layout from the names.
    pub(super) fn survey(names: Vec<String>) -> Result<Self, ModelError> {
        let names: BTreeMap<String, String> =
            names.into_iter().map(|name| (name.strip_prefix(PEFT).unwrap_or(&name).to_owned(), name)).collect();
        let (mut plain, mut expert, mut token) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for name in names.keys() {
            let Some((layer, rest)) = name.strip_prefix("model.layers.").and_then(|rest| rest.split_once('.')) else {
                continue;
            };
            let number = |text: &str| text.parse::<u32>().ok().filter(|number| *number < 1 << 16);
            let Some(layer) = number(layer) else { continue };
            let parts: Vec<&str> = rest.split('.').collect();
            match parts[..] {
                ["block", j, _, ..] if number(j).is_some() => expert.extend(number(j).map(|j| (layer, j))),
                ["block_list", r, j, _, ..] => token.extend(number(r).zip(number(j)).map(|(r, j)| (layer, r, j))),
                ["mor_router" | "mlp_router" | "router_bias", ..] => {}
                _ => {
                    plain.insert(layer);
                }
            }
        }
        let wrong = |why: &str| {
            Err(ModelError::Unsupported {
                what: format!("the names of these tensors: {why}"),
                supported: "Llama models of Hugging Face, and the names of the released Mixture-of-Recursions code"
                    .into(),
            })
        };
        let layout = match (expert.is_empty(), token.is_empty(), plain.last()) {
            (true, true, None) => return wrong("none begins with `model.layers.`"),
            (true, true, Some(last)) => Layout::Plain(last + 1),
            (false, false, _) => return wrong("some have `.block.`, some `.block_list.`"),
            (false, true, _) => {
                let (first, last) = (expert.first().map_or(0, |at| at.0), expert.last().map_or(0, |at| at.0));
                let depth = expert.iter().map(|(_, j)| j + 1).max().unwrap_or(1);
                Layout::Expert(Blocks { first, count: last - first + 1, depth })
            }
            (true, false, _) => {
                let first = token.first().map_or(0, |at| at.0);
                let count = token.iter().map(|(_, r, _)| r + 1).max().unwrap_or(1);
                let depth = token.iter().map(|(.., j)| j + 1).max().unwrap_or(1);
                Layout::Token(Blocks { first, count, depth })
            }
        };
        let (Layout::Expert(blocks) | Layout::Token(blocks)) = layout else { return Ok(Self { names, layout }) };
        if blocks.first > 1 {
            return wrong(&format!("blocks begin at `model.layers.{}`; they begin at 0 or 1", blocks.first));
        }
        Ok(Self { names, layout })
    }

    /// What the names say; `layers` and blocks cannot be misread, so these are facts.
    pub(super) fn add_to(&self, facts: &mut Facts) -> Result<(), ModelError> {
        let example = self.layout.prefix(1);
        let origin = format!("the tensors' names ({example}...)");
        facts.add("num_hidden_layers", self.layout.layers(), &origin)?;
        let has = |word: &str| self.names.keys().any(|name| name.contains(word));
        let (kind, blocks) = match self.layout {
            Layout::Plain(_) => return facts.add("router", false, "the tensors, which hold no router"),
            Layout::Expert(blocks) => ("expert", blocks),
            Layout::Token(blocks) => ("token", blocks),
        };
        facts.add("recursion.count", blocks.count, &origin)?;
        facts.add("recursion.sharing", if blocks.first == 1 { "middle_cycle" } else { "cycle" }, &origin)?;
        facts.add("router.kind", kind, &origin)?;
        let network = if has(".mor_router.router.0.") { "mlp" } else { "linear" };
        facts.add("router.network", network, "the shapes of `mor_router`")?;
        if kind == "expert" {
            facts.add("router.auxiliary", has(".mlp_router."), "whether there is a tensor `mlp_router`")
        } else {
            facts.add("router.bias", has(".router_bias"), "whether there is a tensor `router_bias`")
        }
    }

    /// Whether there are adapters, and encodings.
    pub(super) fn holds(&self, word: &str) -> bool {
        self.names.keys().any(|name| name.contains(word))
    }

    /// The names in the file that stand for parts of an unrolled layer, first come first.
    fn of_layer(&self, layer: u32, ends: &[String]) -> Vec<String> {
        let prefix = self.layout.prefix(layer);
        // An encoding wraps the layer that it multiplies.
        let places = ends.iter().flat_map(|end| [format!("{prefix}.{end}"), format!("{prefix}.block.{end}")]);
        places.filter_map(|place| self.names.get(&place).cloned()).collect()
    }

    /// The names in the file that stand for a matrix of an unrolled layer.
    pub(super) fn linear(&self, layer: u32, linear: Linear) -> Vec<String> {
        let path = linear.path();
        self.of_layer(layer, &[format!("{path}.weight"), format!("{path}.base_layer.weight")])
    }

    /// The names in the file that stand for a norm of an unrolled layer.
    pub(super) fn norm(&self, layer: u32, norm: Norm) -> Vec<String> {
        let path = if norm == Norm::BeforeAttention { "input_layernorm" } else { "post_attention_layernorm" };
        self.of_layer(layer, &[format!("{path}.weight")])
    }

    /// Canonical names with the names in the file of all that no two layers share.
    pub(super) fn unshared(&self, config: &ModelConfig) -> Vec<(String, String)> {
        let mut pairs = Vec::new();
        let mut give = |to: String, from: Option<&String>| pairs.extend(from.map(|from| (to, from.clone())));
        for name in [names::EMBEDDING, names::FINAL_NORM, names::LM_HEAD] {
            give(name.into(), self.names.get(name));
        }
        for layer in 0..config.n_layers {
            for linear in Linear::ALL {
                let of = |part: &str| {
                    let path = linear.path();
                    self.of_layer(layer, &[format!("{path}.{part}.weight"), format!("{path}.{part}.default.weight")])
                };
                give(names::lora_a(layer, linear), of("lora_A").first());
                give(names::lora_b(layer, linear), of("lora_B").first());
            }
            if let Some(name) = names::recursion_encoding(config, layer) {
                give(name, self.names.get(&format!("{}.recursion_encoding", self.layout.prefix(layer))));
            }
        }
        self.routers(config, &mut give);
        pairs
    }

    fn routers(&self, config: &ModelConfig, give: &mut dyn FnMut(String, Option<&String>)) {
        let (Some(router), Layout::Expert(blocks) | Layout::Token(blocks)) = (&config.router, self.layout) else {
            return;
        };
        let mut roles = vec![(RouterRole::Token, blocks.first, "mor_router")];
        if router.kind == RouterKind::Expert {
            let of = |r| {
                [
                    (RouterRole::Expert(r), r + blocks.first, "mor_router"),
                    (RouterRole::Auxiliary(r), r + blocks.first, "mlp_router"),
                ]
            };
            roles = (0..blocks.count).flat_map(of).collect();
        }
        let ends: &[&str] =
            if router.network == RouterNetwork::Linear { &["weight"] } else { &["0.weight", "2.weight"] };
        for (role, layer, path) in roles {
            for ((name, _), end) in names::router(config, router.network, role).into_iter().zip(ends) {
                give(name, self.names.get(&format!("model.layers.{layer}.{path}.router.{end}")));
            }
        }
        give(ROUTER_BIAS.into(), self.names.get(&format!("model.layers.{}.router_bias", blocks.first)));
    }

    /// The name in the file of a tensor that stands under its canonical name.
    pub(super) fn canonical(&self, name: &str) -> Option<&String> {
        self.names.get(name)
    }

    /// All names in the file.
    pub(super) fn all(&self) -> impl Iterator<Item = &String> {
        self.names.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn survey(names: &[&str]) -> Result<Names, ModelError> {
        Names::survey(names.iter().map(|name| format!("{name}.self_attn.q_proj.weight")).collect())
    }

    fn check(names: &[&str], prefixes: &str) {
        let names = survey(names).unwrap();
        let found: Vec<String> = (0..names.layout.layers())
            .map(|layer| names.layout.prefix(layer).trim_start_matches("model.layers.").to_owned())
            .collect();
        assert_eq!(found.join(" "), prefixes);
    }

    #[test]
    fn layouts() {
        let prefixed =
            |names: &str| names.split(' ').map(|name| format!("model.layers.{name}")).collect::<Vec<String>>();
        for names in [
            "0 1 2",
            "0 1.block.0 1.block.1 2.block.0 2.block.1 3",
            "0.block.0 1.block.0 2.block.0",
            "0 1.block_list.0.0 1.block_list.0.1 1.block_list.1.0 1.block_list.1.1 2",
            "0.block_list.0.0 0.block_list.1.0",
        ] {
            check(&prefixed(names).iter().map(String::as_str).collect::<Vec<_>>(), names);
        }
        check(&["base_model.model.model.layers.0", "base_model.model.model.layers.1"], "0 1");
    }

    #[test]
    fn names_of_others_are_refused() {
        let refuses = |names: &[&str], word: &str| {
            let error = survey(names).unwrap_err().to_string();
            assert!(error.contains(word), "`{word}` is not in: {error}");
        };
        refuses(&["transformer.h.0"], "model.layers.");
        refuses(&["model.layers.5.block.0"], "begin at 0 or 1");
        refuses(&["model.layers.0.block.0", "model.layers.0.block_list.0.0"], "block_list");
    }
}
