#include <antiphon/run/plan.h>

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include <antiphon/component/auxiliary_losses.h>
#include <antiphon/component/training_pass.h>
#include <antiphon/data/loader.h>
#include <antiphon/kernels/shapes.h>
#include <antiphon/nn/blocks/recompute.h>
#include <antiphon/profile/tensor_memory.h>
#include <antiphon/run/precision.h>
#include <antiphon/run/processes.h>
#include <antiphon/run/roll_out.h>
#include <antiphon/run/training_slots.h>
#include <antiphon/train/average.h>
#include <antiphon/train/optimizer.h>
#include <antiphon/train/pairs.h>
#include <antiphon/train/recompute.h>
#include <antiphon/train/run_passes.h>

#include <set>

namespace antiphon::run {
namespace {

void count_meta_tensors() {
  constexpr int64_t kUnit = 512;  // LibTorch's allocator of GPU memory
  if (kernels::uses_shapes()) return;
  kernels::use_shapes();
  profile::count_tensors(c10::kMeta, kUnit);
}

// What the passes of a step compute. Of objectives only those are called that compare the sequences of a whole step.
class PlannedStep {
 public:
  PlannedStep(LoadedModel& loaded, Objective& objective, parallel::Placement& placement, comm::Group* group)
      : loaded_(loaded), objective_(objective), placement_(placement), group_(group) {
    options_ = {loaded.config.train.logits_chunk, objective.needs().even_gradient};
    config::Problems problems;
    if (const auto blocks = train::recomputed_blocks(loaded.config.train.recompute, problems); blocks > 0)
      recompute_.emplace(blocks, loaded.config.train.offload_activations);
  }

  void run(std::vector<model::Batch>& batches, const std::vector<parallel::Pass>& passes) {
    const auto compared = compare(batches);
    train::run_passes(passes, placement_, recompute_.has_value(),
                      {[&](const parallel::Pass& pass) {
                         const auto i = static_cast<size_t>(pass.batch);
                         return ObjectiveOutput{forward_of(batches[i], compared[i]), {}};
                       },
                       [&](const ObjectiveOutput& output) { backward_of(output.loss); }});
  }

 private:
  // As the trainer does before the passes of several batches.
  std::vector<train::ComparedPairs> compare(std::vector<model::Batch>& batches) {
    if (!objective_.needs().pairs || batches.size() == 1) return std::vector<train::ComparedPairs>(batches.size());
    placement_.make_usable();
    const nn::BlockPolicyScope policy(placement_.around(nullptr));
    const TrainingPass training(/*training=*/true, /*again=*/true);
    return train::compare_pairs(
               batches.size(), [&](size_t i) { return train::scores_before(*loaded_.model, batches[i], options_); },
               [&](const at::Tensor& own_sk) { return loss_of_pairs(own_sk); })
        .batches;
  }

  // As the first of those that have the same scores: nothing comes from others here, so that their rows are its own.
  ObjectiveOutput loss_of_pairs(const at::Tensor& own_sk) {
    return train::loss_of_pairs(objective_, own_sk, {}, group_, /*leads=*/true);
  }

  // Of other objectives the sum of what the model gives: they make no tensors as large as the model's.
  at::Tensor forward_of(model::Batch& batch, const train::ComparedPairs& compared) {
    const nn::BlockPolicyScope policy(placement_.around(recompute_ ? &*recompute_ : nullptr));
    const TrainingPass training;
    AuxiliaryLosses losses(1);
    auto& model = loaded_.lm();
    model.encode(batch);
    const auto scores = loaded_.model->score(batch, options_);
    if (!model.is_last_stage()) return scores;
    if (!objective_.needs().pairs) return scores.sum();
    return compared.gradient_sk.defined() ? train::with_gradient(scores, compared.gradient_sk)
                                          : loss_of_pairs(scores).loss;
  }

  void backward_of(const at::Tensor& loss) {
    if (loss.requires_grad()) torch::autograd::backward({loss}, {});
    placement_.end_pass();
  }

  LoadedModel& loaded_;
  Objective& objective_;
  parallel::Placement& placement_;
  comm::Group* group_;
  nn::TokenScoreOptions options_;
  std::optional<nn::Recompute> recompute_;
};

std::vector<model::Batch> first_batches(const LoadedModel& loaded, const Objective& objective,
                                        const data::RowShare& share) {
  const auto& config = loaded.config;
  data::Loader loader(
      config.data, loaded.preparer, config.train.tokens_per_batch, static_cast<uint64_t>(config.train.seed),
      [](const data::BadSample&) {}, objective.needs().of_record(), share, answer_room(config, objective));
  std::vector<model::Batch> batches;
  for (int64_t i = 0; i < share.count; ++i) {
    auto groups = loader.next_groups(i);
    for (auto& group : groups)
      if (group.record) group = data::longest_answers(group, loaded.lm().llm());
    batches.push_back(data::pack(std::move(groups), data::kPackMultiple));
  }
  return batches;
}

int64_t bytes_of(const std::vector<Parameter>& parameters, bool trained) {
  int64_t bytes = 0;
  for (const auto& parameter : parameters)
    if (parameter.tensor->requires_grad() == trained) bytes += static_cast<int64_t>(parameter.tensor->nbytes());
  return bytes;
}

int64_t bytes_on_host(const std::vector<Parameter>& kept, const parallel::Placement& placement) {
  int64_t bytes = 0;
  for (const auto& own : kept)
    if (placement.on_host(own)) bytes += static_cast<int64_t>(own.tensor->nbytes());
  return bytes;
}

// As an update does.
void exchange_with_owners(parallel::Owners& owners) {
  owners.gather_gradients();
  for (const auto& own : owners.parameters()) own.tensor->mutable_grad().reset();
  owners.return_values();
}

std::vector<Parameter> all_parameters(model::Model& model) {
  std::vector<Parameter> all;
  for (const auto& part : model.parts())
    for (auto& parameter : part.module->parameters()) all.push_back(std::move(parameter));
  return all;
}

}  // namespace

std::vector<int> ranks_to_plan(const parallel::Mesh& mesh, bool all_stages) {
  const int in_stage = mesh.experts * mesh.slices();
  std::set<int> ranks;
  for (int stage = 0; stage < mesh.stages; ++stage)
    if (all_stages || stage < 2 || stage + 1 == mesh.stages)
      for (const int number : {stage * in_stage, (stage + 1) * in_stage - 1}) ranks.insert(mesh.rank_of(0, number));
  return {ranks.begin(), ranks.end()};
}

PlannedProcess plan_process(const OpenOptions& flags, int rank, int size) {
  count_meta_tensors();
  auto options = flags;
  options.shapes_only = true;
  Processes processes(rank, size);
  processes.meet(read_config(options.file, options.sets, options.stage), at::kMeta);
  const int64_t before = profile::tensor_memory().now;
  LoadedModel loaded(options, processes.shared_by());
  auto& config = loaded.config;
  const auto [objective, rule, rewards] = slots_of_training(config, *loaded.model);
  check_written(config, *objective, size > 1);
  keep_trained_as(loaded.lm(), config.precision);
  auto batches = first_batches(loaded, *objective, processes.share());
  const auto placement = processes.place(*loaded.model, config);
  const auto own = placement->own(loaded.model->trainable_parameters());
  const auto kept = placement->own(all_parameters(*loaded.model));
  PlannedProcess plan{.rank = rank, .trained = bytes_of(kept, true), .frozen = bytes_of(kept, false)};
  const bool on_host = config.parallel.offload_optimizer;
  plan.host = bytes_on_host(kept, *placement) + placement->offloaded_bytes();
  const auto held = profile::tensor_memory().now;
  const auto owners = processes.owners(*loaded.model, *placement, *rule);
  const train::Optimizer optimizer(owners ? owners->parameters() : own, own, config.train, *rule);
  std::optional<train::Average> average;
  if (config.train.ema.decay > 0) average.emplace(own, config.train.ema.decay);
  plan.optimizer = profile::tensor_memory().now - held;
  const auto sent = processes.group() ? processes.group()->sent() : std::map<std::string, comm::Group::Sent>();
  profile::forget_most();
  PlannedStep step(loaded, *objective, *placement, processes.group());
  step.run(batches, processes.passes(std::ssize(batches)));
  for (const auto& parameter : own)
    if (parameter.tensor->grad().defined()) plan.gradients += static_cast<int64_t>(parameter.tensor->grad().nbytes());
  const auto of_passes = profile::tensor_memory().most;
  if (owners) exchange_with_owners(*owners);
  // What is the host's is made before the step, of tensors that count here.
  plan.most = (on_host ? of_passes - plan.optimizer : profile::tensor_memory().most) - before;
  if (on_host) plan.host += plan.optimizer + plan.gradients;
  if (processes.several()) plan.sent = processes.group()->sent();
  for (const auto& [name, earlier] : sent)
    plan.sent[name].calls -= earlier.calls, plan.sent[name].bytes -= earlier.bytes;
  std::erase_if(plan.sent, [](const auto& entry) { return entry.second.calls == 0; });
  return plan;
}

}  // namespace antiphon::run
