#!/usr/bin/env bash
# Makes docs/pictures/panel.png from the running program: a race on the bundled model, then 32 stories at once.
# Needs Xvfb, xdotool and ImageMagick: apt-get install xvfb xdotool imagemagick
#
#     scripts/screenshot.sh [SECONDS OF RACE]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
race="${1:-150}"
for tool in Xvfb xdotool import; do
    command -v "$tool" >/dev/null || { echo "missing: $tool; apt-get install xvfb xdotool imagemagick" >&2; exit 1; }
done
cargo build --features gui
run="$(mktemp -d)"
Xvfb -displayfd 3 -screen 0 1440x900x24 -nolisten tcp 3>"$run/display" 2>/dev/null &
screen=$!
trap 'kill "$screen" 2>/dev/null || true; rm -rf "$run"' EXIT
for _ in $(seq 50); do [ -s "$run/display" ] && break; sleep 0.1; done
export DISPLAY=":$(cat "$run/display")"
unset WAYLAND_DISPLAY
target/debug/isobath gui --fresh --frame-times &
program=$!
for _ in $(seq 100); do
    window="$(xdotool search --name '^Isobath$' 2>/dev/null | tail -n 1 || true)"
    [ -n "$window" ] && break
    sleep 0.2
done
sleep 4
xdotool windowmove "$window" 0 0 windowsize "$window" 1440 900
# Without a window manager nobody else gives it the keyboard.
xdotool windowfocus "$window"
sleep 1
xdotool mousemove 700 790 click 1
sleep 0.5
xdotool type --delay 30 "Once upon a time"
sleep 0.5
xdotool key ctrl+r
sleep "$race"
xdotool key Escape
sleep 2
xdotool mousemove 700 790 click 1
sleep 0.5
xdotool key Return
sleep 11
xdotool mousemove 700 880
import -window root docs/pictures/panel.png
xdotool key ctrl+q
wait "$program"
echo "docs/pictures/panel.png"
