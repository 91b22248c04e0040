#include <antiphon/component/record/kept_index.h>

#include <sys/stat.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <antiphon/base/error.h>
#include <antiphon/base/files.h>
#include <antiphon/base/log.h>
#include <antiphon/base/paths.h>
#include <antiphon/base/shown.h>
#include <antiphon/base/writable.h>

#include <atomic>
#include <cerrno>
#include <cstring>

namespace antiphon::records {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

constexpr size_t kDigits = 32;  // of content_hash()
std::atomic<bool> keeping{false};
KeepIndexes::Counts counts;

// What an index is of.
json described(const std::vector<fs::path>& files, const std::string& kind) {
  json all = json::array();
  for (const auto& path : files) {
    struct stat info {};
    if (::stat(path.c_str(), &info) != 0) fail_path(ErrorKind::data, "look at", path, errno);
    all.push_back({path.filename().string(), info.st_size, info.st_mtim.tv_sec, info.st_mtim.tv_nsec});
  }
  return {{"version", 1}, {"kind", kind}, {"files", all}};
}

fs::path place_of(const std::vector<fs::path>& files, const std::string& kind) {
  auto names = kind;
  for (const auto& path : files) names += "\n" + path.filename().string();
  return fmt::format("{}.{}.antiphon-index", files.front().string(), content_hash(names).substr(0, 8));
}

// Reads over what an index is made of, and stops at anything that lies deeper: parsing nests as the input does.
struct Shallow : nlohmann::json_sax<json> {
  int depth = 0;
  bool enter() { return ++depth <= 4; }
  bool leave() { return --depth, true; }
  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool start_object(size_t) override { return enter(); }
  bool key(string_t&) override { return true; }
  bool end_object() override { return leave(); }
  bool start_array(size_t) override { return enter(); }
  bool end_array() override { return leave(); }
  bool parse_error(size_t, const std::string&, const nlohmann::detail::exception&) override { return false; }
};

std::optional<KeptIndex> read(const fs::path& place, const json& expected) {
  const auto bytes = read_file(place, ErrorKind::data);
  const auto content = std::string_view(bytes).substr(std::min(kDigits, bytes.size()));
  if (content_hash(content) != bytes.substr(0, kDigits)) return std::nullopt;
  Shallow shallow;
  if (!json::sax_parse(content, &shallow, json::input_format_t::cbor)) return std::nullopt;
  const auto whole = json::from_cbor(content, true, /*allow_exceptions=*/false);
  if (!whole.is_object() || whole.value("of", json()) != expected) return std::nullopt;
  const auto fingerprint = whole.value("fingerprint", json()), numbers = whole.value("numbers", json());
  if (!fingerprint.is_string() || !numbers.is_binary()) return std::nullopt;
  const auto& raw = numbers.get_binary();
  KeptIndex index{fingerprint.get<std::string>(), std::vector<int64_t>(raw.size() / sizeof(int64_t))};
  std::memcpy(index.numbers.data(), raw.data(), index.numbers.size() * sizeof(int64_t));
  if (keeping) ++counts.current, counts.bytes += static_cast<int64_t>(bytes.size());
  return index;
}

}  // namespace

std::optional<KeptIndex> kept_index(const std::vector<fs::path>& files, const std::string& kind) {
  const auto place = place_of(files, kind);
  if (keeping) check_can_write(place, ErrorKind::config);  // before the files are read
  if (!path_exists(place, ErrorKind::data)) return std::nullopt;
  auto index = read(place, described(files, kind));
  if (index) {
    log::debug(fmt::format("index {}", shown(place.string())));
  } else if (!keeping) {
    log::warning(
        fmt::format("{} is damaged, or of files that have changed since: it is not used\n  fix: run `antiphon "
                    "data index` again, or remove it",
                    shown(place.string())));
  }
  return index;
}

void keep_index(const std::vector<fs::path>& files, const std::string& kind, const KeptIndex& index) {
  if (!keeping) return;
  const auto* raw = reinterpret_cast<const uint8_t*>(index.numbers.data());
  json whole{{"of", described(files, kind)}, {"fingerprint", index.fingerprint}};
  whole["numbers"] = json::binary({raw, raw + index.numbers.size() * sizeof(int64_t)});
  std::string content;
  json::to_cbor(whole, content);
  write_file_atomic(place_of(files, kind), content_hash(content) + content, ErrorKind::config);
  ++counts.built, counts.bytes += static_cast<int64_t>(content.size() + kDigits);
}

KeepIndexes::KeepIndexes() { keeping = true; }

KeepIndexes::~KeepIndexes() { keeping = false; }

KeepIndexes::Counts KeepIndexes::take() { return std::exchange(counts, {}); }

}  // namespace antiphon::records
