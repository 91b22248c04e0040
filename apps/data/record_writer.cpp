#include <data/record_writer.h>

#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/files.h>
#include <antiphon/base/paths.h>
#include <antiphon/base/shown.h>
#include <antiphon/media/limits.h>

#include <algorithm>
#include <array>
#include <cctype>

namespace antiphon::apps {
namespace {

namespace fs = std::filesystem;

// What the bytes are, for media that have no file name; empty if it is not known.
std::string extension_of(std::string_view bytes) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 12> kinds{{{"\x89PNG", ".png"},
                                                                                 {"\xff\xd8\xff", ".jpg"},
                                                                                 {"GIF8", ".gif"},
                                                                                 {"BM", ".bmp"},
                                                                                 {"II*", ".tif"},
                                                                                 {"MM", ".tif"},
                                                                                 {"fLaC", ".flac"},
                                                                                 {"OggS", ".ogg"},
                                                                                 {"ID3", ".mp3"},
                                                                                 {"\xff\xfb", ".mp3"},
                                                                                 {"\x1a\x45\xdf\xa3", ".mkv"},
                                                                                 {"\xff\xf1", ".aac"}}};
  if (bytes.starts_with("RIFF")) return bytes.substr(0, 12).ends_with("WEBP") ? ".webp" : ".wav";
  if (bytes.size() > 4 && bytes.substr(4).starts_with("ftyp")) return ".mp4";
  const auto* kind = std::ranges::find_if(kinds, [&](const auto& one) { return bytes.starts_with(one.first); });
  return kind == kinds.end() ? "" : std::string(kind->second);
}

std::string extension_for(const MediaRef& ref, std::string_view bytes) {
  const auto own = ref.bytes.extension();
  const bool plain = own.size() >= 3 && own.size() <= 5 &&
                     std::all_of(own.begin() + 1, own.end(), [](unsigned char c) { return std::isalnum(c); });
  const auto found = plain ? own : extension_of(bytes);
  if (found.empty())
    fail(ErrorKind::data,
         fmt::format("'{}' has no extension, and its bytes do not say what it is", shown(ref.bytes.name())));
  return found;
}

void check_new(const fs::path& path) {
  std::error_code ignored;
  if (fs::exists(path, ignored))
    fail(ErrorKind::config, shown(path.string()) + " is there already", "name another file, or remove it first");
}

class Out {
 public:
  explicit Out(const fs::path& path) : path_(path), file_(path, std::ios::binary) { check(); }
  void write(std::string_view bytes) { file_.write(bytes.data(), static_cast<std::streamsize>(bytes.size())), check(); }
  void close() { file_.close(), check(); }

 private:
  void check() {
    if (!file_) fail_path(ErrorKind::config, "write", path_, errno);
  }
  fs::path path_;
  std::ofstream file_;
};

fs::path temporary_of(const fs::path& path) { return path.string() + ".part"; }

class Lines : public RecordWriter {
 public:
  // `list`: one JSON list in place of lines.
  Lines(const fs::path& path, bool list)
      : path_(path),
        media_(path.parent_path() / (path.stem().string() + "_media")),
        list_(list),
        out_((check_new(path), check_new(media_), temporary_of(path))) {}
  std::string add(const MediaRef& ref) override {
    if (ref.bytes.is_file()) return fs::absolute(ref.bytes.file()).lexically_normal().string();
    const auto bytes = ref.bytes.read(media::MediaLimits{}.file_bytes);
    if (count_ == 0) fs::create_directories(media_);
    const auto name = fmt::format("{:08}{}", count_++, extension_for(ref, bytes));
    write_file_atomic(media_ / name, bytes, ErrorKind::config);
    return (media_.filename() / name).string();
  }
  void add_record(const std::string& json) override {
    if (list_)
      out_.write((records_ == 0 ? "[\n" : ",\n") + json);
    else
      out_.write(json + "\n");
    ++records_;
  }
  std::vector<File> finish() override {
    if (list_) out_.write(records_ == 0 ? "[]\n" : "\n]\n");
    out_.close();
    return {{temporary_of(path_), path_}};
  }
  void discard() noexcept override {
    std::error_code ignored;
    fs::remove(temporary_of(path_), ignored);
    if (count_ > 0) fs::remove_all(media_, ignored);
  }

 private:
  fs::path path_, media_;
  bool list_;
  Out out_;
  int64_t count_ = 0, records_ = 0;
};

// A header as POSIX has it; names are ours, and short.
std::string tar_header(const std::string& name, uint64_t size) {
  std::string block(512, '\0');
  const auto put = [&](size_t at, const std::string& text) { block.replace(at, text.size(), text); };
  put(0, name), put(100, "0000644"), put(108, "0000000"), put(116, "0000000"), put(124, fmt::format("{:011o}", size));
  put(136, "00000000000"), put(148, "        "), put(156, "0"), put(257, std::string("ustar\0", 6) + "00");
  unsigned sum = 0;
  for (const unsigned char c : block) sum += c;
  put(148, fmt::format("{:06o}", sum) + '\0');
  return block;
}

class Archives : public RecordWriter {
 public:
  Archives(const fs::path& path, int64_t shard_samples) : path_(path), shard_samples_(shard_samples) { open(); }
  std::string add(const MediaRef& ref) override {
    auto bytes = ref.bytes.read(media::MediaLimits{}.file_bytes);
    pending_.push_back({fmt::format("{}.{}{}", key(), pending_.size(), extension_for(ref, bytes)), std::move(bytes)});
    return pending_.back().first;
  }
  void add_record(const std::string& json) override {
    write(key() + ".json", json);
    for (const auto& [name, bytes] : pending_) write(name, bytes);
    pending_.clear();
    if (++count_ % std::max<int64_t>(1, shard_samples_) == 0 && shard_samples_ > 0) close();
  }
  std::vector<File> finish() override {
    if (out_) close();
    return files_;
  }
  void discard() noexcept override {
    std::error_code ignored;
    for (const auto& file : files_) fs::remove(file.temporary, ignored);
  }

 private:
  std::string key() const { return fmt::format("{:08}", count_); }
  void open() {
    const auto number = shard_samples_ > 0 ? fmt::format("-{:06}", files_.size()) : "";
    const auto path = path_.parent_path() / (path_.stem().string() + number + ".tar");
    check_new(path);
    files_.push_back({temporary_of(path), path});
    out_ = std::make_unique<Out>(files_.back().temporary);
  }
  void close() {
    out_->write(std::string(1024, '\0'));
    out_->close();
    out_.reset();
  }
  void write(const std::string& name, std::string_view bytes) {
    if (!out_) open();
    out_->write(tar_header(name, bytes.size()));
    out_->write(bytes);
    out_->write(std::string((512 - bytes.size() % 512) % 512, '\0'));
  }
  fs::path path_;
  int64_t shard_samples_, count_ = 0;
  std::vector<File> files_;
  std::unique_ptr<Out> out_;
  std::vector<std::pair<std::string, std::string>> pending_;
};

}  // namespace

std::unique_ptr<RecordWriter> make_writer(const fs::path& out, int64_t shard_samples) {
  if (out.extension() == ".tar") return std::make_unique<Archives>(out, shard_samples);
  if (out.extension() != ".jsonl" && out.extension() != ".json")
    fail(ErrorKind::config, fmt::format("'{}' says no form that is written", shown(out.string())),
         "name a .jsonl file or a .json list (media beside them), or a .tar (WebDataset)");
  if (shard_samples > 0) fail(ErrorKind::config, "--shard-samples is for archives", "name a .tar");
  return std::make_unique<Lines>(out, out.extension() == ".json");
}

}  // namespace antiphon::apps
