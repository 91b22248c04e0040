#include <fmt/format.h>

#include <antiphon/base/shown.h>
#include <antiphon/base/standard_streams.h>
#include <antiphon/base/strings.h>
#include <data/findings.h>
#include <nlohmann/json.hpp>

namespace antiphon::apps {
namespace {

using nlohmann::json;

std::string number(const json& value, const char* key) {
  return value.is_null() ? "-" : std::to_string(value[key].get<int64_t>());
}

std::string share(const json& value) {
  return value.is_null() ? "-" : fmt::format("{:.1f} %", 100 * value.get<double>());
}

std::string name_of(const json& source) {
  const auto set = source["set"].get<std::string>();
  return shown(source["path"].get<std::string>()) + (set.empty() ? "" : fmt::format(" ({})", set));
}

std::string range(const json& value, const char* format, const char* unit) {
  const auto low = fmt::format(fmt::runtime(format), value["min"].get<double>()),
             high = fmt::format(fmt::runtime(format), value["max"].get<double>());
  return low == high ? low + unit : fmt::format("{} to {}{}", low, high, unit);
}

std::string media_line(const std::string& stream, const json& media) {
  auto out = fmt::format("    {}: {} in {} different files", stream, media["items"].get<int64_t>(),
                         media["files"].get<int64_t>());
  if (!media["width"].is_null())
    out += fmt::format("; {} wide, {} high", range(media["width"], "{:.0f}", ""), range(media["height"], "{:.0f}", ""));
  if (!media["seconds"].is_null())
    out += fmt::format("; {}, {} together", range(media["seconds"], "{:.2f}", " s"),
                       human_duration(media["seconds_total"].get<double>()));
  if (media["tokens"]["max"].get<int64_t>() > 0)
    out += fmt::format("; {} each", range(media["tokens"], "{:.0f}", " tokens"));
  return out + "\n";
}

void print_sources(const json& sources) {
  size_t width = 8;
  for (const auto& source : sources) width = std::max(width, name_of(source).size());
  fmt::print("{:<{}} {:>8} {:>6} {:>8} {:>11} {:>7} {:>7} {:>7} {:>11}\n", "SOURCE", width, "SAMPLES", "BAD", "SAME ID",
             "TOKENS: MIN", "MEDIAN", "P95", "MAX", "SUPERVISED");
  for (const auto& source : sources) {
    const auto& tokens = source["tokens"];
    fmt::print("{:<{}} {:>8} {:>6} {:>8} {:>11} {:>7} {:>7} {:>7} {:>11}\n", name_of(source), width,
               source["samples"].get<int64_t>(), source["bad"].get<int64_t>(), source["same_ids"].get<int64_t>(),
               number(tokens, "min"), number(tokens, "median"), number(tokens, "p95"), number(tokens, "max"),
               share(source["supervised_share"]));
    for (const auto& [stream, media] : source["media"].items()) fmt::print("{}", media_line(stream, media));
    for (const auto& [reason, count] : source["left_out"].items())
      fmt::print("    data.filter leaves out {} samples: {}\n", count.get<int64_t>(), reason);
    for (const auto& [key, count] : source["unread_keys"].items())
      fmt::print("    nothing reads the key '{}', which {} samples have\n", shown(key), count.get<int64_t>());
  }
}

void print_reasons(const json& reasons) {
  if (!reasons.empty()) fmt::print("\nbad samples, by reason:\n");
  for (const auto& reason : reasons) {
    const auto places = reason["places"].get<std::vector<std::string>>();
    const auto more = reason["count"].get<size_t>() - places.size();
    fmt::print("  {:>6}  {}\n", reason["count"].get<int64_t>(), reason["reason"].get<std::string>());
    fmt::print("          at {}{}\n", shown(join(places, ", "), kWordsLetters),
               more ? fmt::format(" and {} more", more) : "");
    for (const auto& line : split(reason["example"].get<std::string>(), '\n')) fmt::print("          | {}\n", line);
  }
}

void print_leaks(const json& leaks) {
  for (const auto& leak : leaks)
    fmt::print(
        "\nwarning: {} media of the training data stand in the set {} too, in {} of its samples; the first one at {} "
        "and at {}\n",
        leak["media"].get<int64_t>(), leak["set"].get<std::string>(), leak["samples"].get<int64_t>(),
        shown(leak["train_place"].get<std::string>()), shown(leak["place"].get<std::string>()));
}

}  // namespace

void print_findings(const json& findings) {
  print_sources(findings["sources"]);
  print_reasons(findings["reasons"]);
  print_leaks(findings["leaks"]);
  push_stdout();  // what follows goes to stderr
}

}  // namespace antiphon::apps
