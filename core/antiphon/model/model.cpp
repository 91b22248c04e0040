#include <antiphon/model/model.h>

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <antiphon/component/pipeline_pass.h>
#include <antiphon/model/dual_encoder.h>
#include <antiphon/model/freeze.h>
#include <antiphon/model/multimodal_lm.h>
#include <antiphon/model/part_slot.h>
#include <antiphon/model/reward_model.h>
#include <antiphon/model/slot.h>

#include <algorithm>

namespace antiphon::model {

at::Tensor Model::score_all_chunks(const Batch& batch, const nn::TokenScoreOptions& options) {
  at::Tensor given;
  for (int chunk = 0; chunk < lm().chunks(); ++chunk) {
    const PipelinePass pass(0, chunk);
    const auto scores = score(batch, options);
    if (lm().is_last_stage()) given = scores;
  }
  return given;
}

void Model::share(const SharedBy& by) { lm().share(by); }

at::Tensor Model::text_vectors(const std::vector<std::vector<int64_t>>&) {
  fail(ErrorKind::internal, "the model makes no vectors of texts");
}

int64_t Model::longest_sequence() { return lm().context(); }

std::vector<Parameter> Model::trainable_parameters() {
  auto all = saved_parameters();
  std::erase_if(all, [](const Parameter& parameter) { return !parameter.tensor->requires_grad(); });
  return all;
}

std::vector<Parameter> Model::saved_parameters() {
  std::vector<Parameter> all;
  for (auto& part : parts()) {
    const bool trained = part.module->trainable_count() > 0;
    const bool all_of_it =
        std::ranges::any_of(frozen, [&](const FrozenOfPart& of) { return of.is_new && of.path == part.path; });
    for (auto& parameter : part.module->parameters()) {
      if (!parameter.tensor->requires_grad() && !(parameter.fixed && trained) && !all_of_it) continue;
      parameter.name = part.path + "/" + parameter.name;
      all.push_back(std::move(parameter));
    }
  }
  return all;
}

namespace {

std::unique_ptr<Model> build_language_model(ModelSpec& spec) {
  if (spec.graph == "reward_model") return RewardModel::build(spec);
  if (!spec.head.plugin.empty() || !spec.head.weights.empty())
    fail(ErrorKind::config, "[model.head] is read by model.graph = \"reward_model\" and \"dual_encoder\" only",
         "set it, or leave the head out");
  return MultimodalLm::build(spec);
}

}  // namespace

std::unique_ptr<Model> build(ModelSpec& spec) {
  config::Problems problems;
  check_head(spec, problems);
  problems.throw_if_any();
  const bool pairs = spec.graph == "dual_encoder";
  auto model = pairs ? DualEncoder::build(spec) : build_language_model(spec);
  check_adapters_inside(*model);
  model->frozen = freeze(*model, spec.freeze);
  if (!pairs && !model->lm().llm().writes())
    fail(ErrorKind::config,
         fmt::format("model.llm.plugin = \"{}\" makes vectors of texts and writes none", spec.llm.plugin),
         "set model.graph = \"dual_encoder\", or take a language model");
  return model;
}

}  // namespace antiphon::model
