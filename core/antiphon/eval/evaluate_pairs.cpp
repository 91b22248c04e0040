// Evaluation of dual encoders: every sample's two vectors, and what follows from all of them together.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <antiphon/base/log.h>
#include <antiphon/eval/together.h>
#include <antiphon/model/multimodal_lm.h>
#include <antiphon/text/prompt.h>

namespace antiphon::eval {
namespace {

// "a photo of a {}." with the class in the place of {}.
std::string filled(const std::string& pattern, const std::string& name) {
  const auto place = pattern.find("{}");
  return pattern.substr(0, place) + name + pattern.substr(place + 2);
}

}  // namespace

// The mean of the directions of all templates, made of length 1 again (Radford et al. 2021, 3.1.4). A template that
// leaves a class no room is not one of its own; a class without any stands for itself.
at::Tensor Evaluator::class_vectors(const std::vector<std::string>& classes) const {
  std::vector<at::Tensor> all;
  int64_t without = 0;
  const auto ids_of = [&](const std::string& text) {
    const auto ids = text::caption_ids(tokenizer, text);
    return std::vector<int64_t>(ids.begin(), ids.end());
  };
  for (const auto& name : classes) {
    std::vector<std::vector<int64_t>> texts;
    for (const auto& pattern : options.templates) {
      auto ids = ids_of(filled(pattern, name));
      if (std::ssize(ids) < model.longest_sequence()) texts.push_back(std::move(ids));
    }
    without += texts.size() < options.templates.size();
    if (texts.empty()) texts.push_back(ids_of(name));  // which is a text of the set, and fits
    const auto given = pass_together([&] { return model.text_vectors(texts); }).to(at::kCPU, at::kFloat);
    const auto mean = given.narrow(1, 0, given.size(1) - 1).mean(0);
    all.push_back(mean / mean.norm());
  }
  if (without > 0)
    log::warning(fmt::format("{} of {} classes are too long for some of eval.templates, which leave them out", without,
                             classes.size()));
  return at::stack(all);
}

PairVectors Evaluator::pair_vectors(const std::vector<Sample>& samples, std::vector<Outcome>& outcomes,
                                    const std::function<void(size_t done)>& on_progress) const {
  c10::AutoGradMode no_grad(false);
  std::vector<at::Tensor> rows(samples.size());
  std::vector<std::string> media(samples.size());
  each_batch(samples.size(), [&](const Members& members) {
    each_good(members, outcomes, [&](const Members& some) {
      auto batch = data::pack(read_together([&] { return prepare(samples, some, data::Purpose::training); }),
                              data::kPackMultiple);
      const auto scores = score_together(batch).to(at::kCPU);
      for (size_t i = 0; i < some.size(); ++i)
        rows[some[i]] = scores.narrow(0, static_cast<int64_t>(i), 1), media[some[i]] = batch.media[i].content;
    });
    on_progress(members.size());
  });
  PairVectors vectors;
  std::vector<at::Tensor> good;
  for (size_t i = 0; i < samples.size(); ++i) {
    if (!outcomes[i].failure.empty()) continue;
    good.push_back(rows[i]);
    vectors.media.push_back(media[i]), vectors.texts.push_back(text::caption_of(samples[i].turns));
  }
  if (good.empty()) return vectors;
  const auto halves = at::cat(good).chunk(2, 1);
  vectors.media_nw = halves[0].contiguous(), vectors.texts_nw = halves[1].contiguous();
  return vectors;
}

std::vector<Outcome> Evaluator::compare_pairs(const std::vector<Sample>& samples, Objective& objective,
                                              const std::function<void(size_t done)>& on_progress) const {
  c10::AutoGradMode no_grad(false);
  std::vector<Outcome> outcomes(samples.size());
  const auto vectors = pair_vectors(samples, outcomes, on_progress);
  const int64_t n = vectors.count();
  if (n == 0) return outcomes;
  ObjectiveInput input;
  input.scores_sk = at::cat({vectors.media_nw, vectors.texts_nw}, 1), input.own_sequences = n;
  input.totals.sequences = input.totals.groups = n;
  const auto output = objective.forward(input);
  PairMetrics metrics(static_cast<size_t>(n));
  add_retrieval(vectors, metrics);
  if (const auto classes = distinct(vectors.texts).names; !options.templates.empty())
    add_zero_shot(vectors, classes, class_vectors(classes), metrics);
  if (probe) probe->add(vectors, metrics);
  int64_t row = 0;
  for (auto& outcome : outcomes) {
    if (!outcome.failure.empty()) continue;
    outcome.metrics = std::move(metrics[static_cast<size_t>(row)]);
    outcome.loss = output.losses_n[row].item<double>() * static_cast<double>(n);
    for (const auto& metric : output.metrics) outcome.metrics[metric.name] = {metric.sum[row].item<double>(), 1};
    ++row;
  }
  return outcomes;
}

}  // namespace antiphon::eval
