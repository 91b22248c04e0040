#include <antiphon/train/out_of_memory.h>

#include <fmt/format.h>

#include <antiphon/base/shown.h>

#include <algorithm>
#include <functional>

namespace antiphon::train {

std::string described_by_length(const std::vector<model::Batch>& batches) {
  constexpr size_t kShown = 5;
  std::vector<std::pair<int64_t, std::string>> samples;
  int64_t most = 0;
  for (const auto& batch : batches) {
    most = std::max(most, batch.tokens());
    for (size_t i = 0; i < batch.sequences.size(); ++i) samples.emplace_back(batch.lengths[i], batch.sequences[i].id);
  }
  std::ranges::stable_sort(samples, std::ranges::greater(), &std::pair<int64_t, std::string>::first);
  std::string list;
  for (size_t i = 0; i < std::min(kShown, samples.size()); ++i)
    list += fmt::format("{}{} ({} tokens)", i ? ", " : "", shown(samples[i].second), samples[i].first);
  if (samples.size() > kShown) list += fmt::format(" and {} more", samples.size() - kShown);
  return fmt::format("{} batches of at most {} tokens; the longest samples: {}", batches.size(), most, list);
}

}  // namespace antiphon::train
