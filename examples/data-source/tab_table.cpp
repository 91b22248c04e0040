// A table as a data source: each row is a record, with the names of the first line as its keys.
#include <antiphon/base/files.h>
#include <antiphon/base/strings.h>
#include <antiphon/component/data_source.h>
#include <antiphon/component/register.h>
#include <antiphon/plugin/manifest.h>

#include <nlohmann/json.hpp>

namespace tab_table {

class Rows : public antiphon::Records {
 public:
  explicit Rows(const std::filesystem::path& path) {
    const auto bytes = antiphon::read_file(path, antiphon::ErrorKind::data);
    fingerprint_ = antiphon::content_hash(bytes);
    for (const auto& line : antiphon::split(bytes, '\n'))
      if (!line.empty()) rows_.push_back(antiphon::split(line, '\t'));
    if (rows_.size() < 2)
      antiphon::fail(antiphon::ErrorKind::data, path.string() + " has no rows",
                     "name the columns first, then write a row a line");
  }

  std::optional<int64_t> size() const override { return static_cast<int64_t>(rows_.size()) - 1; }
  int64_t number(int64_t index) const override { return index + 1; }
  antiphon::DataRecord record(int64_t index) const override {
    const auto& names = rows_.front();
    const auto& row = rows_[static_cast<size_t>(index) + 1];
    if (row.size() != names.size())
      antiphon::fail(antiphon::ErrorKind::data, "the row has not as many texts as there are columns");
    auto object = nlohmann::ordered_json::object();
    for (size_t i = 0; i < row.size(); ++i) object[names[i]] = row[i];
    return {object.dump(), number(index)};
  }
  std::string fingerprint() const override { return fingerprint_; }

 private:
  std::vector<std::vector<std::string>> rows_;
  std::string fingerprint_;
};

class TabTable : public antiphon::DataSource {
 public:
  bool recognises(const antiphon::FileStart& start) const override {
    return start.path.extension() == ".tsv" && start.bytes.find('\t') != std::string_view::npos;
  }
  std::unique_ptr<antiphon::Records> open(const std::filesystem::path& path) const override {
    return std::make_unique<Rows>(path);
  }
};

}  // namespace tab_table

ANTIPHON_PLUGIN(tab_table, "0.1.0") {
  antiphon::register_component<antiphon::DataSource, tab_table::TabTable>(
      registrar, "tab_table", "a table of texts between tabs, whose first line names the columns");
}
