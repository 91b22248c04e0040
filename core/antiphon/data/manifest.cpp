#include <antiphon/data/manifest.h>

#include <fmt/format.h>

#include <antiphon/base/files.h>
#include <antiphon/base/strings.h>

namespace antiphon::data {
namespace {
constexpr size_t kMaxLine = 16u << 20;
}

Manifest::Manifest(std::filesystem::path path)
    : path_(std::move(path)), bytes_(read_file(path_, ErrorKind::data)), fingerprint_(content_hash(bytes_)) {
  const std::string_view all = bytes_;
  size_t begin = all.starts_with("\xEF\xBB\xBF") ? 3 : 0;
  for (int64_t number = 1; begin < all.size(); ++number) {
    const size_t end = std::min(all.find('\n', begin), all.size());
    if (!trim(all.substr(begin, end - begin)).empty()) lines_.push_back({begin, end - begin, number});
    begin = end + 1;
  }
  if (lines_.empty())
    fail(ErrorKind::data, fmt::format("{} holds no samples", path_.string()),
         "each line is one JSON object, see docs/data.md");
}

Sample Manifest::sample(int64_t index) const {
  const auto& line = lines_[static_cast<size_t>(index)];
  if (line.size > kMaxLine)
    fail(ErrorKind::data, fmt::format("the line has {}; at most {} are allowed",
                                      human_bytes(static_cast<double>(line.size)), human_bytes(kMaxLine)));
  auto sample = parse_sample(std::string_view(bytes_).substr(line.begin, line.size), path_.parent_path());
  sample.file = path_, sample.line = line.number;
  if (sample.id.empty()) sample.id = fmt::format("{}:{}", path_.filename().string(), line.number);
  return sample;
}

}  // namespace antiphon::data
