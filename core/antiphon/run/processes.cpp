#include <antiphon/run/processes.h>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <antiphon/base/beacon.h>
#include <antiphon/base/files.h>
#include <antiphon/base/log.h>
#include <antiphon/data/feature_cache.h>
#include <antiphon/model/model.h>
#include <antiphon/model/multimodal_lm.h>
#include <antiphon/nn/blocks/run_blocks.h>
#include <antiphon/parallel/agreed.h>
#include <antiphon/parallel/alike.h>
#include <antiphon/parallel/same_run.h>
#include <antiphon/parallel/sharded.h>
#include <antiphon/plugin/registry.h>
#include <antiphon/train/together.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>

namespace antiphon::run {

Processes::Processes() : place_(comm::place_from_environment()) {
  if (place_.rank > 0) log::set_level(log::Level::warning);
  beacon::open_from_environment();
}

Processes::~Processes() = default;

namespace {

std::string product_of(const train::ParallelOptions& parallel) {
  std::string product = fmt::format("parallel.fsdp = {}", parallel.fsdp);
  if (parallel.pipeline > 1) product += fmt::format(" times parallel.pipeline = {}", parallel.pipeline);
  if (parallel.expert > 1) product += fmt::format(" times parallel.expert = {}", parallel.expert);
  if (parallel.context > 1) product += fmt::format(" times parallel.context = {}", parallel.context);
  if (parallel.tensor > 1) product += fmt::format(" times parallel.tensor = {}", parallel.tensor);
  return product;
}

parallel::Mesh mesh_of(const train::ParallelOptions& parallel, int size) {
  const auto copy = parallel.fsdp * parallel.pipeline * parallel.expert * parallel.context * parallel.tensor;
  const auto copies = parallel.replicate ? parallel.replicate : size / copy;
  if (copies * copy != size)
    fail(ErrorKind::config,
         fmt::format("parallel.replicate = {} times {} is not the number of processes, {}",
                     parallel.replicate ? std::to_string(copies) : "0 (what is left)", product_of(parallel), size),
         parallel.replicate ? "start as many, or set parallel.replicate to 0"
                            : fmt::format("start a multiple of {}", copy));
  return {static_cast<int>(parallel.pipeline), static_cast<int>(copies),           static_cast<int>(parallel.fsdp),
          static_cast<int>(parallel.expert),   static_cast<int>(parallel.context), static_cast<int>(parallel.tensor)};
}

void check_schedule(const train::ParallelOptions& parallel, int64_t batches) {
  const bool interleaved = parallel.schedule == "interleaved";
  if (parallel.pipeline == 1 && (parallel.schedule != "1f1b" || !parallel.layers_per_stage.empty()))
    fail(ErrorKind::config,
         "parallel.schedule and parallel.layers_per_stage say how a pipeline works, and there is none",
         "set parallel.pipeline, or leave them out");
  if (interleaved && parallel.chunks == 1)
    fail(ErrorKind::config, "parallel.schedule = \"interleaved\" is of several chunks a stage",
         "set parallel.chunks = 2, or parallel.schedule = \"1f1b\"");
  if (parallel.chunks > 1 && (!interleaved || parallel.pipeline == 1))
    fail(ErrorKind::config, fmt::format("parallel.chunks = {} needs an interleaved pipeline", parallel.chunks),
         "set parallel.schedule = \"interleaved\" and parallel.pipeline, or parallel.chunks = 1");
  if (interleaved && batches % parallel.pipeline != 0)
    fail(ErrorKind::config,
         fmt::format("parallel.schedule = \"interleaved\" takes a multiple of parallel.pipeline = {} batches a step, "
                     "and each pipeline has {}",
                     parallel.pipeline, batches),
         "choose another train.accumulate, or parallel.schedule = \"1f1b\"");
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
  return static_cast<size_t>(std::ranges::find_if(blocks, [](Module* block) { return nn::learns(*block); }) -
                             blocks.begin());
}

void check_can_be_cut(const RunConfig& config, const model::Model& model, const Objective& objective,
                      const UpdateRule& rule) {
  const auto& parallel = config.parallel;
  const std::vector<std::pair<std::string, int64_t>> axes{{"tensor", parallel.tensor},
                                                          {"context", parallel.context},
                                                          {"expert", parallel.expert},
                                                          {"fsdp", parallel.fsdp},
                                                          {"pipeline", parallel.pipeline}};
  const auto& [name, size] = *std::ranges::find_if(axes, [](const auto& axis) { return axis.second > 1; });
  const auto key = fmt::format("parallel.{} = {}", name, size), fix = fmt::format("use parallel.{} = 1", name);
  if (!rule.elementwise() && (parallel.tensor > 1 || parallel.fsdp > 1))
    fail(ErrorKind::config,
         fmt::format("train.optimizer.name = \"{}\" needs whole matrices, and {} cuts them up",
                     config.train.optimizer.name, key),
         "use adamw, or " + fix.substr(4));
  if ((parallel.tensor > 1 || parallel.context > 1) && model.scores() > 0)
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
  if (parallel.fsdp > 1 && parallel.reshard && parallel.pipeline > 1)
    fail(ErrorKind::config,
         fmt::format("parallel.reshard beside parallel.pipeline = {}: blocks would be gathered for every batch",
                     parallel.pipeline),
         "set parallel.reshard = false");
  if (objective.needs().reference)
    fail(ErrorKind::config,
         fmt::format("[objective] plugin = \"{}\" compares with a reference, which is whole, and {}",
                     config.objective.plugin, key),
         fix);
}

}  // namespace

comm::Group* Processes::group_of(const std::string& name, const std::vector<int>& ranks) {
  if (ranks.size() < 2) return nullptr;
  return groups_.emplace_back(group_->subgroup(fmt::format("{}{}", name, meetings_), ranks)).get();
}

void Processes::meet(const RunConfig& config, at::Device device) {
  const auto& parallel = options_ = config.parallel;
  mesh_ = mesh_of(parallel, place_.size);
  share_ = train::share_of(mesh_.cell_of(rank()), mesh_.cells(), config.train.accumulate);
  check_schedule(parallel, share_.count);
  agreement_ = std::make_unique<train::Alone>();
  if (!several()) return;
  if (!device.is_cpu())
    fail(ErrorKind::config, "several processes train on the CPU only: they exchange tensors of the CPU",
         "use --device cpu, or one process");
  place_.interface = parallel.interface, place_.timeout = std::chrono::seconds(parallel.timeout_seconds);
  if (!group_) group_ = std::make_unique<comm::Group>(place_);
  agreement_ = std::make_unique<train::Together>(*group_, mesh_);
  parallel::check_same(*group_,
                       {{"[parallel] of the configuration",
                         fmt::format("{} {} {} {} {} {} {}", parallel.replicate, parallel.fsdp, parallel.pipeline,
                                     parallel.expert, parallel.context, parallel.tensor, config.train.accumulate)}});
  groups_.clear(), ++meetings_;
  shards_ = group_of("fsdp", mesh_.shards_with(rank()));
  replicas_ = group_of("replicate", mesh_.copies_with(rank()));
  auto* parts = group_of("tensor", mesh_.parts_with(rank()));
  auto* stages = group_of("pipeline", mesh_.stages_with(rank()));
  auto* contexts = group_of("context", mesh_.contexts_with(rank()));
  auto* slices = contexts && parts ? group_of("slices", mesh_.slices_with(rank())) : contexts ? contexts : parts;
  cell_ = stages ? group_of("cell", mesh_.cell(rank())) : slices;
  auto* experts = mesh_.experts > 1 ? group_of("expert", mesh_.experts_with(rank())) : slices;
  block_ = mesh_.experts == 1 ? cell_ : stages ? group_of("block", mesh_.block(rank())) : experts;
  shared_by_ = {.group = parts,
                .contexts = contexts,
                .slices = slices,
                .experts = experts,
                .stages = stages,
                .chunks = static_cast<int>(parallel.chunks),
                .blocks_of_ranges = parallel.layers_per_stage};
  group_->wait_for_all();  // before one of them finds something wrong and ends
  std::string how;
  if (mesh_.slices() > 1) how += fmt::format("; {} compute each together", mesh_.slices());
  if (mesh_.experts > 1) how += fmt::format("; {} have some experts each", mesh_.experts);
  if (mesh_.stages > 1) how += fmt::format("; {} stages, {}", mesh_.stages, parallel.schedule);
  if (mesh_.shards > 1)
    how += fmt::format("; a copy of the model is cut up among {}", mesh_.shards * mesh_.block_size());
  log::info(fmt::format("{} processes share the {} batches of a step{}", place_.size, share_.all, how));
}

std::vector<parallel::Pass> Processes::passes() const {
  return parallel::passes_of(parallel::schedule_of(options_.schedule),
                             {mesh_.stages, static_cast<int>(options_.chunks), static_cast<int>(share_.count)},
                             mesh_.stage_of(place_.rank));
}

std::vector<parallel::Held> Processes::held_of(model::Model& model, bool in_all_blocks) {
  std::vector<parallel::Held> all;
  for (auto& [numbers, parameters] : parallel::alike(model.trainable_parameters(), block_)) {
    const auto ranks = in_all_blocks ? mesh_.with_numbers(numbers) : mesh_.in_block(rank(), numbers);
    const bool everyone = static_cast<int>(ranks.size()) == place_.size;
    auto* group = everyone ? group_.get() : group_of(fmt::format("alike{}.", fmt::join(numbers, ".")), ranks);
    all.push_back({std::move(parameters), group, numbers.front() == mesh_.number_of(rank())});
  }
  return all;
}

std::unique_ptr<parallel::Placement> Processes::place(model::Model& model, const RunConfig& config,
                                                      const Objective& objective, const UpdateRule& rule) {
  if (shards_ || block_) check_can_be_cut(config, model, objective, rule);
  const int block = mesh_.block_of(rank()), number = mesh_.number_of(rank());
  parallel::BlockMember member{block_,
                               !cell_ || cell_->rank() == 0,
                               number == mesh_.number_of(mesh_.last_of(0)),
                               {{}, mesh_.shards * mesh_.block_size()}};
  if (block / mesh_.shards == 0) member.shares.own = block * mesh_.block_size() + number;
  if (!shards_) return std::make_unique<parallel::Replicated>(held_of(model, /*in_all_blocks=*/true), member);
  const auto trained = model.trainable_parameters();
  const auto held = held_of(model, /*in_all_blocks=*/false);
  parallel::ShardedModel sharded{trained};
  if (config.parallel.reshard) sharded.blocks = model.lm().llm().blocks();
  sharded.frozen_too = config.parallel.shard_frozen, sharded.computed = model.lm().compute_dtype();
  sharded.learns_from = first_that_learns(sharded.blocks, trained, model.lm().prompt_tokens() > 0);
  if (config.parallel.reshard && sharded.blocks.empty())
    log::warning(
        fmt::format("the language model '{}' does not say what its blocks are, so that it is whole during a step",
                    config.model.llm.plugin));
  return std::make_unique<parallel::Sharded>(sharded, *shards_, replicas_, held, member);
}

namespace {

int64_t number_of(const std::string& hash) {
  return static_cast<int64_t>(std::stoull(hash.substr(0, 16), nullptr, 16));
}

// Of a part: hashes of where it lies and of its values.
std::array<int64_t, 2> described(const Parameter& part) {
  const auto place = fmt::format("{} {}", fmt::join(part.box->begin, " "), fmt::join(part.tensor->sizes(), " "));
  return {number_of(content_hash(place)), number_of(data::hash_of(*part.tensor))};
}

}  // namespace

std::string trained_values(model::Model& model) {
  std::string hashes;
  for (const auto& parameter : model.saved_parameters())
    if (!parameter.box) hashes += data::hash_of(*parameter.tensor);
  return hashes;
}

void Processes::check_parts(model::Model& model) {
  if (!block_) return;
  auto parts = model.saved_parameters();
  std::erase_if(parts, [](const Parameter& parameter) { return !parameter.box; });
  std::vector<int64_t> own;
  for (const auto& part : parts)
    for (const auto number : described(part)) own.push_back(number);
  const auto all = parallel::gathered(own, *group_);
  for (size_t i = 0; i < parts.size(); ++i) {
    std::map<int64_t, std::pair<int64_t, size_t>> values;  // of each place, and who has them
    for (size_t rank = 0; rank < all.size(); ++rank) {
      const auto [found, is_new] = values.try_emplace(all[rank][2 * i], all[rank][2 * i + 1], rank);
      if (found->second.first != all[rank][2 * i + 1])
        fail(ErrorKind::config,
             fmt::format("processes {} and {} have other values of the same part of {}", found->second.second, rank,
                         parts[i].name),
             "start all of them with the same command, the same program and the same files");
    }
  }
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
