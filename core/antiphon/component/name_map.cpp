#include <antiphon/base/strings.h>
#include <antiphon/component/name_map.h>

namespace antiphon {
namespace {

// Matches `name` against `pattern`, filling what each `{}` stood for (shortest first, with backtracking).
bool match(std::string_view pattern, std::string_view name, std::vector<std::string>& holes) {
  const auto hole = pattern.find("{}");
  if (hole == std::string_view::npos) return pattern == name;
  if (name.substr(0, hole) != pattern.substr(0, hole)) return false;
  const auto rest = pattern.substr(hole + 2);
  name.remove_prefix(hole);
  for (size_t n = 1; n <= name.size(); ++n) {
    holes.emplace_back(name.substr(0, n));
    if (match(rest, name.substr(n), holes)) return true;
    holes.pop_back();
  }
  return false;
}

std::string fill(std::string_view pattern, const std::vector<std::string>& holes) {
  std::string out;
  for (const auto& value : holes) {
    const auto hole = pattern.find("{}");
    out += pattern.substr(0, hole);
    out += value;
    pattern.remove_prefix(hole + 2);
  }
  return out + std::string(pattern);
}

std::optional<std::string> rename(const std::string& from, const std::string& to, const std::string& name) {
  std::vector<std::string> holes;
  if (!match(from, name, holes)) return std::nullopt;
  return fill(to, holes);
}

}  // namespace

std::optional<std::string> NameMap::to_parameter(const std::string& checkpoint_name) const {
  for (const auto& rule : rules)
    if (auto name = rename(rule.checkpoint, rule.parameter, checkpoint_name)) return name;
  return std::nullopt;
}

std::optional<std::string> NameMap::to_checkpoint(const std::string& parameter_name) const {
  for (const auto& rule : rules)
    if (auto name = rename(rule.parameter, rule.checkpoint, parameter_name)) return name;
  return std::nullopt;
}

bool NameMap::ignores(const std::string& checkpoint_name) const {
  for (const auto& pattern : ignored)
    if (glob_match(pattern, checkpoint_name)) return true;
  return false;
}

}  // namespace antiphon
