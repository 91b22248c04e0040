#include <antiphon/data/manifest.h>

#include <fmt/format.h>

#include <antiphon/base/files.h>
#include <antiphon/base/strings.h>

#include <optional>

namespace antiphon::data {
namespace {

constexpr size_t kMaxRecord = 16u << 20;
constexpr std::string_view kBlank = " \t\r\n";

// A whole file that is one list of objects, as LLaVA's are; a line that is a list is a bad line.
bool is_list(std::string_view text) {
  const auto bracket = text.find_first_not_of(kBlank);
  if (bracket == std::string_view::npos || text[bracket] != '[') return false;
  const auto next = text.find_first_not_of(kBlank, bracket + 1);
  return next != std::string_view::npos && text[next] == '{';
}

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    lines.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return lines;
}

// The elements of the list, unparsed: cut at the commas that stand in no string and no inner bracket. Nothing if more
// follows the list: it is then only a line.
std::optional<std::vector<std::string_view>> elements_of(std::string_view text, const std::filesystem::path& path) {
  std::vector<std::string_view> elements;
  size_t begin = text.find('[') + 1;
  int64_t depth = 1;
  bool quoted = false;
  for (size_t i = begin; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted && c == '\\') ++i;
    if (c == '"') quoted = !quoted;
    if (quoted) continue;
    if (c == '[' || c == '{') ++depth;
    if (c == ']' || c == '}') --depth;
    if (depth > 1 || (depth == 1 && c != ',')) continue;
    elements.push_back(text.substr(begin, i - begin));
    begin = i + 1;
    if (depth == 1) continue;
    const bool whole = text.find_first_not_of(kBlank, begin) == std::string_view::npos;
    return whole ? std::optional(elements) : std::nullopt;
  }
  fail(ErrorKind::data,
       fmt::format("{} is a JSON list that does not end; {} records were found", path.string(), elements.size()),
       "fetch it again, or mend it");
}

}  // namespace

Manifest::Manifest(std::filesystem::path path)
    : path_(std::move(path)), bytes_(read_file(path_, ErrorKind::data)), fingerprint_(content_hash(bytes_)) {
  const auto all = std::string_view(bytes_).substr(bytes_.starts_with("\xEF\xBB\xBF") ? 3 : 0);
  const auto begin = static_cast<size_t>(all.data() - bytes_.data());
  const auto elements = is_list(all) ? elements_of(all, path_) : std::nullopt;
  int64_t number = 0;
  for (const auto& text : elements ? *elements : lines_of(all)) {
    ++number;
    if (!trim(text).empty())
      records_.push_back({begin + static_cast<size_t>(text.data() - all.data()), text.size(), number});
  }
  if (records_.empty())
    fail(ErrorKind::data, fmt::format("{} holds no samples", path_.string()),
         "each line, or each element of one list, is a JSON object, see docs/data.md");
}

Sample Manifest::sample(int64_t index) const {
  const auto& record = records_[static_cast<size_t>(index)];
  if (record.size > kMaxRecord)
    fail(ErrorKind::data, fmt::format("the record has {}; at most {} are allowed",
                                      human_bytes(static_cast<double>(record.size)), human_bytes(kMaxRecord)));
  auto sample = parse_sample(std::string_view(bytes_).substr(record.begin, record.size), path_.parent_path());
  sample.file = path_, sample.line = record.number;
  if (sample.id.empty()) sample.id = fmt::format("{}:{}", path_.filename().string(), record.number);
  return sample;
}

}  // namespace antiphon::data
