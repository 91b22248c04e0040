// Tables in Parquet: a row is a record, media are in it. Sources: Hugging Face, docs/hub/datasets-image and
// datasets-audio (columns of {bytes, path}).
#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/shown.h>
#include <antiphon/component/record/joined.h>
#include <antiphon/component/record/shards.h>
#include <antiphon/component/register.h>
#include <antiphon/plugin/manifest.h>

#include "table_file.h"
#include "table_sink.h"

namespace antiphon::parquet_table {
namespace {

struct ParquetOptions {
  config::Value rename = config::Value::Table{};
};

const config::Table<ParquetOptions>& parquet_table_options() {
  using O = ParquetOptions;
  static const auto* table = new config::Table<O>(config::Table<O>("parquet").field(
      "rename", &O::rename, "a table: key of the record = column, { image = \"jpg\" }"));
  return *table;
}

Renamed renamed_by(const config::Value& rename) {
  Renamed renamed;
  const auto* table = rename.get_if<config::Value::Table>();
  if (!table) fail(ErrorKind::config, "parquet: 'rename' is not a table", "write { image = \"jpg\" }");
  for (const auto& [key, column] : *table) {
    const auto* name = column.get_if<std::string>();
    if (!name) fail(ErrorKind::config, fmt::format("parquet: 'rename.{}' is not the name of a column", shown(key)));
    if (!renamed.emplace(*name, key).second)
      fail(ErrorKind::config, fmt::format("parquet: 'rename' gives the column '{}' two names", shown(*name)));
  }
  return renamed;
}

}  // namespace

class Parquet : public DataSource {
 public:
  explicit Parquet(const ParquetOptions& options) : renamed_(renamed_by(options.rename)) {}
  bool recognises(const FileStart& start) const override {
    if (records::is_pattern(start.path)) return start.path.extension() == ".parquet";
    return start.bytes.starts_with("PAR1");
  }
  std::unique_ptr<Records> open(const std::filesystem::path& path) const override {
    const auto cursors = std::make_shared<Cursors>();
    return records::open_joined(records::files_of(path), [&](const auto& file) -> std::unique_ptr<Records> {
      return std::make_unique<TableFile>(file, renamed_, cursors);
    });
  }
  std::string written_extension() const override { return ".parquet"; }
  std::unique_ptr<RecordSink> create(const std::filesystem::path& path) const override {
    return std::make_unique<TableSink>(path);
  }

 private:
  Renamed renamed_;
};

}  // namespace antiphon::parquet_table

ANTIPHON_PLUGIN(parquet, "0.1.0") {
  using namespace antiphon::parquet_table;
  antiphon::register_component<antiphon::DataSource, Parquet>(
      registrar, "parquet", "tables in Parquet, as Hugging Face's data sets are", parquet_table_options());
}
