#include <antiphon/run/processes.h>

#include <fmt/format.h>

#include <antiphon/base/beacon.h>
#include <antiphon/base/log.h>
#include <antiphon/data/feature_cache.h>
#include <antiphon/model/model.h>
#include <antiphon/model/multimodal_lm.h>
#include <antiphon/nn/linear/linear.h>
#include <antiphon/parallel/same_run.h>
#include <antiphon/parallel/sharded.h>
#include <antiphon/plugin/registry.h>
#include <antiphon/train/together.h>

#include <algorithm>
#include <set>

namespace antiphon::run {

Processes::Processes() : place_(comm::place_from_environment()) {
  if (place_.rank > 0) log::set_level(log::Level::warning);
  beacon::open_from_environment();
}

Processes::~Processes() = default;

namespace {

int copies_of(const train::ParallelOptions& parallel, int size) {
  const auto cell = parallel.fsdp * parallel.tensor;
  const auto copies = parallel.replicate ? parallel.replicate : size / cell;
  if (copies * cell != size)
    fail(ErrorKind::config,
         fmt::format("parallel.replicate = {} times parallel.fsdp = {}{} is not the number of processes, {}",
                     parallel.replicate ? std::to_string(copies) : "0 (what is left)", parallel.fsdp,
                     parallel.tensor > 1 ? fmt::format(" times parallel.tensor = {}", parallel.tensor) : "", size),
         parallel.replicate ? "start as many, or set parallel.replicate to 0"
                            : fmt::format("start a multiple of {}", cell));
  return static_cast<int>(copies);
}

// Rank = (copy · fsdp + shard) · tensor + part.
std::vector<int> every(int first, int step, int count) {
  std::vector<int> ranks;
  for (int i = 0; i < count; ++i) ranks.push_back(first + i * step);
  return ranks;
}

// What a connector, an encoder, an embedding or a prompt learns comes through all blocks.
size_t first_that_learns(const std::vector<Module*>& blocks, const std::vector<Parameter>& trained, bool prompts) {
  std::set<const at::Tensor*> in_blocks;
  for (auto* block : blocks)
    for (const auto& parameter : block->parameters()) in_blocks.insert(parameter.tensor);
  const bool before = prompts || std::ranges::any_of(trained, [&](const Parameter& parameter) {
                        const bool of_model =
                            parameter.name.starts_with("streams.") || parameter.name.starts_with("llm/");
                        return of_model && !in_blocks.contains(parameter.tensor);
                      });
  if (before) return 0;
  const auto learns = [](Module* block) {
    return block->trainable_count() > 0 ||
           std::ranges::any_of(block->sites(), [](const Site& site) { return !site.linear->adapters.empty(); });
  };
  return static_cast<size_t>(std::ranges::find_if(blocks, learns) - blocks.begin());
}

void check_can_be_cut(const RunConfig& config, const model::Model& model, const Objective& objective,
                      const UpdateRule& rule) {
  const auto& parallel = config.parallel;
  const auto key = parallel.tensor > 1 ? fmt::format("parallel.tensor = {}", parallel.tensor)
                                       : fmt::format("parallel.fsdp = {}", parallel.fsdp);
  const std::string fix = "use " + key.substr(0, key.find('=')) + "= 1";
  if (!rule.elementwise())
    fail(ErrorKind::config,
         fmt::format("train.optimizer.name = \"{}\" needs whole matrices, and {} cuts them up",
                     config.train.optimizer.name, key),
         "use adamw, or " + fix.substr(4));
  if (parallel.tensor > 1 && model.scores() > 0)
    fail(ErrorKind::config,
         fmt::format("model.graph = \"{}\" has a head that is whole, and {}", config.model.graph, key), fix);
  if (parallel.tensor > 1 && !(config.precision.linear.empty() && config.precision.weights.empty()))
    fail(ErrorKind::config, fmt::format("precision.linear and precision.weights change whole matrices, and {}", key),
         fix);
  if (parallel.fsdp > 1 && parallel.reshard && !config.precision.linear.empty())
    fail(ErrorKind::config,
         fmt::format("precision.linear = \"{}\" keeps blocks whole in that format, and parallel.reshard does not",
                     config.precision.linear),
         "set parallel.reshard = false, or leave precision.linear out");
  if (objective.needs().reference)
    fail(ErrorKind::config,
         fmt::format("[objective] plugin = \"{}\" compares with a reference, which is whole, and {}",
                     config.objective.plugin, key),
         fix);
}

}  // namespace

void Processes::meet(const RunConfig& config, at::Device device) {
  const auto& parallel = config.parallel;
  const int copies = copies_of(parallel, place_.size), tensor = static_cast<int>(parallel.tensor);
  const int parts = static_cast<int>(parallel.fsdp) * tensor;
  share_ = train::share_of(place_.rank / tensor, place_.size / tensor, config.train.accumulate);
  agreement_ = std::make_unique<train::Alone>();
  if (!several()) return;
  if (!device.is_cpu())
    fail(ErrorKind::config, "several processes train on the CPU only: they exchange tensors of the CPU",
         "use --device cpu, or one process");
  place_.interface = parallel.interface, place_.timeout = std::chrono::seconds(parallel.timeout_seconds);
  if (!group_) group_ = std::make_unique<comm::Group>(place_);
  agreement_ = std::make_unique<train::Together>(*group_, tensor);
  parallel::check_same(
      *group_, {{"[parallel] of the configuration", fmt::format("{} {} {} {}", parallel.replicate, parallel.fsdp,
                                                                parallel.tensor, config.train.accumulate)}});
  shards_.reset(), cell_.reset(), replicas_.reset();
  const int fsdp = parts / tensor, part = rank() % tensor, of_copy = rank() - rank() % parts;
  const auto named = [&](const char* name) { return fmt::format("{}{}", name, meetings_); };
  ++meetings_;
  if (tensor > 1) cell_ = group_->subgroup(named("tensor"), every(rank() - part, 1, tensor));
  if (fsdp > 1) shards_ = group_->subgroup(named("fsdp"), every(of_copy + part, tensor, fsdp));
  if (parts > 1 && copies > 1) replicas_ = group_->subgroup(named("replicate"), every(rank() % parts, parts, copies));
  group_->wait_for_all();  // before one of them finds something wrong and ends
  log::info(fmt::format("{} processes share the {} batches of a step{}", place_.size, share_.all,
                        (tensor > 1 ? fmt::format("; {} compute each together", tensor) : "") +
                            (fsdp > 1 ? fmt::format("; a copy of the model is cut up among {}", parts) : "")));
}

std::unique_ptr<parallel::Placement> Processes::place(model::Model& model, const RunConfig& config,
                                                      const Objective& objective, const UpdateRule& rule) {
  const auto trained = model.trainable_parameters();
  if (shards_ || cell_) check_can_be_cut(config, model, objective, rule);
  if (!shards_) return std::make_unique<parallel::Replicated>(trained, group_.get(), cell_.get(), replicas_.get());
  parallel::ShardedModel sharded{trained};
  if (config.parallel.reshard) sharded.blocks = model.lm().llm().blocks();
  sharded.frozen_too = config.parallel.shard_frozen, sharded.computed = model.lm().compute_dtype();
  sharded.learns_from = first_that_learns(sharded.blocks, trained, model.lm().prompt_tokens() > 0);
  if (config.parallel.reshard && sharded.blocks.empty())
    log::warning(
        fmt::format("the language model '{}' does not say what its blocks are, so that it is whole during a step",
                    config.model.llm.plugin));
  return std::make_unique<parallel::Sharded>(sharded, *shards_, replicas_.get(), cell_.get());
}

namespace {

std::string hashes_of(model::Model& model, bool of_parts) {
  std::string hashes;
  for (const auto& parameter : model.saved_parameters())
    if (parameter.box.has_value() == of_parts) hashes += data::hash_of(*parameter.tensor);
  return hashes;
}

}  // namespace

std::string trained_values(model::Model& model) { return hashes_of(model, /*of_parts=*/false); }

void Processes::check_parts(model::Model& model) {
  if (cell_ && replicas_)
    parallel::check_same(*replicas_, {{"part of a trained parameter", hashes_of(model, /*of_parts=*/true)}});
}

void check_same(comm::Group& group, const RunConfig& config, const data::Loader& loader, int64_t step,
                const std::string& values) {
  auto common = config;
  common.parallel.interface.clear();  // a machine's own names
  const auto resolved = config::to_toml(run_table().dump(&common));
  std::string plugins;
  for (const auto& entry : plugin::Registry::instance().entries()) plugins += entry.plugin + " " + entry.version + "\n";
  parallel::check_same(group, {{"version of the program", ANTIPHON_VERSION},
                               {"configuration", resolved},
                               {"set of plugins", plugins},
                               {"step to go on from", std::to_string(step)},
                               {"training data", loader.fingerprint() + loader.draw_settings()},
                               {"value of a trained parameter", values}});
}

}  // namespace antiphon::run
