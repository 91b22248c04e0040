// The rows of one Parquet file, by number.
#pragma once
#include <list>
#include <mutex>

#include <arrow/memory_pool.h>
#include <parquet/metadata.h>

#include "byte_file.h"
#include "row.h"

namespace antiphon::parquet_table {

class TableFile : public Records {
 public:
  // Reads the footer alone. Error(data) if it is damaged, or if there is no row.
  TableFile(const std::filesystem::path& path, Renamed renamed);
  ~TableFile() override;
  std::optional<int64_t> size() const override { return size_; }
  // Decodes the rows of its row group up to it, some at once, or goes on from an earlier row. At most kMostBytes.
  DataRecord record(int64_t index) const override;
  int64_t number(int64_t index) const override { return index + 1; }
  // Of the footer, which has sizes, places and statistics of all columns.
  std::string fingerprint() const override { return fingerprint_; }

 private:
  struct Cursor;
  std::unique_ptr<Cursor> take_cursor(int group, int64_t row) const;
  std::unique_ptr<Cursor> open_cursor(int group) const;
  void advance(Cursor& cursor, int64_t row) const;
  void keep(std::unique_ptr<Cursor> cursor) const;
  template <class Call>
  auto guarded(Call call) const;

  std::unique_ptr<arrow::CappedMemoryPool> pool_;  // outlives all that is read
  std::shared_ptr<ByteFile> file_;
  Renamed renamed_;
  std::shared_ptr<parquet::FileMetaData> footer_;
  std::vector<int64_t> first_rows_;  // of the row groups
  int64_t size_ = 0;
  std::string fingerprint_;
  mutable std::mutex mutex_;
  mutable std::list<std::unique_ptr<Cursor>> cursors_;  // the latest first
};

}  // namespace antiphon::parquet_table
