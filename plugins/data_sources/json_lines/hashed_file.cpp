#include "hashed_file.h"

namespace antiphon::json_lines {
namespace {

constexpr uint64_t kHashedBytes = 1 << 20;  // at a time

}  // namespace

void HashedFile::add(std::string_view bytes) const { hash_.add(bytes), hashed_ += bytes.size(); }

std::string HashedFile::read(uint64_t offset, uint64_t size) const {
  auto bytes = file_.read(offset, size);
  const std::scoped_lock lock(mutex_);
  if (offset <= hashed_ && hashed_ < offset + bytes.size()) add(std::string_view(bytes).substr(hashed_ - offset));
  return bytes;
}

std::string HashedFile::hash() const {
  const std::scoped_lock lock(mutex_);
  while (hashed_ < file_.size()) add(file_.read(hashed_, kHashedBytes));
  return hash_.digits();
}

}  // namespace antiphon::json_lines
