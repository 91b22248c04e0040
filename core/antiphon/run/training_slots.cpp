#include <antiphon/run/training_slots.h>

#include <fmt/format.h>

#include <antiphon/model/multimodal_lm.h>
#include <antiphon/model/slot.h>
#include <antiphon/run/mesh_of.h>
#include <antiphon/run/precision.h>
#include <antiphon/train/optimizer.h>

#include <map>

namespace antiphon::run {

std::unique_ptr<Objective> build_objective(model::ComponentSpec& spec) {
  config::Problems problems;
  auto objective = model::build_slot<Objective>(spec.plugin, {}, spec.options, "objective", problems);
  problems.throw_if_any();
  return objective;
}

std::unique_ptr<UpdateRule> build_update_rule(train::OptimizerOptions& options) {
  config::Problems problems;
  auto rule = model::build_slot<UpdateRule>(options.name, {}, options.options, "train.optimizer", problems);
  problems.throw_if_any();
  return rule;
}

std::vector<WeightedReward> build_rewards(train::RolloutOptions& options) {
  config::Problems problems;
  std::vector<WeightedReward> rewards;
  std::map<std::string, int> times;
  for (size_t i = 0; i < options.rewards.size(); ++i) {
    auto& [plugin, weight, own] = options.rewards[i];
    const int time = ++times[plugin];
    rewards.push_back(
        {time > 1 ? fmt::format("{}_{}", plugin, time) : plugin, weight,
         model::build_slot<Reward>(plugin, {}, own, fmt::format("train.rollout.rewards.{}", i), problems)});
  }
  problems.throw_if_any();
  return rewards;
}

namespace {

void check_pairs(const eval::EvalOptions& options, const model::Model& model) {
  if (!model.pairs() && !(options.templates.empty() && options.probe.empty()))
    fail(ErrorKind::config, "eval.templates and eval.probe are for dual encoders, and the model is not one",
         "leave them empty, or set model.graph = \"dual_encoder\"");
  for (const auto& pattern : options.templates)
    if (pattern.find("{}") == std::string::npos)
      fail(ErrorKind::config, fmt::format("eval.templates: '{}' has no {{}} for the class", pattern),
           "write for example \"a photo of a {}.\"");
}

void check_smoothing(const Objective& objective, const std::string& name, const train::TrainOptions& options) {
  const auto needs = objective.needs();
  const bool wanted = options.label_smoothing > 0 || options.z_loss > 0;
  if (!wanted || (needs.even_gradient && needs.scores == 0 && !needs.reference)) return;
  fail(
      ErrorKind::config,
      fmt::format("train.label_smoothing and train.z_loss change the loss of each token, and the objective {} compares "
                  "log-probabilities",
                  name),
      "set both to 0, or use objective.plugin = \"sft\"");
}

void check_rewards(const Objective& objective, const std::string& name, const train::RolloutOptions& rollout) {
  const bool written = objective.needs().written;
  if (written == !rollout.rewards.empty()) return;
  if (written)
    fail(ErrorKind::config,
         fmt::format("the objective '{}' learns from what the model writes, and nothing says what that is worth", name),
         "add [[train.rollout.rewards]] with a plugin, for example \"match\"");
  fail(ErrorKind::config,
       fmt::format("train.rollout.rewards is of objectives that learn from what the model writes, and '{}' is not one",
                   name),
       "leave it out, or set objective.plugin = \"policy_gradient\"");
}

void check_objective(const Objective& objective, const std::string& name, const model::Model& model) {
  const auto wanted = objective.needs().scores, given = model.scores();
  if (objective.needs().written && (wanted > 0 || objective.needs().pairs))
    fail(ErrorKind::plugin,
         fmt::format("the objective '{}' learns from what the model writes, and reads scores, not log-probabilities",
                     name),
         "let its needs() name one of the two");
  if (wanted > 0 && objective.needs().reference)
    fail(ErrorKind::plugin, fmt::format("the objective '{}' reads scores and wants a reference, which has none", name),
         "let its needs() name one of the two");
  if (objective.needs().pairs && model.pairs()) return;
  if (objective.needs().pairs || model.pairs())
    fail(ErrorKind::config,
         fmt::format("the objective '{}' {} pairs of a text and a medium, and the model {}", name,
                     objective.needs().pairs ? "compares" : "knows nothing of",
                     model.pairs() ? "gives nothing else" : "gives none"),
         model.pairs() ? "set objective.plugin = \"contrastive\" or \"sigmoid_pairs\""
                       : "set model.graph = \"dual_encoder\", or choose another objective");
  if (wanted == given) return;
  const auto words = [](int64_t n) {
    return n == 0 ? std::string("log-probabilities of tokens") : fmt::format("{} number(s) of each sequence", n);
  };
  fail(ErrorKind::config,
       fmt::format("the objective '{}' reads {}, and the model gives {}", name, words(wanted), words(given)),
       wanted == 0 ? "choose an objective that reads scores, or leave model.graph out"
                   : "set model.graph = \"reward_model\" and a [model.head] of that many outputs");
}

}  // namespace

std::unique_ptr<Objective> objective_of(RunConfig& config, const model::Model& model) {
  auto objective = build_objective(config.objective);
  check_objective(*objective, config.objective.plugin, model);
  check_pairs(config.eval, model);
  return objective;
}

void check_on_oom(const RunConfig& config, bool several_processes) {
  const auto& on_oom = config.train.on_oom;
  if (on_oom == "stop") return;
  if (several_processes)
    fail(ErrorKind::config, fmt::format("train.on_oom = \"{}\" is for one process", on_oom),
         "leave it out, or train with one process");
  if (config.parallel.offload_optimizer || config.parallel.offload_frozen)
    fail(ErrorKind::config,
         fmt::format("train.on_oom = \"{}\" beside parallel.offload_optimizer or parallel.offload_frozen", on_oom),
         "leave one of the two out");
}

void check_written(const RunConfig& config, const Objective& objective, bool several_processes) {
  if (!objective.needs().written) return;
  const auto refuse = [&](const char* what, const char* fix) {
    fail(ErrorKind::config,
         fmt::format("the objective '{}' learns from what the model writes, and is {}", config.objective.plugin, what),
         fix);
  };
  if (several_processes) refuse("for one process", "train with one process, or choose another objective");
  if (config.parallel.offload_optimizer)
    refuse("not for parallel.offload_optimizer, of which the model's blocks come and go", "leave it out");
}

TrainingSlots slots_of_training(RunConfig& config, model::Model& model) {
  check_on_oom(config, /*several_processes=*/false);
  check_precision(model.lm(), config.precision);
  TrainingSlots slots{objective_of(config, model), build_update_rule(config.train.optimizer),
                      build_rewards(config.train.rollout)};
  check_rewards(*slots.objective, config.objective.plugin, config.train.rollout);
  check_written(config, *slots.objective, least_processes(config.parallel) > 1);
  check_smoothing(*slots.objective, config.objective.plugin, config.train);
  train::check_groups(config.train.groups, model.trainable_parameters());
  return slots;
}

}  // namespace antiphon::run
