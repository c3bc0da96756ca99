//! What an adapter is good at: all that is known of drivers, in one place.
//!
//! The rest of the program asks for a trait, never for a name. Which kernel follows from them is for `runtime/recipe.rs`.
//!
//! **Invariant:** a pure function of what the driver tells, so that every kind of machine is tested without one.

/// Where an adapter computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Kind {
    /// A graphics card with memory of its own.
    Discrete,
    /// A GPU that shares the processors' memory.
    Integrated,
    /// A GPU lent by another machine or system.
    Virtual,
    /// The driver does not tell; most browsers.
    #[default]
    Other,
    /// The machine's processors play a GPU.
    Software,
}

impl Kind {
    /// All of them, the one that is taken first where there is a choice first.
    pub const ALL: [Self; 5] = [Self::Discrete, Self::Integrated, Self::Virtual, Self::Other, Self::Software];

    /// The word for lists and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Discrete => "discrete",
            Self::Integrated => "integrated",
            Self::Virtual => "virtual",
            Self::Other => "other",
            Self::Software => "software",
        }
    }

    /// The kind of that name; [`Kind::Other`] where there is none.
    pub fn of_name(name: &str) -> Self {
        Self::ALL.into_iter().find(|kind| kind.name() == name).unwrap_or_default()
    }

    /// The processors that draw, compute and run the program are the same: a frame waits behind what is computed, a moving
    /// picture takes from it, and the driver may compute within the call that submits.
    pub fn shares_processors(self) -> bool {
        self == Self::Software
    }
}

impl From<wgpu::DeviceType> for Kind {
    fn from(device_type: wgpu::DeviceType) -> Self {
        match device_type {
            wgpu::DeviceType::DiscreteGpu => Self::Discrete,
            wgpu::DeviceType::IntegratedGpu => Self::Integrated,
            wgpu::DeviceType::VirtualGpu => Self::Virtual,
            wgpu::DeviceType::Cpu => Self::Software,
            wgpu::DeviceType::Other => Self::Other,
        }
    }
}

/// Threads of a subgroup: a driver may choose between two bounds, kernel by kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subgroups {
    /// Fewest.
    pub min: u32,
    /// Most.
    pub max: u32,
}

/// The kind of memory from which a kernel reads a whole vector at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Storage {
    /// Storage buffers.
    #[default]
    Buffer,
    /// Textures of four words a texel. A driver that runs on a CPU reads a vector from a buffer word by word, each behind a
    /// branch of its own.
    Texture,
}

/// What an adapter, or a device of it, is good at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traits {
    /// Where it computes.
    pub kind: Kind,
    /// Subgroups, where kernels can use them.
    pub subgroups: Option<Subgroups>,
    /// Kernels can compute with 16-bit floats.
    pub half: bool,
    /// Four products of bytes cost one instruction. WGSL always has them; elsewhere they are many instructions.
    pub integer_dot: bool,
    /// Kernels can multiply small matrices as a subgroup.
    pub matrices: bool,
    /// Passes can be timed.
    pub timestamps: bool,
    /// Compiled pipelines can be kept from one run of the program to the next, and this saves time.
    pub pipeline_cache: bool,
    /// Where weights, and what is multiplied with them, lie best.
    pub weights: Storage,
    /// Workgroup memory and barriers cost more than they save: a barrier ends and begins all threads' loops there.
    pub dear_workgroup_memory: bool,
    /// Passes through loops, all together, that a thread can count on.
    pub max_loops: Option<u32>,
    /// Values of a uniform block that decide a branch are compiled into the kernel.
    pub bakes_blocks: bool,
    /// Workgroups that keep all processors evenly at work, where fewer are better than more.
    pub workgroups: Option<u32>,
    /// Ticks that are handed over before the oldest is read, at least.
    pub ahead: usize,
    /// Pipelines are compiled when they are made, so that making them early saves waiting.
    pub compiles_at_once: bool,
    /// A round over lanes of all depths is worth its dispatches.
    pub mixed_rounds: bool,
    /// Bytes of a copy that no cache holds.
    pub copy_bytes: u64,
}

impl Default for Traits {
    /// Of an adapter that tells nothing: what every GPU with WebGPU does well.
    fn default() -> Self {
        Self {
            kind: Kind::Other,
            subgroups: None,
            half: false,
            integer_dot: false,
            matrices: false,
            timestamps: false,
            pipeline_cache: false,
            weights: Storage::Buffer,
            dear_workgroup_memory: false,
            max_loops: None,
            bakes_blocks: false,
            workgroups: None,
            ahead: 3,
            compiles_at_once: true,
            mixed_rounds: true,
            copy_bytes: 128 << 20,
        }
    }
}

/// PCI numbers of those who make GPUs with a byte dot product: NVIDIA (since Pascal), AMD (since RDNA 2, mostly), Intel (since
/// Xe). Apple's and most phones' GPUs have none, and there it takes three times the instructions of the product of floats.
const WITH_INTEGER_DOT: [u32; 3] = [0x10de, 0x1002, 0x8086];

/// llvmpipe ends every loop for good after 65,535 passes, all loops of a thread together. A browser tells no driver's name,
/// so every driver of this kind is taken for one that does.
const MAX_LOOPS: u32 = 60_000;

impl Traits {
    /// What follows from the driver's words; `processors` are those of this machine.
    ///
    /// llvmpipe and lavapipe are Mesa's driver for CPUs, with subgroups of 8 threads; SwiftShader is the browsers' (4 threads).
    pub fn of(info: &wgpu::AdapterInfo, features: wgpu::Features, limits: &wgpu::Limits, processors: u32) -> Self {
        let kind = Kind::from(info.device_type);
        let (min, max) = (info.subgroup_min_size, info.subgroup_max_size);
        let has = |feature| features.contains(feature);
        let known = Self {
            kind,
            subgroups: has(wgpu::Features::SUBGROUP).then_some(Subgroups { min, max }),
            half: has(wgpu::Features::SHADER_F16),
            integer_dot: WITH_INTEGER_DOT.contains(&info.vendor) && info.backend != wgpu::Backend::Metal,
            matrices: has(wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX),
            timestamps: has(wgpu::Features::TIMESTAMP_QUERY),
            pipeline_cache: has(wgpu::Features::PIPELINE_CACHE),
            ..Self::default()
        };
        if kind != Kind::Software {
            return known;
        }
        Self {
            integer_dot: false,
            weights: Storage::Texture,
            dear_workgroup_memory: true,
            max_loops: Some(MAX_LOOPS),
            // Lavapipe puts the value of a uniform that decides a branch into the shader. Where that changes much, it compiles
            // the shader anew each time the pipeline is bound, and keeps what it made until the pipeline goes. Storage it
            // leaves alone, but reads it eight times where a uniform is read once: only kernels that need it have their block
            // there, where there is a binding to spare.
            bakes_blocks: info.driver.starts_with("llvmpipe") && limits.max_storage_buffers_per_shader_stage > 8,
            // Such drivers give each processor its stretch of the grid in advance: several for each come out even.
            workgroups: Some(4 * processors.max(1)),
            // They compile when a pipeline is first dispatched, for the textures that it then has; one that is never used would
            // only cost.
            compiles_at_once: false,
            // And what they have compiled they keep elsewhere or not at all: the bytes that they give are a header.
            pipeline_cache: false,
            // They compute as long as they read, so a pass that is shared saves nothing (measured: docs/performance.md).
            mixed_rounds: false,
            copy_bytes: 64 << 20,
            ..known
        }
    }

    /// Threads of a subgroup, where all are of one size.
    pub fn subgroup_size(&self) -> Option<u32> {
        self.subgroups.filter(|threads| threads.min == threads.max).map(|threads| threads.max)
    }

    /// The window needs a queue of its own: a tick takes a tenth of a second there, and a frame behind those that wait in one
    /// queue comes too late.
    pub fn window_apart(&self) -> bool {
        self.kind.shares_processors()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn traits(
        kind: wgpu::DeviceType,
        backend: wgpu::Backend,
        vendor: u32,
        driver: &str,
        subgroup: (u32, u32),
        features: wgpu::Features,
    ) -> Traits {
        let mut info = wgpu::AdapterInfo::new(kind, backend);
        (info.vendor, info.driver) = (vendor, driver.to_owned());
        (info.subgroup_min_size, info.subgroup_max_size) = subgroup;
        let limits = wgpu::Limits { max_storage_buffers_per_shader_stage: 32, ..Default::default() };
        Traits::of(&info, features, &limits, 2)
    }

    const USUAL: wgpu::Features = wgpu::Features::SUBGROUP.union(wgpu::Features::TIMESTAMP_QUERY);

    #[test]
    fn processors_that_play_a_gpu() {
        let (cpu, vulkan) = (wgpu::DeviceType::Cpu, wgpu::Backend::Vulkan);
        let mesa = traits(cpu, vulkan, 0x10005, "llvmpipe", (8, 8), USUAL | wgpu::Features::PIPELINE_CACHE);
        assert_eq!((mesa.subgroup_size(), mesa.weights, mesa.workgroups), (Some(8), Storage::Texture, Some(8)));
        assert!(mesa.bakes_blocks && mesa.max_loops.is_some_and(|most| most < 65_535) && mesa.window_apart());
        assert!(!mesa.mixed_rounds && !mesa.integer_dot && mesa.dear_workgroup_memory);
        let swift = traits(cpu, vulkan, 0x1ae0, "SwiftShader driver", (4, 4), USUAL);
        assert!(!mesa.pipeline_cache);
        assert!(!swift.bakes_blocks && swift.subgroup_size() == Some(4) && swift.weights == Storage::Texture);
        // A browser says that it is one, and no more.
        let hidden = traits(cpu, wgpu::Backend::BrowserWebGpu, 0, "", (4, 128), wgpu::Features::empty());
        assert_eq!((hidden.subgroups, hidden.weights, hidden.bakes_blocks), (None, Storage::Texture, false));
        // No binding is to spare on the least device.
        let mut info = wgpu::AdapterInfo::new(cpu, vulkan);
        info.driver = "llvmpipe".into();
        assert!(!Traits::of(&info, USUAL, &wgpu::Limits::default(), 2).bakes_blocks);
    }

    #[test]
    fn gpus() {
        let features = USUAL | wgpu::Features::SHADER_F16 | wgpu::Features::PIPELINE_CACHE;
        let vulkan = wgpu::Backend::Vulkan;
        let rtx = traits(wgpu::DeviceType::DiscreteGpu, vulkan, 0x10de, "NVIDIA", (32, 32), features);
        assert!(rtx.subgroup_size() == Some(32) && rtx.integer_dot && rtx.half && rtx.pipeline_cache);
        let apple = traits(
            wgpu::DeviceType::IntegratedGpu,
            wgpu::Backend::Metal,
            0,
            "",
            (4, 64),
            USUAL | wgpu::Features::SHADER_F16,
        );
        assert!(!apple.integer_dot && apple.half && apple.subgroup_size().is_none());
        let intel = traits(wgpu::DeviceType::IntegratedGpu, vulkan, 0x8086, "Intel open-source Mesa", (8, 32), USUAL);
        assert!(intel.integer_dot && intel.subgroups == Some(Subgroups { min: 8, max: 32 }) && !intel.half);
        for gpu in [rtx, apple, intel] {
            assert_eq!((gpu.weights, gpu.max_loops, gpu.workgroups), (Storage::Buffer, None, None));
            assert!(gpu.mixed_rounds && !gpu.dear_workgroup_memory && !gpu.bakes_blocks && !gpu.window_apart());
        }
    }

    #[test]
    fn a_browser_that_tells_nothing() {
        let kind = wgpu::DeviceType::Other;
        let got = traits(kind, wgpu::Backend::BrowserWebGpu, 0, "", (4, 128), wgpu::Features::empty());
        assert_eq!(got, Traits::default());
    }

    #[test]
    fn kinds_have_names() {
        for kind in Kind::ALL {
            assert_eq!(Kind::of_name(kind.name()), kind);
        }
        assert_eq!(Kind::of_name("a toaster"), Kind::Other);
    }
}
