#include <antiphon/train/recompute.h>

#include <limits>

namespace antiphon::train {

int64_t recomputed_blocks(const config::Value& recompute, config::Problems& problems) {
  if (const auto* blocks = recompute.get_if<int64_t>(); blocks && *blocks >= 0) return *blocks;
  const auto* word = recompute.get_if<std::string>();
  if (word && *word == "none") return 0;
  if (word && *word == "full") return std::numeric_limits<int64_t>::max();
  problems.add(recompute.where, "train.recompute is neither \"none\", \"full\" nor a number of blocks");
  return 0;
}

}  // namespace antiphon::train
