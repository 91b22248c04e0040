// JSON lines (jsonlines.org): a record on each line. Lines of white space count and are no records.
#include <antiphon/component/record/indexed_file.h>
#include <antiphon/component/record/json_list.h>
#include <antiphon/component/register.h>
#include <antiphon/plugin/manifest.h>

namespace antiphon::json_lines {
namespace {

class Lines : public records::RecordCutter {
 public:
  size_t end_in(std::string_view bytes) override { return bytes.find('\n'); }
};

// A line that begins as a record does.
bool has_object(std::string_view text) {
  for (size_t begin = 0; begin != std::string_view::npos;) {
    const auto first = text.find_first_not_of(" \t\r\n", begin);
    if (first == std::string_view::npos) return false;
    if (text[first] == '{') return true;
    begin = text.find('\n', first);
  }
  return false;
}

}  // namespace

class JsonLines : public DataSource {
 public:
  bool recognises(const FileStart& start) const override {
    return !records::begins_list(start) && has_object(start.bytes.substr(records::byte_order_mark(start.bytes)));
  }
  std::unique_ptr<Records> open(const std::filesystem::path& path) const override {
    const auto begin = records::byte_order_mark(OpenFile(path, ErrorKind::data).read(0, 3));
    return std::make_unique<records::IndexedFile>(
        path, begin, []() -> std::unique_ptr<records::RecordCutter> { return std::make_unique<Lines>(); });
  }
};

}  // namespace antiphon::json_lines

ANTIPHON_PLUGIN(json_lines, "0.1.0") {
  antiphon::register_component<antiphon::DataSource, antiphon::json_lines::JsonLines>(registrar, "json_lines",
                                                                                      "a JSON object on each line");
}
