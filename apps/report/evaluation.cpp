#include <report/evaluation.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace antiphon::apps::report {
namespace {

using nlohmann::json;
using Names = std::vector<std::string>;

// Of each run the member at this path, or null.
json each(const json& runs, const Names& path) {
  json out = json::array();
  for (const auto& run : runs) {
    const json* at = &run;
    for (const auto& key : path)
      if (at) at = at->is_object() && at->contains(key) ? &at->at(key) : nullptr;
    out.push_back(at ? *at : json());
  }
  return out;
}

// Keys of the objects, those of `first` in front.
Names keys_of(const json& objects, const Names& first) {
  Names all = first, found;
  for (const auto& object : objects)
    if (object.is_object())
      for (const auto& [key, value] : object.items()) all.push_back(key), found.push_back(key);
  Names out;
  for (const auto& key : all)
    if (std::find(found.begin(), found.end(), key) != found.end() &&
        std::find(out.begin(), out.end(), key) == out.end())
      out.push_back(key);
  return out;
}

json row(const json& tasks, const std::string& task, const std::string& condition) {
  json out{
      {"task", task}, {"media", condition}, {"samples", each(tasks, {task, "samples"})}, {"metrics", json::object()}};
  const auto metrics = each(tasks, {task, "conditions", condition});
  for (const auto& metric : keys_of(metrics, {})) out["metrics"][metric] = each(metrics, {metric});
  out["versus"] = each(tasks, {task, "right_better_than", condition, "loss"});
  return out;
}

json table(const std::string& set, const json& runs) {
  json out{{"set", set}, {"samples", each(runs, {"samples"})}, {"skipped", each(runs, {"skipped"})}};
  const auto tasks = each(runs, {"tasks"});
  auto names = keys_of(tasks, {"all"});
  // With one task alone, "all" says the same again.
  if (names.size() == 2 && names[0] == "all") names.erase(names.begin());
  out["rows"] = json::array();
  for (const auto& task : names)
    for (const auto& condition :
         keys_of(each(tasks, {task, "conditions"}), {"right", "shuffled", "shuffled_image", "shuffled_audio"}))
      out["rows"].push_back(row(tasks, task, condition));
  return out;
}

}  // namespace

json evaluation_tables(const std::vector<const json*>& results) {
  json by_set = json::array();
  for (const auto* sets : results) {
    json entry = json::object();
    for (const auto& set : *sets)
      if (set.is_object() && set.value("set", json()).is_string()) entry[set["set"].get<std::string>()] = set;
    by_set.push_back(std::move(entry));
  }
  json out = json::array();
  for (const auto& set : keys_of(by_set, {})) out.push_back(table(set, each(by_set, {set})));
  return out;
}

}  // namespace antiphon::apps::report
