#!/usr/bin/env bash
# Packs the headers and libraries that a machine with a GPU may lack, out of this machine's /usr, into one archive for
# tools/gpu_check.sh. Debian 12 or newer, x86-64; what is packed runs on any newer glibc.
#   tools/gpu_pack.sh [FOLDER]     default: .carry, which git ignores; at most 60 MiB
set -euo pipefail
cd "$(dirname "$0")/.."

FOLDER=${1:-.carry}
MOST_MIB=60
LIBRARIES=$(dirname "$(readlink -f /usr/lib/*/libpcre2-8.so)")
say() { printf '[gpu_pack] %s\n' "$*" >&2; }

# Boost is 150 MB of headers; these are the ones that ours include, and those chosen by compiler and platform.
boost_headers() {
  local probe
  probe=$(mktemp --suffix .cpp)
  grep -rhoE '#include <boost/[^>]+>' core apps plugins tests benchmarks | sort -u >"$probe"
  g++ -std=c++20 -M "$probe" | tr ' \\' '\n\n' | grep '^/usr/include/boost/'
  rm "$probe"
  find /usr/include/boost/config /usr/include/boost/predef /usr/include/boost/version.hpp -type f
}

headers() {
  local name
  boost_headers
  for name in toml++ CLI nlohmann unicode catch2; do find "/usr/include/$name" -type f; done
  find /usr/include -maxdepth 1 -name 'simdjson.h' -o -maxdepth 1 -name 'pcre2.h' -o -maxdepth 1 -name 'xxh*.h'
}

libraries() {
  local name
  for name in boost_filesystem boost_system icuuc icudata pcre2-8 simdjson tomlplusplus pkgconf; do
    find "$LIBRARIES" -maxdepth 1 -name "lib$name.so*"
  done
  find /usr/lib "$LIBRARIES" -maxdepth 1 -name 'libCatch2*.a'
}

packages() {
  find "$LIBRARIES/cmake" /usr/lib/cmake /usr/share/cmake -path '*oost*' -o -path '*/simdjson*' -o -path '*/tomlplusplus*' \
    -o -path '*/Catch2*' -o -path '*/CLI11*' -o -path '*/nlohmann_json*' | while read -r path; do [ -f "$path" ] && echo "$path"; done
  find "$LIBRARIES/pkgconfig" -name 'libpcre2-8.pc' -o -name 'icu-uc.pc' -o -name 'simdjson.pc'
  readlink -f /usr/bin/pkg-config
}

main() {
  mkdir -p "$FOLDER"
  { headers; libraries; packages; } | sort -u >"$FOLDER/files.txt"
  tar -czf "$FOLDER/sysroot.tar.gz" --transform 's,^usr/bin/pkgconf.*,usr/bin/pkgconf,' \
    -C / -T <(sed 's,^/,,' "$FOLDER/files.txt")
  local mib
  mib=$(du -m --apparent-size "$FOLDER/sysroot.tar.gz" | cut -f 1)
  say "$(wc -l <"$FOLDER/files.txt") files, $mib MiB in $FOLDER/sysroot.tar.gz"
  [ "$mib" -le "$MOST_MIB" ] || { say "more than $MOST_MIB MiB"; exit 1; }
}

main
