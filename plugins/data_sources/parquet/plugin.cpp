// Tables in Parquet: a row is a record, media are in it. Sources: Hugging Face, docs/hub/datasets-image and
// datasets-audio (columns of {bytes, path}).
#include <antiphon/component/record/joined.h>
#include <antiphon/component/record/shards.h>
#include <antiphon/component/register.h>
#include <antiphon/plugin/manifest.h>

#include "table_file.h"
#include "table_sink.h"

namespace antiphon::parquet_table {

class Parquet : public DataSource {
 public:
  bool recognises(const FileStart& start) const override {
    if (records::is_pattern(start.path)) return start.path.extension() == ".parquet";
    return start.bytes.starts_with("PAR1");
  }
  std::unique_ptr<Records> open(const std::filesystem::path& path) const override { return open_without(path, {}); }
  std::unique_ptr<Records> open_without(const std::filesystem::path& path,
                                        const std::set<std::string>& ignored) const override {
    const auto cursors = std::make_shared<Cursors>();
    return records::open_joined(records::files_of(path), [&](const auto& file) -> std::unique_ptr<Records> {
      return std::make_unique<TableFile>(file, ignored, cursors);
    });
  }
  std::optional<std::set<std::string>> columns(const std::filesystem::path& path) const override {
    std::set<std::string> names;
    for (const auto& file : records::files_of(path))
      names.merge(TableFile(file, {}, std::make_shared<Cursors>()).columns());
    return names;
  }
  std::string written_extension() const override { return ".parquet"; }
  std::unique_ptr<RecordSink> create(const std::filesystem::path& path) const override {
    return std::make_unique<TableSink>(path);
  }
};

}  // namespace antiphon::parquet_table

ANTIPHON_PLUGIN(parquet, "0.1.0") {
  using namespace antiphon::parquet_table;
  antiphon::register_component<antiphon::DataSource, Parquet>(registrar, "parquet",
                                                              "tables in Parquet, as Hugging Face's data sets are");
}
