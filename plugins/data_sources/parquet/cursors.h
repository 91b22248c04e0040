// Places that stay open in the files of a set, so that reading goes on from there: as many as their memory allows,
// however many files there are. Each holds a page of each column, and rows that are decoded already.
#pragma once
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>

#include <arrow/memory_pool.h>
#include <arrow/record_batch.h>
#include <parquet/arrow/reader.h>

namespace antiphon::parquet_table {

class TableFile;

// A place in a row group: `batch` holds the rows from `begin` on, the reader those after it.
struct Cursor {
  const TableFile* table;
  int group;
  std::unique_ptr<parquet::arrow::FileReader> file;
  std::unique_ptr<arrow::RecordBatchReader> reader;
  std::shared_ptr<arrow::RecordBatch> batch;
  int64_t begin = 0;
  int64_t end() const { return begin + (batch ? batch->num_rows() : 0); }
};

class Cursors {
 public:
  // What the files of the set allocate from; at most kMostBytes.
  arrow::MemoryPool* pool() { return &pool_; }
  // The nearest one at or before the row, which is the caller's then; null if there is none.
  std::unique_ptr<Cursor> take(const TableFile& table, int group, int64_t row);
  // Closes those that were kept first as long as all that the set holds is more than kKeptBytes.
  void keep(std::unique_ptr<Cursor> cursor);
  // Closes those of a file.
  void close(const TableFile& table);

 private:
  static constexpr int64_t kMostBytes = int64_t{4} << 30, kKeptBytes = 256 << 20;

  arrow::ProxyMemoryPool counted_{arrow::system_memory_pool()};
  arrow::CappedMemoryPool pool_{&counted_, kMostBytes};
  std::mutex mutex_;
  std::list<std::unique_ptr<Cursor>> kept_;  // the latest first
};

}  // namespace antiphon::parquet_table
