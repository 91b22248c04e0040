#!/usr/bin/env bash
# fetch_minja.sh CACHE TARGET: takes the two headers of minja (MIT) out of a pinned source distribution.
set -euo pipefail
cache=$1 target=$2
archive=llama_cpp_python-0.3.16.tar.gz
archive_hash=34ed0f9bd9431af045bb63d9324ae620ad0536653740e9bb163a2e1fcb973be6
inside=llama_cpp_python-0.3.16/vendor/llama.cpp

[ -f "$target/minja.hpp" ] && [ "$(cat "$target/.from" 2>/dev/null)" = "$archive_hash" ] && exit 0
mkdir -p "$cache" "$target"
if ! echo "$archive_hash  $cache/$archive" | sha256sum -c --status 2>/dev/null; then
  # unearth downloads a source distribution without building it, which pip cannot.
  .venv/bin/python -m pip install --quiet --disable-pip-version-check unearth==0.19.0
  .venv/bin/unearth --no-binary -d "$cache" llama-cpp-python==0.3.16 >/dev/null
  rm -rf "$cache/llama_cpp_python-0.3.16"
fi
echo "$archive_hash  $cache/$archive" | sha256sum -c --status ||
  { echo "fetch_minja: $cache/$archive has an unexpected SHA-256; delete it and run ./setup again" >&2; exit 1; }
tar -xzf "$cache/$archive" -C "$target" --strip-components=5 "$inside/vendor/minja/minja.hpp" "$inside/vendor/minja/chat-template.hpp"
tar -xzf "$cache/$archive" -C "$target" --strip-components=3 "$inside/LICENSE"
echo "$archive_hash" >"$target/.from"
