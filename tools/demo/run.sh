#!/usr/bin/env bash
# run.sh ANTIPHON [MINUTES]: trains and evaluates the demo's recipe; what is done is not redone. If fewer than 100 steps
# fit into its time, a smaller recipe takes its place; MINUTES: the whole one, for that time.
set -euo pipefail
antiphon=$1 minutes=${2:-} recipe=configs/recipes/stamps.toml run=runs/stamps
tools=$(cd "$(dirname "$0")" && pwd)
FEWEST=100 TOO_FEW_STEPS=8
say() { printf '\033[1m[demo]\033[0m %s\n' "$*" >&2; }
is_trained() { [ -f "$run/adapter/adapter_config.json" ]; }

# train TIME [OPTION...]
train() {
  say "training ($1; stop it with Ctrl-C and call the same command again: it goes on)"
  "$antiphon" train "$recipe" --resume "${@:2}"
}

train_smaller() {
  say "$(python3 "$tools/pace.py" "$run" "$FEWEST")"
  recipe=configs/recipes/stamps_small.toml run=runs/stamps_small
  is_trained || train "about ten minutes"
}

train_what_fits() {
  local code=0
  train "about ten minutes" --set train.min_steps="$FEWEST" || code=$?
  [ "$code" = "$TOO_FEW_STEPS" ] || return "$code"
  train_smaller
}

"$antiphon" validate "$recipe"
if is_trained; then
  [ -z "$minutes" ] || say "$run is trained already, so --minutes changes nothing: remove that folder to train it anew"
elif [ -n "$minutes" ]; then
  train "$minutes minutes" --set train.max_minutes="$minutes"
else
  train_what_fits
fi
if [ ! -f "$run/eval/results.json" ]; then
  say "evaluating on pictures and recordings that it has not seen, with right, shuffled and removed media"
  mkdir -p "$run/eval"
  "$antiphon" eval "$run" | tee "$run/eval/table.txt.part"
  mv "$run/eval/table.txt.part" "$run/eval/table.txt"
else
  cat "$run/eval/table.txt"
fi
first() { find "$1" -path "$2" | sort | head -n 1; }
image=$(first data/demo/media/stamps '*animals*.png') audio=$(first data/demo/media/asterisk/en '*.g722')
cat <<TEXT

How to read this: an answer's loss should rise when its media are shuffled or removed; p is the chance that it does so
by accident. A model of 135 M parameters that has trained for ten minutes on a few thousand short clips knows which
kind of thing a picture shows, and picks up familiar words; it does not describe new scenes, and it is not a speech
recogniser. The losses show what it takes from its media; the exact answers show how far it is from useful.

Try next:
  $antiphon generate $run --image $image "What is this?"
TEXT
[ "$run" != runs/stamps ] || echo "  $antiphon generate $run --audio $audio \"Transcribe the speech.\""
cat <<TEXT
  $antiphon chat $run                                      # /image FILE, /audio FILE, then ask; /record to speak
  $antiphon report $run                                    # curves, scores, samples: open $run/report.html
  $antiphon train configs/recipes/stamps_image.toml        # pictures only: a few lines that extend the first
  $antiphon inspect dinov2                                 # every option of a component
TEXT
