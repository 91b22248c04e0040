#include <antiphon/engine/logits_process.h>

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>

namespace antiphon::engine {
namespace {

void ban(std::span<float> logits_v, int64_t id) {
  if (id >= 0 && id < static_cast<int64_t>(logits_v.size())) logits_v[static_cast<size_t>(id)] = -INFINITY;
}

// All that end the text so far with one more token add up.
void add_biases(std::span<float> logits_v, std::span<const int64_t> seen, const std::vector<SequenceBias>& biases) {
  std::map<int64_t, float> sums;
  for (const auto& [ids, bias] : biases) {
    const auto before = std::span(ids).first(ids.size() - 1);
    if (before.size() <= seen.size() && std::ranges::equal(seen.last(before.size()), before))
      sums[ids.back()] += static_cast<float>(bias);
  }
  for (const auto& [id, sum] : sums)
    if (id < static_cast<int64_t>(logits_v.size())) logits_v[static_cast<size_t>(id)] += sum;
}

void penalize(std::span<float> logits_v, std::span<const int64_t> seen, float penalty) {
  for (const int64_t id : std::set<int64_t>(seen.begin(), seen.end())) {
    if (id < 0 || id >= static_cast<int64_t>(logits_v.size())) continue;
    auto& logit = logits_v[static_cast<size_t>(id)];
    logit = logit < 0 ? logit * penalty : logit / penalty;
  }
}

void penalize_answer(std::span<float> logits_v, std::span<const int64_t> answer, double presence, double frequency) {
  std::map<int64_t, int64_t> counts;
  for (const int64_t id : answer)
    if (id >= 0 && id < static_cast<int64_t>(logits_v.size())) ++counts[id];
  for (const auto& [id, count] : counts)
    logits_v[static_cast<size_t>(id)] -= static_cast<float>(frequency * static_cast<double>(count) + presence);
}

// No run of n tokens of `earlier` comes again: what followed there a copy of the last n - 1 is out.
void ban_repeats(std::span<float> logits_v, std::span<const int64_t> earlier, std::span<const int64_t> seen, size_t n) {
  if (n == 0 || seen.size() + 1 < n) return;
  const auto last = seen.last(n - 1);
  for (size_t begin = 0; begin + n <= earlier.size(); ++begin)
    if (std::ranges::equal(earlier.subspan(begin, n - 1), last)) ban(logits_v, earlier[begin + n - 1]);
}

// Bans the last token of each word whose other tokens the text ends with, but no stop id that is a word by itself.
void ban_words(std::span<float> logits_v, const TextSoFar& text, const std::vector<std::vector<int64_t>>& words) {
  for (const auto& word : words) {
    const auto before = std::span(word).first(word.size() - 1);
    const bool stops = before.empty() && std::ranges::count(text.stop_ids, word.back()) > 0;
    if (stops || before.size() > text.seen.size()) continue;
    if (std::ranges::equal(text.seen.last(before.size()), before)) ban(logits_v, word.back());
  }
}

void allow_only(std::span<float> logits_v, std::span<const int64_t> ids) {
  std::ranges::fill(logits_v, -INFINITY);
  for (const int64_t id : ids)
    if (id >= 0 && id < static_cast<int64_t>(logits_v.size())) logits_v[static_cast<size_t>(id)] = 0;
}

void force(std::span<float> logits_v, const TextSoFar& text, const GenerateOptions& o) {
  if (text.seen.size() == 1 && o.forces_first()) allow_only(logits_v, {&*o.forced_bos_token_id, 1});
  if (text.left == 1 && o.forces_last()) allow_only(logits_v, o.forced_eos_token_id);
}

void make_finite(std::span<float> logits_v) {
  for (auto& logit : logits_v) logit = std::isnan(logit) ? 0 : std::clamp(logit, -kLargest, kLargest);
}

// `tokens`: of the answer, beyond those that the penalty leaves alone.
void raise_stops(std::span<float> logits_v, std::span<const int32_t> stop_ids, double tokens, double factor) {
  constexpr float most = 1e30F;  // an infinite logit would be an error
  const auto growth = static_cast<float>(std::pow(factor, tokens) - 1);
  for (const int64_t id : std::set<int64_t>(stop_ids.begin(), stop_ids.end())) {
    if (id >= static_cast<int64_t>(logits_v.size())) continue;
    auto& logit = logits_v[static_cast<size_t>(id)];
    if (std::isfinite(logit)) logit = std::min(most, logit + std::abs(logit) * growth);
  }
}

}  // namespace

bool changes_logits(const GenerateOptions& o) {
  return o.repetition_penalty.value_or(1) != 1 || o.presence_penalty.value_or(0) != 0 ||
         o.encoder_repetition_penalty.value_or(1) != 1 || o.frequency_penalty.value_or(0) != 0 ||
         o.no_repeat_ngram_size.value_or(0) != 0 || o.encoder_no_repeat_ngram_size.value_or(0) != 0 || o.least(0) > 0 ||
         !o.suppress_tokens.empty() || !o.begin_suppress_tokens.empty() || !o.bad_words_ids.empty() ||
         !o.sequence_bias.empty() || o.forces_first() || o.forces_last() ||
         !o.exponential_decay_length_penalty.empty() || o.remove_invalid_values.value_or(false);
}

void process_logits(std::span<float> logits_v, const TextSoFar& text, const GenerateOptions& o) {
  const auto prompt = text.seen.first(text.prompt), answer = text.seen.subspan(text.prompt);
  add_biases(logits_v, text.seen, o.sequence_bias);
  if (const double penalty = o.encoder_repetition_penalty.value_or(1); penalty != 1)
    penalize(logits_v, prompt, static_cast<float>(1 / penalty));
  if (const double penalty = o.repetition_penalty.value_or(1); penalty != 1)
    penalize(logits_v, text.seen, static_cast<float>(penalty));
  if (const double presence = o.presence_penalty.value_or(0), frequency = o.frequency_penalty.value_or(0);
      presence != 0 || frequency != 0)
    penalize_answer(logits_v, answer, presence, frequency);
  ban_repeats(logits_v, text.seen, text.seen, static_cast<size_t>(o.no_repeat_ngram_size.value_or(0)));
  ban_repeats(logits_v, prompt, text.seen, static_cast<size_t>(o.encoder_no_repeat_ngram_size.value_or(0)));
  ban_words(logits_v, text, o.bad_words_ids);
  if (std::ssize(answer) < o.least(std::ssize(prompt)))
    for (const int32_t id : text.stop_ids) ban(logits_v, id);
  force(logits_v, text, o);
  if (o.remove_invalid_values.value_or(false)) make_finite(logits_v);
  if (const auto& decay = o.exponential_decay_length_penalty; !decay.empty())
    if (const double tokens = static_cast<double>(answer.size()) - decay[0]; tokens > 0)
      raise_stops(logits_v, text.stop_ids, tokens, decay[1]);
  for (const int64_t id : o.suppress_tokens) ban(logits_v, id);
  const size_t forced = o.forces_first() && text.prompt == 1 ? 1 : 0;
  if (answer.size() == forced)
    for (const int64_t id : o.begin_suppress_tokens) ban(logits_v, id);
}

void process_rows(const at::Tensor& rows, std::span<const TextSoFar> texts, const GenerateOptions& o) {
  const auto vocab = static_cast<size_t>(rows.size(1));
  for (size_t i = 0; i < static_cast<size_t>(rows.size(0)); ++i)
    process_logits({rows.mutable_data_ptr<float>() + i * vocab, vocab}, i < texts.size() ? texts[i] : TextSoFar(), o);
}

at::Tensor finite(const at::Tensor& logits) { return at::nan_to_num(logits, 0, kLargest, -kLargest); }

}  // namespace antiphon::engine
