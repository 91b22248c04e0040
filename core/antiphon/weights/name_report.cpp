#include <antiphon/weights/name_report.h>

#include <algorithm>
#include <set>
#include <unordered_set>

#include <fmt/format.h>

#include <antiphon/base/error.h>

namespace antiphon::weights {
namespace {

constexpr size_t max_listed = 20;

void append(std::string& text, std::string_view title, const std::vector<std::string>& names) {
  if (names.empty()) return;
  text += fmt::format("\n  {} {}:", names.size(), title);
  for (size_t i = 0; i < std::min(names.size(), max_listed); ++i) text += "\n    " + names[i];
  if (names.size() > max_listed) text += fmt::format("\n    ... and {} more", names.size() - max_listed);
}

// Prefixes p (ending in a dot) for which some long name is p + short name.
std::set<std::string> prefixes(const std::vector<std::string>& longer, const std::string& shorter) {
  std::set<std::string> found;
  for (const auto& name : longer)
    if (name.size() > shorter.size() && name.ends_with(shorter) && name[name.size() - shorter.size() - 1] == '.')
      found.insert(name.substr(0, name.size() - shorter.size()));
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
  append(headline, "missing from the checkpoint", report.missing);
  append(headline, "unexpected in the checkpoint", report.unexpected);
  append(headline, "with another shape or type", report.mismatched);
  append(headline, "given twice", report.doubled);
  const auto hint = prefix_hint(report);
  fail(ErrorKind::weights, std::move(headline),
       hint.empty() ? "check that the weights belong to this component and its options" : hint);
}

void fail_export(const ExportReport& report, std::string headline) {
  append(headline, "without a name in the checkpoint", report.unnamed);
  append(headline, "without values", report.empty_ones);
  append(headline, "under one name", report.doubled);
  fail(ErrorKind::weights, std::move(headline),
       "complete the component's name map, and load or initialise every parameter");
}

}  // namespace antiphon::weights
