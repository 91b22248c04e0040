#include "byte_file.h"

#include <arrow/buffer.h>

#include <cstring>

namespace antiphon::parquet_table {

void ByteFile::rethrow() const {
  std::scoped_lock lock(mutex_);
  if (trouble_) std::rethrow_exception(trouble_);
}

arrow::Result<std::string> ByteFile::bytes_at(int64_t position, int64_t bytes) {
  if (position < 0 || bytes < 0) return arrow::Status::Invalid("a read before the beginning of the file");
  try {
    return file_.read(static_cast<uint64_t>(position), static_cast<uint64_t>(bytes));
  } catch (const Error& error) {
    std::scoped_lock lock(mutex_);
    trouble_ = std::current_exception();
    return arrow::Status::IOError(error.message());
  }
}

arrow::Result<int64_t> ByteFile::ReadAt(int64_t position, int64_t bytes, void* out) {
  ARROW_ASSIGN_OR_RAISE(const auto found, bytes_at(position, bytes));
  std::memcpy(out, found.data(), found.size());
  return static_cast<int64_t>(found.size());
}

arrow::Result<std::shared_ptr<arrow::Buffer>> ByteFile::ReadAt(int64_t position, int64_t bytes) {
  ARROW_ASSIGN_OR_RAISE(auto found, bytes_at(position, bytes));
  return arrow::Buffer::FromString(std::move(found));
}

arrow::Result<int64_t> ByteFile::Read(int64_t bytes, void* out) {
  ARROW_ASSIGN_OR_RAISE(const auto count, ReadAt(at_, bytes, out));
  at_ += count;
  return count;
}

arrow::Result<std::shared_ptr<arrow::Buffer>> ByteFile::Read(int64_t bytes) {
  ARROW_ASSIGN_OR_RAISE(auto buffer, ReadAt(at_, bytes));
  at_ += buffer->size();
  return buffer;
}

}  // namespace antiphon::parquet_table
