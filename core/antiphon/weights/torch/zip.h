// The members of a zip archive that are stored as they are, as torch.save() writes it. Format: PKWARE, APPNOTE.TXT 6.3.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include <antiphon/weights/torch/byte_source.h>

namespace antiphon::weights {

struct ZipMember {
  std::string name;
  uint64_t begin = 0, size = 0;  // of its bytes in the archive
};

inline constexpr uint64_t kMaxZipMembers = 1'000'000;

// By the archive's directory, with the 64 bit forms. Error(weights): no zip, members that are compressed or encrypted,
// that lie outside of the file, or more than kMaxZipMembers.
std::vector<ZipMember> zip_members(const ByteSource& archive);

}  // namespace antiphon::weights
