// Everything that a report says of one run, out of its folder.
#pragma once
#include <antiphon/config/value.h>
#include <report/curves.h>
#include <report/predictions.h>

namespace antiphon::apps::report {

struct RunData {
  std::string name;  // the folder's
  std::filesystem::path path;
  nlohmann::json config;   // null where it cannot be read
  nlohmann::json env;      // of env.json; an object
  nlohmann::json skipped;  // as skipped_samples()
  nlohmann::json results;  // of eval/results.json; an empty list where there was no evaluation
  Training training;
  Predictions predictions;
  std::vector<std::string> notes;  // what is missing or damaged, a sentence each
};

// Error(config) where `path` is no run folder. What is in it may be missing or damaged: that is noted.
RunData read_run(const std::filesystem::path& path);

// [{"part": "language model", "plugin": "llama", "detail": "…"}, …]
nlohmann::json parts_of(const nlohmann::json& config);

// [{"key": "train.steps", "values": ["10", "20"]}, …]: where the two differ; "" stands for a missing key.
nlohmann::json differences(const nlohmann::json& a, const nlohmann::json& b);

}  // namespace antiphon::apps::report
