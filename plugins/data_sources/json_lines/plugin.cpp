// JSON lines (jsonlines.org): a record on each line. Lines of white space count and are no records. A pattern of
// several files is one set; media may lie in tar archives (NeMo's tarred manifests).
#include <antiphon/component/record/indexed_file.h>
#include <antiphon/component/record/joined.h>
#include <antiphon/component/record/json_list.h>
#include <antiphon/component/record/shards.h>
#include <antiphon/component/register.h>
#include <antiphon/plugin/manifest.h>

#include "archives.h"

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

std::unique_ptr<Records> open_one(const std::filesystem::path& path) {
  const auto begin = records::byte_order_mark(OpenFile(path, ErrorKind::data).read(0, 3));
  return std::make_unique<records::IndexedFile>(
      path, begin, []() -> std::unique_ptr<records::RecordCutter> { return std::make_unique<Lines>(); }, "lines");
}

}  // namespace

class JsonLines : public DataSource {
 public:
  explicit JsonLines(const JsonLinesOptions& options) : archives_(options.archives) {}
  bool recognises(const FileStart& start) const override {
    const auto extension = start.path.extension();
    if (records::is_pattern(start.path)) return extension == ".jsonl" || extension == ".json";
    return !records::begins_list(start) && has_object(start.bytes.substr(records::byte_order_mark(start.bytes)));
  }
  std::unique_ptr<Records> open(const std::filesystem::path& path) const override {
    auto all = records::open_joined(records::files_of(path), open_one);
    if (archives_.empty()) return all;
    return std::make_unique<WithArchives>(std::move(all), records::TarIndex(records::files_of(archives_)));
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
