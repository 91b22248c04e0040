#include "yaml.h"

#include <fmt/format.h>

#include <antiphon/base/files.h>
#include <antiphon/base/json.h>
#include <antiphon/base/shown.h>
#include <antiphon/base/strings.h>

#include <charconv>

namespace antiphon::webdataset {
namespace {

using nlohmann::json;
constexpr uint64_t kMostBytes = 16 << 20;
constexpr int kMostLevels = 32;

struct Line {
  size_t number, indent;
  std::string text;
};

class Reader {
 public:
  Reader(std::string name, std::string_view bytes) : name_(std::move(name)) {
    size_t number = 0;
    for (const auto& raw : split(bytes, '\n')) {
      ++number;
      const auto text = trim(without_comment(raw));
      if (!text.empty() && text != "---") lines_.push_back({number, raw.find_first_not_of(' '), std::string(text)});
    }
  }
  json read() {
    if (lines_.empty()) return json::object();
    auto value = block(lines_.front().indent, 0);
    if (at_ < lines_.size()) refuse(lines_[at_]);
    return value;
  }

 private:
  [[noreturn]] void refuse(const Line& line) const {
    fail(ErrorKind::data,
         fmt::format("{}:{}: '{}' is not understood; expected 'key: value' or '- value'", name_, line.number,
                     shown(line.text, 60)),
         "write maps and lists by indentation, with plain values");
  }
  static std::string_view without_comment(std::string_view line) {
    char quote = 0;
    for (size_t i = 0; i < line.size(); ++i) {
      if (quote ? line[i] == quote : line[i] == '"' || line[i] == '\'') quote = quote ? 0 : line[i];
      if (!quote && line[i] == '#' && (i == 0 || line[i - 1] == ' ')) return line.substr(0, i);
    }
    return line;
  }
  // The lines from here on that are indented so.
  json block(size_t indent, int level) {
    if (level > kMostLevels) refuse(lines_[at_]);
    const bool list = is_element(lines_[at_].text);
    auto out = list ? json::array() : json::object();
    while (at_ < lines_.size() && lines_[at_].indent == indent && is_element(lines_[at_].text) == list)
      list ? out.push_back(element(indent, level)) : member(out, indent, level);
    return out;
  }
  static bool is_element(const std::string& text) { return text == "-" || text.starts_with("- "); }
  json element(size_t indent, int level) {
    auto& line = lines_[at_];
    const auto rest = std::string(trim(std::string_view(line.text).substr(1)));
    if (rest.empty()) return below(indent, level);
    if (colon_in(rest) == std::string::npos) return ++at_, scalar(rest, line);
    line.indent += line.text.find(rest), line.text = rest;  // "- key: value" begins a map
    return block(line.indent, level + 1);
  }
  void member(json& out, size_t indent, int level) {
    const auto& line = lines_[at_];
    const auto colon = colon_in(line.text);
    if (colon == std::string::npos) refuse(line);
    const auto key = scalar(trim(std::string_view(line.text).substr(0, colon)), line);
    const auto name = key.is_string() ? key.get<std::string>() : key.dump();
    const auto rest = trim(std::string_view(line.text).substr(colon + 1));
    if (out.contains(name)) refuse(line);
    if (rest.empty())
      out[name] = below(indent, level);
    else
      out[name] = scalar(rest, line), ++at_;
  }
  // What a line opens: the deeper lines after it; a list may stand as deep as its key.
  json below(size_t indent, int level) {
    const bool was_key = !is_element(lines_[at_].text);
    if (++at_ == lines_.size()) return nullptr;
    const auto& next = lines_[at_];
    const bool opens = next.indent > indent || (was_key && next.indent == indent && is_element(next.text));
    return opens ? block(next.indent, level + 1) : json();
  }
  static size_t colon_in(std::string_view text) {
    if (text.starts_with('"') || text.starts_with('\'')) {
      const auto end = text.find(text.front(), 1);
      return end != std::string_view::npos && text.substr(end + 1).starts_with(':') ? end + 1 : std::string_view::npos;
    }
    for (size_t at = text.find(':'); at != std::string_view::npos; at = text.find(':', at + 1))
      if (at + 1 == text.size() || text[at + 1] == ' ') return at;
    return std::string_view::npos;
  }
  json scalar(std::string_view text, const Line& line, int level = 0) const {
    if (level > kMostLevels) refuse(line);
    if (text.starts_with('[') && text.ends_with(']'))
      return flow_list(text.substr(1, text.size() - 2), line, level + 1);
    if (text == "{}") return json::object();
    if (text.size() > 1 && text.front() == text.back() && (text.front() == '"' || text.front() == '\''))
      return std::string(text.substr(1, text.size() - 2));
    if (text.find_first_of("&*!|>%@`{[\"'") == 0) refuse(line);
    JsonProblem ignored;
    auto value = parse_json(text, ignored);
    return value.is_primitive() && !value.is_string() && !value.is_discarded() ? value : json(std::string(text));
  }
  json flow_list(std::string_view inside, const Line& line, int level) const {
    auto out = json::array();
    if (!trim(inside).empty())
      for (const auto& one : split(inside, ',')) out.push_back(scalar(trim(one), line, level));
    return out;
  }
  std::string name_;
  std::vector<Line> lines_;
  size_t at_ = 0;
};

}  // namespace

json parse_yaml(const std::filesystem::path& path) {
  const auto bytes = read_file(path, ErrorKind::data, kMostBytes);
  const auto name = shown(path.string());
  if (!is_utf8(bytes)) fail(ErrorKind::data, name + " is not valid UTF-8");
  return Reader(name, bytes).read();
}

}  // namespace antiphon::webdataset
