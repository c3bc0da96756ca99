"""Writes tests/texts/*.json: tokenizers and chat templates of the Llama family as transformers has them.

    python tests/oracles/texts.py

Vocabularies are small and trained here on a few sentences; what matters are the rules around them. Each is stored
twice, as `tokenizer.json` and as the keys that a GGUF file would hold, beside texts and their tokens. Chat templates
are our own; between them they use what the templates of the family use.
"""

import io
import json
import pathlib
import random

import sentencepiece
import transformers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers.utils.chat_template_utils import render_jinja_template

FOLDER = pathlib.Path(__file__).resolve().parents[1] / "texts"

CORPUS = """The lighthouse keeper counted 1234567 waves before 09:45 and wrote it's no use, they'll come again.
Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich; déjà vu, naïve façade, coöperate.
fn main() {\n\tlet x = [1, 2, 3];\n    println!("{x:?}");\n}\r\n\r\nIf I'm right, we've 100% of 3.14159 and you'd KEEP IT'S CAPITALS.
深い海の底に古い船が眠っている。Глубина моря измеряется в саженях. 물결 위로 바람이 분다.
    indented   text  with    runs of   spaces\n\n\n\nand empty lines\n \n\t\nend""".split("\n")

TEXTS = ["", " ", "  ", "a", " a", "a ", "hello world", "  two  spaces  ", "It's they'll WE'VE I'D don't",
         "1234567 3.14 x2y3 ½ ²", "\n", "a\nb", "a \n b", "\r\n\r\n", "tabs\t\tand\nlines\n\n\nend\n", "déjà vu e\u0301 ﬁ Å",
         "深い海の底", "Глубина моря", "물결 위로", "🙂🙃👩‍👩‍👧", "x=[1,2];// ok?!", "...---...", "end.\n\n  next", "\u00a0\u2003wide",
         "<|im_start|>user\nhi<|im_end|>\n", "a<|im_end|>b <|im_end|> c", "▁ already ▁▁marked", "\x00\x01\x7f", "ÿ\ufeff",
         "The lighthouse keeper counted waves", "naïve façade", "'s 's'll''re", "99 bottles 999999", "A  B   C    D     E", "x\n\n\ny <tag> z<tag>"]


def random_texts():
    random.seed(5)
    alphabet = [" ", " ", "\n", "\t", "a", "e", "it's", "'LL", "12", "345", "é", "e\u0301", "海", "я", "🙂", ".", ",", "!!", "-",
                "the", " The", "\r\n", "\u00a0", "_", "ſ", "Ⅷ", "٣", "<|im_end|>"]
    return ["".join(random.choice(alphabet) for _ in range(random.randint(2, 14))) for _ in range(80)]


def byte_level(name, pre, split, normalizer, ignore_merges, bos):
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = split
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<|begin|>", "<|im_start|>", "<|im_end|>"]
    trainer = trainers.BpeTrainer(vocab_size=420, special_tokens=[], show_progress=False, max_token_length=8,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(CORPUS * 3, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    if ignore_merges:
        # A word that no merge makes: whole words go first.
        model["vocab"]["Ġlighthouse"] = len(model["vocab"])
        model["merges"] = [pair for pair in model["merges"] if "".join(pair) != "Ġlighthouse"]
        rebuilt = models.BPE(vocab=model["vocab"], merges=[tuple(pair) for pair in model["merges"]], ignore_merges=True)
        tokenizer.model = rebuilt
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in special])
    begin = tokenizer.token_to_id(special[0])
    if bos:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{special[0]} $A", pair=f"{special[0]} $A {special[0]}:1 $B:1", special_tokens=[(special[0], begin)])
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=special[2])
    by_id = {id: token for token, id in tokenizer.get_vocab(with_added_tokens=True).items()}
    vocabulary = {
        "model": "gpt2", "pre": pre, "tokens": [by_id[id] for id in range(len(by_id))],
        "token_types": [3 if by_id[id] in special else 1 for id in range(len(by_id))],
        "merges": [" ".join(pair) for pair in model["merges"]], "bos_token": begin,
        "eos_token": tokenizer.token_to_id(special[2]), "add_bos": bos,
    }
    write(name, tokenizer.to_str(), vocabulary, fast)


def split_by(expression):
    return pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(expression), behavior="isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def sentence_piece(name, prefix, bos):
    file = io.BytesIO()
    specials = ["<|im_start|>", "<|im_end|>"]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([line for line in CORPUS if line.strip()] * 3), model_writer=file, model_type="bpe",
        vocab_size=600, byte_fallback=True, character_coverage=0.98, add_dummy_prefix=prefix, normalization_rule_name="identity",
        remove_extra_whitespaces=False, split_digits=True, allow_whitespace_only_pieces=True, control_symbols=specials,
        user_defined_symbols=[] if prefix else ["▁▁", "▁▁▁▁", "\n\n", "<tag>"], minloglevel=2)
    processor = sentencepiece.SentencePieceProcessor(model_proto=file.getvalue())
    tokens = [processor.id_to_piece(id) for id in range(processor.get_piece_size())]
    defined = set() if prefix else {"▁▁", "▁▁▁▁", "\n\n", "<tag>"}
    kind = lambda id: (2 if processor.is_unknown(id) else 3 if processor.is_control(id)
                       else 6 if processor.is_byte(id) else 4 if tokens[id] in defined else 1)
    vocabulary = {
        "model": "llama", "pre": "", "tokens": tokens, "token_types": [kind(id) for id in range(len(tokens))],
        "scores": [processor.get_score(id) for id in range(len(tokens))], "bos_token": processor.bos_id(),
        "eos_token": processor.eos_id(), "add_bos": bos, "add_space_prefix": prefix,
    }
    path = pathlib.Path("/tmp/oracle.model")
    path.write_bytes(file.getvalue())
    from transformers.tokenization_utils_sentencepiece import SentencePieceExtractor
    extracted = SentencePieceExtractor(str(path)).extract()
    kind_of = transformers.LlamaTokenizer if prefix else transformers.GemmaTokenizer
    names = dict(bos_token="<s>", eos_token="</s>", unk_token="<unk>", extra_special_tokens=specials)
    if not prefix:
        names.update(pad_token="<unk>", mask_token="<unk>")
    fast = kind_of(vocab=extracted[0], merges=extracted[2], **names)
    write(name, fast.backend_tokenizer.to_str(), vocabulary, fast, processor)


def write(name, description, vocabulary, fast, processor=None):
    cases, differing = [], 0
    for text in TEXTS + random_texts():
        ids = fast.encode(text, add_special_tokens=False)
        case = {"text": text, "ids": ids, "prompt": fast.encode(text, add_special_tokens=True)}
        if processor is not None and "<|" not in text:
            own = processor.encode(text)
            differing += own != ids
            case["sentencepiece"] = own
        case["decoded"] = fast.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        cases.append(case)
    text = json.dumps({"tokenizer": json.loads(description), "vocabulary": vocabulary, "cases": cases}, ensure_ascii=False)
    (FOLDER / f"{name}.json").write_text(text + "\n")
    print(f"{name}: {len(vocabulary['tokens'])} tokens, {len(cases)} texts, {differing} unlike sentencepiece, {len(text)} bytes")


MARKUP = """{%- for message in messages %}
    {{- '<|im_start|>' + message['role'] + '\\n' + message['content'] | trim + '<|im_end|>' + '\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""

DEFAULT_SYSTEM = """{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system
You are terse.<|im_end|>
' }}{% endif %}{{'<|im_start|>' + message['role'] + '
' + message['content'] + '<|im_end|>' + '
'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant
' }}{% endif %}"""

HEADERS = """{{- bos_token }}
{%- if custom_tools is defined %}
    {%- set tools = custom_tools %}
{%- endif %}
{%- if not tools_in_user_message is defined %}
    {%- set tools_in_user_message = true %}
{%- endif %}
{%- if not date_string is defined %}
    {%- if strftime_now is defined %}
        {%- set date_string = strftime_now("%d %b %Y") %}
    {%- else %}
        {%- set date_string = "26 Jul 2024" %}
    {%- endif %}
{%- endif %}
{%- if not tools is defined %}
    {%- set tools = none %}
{%- endif %}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|head|>system<|end|>\\n\\n" }}
{%- if tools is not none %}
    {{- "Environment: ipython\\n" }}
{%- endif %}
{{- "Today Date: " + date_string + "\\n\\n" }}
{%- if tools is not none and not tools_in_user_message %}
    {%- for t in tools %}
        {{- t | tojson(indent=4) }}
        {{- "\\n\\n" }}
    {%- endfor %}
{%- endif %}
{{- system_message }}
{{- "<|eot|>" }}
{%- for message in messages %}
    {%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<|head|>' + message['role'] + '<|end|>\\n\\n'+ message['content'] | trim + '<|eot|>' }}
    {%- elif 'tool_calls' in message %}
        {%- if not message.tool_calls|length == 1 %}
            {{- raise_exception("This model only supports single tool-calls at once!") }}
        {%- endif %}
        {%- set tool_call = message.tool_calls[0].function %}
        {{- '{"name": "' + tool_call.name + '", "parameters": ' }}
        {{- tool_call.arguments | tojson }}
        {{- "}" }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|head|>assistant<|end|>\\n\\n' }}
{%- endif %}
"""

THINKING = """{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- for tool in tools %}{{- "\\n" }}{{- tool | tojson }}{%- endfor %}
    {{- "<|im_end|>\\n" }}
{%- else %}
    {%- if messages[0].role == 'system' %}
        {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
    {%- endif %}
{%- endif %}
{%- set ns = namespace(multi_step_tool=true, last_query_index=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.multi_step_tool and message.role == "user" and message.content is string and not(message.content.startswith('<tool>') and message.content.endswith('</tool>')) %}
        {%- set ns.multi_step_tool = false %}
        {%- set ns.last_query_index = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.content is string %}
        {%- set content = message.content %}
    {%- else %}
        {%- set content = '' %}
    {%- endif %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {%- set reasoning_content = '' %}
        {%- if message.reasoning_content is string %}
            {%- set reasoning_content = message.reasoning_content %}
        {%- else %}
            {%- if '</think>' in content %}
                {%- set reasoning_content = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
                {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
            {%- endif %}
        {%- endif %}
        {%- if loop.index0 > ns.last_query_index %}
            {%- if loop.last or (not loop.last and reasoning_content) %}
                {{- '<|im_start|>' + message.role + '\\n<think>\\n' + reasoning_content.strip('\\n') + '\\n</think>\\n\\n' + content.lstrip('\\n') }}
            {%- else %}
                {{- '<|im_start|>' + message.role + '\\n' + content }}
            {%- endif %}
        {%- else %}
            {{- '<|im_start|>' + message.role + '\\n' + content }}
        {%- endif %}
        {%- if message.tool_calls %}
            {%- for tool_call in message.tool_calls %}
                {%- if (loop.first and content) or (not loop.first) %}{{- '\\n' }}{%- endif %}
                {%- if tool_call.arguments is string %}{{- tool_call.arguments }}{%- else %}{{- tool_call.arguments | tojson }}{%- endif %}
            {%- endfor %}
        {%- endif %}
        {{- '<|im_end|>\\n' }}
    {%- elif message.role == "tool" %}
        {%- if loop.first or (messages[loop.index0 - 1].role != "tool") %}
            {{- '<|im_start|>user' }}
        {%- endif %}
        {{- '\\n<tool>\\n' }}{{- content }}{{- '\\n</tool>' }}
        {%- if loop.last or (messages[loop.index0 + 1].role != "tool") %}
            {{- '<|im_end|>\\n' }}
        {%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}"""

BRACKETS = """{%- if messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{%- set user_messages = loop_messages | selectattr("role", "equalto", "user") | list %}
{#- This block checks for alternating user/assistant messages, skipping tool calling messages #}
{%- set ns = namespace() %}
{%- set ns.index = 0 %}
{%- for message in loop_messages %}
    {%- if not (message.role == "tool" or (message.tool_calls is defined and message.tool_calls is not none)) %}
        {%- if (message["role"] == "user") != (ns.index % 2 == 0) %}
            {{- raise_exception("After the optional system message, roles must alternate user/assistant!") }}
        {%- endif %}
        {%- set ns.index = ns.index + 1 %}
    {%- endif %}
{%- endfor %}
{{- bos_token }}
{%- for message in loop_messages %}
    {%- if message["role"] == "user" %}
        {%- if tools is not none and (message == user_messages[-1]) %}
            {{- "[TOOLS] [" }}{%- for tool in tools %}{{- tool.name }}{%- if not loop.last %}{{- ", " }}{%- else %}{{- "]" }}{%- endif %}{%- endfor %}
        {%- endif %}
        {%- if loop.last and system_message is defined %}
            {{- "[INST] " + system_message + "\\n\\n" + message["content"] + "[/INST]" }}
        {%- else %}
            {{- "[INST] " + message["content"] + "[/INST]" }}
        {%- endif %}
    {%- elif message["role"] == "assistant" %}
        {{- " " + message["content"]|trim + eos_token}}
    {%- else %}
        {{- raise_exception("Only user and assistant roles are supported, with the exception of an initial optional system message!") }}
    {%- endif %}
{%- endfor %}
"""

TURNS = """{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}{% if (message['role'] == 'assistant') %}{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}{{ '<start_of_turn>' + role + '
' + message['content'] | trim + '<end_of_turn>
' }}{% endfor %}{% if add_generation_prompt %}{{'<start_of_turn>model
'}}{% endif %}"""

SYSTEM_IN_FIRST = """{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}{% for message in loop_messages %}{% if loop.index0 == 0 and system_message != false %}{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}{% else %}{% set content = message['content'] %}{% endif %}{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ ' '  + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}"""

MACROS = """{% macro turn(role, text='', mark=false) -%}
  <{{ role | upper }}{% if mark %}!{% endif %}>
  {{ text | trim | replace('\\n', ' / ') }}
{%- endmacro %}
{% set ns = namespace(parts=[]) %}
{% for message in messages if message.role != 'system' %}
  {% set ns.parts = ns.parts + [turn(message.role, message.content, mark=loop.last)] %}
{% endfor %}
{{ ns.parts | join('\\n') }}|{{ messages | map(attribute='role') | join(',') }}|{{ messages | length }}
{%- for message in messages -%}
  {{ loop.cycle('odd', 'even') }}:{{ loop.index }}/{{ loop.length }}:{{ loop.revindex0 }}:{{ message.content[:3] }}:{{ message.content[-2:] }}
  {%- if loop.previtem is defined and loop.previtem.role == message.role %}same{% endif %}
  {%- if loop.nextitem is defined %}->{{ loop.nextitem.role }}{% endif %};
{%- endfor %}
{{ messages[0].content.split(' ') | first }} {{ 'x' if add_generation_prompt else 'y' }} {{ (3 // 2) ~ (7 % 4) }} {{ messages[0].content.upper().title() }}
{% generation %}{{ messages[-1].content.startswith('H') }}{% endgeneration %}{{ {'a': [1, 2.5, true, none], 'ü': "<'&\\""} | tojson }} {{ messages[0] | tojson(indent=2) }}
   {% if true %}
kept
   {% endif %}
 {{- '  ' -}} end {# a comment #}
"""

CONVERSATIONS = [
    [("user", "Hello there")],
    [("system", " Be brief.\n"), ("user", "Hi & <b>\n\n"), ("assistant", "  Yo \n"), ("user", "é深🙂 ?")],
    [("user", "One"), ("assistant", "<think>\nhm\n\n</think>\n\nTwo"), ("user", "Three"), ("assistant", "Four")],
    [("user", ""), ("assistant", ""), ("user", " ")],
    [("assistant", "I begin"), ("user", "Then I")],
    [("system", "a"), ("system", "b"), ("user", "line\nbreak")],
    [("user", "<tool>x</tool>"), ("assistant", "a"), ("tool", "42"), ("tool", "43"), ("assistant", "b")],
]


def templates():
    names = dict(markup=MARKUP, default_system=DEFAULT_SYSTEM, headers=HEADERS, thinking=THINKING, brackets=BRACKETS,
                 turns=TURNS, system_in_first=SYSTEM_IN_FIRST, macros=MACROS)
    result = []
    for name, source in names.items():
        for conversation in CONVERSATIONS:
            messages = [dict(role=role, content=content) for role, content in conversation]
            for prompt in [False, True]:
                try:
                    values = dict(bos_token="<s>", eos_token="</s>")
                    if "strftime_now" in source:
                        values["date_string"] = "24 Nov 2026"
                    # The engine gives no tools and no date to a template that has a default for it.
                    rendered = render_jinja_template([messages], chat_template=source, add_generation_prompt=prompt, **values)
                    rendered = rendered[0][0] if isinstance(rendered, tuple) else rendered[0]
                    error = None
                except Exception as failure:
                    rendered, error = None, str(failure)
                result.append(dict(template=name, messages=conversation, prompt=prompt, text=rendered, error=error))
    text = json.dumps(dict(sources=names, cases=result), ensure_ascii=False)
    (FOLDER / "templates.json").write_text(text + "\n")
    failed = sum(case["error"] is not None for case in result)
    print(f"templates: {len(result)} cases, {failed} refused, {len(text)} bytes")


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    words = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
    rest = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    byte_level("llama_3", "llama-bpe", split_by(words + r"\p{N}{1,3}" + rest), None, True, True)
    from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX
    byte_level("qwen_2", "qwen2", split_by(PRETOKENIZE_REGEX), normalizers.NFC(), False, False)
    digits = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True),
                                      pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
    byte_level("smollm_2", "smollm", digits, None, False, False)
    sentence_piece("llama_2", True, True)
    sentence_piece("gemma", False, True)
    templates()
