// What an evaluation answered, sample by sample.
#pragma once
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include <antiphon/data/record_set.h>
#include <report/json_lines.h>

namespace antiphon::apps::report {

struct Prediction {
  std::string key;  // the same for the same sample of another run: its set and id
  std::string set, id, task, expected, predicted, file;
  int64_t line = 0;
  std::map<std::string, double> losses;  // by condition: "right", "shuffled", "removed", …
  std::map<std::string, std::string> tags;
  std::optional<bool> right;                       // as exact match has it; not set if no answer was generated
  std::optional<std::string> question;             // with `media`: as eval wrote them; else they are in the manifest
  nlohmann::json media = nlohmann::json::array();  // [{"type", "path"}]
};

struct Predictions {
  std::vector<Prediction> all;  // those with their own media; in the order of the file
  LineCounts lines;
};
Predictions read_predictions(const std::filesystem::path& file);

// Finds the sample of a prediction again, for evaluations that wrote neither question nor media.
class SampleFinder {
 public:
  // A relative manifest is looked for from here, and from the folder that holds the run upwards.
  explicit SampleFinder(const std::filesystem::path& run);
  // Sets question and media; returns why they are unknown, or an empty text.
  std::string complete(Prediction& prediction);

 private:
  const data::RecordSet* records(const std::string& file);
  std::vector<std::filesystem::path> roots_;
  std::map<std::string, std::unique_ptr<data::RecordSet>> sets_;
};

}  // namespace antiphon::apps::report
