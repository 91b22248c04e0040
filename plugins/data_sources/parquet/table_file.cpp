// Sources: Apache Parquet format (README.md, thrift footer); Arrow C++, parquet/arrow/reader.h.
#include "table_file.h"

#include <parquet/file_reader.h>

#include <fmt/format.h>

#include <antiphon/base/shown.h>

#include <algorithm>

namespace antiphon::parquet_table {
namespace {

constexpr int64_t kBatchBytes = 8 << 20;     // of rows that are decoded at once
constexpr int64_t kMostRows = 256;           // in a batch
constexpr int64_t kStreamBytes = 256 << 10;  // read ahead of a column

}  // namespace

// What Arrow finds wrong is the file's fault, unless the disk failed. Error(memory) if the pool has no more.
template <class Call>
auto TableFile::guarded(Call call) const {
  const auto damaged = [&](const std::string& what, bool memory = false) {
    file_->rethrow();
    fail(memory ? ErrorKind::memory : ErrorKind::data,
         fmt::format("{}: {}", shown(file_->path().string()), shown(what, kWordsLetters)),
         memory ? "write it with smaller row groups and pages: what is read at once is too much"
                : "fetch the file again, or write it anew");
  };
  try {
    auto result = call();
    if (!result.ok()) damaged(result.status().ToString(), result.status().IsOutOfMemory());
    return std::move(result).ValueUnsafe();
  } catch (const Error&) {
    throw;
  } catch (const parquet::ParquetStatusException& error) {
    damaged(error.what(), error.status().IsOutOfMemory());
    throw;
  } catch (const std::exception& error) {
    damaged(error.what());
    throw;
  }
}

TableFile::TableFile(const std::filesystem::path& path, const std::set<std::string>& ignored,
                     std::shared_ptr<Cursors> cursors)
    : cursors_(std::move(cursors)), file_(std::make_shared<ByteFile>(path)) {
  const auto size = static_cast<uint64_t>(file_->GetSize().ValueOrDie());
  if (size == 0) fail(ErrorKind::data, shown(path.string()) + " is empty", "fetch the file again");
  footer_ = guarded([&]() -> arrow::Result<std::shared_ptr<parquet::FileMetaData>> {
    return parquet::ParquetFileReader::Open(file_, parquet::ReaderProperties(cursors_->pool()))->metadata();
  });
  for (int k = 0; k < footer_->num_columns(); ++k)
    if (!ignored.contains(footer_->schema()->GetColumnRoot(k)->name())) read_columns_.push_back(k);
  for (int g = 0; g < footer_->num_row_groups(); ++g) {
    first_rows_.push_back(size_);
    const auto rows = footer_->RowGroup(g)->num_rows();
    if (rows < 0 || rows > (int64_t{1} << 40))
      fail(ErrorKind::data, shown(path.string()) + " has a row group of no possible number of rows");
    size_ += rows;
  }
  if (size_ == 0) fail(ErrorKind::data, shown(path.string()) + " has no rows");
  const auto tail = file_->read(size - std::min<uint64_t>(size, footer_->size() + 8), footer_->size() + 8);
  fingerprint_ = content_hash(fmt::format("{} {}", size, content_hash(tail)));
}

TableFile::~TableFile() { cursors_->close(*this); }

std::set<std::string> TableFile::columns() const {
  std::set<std::string> names;
  for (int k = 0; k < footer_->num_columns(); ++k) names.insert(footer_->schema()->GetColumnRoot(k)->name());
  return names;
}

std::unique_ptr<Cursor> TableFile::open_cursor(int group) const {
  const auto meta = footer_->RowGroup(group);
  const auto row_bytes = std::max<int64_t>(1, meta->total_byte_size() / std::max<int64_t>(1, meta->num_rows()));
  return guarded([&]() -> arrow::Result<std::unique_ptr<Cursor>> {
    parquet::ReaderProperties reading(cursors_->pool());
    reading.enable_buffered_stream(), reading.set_buffer_size(kStreamBytes);
    parquet::ArrowReaderProperties arrow_reading(/*use_threads=*/false);
    arrow_reading.set_pre_buffer(false);
    arrow_reading.set_batch_size(std::clamp<int64_t>(kBatchBytes / row_bytes, 1, kMostRows));
    parquet::arrow::FileReaderBuilder builder;
    ARROW_RETURN_NOT_OK(builder.Open(file_, reading, footer_));
    builder.memory_pool(cursors_->pool())->properties(arrow_reading);
    auto cursor = std::make_unique<Cursor>(Cursor{this, group, {}, {}, {}});
    ARROW_ASSIGN_OR_RAISE(cursor->file, builder.Build());
    ARROW_ASSIGN_OR_RAISE(cursor->reader, cursor->file->GetRecordBatchReader({group}, read_columns_));
    return cursor;
  });
}

void TableFile::advance(Cursor& cursor, int64_t row) const {
  while (row >= cursor.end()) {
    const auto begin = cursor.end();
    cursor.batch = guarded([&] { return cursor.reader->Next(); });
    if (!cursor.batch || cursor.batch->num_rows() == 0)
      fail(ErrorKind::data,
           fmt::format("{}: a row group ends before its {} rows", shown(file_->path().string()), row + 1),
           "fetch the file again");
    cursor.begin = begin;
  }
}

// Which records are read must not depend on what other threads read meanwhile. One that is too large alone is at fault
// itself.
DataRecord TableFile::record(int64_t index) const {
  try {
    const ManyOrOne::Many many(cursors_->reading());
    return read(index);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::memory) throw;
  }
  const ManyOrOne::One alone(cursors_->reading());
  cursors_->close_all();
  try {
    return read(index);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::memory) throw;
    fail(ErrorKind::data, error.message(), error.fix());
  }
}

DataRecord TableFile::read(int64_t index) const {
  const auto group = static_cast<int>(std::ranges::upper_bound(first_rows_, index) - first_rows_.begin()) - 1;
  const auto row = index - first_rows_[static_cast<size_t>(group)];
  auto cursor = cursors_->take(*this, group, row);
  if (!cursor) cursor = open_cursor(group);
  advance(*cursor, row);
  const auto batch = cursor->batch;
  const auto begin = cursor->begin;
  cursors_->keep(std::move(cursor));
  auto record = record_of(*batch, row - begin);
  record.number = index + 1;
  return record;
}

}  // namespace antiphon::parquet_table
