#include <antiphon/run/roll_out.h>

#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <antiphon/base/mixed.h>
#include <antiphon/component/training_pass.h>
#include <antiphon/engine/generator.h>
#include <antiphon/eval/evaluate.h>
#include <antiphon/run/sample_parts.h>
#include <antiphon/text/thought.h>

#include <chrono>
#include <cmath>
#include <utility>

namespace antiphon::run {
namespace {

// The prompt with its media encoded, once for all its answers. What is trained on keeps them as they were read: their
// encoders and connectors may be trained.
data::Prepared encoded(const data::Prepared& prompt, model::MultimodalLm& model) {
  if (prompt.media.empty()) return prompt;
  c10::AutoGradMode no_grad(false);
  const TrainingPass training(false);
  auto batch = data::pack({prompt});
  model.encode(batch);
  auto out = prompt;
  out.media = std::move(batch.media);
  return out;
}

bool ended(const engine::Answer& answer) { return answer.stop_id.has_value(); }

}  // namespace

std::optional<data::AnswerRoom> answer_room(const RunConfig& config, const Objective& objective) {
  const auto needs = objective.needs();
  if (!needs.written) return std::nullopt;
  return data::AnswerRoom{needs.candidates, config.train.rollout.max_tokens};
}

RollOut::RollOut(LoadedModel& loaded, std::vector<WeightedReward> rewards, const data::AnswerRoom& room)
    : loaded_(loaded), rewards_(std::move(rewards)), room_(room) {}

// From the model's own distribution: neither a temperature nor a filter, which log-probabilities would not know of.
std::vector<engine::Answer> RollOut::write(const std::vector<data::PreparedGroup>& prompts, uint64_t seed) const {
  std::vector<engine::Request> requests;
  for (const auto& group : prompts) {
    const auto prompt = encoded(group.sequences.front(), loaded_.lm());
    for (int64_t i = 0; i < room_.answers; ++i) {
      engine::GenerateOptions options;
      options.max_tokens = room_.tokens, options.temperature = 1, options.logprobs = 0;
      options.seed = static_cast<int64_t>(mixed(seed, requests.size()) >> 1);
      requests.push_back({prompt, options, loaded_.tokenizer().eos_ids()});
    }
  }
  return engine::answers_to(loaded_.lm(), std::move(requests), loaded_.tokenizer());
}

// The weighted sum of what the rewards can judge; NaN: nothing. A weight of 0 judges nothing.
std::vector<double> RollOut::score(const std::vector<WrittenAnswer>& answers, train::StepMetrics& metrics) const {
  std::vector<double> sums(answers.size(), std::nan(""));
  for (const auto& [name, weight, reward] : rewards_) {
    const auto values = with_context(fmt::format("the reward '{}'", name),
                                     [&answers, &judge = *reward] { return judge.score(answers); });
    if (values.size() != answers.size())
      fail(ErrorKind::plugin,
           fmt::format("the reward '{}' gave {} numbers of {} answers", name, values.size(), answers.size()),
           "let it give one number an answer; `antiphon conformance` checks it");
    train::StepMetrics::Sum known;
    for (size_t i = 0; i < values.size(); ++i) {
      if (std::isnan(values[i])) continue;
      if (std::isinf(values[i]))
        fail(ErrorKind::plugin,
             fmt::format("the reward '{}' gave {} of sample {}", name, values[i], answers[i].sample.id),
             "let it give finite numbers, or NaN of what it cannot judge");
      if (weight != 0) sums[i] = (std::isnan(sums[i]) ? 0 : sums[i]) + weight * values[i];
      known.sum += values[i], known.count += 1;
    }
    if (known.count > 0) metrics.add("train/rewards/" + name, known);
  }
  return sums;
}

// `number`: of the answers to this prompt.
data::Prepared RollOut::learnt(const data::Prepared& prompt, const engine::Answer& answer, double value,
                               size_t number) const {
  std::vector<int64_t> ids(answer.ids.begin(), answer.ids.end());
  std::vector<float> behaviour;
  for (const auto& score : answer.scores) behaviour.push_back(static_cast<float>(score.logprob));
  if (answer.stop_id)
    ids.push_back(*answer.stop_id), behaviour.push_back(static_cast<float>(answer.stop_scores.logprob));
  auto sequence = data::answered(prompt, ids, loaded_.lm().llm());
  sequence.id = fmt::format("{}#{}", prompt.id, number), sequence.behaviour = std::move(behaviour);
  sequence.value = value;
  sequence.weight = loaded_.config.train.rollout.truncated == "mask" && !ended(answer) ? 0 : 1;
  return sequence;
}

void RollOut::show(const WrittenAnswer& answer, double value) {
  if (left_to_show_ == 0) return;
  --left_to_show_;
  shown_.push_back({{"id", answer.sample.id},
                    {"question", question_of(answer.sample)},
                    {"expected", answer.expected},
                    {"written", answer.text},
                    {"reward", value},
                    {"ended", answer.ended}});
}

std::vector<nlohmann::json> RollOut::shown() { return std::exchange(shown_, {}); }

model::Batch RollOut::operator()(std::vector<data::PreparedGroup> prompts, int64_t step, uint64_t seed,
                                 train::StepMetrics& metrics) {
  const auto begin = std::chrono::steady_clock::now();
  if (std::exchange(step_, step) != step) left_to_show_ = loaded_.config.train.rollout.shown;
  const auto answers = write(prompts, seed);
  const auto per_prompt = static_cast<size_t>(room_.answers);
  std::vector<std::string> expected, texts;
  std::vector<bool> opened;
  for (const auto& group : prompts) {
    expected.push_back(eval::expected_answer(*group.record));
    const auto& ids = group.sequences.front().ids;
    opened.push_back(text::opens_thought(std::vector<int32_t>(ids.begin(), ids.end()), loaded_.tokenizer()));
  }
  for (size_t i = 0; i < answers.size(); ++i) {
    if (answers[i].failure) std::rethrow_exception(answers[i].failure);
    texts.push_back(text::split_thought(answers[i].ids, loaded_.tokenizer(), opened[i / per_prompt]).answer);
  }
  std::vector<WrittenAnswer> written;
  train::StepMetrics::Sum cut, speed;
  for (size_t i = 0; i < answers.size(); ++i) {
    const auto tokens = std::ssize(answers[i].ids) + ended(answers[i]);
    written.push_back({*prompts[i / per_prompt].record, expected[i / per_prompt], texts[i], tokens, ended(answers[i])});
    cut.sum += ended(answers[i]) ? 0 : 1, cut.count += 1, speed.sum += static_cast<double>(tokens);
  }
  const auto values = score(written, metrics);
  for (size_t i = 0; i < answers.size(); ++i) {
    show(written[i], values[i]);
    auto& group = prompts[i / per_prompt];
    group.sequences.push_back(learnt(group.sequences.front(), answers[i], values[i], i % per_prompt));
  }
  for (auto& group : prompts) group.sequences.erase(group.sequences.begin()), group.record.reset();
  speed.count = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  metrics.add("train/completions/clipped_ratio", cut), metrics.add("train/rollout/tokens_per_second", speed);
  return data::pack(std::move(prompts), data::kPackMultiple);
}

}  // namespace antiphon::run
