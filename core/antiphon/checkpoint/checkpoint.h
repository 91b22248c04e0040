// Checkpoints of a run: complete or absent.
//
// Written to a temporary folder, flushed, given a manifest of sizes and hashes, renamed to step_N, the parent flushed.
// Resuming ignores a folder without a manifest that matches its files.
#pragma once
#include <filesystem>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include <antiphon/checkpoint/piece_files.h>

namespace antiphon::checkpoint {

struct CheckpointContent {
  weights::NamedTensors parameters;  // trained ones, "<part>/<parameter>"
  weights::NamedTensors state;       // optimizer and random generators
  nlohmann::json progress;           // step, data position, counts, fingerprints
  Boxes boxes = {};                  // of tensors of which this process has a piece
};

inline constexpr int kMostShares = 2048;  // that a manifest of 1 MiB can list

// A checkpoint is called so, and its step.
inline constexpr const char* kNameBegin = "step_";
std::filesystem::path path_of(const std::filesystem::path& folder, int64_t step);
// The step of a path whose last part is called so, or -1.
int64_t step_of(const std::filesystem::path& checkpoint);

// Writes path_of(folder, step); then removes older ones beyond `keep`. Newer ones, which a resumed run has skipped as
// damaged, are renamed to step_N.damaged. Error(weights) on I/O; the others stay intact.
std::filesystem::path save_checkpoint(const std::filesystem::path& folder, int64_t step,
                                      const CheckpointContent& content, int64_t keep);

// A checkpoint that several processes write into one file system.
struct SharedPlace {
  std::filesystem::path folder;
  int64_t step = 0;
  int64_t attempt = 0;  // a number that processes of an earlier attempt, if one should still live, do not have
};
// The first process prepares; then each writes its share, which may take place in a thread; and once all have, the
// first finishes, or abandons it if one could not. All as save_checkpoint().
void prepare_checkpoint(const SharedPlace& place);
void write_share(const SharedPlace& place, const CheckpointContent& content, Share share);
std::filesystem::path finish_checkpoint(const SharedPlace& place, int count, int64_t keep);
void abandon_checkpoint(const SharedPlace& place);

// Removes those before `step`, whose own must be complete, but for the newest keep - 1. A failure is only a warning.
void remove_old(const std::filesystem::path& folder, int64_t step, int64_t keep);

// Removes those after `step`: of steps that the run has given up. Error(weights), since a later one of what goes on
// from `step` cannot be told from them.
void remove_after(const std::filesystem::path& folder, int64_t step);

// The newest complete one in `folder`, of a step below `before`; damaged ones are skipped with a warning that names
// them.
std::optional<std::filesystem::path> latest_checkpoint(const std::filesystem::path& folder,
                                                       int64_t before = std::numeric_limits<int64_t>::max());

// Removes unfinished checkpoints that a killed process left below `folder`. Only for the holder of the run's lock.
void remove_unfinished(const std::filesystem::path& folder);

// Whether anything is there that is named like a checkpoint, complete or not.
bool has_checkpoints(const std::filesystem::path& folder);

// Error(weights) naming the file that is missing or whose size or hash differs.
void verify_checkpoint(const std::filesystem::path& checkpoint);

struct LoadedCheckpoint {
  StoredTensors parameters, state;
  nlohmann::json progress;
};
// Verifies, then reads, whoever wrote it. `with_state`: also the optimizer state.
LoadedCheckpoint load_checkpoint(const std::filesystem::path& checkpoint, bool with_state);
// Of one that has been verified.
LoadedCheckpoint read_checkpoint(const std::filesystem::path& checkpoint, bool with_state);

// Of one that has been verified: the parameters whose names begin with `prefix`.
weights::Checkpoint parameters_of(const std::filesystem::path& checkpoint, const std::string& prefix);

}  // namespace antiphon::checkpoint
