#!/usr/bin/env bash
# Builds, tests and measures the CUDA half on a machine with an NVIDIA GPU, from the root of a copy of the tree.
#   tools/gpu_check.sh build|test|bench|all
# Each takes less than ten minutes on 16 cores; `test` and `bench` use what `build` left in build-gpu. A stage goes on
# after a failure within it; the exit code is that of the worst. What a machine lacks of headers and libraries comes from
# .carry/sysroot.tar.gz (tools/gpu_pack.sh).
# Environment:
#   OUT      folder for logs and results (default build-gpu/out): machine.txt, build.log, test.log, bench.jsonl, bench.log
#   CARRY    folder of the archive (default .carry)
#   JOBS     of the build (default: all cores)
#   DEVICE   of the benchmarks (default cuda; cpu only tries them out, with BENCH_MODEL and BENCH_SEQ small)
set -uo pipefail
cd "$(dirname "$0")/.."

BUILD=$PWD/build-gpu
OUT=${OUT:-$BUILD/out}
CARRY=${CARRY:-.carry}
JOBS=${JOBS:-$(nproc)}
DEVICE=${DEVICE:-cuda}
BENCH_MODEL=${BENCH_MODEL:-configs/models/llama3-8b.toml}
BENCH_SEQ=${BENCH_SEQ:-4096}
SYSROOT=$BUILD/sysroot
WORST=0
mkdir -p "$OUT" "$BUILD"
say() { printf '[gpu_check] %s\n' "$*" >&2; }

# run NAME LOG SECONDS COMMAND... : says how it went, and remembers a failure.
run() {
  local name=$1 log=$2 seconds=$3 begin=$SECONDS rc=0
  shift 3
  echo "== $name: $*" >>"$log"
  timeout "$seconds" "$@" >>"$log" 2>&1 || rc=$?
  say "$name: $([ $rc = 0 ] && echo ok || echo "FAILED ($rc)"), $((SECONDS - begin)) s"
  [ $rc = 0 ] || WORST=$rc
  return $rc
}

machine() {
  {
    date -u
    nvidia-smi 2>&1 | head -n 15 || true
    for tool in g++ cmake ninja nvcc pkg-config python3; do
      printf '%-12s %s\n' $tool "$(command -v $tool || echo missing)"
    done
    python3 -c 'import torch; print("torch", torch.__version__, torch.cuda.is_available(), torch.utils.cmake_prefix_path)' 2>&1
    for package in transformers peft; do
      python3 -c "import $package; print('$package', $package.__version__)" 2>/dev/null || echo "$package missing"
    done
  } >"$OUT/machine.txt"
}

unpack() {
  export LD_LIBRARY_PATH=$SYSROOT/usr/lib/x86_64-linux-gnu${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
  [ -f "$CARRY/sysroot.tar.gz" ] || { say "$CARRY/sysroot.tar.gz is not there: only this machine's own libraries are used"; return; }
  [ "$SYSROOT/.done" -nt "$CARRY/sysroot.tar.gz" ] && return
  rm -rf "$SYSROOT" && mkdir -p "$SYSROOT"
  tar -xzf "$CARRY/sysroot.tar.gz" -C "$SYSROOT" || { say "$CARRY/sysroot.tar.gz cannot be unpacked"; return 1; }
  printf '#!/bin/sh\nPKG_CONFIG_SYSROOT_DIR=%s PKG_CONFIG_LIBDIR=%s exec %s "$@"\n' "$SYSROOT" \
    "$SYSROOT/usr/lib/x86_64-linux-gnu/pkgconfig" "$SYSROOT/usr/bin/pkgconf" >"$SYSROOT/pkg-config"
  chmod +x "$SYSROOT/pkg-config"
  touch "$SYSROOT/.done"
}

configure() {
  local torch arguments
  torch=${Torch_DIR:-$(python3 -c 'import torch; print(torch.utils.cmake_prefix_path + "/Torch")' 2>/dev/null)}
  [ -n "$torch" ] || { say "no torch in $(command -v python3): give Torch_DIR=<libtorch>/share/cmake/Torch"; return 1; }
  arguments=(-DTorch_DIR="$torch" -DANTIPHON_FFMPEG=OFF -DANTIPHON_TESTS=ON -DANTIPHON_BENCHMARKS=ON)
  arguments+=(-DCMAKE_POLICY_VERSION_MINIMUM=3.5)  # for the packages' older files under CMake 4
  [ -f "$SYSROOT/.done" ] && arguments+=(-DCMAKE_PREFIX_PATH="$SYSROOT/usr" -DCMAKE_LIBRARY_ARCHITECTURE=x86_64-linux-gnu
    -DPKG_CONFIG_EXECUTABLE="$SYSROOT/pkg-config" -DCMAKE_CXX_FLAGS="-isystem $SYSROOT/usr/include")
  if ! command -v nvcc >/dev/null && [ ! -x "${CUDA_HOME:-/usr/local/cuda}/bin/nvcc" ]; then
    say "no nvcc on the PATH or in ${CUDA_HOME:-/usr/local/cuda}: without it there are no kernels of our own, and their tests are skipped"
  fi
  run configure "$OUT/build.log" 120 cmake -S . -B "$BUILD" -G Ninja "${arguments[@]}"
}

build() {
  : >"$OUT/build.log"
  machine
  unpack && configure || { grep -iE 'error|not found' "$OUT/build.log" | head -n 10 >&2; WORST=1; return; }
  grep -hE 'CUDA kernels' "$OUT/build.log" >&2
  # The kernels first and by themselves: what fails after them does not hide them.
  run "build kernels" "$OUT/build.log" 300 ninja -C "$BUILD" -j "$JOBS" antiphon_cuda
  run "build" "$OUT/build.log" 560 ninja -C "$BUILD" -k 0 -j "$JOBS" antiphon_program test_kernels test_nn test_engine test_model \
    antiphon_bench plugin_llama plugin_lora plugin_sft plugin_adamw ||
    grep -E 'error|FAILED' "$OUT/build.log" | head -n 20 >&2
  run doctor "$OUT/build.log" 60 "$BUILD/bin/antiphon" doctor
}

tests() {
  : >"$OUT/test.log"
  unpack
  local name
  for name in test_kernels test_nn test_engine test_model; do
    run $name "$OUT/test.log" 240 "$BUILD/bin/$name"
  done
  # Reads out of bounds and races do not show in results.
  if command -v compute-sanitizer >/dev/null; then
    run memcheck "$OUT/test.log" 240 compute-sanitizer --error-exitcode 9 "$BUILD/bin/test_kernels" "CUDA kernels on a device*"
    run racecheck "$OUT/test.log" 240 compute-sanitizer --tool racecheck --error-exitcode 9 "$BUILD/bin/test_kernels" "CUDA kernels on a device*"
  else
    say "no compute-sanitizer here: memory errors and races are not looked for"
  fi
  grep -E 'test cases|skipped|SKIPPED|FAILED' "$OUT/test.log" | sort | uniq -c | head -n 40 >&2
}

# ours NAME ARGUMENTS... and peer NAME ARGUMENTS... : lines of JSON, with the goal's name.
ours() {
  local name=$1
  shift
  run "$name" "$OUT/bench.log" 150 bash -c 'set -o pipefail; "$@" | sed "s/^{/{\"goal\":\"'"$name"'\",/" >>"$0"' "$OUT/bench.jsonl" \
    "$BUILD/bin/antiphon_bench" device --device "$DEVICE" --model "$BENCH_MODEL" "$@"
}
peer() {
  local name=$1
  shift
  run "$name, peer" "$OUT/bench.log" 150 bash -c 'set -o pipefail; "$@" | sed "s/^{/{\"goal\":\"'"$name"'\",/" >>"$0"' "$OUT/bench.jsonl" \
    python3 benchmarks/peer_device.py --device "$DEVICE" --model "$BENCH_MODEL" "$@"
}

bench() {
  : >"$OUT/bench.log" && : >"$OUT/bench.jsonl"
  unpack
  local common=(--dtype bf16 --warmup 2 --reps 5)
  ours kernels "${common[@]}" --part kernels --seq $((BENCH_SEQ * 2))
  ours G6 "${common[@]}" --part attention --seq $((BENCH_SEQ * 2))
  ours G7 "${common[@]}" --part loss --seq $((BENCH_SEQ * 2))
  ours G1 "${common[@]}" --part train --seq "$BENCH_SEQ"
  peer G1 "${common[@]}" --part train --seq "$BENCH_SEQ"
  ours G4 "${common[@]}" --part decode --seq 64 --batch 1
  peer G4 "${common[@]}" --reps 2 --part decode --seq 64 --batch 1
  ours G5 "${common[@]}" --part decode --seq 32 --batch 8
  ours G2 "${common[@]}" --part full --seq "$BENCH_SEQ" --layers 8
  ours G3 "${common[@]}" --part full --seq "$BENCH_SEQ" --layers 8 --fp8
  say "G8 (experts) and G9 (speech) have no benchmark here"
  cat "$OUT/bench.jsonl"
}

case "${1:-}" in
  build) build ;;
  test) tests ;;
  bench) bench ;;
  all) build; tests; bench ;;
  *) sed -n '2,13s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
exit $WORST
