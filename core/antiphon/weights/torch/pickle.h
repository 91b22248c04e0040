// What a Python pickle says, without doing it: calls and classes stay names. Nothing is looked up, imported or called.
// Format: Python's Lib/pickletools.py, protocols 2 to 5, as far as torch.save() uses them.
#pragma once
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

namespace antiphon::weights {

enum class PickleKind : uint8_t { none, boolean, integer, real, text, list, dict, global, call, persistent };

struct PickleNode {
  PickleKind kind = PickleKind::none;
  int64_t integer = 0;  // and boolean
  double real = 0;
  std::string text = {};  // of a global "module name"
  // list: a list's or tuple's; dict: keys and values in turn; call: what is called and its arguments, a tuple;
  // persistent: what it is known by.
  std::vector<const PickleNode*> items = {};

  // The value of a key of a dict; nullptr: none.
  const PickleNode* find(std::string_view key) const;
};

// Nodes may be shared, and may contain each other.
struct Pickle {
  std::deque<PickleNode> nodes;
  const PickleNode* root = nullptr;
};

// Error(weights) that names `file` and the byte: opcodes that are not known, a stack without what one takes, texts cut
// off, no end.
Pickle read_pickle(std::string_view bytes, const std::string& file);

}  // namespace antiphon::weights
