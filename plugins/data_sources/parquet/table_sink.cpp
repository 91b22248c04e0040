// Sources: Arrow C++, parquet/arrow/writer.h; Hugging Face, datasets/src/datasets/arrow_writer.py (the schema's
// metadata that says which columns are media).
#include "table_sink.h"

#include <arrow/record_batch.h>
#include <arrow/table.h>
#include <arrow/util/compression.h>
#include <arrow/util/key_value_metadata.h>

#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/shown.h>

namespace antiphon::parquet_table {
namespace {

constexpr int64_t kGroupRows = 10'000;  // at most

std::shared_ptr<arrow::Schema> schema_of(const ColumnType& type) {
  const Json metadata{{"info", {{"features", huggingface_feature(type, "")}}}};
  return arrow::schema(arrow_type(type)->fields(), arrow::key_value_metadata({"huggingface"}, {metadata.dump()}));
}

// Words of a dictionary would hold each medium once more in memory.
std::shared_ptr<parquet::WriterProperties> properties() {
  parquet::WriterProperties::Builder builder;
  if (arrow::util::Codec::IsAvailable(arrow::Compression::SNAPPY)) builder.compression(parquet::Compression::SNAPPY);
  return builder.disable_dictionary()->build();
}

}  // namespace

// What fails here is the disk, or no memory.
template <class Call>
auto TableSink::written(Call call) const {
  const auto refuse = [&](const std::string& what, bool memory = false) {
    fail(memory ? ErrorKind::memory : ErrorKind::config,
         fmt::format("cannot write {}: {}", shown(path_.string()), shown(what, kWordsLetters)));
  };
  try {
    auto result = call();
    if (!result.ok()) refuse(result.status().ToString(), result.status().IsOutOfMemory());
    return std::move(result).ValueUnsafe();
  } catch (const parquet::ParquetException& error) {
    refuse(error.what());
    throw;
  }
}

TableSink::TableSink(const std::filesystem::path& path, int64_t group_bytes)
    : path_(path),
      group_bytes_(group_bytes),
      out_(written([&] { return arrow::io::FileOutputStream::Open(path.string()); })) {}

void TableSink::describe(const DataRecord& record) { take_in(type_, Json::parse(record.bytes), record.media, ""); }

void TableSink::open() {
  const auto schema = schema_of(type_);
  rows_ = written([&] { return arrow::MakeBuilder(arrow_type(type_)); });
  writer_ = written([&] {
    return parquet::arrow::FileWriter::Open(*schema, arrow::default_memory_pool(), out_, properties(),
                                            parquet::ArrowWriterProperties::Builder().store_schema()->build());
  });
}

void TableSink::add(const DataRecord& record) {
  if (!writer_) open();
  held_bytes_ += append(*rows_, type_, Json::parse(record.bytes), record.media);
  if (held_bytes_ >= group_bytes_ || rows_->length() >= kGroupRows) write_group();
}

void TableSink::write_group() {
  held_bytes_ = 0;
  written([&]() -> arrow::Result<bool> {
    ARROW_ASSIGN_OR_RAISE(const auto rows, rows_->Finish());
    ARROW_ASSIGN_OR_RAISE(const auto batch, arrow::RecordBatch::FromStructArray(rows));
    ARROW_ASSIGN_OR_RAISE(const auto table, arrow::Table::FromRecordBatches({batch}));
    ARROW_RETURN_NOT_OK(writer_->WriteTable(*table, std::max<int64_t>(1, table->num_rows())));
    return true;
  });
}

void TableSink::finish() {
  if (!writer_) open();
  if (rows_->length() > 0) write_group();
  written([&]() -> arrow::Result<bool> {
    ARROW_RETURN_NOT_OK(writer_->Close());
    ARROW_RETURN_NOT_OK(out_->Close());
    return true;
  });
}

}  // namespace antiphon::parquet_table
