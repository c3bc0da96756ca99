"""Writes tests/texts/template_features.json: one small chat template per feature of jinja2 and Python, as transformers
renders it.

    python tests/oracles/templates.py              # needs transformers and jinja2; no torch
    python tests/oracles/templates.py FOLDER OUT   # templates of real models, one file each, for a comparison by hand:
    ISOBATH_TEMPLATES=OUT cargo test --test files texts::

Every template is our own. A line of FEATURES is `name: template`; `\\n` stands for the two characters that a template
holds, a real line end is written as `⏎` and a carriage return as `␍`. What is refused there must be refused here.
The engine's own test is in tests/files/texts.rs; what differs on purpose stands in DIFFERS, with the reason, and in
docs/templates.md.
"""

import datetime
import json
import pathlib
import sys

from transformers.utils import chat_template_utils

TESTS = pathlib.Path(__file__).resolve().parents[1]
NOW = datetime.datetime(2026, 11, 24, 8, 5, 9)

MESSAGES = [("system", "Be brief."), ("user", "Hi <b> & 'you'"), ("assistant", " Yo \n"), ("user", "é深🙂 ?")]

FEATURES = r"""
# text and blanks
trim_blocks: a{% if true %}⏎b{% endif %}⏎c
lstrip_blocks: a⏎   {% if true %}b⏎  {% endif %}⏎c
lstrip_not_in_line: a {% if true %}b{% endif %}
plus_keeps_indent: a⏎  {%+ if true %}b{% endif %}
plus_keeps_newline: {% if true +%}⏎b{% endif %}
minus_both_sides: a  ⏎ {%- if true -%} ⏎ b {%- endif %} c
minus_in_print: a ⏎ {{- 'b' -}} ⏎ c
comment_trims_newline: a{# one #}⏎b  {#- two -#}  c
comment_lstrip: a⏎   {# one #}⏎b
comment_over_lines: a{# one⏎two #}b
one_last_newline_is_dropped: a⏎
two_last_newlines: a⏎⏎
newline_behind_print: {{ 'a' }}⏎{{ 'b' }}⏎
crlf_in_text: a␍⏎b␍⏎c
crlf_behind_block: {% if true %}␍⏎a{% endif %}␍⏎b
crlf_at_end: a␍⏎
cr_alone: a␍b
crlf_in_literal: {{ 'a␍⏎b' }}
crlf_by_escape: {{ 'a\r\nb' }}
raw: {% raw %}{{ x }}{% if %}{% endraw %}
raw_trims: a ⏎{%- raw -%} ⏎ {{ x }} ⏎{%- endraw -%} ⏎b
raw_newline: {% raw %}⏎a⏎{% endraw %}⏎b
percent_brace_in_string: {{ '%}' ~ "}}" ~ '{{' }}
braces_in_text: { a } {b} } { %} #}
line_separators_in_text: a b c d
unicode_in_text: é深🙂
tab_indent: a⏎		{% if true %}b{% endif %}
print_after_indent: a⏎  {{ 'b' }}
# literals
string_escapes: {{ 'a\nb\tc\\d\'e"f' }}
string_escape_unknown: {{ 'a\d\ b' }}
string_escape_hex: {{ '\x41\u00e9\U0001F642' }}
string_escape_octal: {{ '\101\7' }}
string_escape_rare: {{ '\a\b\f\v' }}
string_escape_newline: {{ 'a\⏎b' }}
string_escape_surrogates: {{ '\ud83d\ude42' | length }}
strings_beside_each_other: {{ 'a' 'b' "c" }}
integers: {{ 1_000 }} {{ 0x1f }} {{ 0b101 }} {{ 0o17 }}
integer_with_zeros: {{ 007 }}
floats: {{ 1.0 }} {{ 1.5e3 }} {{ 1e16 }} {{ 1e15 }} {{ 0.1 + 0.2 }} {{ 1e-5 }} {{ 0.0001 }} {{ 123456789.123 }} {{ 1e100 }}
float_underscore: {{ 1_0.2_5 }}
float_negative: {{ -0.0 }} {{ -1.5 }} {{ 2.0 * 3 }}
big_integer: {{ 2 ** 64 }} {{ 18446744073709551616 }} {{ 10 ** 20 }}
huge_integer: {{ 2 ** 200 }}
constants: {{ true }} {{ True }} {{ false }} {{ False }} {{ none }} {{ None }}
list_print: {{ [1, 'a', 2.0, none, true, [], {}] }}
dict_print: {{ {'a': 1, "b'c": 'd"e', 'f': none, 1: false} }}
string_repr: {{ ['a\'b', 'a"b', 'a\'b"c', 'a\nb', 'é', '\\', '\t', '\x00', '\x7f'] }}
string_repr_unicode: {{ ['🙂', '\u200b', '\xa0', '\u2028', '深', '\xad'] }}
tuple_print: {{ (1, 2) }} {{ (1,) }} {{ () }} {{ ('a', none) }}
tuple_bare: {% set t = 1, 2 %}{{ t }}
nested_print: {{ {'a': [{'b': (1, [2])}]} }}
float_in_list: {{ [1.0, 1e20, 0.1, 1e-7] }}
dict_keys_print: {{ {'a': 1}.keys() | list }} {{ {'a': 1}.items() | list }} {{ {'a': 1}.values() | list }}
dict_views_print: {{ {'a': 1}.keys() }}
dict_values_print: {{ {'a': 1}.values() }}
dict_items_print: {{ {'a': 1, 'b': 2}.items() }}
range_print: {{ range(3) }}
range_list_print: {{ range(3) | list }} {{ range(1, 7, 2) | list }} {{ range(5, 0, -2) | list }}
dict_duplicate_key: {{ {'a': 1, 'a': 2} }}
dict_trailing_comma: {{ {'a': 1,} }} {{ [1, 2,] }}
dict_int_and_true_key: {{ {1: 'a', true: 'b'} }}
dict_int_and_float_key: {{ {1: 'a'}[1.0] }}
undefined_print: [{{ missing }}]
undefined_attribute_print: [{{ messages[0].missing }}]
undefined_item_print: [{{ messages[0]['missing'] }}]
undefined_index_print: [{{ [1, 2][5] }}]
undefined_deep: {{ missing.a.b }}
undefined_deep_item: {{ missing['a'] }}
undefined_call: {{ missing() }}
undefined_add: {{ 'a' + missing }}
undefined_concat: {{ 'a' ~ missing ~ 'b' }}
undefined_truth: {{ 'y' if missing else 'n' }}
undefined_loop: [{% for x in missing %}{{ x }}{% else %}e{% endfor %}]
undefined_length: {{ missing | length }}
undefined_equal: {{ missing == missing }} {{ missing == none }} {{ missing == '' }}
undefined_in: {{ 'a' in missing }}
undefined_less: {{ missing < 1 }}
undefined_filter_upper: [{{ missing | upper }}]
undefined_list: {{ missing | list }}
undefined_join: [{{ missing | join(',') }}]
undefined_trim: [{{ missing | trim }}]
undefined_tojson: {{ missing | tojson }}
undefined_string: [{{ missing | string }}]
undefined_argument: {{ 'abc'.startswith(missing) }}
undefined_method: {{ 'a'.nothing() }}
undefined_not: {{ not missing }}
undefined_in_list_print: {{ [missing] }}
none_attribute: [{{ none.a }}]
none_attribute_deep: {{ none.a.b }}
none_item: [{{ none['a'] }}]
none_add: {{ 'a' + none }}
none_concat: {{ 'a' ~ none }}
none_loop: {% for x in none %}{% endfor %}
none_length: {{ none | length }}
none_upper: {{ none | upper }}
none_trim: {{ none | trim }}
number_attribute: [{{ (1).a }}]
string_attribute: [{{ 'abc'.a }}]
string_item: {{ 'abc'[0] }}{{ 'abc'[-1] }}[{{ 'abc'[9] }}]
string_item_unicode: {{ 'é深🙂'[1] }} {{ 'é深🙂'[-1] }}
# operators
arithmetic: {{ 7 + 2 }} {{ 7 - 2 }} {{ 7 * 2 }} {{ 7 / 2 }} {{ 8 / 2 }} {{ 7 // 2 }} {{ -7 // 2 }} {{ 7 % 3 }} {{ -7 % 3 }} {{ 7.5 % 2 }} {{ 2 ** 10 }} {{ 2 ** -1 }} {{ 7.0 // 2 }}
arithmetic_booleans: {{ true + 1 }} {{ true * 3 }} {{ true + true }} {{ -true }}
division_by_zero: {{ 1 / 0 }}
modulo_by_zero: {{ 1 % 0 }}
power_chain: {{ 2 ** 3 ** 2 }}
power_negative: {{ -2 ** 2 }} {{ (-2) ** 2 }}
precedence: {{ 1 + 2 * 3 }} {{ (1 + 2) * 3 }} {{ 1 ~ 2 + 3 }} {{ 2 * 3 ~ 4 }} {{ not 1 == 2 }} {{ 1 < 2 and 2 < 3 or false }}
precedence_concat: {{ 'a' ~ 1 + 2 ~ 'b' }}
unary_plus: {{ +3 }} {{ -3 }} {{ - 3 + 5 }}
unary_filter: {{ -3 | abs }} {{ -3.5 | round }}
string_add: {{ 'a' + 'b' }}
string_add_number: {{ 'a' + 1 }}
string_times: {{ 'ab' * 3 }} {{ 3 * 'ab' }} [{{ 'ab' * -1 }}]
list_add: {{ [1] + [2, 3] }} {{ [1] + [] }}
list_add_tuple: {{ [1] + (2,) }}
list_times: {{ [0] * 3 }} {{ (1,) * 2 }}
dict_add: {{ {'a': 1} + {'b': 2} }}
concat_kinds: {{ 'a' ~ 1 ~ 1.0 ~ none ~ true ~ [1, 'b'] ~ {'c': 2} }}
compare_numbers: {{ 1 < 2 }} {{ 1 <= 1.0 }} {{ 1 == 1.0 }} {{ 1 != 2 }} {{ 3 > 2 }} {{ 3 >= 4 }} {{ true == 1 }}
compare_strings: {{ 'a' < 'b' }} {{ 'Z' < 'a' }} {{ 'a' == 'a' }} {{ 'é' > 'z' }}
compare_lists: {{ [1, 2] < [1, 3] }} {{ [1] == [1.0] }} {{ [1] == (1,) }} {{ {'a': 1} == {'a': 1} }}
compare_dict_order: {{ {'a': 1, 'b': 2} == {'b': 2, 'a': 1} }}
compare_kinds: {{ 1 < 'a' }}
compare_kinds_equal: {{ 1 == '1' }} {{ none == false }} {{ '' == none }} {{ [] == '' }}
compare_none: {{ none < 1 }}
compare_chain: {{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ 1 == 1 == 1 }}
in_operator: {{ 'b' in 'abc' }} {{ 1 in [1, 2] }} {{ 'a' in {'a': 1} }} {{ 3 not in (1, 2) }} {{ '' in 'a' }}
in_string_number: {{ 1 in 'abc' }}
in_number: {{ 1 in 2 }}
in_none: {{ 1 in none }}
and_or_values: {{ 'a' and 'b' }} {{ '' or 'c' }} {{ 0 or none }} {{ [] and 1 }} {{ none or false }}
not_values: {{ not '' }} {{ not [] }} {{ not {} }} {{ not 0 }} {{ not 0.0 }} {{ not 'a' }} {{ not none }}
truth_values: {% for x in ['', 'a', 0, 1, 0.0, [], [0], {}, {'a': 1}, none, true, false, (), (0,)] %}{{ 1 if x else 0 }}{% endfor %}
truth_range: {{ 1 if range(0) else 0 }}{{ 1 if range(2) else 0 }}
truth_namespace: {{ 1 if namespace() else 0 }}
truth_dict_views: {{ 1 if {}.keys() else 0 }}{{ 1 if {}.items() else 0 }}{{ 1 if {'a': 1}.values() else 0 }}
conditional_without_else: [{{ 'a' if false }}]
conditional_nested: {{ 'a' if false else 'b' if true else 'c' }}
conditional_filter: {{ 'a' if true else 'b' | upper }}
not_in_precedence: {{ not 'a' in 'abc' }} {{ not 1 in [2] }}
is_not: {{ 1 is not none }} {{ none is not none }} {{ not 1 is defined }}
is_precedence: {{ 1 + 1 is even }} {{ 'a' ~ 'b' is string }}
is_and: {{ 1 is number and 'a' is string }}
is_argument_without_parentheses: {{ 6 is divisibleby 3 }} {{ 'a' is in ['a'] }}
percent_string: {{ '%s and %s' % ('a', 1) }} {{ 'a %s' % 'b' }}
percent_number: {{ '%d' % 3 }} {{ '%d' % 3.9 }} {{ '%5d|%-5d|%05d|%+d' % (1, 2, 3, 4) }}
percent_float: {{ '%.2f' % 3.14159 }} {{ '%f' % 1 }} {{ '%e' % 12345.678 }} {{ '%g' % 0.0001 }} {{ '%g' % 1e20 }} {{ '%8.3f|' % 2.5 }}
percent_hex: {{ '%x %X %o %#x' % (255, 255, 8, 255) }}
percent_percent: {{ '100%% %s' % 'a' }}
percent_repr: {{ '%r' % 'a' }} {{ '%s' % none }} {{ '%s' % true }} {{ '%s' % 1.0 }} {{ '%r' % ([1],) }}
percent_list: {{ '%s' % [1, 2] }} {{ '%s' % {'a': 1} }}
percent_mapping: {{ '%(a)s-%(b)03d' % {'a': 'x', 'b': 7} }}
percent_character: {{ '%c%c' % ('a', 98) }}
percent_width_star: {{ '%*d|%.*f' % (5, 3, 2, 1.0) }}
percent_width_unicode: {{ "%5s|%-4s|%.2s|%4r" % ("é深", "é", "é深x", "é") }}
percent_string_width: {{ '%5s|%-5s|%.2s' % ('a', 'b', 'cde') }}
percent_too_few: {{ '%s %s' % ('a',) }}
percent_flags: {{ '%-4d|%+5d|% d|%04d' % (1, 2, 3, -4) }} {{ '%5s%%' % 12 }} {{ '%ld' % 5 }}
percent_too_many: {{ '%s' % ('a', 'b') }}
percent_too_many_plain: {{ 'abc' % 1 }}
percent_no_argument: {{ 'abc' % () }}
percent_wrong_kind: {{ '%d' % 'a' }}
percent_unknown: {{ '%y' % 1 }}
percent_variable: {% set f = '%s!' %}{{ f % messages[0].role }}
percent_in_chain: {{ '%s' % 7 % 3 if false else 17 % 10 % 4 }} {{ 2 * 7 % 4 }} {{ 7 % 4 * 2 }}
percent_of_call: {{ ('%s' ~ '%s') % ('a', 'b') | upper }}
percent_in_loop: {% for m in messages if loop.index0 % 2 == 0 %}{{ '%d' % loop.index }}{% endfor %}
percent_of_lookup: {{ {'f': '<%s>'}['f'] % 'a' }} {{ {'f': '<%s>'}.f % ('b') }} {{ ['%s'][0] % 1 + 'c' }}
percent_negative: {{ 7 % -3 }} {{ -7 % -3 }} {{ '%d' % -3 }}
percent_in_set: {% set x = 'a%sb' % 1 %}{{ x }}{% set n = 9 % 4 %}{{ n }}
percent_in_macro_default: {% macro f(a='%s' % 3, b=5 % 3) %}{{ a }}{{ b }}{% endmacro %}{{ f() }}
percent_test: {{ 4 % 2 is even }} {{ (5 % 2) is odd }}
percent_in_if: {% if 5 % 2 == 1 and '%d' % 2 == '2' %}y{% endif %}
# statements
if_elif_else: {% if false %}a{% elif none %}b{% else %}c{% endif %}
for_over_generator: {% for m in messages | selectattr('role', 'equalto', 'user') %}{{ loop.length }}{{ loop.last }}{{ loop.revindex }} {% endfor %}
for_over_map: {% for r in messages | map(attribute='role') %}{{ loop.index }}/{{ loop.length }}{{ r }} {% endfor %}
for_over_items: {% for k, v in {'a': 1, 'b': 2}.items() %}{{ loop.last }}{{ loop.length }} {% endfor %}
for_over_slice: {% for x in [1, 2, 3][::-1] %}{{ x }}{{ loop.last }} {% endfor %}
for_over_reverse: {% for x in [1, 2] | reverse %}{{ x }}{{ loop.length }}{% endfor %}
for_over_tuple: {% for x in 1, 2 %}{{ x }}{% endfor %}
for_over_conditional: {% for x in ([1] if true else [2]) %}{{ x }}{% endfor %}
for_over_groups: {% for k, g in messages | groupby('role') %}{{ loop.length }}{{ k }}{% for m in g %}{{ loop.length }}{% endfor %}{% endfor %}
for_recursive_if: {% for x in [{'n': 1, 'c': [{'n': 2, 'c': []}, {'n': 0, 'c': []}]}] if x.n > 0 recursive %}{{ x.n }}{{ loop(x.c) }}{% endfor %}
for_else: {% for x in [] %}a{% else %}b{% endfor %}
for_filter: {% for x in range(6) if x is odd %}{{ x }}{% if not loop.last %},{% endif %}{% endfor %}
for_filter_length: {% for x in range(6) if x is odd %}{{ loop.length }}{% endfor %}
for_unpack: {% for a, b in [(1, 2), [3, 4]] %}{{ a }}{{ b }};{% endfor %}
for_unpack_nested: {% for a, (b, c) in [(1, (2, 3))] %}{{ a }}{{ b }}{{ c }}{% endfor %}
for_unpack_items: {% for k, v in {'a': 1, 'b': 2}.items() %}{{ k }}={{ v }};{% endfor %}
for_unpack_string: {% for a, b in ['xy', 'zw'] %}{{ a }}{{ b }};{% endfor %}
for_unpack_too_many: {% for a, b in [(1, 2, 3)] %}{% endfor %}
for_string: {% for c in 'é深x' %}{{ c }}.{% endfor %}
for_dict: {% for k in {'b': 1, 'a': 2} %}{{ k }}{% endfor %}
for_number: {% for x in 5 %}{% endfor %}
for_loop_fields: {% for x in 'abc' %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.depth }}{{ loop.depth0 }} {% endfor %}
for_loop_neighbours: {% for x in [1, 2, 3] %}{{ loop.previtem | default('-') }}{{ loop.nextitem | default('-') }} {% endfor %}
for_loop_cycle: {% for x in range(4) %}{{ loop.cycle('a', 'b', 'c') }}{% endfor %}
for_loop_changed: {% for x in [1, 1, 2, 2, 1] %}{{ loop.changed(x) }} {% endfor %}
for_loop_nested: {% for x in [1, 2] %}{% set outer = loop %}{% for y in [3, 4] %}{{ outer.index }}{{ loop.index }} {% endfor %}{% endfor %}
for_recursive: {% for x in [{'n': 1, 'c': [{'n': 2, 'c': []}]}] recursive %}{{ x.n }}({{ loop(x.c) }}){{ loop.depth }}{% endfor %}
for_scope: {% set x = 1 %}{% for y in [1, 2] %}{% set x = x + y %}{{ x }}{% endfor %}{{ x }}
for_variable_ends: {% for y in [1] %}{% endfor %}[{{ y }}]
for_loop_outside: [{{ loop }}]
break_continue: {% for x in range(9) %}{% if x == 2 %}{% continue %}{% endif %}{% if x == 5 %}{% break %}{% endif %}{{ x }}{% endfor %}
break_inner: {% for x in [1, 2] %}{% for y in [1, 2] %}{% break %}{% endfor %}{{ x }}{% endfor %}
set_several: {% set a, b = 1, 2 %}{{ a }}{{ b }}
set_unpack_list: {% set a, b = [3, 4] %}{{ a }}{{ b }}
set_block: {% set x %} a {{ 1 + 1 }} {% endset %}[{{ x }}]{{ x is string }}
set_block_filter: {% set x | trim | upper %} a {% endset %}[{{ x }}]
set_in_if: {% if true %}{% set x = 1 %}{% endif %}{{ x }}
set_attribute: {% set d = {} %}{% set d.a = 1 %}{{ d }}
with_block: {% with a = 1, b = 2 %}{{ a }}{{ b }}{% endwith %}[{{ a }}]
with_break: {% for x in [1, 2] %}{% with %}{{ x }}{% break %}{% endwith %}{% endfor %}
set_block_break: {% for x in [1, 2] %}{% set y %}{{ x }}{% break %}{% endset %}{% endfor %}
for_else_break: {% for x in [1, 2] %}{{ x }}{% for y in [] %}{% else %}{% break %}{% endfor %}{% endfor %}
with_scope: {% set a = 1 %}{% with %}{% set a = 2 %}{{ a }}{% endwith %}{{ a }}
filter_block: {% filter upper %}a{{ 'b' }}{% endfilter %}
filter_block_chain: {% filter trim | replace('a', 'b') %} aa {% endfilter %}
macro_plain: {% macro f(a, b=2, c='x') %}{{ a }}{{ b }}{{ c }}|{% endmacro %}{{ f(1) }}{{ f(1, c='y') }}{{ f(b=3, a=4) }}
macro_missing_argument: {% macro f(a, b) %}{{ a }}[{{ b }}]{{ b is defined }}{% endmacro %}{{ f(1) }}
macro_too_many: {% macro f(a) %}{{ a }}{% endmacro %}{{ f(1, 2) }}
macro_unknown_keyword: {% macro f(a) %}{{ a }}{% endmacro %}{{ f(1, x=2) }}
macro_varargs: {% macro f(a) %}{{ a }}{{ varargs }}{% endmacro %}{{ f(1, 2, 3) }}
macro_kwargs: {% macro f(a) %}{{ a }}{{ kwargs }}{% endmacro %}{{ f(1, x=2) }}
macro_caller: {% macro f() %}<{{ caller() }}>{% endmacro %}{% call f() %}a{% endcall %}
macro_caller_arguments: {% macro f() %}<{{ caller(1, 2) }}>{% endmacro %}{% call(a, b) f() %}{{ a + b }}{% endcall %}
macro_caller_defined: {% macro f() %}{{ caller is defined }}{% endmacro %}{{ f() }}
macro_recursive: {% macro f(n) %}{{ n }}{% if n > 0 %}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(3) }}
macro_sees_globals: {% set g = 1 %}{% macro f() %}{{ g }}{{ messages | length }}{{ bos_token }}{% endmacro %}{{ f() }}
macro_global_set_later: {% macro f() %}[{{ g }}]{% endmacro %}{% set g = 1 %}{{ f() }}
macro_default_of_argument: {% macro f(a, b=a) %}{{ b }}{% endmacro %}{{ f(7) }}
macro_string_methods: {% macro f() %} a {% endmacro %}[{{ f().strip() }}][{{ f() | trim }}]{{ f() is string }}
macro_in_loop_scope: {% for x in [1, 2] %}{% macro f() %}{{ x }}{% endmacro %}{{ f() }}{% endfor %}
macro_name: {% macro f(a, b=1) %}{% endmacro %}{{ f.name }}{{ f.arguments }}
macro_defined_below: {{ f is defined }}{% macro f() %}{% endmacro %}
generation_tag: a{% generation %}b{{ 1 + 1 }}{% endgeneration %}c
generation_tag_trims: a⏎  {%- generation -%}  b  {%- endgeneration -%}  c
generation_tag_newline: {% generation %}⏎a⏎{% endgeneration %}⏎b
generation_tag_in_loop: {% for m in messages %}{% if m.role == 'assistant' %}{% generation %}{{ m.content }}{% endgeneration %}{% endif %}{% endfor %}
generation_tag_scope: {% set x = 1 %}{% generation %}{% set x = 2 %}{{ x }}{% endgeneration %}{{ x }}
generation_as_variable: {% set generation = 3 %}{{ generation }}{% if generation %}y{% endif %}
generation_in_raw: {% raw %}{% generation %}{% endgeneration %}{% endraw %}
generation_in_comment: {# {% generation %} #}a
generation_in_string: {{ '{% generation %}' }}
generation_break: {% for x in [1, 2] %}{% generation %}{{ x }}{% break %}{% endgeneration %}{% endfor %}
raise_exception: {{ raise_exception('no such role: ' ~ messages[0].role) }}
raise_exception_not_reached: {% if false %}{{ raise_exception('x') }}{% endif %}a
raise_exception_as_statement: {% set _ = raise_exception('stop here') %}
do_tag: {% do [1].append(2) %}
include: {% include 'a' %}
import: {% import 'a' as b %}
extends: {% extends 'a' %}
block: {% block a %}b{% endblock %}
block_named_end: {% block a %}b{% endblock a %}{{ self.a() }}
autoescape_tag: {% autoescape true %}{{ '<a>' }}{% endautoescape %}
unknown_tag: {% frobnicate %}
unclosed_block: {% if true %}a
unclosed_print: {{ 'a'
unclosed_comment: a {# b
unclosed_string: {{ 'a }}
stray_end: {% endif %}
unknown_filter: {{ 'a' | frobnicate }}
unknown_filter_not_reached: {% if false %}{{ 'a' | frobnicate }}{% endif %}a
unknown_test: {{ 'a' is frobnicate }}
unknown_test_not_reached: {% if false %}{{ 'a' is frobnicate }}{% endif %}a
unknown_function: {{ frobnicate(1) }}
namespace_set: {% set ns = namespace(a=1) %}{% for x in [1, 2] %}{% set ns.a = ns.a + x %}{% endfor %}{{ ns.a }}
namespace_new_attribute: {% set ns = namespace() %}{% set ns.b = 2 %}{{ ns.b }}[{{ ns.c }}]
namespace_from_dict: {% set ns = namespace({'a': 1}, b=2) %}{{ ns.a }}{{ ns.b }}
namespace_item: {% set ns = namespace(a=1) %}{{ ns['a'] }}
namespace_list: {% set ns = namespace(l=[]) %}{% for x in [1, 2] %}{% set ns.l = ns.l + [x] %}{% endfor %}{{ ns.l }}
namespace_several: {% set ns = namespace(a=1, b=2) %}{% set ns.a, ns.b = ns.b, ns.a %}{{ ns.a }}{{ ns.b }}
namespace_block_set: {% set ns = namespace() %}{% set ns.a %}x{% endset %}{{ ns.a }}
namespace_print: {% set ns = namespace(a=1) %}{{ ns }}
macro_print: {% macro f() %}{% endmacro %}{{ (f ~ '')[:6] }}
namespace_underscore: {% set ns = namespace(_a=1) %}{{ ns._a }}
dict_function: {{ dict(a=1, b=2) }} {{ dict({'a': 1}, b=2) }}
dict_function_pairs: {{ dict([('a', 1), ('b', 2)]) }}
dict_fromkeys: {{ dict.fromkeys(['a', 'b'], 0) }}
cycler: {% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}
cycler_current: {% set c = cycler('a', 'b') %}{{ c.current }}
joiner: {% set j = joiner('|') %}{% for x in [1, 2, 3] %}{{ j() }}{{ x }}{% endfor %}
lipsum: {{ lipsum(n=1, html=false) | length > 10 }}
range_too_large: {{ range(200000) | length }}
call_star: {% macro f(a, b) %}{{ a }}{{ b }}{% endmacro %}{{ f(*[1, 2]) }}{{ f(**{'a': 3, 'b': 4}) }}
# slices
slice_list: {% set l = [0, 1, 2, 3, 4, 5] %}{{ l[1:3] }}{{ l[:2] }}{{ l[4:] }}{{ l[-2:] }}{{ l[:-4] }}{{ l[:] }}
slice_step: {% set l = [0, 1, 2, 3, 4, 5] %}{{ l[::2] }}{{ l[1::2] }}{{ l[::-1] }}{{ l[4:1:-1] }}{{ l[::-2] }}{{ l[-1:-4:-1] }}
slice_outside: {{ [1, 2][5:] }}{{ [1, 2][-9:9] }}{{ [][1:] }}
slice_string: {{ 'abcdef'[1:3] }}{{ 'abcdef'[::-1] }}{{ 'abcdef'[-2:] }}{{ 'é深🙂'[1:] }}
slice_tuple: {{ (1, 2, 3)[1:] }}
slice_of_slice: {{ [1, 2, 3][1:][0] }}{{ [1, 2, 3][1:][-1] }}{{ [1, 2, 3][1:][1:] }}{{ [1, 2, 3][::-1][0] }}{{ [1, 2, 3][1:] | length }}
slice_compare: {{ [1, 2, 3][1:] == [2, 3] }} {{ [1, 2][:1] + [5] }} {{ [5] + [1, 2][:1] }} {{ 2 in [1, 2, 3][1:] }} {{ [1, 2][:1] is sequence }} {{ [1, 2][:0] is sequence }} {{ 'y' if [1][1:] else 'n' }}
slice_methods: {{ [1, 2, 3][1:].index(3) }} {{ [1, 2, 2][1:].count(2) }} {{ [1, 2, 3][1:].copy() }} {{ [1, 2][:1] is iterable }} {{ [1, 2][:1] is string }}
slice_tojson: {{ [1, 2, 3][1:] | tojson }} {{ messages[1:2] | tojson }} {{ ([1] * 2) | tojson }} {{ ([1] + [2]) | tojson }} {{ [1, 2] | reverse | list | tojson }}
sequences_made: {{ ([1] * 2) is sequence }} {{ ([1] + [2]) is sequence }} {{ ([1] + [2]).index(2) }} {{ ([1] + [2])[1] }} {{ ([1] * 3)[2] }} {{ ('ab' | list)[0] }} {{ ([1] + [2])[-1] }} {{ ([1] * 2).count(1) }}
slice_first_last: {{ [1, 2, 3][1:] | first }} {{ [1, 2, 3][1:] | last }} {{ [3, 1, 2][1:] | sort }} {{ [1, 2, 3][1:] | join(',') }} {{ [1, 2, 3][1:] | map('string') | list }}
slice_none: {{ [1, 2, 3][none:2] }}
slice_step_zero: {{ [1][::0] }}
slice_dict: {{ {'a': 1}[1:] }}
slice_messages: {% for m in messages[1:] %}{{ m.role }},{% endfor %}{% for m in messages[::-1] %}{{ m.role }},{% endfor %}
index_variable: {% set i = 1 %}{{ [5, 6, 7][i] }}{{ messages[i - 1].role }}{{ [5, 6, 7][-i] }}
index_float: [{{ [1, 2][1.0] }}]
index_string_number: [{{ [1, 2]['1'] }}]
index_dot_number: {{ [5, 6].0 }}{{ [5, 6].1 }}
attribute_before_item: {{ {'items': 5}.items is callable }} {{ {'items': 5}['items'] }}
attribute_of_dict: {{ {'a': {'b': 1}}.a.b }}
attribute_underscore: [{{ ''.__class__ }}]
attribute_private: [{{ {'_a': 1}._a }}]
# tests
test_defined: {{ missing is defined }} {{ messages is defined }} {{ messages[0].nothing is defined }} {{ missing is undefined }} {{ none is defined }}
test_defined_deep: {{ messages[0].a.b is defined }}
test_none: {{ none is none }} {{ missing is none }} {{ 0 is none }}
test_boolean: {{ true is boolean }} {{ 1 is boolean }} {{ none is boolean }}
test_true_false: {{ true is true }} {{ 1 is true }} {{ false is false }} {{ 0 is false }}
test_number: {{ 1 is number }} {{ 1.5 is number }} {{ true is number }} {{ '1' is number }}
test_integer_float: {{ 1 is integer }} {{ true is integer }} {{ 1.0 is integer }} {{ 1.0 is float }} {{ 1 is float }}
test_string: {{ 'a' is string }} {{ 1 is string }} {{ none is string }} {{ [] is string }} {{ missing is string }}
test_mapping: {{ {} is mapping }} {{ [] is mapping }} {{ 'a' is mapping }} {{ none is mapping }} {{ messages[0] is mapping }} {{ namespace() is mapping }}
test_iterable: {{ [] is iterable }} {{ {} is iterable }} {{ 'a' is iterable }} {{ none is iterable }} {{ 1 is iterable }} {{ () is iterable }} {{ missing is iterable }} {{ range(2) is iterable }} {{ true is iterable }}
test_iterable_views: {{ {}.items() is iterable }} {{ {}.keys() is iterable }} {{ ([1] | map('string')) is iterable }}
test_sequence: {{ [] is sequence }} {{ {} is sequence }} {{ 'a' is sequence }} {{ none is sequence }} {{ 1 is sequence }} {{ () is sequence }} {{ missing is sequence }} {{ range(2) is sequence }} {{ true is sequence }}
test_sequence_generator: {{ ([1] | map('string')) is sequence }}
test_sequence_views: {{ {}.items() is sequence }} {{ namespace() is sequence }} {{ raise_exception is sequence }}
test_tools_guard: {{ tools is iterable and tools | length > 0 }}
test_tools_none: {{ tools is none }}{{ tools is defined }}{{ not tools }}{{ documents is none }}
test_callable: {{ raise_exception is callable }} {{ 'a'.upper is callable }} {{ 1 is callable }} {{ missing is callable }} {{ range is callable }}
test_callable_macro: {% macro f() %}{% endmacro %}{{ f is callable }} {{ namespace is callable }} {{ dict is callable }}
test_even_odd: {{ 2 is even }} {{ 3 is odd }} {{ 2.0 is even }}
test_mapping_namespace: {{ namespace() is mapping }} {{ namespace() is iterable }}
test_loop: {% for x in [1] %}{{ loop is mapping }} {{ loop is callable }} {{ loop is iterable }}{% endfor %}
test_even_string: {{ 'a' is even }}
test_divisibleby: {{ 6 is divisibleby(3) }} {{ 7 is divisibleby(3) }}
test_equal: {{ 1 is eq 1 }} {{ 1 is equalto(1) }} {{ 1 is ne 2 }} {{ 1 is sameas 1 }} {{ 1 is == 1 }}
test_sameas: {{ true is sameas true }} {{ 1 is sameas true }} {{ none is sameas none }} {{ false is sameas 0 }}
test_greater: {{ 2 is gt 1 }} {{ 2 is greaterthan 1 }} {{ 1 is lt 2 }} {{ 1 is lessthan 2 }} {{ 2 is ge 2 }} {{ 2 is le 1 }}
test_in: {{ 1 is in [1] }} {{ 'a' is in('abc') }} {{ 1 is not in [2] }}
test_lower_upper: {{ 'a' is lower }} {{ 'A' is upper }} {{ 'aB' is lower }} {{ '1' is upper }}
test_escaped: {{ 'a' is escaped }} {{ ('a' | safe) is escaped }}
test_filter_test: {{ 'upper' is filter }} {{ 'nope' is filter }} {{ 'odd' is test }} {{ 'nope' is test }} {{ 'tojson' is filter }}
test_on_attribute: {{ messages[0].content is string }} {{ messages[0]['content'] is not string }}
# string methods
method_case: {{ 'aB c'.upper() }} {{ 'aB c'.lower() }} {{ 'aB c'.title() }} {{ 'aB C'.capitalize() }} {{ 'aB'.swapcase() }}
method_title: {{ "they're bill's 3rd x-ray".title() }}
method_casefold: {{ 'Straße'.casefold() }} {{ 'Straße'.upper() }} {{ 'ÉA'.lower() }}
method_capitalize: {{ 'éCOLE'.capitalize() }} {{ ''.capitalize() }} {{ 'ßa'.capitalize() }}
method_strip: [{{ '  a b \n'.strip() }}][{{ ' a '.lstrip() }}][{{ ' a '.rstrip() }}]
method_strip_characters: [{{ 'xxaxx'.strip('x') }}][{{ 'abcab'.lstrip('ba') }}][{{ 'abcab'.rstrip('ab') }}][{{ ' a '.strip(none) }}]
method_strip_unicode: [{{ '\u00a0a\u2003'.strip() }}][{{ '\x1fa\x1c'.strip() }}][{{ '\u200ba'.strip() | length }}]
method_removeprefix: {{ 'abcabc'.removeprefix('abc') }} {{ 'abc'.removeprefix('x') }} {{ 'abc'.removesuffix('bc') }} {{ 'abc'.removesuffix('') }}
method_startswith: {{ 'abc'.startswith('ab') }} {{ 'abc'.startswith(('x', 'a')) }} {{ 'abc'.endswith('bc') }} {{ 'abc'.endswith(('x', 'y')) }}
method_startswith_offset: {{ 'abc'.startswith('b', 1) }} {{ 'abc'.startswith('c', -1) }} {{ 'abcd'.endswith('c', 0, 3) }} {{ 'abc'.startswith('', 9) }}
method_startswith_list: {{ 'abc'.startswith(['a']) }}
method_startswith_number: {{ 'abc'.startswith(1) }}
method_find: {{ 'abcabc'.find('c') }} {{ 'abc'.find('x') }} {{ 'abcabc'.rfind('c') }} {{ 'é深x'.find('x') }}
method_find_offset: {{ 'abcabc'.find('a', 1) }} {{ 'abcabc'.find('c', 0, 2) }} {{ 'abcabc'.rfind('a', 0, 3) }} {{ 'abcabc'.find('b', -2) }}
method_index: {{ 'abc'.index('c') }} {{ 'abcabc'.rindex('b') }}
method_index_missing: {{ 'abc'.index('x') }}
method_count: {{ 'ababab'.count('ab') }} {{ 'aaa'.count('aa') }} {{ 'abc'.count('') }} {{ 'aXaX'.count('X', 2) }}
method_replace: {{ 'aaa'.replace('a', 'b') }} {{ 'aaa'.replace('a', 'b', 2) }} {{ 'abc'.replace('', '-') }} {{ 'aaa'.replace('a', 'b', -1) }}
method_split: {{ 'a b  c'.split() }} {{ 'a,b,,c'.split(',') }} {{ ' a  b '.split() }} {{ ''.split() }} {{ ''.split(',') }}
method_split_limit: {{ 'a,b,c'.split(',', 1) }} {{ 'a b c'.split(none, 1) }} {{ ' a  b  c '.split(maxsplit=1) }} {{ 'a,b'.split(sep=',') }}
method_split_space: {{ 'a  b'.split(' ') }}
method_split_empty: {{ 'a'.split('') }}
method_split_long: {{ 'a</think>b</think>c'.split('</think>')[-1] }} {{ 'a</think>b'.split('</think>')[0] }}
method_split_unicode: {{ 'a\u00a0b\u2003c\x1fd'.split() | length }}
method_rsplit: {{ 'a,b,c'.rsplit(',', 1) }} {{ 'a b c'.rsplit() }} {{ ' a  b  c '.rsplit(none, 1) }} {{ 'a,b,c'.rsplit(',') }}
method_splitlines: {{ 'a\nb\r\nc\rd'.splitlines() }} {{ 'a\n'.splitlines() }} {{ ''.splitlines() }} {{ 'a\nb'.splitlines(true) }}
method_splitlines_unicode: {{ 'a\x0bb\x0cc\x1cd\u2028e\x85f'.splitlines() | length }}
method_partition: {{ 'a=b=c'.partition('=') }} {{ 'abc'.partition('=') }} {{ 'a=b=c'.rpartition('=') }} {{ 'abc'.rpartition('=') }}
method_join: {{ ', '.join(['a', 'b']) }} {{ '-'.join('abc') }} [{{ ','.join([]) }}] {{ ','.join({'a': 1, 'b': 2}) }}
method_join_numbers: {{ ','.join([1, 2]) }}
method_zfill: {{ '7'.zfill(3) }} {{ '-7'.zfill(4) }} {{ '+7'.zfill(4) }} {{ 'abc'.zfill(2) }} {{ ''.zfill(2) }}
method_justify: [{{ 'a'.center(4) }}][{{ 'ab'.center(5) }}][{{ 'a'.ljust(3, '.') }}][{{ 'a'.rjust(3, '.') }}][{{ 'abc'.center(2) }}][{{ 'a'.center(4, '*') }}]
method_expandtabs: [{{ 'a\tb\tcd'.expandtabs() }}][{{ 'a\tb'.expandtabs(4) }}]
method_is: {{ 'abc'.isalpha() }} {{ 'ab1'.isalnum() }} {{ '12'.isdigit() }} {{ '1.2'.isdigit() }} {{ ' \n'.isspace() }} {{ ''.isalpha() }} {{ 'A'.isupper() }} {{ 'a'.islower() }} {{ 'Aa Bb'.istitle() }} {{ 'é'.isascii() }} {{ 'a_1'.isidentifier() }} {{ 'a\n'.isprintable() }}
method_is_numeric: {{ '½'.isnumeric() }} {{ 'x½'.isnumeric() }}
method_is_digits: {{ '²'.isdigit() }} {{ '²'.isdecimal() }} {{ '½'.isnumeric() }} {{ '½'.isdigit() }} {{ '٣'.isdecimal() }} {{ '٣'.isdigit() }} {{ '三'.isnumeric() }} {{ '三'.isdigit() }}
method_format: {{ '{} {}'.format('a', 1) }} {{ '{0}{1}{0}'.format('a', 'b') }} {{ '{a}'.format(a=3) }} {{ '{{}}'.format() }}
method_format_spec: {{ '{:5}|{:<5}|{:>5}|{:^5}'.format('a', 'b', 'c', 'd') }} {{ '{:.2f}'.format(3.14159) }} {{ '{:05d}'.format(42) }} {{ '{:,}'.format(1234567) }} {{ '{:x}'.format(255) }} {{ '{:*^7}'.format('a') }}
method_format_values: {{ '{}'.format([1, 'a']) }} {{ '{}'.format(none) }} {{ '{}'.format(1.0) }}
method_format_attribute: {{ '{0[a]} {1[0]}'.format({'a': 1}, [2]) }}
method_format_conversion: {{ '{!r} {!s}'.format('a', 'b') }}
method_format_width_unicode: {{ "{:>4}|".format("é深") }}
method_format_missing: {{ '{} {}'.format('a') }}
method_translate: {{ 'abc'.translate({97: 'x'}) }}
method_encode: {{ 'é'.encode('utf-8') | length }}
method_on_message: {{ messages[1].content.split(' ')[0] }}{{ messages[2].content.strip() }}
method_chain: {{ ' A-B '.strip().lower().replace('-', '_').split('_') | join('+') }}
method_wrong_arguments: {{ 'a'.upper(1) }}
method_missing_argument: {{ 'a'.replace('a') }}
method_keywords: {{ 'a,b'.split(sep=',', maxsplit=1) }} {{ 'a\nb'.splitlines(keepends=true) }}
method_of_number: {{ (255).bit_length() }} {{ (1.0).is_integer() }}
# lists and dicts
list_index: {{ [5, 6, 7].index(6) }} {{ ['a', 'b', 'a'].index('a', 1) }}
list_index_missing: {{ [1].index(2) }}
list_count: {{ [1, 2, 1].count(1) }} {{ (1, 1).count(1) }}
list_copy: {{ [1, 2].copy() }}
list_append: {% set l = [] %}{% set _ = l.append(1) %}{{ l }}
list_extend: {% set l = [] %}{% set _ = l.extend([1]) %}{{ l }}
list_pop: {% set l = [1, 2] %}{{ l.pop() }}
list_insert: {% set l = [1, 2] %}{{ l.insert(0, 3) }}
list_sort: {{ [2, 1].sort() }}
list_reverse: {{ [2, 1].reverse() }}
tuple_index: {{ (5, 6).index(6) }}
dict_get: {{ {'a': 1}.get('a') }} {{ {'a': 1}.get('b') }} {{ {'a': 1}.get('b', 2) }} {{ {'a': none}.get('a', 3) }} {{ {1: 2}.get(1) }}
dict_keys: {{ {'a': 1, 'b': 2}.keys() | join(',') }} {{ {'a': 1}.values() | sum }} {{ {'a': 1}.items() | list }} {{ 'a' in {'a': 1}.keys() }}
dict_keys_length: {{ {'a': 1}.keys() | length }} {{ {'a': 1}.items() | length }} {{ {'a': 1}.values() | length }}
dict_copy: {{ {'a': 1}.copy() }}
dict_update: {% set d = {'a': 1} %}{% set _ = d.update({'b': 2}) %}{{ d }}
dict_pop: {% set d = {'a': 1} %}{{ d.pop('a') }}
dict_setdefault: {% set d = {} %}{{ d.setdefault('a', 1) }}
dict_clear: {% set d = {} %}{{ d.clear() }}
dict_item_method_name: {{ {'get': 1}.get('get') }} {{ {'values': 3}['values'] }}
dict_index_list: {{ ({'a': 1}.keys() | list)[0] }}
dict_merge: {{ dict({'a': 1}, **{'b': 2}) }}
dict_order: {{ {'b': 1, 'a': 2, 'c': 3} }}
# filters
filter_abs: {{ -1 | abs }} {{ -1.5 | abs }}
filter_attr: {{ messages[0] | attr('role') }}
filter_batch: {{ [1, 2, 3, 4, 5] | batch(2) | list }} {{ [1, 2, 3] | batch(2, 'x') | list }}
filter_capitalize: {{ 'aBC dEF' | capitalize }}
filter_center: [{{ 'a' | center(5) }}]
filter_count: {{ [1, 2] | count }} {{ 'abc' | length }} {{ {'a': 1} | length }} {{ 'é深🙂' | length }}
filter_default: {{ missing | default('a') }} {{ none | default('a') }} {{ '' | default('a', true) }} {{ none | d('b', true) }} {{ false | default('c', boolean=true) }} {{ missing | default }}
filter_dictsort: {{ {'b': 1, 'A': 2} | dictsort }} {{ {'b': 1, 'a': 2} | dictsort(by='value') }} {{ {'b': 1, 'a': 2} | dictsort(reverse=true) }} {{ {'b': 1, 'A': 2} | dictsort(true) }}
filter_escape: {{ "<a href='x'>&\"" | escape }} {{ '<' | e }} {{ '<' | forceescape }}
filter_escape_then_add: {{ ('<' | e) + '>' }}
filter_filesizeformat: {{ 1000 | filesizeformat }} {{ 1 | filesizeformat }} {{ 1234567 | filesizeformat(true) }} {{ 13 | filesizeformat }}
filter_first_last: {{ [1, 2, 3] | first }} {{ [1, 2, 3] | last }} {{ 'abc' | first }} {{ 'abc' | last }} [{{ [] | first }}] [{{ [] | last }}]
filter_float: {{ '1.5' | float }} {{ 'a' | float }} {{ 'a' | float(2.5) }} {{ 3 | float }} {{ '1e3' | float }} {{ none | float }} {{ ' 2 ' | float }}
filter_forceescape: {{ '<b>' | forceescape }}
filter_format: {{ '%s-%s' | format('a', 2) }} {{ '%(a)s' | format(a=1) }} {{ '%.1f' | format(2.25) }}
filter_groupby: {% for role, group in messages | groupby('role') %}{{ role }}:{{ group | length }};{% endfor %}
filter_groupby_fields: {% for g in messages | groupby('role') %}{{ g.grouper }}{{ g.list | length }}{% endfor %}
filter_groupby_print: {{ [{"a": 1}] | groupby("a") | list }}
filter_groupby_default: {% for k, g in [{'a': 1}, {}] | groupby('a', default=0) %}{{ k }}:{{ g | length }};{% endfor %}
filter_indent: {{ 'a\nb\n\nc' | indent }}|{{ 'a\nb' | indent(2, true) }}|{{ 'a\n\nb' | indent(2, blank=true) }}|{{ 'a\nb' | indent('> ') }}|{{ 'a\nb' | indent(width=1, first=true) }}
filter_int: {{ '12' | int }} {{ '12.7' | int }} {{ 'a' | int }} {{ 'a' | int(5) }} {{ 3.9 | int }} {{ -3.9 | int }} {{ 'ff' | int(base=16) }} {{ '0x1f' | int(0, 16) }} {{ true | int }} {{ none | int }} {{ ' 5 ' | int }} {{ '1_000' | int }}
filter_int_base: {{ '0b11' | int(0, 2) }} {{ '0o17' | int(0, 8) }} {{ '101' | int(base=2) }} {{ 'zz' | int(7, 36) }}
filter_items: {{ {'a': 1} | items | list }} [{{ missing | items | list }}]
filter_items_wrong: {{ [1] | items | list }}
filter_join: {{ [1, 'a', none] | join('-') }} {{ ['a', 'b'] | join }} {{ messages | join(',', attribute='role') }} {{ messages | join(', ', 'role') }}
filter_join_string: {{ 'abc' | join('-') }}
filter_length_number: {{ 5 | length }}
filter_list: {{ 'abc' | list }} {{ {'a': 1} | list }} {{ (1, 2) | list }} {{ range(2) | list }}
filter_list_number: {{ 5 | list }}
filter_lower_upper: {{ 'aB' | lower }} {{ 'aB' | upper }} {{ 1 | upper }} {{ none | lower }} {{ true | lower }} {{ [1, 'a'] | upper }}
filter_map_attribute: {{ messages | map(attribute='role') | list }} {{ messages | map(attribute='x', default='-') | join }}
filter_map_filter: {{ ['a', 'b'] | map('upper') | list }} {{ ['a', 'bc'] | map('length') | list }} {{ ['ax'] | map('replace', 'x', 'y') | list }}
filter_map_index: {{ [[1, 2], [3, 4]] | map(attribute=0) | list }} {{ [{'a': {'b': 1}}] | map(attribute='a.b') | list }} {{ [{'a': [5]}] | map(attribute='a.0') | list }}
filter_map_lazy_print: {{ (['a'] | map('upper')) is string }}
filter_map_items: {% for k, v in {'a': 1}.items() | map('list') %}{{ k }}{{ v }}{% endfor %}
filter_min_max: {{ [3, 1, 2] | min }} {{ [3, 1, 2] | max }} {{ ['b', 'A'] | min }} {{ ['b', 'A'] | max(case_sensitive=true) }} {{ messages | max(attribute='role') | length }}
filter_min_empty: [{{ [] | min }}]
filter_pprint: {{ {'a': [1, 'b']} | pprint }}
filter_pprint_sorted: {{ messages[0] | pprint }}
filter_random: {{ [1] | random }}
filter_reject: {{ [1, 2, 3] | reject('odd') | list }} {{ [0, 1, ''] | reject | list }} {{ messages | rejectattr('role', 'equalto', 'user') | map(attribute='role') | list }}
filter_replace: {{ 'aaa' | replace('a', 'b') }} {{ 'aaa' | replace('a', 'b', 1) }} {{ 'aaa' | replace('a', 'b', count=2) }} {{ 'a1' | replace(1, 2) if false else '' }}
filter_reverse: {{ 'abc' | reverse }} {{ [1, 2] | reverse | list }}
filter_round: {{ 2.5 | round }} {{ 3.5 | round }} {{ 2.345 | round(2) }} {{ 2.1 | round(0, 'ceil') }} {{ 2.9 | round(method='floor') }} {{ 42 | round }} {{ 1234 | round(-2) }} {{ 2.675 | round(2) }}
filter_round_ceil: {{ 7 | round(0, "ceil") }} {{ 7 | round(method="floor") }} {{ 7 | round(1) }} {{ 2.55 | round(1, "floor") }}
filter_round_int: {{ 42.55 | round | int }} {{ 0.5 | round }} {{ -2.5 | round }}
filter_safe_add: {{ ('<b>' | safe) + '<c>' }}
filter_safe: {{ '<b>' | safe }}
filter_select: {{ [1, 2, 3] | select('odd') | list }} {{ [0, 1, '', 'a'] | select | list }} {{ [1, 2, 3] | select('>', 1) | list }} {{ [1, 5] | select('in', [5]) | list }} {{ [1, 2] | select('greaterthan', 1) | first }}
filter_selectattr: {{ messages | selectattr('role', 'equalto', 'user') | list | length }} {{ messages | selectattr('content') | list | length }} {{ messages | selectattr('role', 'in', ['system']) | map(attribute='content') | first }} {{ messages | selectattr('nothing', 'defined') | list }} {{ messages | selectattr('role', '==', 'user') | list | length }}
filter_selectattr_nested: {{ [{'a': {'b': 1}}, {'a': {'b': 2}}] | selectattr('a.b', 'eq', 2) | list }}
filter_selectattr_print: {{ messages | selectattr('role', 'equalto', 'nobody') | list }}
filter_slice: {{ [1, 2, 3, 4, 5] | slice(2) | list }} {{ [1, 2, 3] | slice(2, 'x') | list }}
filter_sort: {{ [3, 1, 2] | sort }} {{ ['b', 'A', 'a'] | sort }} {{ ['b', 'A'] | sort(case_sensitive=true) }} {{ [1, 2] | sort(reverse=true) }} {{ [{'a': 2}, {'a': 1}] | sort(attribute='a') }} {{ [{'a': 2, 'b': 1}, {'a': 1, 'b': 1}] | sort(attribute='b,a') }}
filter_sort_mixed: {{ [1, 'a'] | sort }}
filter_string: {{ 1 | string }}{{ none | string }}{{ [1] | string }} {{ (1 | string) is string }}
filter_striptags: {{ '<a>b</a>  c <!-- d -->' | striptags }}
filter_sum: {{ [1, 2, 3] | sum }} {{ [{'a': 1}, {'a': 2}] | sum(attribute='a') }} {{ [1] | sum(start=10) }} {{ [0.1, 0.2] | sum }} {{ [] | sum }}
filter_title: {{ "they're x-ray foo bar" | title }} {{ 'ABC dEF' | title }} {{ 'a(b) [c' | title }}
filter_tojson: {{ {'a': [1, 2.0, 'é', none, true], 'b': {}} | tojson }} {{ [] | tojson }} {{ 'a"b\\\n' | tojson }} {{ '<&>\'' | tojson }}
filter_tojson_numbers: {{ [1.0, 1e16, 1e-7, 0.1, 12345678901234567890, -0.0, 1e22] | tojson }}
filter_tojson_indent: {{ {'a': [1, {'b': []}], 'c': {}} | tojson(indent=2) }}
filter_tojson_indent_text: {{ {'a': [1]} | tojson(indent='\t') }}
filter_tojson_indent_zero: {{ {'a': [1]} | tojson(indent=0) }}
filter_tojson_indent_none: {{ {'a': 1} | tojson(indent=none) }}
filter_tojson_ascii: {{ 'é深🙂\x7f' | tojson(ensure_ascii=true) }} {{ 'é' | tojson(true) }}
filter_tojson_sort: {{ {'b': 1, 'a': {'d': 1, 'c': 2}} | tojson(sort_keys=true) }}
filter_tojson_separators: {{ {'a': [1, 2]} | tojson(separators=(',', ':')) }} {{ {'a': [1, 2]} | tojson(separators=(', ', '=')) }} {{ [1, 2] | tojson(indent=1, separators=(';', ':')) }} {{ {'a': 1} | tojson(separators=[',', ':']) }}
filter_tojson_positional: {{ {'a': 1} | tojson(false, 1) }}
filter_tojson_keys: {{ {1: 'a', true: 'b', none: 'c', 1.5: 'd'} | tojson }}
filter_tojson_tuple: {{ (1, 2) | tojson }} {{ {'a': (1,)} | tojson }}
filter_tojson_control: {{ '\x00\x1f\x7f\u2028/' | tojson }}
filter_tojson_escape: {{ '\b\f\r\t' | tojson }}
filter_tojson_order: {{ {'b': 1, 'a': 2} | tojson }}
filter_tojson_unknown_keyword: {{ 1 | tojson(nonsense=1) }}
filter_tojson_function: {{ raise_exception | tojson }}
filter_tojson_range: {{ range(2) | tojson }}
filter_tojson_generator: {{ [1] | map('string') | tojson }}
filter_tojson_namespace: {{ namespace(a=1) | tojson }}
filter_tojson_is_text: {{ ({'a': 1} | tojson) + 'x' }} {{ {'a': 1} | tojson | length }}
filter_tojson_infinity: {{ ('inf' | float) | tojson }} {{ 'nan' | float }} {{ '-inf' | float }}
filter_trim: [{{ ' a ' | trim }}][{{ 'xax' | trim('x') }}][{{ '\n a\t' | trim }}][{{ 5 | trim }}]
filter_truncate: {{ 'The quick brown fox' | truncate(9) }} {{ 'The quick brown fox' | truncate(9, true) }} {{ 'The quick brown fox' | truncate(17) }} {{ 'The quick brown fox' | truncate(10, end='!') }} {{ 'abcdef' | truncate(3, true, '') if false else '' }} {{ 'The quick brown fox' | truncate(9, leeway=0) }} {{ 'The quick brown fox' | truncate(9, true, '..', 0) }}
filter_unique: {{ [1, 2, 1] | unique | list }} {{ ['a', 'A', 'b'] | unique | list }} {{ ['a', 'A'] | unique(case_sensitive=true) | list }} {{ messages | unique(attribute='role') | map(attribute='role') | list }}
filter_upper_unicode: {{ 'straße é' | upper }}
filter_urlencode: {{ 'a b/c?d=é&' | urlencode }} {{ {'a': 1, 'b c': 'd&'} | urlencode }} {{ [('a', 1)] | urlencode }} {{ 5 | urlencode }}
filter_urlize: {{ 'see https://x.org now' | urlize }}
filter_wordcount: {{ 'a b, c-d  é' | wordcount }} {{ '' | wordcount }} {{ "it's" | wordcount }}
filter_wordwrap: {{ 'aaa bbb ccc ddd' | wordwrap(7) }}|{{ 'abcdefghij' | wordwrap(4) }}|{{ 'aaa bbb' | wordwrap(4, wrapstring='+') }}|{{ 'abcdef gh' | wordwrap(4, false) }}
filter_xmlattr: <a{{ {'b': 1, 'c': none, 'd': '<'} | xmlattr }}>
filter_chain: {{ messages | selectattr('role', 'equalto', 'user') | map(attribute='content') | map('trim') | join('|') }}
filter_arguments_trailing_comma: {{ 'aaa' | replace('a', 'b',) }}
filter_wrong_arguments: {{ 'a' | upper(1, 2) }}
filter_missing_argument: {{ 'a' | replace }}
filter_in_expression: {{ 'a' | upper ~ 'b' }} {{ ('a' ~ 'b') | upper }} {{ 'a' + 'b' | upper }} {{ [1, 2] | length + 1 }} {{ [1, 2] | length > 1 }}
filter_jinja_extra: {{ 'a,b' | split(',') }}
filter_minijinja_zip: {{ [1] | zip([2]) | list }}
filter_minijinja_bool: {{ 1 | bool }}
filter_minijinja_lines: {{ 'a\nb' | lines }}
filter_minijinja_chain: {{ [1] | chain([2]) | list }}
function_debug: {{ debug is defined }}
# what transformers gives
special_tokens: {{ bos_token }}{{ eos_token }}[{{ unk_token }}][{{ pad_token }}][{{ cls_token }}]
special_tokens_defined: {{ bos_token is defined }}{{ eos_token is defined }}{{ pad_token is defined }}
strftime_date: {{ strftime_now('%d %b %Y') }} {{ strftime_now('%Y-%m-%d') }} {{ strftime_now('%B %d, %Y') }}
strftime_time: {{ strftime_now('%H:%M:%S %I %p') }} {{ strftime_now('%A %a %j %y %w %u') }}
strftime_unpadded: {{ strftime_now('%-d %-m %-H %-I %-j') }} {{ strftime_now('%e|%k|%l') }}
strftime_week: {{ strftime_now('%U %W %V %G %g') }}
strftime_composed: {{ strftime_now('%F %T %R %D') }} {{ strftime_now('%c|%x|%X|%r') }} {{ strftime_now('%h %n %t %C %%') }}
strftime_seconds: {{ strftime_now('%f') | length }} {{ strftime_now('%s') | length }}
strftime_zone: [{{ strftime_now('%Z') }}{{ strftime_now('%z') }}]
strftime_flags: {{ strftime_now('%^a %^B %_d %_m %0e') }}
strftime_text: {{ strftime_now('today: é深') }}
strftime_unknown: {{ strftime_now('%Q') }}
strftime_guard: {% if strftime_now is defined %}{% set d = strftime_now('%d') %}{% else %}{% set d = '?' %}{% endif %}{{ d }}
strftime_method: {{ strftime_now('%Y').zfill(6) }}
strftime_keyword: {{ strftime_now(format='%Y') }}
add_generation_prompt: {{ add_generation_prompt }}
message_print: {{ messages[0] }}
message_fields: {% for m in messages %}{{ m.role }}{{ m['content'] | length }}{% endfor %}
message_items: {% for k, v in messages[0].items() %}{{ k }}={{ v }};{% endfor %}
message_keys: {{ 'tool_calls' in messages[0] }} {{ 'content' in messages[0] }} {{ messages[0].keys() | list }}
message_missing: {{ messages[0].tool_calls is defined }} {{ messages[0].get('tool_calls') }}
message_tojson: {{ messages[0] | tojson }}
message_equal: {{ messages[0] == messages[0] }} {{ messages[-1] == messages[1] }}
message_index: {{ messages.index(messages[1]) }}
message_role_set: {{ messages | map(attribute='role') | unique | list }}
message_length: {{ messages | length }}{{ messages[-1].role }}{{ messages[-1]['role'] == 'user' }}
message_outside: {{ messages[9].role }}
message_outside_guard: {{ messages[9] is defined }}
"""

# Why a template here gives something else than there; docs/templates.md tells the same, in the same words.
LENIENT = "what compares or converts values of different kinds gives a result"
SAFE = "a text that is marked as safe does not escape what is added to it"
LAZY = "what `map`, `select` and the like give is a list"
DIGITS = "digits of other scripts and signs like `²` and `½` all count alike"
DIFFERS = {
    "string_escape_surrogates": "two halves of a character make the character",
    "integer_with_zeros": LENIENT,
    "huge_integer": "whole numbers end at 128 bits",
    "undefined_less": LENIENT,
    "arithmetic_booleans": "true and false are no numbers to `+`, `-` and `*`",
    "compare_kinds": LENIENT,
    "compare_none": LENIENT,
    "in_string_number": LENIENT,
    "with_break": "a loop is not left from inside `with`, `set` and other blocks",
    "set_block_break": "a loop is not left from inside `with`, `set` and other blocks",
    "truth_namespace": "a namespace without entries counts as false",
    "for_recursive_if": "the condition of a recursive loop counts on its first level only",
    "for_unpack_string": "a text is not taken apart into several names",
    "macro_varargs": "macros have no `varargs` and `kwargs`",
    "macro_kwargs": "macros have no `varargs` and `kwargs`",
    "macro_name": "names of a macro's arguments are a list",
    "macro_print": "a macro prints as `<macro f>`",
    "block_named_end": "blocks stand where they are; there is no `self`",
    "cycler_current": "a cycler has `next` alone",
    "lipsum": "not there: chat templates have no use for it",
    "slice_dict": "a stretch of what has none is refused; there it is undefined",
    "index_float": LENIENT,
    "attribute_before_item": "`mapping.items` without a call is the entry of that name",
    "test_sequence_generator": LAZY,
    "test_even_string": LENIENT,
    "method_is_digits": DIGITS,
    "method_format_width_unicode": "`format` counts bytes where it fills up to a width; `%5s` counts characters",
    "method_format_conversion": "`format` knows no `!r` and `!s`; `%r` is known",
    "method_translate": "not there: chat templates have no use for it",
    "method_of_number": "not there: chat templates have no use for it",
    "filter_escape_then_add": SAFE,
    "filter_groupby_print": "a group prints as a list",
    "filter_pprint_sorted": "`pprint` writes one line, in the order that a mapping has",
    "filter_random": "not there: the same conversation gives the same prompt",
    "filter_safe_add": SAFE,
    "filter_sort_mixed": LENIENT,
    "filter_tojson_generator": LAZY,
    "filter_urlize": "not there: chat templates have no use for it",
    "filter_wordwrap": "not there: chat templates have no use for it",
    "filter_xmlattr": "not there: chat templates have no use for it",
}


class Clock(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return NOW


def rendered(source, values=None):
    """What transformers makes of it, and its error where it makes nothing."""
    values = dict(dict(messages=[dict(role=role, content=content) for role, content in MESSAGES],
                       add_generation_prompt=True, bos_token="<s>", eos_token="</s>"), **(values or {}))
    messages = values.pop("messages")
    try:
        text = chat_template_utils.render_jinja_template([messages], chat_template=source, **values)
        text = text[0][0] if isinstance(text, tuple) else text[0]
        text.encode()
        return text, None
    except Exception as failure:
        return None, f"{type(failure).__name__}: {failure}"


def features():
    for line in FEATURES.split("\n"):
        name, colon, source = line.partition(": ")
        if colon and not line.startswith("#"):
            yield name, source.replace("␍", "\r").replace("⏎", "\n")


TOOLS = [{"type": "function", "function": {
    "name": "weather", "description": "Tells the \"weather\" <é>.",
    "parameters": {"type": "object", "required": ["place"], "properties": {
        "place": {"type": "string", "description": "Where", "enum": ["Oslo", "Rome"]},
        "days": {"type": "array", "items": {"type": "integer"}, "default": None},
        "depth": {"type": "object", "properties": {"x": {"type": ["number", "null"], "default": 1.5}}}}},
    "return": {"type": "string", "description": "The weather"}}}]

CALL = {"id": "call12345", "type": "function",
        "function": {"name": "weather", "arguments": {"place": "Oslo", "days": [1, 2], "ok": True, "x": None}}}

USED_TOOLS = [dict(role="system", content="Be brief."), dict(role="user", content="Hi"),
              dict(role="assistant", content="", reasoning_content="Hm.", tool_calls=[CALL]),
              dict(role="tool", name="weather", tool_call_id="call12345", content="{\"t\": 3}"),
              dict(role="assistant", content="Cold."), dict(role="user", content="Thanks")]

PARTS = [dict(role="user", content=[dict(type="text", text=" Look "), dict(type="image"), dict(type="text", text="é")]),
         dict(role="assistant", content=[dict(type="text", text="Nice")])]

CONVERSATIONS = [
    [("user", "Hello there")],
    MESSAGES,
    [("user", " a \n"), ("assistant", "<think>\nhm\n</think>\n\nb "), ("user", "c"), ("assistant", "d")],
    [("system", "s"), ("user", ""), ("assistant", "x"), ("user", "y")],
    [("assistant", "I begin")],
    [],
]

# What a caller there could give beside messages, said in the template itself: here nobody can give it.
GIVEN = {
    "": "",
    "tools": f"{{% set tools = {TOOLS!r} %}}",
    "used tools": f"{{% set tools = {TOOLS!r} %}}{{% set messages = {USED_TOOLS!r} %}}",
    "used tools untold": f"{{% set messages = {USED_TOOLS!r} %}}",
    "parts": f"{{% set messages = {PARTS!r} %}}",
    "no thinking": "{% set enable_thinking = false %}{% set reasoning_effort = 'low' %}",
}


def real(folder, out):
    """The templates in a folder, with several conversations, and with all that a caller there could give."""
    cases = []
    for path in sorted(pathlib.Path(folder).iterdir()):
        source = path.read_bytes().decode()
        for given, prefix in GIVEN.items():
            for number, turns in enumerate(CONVERSATIONS if not given else CONVERSATIONS[1:2]):
                for prompt in [False, True]:
                    messages = [dict(role=role, content=content) for role, content in turns]
                    text, error = rendered(prefix + source, dict(messages=messages, add_generation_prompt=prompt))
                    cases.append(dict(name=f"{path.name} {given} {number} {prompt}", source=prefix + source, text=text,
                                      error=error, differs=None, messages=turns, prompt=prompt))
    pathlib.Path(out).write_text(json.dumps(dict(now=NOW.isoformat(), messages=MESSAGES, cases=cases)))
    print(f"{len(cases)} cases, {sum(case['error'] is not None for case in cases)} refused")


def main():
    chat_template_utils.datetime = Clock
    if len(sys.argv) == 3:
        return real(*sys.argv[1:])
    cases = []
    for name, source in features():
        text, error = rendered(source)
        cases.append(dict(name=name, source=source, text=text, error=error, differs=DIFFERS.get(name)))
    names = [case["name"] for case in cases]
    assert len(set(names)) == len(names), [name for name in names if names.count(name) > 1]
    assert set(DIFFERS) <= set(names), set(DIFFERS) - set(names)
    written = json.dumps(dict(now=NOW.isoformat(), messages=MESSAGES, cases=cases), ensure_ascii=False, indent=0)
    (TESTS / "texts" / "template_features.json").write_text(written + "\n")
    refused = sum(case["error"] is not None for case in cases)
    print(f"{len(cases)} templates, {refused} refused, {len(written)} bytes")


if __name__ == "__main__":
    main()
