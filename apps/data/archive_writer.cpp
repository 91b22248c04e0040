#include <data/writers.h>

#include <fmt/format.h>

#include <antiphon/media/limits.h>
#include <data/tar_out.h>

#include <algorithm>

namespace antiphon::apps {
namespace {

namespace fs = std::filesystem;

class Archives : public RecordWriter {
 public:
  Archives(const fs::path& path, int64_t shard_samples) : path_(path), shard_samples_(shard_samples) { open(); }
  std::string add(const MediaRef& ref) override {
    auto bytes = ref.bytes.read(media::MediaLimits{}.file_bytes);
    pending_.push_back({fmt::format("{}.{}{}", key(), pending_.size(), extension_for(ref, bytes)), std::move(bytes)});
    return pending_.back().first;
  }
  void add_record(const nlohmann::ordered_json& record) override {
    write(key() + ".json", record.dump());
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
    out_ = std::make_unique<TarOut>(files_.back().temporary);
  }
  void close() {
    out_->close();
    out_.reset();
  }
  void write(const std::string& name, std::string_view bytes) {
    if (!out_) open();
    out_->write(name, bytes);
  }
  fs::path path_;
  int64_t shard_samples_, count_ = 0;
  std::vector<File> files_;
  std::unique_ptr<TarOut> out_;
  std::vector<std::pair<std::string, std::string>> pending_;
};

}  // namespace

std::unique_ptr<RecordWriter> make_archive_writer(const fs::path& path, int64_t shard_samples) {
  return std::make_unique<Archives>(path, shard_samples);
}

}  // namespace antiphon::apps
