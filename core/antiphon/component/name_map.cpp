#include <antiphon/base/strings.h>
#include <antiphon/component/name_map.h>

namespace antiphon {
namespace {

// Matches `name` against `pattern`, capturing what each `{}` stands for (shortest first, with backtracking).
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

enum class Direction { to_parameter, to_checkpoint };

std::optional<std::string> first_match(const std::vector<NameRule>& rules, Direction direction,
                                       const std::string& name) {
  const bool forward = direction == Direction::to_parameter;
  for (const auto& rule : rules)
    if (auto found =
            forward ? rename(rule.checkpoint, rule.parameter, name) : rename(rule.parameter, rule.checkpoint, name))
      return found;
  return std::nullopt;
}

}  // namespace

std::optional<std::string> NameMap::to_parameter(const std::string& checkpoint_name) const {
  if (whole.empty()) return first_match(rules, Direction::to_parameter, checkpoint_name);
  const auto own = first_match(whole, Direction::to_parameter, checkpoint_name);
  return own ? first_match(rules, Direction::to_parameter, *own) : std::nullopt;
}

std::optional<std::string> NameMap::to_checkpoint(const std::string& parameter_name) const {
  auto own = first_match(rules, Direction::to_checkpoint, parameter_name);
  return own && !whole.empty() ? first_match(whole, Direction::to_checkpoint, *own) : own;
}

bool NameMap::ignores(const std::string& checkpoint_name) const {
  auto own = std::optional(checkpoint_name);
  if (!whole.empty()) own = first_match(whole, Direction::to_parameter, checkpoint_name);
  if (!own) return true;
  for (const auto& pattern : ignored)
    if (glob_match(pattern, *own)) return true;
  return false;
}

}  // namespace antiphon
