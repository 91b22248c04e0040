// The ids of recently seen words: bounded, and safe for many threads.
#pragma once
#include <array>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace antiphon::text {

class WordCache {
 public:
  // Appends the ids of `word` and returns true if it is cached.
  bool find(std::string_view word, std::vector<int32_t>& ids) {
    auto& shard = shard_of(word);
    std::scoped_lock lock(shard.mutex);
    const auto found = shard.words.find(word);
    if (found == shard.words.end()) return false;
    ids.insert(ids.end(), found->second.begin(), found->second.end());
    return true;
  }
  // Appends the ids of `word`, from the cache or by make(ids). Longer words are rare and would fill the cache.
  template <class Make>
  void through(std::string_view word, std::vector<int32_t>& ids, const Make& make) {
    const bool cached = word.size() <= longest_word;
    if (cached && find(word, ids)) return;
    const size_t before = ids.size();
    make(ids);
    if (cached) add(word, {ids.begin() + static_cast<ptrdiff_t>(before), ids.end()});
  }
  // A full shard is cleared.
  void add(std::string_view word, std::vector<int32_t> ids) {
    auto& shard = shard_of(word);
    std::scoped_lock lock(shard.mutex);
    if (shard.words.size() >= words_per_shard) shard.words.clear();
    shard.words.emplace(std::string(word), std::move(ids));
  }

 private:
  static constexpr size_t words_per_shard = 1024, longest_word = 64;
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };
  struct Shard {
    std::mutex mutex;
    std::unordered_map<std::string, std::vector<int32_t>, Hash, std::equal_to<>> words;
  };
  Shard& shard_of(std::string_view word) { return shards_[Hash{}(word) % shards_.size()]; }
  std::array<Shard, 32> shards_;
};

}  // namespace antiphon::text
