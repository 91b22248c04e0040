#include <antiphon/component/record/shards.h>

#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/shown.h>
#include <antiphon/base/strings.h>

#include <algorithm>
#include <charconv>
#include <optional>

namespace antiphon::records {
namespace {

constexpr size_t kMostFiles = 1 << 20;

// NeMo writes brackets that shells leave alone.
std::string with_braces(std::string text) {
  for (const auto& [word, bracket] : {std::pair{"_OP_", "{"}, std::pair{"_CL_", "}"}})
    for (auto at = text.find(word); at != std::string::npos; at = text.find(word, at)) text.replace(at, 4, bracket);
  return text;
}

[[noreturn]] void refuse(const std::string& pattern, const std::string& why) {
  fail(ErrorKind::data, fmt::format("'{}' {}", shown(pattern), why),
       "name files as in shard-{000..012}.tar, shard-{a,b}.tar or shard-*.tar");
}

std::optional<int64_t> number_in(std::string_view text) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || error != std::errc() || end != text.data() + text.size() || number < 0) return std::nullopt;
  return number;
}

// "000..012" or "a,b"
std::vector<std::string> choices_of(std::string_view inside, const std::string& pattern) {
  const auto dots = inside.find("..");
  if (dots == std::string_view::npos) return split(inside, ',');
  const auto first = number_in(inside.substr(0, dots)), last = number_in(inside.substr(dots + 2));
  if (!first || !last) refuse(pattern, "has a range that is not of two numbers");
  constexpr int64_t kLargest = int64_t{1} << 60;
  if (*last < *first || *last > kLargest || *last - *first >= static_cast<int64_t>(kMostFiles))
    refuse(pattern, fmt::format("has a range of none or of more than {} numbers", kMostFiles));
  const bool zeros = inside.starts_with('0') && dots > 1;
  std::vector<std::string> out;
  for (auto i = *first; i <= *last; ++i) out.push_back(fmt::format("{:0{}}", i, zeros ? dots : 0));
  return out;
}

std::vector<std::string> expanded(const std::string& pattern) {
  std::vector<std::string> out{""};
  for (size_t at = 0; at < pattern.size();) {
    const auto open = pattern.find_first_of("{}", at);
    const auto close = pattern.find_first_of("{}", open == std::string::npos ? open : open + 1);
    for (auto& one : out) one += pattern.substr(at, open == std::string::npos ? open : open - at);
    if (open == std::string::npos) break;
    if (pattern[open] == '}' || close == std::string::npos || pattern[close] == '{')
      refuse(pattern, "has braces that do not close, or stand within others");
    const auto choices = choices_of(std::string_view(pattern).substr(open + 1, close - open - 1), pattern);
    if (out.size() * choices.size() > kMostFiles)
      refuse(pattern, fmt::format("stands for more than {} files", kMostFiles));
    std::vector<std::string> longer;
    for (const auto& one : out)
      for (const auto& choice : choices) longer.push_back(one + choice);
    out = std::move(longer), at = close + 1;
  }
  return out;
}

std::vector<std::filesystem::path> matching(const std::filesystem::path& pattern) {
  const auto folder = pattern.has_parent_path() ? pattern.parent_path() : std::filesystem::path(".");
  std::vector<std::filesystem::path> found;
  std::error_code error;
  for (std::filesystem::directory_iterator it(folder, error), end; !error && it != end; it.increment(error))
    if (glob_match(pattern.filename().string(), it->path().filename().string()))
      found.push_back(pattern.has_parent_path() ? it->path() : it->path().filename());
  if (error == std::errc::no_such_file_or_directory || error == std::errc::not_a_directory)
    refuse(pattern.string(), "is in a folder that is not there");
  if (error)
    fail(ErrorKind::preempted, fmt::format("cannot list {}: {}", shown(folder.string()), error.message()),
         "look after that disk, and start again");
  if (found.empty()) refuse(pattern.string(), "matches no file");
  std::ranges::sort(found);
  return found;
}

}  // namespace

bool is_pattern(const std::filesystem::path& path) {
  std::error_code ignored;
  const auto text = path.string();
  return (text.find('{') != std::string::npos || text.find("_OP_") != std::string::npos ||
          path.filename().string().find('*') != std::string::npos) &&
         !std::filesystem::exists(path, ignored);
}

std::vector<std::filesystem::path> files_of(const std::filesystem::path& pattern) {
  if (!is_pattern(pattern)) return {pattern};
  std::vector<std::filesystem::path> files;
  for (const auto& text : expanded(with_braces(pattern.string()))) {
    const std::filesystem::path one = text;
    if (one.filename().string().find('*') == std::string::npos)
      files.push_back(one);
    else
      std::ranges::move(matching(one), std::back_inserter(files));
  }
  return files;
}

}  // namespace antiphon::records
