// How far a run is: progress.json of a checkpoint. Used inside this area.
#pragma once
#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include <antiphon/data/loader.h>
#include <antiphon/train/best.h>
#include <antiphon/train/loss_scale.h>
#include <antiphon/train/run_length.h>

namespace antiphon::train {

struct Progress {
  int64_t step = 0, trained_tokens = 0, not_finite = 0;
  double loss_average = 0;
  RunClock clock;
  data::LoaderState loader;
  std::string data;       // the loader's fingerprint
  std::string draws;      // Trainer::draw_settings(); empty in checkpoints of before it was kept
  std::string reference;  // digest of reference.safetensors; empty: the objective has none
  BestState best;
  std::optional<LossScale::State> loss_scale;  // of a run in fp16
  bool unmeasured = false;  // held-out losses were due after the step, and a stop was asked for before they were known
  int64_t skipped = 0, rollbacks = 0;  // steps that were not finite; how often the run went back to a checkpoint
  int64_t learnt_step = 0;  // after which what is trained has its values; `step`, if a file is of before it was kept
};

nlohmann::json to_json(const Progress& progress);

// Error(weights) that names `file` and the key that is missing, of another type or out of range.
Progress progress_of(const nlohmann::json& json, const std::filesystem::path& file);

}  // namespace antiphon::train
