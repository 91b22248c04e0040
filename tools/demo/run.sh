#!/usr/bin/env bash
# run.sh ANTIPHON: trains and evaluates the demo's recipe; what is done is not redone.
set -euo pipefail
antiphon=$1 recipe=configs/recipes/stamps.toml run=runs/stamps
say() { printf '\033[1m[demo]\033[0m %s\n' "$*" >&2; }

"$antiphon" validate "$recipe"
if [ ! -f "$run/adapter/adapter_config.json" ]; then
  say "training (about ten minutes on two cores; stop it with Ctrl-C and call ./dev demo again: it goes on)"
  "$antiphon" train "$recipe" --resume
fi
if [ ! -f "$run/eval/results.json" ]; then
  say "evaluating on pictures and recordings that it has not seen, with right, shuffled and removed media"
  mkdir -p "$run/eval"
  "$antiphon" eval "$run" | tee "$run/eval/table.txt.part"
  mv "$run/eval/table.txt.part" "$run/eval/table.txt"
else
  cat "$run/eval/table.txt"
fi
image=$(find data/demo/media/stamps -path '*animals*' -name '*.png' | sort | head -n 1)
audio=$(find data/demo/media/asterisk/en -name '*.g722' | sort | head -n 1)
cat <<TEXT

How to read this: an answer's loss should rise when its media are shuffled or removed; p is the chance that it does so
by accident. A model of 135 M parameters that has trained for ten minutes on a few thousand short clips knows which
kind of thing a picture shows, and picks up familiar words; it does not describe new scenes, and it is no speech
recogniser. The losses show what it takes from its media; the exact answers show how far it is from useful.

Try next:
  $antiphon generate $run --image $image "What is this?"
  $antiphon generate $run --audio $audio "Transcribe the speech."
  $antiphon chat $run                                      # /image FILE, /audio FILE, then ask; /record to speak
  $antiphon report $run                                    # curves, scores, samples: open $run/report.html
  $antiphon train configs/recipes/stamps_image.toml        # pictures only: a few lines that extend the first
  $antiphon inspect dinov2                                 # every option of a component
TEXT
