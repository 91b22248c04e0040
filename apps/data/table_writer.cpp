#include <data/writers.h>

#include <fmt/format.h>

#include <antiphon/data/record_set.h>
#include <antiphon/media/limits.h>
#include <data/written_file.h>

namespace antiphon::apps {
namespace {

namespace fs = std::filesystem;

// What a data source writes.
class Table : public RecordWriter {
 public:
  Table(fs::path path, std::unique_ptr<RecordSink> sink) : path_(std::move(path)), sink_(std::move(sink)) {}
  std::string add(const MediaRef& ref) override {
    auto name = fmt::format("{:08}.{}", count_, record_.media.size());
    std::string bytes;
    if (said_) bytes = ref.bytes.read(media::MediaLimits{}.file_bytes), name += extension_for(ref, bytes);
    record_.media.emplace(name, MediaBytes::memory(std::move(bytes), name));
    return name;
  }
  void add_record(const nlohmann::ordered_json& record) override {
    record_.bytes = record.dump(), record_.number = ++count_;
    said_ ? sink_->add(record_) : sink_->describe(record_);
    record_ = {};
  }
  bool is_table() const override { return true; }
  void all_said() override { said_ = true, count_ = 0; }
  std::vector<File> finish() override {
    sink_->finish();
    return {{temporary_of(path_), path_}};
  }
  void discard() noexcept override {
    std::error_code ignored;
    fs::remove(temporary_of(path_), ignored);
  }

 private:
  fs::path path_;
  std::unique_ptr<RecordSink> sink_;
  DataRecord record_;
  int64_t count_ = 0;
  bool said_ = false;
};

}  // namespace

std::unique_ptr<RecordWriter> make_table_writer(const fs::path& path) {
  check_new(path);
  auto sink = data::create_set(temporary_of(path), path.extension().string());
  return sink ? std::make_unique<Table>(path, std::move(sink)) : nullptr;
}

}  // namespace antiphon::apps
