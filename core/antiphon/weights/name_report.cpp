#include <antiphon/weights/name_report.h>

#include <algorithm>
#include <set>
#include <unordered_set>

#include <fmt/format.h>

#include <antiphon/base/fail_lines.h>
#include <antiphon/base/shown.h>
#include <antiphon/base/strings.h>

namespace antiphon::weights {
namespace {

constexpr size_t max_listed = 20;

void append(std::vector<std::string>& lines, std::string_view title, const std::vector<std::string>& names) {
  if (names.empty()) return;
  lines.push_back(fmt::format("  {} {}:", names.size(), title));
  for (size_t i = 0; i < std::min(names.size(), max_listed); ++i) lines.push_back("    " + shown(names[i]));
  if (names.size() > max_listed) lines.push_back(fmt::format("    ... and {} more", names.size() - max_listed));
}

// Prefixes p (ending in a dot) for which some long name is p + short name.
std::set<std::string> prefixes(const std::vector<std::string>& longer, const std::string& shorter) {
  std::set<std::string> found;
  for (const auto& name : longer)
    if (name != shorter && ends_in(name, shorter)) found.insert(name.substr(0, name.size() - shorter.size()));
  return found;
}

}  // namespace

std::string prefix_hint(const NameReport& report) {
  if (report.missing.empty() || report.unexpected.empty()) return {};
  const std::unordered_set<std::string> present(report.unexpected.begin(), report.unexpected.end());
  const auto& first = report.missing.front();
  for (const auto& prefix : prefixes(report.unexpected, first)) {
    if (std::all_of(report.missing.begin(), report.missing.end(),
                    [&](const auto& name) { return present.contains(prefix + name); }))
      return fmt::format("all {} missing names would match with the prefix '{}' removed from the checkpoint's names",
                         report.missing.size(), prefix);
  }
  for (size_t dot = first.find('.'); dot != std::string::npos; dot = first.find('.', dot + 1)) {
    const auto prefix = first.substr(0, dot + 1);
    if (std::all_of(report.missing.begin(), report.missing.end(), [&](const auto& name) {
          return name.starts_with(prefix) && present.contains(name.substr(prefix.size()));
        }))
      return fmt::format("all {} missing names would match with the prefix '{}' added to the checkpoint's names",
                         report.missing.size(), prefix);
  }
  return {};
}

void fail_names(const NameReport& report, std::string headline) {
  std::vector<std::string> lines{std::move(headline)};
  append(lines, "missing from the checkpoint", report.missing);
  append(lines, "unexpected in the checkpoint", report.unexpected);
  append(lines, "with another shape or type", report.mismatched);
  append(lines, "given twice", report.doubled);
  const auto hint = prefix_hint(report);
  fail_lines(ErrorKind::weights, lines,
             hint.empty() ? "check that the weights belong to this component and its options" : hint);
}

void fail_export(const ExportReport& report, std::string headline) {
  std::vector<std::string> lines{std::move(headline)};
  append(lines, "without a name in the checkpoint", report.unnamed);
  append(lines, "without values", report.empty_ones);
  append(lines, "under one name", report.doubled);
  fail_lines(ErrorKind::weights, lines, "complete the component's name map, and load or initialise every parameter");
}

}  // namespace antiphon::weights
