#include <eval/table.h>
#include <cstdio>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <antiphon/base/shown.h>
#include <antiphon/base/standard_streams.h>
#include <algorithm>
#include <cmath>
#include <set>

namespace antiphon::apps {
namespace {

using nlohmann::json;

const std::set<std::string_view> kColumns{"loss", "accuracy", "f1", "chrf", "wer"};

std::string cell(const json& metrics, const char* name, const char* format) {
  const auto it = metrics.find(name);
  if (it == metrics.end()) return "";
  if (!std::isfinite(it->at("mean").get<double>())) return "not finite";
  const auto number = [&](const char* key) { return fmt::format(fmt::runtime(format), it->at(key).get<double>()); };
  return fmt::format("{} [{}, {}]", number("mean"), number("low"), number("high"));
}

}  // namespace

void print_scores(const json& set) {
  const auto skipped = set["skipped"].get<int64_t>(), less = set["answers_with_less_room"].get<int64_t>();
  fmt::print("\n{} ({} samples{}; mean [95 % interval])\n", set["set"].get<std::string>(), set["samples"].get<int>(),
             skipped ? fmt::format(", {} skipped", skipped) : "");
  if (less)
    fmt::print("  {} answers had less room than eval.max_tokens: the prompt leaves no more of the context\n", less);
  fmt::print("  {:<18} {:<15} {:>4}  {:<22} {:<20} {:<20} {:<20} {:<20} {}\n", "task", "media", "n", "loss",
             "exact match", "token F1", "chrF", "WER", "loss vs. right, p");
  for (const auto& [task, entry] : set["tasks"].items()) {
    for (const char* name : {"right", "shuffled", "shuffled_image", "shuffled_audio", "shuffled_video", "removed"}) {
      if (!entry["conditions"].contains(name)) continue;
      const auto& m = entry["conditions"][name];
      std::string versus;
      if (std::string_view(name) != "right") {
        const auto& difference = entry["right_better_than"][name]["loss"];
        const auto p = difference["p"].get<double>();
        versus = std::isfinite(p) ? fmt::format("{:+.3f} p {} {:.1g}", difference["mean"].get<double>(),
                                                p < 2e-4 ? "<" : "=", std::max(p, 2e-4))
                                  : "not finite";
      }
      fmt::print("  {:<18} {:<15} {:>4}  {:<22} {:<20} {:<20} {:<20} {:<20} {}\n", shown(task, 40), name,
                 entry["samples"].get<int>(), cell(m, "loss", "{:.3f}"), cell(m, "accuracy", "{:.2f}"),
                 cell(m, "f1", "{:.2f}"), cell(m, "chrf", "{:.1f}"), cell(m, "wer", "{:.2f}"), versus);
      for (const auto& [metric, value] : m.items())  // others of answers, an objective's, of calls and refusals
        if (!kColumns.contains(metric)) fmt::print("    {:<30} {}\n", metric, cell(m, metric.c_str(), "{:.3f}"));
    }
  }
  push_stdout();  // progress goes to stderr: a table must not end in the middle of the next line
}

}  // namespace antiphon::apps
