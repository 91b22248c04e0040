#!/usr/bin/env bash
# Tests and measures the CUDA half on a machine with an NVIDIA GPU, from the root of a copy of the tree, with what
# tools/gpu_pack.sh packed where it was built.
#   tools/gpu_check.sh test|together|bench|all     together: several processes on the GPU, by NCCL and through the host
#   ONLY=REGEX tools/gpu_check.sh ...    those tests and benchmarks whose names match
# Each takes a few minutes on 16 cores and goes on after a failure within it; the exit code is that of the worst.
# Environment:
#   OUT      folder for logs and results (default build-gpu/out): machine.txt, jobs_of_*.log, bench.jsonl, bench.log
#   CARRY    folder of the archive (default .carry)
#   JOBS     tests at a time (default: all cores but two)
#   DEVICE   of tests and benchmarks (default cuda; cpu only tries the script, with BENCH_MODEL and BENCH_SEQ small)
set -uo pipefail
cd "$(dirname "$0")/.."

GPU=$PWD/build-gpu
OUT=${OUT:-$GPU/out}
CARRY=${CARRY:-.carry}
JOBS=${JOBS:-$(($(nproc) > 3 ? $(nproc) - 2 : 2))}
DEVICE=${DEVICE:-cuda}
BENCH_MODEL=${BENCH_MODEL:-configs/models/llama3-8b.toml}
BENCH_SEQ=${BENCH_SEQ:-4096}
UNIT=(test_kernels test_nn test_engine test_model test_train test_session)
WHOLE=(e2e/pipeline e2e/stages e2e/preference e2e/recompute e2e/peft e2e/salm e2e/learning e2e/thought e2e/reward e2e/held_out faults/resume)
WORST=0
mkdir -p "$OUT" "$GPU/bin" "$GPU/logs"
say() { printf '[gpu_check] %s\n' "$*" >&2; }

machine() {
  {
    date -u
    grep -m1 'model name' /proc/cpuinfo
    nvidia-smi 2>&1 | head -n 15 || true
    python3 -c 'import torch; print("torch", torch.__version__, torch.cuda.is_available())' 2>&1
    for package in transformers peft; do python3 -c "import $package; print('$package', $package.__version__)" 2>&1 | tail -n 1; done
  } >"$OUT/machine.txt"
}

# Unpacks, and writes a starter for each program: the packed libraries are for ours alone, not for Python.
unpack() {
  [ -f "$CARRY/built.tar.xz" ] || { say "$CARRY/built.tar.xz is not there: run tools/gpu_pack.sh where it was built"; exit 1; }
  [ "$GPU/root" -nt "$CARRY/built.tar.xz" ] || { tar -xJf "$CARRY/built.tar.xz" -C "$GPU" && touch "$GPU/root"; } || exit 1
  local site name root
  site=$(python3 -c 'import os, torch; print(os.path.dirname(os.path.dirname(torch.__file__)))') || exit 1
  for name in "$GPU"/build/bin/*; do
    printf '#!/bin/sh\nLD_LIBRARY_PATH=%s exec %s "$@"\n' "$GPU/build/lib:$site/torch/lib:$site/nvidia/cu13/lib:$GPU/lib" \
      "$name" >"$GPU/bin/$(basename "$name")"
  done
  chmod +x "$GPU"/bin/*
  root=$(cat "$GPU/root")  # the tests know the tree by where it was built
  [ -e "$root" ] || { mkdir -p "$(dirname "$root")" && ln -s "$PWD" "$root"; }
  ln -sfn build/fixtures "$GPU/fixtures"
  [ -e build ] || ln -s "$GPU/build" build
  [ -e .venv/bin/python ] || { mkdir -p .venv/bin && printf '#!/bin/sh\nexec python3 "$@"\n' >.venv/bin/python && chmod +x .venv/bin/python; }
  # With torchvision transformers processes pictures in another way than the tests compare with.
  mkdir -p "$GPU/python" && echo 'import sys; sys.modules["torchvision"] = None' >"$GPU/python/sitecustomize.py"
  export PYTHONPATH=$GPU/python ANTIPHON=$GPU/bin/antiphon ANTIPHON_TEST_DEVICE=$DEVICE OMP_NUM_THREADS=1
}

# one NAME SECONDS COMMAND... : a log of its own; says how it went.
one() {
  local name=$1 seconds=$2 begin=$SECONDS rc=0 log
  shift 2
  log=$GPU/logs/${name//[\/ ]/_}.log
  timeout -k 5 "$seconds" "$@" >"$log" 2>&1 || rc=$?
  say "$name: $([ $rc = 0 ] && echo ok || echo "FAILED ($rc)"), $((SECONDS - begin)) s: $(grep -aE 'test cases?|^Ran |passed,|ERROR SUMMARY' "$log" | tail -n 1)"
  return $rc
}

# Lines "NAME|SECONDS|COMMAND", for `one`.
jobs_of_tests() {
  local name group
  command -v compute-sanitizer >/dev/null && {
    echo "memcheck|200|compute-sanitizer --error-exitcode 9 $GPU/bin/test_kernels 'CUDA kernels on a device*'"
    echo "racecheck|200|compute-sanitizer --tool racecheck --error-exitcode 9 $GPU/bin/test_kernels 'CUDA kernels on a device*'"
  }
  for name in "${WHOLE[@]}"; do echo "$name|200|python3 tests/${name}_test.py"; done
  # Those of quantised weights are for the CPU.
  for group in $(sed -n 's/^GROUPS = \[\(.*\)\]/\1/p' tests/parity/model_parity.py | tr -d '",' | sed 's/qlora//'); do
    echo "parity $group|200|python3 tests/parity/model_parity.py $GPU/bin/model_probe $group"
  done
  for name in "${UNIT[@]}"; do echo "$name|200|$GPU/bin/$name"; done
}

# Processes that wait for each other on one GPU get it in turns: few at a time.
jobs_of_processes() {
  echo "comm|200|$GPU/bin/test_comm"
  grep -oP '^class \K\w+|^    def \Ktest_\w+' tests/distributed/gpu_test.py | while read -r name; do
    case "$name" in
      test_*) echo "distributed $class $name|200|python3 tests/distributed/gpu_test.py $class.$name" ;;
      *) class=$name ;;
    esac
  done
}

# run JOBS_AT_A_TIME FUNCTION
run() {
  rm -f "$GPU"/logs/*
  export -f one say
  export GPU
  "$2" | grep -E "^[^|]*(${ONLY:-})[^|]*\|" | tr '\n' '\0' | xargs -0 -P "$1" -I{} bash -c 'IFS="|" read -r name seconds command <<<"$1"; one "$name" "$seconds" bash -c "$command"' _ {} || WORST=1
  for log in "$GPU"/logs/*; do echo "==== $(basename "$log")"; cat "$log"; done >"$OUT/$2.log"
  grep -aE '^(FAIL|ERROR):|: FAILED:|^FAILED' "$OUT/$2.log" | sort | uniq -c | head -n 60 >&2
}

# bench_of NAME PROGRAM ARGUMENTS... : lines of JSON, with the goal's name.
bench_of() {
  local name=$1 begin=$SECONDS rc=0
  [[ "$name" =~ ${ONLY:-} ]] || return 0
  shift
  echo "== $name: $*" >>"$OUT/bench.log"
  timeout -k 5 100 "$@" 2>>"$OUT/bench.log" | sed "s/^{/{\"goal\":\"$name\",/" >>"$OUT/bench.jsonl" || rc=$?
  say "$name: $([ $rc = 0 ] && echo ok || echo "FAILED ($rc)"), $((SECONDS - begin)) s"
  [ $rc = 0 ] || { WORST=$rc; tail -n 2 "$OUT/bench.log" >&2; }
}
ours() { bench_of "$1" "$GPU/bin/antiphon_bench" device --device "$DEVICE" --model "$BENCH_MODEL" --dtype bf16 --warmup 2 "${@:2}"; }
peer() { bench_of "$1" python3 benchmarks/peer_device.py --device "$DEVICE" --model "$BENCH_MODEL" --dtype bf16 --warmup 2 "${@:2}"; }

bench() {
  : >"$OUT/bench.log" && : >"$OUT/bench.jsonl"
  unset OMP_NUM_THREADS
  ours G1 --reps 5 --part train --seq "$BENCH_SEQ"
  ours G4 --reps 5 --part decode --seq 64 --batch 1
  ours G5 --reps 5 --part decode --seq 32 --batch 8
  ours G6 --reps 5 --part attention --seq $((BENCH_SEQ * 2))
  ours G7 --reps 5 --part loss --seq $((BENCH_SEQ * 2))
  ours kernels --reps 5 --part kernels --seq $((BENCH_SEQ * 2))
  ours G2 --reps 5 --part full --seq "$BENCH_SEQ" --layers 8
  ours G3 --reps 5 --part full --seq "$BENCH_SEQ" --layers 8 --fp8
  peer G1-peer --reps 5 --part train --seq "$BENCH_SEQ"
  peer G4-peer --reps 2 --part decode --seq 64 --batch 1
  peer G5-peer --reps 2 --part decode --seq 32 --batch 8
  cat "$OUT/bench.jsonl"
}

begin() {
  machine
  unpack
  "$ANTIPHON" doctor >"$OUT/doctor.txt" 2>&1 || { WORST=$?; tail -n 20 "$OUT/doctor.txt" >&2; }
}

case "${1:-}" in
  test) begin; run "$JOBS" jobs_of_tests ;;
  together) begin; run 5 jobs_of_processes ;;
  bench) begin; bench ;;
  all) begin; one test_kernels 60 "$GPU/bin/test_kernels" 'CUDA kernels*'; bench; export OMP_NUM_THREADS=1; run 5 jobs_of_processes; run "$JOBS" jobs_of_tests ;;
  *) sed -n '2,12s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
exit $WORST
