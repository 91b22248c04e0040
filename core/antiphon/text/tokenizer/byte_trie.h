// A set of strings with a number each, found as prefixes of a text: every step is one search among a node's bytes.
#pragma once
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace antiphon::text {

class ByteTrie {
 public:
  static constexpr uint32_t root = 0;
  ByteTrie() = default;
  // Numbers are not negative; of equal strings the last counts. An empty string is left out. Config error, naming
  // `where`, for strings of more than 4,096 bytes: a search takes as many steps at each place of a text.
  ByteTrie(std::vector<std::pair<std::string_view, int32_t>> entries, const std::string& where);

  // The node after `node` and `byte`; root if there is none.
  uint32_t next(uint32_t node, char byte) const {
    const auto& [first, count] = children_[node];
    if (count == 0) return root;
    const void* found = std::memchr(bytes_.data() + first, static_cast<unsigned char>(byte), count);
    return found ? static_cast<uint32_t>(static_cast<const char*>(found) - bytes_.data()) : root;
  }
  // Whether a longer string goes through a node.
  bool goes_on(uint32_t node) const { return children_[node].count > 0; }
  // The number of the string that ends at a node; -1: none does.
  int32_t value(uint32_t node) const { return values_[node]; }

  // Calls visit(length, number) for each string that `text` starts with, short ones first.
  template <class Visit>
  void each_prefix(std::string_view text, Visit&& visit) const {
    uint32_t node = root;
    for (size_t i = 0; i < text.size(); ++i) {
      node = next(node, text[i]);
      if (node == root) return;
      if (values_[node] >= 0) visit(i + 1, values_[node]);
    }
  }

 private:
  struct Children {
    uint32_t first = 0, count = 0;
  };
  std::vector<Children> children_ = std::vector<Children>(1);
  std::vector<char> bytes_ = std::vector<char>(1);  // by node: the byte that leads to it
  std::vector<int32_t> values_ = std::vector<int32_t>(1, -1);
};

}  // namespace antiphon::text
