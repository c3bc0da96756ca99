#!/usr/bin/env bash
# Tests the training package; makes its virtual environment first where there is none.
#
#     bash train/check.sh
#
# ISOBATH_BIN, the engine's binary, lets it compare texts; ISOBATH_TRAIN_VENV is another virtual environment.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
venv="${ISOBATH_TRAIN_VENV:-venv}"
if [ ! -x "$venv/bin/python" ]; then
    python3 -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --requirement requirements.txt
fi
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
"$venv/bin/python" -m pytest --quiet "$@"
