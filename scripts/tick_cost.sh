#!/usr/bin/env bash
# Measures what a tick costs against lanes and against context, in both orders where the model can mix, and draws it.
#
#     scripts/tick_cost.sh OUT.svg [what `isobath bench` takes to name model and adapter]
#
# Rows go to OUT.jsonl as they are measured, the tables of docs/bench.md to stdout.
set -euo pipefail
out="${1:?usage: scripts/tick_cost.sh OUT.svg [MODEL] [--random SHAPE] [--adapter NAME]}"
shift
scripts="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
isobath="${ISOBATH:-$scripts/../target/release/isobath}"
lanes="${LANES:-1,2,4,8,16,32,64,128,256}"
at="${AT:-0,64,128,192,256,320,384,448}"
rows="${out%.svg}.jsonl"
: > "$rows"
for order in ${ORDERS:-waves mixed}; do
    "$isobath" bench "$@" --order "$order" --tg 16 --lanes "$lanes" --output json -q >> "$rows"
    "$isobath" bench "$@" --order "$order" --tg 16 --at "$at" --lanes 8 --output json -q >> "$rows"
done
python3 "$scripts/plot_ticks.py" "$rows" "$out"
