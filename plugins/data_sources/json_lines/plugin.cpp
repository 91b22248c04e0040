// JSON lines (jsonlines.org): a record on each line. Lines of white space count and are not records. A pattern of
// several files is one set, each packed by gzip or not; media may lie in tar archives (NeMo's tarred manifests,
// Lhotse's Shar).
#include <antiphon/component/record/indexed_file.h>
#include <antiphon/component/record/joined.h>
#include <antiphon/component/record/json_list.h>
#include <antiphon/component/record/shards.h>
#include <antiphon/component/record/stepped.h>
#include <antiphon/component/record/with_archives.h>
#include <antiphon/component/register.h>
#include <antiphon/plugin/manifest.h>

#include <algorithm>

#include "gzip_lines.h"

namespace antiphon::json_lines {
namespace {

class Lines : public records::RecordCutter {
 public:
  size_t end_in(std::string_view bytes) override { return bytes.find('\n'); }
};

// A line that begins as a record does, before any byte that no text has: archives hold such lines, too.
bool has_object(std::string_view text) {
  text = text.substr(0, text.find('\0'));
  for (size_t begin = 0; begin != std::string_view::npos;) {
    const auto first = text.find_first_not_of(" \t\r\n", begin);
    if (first == std::string_view::npos) return false;
    if (text[first] == '{') return true;
    begin = text.find('\n', first);
  }
  return false;
}

struct JsonLinesOptions {
  std::string archives;
};

const config::Table<JsonLinesOptions>& json_lines_table() {
  using O = JsonLinesOptions;
  static const auto* table = new config::Table<O>(
      config::Table<O>("json_lines")
          .field("archives", &O::archives,
                 "tar archives that hold media of the records: audio_{0..9}.tar; empty: files do"));
  return *table;
}

bool is_lines(const std::filesystem::path& name) { return name.extension() == ".jsonl" || name.extension() == ".json"; }
bool is_tar(const std::filesystem::path& name) {
  return name.extension() == ".tgz" || name.stem().extension() == ".tar";
}

// Opens the files of a set, whose memory does not grow with their number.
class Opening {
 public:
  explicit Opening(size_t files)
      : places_(std::clamp<size_t>(4096 / files, 2, 1024)),
        positions_(std::clamp<size_t>((1 << 20) / files, 64, 1 << 16)) {}

  std::unique_ptr<Records> as_it_is(const std::filesystem::path& path) const {
    const auto start = OpenFile(path, ErrorKind::data).read(0, 3);
    if (is_gzip(start)) return std::make_unique<GzipLines>(path, idle_, places_);
    const auto begin = records::byte_order_mark(start);
    return std::make_unique<records::IndexedFile>(
        path, begin, []() -> std::unique_ptr<records::RecordCutter> { return std::make_unique<Lines>(); }, "lines");
  }
  // By the number of a record it is joined to others, and its media are found.
  std::unique_ptr<Records> sized(const std::filesystem::path& path) const {
    return records::with_size(as_it_is(path), path.string(), positions_);
  }

 private:
  std::shared_ptr<GzipLines::Idle> idle_ = GzipLines::make_idle();
  size_t places_, positions_;  // of each file
};

bool has_lines(const FileStart& start) {
  return !records::begins_list(start) && has_object(start.bytes.substr(records::byte_order_mark(start.bytes)));
}

}  // namespace

class JsonLines : public DataSource {
 public:
  explicit JsonLines(const JsonLinesOptions& options) : archives_(options.archives) {}
  bool recognises(const FileStart& start) const override {
    if (records::is_pattern(start.path))
      return is_lines(start.path) || (start.path.extension() == ".gz" && is_lines(start.path.stem()));
    if (is_gzip(start.bytes)) return !is_tar(start.path) && has_lines({start.path, unpacked(start.bytes)});
    return has_lines(start);
  }
  std::unique_ptr<Records> open(const std::filesystem::path& path) const override {
    const auto files = records::files_of(path);
    const Opening opening(files.size());
    if (files.size() == 1 && archives_.empty()) return opening.as_it_is(files.front());
    return records::with_archives(records::open_joined(files, [&](const auto& file) { return opening.sized(file); }),
                                  archives_);
  }

 private:
  std::string archives_;
};

}  // namespace antiphon::json_lines

ANTIPHON_PLUGIN(json_lines, "0.1.0") {
  using namespace antiphon::json_lines;
  antiphon::register_component<antiphon::DataSource, JsonLines>(registrar, "json_lines", "a JSON object on each line",
                                                                json_lines_table());
}
