#!/bin/bash
# Fuzzes the parsers one after another: `fuzz/run.sh SECONDS [TARGET...]`. Needs cargo-fuzz and a C++ compiler.
#
# A panic, more than 10 seconds, or more memory than tests/support/hostile.rs allows counts as a find; it lies in
# fuzz/artifacts/TARGET and belongs, once it is mended, into tests/hostile/TARGET.
set -eu
cd "$(dirname "$0")"
seconds=$1
shift
[ $# -gt 0 ] || set -- safetensors gguf config tokenizer template prompts checkpoint yaml kit
# The sanitizer is not stable yet; the released compiler has it all the same.
export RUSTC_BOOTSTRAP=1
for target; do
    mkdir -p "corpus/$target"
    echo "== $target"
    status=0
    # Leaks are not looked for: a thread that has rendered a template may still be about to end.
    cargo fuzz run "$target" "corpus/$target" "../tests/hostile/$target" -- \
        -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=65536 -print_final_stats=1 -detect_leaks=0 || status=$?
    [ "$status" = 0 ] || echo "== $target: found something, status $status"
done
