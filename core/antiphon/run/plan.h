// What the processes of a run would hold and exchange, found by computing a step of it without values: the same model,
// placement, schedule and batches, on the meta device, with groups of processes that are not there.
#pragma once
#include <map>
#include <string>
#include <vector>

#include <antiphon/comm/group.h>
#include <antiphon/parallel/mesh.h>
#include <antiphon/run/loaded_model.h>

namespace antiphon::run {

// Of one process, bytes of tensors; the model's parameters in the formats of a GPU, or as precision.compute says.
struct PlannedProcess {
  int rank = 0;
  int64_t trained = 0, frozen = 0;                // parameters that it holds between steps
  int64_t optimizer = 0;                          // its state, and whole copies of what it updates as an owner
  int64_t gradients = 0;                          // when the last backward pass has ended
  int64_t host = 0;                               // how much of these is in the host's memory
  int64_t most = 0;                               // on the device in a step without its update, these included
  std::map<std::string, comm::Group::Sent> sent;  // in a step
  // Activations, blocks that are gathered, and what operations need while they run.
  int64_t working() const { return most + host - trained - frozen - optimizer - gradients; }
};

// Processes that differ from each other: of the first copy, the first and the last of each stage; unless `all_stages`
// differ (parallel.layers_per_stage), of the first two and the last one.
std::vector<int> ranks_to_plan(const parallel::Mesh& mesh, bool all_stages);

// One step of process `rank` of `size` that trains as `flags` says, with the batches that it would draw first. For the
// rest of the program tensors of the meta device are counted. Error(config) as of training.
PlannedProcess plan_process(const OpenOptions& flags, int rank, int size);

}  // namespace antiphon::run
