// One number out of several, for hashes and seeds.
#pragma once
#include <cstdint>

namespace antiphon {

// `hash` with one more value mixed into it (splitmix64, Steele et al. 2014).
inline uint64_t mixed(uint64_t hash, uint64_t value) {
  hash += value + 0x9e3779b97f4a7c15;
  hash = (hash ^ (hash >> 30)) * 0xbf58476d1ce4e5b9;
  hash = (hash ^ (hash >> 27)) * 0x94d049bb133111eb;
  return hash ^ (hash >> 31);
}

}  // namespace antiphon
