#include <antiphon/text/tokenizer/byte_trie.h>

#include <fmt/format.h>
#include <algorithm>

#include <antiphon/base/error.h>

namespace antiphon::text {
namespace {

constexpr size_t longest_entry = 4096;

// The sorted entries [begin, end) share their first `depth` bytes, those that lead to `node`.
struct TrieSpan {
  size_t begin, end, depth;
  uint32_t node;
};

}  // namespace

// Level by level, so that the children of a node lie side by side.
ByteTrie::ByteTrie(std::vector<std::pair<std::string_view, int32_t>> entries, const std::string& where) {
  for (const auto& [text, number] : entries)
    if (text.size() > longest_entry)
      fail(ErrorKind::config,
           fmt::format("{}: the token {} has {} bytes, expected {} at most", where, number, text.size(), longest_entry),
           "take a tokenizer whose tokens are shorter");
  std::stable_sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<TrieSpan> level{{0, entries.size(), 0, root}};
  while (!level.empty()) {
    std::vector<TrieSpan> below;
    for (auto span : level) {
      for (; span.begin < span.end && entries[span.begin].first.size() == span.depth; ++span.begin)
        if (span.depth > 0) values_[span.node] = entries[span.begin].second;
      children_[span.node].first = static_cast<uint32_t>(children_.size());
      for (size_t begin = span.begin; begin < span.end;) {
        const char byte = entries[begin].first[span.depth];
        size_t end = begin + 1;
        while (end < span.end && entries[end].first[span.depth] == byte) ++end;
        below.push_back({begin, end, span.depth + 1, static_cast<uint32_t>(children_.size())});
        children_.emplace_back();
        bytes_.push_back(byte);
        values_.push_back(-1);
        ++children_[span.node].count;
        begin = end;
      }
    }
    level = std::move(below);
  }
}

}  // namespace antiphon::text
