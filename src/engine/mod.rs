//! Sequences in, events out.
//!
//! [`Engine::load`] puts a model on the GPU. [`Engine::submit`] queues a sequence and [`Engine::next`] tells what becomes
//! of all of them; [`Engine::generate`] does both for one. What is told is an [`Event`].

mod ahead;
pub mod cached;
pub mod deferring;
pub mod drafters;
mod estimate;
pub mod event;
mod exits;
mod generate;
pub mod guessing;
mod lane;
mod mean;
pub mod measure;
mod perform;
mod policy;
mod report;
pub mod request;
pub mod score;
pub mod states;
mod statistics;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::error::{Error, GpuError, RequestError};
use crate::gpu::Gpu;
use crate::gpu::device::Clock;
pub use crate::kernels::MAX_GUESSES;
use crate::network::config::ModelConfig;
use crate::network::plan::Plan;
use crate::runtime::room::{Cut, Fit, Room};
use crate::runtime::state::State;
use crate::runtime::step::{Depth, Network};
use crate::runtime::tick::Order;
use crate::runtime::weights::{Loader, Weights};
pub use crate::schedule::SequenceId;
use crate::schedule::{Occupancy, Scheduler, Shape};
use crate::tensor::TensorSource;
use crate::text::tokenizer::Tokenizer;
use event::Event;
use request::{Request, Routing};
pub use statistics::{HostTime, Statistics};

/// How to load a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EngineOptions {
    /// Tokens of the longest sequence; `None` takes the model's own context, at most [`DEFAULT_CONTEXT`].
    pub context: Option<u32>,
    /// Tokens of prompts that are computed at once, of all lanes together.
    pub max_rows: u32,
    /// Sequences that are computed side by side.
    pub lanes: u32,
    /// Rows whose logits are computed at once; at least one per lane. Only [`Engine::score`] gains by more.
    pub heads: u32,
    /// Order of the rounds; `None` takes what suits the model and the number of lanes.
    pub order: Option<Order>,
    /// Tokens that the KV cache holds for all lanes together, at least those of one sequence; `None` makes room for all, or as
    /// much of it as [`CACHE_BYTES`](crate::runtime::room::CACHE_BYTES) hold. With less than all lanes could fill, sequences
    /// wait or are computed again when pages run out, with the same result.
    pub cache_tokens: Option<u32>,
    /// Keep what was computed for later prompts that begin alike.
    pub prefix_cache: bool,
    /// Times every kernel, where the device can.
    pub profile: bool,
    /// Most probable tokens that are told with each written one; at most [`MAX_ALTERNATIVES`].
    pub alternatives: u32,
    /// Most guesses behind a sequence's next token, for which room is made; at most [`MAX_GUESSES`]. Who guesses is said by
    /// [`Engine::set_drafting`].
    pub guesses: u32,
    /// Most tokens of a sequence whose deeper layers are put off, for which room is made; at most [`MAX_DEFERRED`]. Whether any are
    /// is said by [`Engine::set_deferring`].
    pub deferred: u32,
}

/// Most tokens of a sequence whose deeper layers are put off.
pub const MAX_DEFERRED: u32 = 31;

/// Most tokens told with each written one.
pub const MAX_ALTERNATIVES: u32 = 16;

/// Most sequences side by side: one workgroup walks over all lanes.
pub const MAX_LANES: u32 = 256;

/// Something that happened to a sequence.
#[derive(Debug, Clone, PartialEq)]
pub struct Reported {
    /// The sequence.
    pub sequence: SequenceId,
    /// The lane in which it happened; none where the sequence had none.
    pub lane: Option<u32>,
    /// What happened.
    pub event: Event,
}

/// Longest sequence unless another is asked for: the cache of a long context would take memory that few prompts need.
pub const DEFAULT_CONTEXT: u32 = 4096;

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            context: None,
            max_rows: 256,
            lanes: 1,
            heads: 1,
            order: None,
            cache_tokens: None,
            prefix_cache: true,
            profile: false,
            alternatives: 0,
            guesses: 0,
            deferred: 0,
        }
    }
}

/// A model on a GPU.
pub struct Engine {
    gpu: Gpu,
    config: ModelConfig,
    plan: Plan,
    weights: Weights,
    state: State,
    tokenizer: Arc<Tokenizer>,
    order: Order,
    /// Ticks that are submitted before the oldest is read.
    ahead: ahead::Ahead,
    scheduler: Scheduler,
    active: HashMap<SequenceId, lane::Active>,
    lanes: Vec<Option<lane::OnLane>>,
    /// What was asked for and could not be had.
    cuts: Vec<Cut>,
    in_flight: VecDeque<perform::InFlight>,
    events: VecDeque<Reported>,
    last_id: u64,
    statistics: Statistics,
    /// When guesses are checked, and how many.
    guessing: estimate::Estimates,
    /// How deeper layers are put off.
    deferring: deferring::Postponed,
    /// Guesses behind a token in the last tick that was submitted.
    guesses_before: u32,
    clock: Option<Clock>,
    /// Decides on depth in place of the model, while a machine is measured.
    depths: Option<measure::DepthSource>,
}

impl Engine {
    /// Puts a model on the GPU; `progress` is told of bytes done and in total. Where the device lacks room the cache is made
    /// smaller, then there are fewer lanes, then sequences are shorter: [`Engine::cuts`] tells.
    ///
    /// # Errors
    /// What is wrong with the model, or what the GPU has no room for.
    pub async fn load(
        gpu: Gpu,
        config: &ModelConfig,
        source: &dyn TensorSource,
        tokenizer: Tokenizer,
        options: EngineOptions,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Self, Error> {
        let context = options.context.unwrap_or_else(|| config.context_length.min(DEFAULT_CONTEXT));
        if context == 0 || context > config.context_length {
            let range = format!("between 1 and {}, the context the model was made for", config.context_length);
            return Err(RequestError::Setting { name: "context", value: context.to_string(), range }.into());
        }
        let plan = Plan::of(config)?;
        let lanes = options.lanes;
        if lanes == 0 || lanes > MAX_LANES {
            let range = format!("between 1 and {MAX_LANES}");
            return Err(RequestError::Setting { name: "lanes", value: lanes.to_string(), range }.into());
        }
        let mixes = plan.mixable;
        let order = match options.order {
            Some(Order::Mixed) if !mixes => return Err(measure::cannot_mix().into()),
            Some(order) => order,
            // A mixed pass reads shared weights once for lanes of all depths, but a token then takes more dispatches. Alone these
            // cost more than they save (measured: docs/performance.md).
            None if mixes && lanes > 1 && gpu.traits().mixed_rounds => Order::Mixed,
            None => Order::Waves,
        };
        let weights = Loader::new(&gpu, config, source, progress)?.load(&plan).await?;
        let wanted = Room {
            lanes,
            // Lanes at different rounds have nothing that could be checked together.
            span: if order == Order::Mixed { 1 } else { options.span() },
            context,
            rows: options.max_rows,
            heads: options.heads,
            cache_tokens: options.cache_tokens.unwrap_or(u32::MAX),
            alternatives: options.alternatives.min(MAX_ALTERNATIVES),
        };
        let mut fit = Fit::new(config, &plan, wanted, gpu.max_binding_bytes());
        let state = State::fitting(&gpu, config, &plan, &weights, &mut fit).await?;
        let lanes = state.sizes.room.lanes;
        let clock = gpu.clock();
        let ahead = ahead::Ahead::new(gpu.traits().ahead);
        let shape = Self::shape(&plan, &state, order, options.prefix_cache);
        let scheduler = Scheduler::new(shape).map_err(|refusal| GpuError::Internal { why: refusal.to_string() })?;
        if options.profile && !gpu.start_profile() {
            log::warn!("this device has no timestamps, so nothing is profiled");
        }
        Ok(Self {
            gpu,
            config: config.clone(),
            plan,
            weights,
            state,
            tokenizer: Arc::new(tokenizer),
            order,
            ahead,
            scheduler,
            active: HashMap::new(),
            lanes: vec![None; lanes as usize],
            cuts: fit.cuts(),
            in_flight: VecDeque::new(),
            events: VecDeque::new(),
            last_id: 0,
            statistics: Statistics::default(),
            guessing: estimate::Estimates::default(),
            deferring: deferring::Postponed::default(),
            guesses_before: 0,
            clock,
            depths: None,
        })
    }

    /// Sizes of what is scheduled.
    fn shape(plan: &Plan, state: &State, order: Order, prefix_cache: bool) -> Shape {
        let Room { lanes, span, context, rows, .. } = state.sizes.room;
        Shape {
            lanes,
            // A sequence needs a token to read and one to write.
            context: context.max(2),
            chunk: rows,
            classes: plan.classes,
            rounds: plan.n_rounds(),
            ticks_per_token: if order == Order::Mixed { plan.n_rounds() } else { 1 },
            span,
            compact: plan.compact(),
            pages: [state.sizes.pages, state.sizes.pages * (plan.classes - 1)],
            prefix_cache,
        }
    }

    /// The device.
    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// The network.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The order of its layers.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Text to tokens and back.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// Tokens of the longest sequence.
    pub fn context(&self) -> u32 {
        self.state.sizes.room.context
    }

    /// Sequences side by side.
    pub fn lanes(&self) -> u32 {
        self.state.sizes.room.lanes
    }

    /// Tokens of prompts that are read in one tick.
    pub fn chunk(&self) -> u32 {
        self.state.sizes.room.rows
    }

    /// What was asked for and could not be had: the device has no room for it. A line for each is worth telling.
    pub fn cuts(&self) -> &[Cut] {
        &self.cuts
    }

    /// Bytes of the KV cache that was set aside.
    pub fn cache_bytes(&self) -> u64 {
        self.state.cache_bytes()
    }

    /// Order of the rounds.
    pub fn order(&self) -> Order {
        self.order
    }

    /// Who waits and runs, and where the pages of the KV cache are.
    pub fn schedule(&self) -> Occupancy {
        self.scheduler.occupancy()
    }

    /// What the engine has done.
    pub fn statistics(&self) -> Statistics {
        self.statistics
    }

    fn network(&self) -> Network<'_> {
        let Self { gpu, config, plan, weights, state, .. } = self;
        Network { gpu, config, plan, weights, state, recipe: &state.recipe }
    }

    /// Refuses what cannot be run behind so many tokens of its own; returns how depth is decided.
    fn check(&self, request: &Request, written: usize) -> Result<Depth, RequestError> {
        request.sampling.check()?;
        self.leaves_depth(request)?;
        let (context, tokens) = (self.context() as usize, request.prompt.len() + written);
        if request.prompt.is_empty() {
            return Err(RequestError::EmptyPrompt);
        }
        if tokens >= context {
            let most = self.config.context_length as usize;
            let cut = self.cuts.iter().any(|cut| matches!(cut, Cut::Context { .. }));
            let hint = if cut {
                "; the GPU has no room for longer sequences".to_owned()
            } else if context < most {
                format!("; or load the model with a larger context (it allows {most})")
            } else {
                String::new()
            };
            return Err(RequestError::PromptTooLong { tokens, context, hint });
        }
        let vocabulary = self.config.vocab_size as usize;
        if let Some(&token) = request.prompt.iter().find(|&&token| token as usize >= vocabulary) {
            return Err(RequestError::TokenOutOfRange { token, vocabulary });
        }
        let setting = |name, value: String, range: String| Err(RequestError::Setting { name, value, range });
        let rounds = self.plan.n_rounds();
        match (request.depth, request.routing) {
            (Some(depth), _) if depth == 0 || depth > rounds => {
                setting("depth", depth.to_string(), format!("between 1 and {rounds}, the rounds of this model"))
            }
            (Some(depth), _) => Ok(Depth::Fixed(depth)),
            // What is read runs all rounds.
            (None, Routing::Threshold) if self.depths.is_some() => Ok(Depth::Fixed(rounds)),
            (None, Routing::Threshold) => Ok(Depth::Model),
            (None, Routing::TopK) => {
                if self.plan.together.is_none() {
                    let range = "threshold: this model was not trained to let the tokens of a text compete".to_owned();
                    return setting("routing", "top-k".into(), range);
                }
                let most = self.state.sizes.room.rows as usize;
                let tokens = request.prompt.len();
                if tokens > most {
                    let hint = "; top-k routing reads a prompt in one piece".to_owned();
                    return Err(RequestError::PromptTooLong { tokens, context: most, hint });
                }
                Ok(Depth::Together)
            }
        }
    }
}
