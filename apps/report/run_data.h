// Everything that a report says about one run, read from its folder.
#pragma once
#include <antiphon/config/value.h>
#include <report/answers.h>
#include <report/curves.h>
#include <report/predictions.h>

namespace antiphon::apps::report {

struct RunData {
  std::string name;  // the folder's
  std::filesystem::path path;
  nlohmann::json config;                          // null if it cannot be read
  nlohmann::json env;                             // of env.json; an object
  nlohmann::json skipped;                         // as skipped_samples()
  nlohmann::json data = nlohmann::json::array();  // the sources of data_stats.json (apps/data/stats.h), if it is there
  nlohmann::json results;                         // of eval/results.json; an empty list if there was no evaluation
  Training training;
  Predictions predictions;
  TrainingAnswers answers;
  std::vector<std::string> notes;  // what is missing or damaged, a sentence each
};

// Error(config) if `path` is not a run folder. Contents that are missing or damaged are noted.
RunData read_run(const std::filesystem::path& path);

// [{"part": "language model", "plugin": "llama", "detail": "…"}, …]
nlohmann::json parts_of(const nlohmann::json& config);

// [{"key": "train.steps", "values": ["10", "20"]}, …]: where the two differ; "" stands for a missing key.
nlohmann::json differences(const nlohmann::json& a, const nlohmann::json& b);

}  // namespace antiphon::apps::report
