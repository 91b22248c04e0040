#include <antiphon/engine/logits_process.h>

#include <algorithm>
#include <cmath>
#include <set>

namespace antiphon::engine {
namespace {

void ban(std::span<float> logits_v, int64_t id) {
  if (id >= 0 && id < static_cast<int64_t>(logits_v.size())) logits_v[static_cast<size_t>(id)] = -INFINITY;
}

void penalize(std::span<float> logits_v, std::span<const int64_t> seen, float penalty) {
  for (const int64_t id : std::set<int64_t>(seen.begin(), seen.end())) {
    if (id < 0 || id >= static_cast<int64_t>(logits_v.size())) continue;
    auto& logit = logits_v[static_cast<size_t>(id)];
    logit = logit < 0 ? logit * penalty : logit / penalty;
  }
}

// No run of n tokens comes twice: what followed an earlier copy of the last n - 1 is out.
void ban_repeats(std::span<float> logits_v, std::span<const int64_t> seen, size_t n) {
  if (n == 0 || seen.size() + 1 < n) return;
  const auto last = seen.last(n - 1);
  for (size_t begin = 0; begin + n <= seen.size(); ++begin)
    if (std::ranges::equal(seen.subspan(begin, n - 1), last)) ban(logits_v, seen[begin + n - 1]);
}

}  // namespace

bool changes_logits(const GenerateOptions& o) {
  return o.repetition_penalty.value_or(1) != 1 || o.no_repeat_ngram_size.value_or(0) != 0 || !o.suppress_tokens.empty();
}

void process_logits(std::span<float> logits_v, std::span<const int64_t> seen, const GenerateOptions& o) {
  if (const double penalty = o.repetition_penalty.value_or(1); penalty != 1)
    penalize(logits_v, seen, static_cast<float>(penalty));
  ban_repeats(logits_v, seen, static_cast<size_t>(o.no_repeat_ngram_size.value_or(0)));
  for (const int64_t id : o.suppress_tokens) ban(logits_v, id);
}

}  // namespace antiphon::engine
