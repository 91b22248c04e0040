// Writes records as a table: a column for each key, media in columns of {bytes, path}, as Hugging Face's data sets are.
#pragma once
#include <filesystem>

#include <arrow/io/file.h>
#include <parquet/arrow/writer.h>

#include "column_type.h"

namespace antiphon::parquet_table {

class TableSink : public RecordSink {
 public:
  // `group_bytes`: of records and media, about, in a row group, which is held in memory.
  explicit TableSink(const std::filesystem::path& path, int64_t group_bytes = 64 << 20);
  void describe(const DataRecord& record) override;
  void add(const DataRecord& record) override;
  void finish() override;

 private:
  void open();
  void write_group();
  template <class Call>
  auto written(Call call) const;

  std::filesystem::path path_;
  const int64_t group_bytes_;
  ColumnType type_;
  std::unique_ptr<arrow::ArrayBuilder> rows_;  // structs, of all columns
  int64_t held_bytes_ = 0;
  std::shared_ptr<arrow::io::FileOutputStream> out_;
  std::unique_ptr<parquet::arrow::FileWriter> writer_;
};

}  // namespace antiphon::parquet_table
