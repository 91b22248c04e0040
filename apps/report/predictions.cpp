#include <report/predictions.h>

#include <fmt/format.h>

#include <cmath>
#include <set>

#include <antiphon/base/error.h>
#include <antiphon/base/paths.h>
#include <antiphon/eval/normalizer.h>
#include <antiphon/run/sample_parts.h>

namespace antiphon::apps::report {
namespace {

using nlohmann::json;

std::string key_of(const json& record) {
  const auto id = text_or(record, "id");
  return text_or(record, "set") + "\n" +
         (id.empty() ? fmt::format("{}:{}", text_or(record, "file"), record.value("line", json()).dump()) : id);
}

Prediction read_prediction(const json& record, const std::string& key) {
  Prediction out;
  out.key = key, out.set = text_or(record, "set"), out.id = text_or(record, "id");
  out.expected = text_or(record, "expected"), out.predicted = text_or(record, "predicted");
  out.file = text_or(record, "file");
  if (const auto line = record.find("line"); line != record.end() && line->is_number_integer()) out.line = *line;
  if (const auto tags = record.find("tags"); tags != record.end() && tags->is_object())
    for (const auto& [name, value] : tags->items())
      if (value.is_string() && name != "id") out.tags[name] = value.get<std::string>();
  if (out.tags.contains("task")) out.task = out.tags.extract("task").mapped();
  if (record.contains("question")) out.question = text_or(record, "question");
  if (const auto media = record.find("media_files"); media != record.end() && media->is_array()) out.media = *media;
  return out;
}

// An evaluation without answers writes empty ones throughout.
void judge(std::vector<Prediction>& all) {
  std::set<std::string> answered;
  for (const auto& p : all)
    if (!p.predicted.empty()) answered.insert(p.set);
  for (auto& p : all)
    if (answered.contains(p.set)) p.right = eval::normalize_answer(p.predicted) == eval::normalize_answer(p.expected);
}

}  // namespace

Predictions read_predictions(const std::filesystem::path& file) {
  Predictions out;
  std::map<std::string, size_t> places;
  std::map<std::string, std::map<std::string, int>> seen;  // a manifest may name an id twice
  out.lines = for_each_object(file, [&](const json& record) {
    if (record.contains("skipped")) return;
    auto key = key_of(record);
    const auto condition = text_or(record, "media");
    if (const int count = seen[condition][key]++) key += fmt::format("\n{}", count);
    auto [place, fresh] = places.try_emplace(key, out.all.size());
    if (fresh && condition != "right") return void(places.erase(place));
    if (fresh) out.all.push_back(read_prediction(record, key));
    if (const double loss = number_or_nan(record, "loss"); std::isfinite(loss))
      out.all[place->second].losses[condition] = loss;
  });
  judge(out.all);
  return out;
}

SampleFinder::SampleFinder(const std::filesystem::path& run)
    : roots_{absolute_path(".", ErrorKind::config).lexically_normal()} {
  for (auto folder = absolute_path(run, ErrorKind::config).lexically_normal(); folder.has_relative_path();
       folder = folder.parent_path())
    roots_.push_back(folder.parent_path());
}

const data::RecordSet* SampleFinder::records(const std::string& file) {
  const auto [place, fresh] = sets_.try_emplace(file);
  for (size_t i = 0; fresh && !place->second && i < roots_.size(); ++i)
    if (std::error_code error; std::filesystem::is_regular_file(roots_[i] / file, error))
      place->second = std::make_unique<data::RecordSet>(data::SourceOptions{(roots_[i] / file).string()});
  return place->second.get();
}

std::string SampleFinder::complete(Prediction& prediction) {
  if (prediction.question) return {};
  try {
    const auto* found = records(prediction.file);
    if (!found) return fmt::format("{} is gone, so the question is unknown", prediction.file);
    const auto index = found->at_line(prediction.line);
    if (!index) return fmt::format("{} has no line {} any more", prediction.file, prediction.line);
    const auto sample = found->sample(*index);
    if (sample.id != prediction.id) return fmt::format("{}:{} is another sample now", prediction.file, prediction.line);
    prediction.question = run::question_of(sample), prediction.media = run::media_files_of(sample);
    return {};
  } catch (const Error& error) {
    return error.message();
  }
}

}  // namespace antiphon::apps::report
