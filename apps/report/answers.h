// What a run answered to held-out samples while it was trained.
#pragma once
#include <filesystem>
#include <nlohmann/json_fwd.hpp>

#include <report/json_lines.h>

namespace antiphon::apps::report {

struct TrainingAnswers {
  nlohmann::json sets;  // [{set, step, rows: [{question, expected, predicted}, …]}, …], of each set the last step's
  LineCounts lines;
};
// Of answers.jsonl of a run.
TrainingAnswers training_answers(const std::filesystem::path& file);

}  // namespace antiphon::apps::report
