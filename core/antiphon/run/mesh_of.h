// What [parallel] asks for, and whether it can be had.
#pragma once
#include <antiphon/config/schema.h>
#include <antiphon/parallel/mesh.h>
#include <antiphon/run/run_config.h>

namespace antiphon::run {

// The mesh of so many processes. Error(config) if they are not as many as it takes.
parallel::Mesh mesh_of(const train::ParallelOptions& parallel, int size);

// As many as there are at least: those of the copies that [parallel] names, or of one.
int64_t least_processes(const train::ParallelOptions& parallel);

// Whether the batches of each step can be computed by so many cells and their pipelines.
void check_batches(const RunConfig& config, int64_t cells, config::Problems& problems);
// Whether parameters may be anywhere but whole in each process.
void check_can_be_cut(const RunConfig& config, config::Problems& problems);

// Where each process of a block of the mesh has its parts of what is trained (parallel/alike.h), without any process.
std::vector<std::vector<int64_t>> places_in_block(const RunConfig& config, const parallel::Mesh& mesh);

// All of that and whether the model's shape can be divided so, without any process: for as few copies as [parallel]
// says, or one. Error(config) with all problems. -> how many processes there are, and what the one with the most
// parameters has; empty if there is one.
std::string check_parallel(const RunConfig& config);

}  // namespace antiphon::run
