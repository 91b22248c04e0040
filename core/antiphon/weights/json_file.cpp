#include <antiphon/weights/json_file.h>

#include <algorithm>
#include <set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <antiphon/base/error.h>
#include <antiphon/base/files.h>
#include <antiphon/base/shown.h>

namespace antiphon::weights {
namespace {

using nlohmann::json;

constexpr uint64_t max_file_bytes = 100'000'000;
constexpr int max_depth = 64;

[[noreturn]] void fail_at(const std::filesystem::path& path, std::string_view text, size_t byte,
                          const std::string& message) {
  const auto before = text.substr(0, std::min(byte == 0 ? 0 : byte - 1, text.size()));
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const auto column = before.size() - (before.rfind('\n') == std::string_view::npos ? 0 : before.rfind('\n') + 1) + 1;
  fail(ErrorKind::weights, fmt::format("{}:{}:{}: {}", path.string(), line, column, message),
       "the file is damaged: fetch it again, or mend it there");
}

}  // namespace

json read_json_object(const std::filesystem::path& path, bool unique_keys) {
  const auto text = read_file(path, ErrorKind::weights, max_file_bytes);
  std::vector<std::set<std::string>> keys;
  const auto check = [&](int depth, json::parse_event_t event, json& value) {
    if (depth > max_depth)
      fail(ErrorKind::weights, fmt::format("{}: more than {} nested levels", path.string(), max_depth));
    if (!unique_keys) return true;
    if (event == json::parse_event_t::object_start) keys.emplace_back();
    if (event == json::parse_event_t::object_end) keys.pop_back();
    if (event == json::parse_event_t::key && !keys.back().insert(value.get<std::string>()).second) {
      fail(ErrorKind::weights,
           fmt::format("{}: the key '{}' occurs twice in one object", path.string(), shown(value.get<std::string>())));
    }
    return true;
  };
  // The parser takes a NUL for the end of the text.
  if (const auto nul = text.find('\0'); nul != std::string::npos)
    fail_at(path, text, nul + 1, "a NUL byte is not JSON");
  try {
    auto value = json::parse(text, check);
    if (!value.is_object()) fail_at(path, text, 1, "expected a JSON object");
    return value;
  } catch (const json::parse_error& error) {
    fail_at(path, text, error.byte, "this is not valid JSON from here on");
  } catch (const json::exception&) {
    fail(ErrorKind::weights, fmt::format("{}: a number is out of range", path.string()), "mend the file");
  }
}

void write_json(const std::filesystem::path& path, const json& value) {
  write_file_atomic(path, value.dump(2) + "\n", ErrorKind::weights);
}

}  // namespace antiphon::weights
