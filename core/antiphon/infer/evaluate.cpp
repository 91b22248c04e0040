#include <antiphon/infer/evaluate.h>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/shown.h>
#include <antiphon/base/trace.h>

#include <antiphon/infer/generator.h>

namespace antiphon::infer {

std::string expected_answer(const data::Sample& sample) {
  std::string text;
  if (sample.turns.empty() || sample.turns.back().role != "assistant") return text;
  for (const auto& part : sample.turns.back().parts) text += part.text;
  return text;
}

std::vector<data::Prepared> Evaluator::prepare(const std::vector<data::Sample>& samples, data::Purpose purpose) const {
  std::vector<data::Prepared> prepared;
  for (const auto& sample : samples)
    prepared.push_back(
        with_context(fmt::format("preparing {}:{} ({})", shown(sample.file.string()), sample.line, shown(sample.id)),
                     [&] { return preparer.prepare(sample, purpose); }));
  return prepared;
}

// Encodes what has no features yet and keeps it for the conditions to come.
void Evaluator::keep_features(graph::Batch& batch) const {
  model.encode(batch);
  for (auto& media : batch.media)
    if (!media.cache_key.empty() && !media.item.inputs.empty())
      cache.store(media.cache_key, {media.item.features, media.item.tiling});
}

void Evaluator::measure(const std::vector<data::Sample>& samples, Outcome* outcomes) const {
  auto batch = data::pack(prepare(samples, data::Purpose::training), data::kPackMultiple);
  keep_features(batch);
  LossInput input;
  input.hidden_nd = model.forward(batch).index_select(0, batch.supervised_n.to(model.device()));
  input.head_weight_vd = model.llm().head_weight();
  input.labels_n = batch.labels_n.to(model.device());
  const TraceScope scope("loss");
  const auto token_loss = loss.forward(input).token_loss_n.to(at::kCPU);
  int64_t begin = 0;
  for (size_t i = 0; i < samples.size(); ++i) {
    const int64_t n = batch.supervised_counts[i];
    outcomes[i].loss = token_loss.narrow(0, begin, n).mean().item<double>();
    outcomes[i].tokens = n;
    begin += n;
  }
}

void Evaluator::answer(const std::vector<data::Sample>& samples, Outcome* outcomes) const {
  GenerateOptions generation;
  generation.max_tokens = options.max_tokens;
  const auto answers = generate(model, prepare(samples, data::Purpose::generation), generation, tokenizer.eos_ids());
  for (size_t i = 0; i < answers.size(); ++i) outcomes[i].predicted = tokenizer.decode(answers[i]);
}

std::vector<Outcome> Evaluator::run(const std::vector<data::Sample>& samples, bool answers,
                                    const std::function<void(size_t done)>& on_progress) const {
  c10::AutoGradMode no_grad(false);
  std::vector<Outcome> outcomes(samples.size());
  const auto batch_size = static_cast<size_t>(options.batch_size);
  for (size_t begin = 0; begin < samples.size(); begin += batch_size) {
    const size_t end = std::min(begin + batch_size, samples.size());
    const std::vector<data::Sample> part(samples.begin() + static_cast<long>(begin),
                                         samples.begin() + static_cast<long>(end));
    measure(part, &outcomes[begin]);
    if (answers) answer(part, &outcomes[begin]);
    on_progress(end - begin);
  }
  return outcomes;
}

}  // namespace antiphon::infer
