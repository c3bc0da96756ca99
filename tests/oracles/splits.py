"""Writes tests/texts/splits.json and tests/texts/ends.json: how llama.cpp splits text under each name of a rule, and which
tokens end a text.

    npm install --ignore-scripts @node-llama-cpp/linux-x64
    pip install gguf tokenizers
    python tests/oracles/splits.py node_modules/@node-llama-cpp/linux-x64/bins/linux-x64

The vocabulary is made of pieces that cross every boundary between words (it is trained on whole texts), so that another
split gives other tokens. Each text stands beside the results that there are and the names that give them.
"""

import ctypes
import json
import pathlib
import random
import sys
import tempfile

import gguf
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

FOLDER = pathlib.Path(__file__).resolve().parents[1] / "texts"

NAMES = """default minicpm5 llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano deepseek-llm
deepseek-coder deepseek-v3 spark2_5 youtu falcon mpt starcoder gpt-2 phi-2 jina-es jina-de gigachat jina-v2-es jina-v2-de
a.x-4.0 mellum modern-bert jais-2 jina-v1-en jina-v2-code roberta-bpe refact command-r qwen2 deepseek-r1-qwen kormo f2llmv2
qwen35 stablelm2 olmo dbrx smaug-bpe poro-chat glm4 chatglm-bpe viking jais tekken smollm codeshell bloom gpt3-finnish
exaone exaone4 exaone-moe chameleon minerva-7b megrez gpt-4o llama4 kanana2 talkie granite-embed-multi-97m tiny_aya
cohere2moe superbpe trillion granite-docling bailingmoe bailingmoe2 llada-moe seed-coder hunyuan hunyuan-dense hy_v4
joyai-llm kimi-k2 ufakzeka grok-2 afmoe laguna minimax-m2 solar-open mellum2""".split()

TEXTS = ["abc 1234's (ab)!! $a", "It's they'll WE'VE I'D don't 'LL 're'S", "camelCase HTTPServer éCOLE ÉCole iPhone ABC's McDonald'S",
         "1 12 123 1234 12345 1234567 12345678901", "x=[1,2];// ok?!\n\n\n  y += 3.14;\r\n\tz", "  two  spaces   and    more     ",
         "\n", " \n \n", "\t\t\ta\tb", "a\u00a0b\u2003c\u3000d \u0085e", "<<==>>~|`^$++--**", "`code` a|b ~c^d$",
         "déjà vu naïve e\u0301a\u0308 क्षत्रिय ภาษาไทย", "深い海の底に古い船が眠っている。漢字カタカナひらがな한국어 텍스트", "「引用」、…“a”‘b’—：；，（括弧）！？",
         "Глубина моря ΑΒΓ αβγ Ǆ ǅ ǆ ʰ ƻ", "½ ² Ⅷ ٣٤٥٦ १२३४ 12٣٤", "🙂🙃👩‍👩‍👧 a🙂b", "don't,won't;can't!he's", "IMGIMGABCZ <sentinel:12> IMGIMGABCDZ",
         "www.example.com/a_b?c=d&e=f#g", "...---...\n...", "end.\n\n  next\n /x\n/y", "a/b\n/c/\n", "ÿ\ufeff\u200b\x00\x01\x7f", "人a人1人 。、一二三",
         "100,000.50 €5 £6 ¥7", "A B C a b c", "'s", "''s'", "!hello #tag @user (word) [x] {y} _z_", " 's 't 'Re 12's", "\r\n\r\na\r\rb",
         " ", "a ", " a", "ab\n  ", "١٢٣٤٥٦٧", "Ünïcödé ŁÓDŹ Łódź ßẞ", "x²y³ 10⁻³",
         "a  12 b   3456", "}  ½'s  ٣\x01 1", "\u3000  𝟏𝟐𝟑𝟒 \u2028\u0085５６"]


def random_texts():
    random.seed(11)
    alphabet = [" ", " ", "\n", "\t", "a", "bc", "Ab", "XY", "it's", "'LL", "12", "3456", "é", "É", "e\u0301", "海", "ひ", "カ", "한", "я", "Я",
                "🙂", ".", ",", "!!", "-", "(", "|", "`", "$", "the", " The", "\r\n", "\u00a0", "_", "Ⅷ", "٣", "。", "/", "ไ"]
    return ["".join(random.choice(alphabet) for _ in range(random.randint(3, 12))) for _ in range(60)]


def vocabulary(texts):
    """Byte-level pieces that pay no heed to words."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    trainer = trainers.BpeTrainer(vocab_size=1400, show_progress=False, max_token_length=10,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(texts, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    tokens = [text for text, _ in sorted(model["vocab"].items(), key=lambda item: item[1])]
    return tokens, [" ".join(pair) for pair in model["merges"]]


class Parameters(ctypes.Structure):
    """`llama_model_params` of llama.h."""
    _fields_ = [(name, ctypes.c_void_p) for name in ("devices", "overrides")] + \
        [(name, ctypes.c_int32) for name in ("layers", "split", "load", "lazy", "main")] + \
        [(name, ctypes.c_void_p) for name in ("tensor_split", "progress", "user_data", "kv_overrides")] + \
        [(name, ctypes.c_bool) for name in ("vocab_only", "check", "extra", "no_host", "no_alloc", "load_mtp")]


class Llama:
    def __init__(self, folder):
        folder = pathlib.Path(folder)
        for stem in ("libggml-base", "libggml", "libllama"):
            for path in sorted(folder.glob(f"{stem}*.so")):
                if path.name.split(".")[0] == stem:
                    self.library = ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
        self.callback = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)(lambda *_: None)
        self.library.llama_log_set(self.callback, None)
        self.library.llama_model_default_params.restype = Parameters
        load = self.library.llama_model_load_from_file
        load.argtypes, load.restype = [ctypes.c_char_p, Parameters], ctypes.c_void_p
        self.library.llama_model_get_vocab.argtypes = [ctypes.c_void_p]
        self.library.llama_model_get_vocab.restype = ctypes.c_void_p
        self.library.llama_model_free.argtypes = [ctypes.c_void_p]
        self.library.llama_vocab_is_eog.argtypes = [ctypes.c_void_p, ctypes.c_int32]
        self.library.llama_vocab_is_eog.restype = ctypes.c_bool
        self.library.llama_vocab_get_add_bos.argtypes = [ctypes.c_void_p]
        self.library.llama_vocab_get_add_bos.restype = ctypes.c_bool
        self.library.llama_tokenize.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int32, ctypes.c_void_p,
                                                ctypes.c_int32, ctypes.c_bool, ctypes.c_bool]

    def open(self, keys):
        """A vocabulary of a file that holds nothing else."""
        with tempfile.NamedTemporaryFile(suffix=".gguf") as file:
            writer = gguf.GGUFWriter(file.name, "llama")
            for key, value in keys.items():
                add = {bool: writer.add_bool, int: writer.add_uint32, str: writer.add_string, list: writer.add_array}
                add[type(value)](f"tokenizer.ggml.{key}", value)
            writer.write_header_to_file()
            writer.write_kv_data_to_file()
            writer.close()
            parameters = self.library.llama_model_default_params()
            parameters.vocab_only = True
            self.model = self.library.llama_model_load_from_file(file.name.encode(), parameters)
        if not self.model:
            raise SystemExit(f"llama.cpp does not open {keys.get('pre')}")
        self.vocab = self.library.llama_model_get_vocab(self.model)

    def close(self):
        self.library.llama_model_free(self.model)

    def tokens(self, text, special=False):
        room = (ctypes.c_int32 * 4096)()
        data = text.encode()
        count = self.library.llama_tokenize(self.vocab, data, len(data), room, 4096, False, special)
        return list(room[:count])


def splits(llama):
    texts = TEXTS + random_texts()
    tokens, merges = vocabulary(texts)
    results = {text: {} for text in texts}
    begins = []
    for name in NAMES:
        llama.open({"model": "gpt2", "pre": name, "tokens": tokens, "token_type": [1] * len(tokens), "merges": merges,
                    "bos_token_id": 0, "eos_token_id": 0})
        if llama.library.llama_vocab_get_add_bos(llama.vocab):
            begins.append(name)
        for text in texts:
            results[text].setdefault(tuple(llama.tokens(text)), []).append(NAMES.index(name))
        llama.close()
    llama.open({"model": "gpt2", "tokens": tokens, "token_type": [1] * len(tokens), "merges": merges})
    for text in texts:
        assert NAMES.index("default") in results[text][tuple(llama.tokens(text))], text
    llama.close()
    rows = [{"text": text, "results": [{"tokens": list(key), "names": names} for key, names in found.items()]}
            for text, found in results.items()]
    told = {"names": NAMES, "begins": begins, "tokens": tokens, "merges": merges, "texts": rows}
    (FOLDER / "splits.json").write_text(json.dumps(told, ensure_ascii=False, separators=(",", ":")))
    kinds = {tuple(name in result["names"] and at for row in rows for at, result in enumerate(row["results"])) for name in range(len(NAMES))}
    print(len(NAMES), "names,", len(kinds), "rules,", (FOLDER / "splits.json").stat().st_size, "bytes")


ENDS = ["<|eot_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<|call|>", "<|flush|>", "<|calls|>", "<end_of_turn>", "<|endoftext|>",
        "</s>", "<|eom_id|>", "<EOT>", "_<EOT>", "[EOT]", "[EOS]", "<|end_of_text|>", "<end_of_utterance>", "<eos>", "<turn|>",
        "<|tool_response>", "<｜end▁of▁sentence｜>", "[e~[", "<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]",
        "<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>", "<|file_sep|>", "<file_sep>", "<|im_start|>", "<unk>",
        "<|fim_prefix|>", "<|eot|>", "<|END_OF_TURN_TOKEN|>"]


def ends(llama):
    """Vocabularies of letters and a few more tokens; which of them end a text."""
    letters = [chr(code) for code in range(33, 127)]
    cases = [([end], [kind], {}) for end in ENDS for kind in (1, 3)]
    cases += [(["<|end|>", "<|return|>", "<|call|>"], [3, 3, 3], {}), (["<|end|>", "<|calls|>", "<|flush|>"], [3, 3, 3], {}),
              (["<|end|>", "<|return|>"], [3, 3], {}), (["<|end|>", "<|return|>", "<|call|>"], [3, 3, 3], {"eos_token_id": 94}),
              (["</s>", "<|tool_response>"], [3, 3], {}), (["</s>", "<|tool_response>"], [3, 3], {"eos_token_id": 94}),
              (["<x>", "<y>", "<z>"], [3, 3, 3], {"eos_token_id": 94, "eot_token_id": 95, "eom_token_id": 96}),
              (["<x>", "<|eot_id|>", "<|eom_id|>"], [3, 3, 3], {"eot_token_id": 94, "eom_token_id": 94}),
              (["<x>", "<|fim_pad|>"], [3, 3], {"fim_pad_token_id": 94}), (["<x>", "<y>"], [3, 3], {"fim_rep_token_id": 94, "fim_sep_token_id": 95}),
              (["<x>", "<|repo_name|>", "<|file_sep|>"], [3, 3, 3], {"fim_rep_token_id": 94}),
              (["<s>", "</s>", "<|im_end|>", "<|endoftext|>"], [3, 3, 3, 3], {"bos_token_id": 94, "eos_token_id": 96}),
              (["", "", "<|im_end|>"], [1, 5, 3], {"eos_token_id": 96}), (["<x>"], [3], {"eos_token_id": 0, "eot_token_id": 4000})]
    rows = []
    for extra, kinds, keys in cases:
        # llama.cpp takes token 11 for the end where no key says otherwise; that is left out here.
        named = {"eos_token_id": 0, **keys}
        llama.open({"model": "gpt2", "pre": "gpt-2", "tokens": letters + extra, "token_type": [1] * len(letters) + kinds,
                    "merges": ["a b"], **named})
        count = len(letters) + len(extra)
        found = [token for token in range(count) if llama.library.llama_vocab_is_eog(llama.vocab, token)]
        # What a text that spells the token becomes: one token where it is special.
        spelled = [llama.tokens(text, True) == [len(letters) + at] for at, text in enumerate(extra)]
        rows.append({"tokens": extra, "types": kinds, "keys": named, "ends": found, "special": spelled})
        llama.close()
    (FOLDER / "ends.json").write_text(json.dumps({"letters": len(letters), "cases": rows}, ensure_ascii=False, separators=(",", ":")))
    print(len(rows), "vocabularies with ends,", (FOLDER / "ends.json").stat().st_size, "bytes")


if __name__ == "__main__":
    llama = Llama(sys.argv[1])
    splits(llama)
    ends(llama)
