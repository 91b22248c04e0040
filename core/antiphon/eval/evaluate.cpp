#include <antiphon/eval/evaluate.h>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/shown.h>
#include <antiphon/model/score_tokens.h>

#include <antiphon/engine/generator.h>

#include <cmath>
#include <numeric>

namespace antiphon::eval {

std::string expected_answer(const Sample& sample) {
  std::string text;
  if (sample.turns.empty() || sample.turns.back().role != "assistant") return text;
  for (const auto& part : sample.turns.back().parts) text += part.text;
  return text;
}

std::vector<data::Prepared> Evaluator::prepare(const std::vector<Sample>& samples, const Members& members,
                                               data::Purpose purpose) const {
  std::vector<data::Prepared> prepared;
  for (const auto i : members) prepared.push_back(preparer.prepare(samples[i], purpose));
  return prepared;
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

void Evaluator::measure(const std::vector<Sample>& samples, const Members& members,
                        std::vector<Outcome>& outcomes) const {
  auto batch = data::pack(prepare(samples, members, data::Purpose::training), data::kPackMultiple);
  model.encode(batch);
  cache.store(batch);  // for the conditions to come
  const auto logp_n = model::score_tokens(model, batch).to(at::kCPU);
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
  auto prompts = prepare(samples, members, data::Purpose::generation);
  for (size_t i = 0; i < members.size(); ++i)
    outcomes[members[i]].room = engine::room_for_answer(model, prompts[i].tokens(), options.max_tokens);
  const auto answers = engine::generate(model, std::move(prompts), greedy, tokenizer.eos_ids());
  for (size_t i = 0; i < members.size(); ++i) outcomes[members[i]].predicted = tokenizer.decode(answers[i]);
}

std::vector<Outcome> Evaluator::run(const std::vector<Sample>& samples, bool answers,
                                    const std::function<void(size_t done)>& on_progress) const {
  c10::AutoGradMode no_grad(false);
  std::vector<Outcome> outcomes(samples.size());
  const auto batch_size = static_cast<size_t>(options.batch_size);
  for (size_t begin = 0; begin < samples.size(); begin += batch_size) {
    Members members(std::min(batch_size, samples.size() - begin));
    std::iota(members.begin(), members.end(), begin);
    each_good(members, outcomes, [&](const Members& some) { measure(samples, some, outcomes); });
    const auto lacks_loss = [&](size_t i) { return !outcomes[i].failure.empty() || !std::isfinite(outcomes[i].loss); };
    const size_t done = members.size();
    std::erase_if(members, lacks_loss);
    if (answers) each_good(members, outcomes, [&](const Members& some) { answer(samples, some, outcomes); });
    on_progress(done);
  }
  return outcomes;
}

}  // namespace antiphon::eval
