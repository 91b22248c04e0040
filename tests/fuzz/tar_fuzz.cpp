// Any bytes as a tar archive: rejected with antiphon::Error, or members that lie in the file, one behind the other.
#include <sys/mman.h>
#include <unistd.h>

#include <antiphon/component/record/tar.h>

#include <cstdlib>
#include <string>

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

// Headers get the sum that they should have: a changed byte would be refused for it alone.
std::string with_right_sums(std::string bytes) {
  constexpr size_t kSum = 148, kDigits = 6;
  for (size_t at = 0; at + 512 <= bytes.size(); at += 512) {
    if (bytes.compare(at + 257, 5, "ustar") != 0) continue;
    bytes.replace(at + kSum, 8, "        ");
    unsigned sum = 0;
    for (size_t i = 0; i < 512; ++i) sum += static_cast<unsigned char>(bytes[at + i]);
    for (size_t digit = 0; digit < kDigits; ++digit)
      bytes[at + kSum + kDigits - 1 - digit] = static_cast<char>('0' + (sum >> 3 * digit) % 8);
    bytes[at + kSum + kDigits] = '\0';
  }
  return bytes;
}

void walk(const antiphon::OpenFile& file) {
  antiphon::records::TarWalk walk(file);
  uint64_t end = 0;
  while (const auto member = walk.next()) {
    require(member->header >= end && member->offset >= member->header + antiphon::records::kTarBlock);
    require(member->offset <= file.size() && member->size <= file.size() - member->offset);
    require(member->name.size() <= 4096 && !member->name.starts_with("./"));
    end = member->offset + member->size;
    // Where a member is remembered to begin, it is found again.
    antiphon::records::TarWalk again(file, member->header);
    const auto same = again.next();
    require(same && same->name == member->name && same->offset == member->offset && same->size == member->size);
  }
}

void walk_bytes(const std::string& bytes) {
  antiphon::records::begins_tar(bytes);
  const int descriptor = memfd_create("archive", 0);
  require(descriptor >= 0 && write(descriptor, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
  try {
    walk({"/proc/self/fd/" + std::to_string(descriptor), antiphon::ErrorKind::data});
  } catch (const antiphon::Error& error) {
    require(error.kind() == antiphon::ErrorKind::data);
  }
  close(descriptor);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  walk_bytes(bytes);
  walk_bytes(with_right_sums(bytes));
  return 0;
}
