#include <antiphon/run/processes.h>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <antiphon/base/beacon.h>
#include <antiphon/base/log.h>
#include <antiphon/base/strings.h>
#include <antiphon/comm/nccl_table.h>
#include <antiphon/component/token_table.h>
#include <antiphon/data/feature_cache.h>
#include <antiphon/model/model.h>
#include <antiphon/model/multimodal_lm.h>
#include <antiphon/nn/blocks/run_blocks.h>
#include <antiphon/parallel/agreed.h>
#include <antiphon/parallel/alike.h>
#include <antiphon/parallel/same_run.h>
#include <antiphon/parallel/sharded.h>
#include <antiphon/plugin/loader.h>
#include <antiphon/run/mesh_of.h>
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

Processes::Processes(int rank, int size) {
  place_.rank = rank, place_.size = size;
  if (size > 1) group_ = comm::Group::dry(rank, size);
}

Processes::~Processes() = default;

namespace {

// What a connector, an encoder, an embedding or a prompt learns comes through all blocks.
size_t first_that_learns(model::Model& model) {
  const auto blocks = model.lm().llm().blocks();
  std::set<const at::Tensor*> in_blocks;
  for (auto* block : blocks)
    for (const auto& parameter : block->parameters()) in_blocks.insert(parameter.tensor);
  const auto learns_before = [&](const model::Part& part) {
    const bool behind = part.kind == model::PartKind::head;
    const bool within = part.kind == model::PartKind::peft && part.owner == model::PartKind::llm;
    return !behind && !within && std::ranges::any_of(part.module->parameters(), [&](const Parameter& parameter) {
      return parameter.tensor->requires_grad() && !in_blocks.contains(parameter.tensor);
    });
  };
  const bool prompts = model.lm().prompt_tokens() + model.lm().prefix_tokens() > 0;
  const auto tables = model.lm().llm().module().tables();
  const bool reads = std::ranges::any_of(tables, [](const Site& site) { return site.table->learns_to_read(); });
  if (prompts || reads || std::ranges::any_of(model.parts(), learns_before)) return 0;
  return static_cast<size_t>(std::ranges::find_if(blocks, [](Module* block) { return nn::learns(*block); }) -
                             blocks.begin());
}

}  // namespace

namespace {

// NCCL connects two processes when they first exchange something on a lane, and the sender waits for that: here one
// after the other, and not in the order of the schedule.
void connect_lanes(comm::Group& stages, at::Device device) {
  const auto x = at::zeros({1}, at::TensorOptions(device));
  for (const int lane : {0, 1})
    for (int stage = 0; stage < stages.size(); ++stage) {
      const int next = (stage + 1) % stages.size(), from = lane == 0 ? stage : next, to = lane == 0 ? next : stage;
      if (stages.rank() == from) stages.begin_send(x, to, lane, 0)();
      if (stages.rank() == to) stages.receive(x, from, lane, 0);
    }
}

}  // namespace

namespace {

bool cuts_frozen(const train::ParallelOptions& parallel) {
  return parallel.shard_frozen && parallel.reshard && parallel.fsdp > 1;
}

int64_t frozen_on_host(const parallel::Placement& placement, const std::vector<Module*>& blocks) {
  int64_t bytes = 0;
  for (auto* block : blocks)
    for (const auto& own : placement.own(block->parameters()))
      if (placement.on_host(own) && !own.tensor->requires_grad()) bytes += static_cast<int64_t>(own.tensor->nbytes());
  return bytes;
}

}  // namespace

comm::Group* Processes::group_of(const std::string& name, const std::vector<int>& ranks) {
  if (ranks.size() < 2) return nullptr;
  return groups_.emplace_back(group_->subgroup(fmt::format("{}{}", name, meetings_), ranks)).get();
}

void Processes::meet(const RunConfig& config, at::Device device) {
  const auto& parallel = options_ = config.parallel;
  mesh_ = mesh_of(parallel, place_.size);
  share_ =
      train::share_of(mesh_.cell_of(rank()), mesh_.cells(), config.train.accumulate, mesh_.stages * mesh_.slices());
  config::Problems problems;
  check_batches(config, mesh_.cells(), problems);
  problems.throw_if_any();
  agreement_ = std::make_unique<train::Alone>();
  if (!several()) return;
  place_.interface = parallel.interface, place_.timeout = std::chrono::seconds(parallel.timeout_seconds);
  if (device.is_cuda())
    comm::nccl_table().record_into(
        (std::filesystem::path(config.train.output) / fmt::format("late_exchange_{}.json", rank())).string());
  if (!group_) group_ = std::make_unique<comm::Group>(place_, device);
  agreement_ = std::make_unique<train::Together>(*group_, mesh_);
  parallel::check_same(*group_, {{"[parallel] of the configuration",
                                  fmt::format("{} {} {} {} {} {} {} {}", parallel.replicate, parallel.fsdp,
                                              parallel.pipeline, parallel.expert, parallel.context, parallel.tensor,
                                              parallel.offload_optimizer, config.train.accumulate)}});
  if (group_->is_dry()) places_ = places_in_block(config, mesh_);
  groups_.clear(), ++meetings_;
  shards_ = group_of("fsdp", mesh_.shards_with(rank()));
  replicas_ = group_of("replicate", mesh_.copies_with(rank()));
  auto* parts = group_of("tensor", mesh_.parts_with(rank()));
  auto* stages = group_of("pipeline", mesh_.stages_with(rank()));
  if (stages && device.is_cuda()) connect_lanes(*stages, device);
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

std::vector<parallel::Pass> Processes::passes(int64_t batches) const {
  return parallel::passes_of(parallel::schedule_of(options_.schedule),
                             {mesh_.stages, static_cast<int>(options_.chunks), static_cast<int>(batches)},
                             mesh_.stage_of(place_.rank));
}

std::vector<parallel::Held> Processes::held_of(model::Model& model, bool in_all_blocks) {
  std::vector<parallel::Held> all;
  const auto trained = model.trainable_parameters();
  for (auto& [numbers, parameters] : places_.empty() ? parallel::alike(trained, block_)
                                                     : parallel::alike(trained, places_, mesh_.number_of(rank()))) {
    const auto ranks = in_all_blocks ? mesh_.with_numbers(numbers) : mesh_.in_block(rank(), numbers);
    const bool everyone = static_cast<int>(ranks.size()) == place_.size;
    auto* group = everyone ? group_.get() : group_of(fmt::format("alike{}.", fmt::join(numbers, ".")), ranks);
    all.push_back({std::move(parameters), group, numbers.front() == mesh_.number_of(rank())});
  }
  return all;
}

std::unique_ptr<parallel::Placement> Processes::place(model::Model& model, const RunConfig& config) {
  auto placement = placed(model, config);
  const auto& parallel = config.parallel;
  if (parallel.offload_optimizer)
    log::info("  what is trained, and what the optimizer keeps of it, stay in the host's memory");
  if (!parallel.offload_frozen) return placement;
  const auto blocks = model.lm().llm().blocks();
  const auto learns_from = first_that_learns(model);
  const auto bytes =
      cuts_frozen(parallel) ? frozen_on_host(*placement, blocks) : placement->offload(blocks, learns_from);
  if (bytes == 0)
    fail(ErrorKind::config,
         "parallel.offload_frozen keeps frozen matrices of the language model's blocks in the host's memory, and there "
         "are "
         "none",
         "leave it out");
  log::info(fmt::format("  {} of frozen blocks stay in the host's memory", human_bytes(static_cast<double>(bytes))));
  return placement;
}

std::unique_ptr<parallel::Placement> Processes::placed(model::Model& model, const RunConfig& config) {
  config::Problems problems;
  check_can_be_cut(config, problems);
  problems.throw_if_any();
  const int block = mesh_.block_of(rank()), number = mesh_.number_of(rank());
  parallel::BlockMember member{block_,
                               !cell_ || cell_->rank() == 0,
                               number == mesh_.number_of(mesh_.last_of(0)),
                               {{}, mesh_.shards * mesh_.block_size()}};
  if (block / mesh_.shards == 0) member.shares.own = block * mesh_.block_size() + number;
  const bool on_host = config.parallel.offload_optimizer;
  if (!shards_ && !on_host)
    return leaving_constants(model,
                             std::make_unique<parallel::Replicated>(held_of(model, /*in_all_blocks=*/true), member));
  const auto trained = model.trainable_parameters();
  const auto held = held_of(model, /*in_all_blocks=*/false);
  parallel::ShardedModel sharded{trained};
  if (config.parallel.reshard)
    sharded.blocks = model.lm().llm().blocks(), sharded.learns_from = first_that_learns(model);
  sharded.frozen_too = cuts_frozen(config.parallel), sharded.computed = model.lm().compute_dtype();
  sharded.trained_on_host = on_host, sharded.frozen_on_host = config.parallel.offload_frozen;
  if (config.parallel.reshard && sharded.blocks.empty())
    log::warning(
        fmt::format("the language model '{}' does not say what its blocks are, so that it is whole during a step",
                    config.model.llm.plugin));
  return leaving_constants(model, std::make_unique<parallel::Sharded>(sharded, shards_, replicas_, held, member));
}

// Of what methods of fine-tuning began with and what is frozen of new parts, which no process changes, each part is
// written by one that has it.
std::unique_ptr<parallel::Placement> Processes::leaving_constants(model::Model& model,
                                                                  std::unique_ptr<parallel::Placement> placement) {
  auto constants = model.saved_parameters();
  std::erase_if(constants, [](const Parameter& own) { return own.tensor->requires_grad() || !own.box; });
  if (constants.empty() || !places_.empty()) return placement;
  const bool first_shard = mesh_.block_of(rank()) % mesh_.shards == 0;
  for (const auto& [numbers, parameters] : parallel::alike(constants, block_))
    if (!first_shard || numbers.front() != mesh_.number_of(rank())) placement->leave_to_others(parameters);
  return placement;
}

std::unique_ptr<parallel::Owners> Processes::owners(model::Model& model, const parallel::Placement& placement,
                                                    const UpdateRule& rule) {
  if (rule.elementwise() || (mesh_.shards == 1 && mesh_.parts == 1)) return nullptr;
  auto* copy = group_of("copy", mesh_.copy(rank()));
  const auto trained = model.trainable_parameters();
  std::vector<std::vector<int64_t>> places;
  for (const int other : places_.empty() ? std::vector<int>() : mesh_.copy(rank()))
    places.push_back(parallel::places_of_rows(trained, places_[static_cast<size_t>(mesh_.number_of(other))],
                                              mesh_.block_of(other) % mesh_.shards, mesh_.shards));
  return std::make_unique<parallel::Owners>(placement.own(trained), *copy, places);
}

namespace {

// Of a part: hashes of where it lies and of its values.
std::array<int64_t, 2> described(const Parameter& part) {
  const auto place = fmt::format("{} {}", fmt::join(part.box->begin, " "), fmt::join(part.tensor->sizes(), " "));
  return {parallel::hash_of(place), parallel::hash_of(data::hash_of(*part.tensor))};
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
             fmt::format("processes {} and {} have different values of the same part of {}", found->second.second, rank,
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
  parallel::check_same(group, {{"version of the program", ANTIPHON_VERSION},
                               {"configuration", resolved},
                               {"set of plugins", fmt::format("{}", fmt::join(plugin::loaded_contents(), "\n"))},
                               {"step to go on from", std::to_string(step)},
                               {"training data", loader.fingerprint() + loader.draw_settings()},
                               {"value of a trained parameter", values}});
}

}  // namespace antiphon::run
