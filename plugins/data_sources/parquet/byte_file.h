// A file as Arrow reads it, with our own treatment of failing disks and of files that change.
#pragma once
#include <exception>
#include <mutex>

#include <arrow/io/interfaces.h>
#include <arrow/result.h>

#include <antiphon/base/files.h>

namespace antiphon::parquet_table {

class ByteFile : public arrow::io::RandomAccessFile {
 public:
  explicit ByteFile(const std::filesystem::path& path) : file_(path, ErrorKind::data) {}
  const std::filesystem::path& path() const { return file_.path(); }
  std::string read(uint64_t offset, uint64_t size) const { return file_.read(offset, size); }
  // Throws the error of the disk that a failure came from, if one did.
  void rethrow() const;

  arrow::Result<int64_t> GetSize() override { return static_cast<int64_t>(file_.size()); }
  arrow::Result<int64_t> ReadAt(int64_t position, int64_t bytes, void* out) override;
  arrow::Result<std::shared_ptr<arrow::Buffer>> ReadAt(int64_t position, int64_t bytes) override;
  arrow::Result<int64_t> Read(int64_t bytes, void* out) override;
  arrow::Result<std::shared_ptr<arrow::Buffer>> Read(int64_t bytes) override;
  arrow::Status Seek(int64_t position) override { return at_ = position, arrow::Status::OK(); }
  arrow::Result<int64_t> Tell() const override { return at_; }
  arrow::Status Close() override { return arrow::Status::OK(); }
  bool closed() const override { return false; }

 private:
  arrow::Result<std::string> bytes_at(int64_t position, int64_t bytes);
  OpenFile file_;
  int64_t at_ = 0;  // of the calls without a position, which Parquet does not make
  mutable std::mutex mutex_;
  std::exception_ptr trouble_;
};

}  // namespace antiphon::parquet_table
