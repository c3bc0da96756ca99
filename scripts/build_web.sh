#!/usr/bin/env bash
# Builds the page as a folder that any static server can hand out, and prints the sizes of its parts.
#
#     scripts/build_web.sh [FOLDER]                 # default: target/web
#     PROFILE=dev scripts/build_web.sh              # quick to build, large and slow
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
folder="${1:-target/web}"
profile="${PROFILE:-web}"
built="target/wasm32-unknown-unknown/$([ "$profile" = dev ] && echo debug || echo "$profile")"

cargo build --package isobath-web --lib --target wasm32-unknown-unknown --profile "$profile"
rm -rf "$folder"
mkdir -p "$folder/stories"
cargo run --quiet --package isobath-bind -- "$built/isobath_web.wasm" "$folder"
# No wasm-opt: -Oz takes a tenth off the file, and what is sent compressed grows by 3 %.
cp assets/stories/{config.json,tokenizer.json,model.safetensors} "$folder/stories/"
cargo run --quiet --package isobath-bind -- --hashes "$folder/stories"
{
    sed '/data-trunk/d; /`trunk` replaces/d; /<\/head>/,$d' web/index.html
    printf '    <link rel="isobath-hashes" href="stories/hashes.json">\n'
    printf '    <script type="module">import init from "./isobath_web.js"; await init();</script>\n'
    sed -n '/<\/head>/,$p' web/index.html
} > "$folder/index.html"

size() { wc -c < "$1"; }
module="$folder/isobath_web_bg.wasm"
printf '%s: %d bytes, %d after gzip\n' "$module" "$(size "$module")" "$(gzip -9 -c "$module" | wc -c)"
# Takes half a minute for what is large.
[ "$profile" = dev ] || node -e 'const z=require("zlib"),b=require("fs").readFileSync(process.argv[1]);console.log("  "+z.brotliCompressSync(b).length+" after brotli")' "$module" 2>/dev/null || true
printf 'folder: %s\n' "$folder"
