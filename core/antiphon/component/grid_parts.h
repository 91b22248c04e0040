// What directories of Qwen2-VL and its successors have in common (model_family.h).
#pragma once
#include <antiphon/component/model_family.h>

namespace antiphon {

// Rules of such a directory behind a prefix, each list for one part: as files on disk have their names, then as
// transformers 5 has them in memory.
struct GridRules {
  std::vector<NameRule> text, tower, merger;
  void add_text(const std::string& prefix);
  void add_tower(const std::string& prefix);
};

// The slot of the merger: squares of the tower's vectors, each `width` wide, are joined after a norm.
config::Value::Table grid_merger(const JsonTable& tower, int64_t width, const std::string& directory,
                                 const std::string& norm);

}  // namespace antiphon
