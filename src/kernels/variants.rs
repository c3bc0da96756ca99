//! Every kernel text that can reach a GPU, so that tests and the browser can compile them all.

use crate::depth::policy::{NEVER, Rule};
use crate::gpu::Source;
use crate::gpu::kernel::Params;
use crate::kernels::exits::head_statistic::Statistic;
use crate::kernels::products::matrix::loader;
use crate::kernels::rows::swiglu::Activation;
use crate::kernels::{
    ATTENDED_STRETCH, ATTENDED_WHOLE, BLOCK, COLUMN, COLUMN_SUBGROUP, DRAW, DRAWN, ENTRIES, EVENT, FOLD, FOLD_SUBGROUP,
    GATHERED, GATHERED_NOWHERE, GRANTED, HASH, HELD_ALL, HELD_REACHED, KV, LANE, PRODUCT, REDUCE, REDUCE_SUBGROUP,
    SCAN, SEEN, SERIAL, SPAN, TEXEL, WEIGHTS_BUFFER, WEIGHTS_TEXTURE,
};
use crate::tensor::DataType;

/// One text.
#[derive(Debug, Clone)]
pub struct Variant {
    /// Kernel's name.
    pub kernel: &'static str,
    /// Its text.
    pub source: Source,
    /// Fields of its uniform block with their offsets.
    pub fields: &'static [(&'static str, usize)],
}

macro_rules! text {
    ($name:literal) => {
        include_str!(concat!("../../shaders/", $name, ".wgsl"))
    };
}

/// Rows of `matvec_serial` and `matvec_glu`.
const ROWS: [u32; 6] = [1, 2, 4, 8, 16, 32];

/// Attention stands with heads of 2 to 256 numbers, groups of 1 to 16, and 1 to 4 rows.
const HEADS: [(u32, u32); 6] = [(2, 1), (64, 1), (64, 3), (128, 4), (128, 8), (256, 16)];

/// Which entries attention finds.
const HELD: [&str; 2] = [HELD_ALL, HELD_REACHED];

/// The products that read textures, by how they read their inputs.
fn serial(data_type: DataType, column: &'static str) -> Vec<&'static str> {
    vec![text!("products/matvec_serial"), PRODUCT, loader(data_type), WEIGHTS_TEXTURE, BLOCK, TEXEL, SERIAL, column]
}

/// All variants for core WebGPU.
pub fn all() -> Vec<Variant> {
    let mut all = Vec::new();
    let mut add =
        |kernel, fields, parts, constants| all.push(Variant { kernel, source: Source { parts, constants }, fields });
    for data_type in DataType::ALL {
        let product = |text| vec![text, PRODUCT, loader(data_type), WEIGHTS_BUFFER, BLOCK, TEXEL];
        for weights in [WEIGHTS_BUFFER, WEIGHTS_TEXTURE] {
            let parts = vec![text!("rows/embed"), loader(data_type), weights, BLOCK, TEXEL];
            add("embed", crate::kernels::rows::embed::Params::FIELDS, parts, vec![]);
        }
        add("matmul", crate::kernels::products::matvec::Params::FIELDS, product(text!("products/matmul")), vec![]);
        for columns in [1, 2, 4, 8] {
            add(
                "matvec",
                crate::kernels::products::matvec::Params::FIELDS,
                product(text!("products/matvec")),
                vec![("COLS", columns)],
            );
        }
        for columns in ROWS {
            let parts = serial(data_type, COLUMN);
            add("matvec_serial", crate::kernels::products::matvec::Params::FIELDS, parts, vec![("COLS", columns)]);
        }
    }
    for (head_dim, group) in HEADS {
        let (tile, head4) =
            (crate::kernels::attention::attention_stretch::Tile::largest(group, 1, head_dim), head_dim.div_ceil(4));
        let rows = (0..3).map(|power| 1 << power).filter(|rows| *rows <= tile.rows);
        for (rows, held) in rows.flat_map(|rows| HELD.map(|held| (rows, held))) {
            let constants = vec![("HEAD4", head4), ("GROUP", tile.heads), ("QROWS", rows)];
            add(
                "attention_stretch",
                crate::kernels::attention::attention_stretch::Params::FIELDS,
                vec![text!("attention/attention_stretch"), SPAN, ENTRIES, KV, held],
                constants,
            );
        }
        let head = vec![("HEAD4", head4)];
        let merge = |part| vec![text!("attention/attention_merge"), part, TEXEL];
        add(
            "attention_merge",
            crate::kernels::attention::attention_merge::Params::FIELDS,
            merge(GATHERED_NOWHERE),
            head.clone(),
        );
        let gathered = [&head[..], &[("GATHERED", 5)]].concat();
        add("attention_merge", crate::kernels::attention::attention_merge::Params::FIELDS, merge(GATHERED), gathered);
        add("rope", crate::kernels::attention::rope::Params::FIELDS, vec![text!("attention/rope"), KV], head);
    }
    let drawn =
        [0, 4].map(|alternatives| vec![("DRAWN", crate::kernels::draw::alternatives::drawn_words(alternatives))]);
    add(
        "alternatives",
        crate::kernels::draw::alternatives::Params::FIELDS,
        vec![text!("draw/alternatives"), DRAW, FOLD],
        drawn[1].clone(),
    );
    add("bias", crate::kernels::products::bias::Params::FIELDS, vec![text!("products/bias")], vec![]);
    add("bucket", crate::kernels::exits::bucket::Params::FIELDS, vec![text!("exits/bucket"), SCAN, GRANTED], vec![]);
    for mode in [
        crate::kernels::rows::combine::COPY,
        crate::kernels::rows::combine::ADD_WEIGHED,
        crate::kernels::rows::combine::ADD,
    ] {
        add(
            "combine",
            crate::kernels::rows::combine::Params::FIELDS,
            vec![text!("rows/combine")],
            vec![("MODE", mode)],
        );
    }
    add(
        "cross_entropy",
        crate::kernels::draw::cross_entropy::Params::FIELDS,
        vec![text!("draw/cross_entropy"), DRAW, FOLD],
        vec![],
    );
    add("encode", crate::kernels::rows::encode::Params::FIELDS, vec![text!("rows/encode")], vec![]);
    add("enter", crate::kernels::exits::enter::Params::FIELDS, vec![text!("exits/enter"), LANE, GRANTED], vec![]);
    for constants in &drawn {
        add(
            "finish",
            crate::kernels::exits::finish::Params::FIELDS,
            vec![text!("exits/finish"), LANE, GRANTED, EVENT, DRAWN],
            constants.clone(),
        );
        add(
            "sample",
            crate::kernels::draw::sample::Params::FIELDS,
            vec![text!("draw/sample"), SEEN, DRAW, FOLD],
            constants.clone(),
        );
    }
    let gathered = vec![("GATHERED", 3)];
    add(
        "gather",
        crate::kernels::products::gather::Params::FIELDS,
        vec![text!("products/gather"), GATHERED, TEXEL],
        gathered,
    );
    add(
        "head_norm",
        crate::kernels::attention::head_norm::Params::FIELDS,
        vec![text!("attention/head_norm"), REDUCE],
        vec![],
    );
    add("carry", crate::kernels::drafts::carry::Params::FIELDS, vec![text!("drafts/carry"), LANE], vec![]);
    add(
        "follow",
        crate::kernels::drafts::follow::Params::FIELDS,
        vec![text!("drafts/follow"), SCAN, LANE, GRANTED],
        vec![],
    );
    add("join", crate::kernels::drafts::join::Params::FIELDS, vec![text!("drafts/join")], vec![]);
    add("linger", crate::kernels::drafts::linger::Params::FIELDS, vec![text!("drafts/linger"), SCAN, LANE], vec![]);
    let parts = vec![text!("deferring/agree"), LANE, EVENT];
    add("agree", crate::kernels::deferring::agree::Params::FIELDS, parts, vec![]);
    add(
        "line_up",
        crate::kernels::deferring::line_up::Params::FIELDS,
        vec![text!("deferring/line_up"), SCAN, LANE],
        vec![],
    );
    let parts = vec![text!("deferring/sureness"), Statistic::TopTwoGap.text(), DRAW, FOLD];
    add("sureness", crate::kernels::deferring::sureness::Params::FIELDS, parts, vec![]);
    for constants in &drawn {
        let parts = vec![text!("deferring/commit"), SCAN, LANE, EVENT, DRAWN];
        add("commit", crate::kernels::deferring::commit::Params::FIELDS, parts, constants.clone());
        add(
            "entropy",
            crate::kernels::drafts::entropy::Params::FIELDS,
            vec![text!("drafts/entropy"), Statistic::Entropy.text(), DRAW, FOLD],
            constants.clone(),
        );
        add(
            "propose",
            crate::kernels::drafts::propose::Params::FIELDS,
            vec![text!("drafts/propose"), LANE],
            constants.clone(),
        );
    }
    add("keep", crate::kernels::drafts::keep::Params::FIELDS, vec![text!("drafts/keep"), LANE, GRANTED], vec![]);
    add("lookup", crate::kernels::drafts::lookup::Params::FIELDS, vec![text!("drafts/lookup"), LANE], vec![]);
    add("recall", crate::kernels::drafts::recall::Params::FIELDS, vec![text!("drafts/recall"), LANE, HASH], vec![]);
    add("leave", crate::kernels::exits::leave::Params::FIELDS, vec![text!("exits/leave"), SCAN, LANE, GRANTED], vec![]);
    add(
        "own_logits",
        crate::kernels::exits::own_logits::Params::FIELDS,
        vec![text!("exits/own_logits"), GRANTED],
        vec![],
    );
    add("settled", crate::kernels::exits::settled::Params::FIELDS, vec![text!("exits/settled"), REDUCE], vec![]);
    add("sift", crate::kernels::exits::sift::Params::FIELDS, vec![text!("exits/sift"), SCAN, GRANTED], vec![]);
    for rule in Rule::ALL {
        let parts = crate::kernels::exits::verdict::source(rule).parts;
        add("verdict", crate::kernels::exits::verdict::Params::FIELDS, parts, vec![]);
        add(
            "scorer",
            crate::kernels::exits::scorer::Params::FIELDS,
            crate::kernels::exits::scorer::source(rule.text()).parts,
            vec![],
        );
    }
    for rule in Rule::ALL.map(Rule::text).into_iter().chain([NEVER]) {
        let parts = crate::kernels::exits::cosine::source(rule).parts;
        add("cosine", crate::kernels::exits::cosine::Params::FIELDS, parts, vec![]);
        for statistic in Statistic::ALL {
            let parts = crate::kernels::exits::head_statistic::source(statistic, rule).parts;
            add("head_statistic", crate::kernels::exits::head_statistic::Params::FIELDS, parts, vec![]);
        }
    }
    add("slice", crate::kernels::exits::slice::Params::FIELDS, vec![text!("exits/slice")], vec![]);
    add(
        "lora_down",
        crate::kernels::products::lora_down::Params::FIELDS,
        vec![text!("products/lora_down"), REDUCE],
        vec![],
    );
    add("lora_up", crate::kernels::products::lora_up::Params::FIELDS, vec![text!("products/lora_up")], vec![]);
    for (part, constants) in [(GATHERED_NOWHERE, vec![]), (GATHERED, vec![("GATHERED", 6)])] {
        let parts = vec![text!("rows/rms_norm"), REDUCE, part, TEXEL];
        let constants = [&[("MODE", crate::kernels::rows::rms_norm::WRITE)], &constants[..]].concat();
        add("rms_norm", crate::kernels::rows::rms_norm::Params::FIELDS, parts, constants);
    }
    let sum = vec![text!("rows/rms_norm"), REDUCE, GATHERED_NOWHERE, TEXEL];
    let add_sum = vec![("MODE", crate::kernels::rows::rms_norm::ADD)];
    add("rms_norm", crate::kernels::rows::rms_norm::Params::FIELDS, sum, add_sum);
    add(
        "select_top_k",
        crate::kernels::exits::select_top_k::Params::FIELDS,
        vec![text!("exits/select_top_k"), GRANTED],
        vec![],
    );
    for activation in Activation::ALL {
        for (part, mut constants) in [(GATHERED_NOWHERE, vec![]), (GATHERED, vec![("GATHERED", 4)])] {
            let (activate, constant) = activation.text();
            constants.extend(constant);
            add(
                "swiglu",
                crate::kernels::rows::swiglu::Params::FIELDS,
                vec![text!("rows/swiglu"), activate, part, TEXEL],
                constants,
            );
        }
    }
    all
}

/// Variants for devices with subgroups, which core WebGPU does not promise; each has a twin in [`all`].
pub fn with_subgroups() -> Vec<Variant> {
    let mut all = Vec::new();
    let mut add =
        |kernel, fields, parts, constants| all.push(Variant { kernel, source: Source { parts, constants }, fields });
    for data_type in DataType::ALL {
        for columns in ROWS {
            let parts = serial(data_type, COLUMN_SUBGROUP);
            let (activate, _) = Activation::Silu.text();
            let glu = [&[text!("products/matvec_glu")], &parts[1..], &[activate, GATHERED]].concat();
            add("matvec_serial", crate::kernels::products::matvec::Params::FIELDS, parts, vec![("COLS", columns)]);
            let constants = vec![("COLS", columns), ("GELU", 0), ("GATHERED", 4)];
            add("matvec_glu", crate::kernels::products::matvec::Params::FIELDS, glu, constants);
        }
    }
    for (head_dim, group) in HEADS {
        for held in HELD {
            let own = [text!("attention/attention_subgroup"), ENTRIES, KV, held, REDUCE_SUBGROUP];
            let parts = |to: &[&'static str]| [&own, to].concat();
            let constants = vec![("HEAD4", head_dim.div_ceil(4)), ("GROUP", group)];
            let whole = [&constants[..], &[("GATHERED", 8)]].concat();
            add(
                "attention_subgroup",
                crate::kernels::attention::attention_stretch::Params::FIELDS,
                parts(&[ATTENDED_STRETCH]),
                constants,
            );
            let parts = parts(&[ATTENDED_WHOLE, GATHERED, TEXEL]);
            add("attention_subgroup", crate::kernels::attention::attention_stretch::Params::FIELDS, parts, whole);
        }
    }
    let norm = vec![text!("rows/rms_norm"), REDUCE_SUBGROUP, GATHERED, TEXEL];
    let constants = vec![("MODE", crate::kernels::rows::rms_norm::WRITE), ("GATHERED", 6)];
    add("rms_norm", crate::kernels::rows::rms_norm::Params::FIELDS, norm, constants);
    for alternatives in [0, 4] {
        let constants = vec![("DRAWN", crate::kernels::draw::alternatives::drawn_words(alternatives))];
        add(
            "sample",
            crate::kernels::draw::sample::Params::FIELDS,
            vec![text!("draw/sample"), SEEN, DRAW, FOLD_SUBGROUP],
            constants,
        );
    }
    all
}
