#include <antiphon/weights/torch/byte_source.h>

#include <fmt/format.h>

#include <memory>

#include <antiphon/base/error.h>
#include <antiphon/base/files.h>

namespace antiphon::weights {
namespace {

void check_within(const ByteSource& source, uint64_t begin, uint64_t count) {
  if (begin <= source.size && count <= source.size - begin) return;
  fail(ErrorKind::weights,
       fmt::format("{}: {} bytes from byte {} on are asked for, and it has {}", source.name, count, begin, source.size),
       "fetch the file again: it is cut off or damaged");
}

}  // namespace

std::string ByteSource::read(uint64_t begin, uint64_t count) const {
  check_within(*this, begin, count);
  return count > 0 ? bytes(begin, count) : std::string();
}

ByteSource ByteSource::part(uint64_t begin, uint64_t count, const std::string& of) const {
  check_within(*this, begin, count);
  return {fmt::format("{}: {}", name, of), count,
          [whole = bytes, begin](uint64_t at, uint64_t n) { return whole(begin + at, n); }};
}

ByteSource open_bytes(const std::filesystem::path& path) {
  const auto file = std::make_shared<const OpenFile>(path, ErrorKind::weights);
  return {path.string(), file->size(), [file](uint64_t begin, uint64_t count) {
            auto read = file->read(begin, count);
            if (read.size() < count)
              fail(ErrorKind::weights, fmt::format("{} ends before byte {}", file->path().string(), begin + count));
            return read;
          }};
}

}  // namespace antiphon::weights
