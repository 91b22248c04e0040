// One number out of several, for hashes and seeds.
#pragma once
#include <cstdint>
#include <string_view>

namespace antiphon {

// `hash` with one more value mixed into it (splitmix64, Steele et al. 2014).
inline uint64_t mixed(uint64_t hash, uint64_t value) {
  hash += value + 0x9e3779b97f4a7c15;
  hash = (hash ^ (hash >> 30)) * 0xbf58476d1ce4e5b9;
  hash = (hash ^ (hash >> 27)) * 0x94d049bb133111eb;
  return hash ^ (hash >> 31);
}

// With the letters of a text, one after the other.
inline uint64_t mixed(uint64_t hash, std::string_view text) {
  for (const char letter : text) hash = mixed(hash, static_cast<uint64_t>(static_cast<unsigned char>(letter)));
  return hash;
}

}  // namespace antiphon
