#include <report/answers.h>

#include <nlohmann/json.hpp>

#include <map>

namespace antiphon::apps::report {

using nlohmann::json;

TrainingAnswers training_answers(const std::filesystem::path& file) {
  std::map<std::string, json> sets;
  TrainingAnswers out;
  out.lines = for_each_object(file, [&](const json& record) {
    const auto step = record.find("step");
    if (step == record.end() || !step->is_number_integer()) return;
    const auto name = text_or(record, "set");
    auto& set = sets[name];
    if (set.is_null() || set["step"] != *step) set = {{"set", name}, {"step", *step}, {"rows", json::array()}};
    set["rows"].push_back({{"question", text_or(record, "question")},
                           {"expected", text_or(record, "expected")},
                           {"predicted", text_or(record, "predicted")}});
  });
  out.sets = json::array();
  for (auto& [name, set] : sets) out.sets.push_back(std::move(set));
  return out;
}

}  // namespace antiphon::apps::report
