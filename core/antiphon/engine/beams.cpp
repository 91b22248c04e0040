#include <antiphon/engine/beams.h>

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include <antiphon/base/error.h>

namespace antiphon::engine {
namespace {

constexpr float kOut = -1e9F;  // of what is to be chosen last

// In fp32, as the reference divides.
float per_length(float score, int64_t length, double penalty) {
  return score / static_cast<float>(std::pow(static_cast<double>(length), penalty));
}

}  // namespace

BeamSearch::BeamSearch(const GenerateOptions& options, std::vector<int64_t> prompt, std::vector<int32_t> stop_ids,
                       int64_t room, const StopStrings* stops)
    : options_(options), prompt_(std::move(prompt)), stop_ids_(std::move(stop_ids)), room_(room), stops_(stops) {}

std::vector<BeamSearch::Step> BeamSearch::next(const at::Tensor& logits) {
  const auto own = logits.to(at::kCPU, at::kFloat).contiguous();
  if (!options_.remove_invalid_values.value_or(false) && !std::isfinite(own.max().item<float>()))
    fail(ErrorKind::data, kNotFinite, kNotFiniteRemedy);  // NaN is the largest
  const auto totals = scores_of_all(at::log_softmax(own, -1));
  auto chosen = candidates(totals);
  if (chosen.front().score == -HUGE_VALF) return over_without_token();
  finish_some(chosen, own);
  const bool over = std::ranges::all_of(chosen, &Candidate::ends) || (full() && options_.early_stopping == "true");
  auto steps = go_on(std::move(chosen), own);
  if (!over && may_improve()) return steps;
  return over_without_token();
}

// What has ended counts; without any there is no answer.
std::vector<BeamSearch::Step> BeamSearch::over_without_token() const {
  if (finished_.empty()) fail(ErrorKind::data, kNoToken, kNoTokenRemedy);
  return {};
}

// What each beam would have with each token: [beams, vocab_size].
at::Tensor BeamSearch::scores_of_all(const at::Tensor& logp) const {
  const auto rows = logp.clone();
  std::vector<std::vector<int64_t>> seen;
  std::vector<TextSoFar> texts;
  std::vector<float> before;
  for (const auto& answer : running_) {
    auto& all = seen.emplace_back(prompt_);
    all.insert(all.end(), answer.ids.begin(), answer.ids.end());
    before.push_back(answer.score);
  }
  for (const auto& all : seen) texts.push_back({all, prompt_.size(), stop_ids_, room_ - length_});
  process_rows(rows, texts, options_);
  // A beam without any token has no distribution.
  const auto scores = options_.renormalize_logits.value_or(false)
                          ? at::where(rows == -HUGE_VAL, rows, at::log_softmax(rows, -1))
                          : rows;
  return scores + at::tensor(before).unsqueeze(1);
}

// The likeliest; enough of them that num_beams go on though each stop token ends some.
std::vector<BeamSearch::Candidate> BeamSearch::candidates(const at::Tensor& totals) const {
  const int64_t vocab = totals.size(1), wanted = std::max<int64_t>(2, 1 + std::ssize(stop_ids_)) * options_.beams();
  const auto [values, places] = at::topk(totals.flatten(), std::min(wanted, totals.numel()));
  std::vector<Candidate> all;
  for (int64_t i = 0; i < values.size(0); ++i) {
    const int64_t place = places[i].item<int64_t>();
    Candidate one{{static_cast<size_t>(place / vocab), place % vocab}, values[i].item<float>()};
    one.by_stop = std::ranges::find(stop_ids_, static_cast<int32_t>(one.step.id)) != stop_ids_.end();
    if (!one.by_stop && stops_) {
      auto ids = running_[one.step.parent].ids;
      ids.push_back(static_cast<int32_t>(one.step.id));
      one.by_stop = stops_->completed_by_last(ids);
    }
    one.ends = one.by_stop || length_ + 1 == room_;
    all.push_back(one);
  }
  return all;
}

BeamSearch::Answer BeamSearch::grown(const Candidate& candidate, const at::Tensor& logits) const {
  auto answer = running_[candidate.step.parent];
  const auto id = static_cast<int32_t>(candidate.step.id);
  answer.score = candidate.score, answer.stopped = candidate.by_stop;
  if (std::ranges::find(stop_ids_, id) != stop_ids_.end()) return answer;
  answer.ids.push_back(id);
  if (options_.logprobs)
    answer.scores.push_back(scores_of(logits[static_cast<int64_t>(candidate.step.parent)], id, options_));
  return answer;
}

// Of the num_beams likeliest, those that end.
void BeamSearch::finish_some(const std::vector<Candidate>& candidates, const at::Tensor& logits) {
  if (full() && options_.early_stopping == "true") return;
  const auto first = std::min(candidates.size(), static_cast<size_t>(options_.beams()));
  for (size_t i = 0; i < first; ++i) {
    if (!candidates[i].ends) continue;
    auto answer = grown(candidates[i], logits);
    answer.score = per_length(answer.score, length_ + 1, options_.length_penalty.value_or(1));
    finished_.push_back(std::move(answer));
  }
  std::ranges::stable_sort(finished_, std::greater{}, &Answer::score);
  if (std::ssize(finished_) > options_.beams()) finished_.resize(static_cast<size_t>(options_.beams()));
}

std::vector<BeamSearch::Step> BeamSearch::go_on(std::vector<Candidate> candidates, const at::Tensor& logits) {
  for (auto& candidate : candidates) candidate.score += candidate.ends ? kOut : 0;
  std::ranges::stable_sort(candidates, std::greater{}, &Candidate::score);
  candidates.resize(std::min(candidates.size(), static_cast<size_t>(options_.beams())));
  std::vector<Answer> next;
  std::vector<Step> steps;
  for (const auto& candidate : candidates) {
    next.push_back(grown(candidate, logits));
    steps.push_back(candidate.step);
  }
  running_ = std::move(next), ++length_;
  return steps;
}

// As the reference estimates it: of the likeliest beam, against the last of the answers.
bool BeamSearch::may_improve() const {
  const double penalty = options_.length_penalty.value_or(1);
  const int64_t length = options_.early_stopping == "never" && penalty > 0 ? room_ : length_;
  return per_length(running_.front().score, length, penalty) > (full() ? finished_.back().score : kOut);
}

BeamSearch::Answer BeamSearch::best() && { return std::move(finished_.front()); }

}  // namespace antiphon::engine
