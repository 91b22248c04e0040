// The rows of one Parquet file, by number.
#pragma once
#include <set>

#include <parquet/metadata.h>

#include "byte_file.h"
#include "cursors.h"
#include "row.h"

namespace antiphon::parquet_table {

class TableFile : public Records {
 public:
  // Reads the footer alone; columns that are ignored are never read. `cursors` are those of the set. Error(data) if it
  // is damaged, or if there is no row.
  TableFile(const std::filesystem::path& path, const std::set<std::string>& ignored, std::shared_ptr<Cursors> cursors);
  ~TableFile() override;
  std::optional<int64_t> size() const override { return size_; }
  // Decodes the rows of its row group up to it, some at once, or goes on from an earlier row. Waits until no other
  // thread reads of the set, if there is too little memory beside them.
  DataRecord record(int64_t index) const override;
  int64_t number(int64_t index) const override { return index + 1; }
  // All that are in the file.
  std::set<std::string> columns() const;
  // Of the footer, which has sizes, places and statistics of all columns.
  std::string fingerprint() const override { return fingerprint_; }

 private:
  DataRecord read(int64_t index) const;
  std::unique_ptr<Cursor> open_cursor(int group) const;
  void advance(Cursor& cursor, int64_t row) const;
  template <class Call>
  auto guarded(Call call) const;

  std::shared_ptr<Cursors> cursors_;  // outlives all that is read from its pool
  std::shared_ptr<ByteFile> file_;
  std::shared_ptr<parquet::FileMetaData> footer_;
  std::vector<int> read_columns_;    // Parquet's, of which structs and lists may have several
  std::vector<int64_t> first_rows_;  // of the row groups
  int64_t size_ = 0;
  std::string fingerprint_;
};

}  // namespace antiphon::parquet_table
