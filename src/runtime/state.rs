//! What lives on the GPU beside the weights: rows under way, lanes, and the paged KV cache.

use crate::error::{Error, GpuError};
use crate::gpu::{Buffer, Gpu};
use crate::kernels::attention::attention_stretch::Tile;
use crate::kernels::attention::rope::rotations;
use crate::kernels::draw::alternatives::drawn_words;
use crate::kernels::exits::finish;
use crate::kernels::products::gather::Inputs;
use crate::kernels::{NEXT_TOKEN, PAGE, STRETCH, padded};
use crate::network::config::ModelConfig;
use crate::network::gate::ScorerLayers;
use crate::network::plan::{Plan, Residual};
use crate::runtime::cache::{self, Cache};
use crate::runtime::deferral::Deferral;
use crate::runtime::draft::Drafter;
use crate::runtime::leave::Leave;
use crate::runtime::lists::Lists;
use crate::runtime::recipe::Recipe;
use crate::runtime::room::Fit;
pub use crate::runtime::room::Room;
use crate::runtime::weights::Weights;

/// Sizes derived from the network, in the units of the kernels.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// Room that was made.
    pub room: Room,
    /// Numbers per hidden row.
    pub hidden: u32,
    /// Numbers per row of q, k, v.
    pub qkv: u32,
    /// Numbers per row of attention's output.
    pub attended: u32,
    /// Numbers per row of the feed-forward activation.
    pub activation: u32,
    /// Pages per lane and class.
    pub max_pages: u32,
    /// Pages of class 0 for all lanes; each further class adds as many to the pool that they share.
    pub pages: u32,
    /// Stretches of the whole context.
    pub max_stretches: u32,
    /// Words of a lane's set of seen tokens.
    pub seen: u32,
    /// Largest rank of an adapter.
    pub rank: u32,
    /// Attention's tile.
    pub tile: Tile,
}

/// Buffers of the rows; each `[rows of a step + lanes, ...]`.
#[derive(Debug)]
pub struct Rows {
    /// Lane, position, round, KV index.
    pub info: Buffer,
    /// Token of a row of a step, or of a guess; a lane's next token stands in its history.
    pub tokens: Buffer,
    /// First row of the same lane.
    pub first: Buffer,
    /// Rounds granted, of [`crate::kernels::Granted`].
    pub granted: Buffer,
    /// Scratch of `bucket`.
    pub before: Buffer,
    /// Lists: all rows; rows whose logits are wanted (a part of [`State::lists`]); rows of the current and of the next round.
    pub all: Buffer,
    /// See `all`.
    pub heads: Buffer,
    /// See `all`.
    pub rounds: [Buffer; 2],
    /// Residual stream.
    pub hidden: Buffer,
    /// What a round works on; the stream itself where a round replaces it.
    pub work: Buffer,
    /// Behind a norm.
    pub normed: Inputs,
    /// Queries, keys, values.
    pub qkv: Buffer,
    /// Stretches of attention.
    pub partial: Buffer,
    /// Attention's output.
    pub attended: Inputs,
    /// Gate and up.
    pub glu: Buffer,
    /// Feed-forward activation; not written where gate, up and activation are one kernel.
    pub activation: Inputs,
    /// Inside an adapter.
    pub inner: Buffer,
    /// Inside a scorer.
    pub scorer_inner: Buffer,
    /// What a gate measured before each round.
    pub scores: Buffer,
    /// Factors of what a round adds.
    pub factors: Buffer,
    /// `[heads, vocabulary]`
    pub logits: Buffer,
    /// `[heads]` of token and log-probability
    pub drawn: Buffer,
}

/// Buffers of the lanes.
#[derive(Debug)]
pub struct Lanes {
    /// Token at each position, up to the last that was drawn, `[lanes, context]`.
    pub history: Buffer,
    /// Set of tokens seen, `[lanes, seen]`.
    pub seen: Buffer,
    /// Sampling settings, `[lanes]`.
    pub settings: Buffer,
    /// Entries in the cache, `[lanes, classes]`.
    pub lengths: Buffer,
    /// Rounds run by each position, `[lanes, context]`.
    pub reach: Buffer,
    /// Rounds that each position is to run, of lanes that are given them, `[lanes, context]`; next to nothing before the
    /// first such lane.
    pub given: Buffer,
    /// `[lanes, classes, max_pages]`
    pub pages: Buffer,
    /// What each lane is doing, `[lanes]` of [`crate::kernels::Control`].
    pub control: Buffer,
    /// Lists: rows at round 0, rows between two rounds, both, and rows that leave; parts of [`State::lists`].
    pub entering: Buffer,
    /// See `entering`.
    pub deeper: Buffer,
    /// See `entering`.
    pub live: Buffer,
    /// See `entering`.
    pub leaving: Buffer,
    /// End tokens, `[count, ...]`; a part of [`State::lists`].
    pub ends: Buffer,
    /// What the tick tells, see [`crate::kernels::exits::finish::LaneEvent`].
    pub events: Buffer,
}

/// Everything.
#[derive(Debug)]
pub struct State {
    /// Sizes.
    pub sizes: Sizes,
    /// Rows.
    pub rows: Rows,
    /// Lanes.
    pub lanes: Lanes,
    /// All lists that one kernel writes or reads together, one behind the other.
    pub lists: Buffer,
    /// KV cache, see `shaders/lib/kv.wgsl`.
    pub caches: Vec<Cache>,
    /// Cosine and sine of each position, a table for each that [`Form::frequencies`] gives.
    ///
    /// [`Form::frequencies`]: crate::network::form::Form::frequencies
    pub rotations: Vec<Buffer>,
    /// Depths of the tokens that a tick reads, until the host has them, `[rows of a step]` of
    /// [`crate::kernels::Granted`].
    pub read_depths: Buffer,
    /// A page on its way to another place.
    pub page_in_transit: Buffer,
    /// Which kernels run.
    pub recipe: Recipe,
    /// Who guesses what follows, the first one first; nobody where lanes have one row.
    pub drafters: Vec<Drafter>,
    /// How deeper layers are put off, if they are.
    pub deferral: Option<Deferral>,
    /// How tokens leave early, where they do.
    pub leave: Option<Leave>,
}

impl Sizes {
    fn of(config: &ModelConfig, weights: &Weights, room: Room) -> Self {
        let adapters = weights.layers.iter().flat_map(|layer| layer.adapters.values());
        Self {
            room,
            hidden: padded(config.hidden_size),
            qkv: (config.n_heads + 2 * config.n_kv_heads) * config.head_dim,
            attended: padded(config.n_heads * config.head_dim),
            activation: padded(config.intermediate_size),
            max_pages: room.context.div_ceil(PAGE),
            pages: room
                .cache_tokens
                .div_ceil(PAGE)
                .clamp(room.context.div_ceil(PAGE), room.lanes * room.context.div_ceil(PAGE)),
            max_stretches: room.context.div_ceil(STRETCH),
            seen: config.vocab_size.div_ceil(32),
            rank: adapters.map(|adapter| adapter.rank).max().unwrap_or(0),
            tile: Tile::largest(config.n_heads, config.n_kv_heads, config.head_dim),
        }
    }
}

impl State {
    /// Makes room.
    ///
    /// # Errors
    /// [`GpuError::TooLarge`] or [`GpuError::OutOfMemory`], naming what did not fit.
    pub async fn new(
        gpu: &Gpu,
        config: &ModelConfig,
        plan: &Plan,
        weights: &Weights,
        room: Room,
    ) -> Result<Self, Error> {
        // Bind groups of an earlier state would keep its memory.
        gpu.forget_bind_groups();
        let sizes = Sizes::of(config, weights, room);
        let recipe = Recipe::new(gpu.traits(), room.lane_rows());
        let lists = Lists::new(gpu, &config.end_tokens, room)?;
        let state = Self {
            sizes,
            rows: rows(gpu, config, plan, &sizes, &recipe, &lists)?,
            lanes: lanes(gpu, plan, &sizes, &lists)?,
            lists: lists.all,
            caches: cache::caches(gpu, config, plan, sizes.pages)?,
            rotations: rotation_tables(gpu, plan, room)?,
            read_depths: gpu.buffer("depths of a tick", u64::from(room.rows) * 8)?,
            page_in_transit: gpu.buffer("page in transit", cache::page_bytes(config))?,
            recipe,
            drafters: Vec::new(),
            deferral: None,
            leave: None,
        };
        gpu.check().await?;
        Ok(state)
    }

    /// Makes the room that is wanted, or less of it where the device has no more: `fit` tells what.
    ///
    /// # Errors
    /// As [`State::new`], where even the least is too much.
    pub async fn fitting(
        gpu: &Gpu,
        config: &ModelConfig,
        plan: &Plan,
        weights: &Weights,
        fit: &mut Fit,
    ) -> Result<Self, Error> {
        loop {
            match Self::new(gpu, config, plan, weights, fit.room()).await {
                Err(Error::Gpu(error)) if fit.shrink(&error) => gpu.release().await,
                made => return made,
            }
        }
    }

    /// Bytes of the KV cache.
    pub fn cache_bytes(&self) -> u64 {
        self.caches.iter().flat_map(|cache| &cache.bindings).map(Buffer::bytes).sum()
    }
}

fn rotation_tables(gpu: &Gpu, plan: &Plan, room: Room) -> Result<Vec<Buffer>, GpuError> {
    let table = |frequencies: &Vec<f32>| gpu.upload("rotations", &rotations(room.context, frequencies));
    plan.form.frequencies().iter().map(table).collect()
}

fn rows(
    gpu: &Gpu,
    config: &ModelConfig,
    plan: &Plan,
    sizes: &Sizes,
    recipe: &Recipe,
    lists: &Lists,
) -> Result<Rows, GpuError> {
    let n = u64::from(sizes.room.rows + sizes.room.lane_rows());
    let per_row = |label: &str, numbers: u32| gpu.buffer(label, n * u64::from(numbers.max(1)) * 4);
    let list = |label| gpu.buffer(label, (n + 1) * 4);
    let mlp = plan.scorers.iter().any(|scorer| scorer.layers == ScorerLayers::Mlp);
    let hidden = per_row("hidden", sizes.hidden)?;
    let stretches = config.n_heads * sizes.max_stretches * (config.head_dim.div_ceil(4) + 1) * 4;
    let heads = u64::from(sizes.room.heads.max(sizes.room.lane_rows()));
    let texture =
        |label: &str, width: u32| recipe.gathers().then(|| gpu.texture(label, n * u64::from(width) * 4)).transpose();
    // One holds the inputs of whatever product is next; what an activation makes is made while another is read.
    let gathered = texture("inputs of a product", sizes.hidden.max(sizes.attended))?;
    // A lane's own rows have no company but one another.
    let own = |row: u32| row - row.saturating_sub(sizes.room.rows) % sizes.room.span;
    let own: Vec<u32> = (0..sizes.room.rows + sizes.room.lane_rows()).map(own).collect();
    Ok(Rows {
        info: per_row("rows", 4)?,
        // A step writes its own; so do guesses, and the first row of a lane always takes what the lane drew.
        tokens: gpu.upload("tokens", &vec![NEXT_TOKEN; own.len()])?,
        first: gpu.upload("first rows", &own)?,
        granted: per_row("rounds granted", 2)?,
        before: per_row("bucket scratch", 1)?,
        all: list("all rows")?,
        heads: lists.heads.clone(),
        rounds: [list("rows of a round")?, list("rows of a round")?],
        work: if plan.residual == Residual::Replace { hidden.clone() } else { per_row("round", sizes.hidden)? },
        hidden,
        normed: Inputs { rows: per_row("normed", sizes.hidden)?, gathered: gathered.clone() },
        qkv: per_row("q, k, v", sizes.qkv)?,
        partial: per_row("attention stretches", stretches)?,
        attended: Inputs { rows: per_row("attended", sizes.attended)?, gathered },
        glu: per_row("gate and up", 2 * config.intermediate_size)?,
        activation: Inputs {
            rows: per_row("activation", sizes.activation)?,
            gathered: texture("activated", sizes.activation)?,
        },
        inner: per_row("adapter", sizes.rank)?,
        scorer_inner: per_row("scorer", if mlp { padded(2 * config.hidden_size) } else { 1 })?,
        scores: per_row("scores", plan.n_rounds())?,
        factors: per_row("factors", 1)?,
        logits: gpu.buffer("logits", heads * u64::from(config.vocab_size) * 4)?,
        drawn: gpu.buffer("drawn", heads * u64::from(drawn_words(sizes.room.alternatives)) * 4)?,
    })
}

fn lanes(gpu: &Gpu, plan: &Plan, sizes: &Sizes, lists: &Lists) -> Result<Lanes, GpuError> {
    let Room { lanes, span, context, .. } = sizes.room;
    let words = |label: &str, per_lane: u32| gpu.buffer(label, u64::from(lanes) * u64::from(per_lane) * 4);
    // Pages are handed out by whoever writes the tables; this is what one who hands out none wants.
    let page = |lane: u32, class: u32, i: u32| {
        let place = if class == 0 { lane } else { lane * (plan.classes - 1) + class - 1 };
        place * sizes.max_pages + i
    };
    let table: Vec<u32> = (0..lanes)
        .flat_map(|lane| (0..plan.classes).map(move |class| (lane, class)))
        .flat_map(|(lane, class)| (0..sizes.max_pages).map(move |i| page(lane, class, i)))
        .collect();
    // In one tick a lane can end a prompt and draw its next tokens behind it.
    let events =
        finish::EVENTS_START + lanes * (1 + span) * finish::event_words(plan.n_rounds(), sizes.room.alternatives);
    Ok(Lanes {
        control: words("lanes", size_of::<crate::kernels::Control>() as u32 / 4)?,
        entering: lists.entering.clone(),
        deeper: lists.deeper.clone(),
        live: lists.live.clone(),
        leaving: lists.leaving.clone(),
        ends: lists.ends.clone(),
        events: gpu.buffer("events", u64::from(events) * 4)?,
        history: words("tokens by position", context)?,
        seen: words("seen tokens", sizes.seen)?,
        settings: words("sampling settings", 8)?,
        lengths: words("cache lengths", plan.classes)?,
        reach: words("rounds run", context)?,
        // Of its full size once a lane is given depths.
        given: gpu.buffer("depths given", 4)?,
        pages: gpu.upload("pages", &table)?,
    })
}
