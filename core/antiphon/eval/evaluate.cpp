#include <antiphon/eval/together.h>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/shown.h>
#include <antiphon/engine/generator.h>
#include <antiphon/model/multimodal_lm.h>
#include <antiphon/model/objective_input.h>
#include <antiphon/model/reference_scores.h>
#include <antiphon/text/thought.h>

#include <cmath>
#include <numeric>

namespace antiphon::eval {
namespace {

// A group that failed adds nothing.
void add_group(StepTotals& totals, const ObjectiveInput& group) {
  if (group.counts.empty()) return;
  totals.tokens += std::accumulate(group.counts.begin(), group.counts.end(), int64_t{0});
  totals.sequences += static_cast<int64_t>(group.counts.size());
  totals.groups += 1, totals.preferred_tokens += group.counts.front();
}

}  // namespace

std::string expected_answer(const Sample& sample) {
  std::string text;
  if (sample.turns.empty() || sample.turns.back().role != "assistant") return text;
  for (const auto& part : sample.turns.back().parts) text += part.text;
  return text::split_thought(text).answer;
}

std::vector<data::Prepared> Evaluator::prepare(const std::vector<Sample>& samples, const Members& members,
                                               data::Purpose purpose) const {
  std::vector<data::Prepared> prepared;
  for (const auto i : members) prepared.push_back(preparer.prepare(samples[i], purpose));
  return prepared;
}

void Evaluator::each_batch(size_t samples, const std::function<void(const Members&)>& work) const {
  const auto batch_size = static_cast<size_t>(options.batch_size);
  for (size_t begin = 0; begin < samples; begin += batch_size) {
    Members members(std::min(batch_size, samples - begin));
    std::iota(members.begin(), members.end(), begin);
    work(members);
  }
}

// Works on all samples at once; if the data of one fail, on each alone, and what then fails is its own failure.
void Evaluator::each_good(const Members& members, std::vector<Outcome>& outcomes,
                          const std::function<void(const Members&)>& work) const {
  if (members.empty()) return;
  try {
    return work(members);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::data) throw;
    if (members.size() == 1) {
      outcomes[members.front()].failure = error.what();
      return;
    }
  }
  for (const auto member : members) each_good({member}, outcomes, work);
}

at::Tensor Evaluator::score_together(model::Batch& batch) const {
  return pass_together([&] {
    model.lm().encode(batch);
    cache.store(batch);  // for the conditions to come
    return model.score_all_chunks(batch, {logits_chunk});
  });
}

void Evaluator::measure(const std::vector<Sample>& samples, const Members& members,
                        std::vector<Outcome>& outcomes) const {
  auto batch = data::pack(read_together([&] { return prepare(samples, members, data::Purpose::training); }),
                          data::kPackMultiple);
  auto logp_n = score_together(batch);
  if (!logp_n.defined()) return;  // another process has them
  logp_n = logp_n.to(at::kCPU);
  int64_t begin = 0;
  for (size_t i = 0; i < members.size(); ++i) {
    const int64_t n = batch.sequences[i].supervised;
    auto& outcome = outcomes[members[i]];
    outcome.loss = -logp_n.narrow(0, begin, n).mean().item<double>();
    outcome.tokens = n;
    begin += n;
  }
}

void Evaluator::answer(const std::vector<Sample>& samples, const Members& members,
                       std::vector<Outcome>& outcomes) const {
  auto greedy = generation;  // what is scored is the likeliest answer
  greedy.max_tokens = options.max_tokens, greedy.temperature = 0;
  auto prompts = read_together([&] {
    auto all = prepare(samples, members, data::Purpose::generation);
    for (size_t i = 0; i < members.size(); ++i)
      outcomes[members[i]].room = engine::room_for_answer(model.lm(), all[i].tokens(), greedy);
    return all;
  });
  std::vector<bool> opened;
  for (const auto& prompt : prompts)
    opened.push_back(text::opens_thought(std::vector<int32_t>(prompt.ids.begin(), prompt.ids.end()), tokenizer));
  auto answers = pass_together([&] {
    return write ? write(std::move(prompts), greedy)
                 : engine::answers_to(model.lm(), std::move(prompts), greedy, tokenizer.eos_ids(), {}, tokenizer);
  });
  for (size_t i = 0; i < members.size(); ++i) {
    auto& outcome = outcomes[members[i]];
    try {
      if (answers[i].failure) std::rethrow_exception(answers[i].failure);
    } catch (const Error& error) {  // its own: the others are answered
      outcome.failure = error.what();
      continue;
    }
    auto [thought, written] = text::split_thought(answers[i].ids, tokenizer, opened[i]);
    outcome.thought = engine::before_stop(std::move(thought), greedy.stop);
    outcome.predicted = engine::before_stop(std::move(written), greedy.stop);
    if (greedy.logprobs) outcome.ids = std::move(answers[i].ids), outcome.scores = std::move(answers[i].scores);
  }
}

// All that an objective is to be told of each group but the totals, which are known when all are scored.
void Evaluator::score(const std::vector<Sample>& samples, const Members& members, const ObjectiveNeeds& needs,
                      checkpoint::Reference* reference, std::vector<ObjectiveInput>& scored) const {
  auto batch = data::pack(read_together([&] {
                            std::vector<data::PreparedGroup> groups;
                            for (const auto i : members) groups.push_back(preparer.prepare_group(samples[i]));
                            return groups;
                          }),
                          data::kPackMultiple);
  at::Tensor reference_n;
  if (needs.reference && reference)
    reference_n = pass_together([&] {
                    return model::reference_scores(model, {&batch, 1}, *reference, {logits_chunk});
                  }).front();
  auto given = score_together(batch);
  if (!given.defined()) return;  // another process has them
  given = given.to(at::kCPU);
  if (reference_n.defined()) reference_n = reference_n.to(at::kCPU);
  if (needs.reference && !reference) reference_n = given;
  const auto all = model::objective_input(batch, {});
  int64_t begin = 0;
  size_t sequence = 0;
  for (size_t g = 0; g < members.size(); ++g) {
    auto& input = scored[members[g]];
    input = {};
    input.groups = {all.groups[g]};
    int64_t n = 0;
    for (int64_t k = 0; k < all.groups[g]; ++k, ++sequence) {
      input.counts.push_back(all.counts[sequence]), n += all.counts[sequence];
      input.weights.push_back(all.weights[sequence]), input.values.push_back(all.values[sequence]);
    }
    if (needs.scores > 0)
      input.scores_sk = given.narrow(0, static_cast<int64_t>(sequence) - all.groups[g], all.groups[g]);
    else
      input.logp_n = given.narrow(0, begin, n);
    if (reference_n.defined()) input.reference_n = reference_n.narrow(0, begin, n);
    begin += n;
  }
}

std::vector<Outcome> Evaluator::compare(const std::vector<Sample>& samples, Objective& objective,
                                        checkpoint::Reference* reference,
                                        const std::function<void(size_t done)>& on_progress) const {
  if (objective.needs().pairs) return compare_pairs(samples, objective, on_progress);
  c10::AutoGradMode no_grad(false);
  std::vector<Outcome> outcomes(samples.size());
  std::vector<ObjectiveInput> scored(samples.size());
  each_batch(samples.size(), [&](const Members& members) {
    each_good(members, outcomes,
              [&](const Members& some) { score(samples, some, objective.needs(), reference, scored); });
    on_progress(members.size());
  });
  StepTotals totals;
  for (const auto& input : scored) add_group(totals, input);
  for (size_t i = 0; i < scored.size(); ++i) {
    if (!outcomes[i].failure.empty() || scored[i].groups.empty()) continue;
    scored[i].totals = totals;
    const auto out = objective.forward(scored[i]);
    outcomes[i].loss = out.loss.item<double>() * static_cast<double>(totals.groups);
    outcomes[i].tokens = std::accumulate(scored[i].counts.begin(), scored[i].counts.end(), int64_t{0});
    for (const auto& metric : out.metrics) outcomes[i].metrics[metric.name] = {metric.sum.item<double>(), metric.count};
  }
  return outcomes;
}

std::vector<Outcome> Evaluator::answers(const std::vector<Sample>& samples,
                                        const std::function<void(size_t done)>& on_progress) const {
  c10::AutoGradMode no_grad(false);
  std::vector<Outcome> outcomes(samples.size());
  each_batch(samples.size(), [&](const Members& members) {
    each_good(members, outcomes, [&](const Members& some) { answer(samples, some, outcomes); });
    on_progress(members.size());
  });
  return outcomes;
}

std::vector<Outcome> Evaluator::run(const std::vector<Sample>& samples, bool answers,
                                    const std::function<void(size_t done)>& on_progress) const {
  c10::AutoGradMode no_grad(false);
  std::vector<Outcome> outcomes(samples.size());
  each_batch(samples.size(), [&](Members members) {
    each_good(members, outcomes, [&](const Members& some) { measure(samples, some, outcomes); });
    const auto lacks_loss = [&](size_t i) { return !outcomes[i].failure.empty() || !std::isfinite(outcomes[i].loss); };
    const size_t done = members.size();
    std::erase_if(members, lacks_loss);
    if (answers) each_good(members, outcomes, [&](const Members& some) { answer(samples, some, outcomes); });
    on_progress(done);
  });
  return outcomes;
}

}  // namespace antiphon::eval
