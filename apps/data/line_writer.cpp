#include <data/writers.h>

#include <fmt/format.h>

#include <antiphon/base/files.h>
#include <antiphon/base/paths.h>
#include <antiphon/media/limits.h>
#include <data/written_file.h>

namespace antiphon::apps {
namespace {

namespace fs = std::filesystem;

class Lines : public RecordWriter {
 public:
  // `list`: one JSON list in place of lines.
  Lines(const fs::path& path, bool list)
      : path_(path),
        media_(path.parent_path() / (path.stem().string() + "_media")),
        list_(list),
        out_((check_new(path), check_new(media_), temporary_of(path))) {}
  std::string add(const MediaRef& ref) override {
    if (ref.bytes.is_file())
      return path_text(absolute_path(ref.bytes.file(), ErrorKind::data).lexically_normal(), ErrorKind::config);
    const auto bytes = ref.bytes.read(media::MediaLimits{}.file_bytes);
    const auto name = fmt::format("{:08}{}", count_, extension_for(ref, bytes));
    auto said = path_text(media_.filename() / name, ErrorKind::config);
    if (count_++ == 0) make_folder(media_, ErrorKind::config);
    write_file_atomic(media_ / name, bytes, ErrorKind::config);
    return said;
  }
  void add_record(const nlohmann::ordered_json& record) override {
    if (list_)
      out_.write((records_ == 0 ? "[\n" : ",\n") + record.dump());
    else
      out_.write(record.dump() + "\n");
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

}  // namespace

std::unique_ptr<RecordWriter> make_line_writer(const fs::path& path, bool list) {
  return std::make_unique<Lines>(path, list);
}

}  // namespace antiphon::apps
