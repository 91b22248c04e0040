#!/usr/bin/env bash
# Packs what is built here, and the libraries that it needs, into one archive for tools/gpu_check.sh on a machine with a
# GPU, where nothing has to be compiled. x86-64; that machine's glibc may be newer, its LibTorch must be this one's.
#   tools/gpu_pack.sh [FOLDER]     default: .carry, which git ignores; at most 58 MiB
set -euo pipefail
cd "$(dirname "$0")/.."

FOLDER=${1:-.carry}
MOST_MIB=58
TESTS=(test_comm test_kernels test_nn test_engine test_model test_train test_session)
say() { printf '[gpu_pack] %s\n' "$*" >&2; }

# What `antiphon` and the tests are linked with, but LibTorch, its OpenMP and what every system has.
libraries() {
  local file
  for file in libexec/antiphon/antiphon lib/libantiphon.so bin/test_kernels bin/model_probe; do ldd "build/$file"; done |
    awk '$2 == "=>" { print $3 }' | sort -u | grep -vE "^$PWD/|/torch/lib/|/lib(c|m|dl|rt|pthread|stdc\+\+|gcc_s)\.so"
}

main() {
  local stage=$FOLDER/stage name mib
  rm -rf "$stage" && mkdir -p "$stage/build/bin" "$stage/lib"
  cp -r build/lib build/libexec build/plugins "$stage/build/"
  rm -rf "$stage"/build/plugins/{CMakeFiles,*.cmake}
  for name in antiphon antiphon_bench model_probe "${TESTS[@]}"; do cp "build/bin/$name" "$stage/build/bin/"; done
  mkdir "$stage/build/fixtures" && cp -r build/fixtures/conformance "$stage/build/fixtures/"
  libraries | while read -r name; do cp -L "$name" "$stage/lib/"; done
  pwd >"$stage/root"  # where the tests' paths point
  tar -C "$stage" -cf - . | xz -T0 -6 >"$FOLDER/built.tar.xz"
  rm -rf "$stage"
  mib=$(du -m --apparent-size "$FOLDER/built.tar.xz" | cut -f 1)
  say "$mib MiB in $FOLDER/built.tar.xz"
  [ "$mib" -le "$MOST_MIB" ] || { say "more than $MOST_MIB MiB"; exit 1; }
}

main
