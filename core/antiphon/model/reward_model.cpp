#include <antiphon/model/reward_model.h>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/shown.h>
#include <antiphon/base/trace.h>
#include <antiphon/model/head_part.h>
#include <antiphon/model/part_slot.h>

namespace antiphon::model {
namespace {

// Where the last supervised token of each sequence lies: behind the position that predicts it. [sequences] int64
at::Tensor ends_of(const Batch& batch) {
  const auto* predicting = batch.supervised_n.const_data_ptr<int64_t>();
  std::vector<int64_t> ends;
  int64_t seen = 0;
  for (const auto& sequence : batch.sequences) {
    if (sequence.supervised == 0)
      fail(ErrorKind::data,
           fmt::format("sample {} has no token of an answer to read a score from", shown(sequence.id)));
    seen += sequence.supervised;
    ends.push_back(predicting[seen - 1] + 1);
  }
  return at::tensor(ends, at::kLong);
}

}  // namespace

std::unique_ptr<RewardModel> RewardModel::build(ModelSpec& spec) {
  auto model = std::make_unique<RewardModel>();
  model->lm_ = MultimodalLm::build(spec);
  if (spec.head.plugin.empty())
    fail(ErrorKind::config, "model.graph = \"reward_model\" needs a head",
         "add [model.head] with plugin = \"scalar\"; `antiphon inspect` lists the heads");
  config::Problems problems;
  model->head_ = build_head(spec.head, model->lm_->llm().hidden_size(), problems);
  problems.throw_if_any();
  model->head_spec_ = spec.head;
  return model;
}

void RewardModel::load(const LoadSettings& settings) {
  lm_->load(settings);
  load_parts(*this, settings, lm_->parts().size());
}

std::vector<Part> RewardModel::parts() {
  auto all = lm_->parts();
  all.push_back(head_part(head_spec_, *head_));
  return all;
}

at::Tensor RewardModel::score(const Batch& batch, const nn::TokenScoreOptions&) {
  const auto given = lm_->forward(batch);
  if (!lm_->is_last_stage()) return given;
  const TraceScope scope("head");
  return lm_->of_all_rows(given, batch, ends_of(batch),
                          [&](const at::Tensor& hidden) { return head_->forward(hidden.to(at::kFloat)); });
}

}  // namespace antiphon::model
