//! The table of rules by which GGUF files take text apart. Facts: llama.cpp, `llama-vocab.cpp` and `unicode.cpp`;
//! `tests/oracles/splits.py` asks it what each gives.

use super::splitting::Rule;
use super::splitting::Step::{self, Digits, Gpt2, Split};

macro_rules! contractions {
    () => {
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
    };
}

/// A word with what stands before it.
macro_rules! word {
    () => {
        r"[^\r\n\p{L}\p{N}]?\p{L}+"
    };
}

/// Punctuation with line ends behind it, line ends, spaces.
macro_rules! rest {
    () => {
        r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    };
}

/// The same with slashes behind punctuation.
macro_rules! rest_with_slashes {
    () => {
        r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    };
}

/// Words of capital letters and then small ones; letters beyond ASCII are both.
macro_rules! capitals_first {
    ($letters:literal, $end:expr) => {
        concat!(
            r"[^\r\n\p{L}\p{N}]?[",
            $letters,
            r"&&[^a-z]]*[",
            $letters,
            r"&&[^A-Z]]+",
            $end,
            r"|[^\r\n\p{L}\p{N}]?[",
            $letters,
            r"&&[^a-z]]+[",
            $letters,
            r"&&[^A-Z]]*",
            $end
        )
    };
}

/// Letters and marks in any order, with what stands before them.
macro_rules! letters_and_marks {
    () => {
        r"[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+"
    };
}

/// Punctuation that a word follows, words, punctuation.
macro_rules! deepseek_words {
    () => {
        concat!(
            r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+"##,
            r"|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+"
        )
    };
}

const GPT_2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
const LLAMA_3: &str = concat!(contractions!(), "|", word!(), r"|\p{N}{1,3}", rest!());
const QWEN_2: &str = concat!(contractions!(), "|", word!(), r"|\p{N}", rest!());
const DEEPSEEK_3: &str = concat!(deepseek_words!(), r"[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+");
const HAN_AND_KANA: &str = r"[\x{4E00}-\x{9FA5}\x{3040}-\x{30FF}]+";
const SENTENCE_PARTS: &str = r" ?[^(\s|.,!?\x{2026}\x{3002}\x{FF0C}\x{3001}\x{964}\x{6D4}\x{60C})]+";
/// Between digits, before a multiple of three of them that ends a run, and behind a run: what stands before a run stays with
/// its first digits.
const THREES: &str = r"(?<=\p{N})(?:(?=(?>(?:\p{N}{3}){1,100})(?!\p{N}))|(?!\p{N}))";
/// Before a multiple of three digits that ends a run.
const ASCII_THREES: &str = r"(?=(?>(?:[0-9]{3}){1,100})(?![0-9]))";
/// Letters that have a case.
const CASED: &str = concat!(
    r"\s?[",
    r"A-Za-z\x{B5}\x{C0}-\x{D6}\x{D8}-\x{F6}\x{F8}-\x{1BA}\x{1BC}-\x{1BF}\x{1C4}-\x{293}\x{295}-\x{2AF}",
    r"\x{370}-\x{373}\x{376}\x{377}\x{37B}-\x{37D}\x{37F}\x{386}\x{388}-\x{38A}\x{38C}\x{38E}-\x{3A1}",
    r"\x{3A3}-\x{3F5}\x{3F7}-\x{481}\x{48A}-\x{52F}\x{531}-\x{556}\x{10A0}-\x{10C5}\x{13A0}-\x{13F5}",
    r"\x{13F8}-\x{13FD}\x{1C90}-\x{1CBA}\x{1CBD}-\x{1CBF}\x{1D00}-\x{1D2B}\x{1D6B}-\x{1D77}",
    r"\x{1D79}-\x{1D9A}\x{1E00}-\x{1F15}\x{1F18}-\x{1F1D}\x{1F20}-\x{1F45}\x{1F48}-\x{1F4D}",
    r"\x{1F50}-\x{1F57}\x{1F59}\x{1F5B}\x{1F5D}\x{1F5F}-\x{1F7D}\x{1F80}-\x{1FB4}\x{1FB6}-\x{1FBC}\x{1FBE}",
    r"\x{1FC2}-\x{1FC4}\x{1FC6}-\x{1FCC}\x{1FD0}-\x{1FD3}\x{1FD6}-\x{1FDB}\x{1FE0}-\x{1FEC}",
    r"\x{1FF2}-\x{1FF4}\x{1FF6}-\x{1FFC}\x{2102}\x{2107}\x{210A}-\x{2113}\x{2115}\x{2119}-\x{211D}\x{2124}",
    r"\x{2126}\x{2128}\x{212A}-\x{212D}\x{212F}-\x{2134}\x{2139}\x{213C}-\x{213F}\x{2145}-\x{2149}\x{214E}",
    r"\x{2183}\x{2184}\x{2C00}-\x{2C7B}\x{2C7E}-\x{2CE4}\x{2CEB}-\x{2CEE}\x{2CF2}\x{2CF3}\x{A640}-\x{A66D}",
    r"\x{A680}-\x{A69B}\x{A722}-\x{A76F}\x{A771}-\x{A787}\x{A78B}-\x{A78E}\x{AB70}-\x{ABBF}",
    r"\x{FB00}-\x{FB06}\x{FB13}-\x{FB17}\x{FF21}-\x{FF3A}\x{FF41}-\x{FF5A}\x{10400}-\x{1044F}",
    r"\x{104B0}-\x{104D3}\x{104D8}-\x{104FB}\x{10C80}-\x{10CB2}\x{10CC0}-\x{10CF2}\x{118A0}-\x{118DF}",
    r"\x{1E900}-\x{1E943}",
    r"]+"
);
/// Chinese characters as `kimi-k2` knows them.
macro_rules! han {
    () => {
        r"\x{4E00}-\x{9FFF}\x{3400}-\x{4DBF}\x{20000}-\x{2A6DF}\x{2A700}-\x{2EBEF}\x{F900}-\x{FAFF}\x{2F800}-\x{2FA1F}"
    };
}

const fn rule(names: &'static [&'static str], steps: &'static [Step]) -> Rule {
    Rule { names, steps, composes: false, whole_words: false, begins: false }
}

/// All rules; where two have the same expressions, the better known name comes first.
pub(super) const RULES: &[Rule] = &[
    rule(
        &["smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b", "mellum2"],
        &[Digits, Gpt2],
    ),
    rule(
        &[
            "gpt-2",
            "phi-2",
            "olmo",
            "mpt",
            "jais",
            "trillion",
            "exaone4",
            "gigachat",
            "a.x-4.0",
            "mellum",
            "modern-bert",
            "roberta-bpe",
            "granite-docling",
            "jina-es",
            "jina-de",
            "jina-v1-en",
            "jina-v2-es",
            "jina-v2-de",
            "jina-v2-code",
        ],
        &[Gpt2],
    ),
    Rule {
        whole_words: true,
        begins: true,
        ..rule(
            &["llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2", "jina-v5-nano"],
            &[Split(LLAMA_3)],
        )
    },
    Rule { composes: true, ..rule(&["qwen2", "deepseek-r1-qwen"], &[Split(QWEN_2)]) },
    rule(&["stablelm2", "hunyuan", "solar-open", "kormo", "f2llmv2", "megrez", "grok-2"], &[Split(QWEN_2)]),
    rule(&["dbrx", "smaug-bpe", "glm4", "chatglm-bpe"], &[Split(LLAMA_3)]),
    rule(
        &["qwen35"],
        &[Split(concat!(
            contractions!(),
            "|",
            letters_and_marks!(),
            r"|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
        ))],
    ),
    rule(&["default"], &[Split(r"[\p{P}$+<=>\^~|]+"), Split(GPT_2), Split(r"\p{N}+"), Split("[0-9][0-9][0-9]")]),
    rule(&["falcon"], &[Split(r"[\p{P}$+<=>\^~|`]+"), Split(GPT_2), Split("[0-9][0-9][0-9]")]),
    rule(
        &["deepseek-llm"],
        &[
            Split(r"[\r\n]"),
            Split(CASED),
            Split(r"\s?[!-/:-~\x{FF01}-\x{FF0F}\x{FF1A}-\x{FF5E}\x{2018}-\x{201F}\x{3001}\x{3002}]+"),
            Split(r"\s+$"),
            Split(r"[\x{800}-\x{9FA5}\x{AC00}-\x{D7FF}&&\S]+"),
            Split(r"\p{N}+"),
        ],
    ),
    rule(
        &["deepseek-coder"],
        &[
            Split(r"[\r\n]"),
            Split(r"\s?\p{L}+"),
            Split(r"\s?\p{P}+"),
            Split(r"[\x{800}-\x{9FA5}\x{AC00}-\x{D7FF}&&\S]+"),
            Split(r"\p{N}"),
        ],
    ),
    rule(
        &["deepseek-v3", "hunyuan-dense", "hy_v4", "joyai-llm"],
        &[Split(r"\p{N}{1,3}"), Split(HAN_AND_KANA), Split(DEEPSEEK_3)],
    ),
    rule(
        &["spark2_5"],
        &[
            Split(r"\p{N}{1,3}"),
            Split(HAN_AND_KANA),
            Split(concat!(deepseek_words!(), r"|[\r\n]|\s+(?!\S)|\s+")),
            Split(r"\p{N}"),
        ],
    ),
    Rule {
        whole_words: true,
        ..rule(
            &["youtu"],
            &[
                Split(concat!(
                    r"[\x{AC00}-\x{D7A3}\x{3131}-\x{318E}]+",
                    r"|[\x{FF01}\x{2026}\x{201C}\x{201D}\x{2018}\x{2019}\x{2014}\x{FF1A}\x{FF1B}\x{FF0C}",
                    r"\x{3001}-\x{303F}\x{FE30}-\x{FE4F}]+",
                    r"|[\x{3105}-\x{312F}]+|[\x{4E00}-\x{9FA5}\x{3040}-\x{30FF}]+"
                )),
                Split(concat!(letters_and_marks!(), contractions!(), r"?|\p{N}", rest_with_slashes!())),
            ],
        )
    },
    rule(&["poro-chat", "bloom", "gpt3-finnish"], &[Split(SENTENCE_PARTS)]),
    rule(&["viking"], &[Split(SENTENCE_PARTS), Split(r"\p{N}")]),
    Rule {
        whole_words: true,
        begins: true,
        ..rule(&["tekken"], &[Split(concat!(capitals_first!(r"\p{L}", ""), r"|\p{N}", rest_with_slashes!()))])
    },
    rule(
        &["gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2"],
        &[Split(concat!(
            capitals_first!(r"\p{L}", concat!(contractions!(), "?")),
            r"|\p{N}{1,3}",
            rest_with_slashes!()
        ))],
    ),
    Rule {
        whole_words: true,
        ..rule(
            &["granite-embed-multi-97m"],
            &[Split(concat!(
                capitals_first!(r"\p{L}\p{M}", concat!(contractions!(), "?")),
                r"|\p{N}{1,3}",
                rest_with_slashes!()
            ))],
        )
    },
    Rule {
        begins: true,
        ..rule(
            &["chameleon"],
            &[
                Split("<sentinel:[0-9]+>"),
                Split("IMGIMG[A-I]{1,4}Z"),
                Split(r"[\t\n]|    |  "),
                Split(r"\p{N}"),
                Split(r"[\p{P}!-/:-@\[-`\{-~]"),
                Split(GPT_2),
            ],
        )
    },
    rule(
        &["tiny_aya", "cohere2moe"],
        &[Split(THREES), Split(concat!(letters_and_marks!(), contractions!(), r"?|\p{N}{1,3}", rest_with_slashes!()))],
    ),
    rule(&["superbpe"], &[Split(r"\p{N}+"), Split(ASCII_THREES)]),
    rule(
        &["afmoe"],
        &[
            Split(THREES),
            Split(concat!(
                r"[\x{3400}-\x{4DBF}\x{4E00}-\x{9FFF}\x{8C48}-\x{FAFF}\x{3040}-\x{30FF}\x{FF65}-\x{FF9F}\x{2F00}-\x{2FDF}",
                r"\x{E40}-\x{EFF}\x{1000}-\x{109F}\x{1100}-\x{11FF}\x{1780}-\x{17FF}\x{A9E0}-\x{A9FF}\x{AA60}-\x{AA7F}]+"
            )),
            Split(DEEPSEEK_3),
        ],
    ),
    rule(
        &["kimi-k2"],
        &[Split(concat!(
            "[",
            han!(),
            r"]+|[^\r\n\p{L}\p{N}]?[\p{L}&&[^",
            han!(),
            "]]+",
            contractions!(),
            r"?|\p{N}{1,3}",
            rest!()
        ))],
    ),
    rule(
        &["bailingmoe", "bailingmoe2", "llada-moe"],
        &[Split(concat!(contractions!(), "|", word!(), r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"))],
    ),
    rule(
        &["seed-coder"],
        &[Split(concat!(contractions!(), "|", word!(), r"|\p{N}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+"))],
    ),
    rule(&["ufakzeka"], &[Split(concat!(word!(), r"|\p{N}", rest!()))]),
    rule(&["laguna"], &[Split(r"[^\n]+|\n+"), Split(QWEN_2)]),
    rule(
        &["exaone-moe"],
        &[Split(concat!(
            contractions!(),
            r"|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+",
            r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+"
        ))],
    ),
    Rule {
        whole_words: true,
        ..rule(
            &["minicpm5"],
            &[Split(r"\p{N}{1,3}"), Split(concat!(contractions!(), "|", word!(), r"|\p{N}+", rest!()))],
        )
    },
    rule(
        &["jais-2"],
        &[Split(concat!(
            contractions!(),
            "|",
            word!(),
            r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s{512}(?!\S)|\s{256}(?!\S)|\s{128}(?!\S)|\s{64}(?!\S)",
            r"|\s{32}(?!\S)|\s{16}(?!\S)|\s{8}(?!\S)|\s{4}(?!\S)|\s{1,2}(?!\S)|\s"
        ))],
    ),
];
