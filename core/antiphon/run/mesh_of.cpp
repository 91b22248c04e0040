#include <antiphon/run/mesh_of.h>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <antiphon/base/error.h>
#include <antiphon/base/strings.h>
#include <antiphon/checkpoint/checkpoint.h>
#include <antiphon/comm/group.h>
#include <antiphon/model/multimodal_lm.h>
#include <antiphon/parallel/alike.h>
#include <antiphon/train/ramp.h>

#include <algorithm>
#include <limits>

namespace antiphon::run {
namespace {

using train::ParallelOptions;

// In the order of ranks, from the outermost one that divides a copy.
std::vector<std::pair<std::string, int64_t>> axes_of(const ParallelOptions& parallel) {
  return {{"fsdp", parallel.fsdp},
          {"pipeline", parallel.pipeline},
          {"expert", parallel.expert},
          {"context", parallel.context},
          {"tensor", parallel.tensor}};
}

std::string product_of(const ParallelOptions& parallel) {
  std::string product;
  for (const auto& [name, size] : axes_of(parallel))
    if (size > 1 || name == "fsdp")
      product += fmt::format("{}parallel.{} = {}", product.empty() ? "" : " times ", name, size);
  return product;
}

int64_t processes_of_copy(const ParallelOptions& parallel) {
  int64_t product = 1;
  for (const auto& [name, size] : axes_of(parallel)) product *= size;
  return product;
}

}  // namespace

parallel::Mesh mesh_of(const ParallelOptions& parallel, int size) {
  const auto copy = processes_of_copy(parallel);
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

int64_t least_processes(const ParallelOptions& parallel) {
  return processes_of_copy(parallel) * std::max(parallel.replicate, int64_t{1});
}

void check_batches(const RunConfig& config, int64_t cells, config::Problems& problems) {
  const auto& parallel = config.parallel;
  const int64_t batches = config.train.accumulate / cells;  // of each
  const bool interleaved = parallel.schedule == "interleaved";
  if (parallel.pipeline == 1 && (parallel.schedule != "1f1b" || !parallel.layers_per_stage.empty()))
    problems.add({}, "parallel.schedule and parallel.layers_per_stage say how a pipeline works, and there is none",
                 "set parallel.pipeline, or leave them out");
  if (interleaved && parallel.chunks == 1)
    problems.add({}, "parallel.schedule = \"interleaved\" is of several chunks a stage",
                 "set parallel.chunks = 2, or parallel.schedule = \"1f1b\"");
  if (parallel.chunks > 1 && !interleaved)
    problems.add({}, fmt::format("parallel.chunks = {} needs an interleaved pipeline", parallel.chunks),
                 "set parallel.schedule = \"interleaved\" and parallel.pipeline, or parallel.chunks = 1");
  if (interleaved && batches % parallel.pipeline != 0)
    problems.add({},
                 fmt::format("parallel.schedule = \"interleaved\" takes a multiple of parallel.pipeline = {} batches a "
                             "step, and each pipeline has {}",
                             parallel.pipeline, batches),
                 "choose another train.accumulate, or parallel.schedule = \"1f1b\"");
  train::check_ramp(config.train, interleaved ? cells * parallel.pipeline : cells, problems);
}

void check_can_be_cut(const RunConfig& config, config::Problems& problems) {
  const auto& parallel = config.parallel;
  if (processes_of_copy(parallel) > checkpoint::kMostShares)
    problems.add({},
                 fmt::format("{} processes would write a checkpoint of as many files; at most {}",
                             processes_of_copy(parallel), checkpoint::kMostShares),
                 "divide each copy less, and raise parallel.replicate");
  if ((parallel.fsdp > 1 || parallel.offload_optimizer) && parallel.reshard && parallel.schedule == "zero_bubble")
    problems.add({},
                 "parallel.reshard gives each block's gradients away once its backward pass has ended, and "
                 "parallel.schedule = \"zero_bubble\" computes those of its weights later",
                 "set parallel.reshard = false, or another schedule");
}

namespace {

// Groups of one process of the mesh, which exchange nothing.
struct DryCell {
  DryCell(const parallel::Mesh& mesh, int rank, const ParallelOptions& options) {
    const auto group = [&](const std::vector<int>& members) -> comm::Group* {
      if (members.size() < 2) return nullptr;
      const auto place = std::ranges::find(members, rank) - members.begin();
      return groups.emplace_back(comm::Group::dry(static_cast<int>(place), static_cast<int>(members.size()))).get();
    };
    by = {.group = group(mesh.parts_with(rank)),
          .contexts = group(mesh.contexts_with(rank)),
          .slices = group(mesh.slices_with(rank)),
          .experts = group(mesh.experts_with(rank)),
          .stages = group(mesh.stages_with(rank)),
          .chunks = static_cast<int>(options.chunks),
          .blocks_of_ranges = options.layers_per_stage};
  }
  std::vector<std::unique_ptr<comm::Group>> groups;
  SharedBy by;
};

// What a process of the mesh has; the cell must outlive it.
std::unique_ptr<model::Model> model_of(const RunConfig& config, const DryCell& cell) {
  auto spec = config.model;
  auto model = model::build(spec);
  if (!cell.groups.empty()) model->share(cell.by);
  return model;
}

int64_t parameters_of(const RunConfig& config, const parallel::Mesh& mesh, int rank) {
  const DryCell cell(mesh, rank, config.parallel);
  const auto model = model_of(config, cell);
  int64_t count = 0;
  for (const auto& part : model->parts())
    for (const auto& parameter : part.module->parameters()) count += parameter.tensor->numel();
  return count;
}

}  // namespace

std::vector<std::vector<int64_t>> places_in_block(const RunConfig& config, const parallel::Mesh& mesh) {
  std::vector<std::vector<int64_t>> places;
  for (int number = 0; number < mesh.block_size(); ++number) {
    const DryCell cell(mesh, mesh.rank_of(0, number), config.parallel);
    places.push_back(parallel::places_of(model_of(config, cell)->trainable_parameters()));
  }
  return places;
}

std::string check_parallel(const RunConfig& config) {
  const auto& parallel = config.parallel;
  const int64_t size = least_processes(parallel);
  config::Problems problems;
  if (size > std::numeric_limits<int>::max())
    problems.add({},
                 fmt::format("parallel.replicate = {} times {} would be {} processes", parallel.replicate,
                             product_of(parallel), size),
                 "choose smaller numbers");
  problems.throw_if_any();
  const auto mesh = mesh_of(parallel, static_cast<int>(size));
  if (config.train.accumulate % mesh.cells() != 0)
    problems.add({},
                 fmt::format("train.accumulate = {} batches a step are not divided by the {} groups of processes that "
                             "compute batches of their own",
                             config.train.accumulate, mesh.cells()),
                 fmt::format("set train.accumulate to a multiple of {}", mesh.cells()));
  else
    check_batches(config, mesh.cells(), problems);
  check_can_be_cut(config, problems);
  int64_t most = 0;
  try {
    const int in_stage = mesh.experts * mesh.slices();
    for (int stage = 0; stage < mesh.stages; ++stage)
      for (const int number : {stage * in_stage, (stage + 1) * in_stage - 1})
        most = std::max(most, parameters_of(config, mesh, mesh.rank_of(0, number)));
  } catch (const Error& error) {
    problems.add({}, error.message(), error.fix());
  }
  problems.throw_if_any();
  if (size == 1) return {};
  return fmt::format("by {} processes ({}, {}): at most {} parameters each{}", size,
                     fmt::format("parallel.replicate = {}", mesh.copies), product_of(parallel),
                     human_count(static_cast<double>(most)),
                     parallel.fsdp > 1 ? fmt::format(", cut up among {}", parallel.fsdp) : "");
}

}  // namespace antiphon::run
