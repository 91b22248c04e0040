#include <antiphon/base/json.h>
#include <antiphon/base/shown.h>

#include <algorithm>
#include <array>
#include <set>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace antiphon {
namespace {

using nlohmann::json;

// What one pass over a text tells, before it is parsed.
struct Shape {
  size_t too_deep = std::string_view::npos;  // where the nesting becomes too deep
  // Where objects that keep the order of their keys, which are searched from end to end for each key that is added,
  // would take too long.
  size_t too_long = std::string_view::npos;
  int64_t members = 0;  // of all objects
};

Shape shape_of(std::string_view text) {
  constexpr int64_t kMostSteps = 100'000'000;
  Shape shape;
  JsonDepth depth;
  std::array<int64_t, kMaxJsonDepth + 1> keys{};  // of the open objects
  int64_t steps = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const int at = depth.after(text[i]);
    if (at > kMaxJsonDepth) return shape.too_deep = i, shape;
    if (depth.quoted() || at < 0) continue;
    if (text[i] == '{') keys[static_cast<size_t>(at)] = 0;
    if (text[i] != ':') continue;
    ++shape.members;
    steps += ++keys[static_cast<size_t>(at)];
    if (steps > kMostSteps) shape.too_long = std::min(shape.too_long, i);
  }
  return shape;
}

// The open objects, with the keys seen in each.
class OpenObjects {
 public:
  // The path of `key` if the innermost object has it already; else "".
  std::string note(const std::string& key) {
    open_.back().last = key;
    if (open_.back().seen.insert(key).second) return {};
    std::string path;
    for (const auto& object : open_) path += (path.empty() ? "" : ".") + object.last;
    return path;
  }
  void enter() { open_.emplace_back(); }
  void leave() { open_.pop_back(); }

 private:
  struct Object {
    std::set<std::string> seen;
    std::string last;
  };
  std::vector<Object> open_;
};

// The path of a key that stands twice in a text that is JSON.
std::string repeated_key(std::string_view text) {
  OpenObjects open;
  std::string repeated;
  (void)json::parse(text, [&](int, json::parse_event_t event, json& value) {
    if (event == json::parse_event_t::object_start) open.enter();
    if (event == json::parse_event_t::object_end) open.leave();
    if (event == json::parse_event_t::key && repeated.empty()) repeated = open.note(value.get_ref<std::string&>());
    return true;
  });
  return repeated;
}

int64_t members_in(const json& value) {
  int64_t members = value.is_object() ? std::ssize(value) : 0;
  for (const auto& one : value)
    if (one.is_structured()) members += members_in(one);
  return members;
}

json parse_without(std::string_view text, const std::vector<std::string>& skipped) {
  return json::parse(text, [&](int depth, json::parse_event_t event, json& value) {
    return depth != 1 || event != json::parse_event_t::key ||
           std::ranges::find(skipped, value.get_ref<std::string&>()) == skipped.end();
  });
}

// What Python writes for numbers that JSON has not, if the parser stopped in it.
std::string_view no_number_at(std::string_view text, size_t byte) {
  for (const std::string_view word : {"-Infinity", "Infinity", "NaN"})
    for (size_t begin = byte - std::min(byte, word.size()); begin <= byte && begin < text.size(); ++begin)
      if (text.substr(begin).starts_with(word)) return word;
  return {};
}

// What `parse` gives, or a discarded value and the problem.
template <class Value, class Parse>
Value parse_safely(std::string_view text, const Shape& shape, JsonProblem& problem, Parse&& parse) {
  problem = {};
  if (shape.too_deep != std::string_view::npos) {
    problem = {fmt::format("nested more than {} levels deep", kMaxJsonDepth), shape.too_deep};
  } else if (const auto nul = text.find('\0'); nul != std::string_view::npos) {
    problem = {"not valid JSON: it holds a NUL byte", nul};  // which the parser takes for the end of the text
  } else {
    try {
      return parse();
    } catch (const json::parse_error& error) {
      problem = {"not valid JSON", error.byte == 0 ? 0 : error.byte - 1};
      if (const auto word = no_number_at(text, problem.byte); !word.empty())
        problem.problem += fmt::format(
            ": {} is not a number there, though Python writes it (json.dumps with "
            "allow_nan=False does not)",
            word);
    } catch (const json::exception&) {
      problem = {"not valid JSON: a number is out of range"};
    }
  }
  return Value(Value::value_t::discarded);
}

std::string position(std::string_view text, size_t byte) {
  const auto before = text.substr(0, std::min(byte, text.size()));
  const auto line_start = before.rfind('\n') + 1;  // npos + 1 is 0
  return fmt::format("{}:{}", 1 + std::count(before.begin(), before.end(), '\n'), before.size() - line_start + 1);
}

}  // namespace

json parse_json(std::string_view text, JsonProblem& problem, bool unique_keys) {
  const auto shape = shape_of(text);
  auto value = parse_safely<json>(text, shape, problem, [&] { return json::parse(text); });
  // Of members with one key the value has one, so that it has fewer than the text; which is told only if that is so.
  if (!unique_keys || !problem.problem.empty() || !value.is_structured() || members_in(value) == shape.members)
    return value;
  problem.problem = fmt::format("ambiguous: the key '{}' stands twice", shown(repeated_key(text)));
  return json(json::value_t::discarded);
}

nlohmann::ordered_json parse_ordered_json(std::string_view text, JsonProblem& problem) {
  using Ordered = nlohmann::ordered_json;
  const auto shape = shape_of(text);
  if (shape.too_long != std::string_view::npos) {
    problem = {"of objects with too many keys", shape.too_long};
    return Ordered(Ordered::value_t::discarded);
  }
  return parse_safely<Ordered>(text, shape, problem, [&] { return Ordered::parse(text); });
}

json parse_json(std::string_view text) {
  JsonProblem problem;
  return parse_json(text, problem);
}

json parse_json(std::string_view text, const JsonSource& source) {
  JsonProblem problem;
  auto value = source.skipped.empty() ? parse_json(text, problem, source.unique_keys)
                                      : parse_safely<json>(text, shape_of(text), problem,
                                                           [&] { return parse_without(text, source.skipped); });
  if (!problem.problem.empty())
    fail(source.kind, fmt::format("{}:{}: the file is {}", source.name, position(text, problem.byte), problem.problem),
         source.fix);
  return value;
}

}  // namespace antiphon
