#include <report/skipped.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include <antiphon/base/strings.h>
#include <report/json_lines.h>

namespace antiphon::apps::report {
namespace {

using nlohmann::json;
constexpr size_t kLinesOfGroup = 5, kGroupsAtMost = 100;

bool is_name(std::string_view word) {
  return word.find_first_of("/\\0123456789") != std::string_view::npos || word.find_first_of("'\"") != word.npos;
}

// "cannot open a/b.png: no such file" -> "cannot open …: no such file".
std::string kind_of(std::string_view reason) {
  std::vector<std::string> words;
  for (const auto& word : split(reason.substr(0, reason.find('\n')), ' ')) {
    const bool colon = word.ends_with(':') || word.ends_with(',') || word.ends_with(';');
    words.push_back(is_name(word) ? (colon ? std::string("…") + word.back() : "…") : word);
  }
  return join(words, " ");
}

json line_of(const json& record) {
  const auto line = record.find("line");
  const std::string number = line != record.end() && line->is_number_integer() ? ":" + line->dump() : "";
  return {{"place", text_or(record, "file") + number},
          {"id", text_or(record, "id")},
          {"reason", text_or(record, "reason", "no reason was written")}};
}

}  // namespace

json skipped_samples(const std::filesystem::path& file) {
  std::map<std::string, json> groups;
  const auto counts = for_each_object(file, [&](const json& record) {
    const auto kind = kind_of(text_or(record, "reason", "no reason was written"));
    const auto name = groups.contains(kind) || groups.size() < kGroupsAtMost ? kind : "other reasons";
    auto& group = groups[name];
    if (group.is_null()) group = {{"reason", name}, {"count", 0}, {"lines", json::array()}};
    group["count"] = group["count"].get<int64_t>() + 1;
    if (group["lines"].size() < kLinesOfGroup) group["lines"].push_back(line_of(record));
  });
  json out{{"count", counts.good}, {"broken", counts.broken}, {"groups", json::array()}};
  for (auto& [kind, group] : groups) out["groups"].push_back(std::move(group));
  std::stable_sort(out["groups"].begin(), out["groups"].end(),
                   [](const json& a, const json& b) { return a["count"] > b["count"]; });
  return out;
}

}  // namespace antiphon::apps::report
