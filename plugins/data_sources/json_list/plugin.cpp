// A file that is one JSON list of objects, as LLaVA's and LLaMA-Factory's are. Its elements are not parsed: they are
// cut at the commas that stand in no string and no inner bracket. Media may lie in tar archives.
#include <antiphon/base/error.h>
#include <antiphon/base/json.h>
#include <antiphon/base/shown.h>
#include <antiphon/component/record/indexed_file.h>
#include <antiphon/component/record/json_list.h>
#include <antiphon/component/record/with_archives.h>
#include <antiphon/component/register.h>
#include <antiphon/plugin/manifest.h>

namespace antiphon::json_list {
namespace {

class Elements : public records::RecordCutter {
 public:
  size_t end_in(std::string_view bytes) override {
    for (size_t i = 0; i < bytes.size(); ++i) {
      const int depth = depth_.after(bytes[i]);
      if (depth < 0) finished_ = true;
      if (finished_ || (depth == 0 && bytes[i] == ',' && !depth_.quoted())) return i;
    }
    return std::string_view::npos;
  }
  bool finished() const override { return finished_; }
  bool may_stop() const override { return false; }

 private:
  JsonDepth depth_;  // within the list
  bool finished_ = false;
};

struct JsonListOptions {
  std::string archives;
};

const config::Table<JsonListOptions>& json_list_table() {
  using O = JsonListOptions;
  static const auto* table = new config::Table<O>(
      config::Table<O>("json_list")
          .field("archives", &O::archives,
                 "tar archives that hold media of the records: images_{0..9}.tar; empty: files do"));
  return *table;
}

}  // namespace

class JsonList : public DataSource {
 public:
  explicit JsonList(const JsonListOptions& options) : archives_(options.archives) {}
  bool recognises(const FileStart& start) const override { return records::begins_list(start); }
  std::unique_ptr<Records> open(const std::filesystem::path& path) const override {
    const auto start = OpenFile(path, ErrorKind::data).read(0, kFileStartBytes);
    const auto bracket = start.find_first_not_of(" \t\r\n", records::byte_order_mark(start));
    if (bracket == std::string::npos || start[bracket] != '[')
      fail(ErrorKind::data, shown(path.string()) + " is not one JSON list",
           "use source = \"json_lines\" for one record a line");
    return records::with_archives(
        std::make_unique<records::IndexedFile>(
            path, bracket + 1, []() -> std::unique_ptr<records::RecordCutter> { return std::make_unique<Elements>(); },
            "list"),
        archives_);
  }

 private:
  std::string archives_;
};

}  // namespace antiphon::json_list

ANTIPHON_PLUGIN(json_list, "0.1.0") {
  antiphon::register_component<antiphon::DataSource, antiphon::json_list::JsonList>(
      registrar, "json_list", "a file that is one JSON list of objects, as LLaVA's are",
      antiphon::json_list::json_list_table());
}
