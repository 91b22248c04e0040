#include <antiphon/run/predictions.h>

#include <nlohmann/json.hpp>

#include <antiphon/engine/logprobs.h>
#include <antiphon/run/sample_parts.h>

namespace antiphon::run {
namespace {

nlohmann::json prediction(const Sample& sample, const Condition& condition, const eval::Outcome& outcome,
                          const text::Tokenizer& tokenizer) {
  nlohmann::json record{{"media", condition.name},
                        {"id", sample.id},
                        {"file", sample.file.string()},
                        {"line", sample.line},
                        {"loss", outcome.loss}};
  if (sample.candidates.empty())
    record["expected"] = eval::expected_answer(sample), record["predicted"] = outcome.predicted;
  if (!outcome.thought.empty()) record["thought"] = outcome.thought;
  if (!outcome.scores.empty()) record["logprobs"] = engine::logprobs_json(outcome.ids, outcome.scores, tokenizer);
  for (const auto& [name, metric] : outcome.metrics)
    if (metric.second > 0) record["metrics"][name] = metric.first / metric.second;
  for (const auto& [key, value] : sample.tags) record["tags"][key] = value;
  if (condition.name == "right")  // what a report shows; a relative manifest may be out of reach then
    record["question"] = question_of(sample), record["media_files"] = media_files_of(sample);
  return record;
}

void write_line(std::ostream& out, const std::string& set, nlohmann::json record) {
  record["set"] = set;
  out << record.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) << "\n";
}

}  // namespace

void write_predictions(std::ostream& out, const std::string& set, const std::vector<Sample>& samples,
                       const Condition& condition, const text::Tokenizer& tokenizer) {
  for (size_t i = 0; i < samples.size(); ++i)
    if (condition.outcomes[i].failure.empty())
      write_line(out, set, prediction(samples[i], condition, condition.outcomes[i], tokenizer));
}

void write_skipped(std::ostream& out, const std::string& set, const std::vector<data::BadSample>& bad) {
  for (const auto& sample : bad)
    write_line(out, set, {{"skipped", sample.reason}, {"id", sample.id}, {"file", sample.file}, {"line", sample.line}});
}

}  // namespace antiphon::run
