#include <antiphon/component/media_bytes.h>

#include <fmt/format.h>

#include <antiphon/base/base64.h>
#include <antiphon/base/files.h>
#include <antiphon/base/sample_time.h>
#include <antiphon/base/shown.h>
#include <antiphon/base/strings.h>

#include <algorithm>
#include <cctype>

namespace antiphon {
namespace {

constexpr std::string_view kScheme = "data:", kBase64 = ";base64";

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

void check_size(const std::string& name, uint64_t size, uint64_t max_bytes) {
  if (size > max_bytes)
    fail(ErrorKind::data, fmt::format("{} has {} bytes; at most {} are allowed", shown(name), size, max_bytes));
}

// "image/png" of an image; "application/octet-stream" and no type at all say nothing.
void check_type(const std::string& type, Modality modality) {
  const auto kind = std::string(to_string(modality));
  if (type.empty() || type == "application/octet-stream" || type.starts_with(kind + "/")) return;
  fail(ErrorKind::data, fmt::format("a data: URL has the type '{}'; expected {}/…", shown(type), kind),
       "name the media type of what it holds");
}

}  // namespace

MediaBytes MediaBytes::member(std::filesystem::path archive, uint64_t offset, uint64_t size, std::string name) {
  MediaBytes out(std::move(archive));
  out.offset_ = offset, out.size_ = size, out.name_ = std::move(name);
  return out;
}

MediaBytes MediaBytes::memory(std::string bytes, std::string name) {
  MediaBytes out;
  out.name_ = std::move(name);
  out.memory_ = std::make_shared<const std::string>(std::move(bytes));
  return out;
}

MediaBytes MediaBytes::made(std::function<std::string()> make, std::string key, std::string name) {
  MediaBytes out;
  out.make_ = std::move(make), out.made_key_ = std::move(key), out.name_ = std::move(name);
  return out;
}

std::string MediaBytes::read(uint64_t max_bytes) const {
  SampleTime::check();
  if (make_) {
    auto bytes = make_();
    check_size(name(), bytes.size(), max_bytes);
    return bytes;
  }
  if (is_file()) return read_file(path_, ErrorKind::data, max_bytes);
  check_size(name(), memory_ ? memory_->size() : size_, max_bytes);
  if (memory_) return *memory_;
  auto bytes = OpenFile(path_, ErrorKind::data).read(offset_, size_);
  if (bytes.size() != size_)
    fail(ErrorKind::data, fmt::format("{} ends after {} of {} bytes", shown(name()), bytes.size(), size_),
         "fetch the archive again, or make its index anew");
  return bytes;
}

std::string MediaBytes::name() const {
  if (memory_ || make_) return name_;
  return is_file() ? path_.string() : path_.string() + ": " + name_;
}

std::string MediaBytes::extension() const {
  return is_file() ? path_.extension().string() : std::filesystem::path(name_).extension().string();
}

std::string MediaBytes::key() const {
  if (memory_) return "bytes " + content_hash(*memory_);
  if (make_) return "made " + content_hash(made_key_);
  return is_file() ? path_.string() : fmt::format("{}\n{} {}", path_.string(), offset_, size_);
}

bool is_data_url(std::string_view text) { return lower(text.substr(0, kScheme.size())) == kScheme; }

MediaBytes from_data_url(std::string_view url, Modality modality) {
  const auto comma = url.find(',');
  const auto head = lower(url.substr(0, comma));
  if (comma == std::string_view::npos || !head.ends_with(kBase64))
    fail(ErrorKind::data, fmt::format("'{}' is not a data: URL in base64", shown(url, 40)),
         "write data:image/png;base64, and the bytes");
  const auto type = head.substr(kScheme.size(), head.find(';') - kScheme.size());
  check_type(type, modality);
  auto bytes = from_base64(url.substr(comma + 1));
  if (!bytes)
    fail(ErrorKind::data, fmt::format("what follows '{},' is not base64", shown(head, 60)),
         "write it without line ends, and with its padding");
  if (bytes->empty()) fail(ErrorKind::data, fmt::format("the data: URL '{},' is empty", shown(head, 60)));
  auto name = fmt::format("data:{} ({})", type, human_bytes(static_cast<double>(bytes->size())));
  return MediaBytes::memory(std::move(*bytes), std::move(name));
}

}  // namespace antiphon
