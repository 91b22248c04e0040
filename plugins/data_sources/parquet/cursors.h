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

#include "many_or_one.h"

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
  explicit Cursors(int64_t most_bytes = int64_t{4} << 30, int64_t kept_bytes = 256 << 20)
      : kept_bytes_(kept_bytes), pool_(&counted_, most_bytes) {}

  // What the files of the set allocate from; at most most_bytes, which threads that read at the same time share.
  arrow::MemoryPool* pool() { return &pool_; }
  // Whoever reads is in; whoever has found no memory beside others is in alone.
  ManyOrOne& reading() { return reading_; }
  // The nearest one at or before the row, which is the caller's then; null if there is none.
  std::unique_ptr<Cursor> take(const TableFile& table, int group, int64_t row);
  // Closes those that were kept first as long as all that the set holds is more than kept_bytes.
  void keep(std::unique_ptr<Cursor> cursor);
  // Closes those of a file; all.
  void close(const TableFile& table);
  void close_all();

 private:
  const int64_t kept_bytes_;
  arrow::ProxyMemoryPool counted_{arrow::system_memory_pool()};
  arrow::CappedMemoryPool pool_;
  ManyOrOne reading_;
  std::mutex mutex_;
  std::list<std::unique_ptr<Cursor>> kept_;  // the latest first
};

}  // namespace antiphon::parquet_table
