// A whole configuration file: model, data, objective, training, precision, generation, evaluation.
#pragma once
#include <filesystem>

#include <antiphon/data/options.h>
#include <antiphon/engine/options.h>
#include <antiphon/eval/options.h>
#include <antiphon/model/model_spec.h>
#include <antiphon/session/options.h>
#include <antiphon/train/options.h>

namespace antiphon::run {

inline model::ComponentSpec default_objective() {
  model::ComponentSpec objective;
  objective.plugin = "sft";
  return objective;
}

struct RunConfig {
  model::ModelSpec model;
  data::DataOptions data;
  model::ComponentSpec objective = default_objective();
  train::TrainOptions train;
  train::PrecisionOptions precision;
  train::ParallelOptions parallel;
  engine::GenerateOptions generate;
  eval::EvalOptions eval;
  session::SessionOptions session;
};
const config::Table<RunConfig>& run_table();

// The directory of a model or an adapter, and not the folder of a run; and the folder of one.
bool is_model_directory(const std::filesystem::path& path);
bool is_run_folder(const std::filesystem::path& path);

// Reads a TOML file, or the config.toml of a run folder, or takes a Hugging Face directory as it is, and applies the
// --set assignments. One Error(config) lists all problems of the file. The options of the model's components are
// checked too if there is some other problem; else they are checked when the model is built. `stage`: of a file with
// [[stage]], which one; empty: the last.
RunConfig read_config(const std::filesystem::path& file_or_run, const std::vector<std::string>& sets,
                      const std::string& stage = {});
// The names of the stages of a file, in order; none: it has no stages.
std::vector<std::string> stages_of_file(const std::filesystem::path& file_or_run);

}  // namespace antiphon::run
