#include "exports.h"

#include <elf.h>

#include <algorithm>
#include <cstring>

#include <antiphon/base/error.h>
#include <antiphon/base/files.h>

namespace antiphon::apps::conformance {
namespace {

// A plain view with bounds: the file may be anything.
class Bytes {
 public:
  explicit Bytes(const std::filesystem::path& file) : file_(file), bytes_(read_file(file, ErrorKind::plugin)) {}

  template <class T>
  T at(uint64_t offset) const {
    if (offset > bytes_.size() || bytes_.size() - offset < sizeof(T)) damaged();
    T value;
    std::memcpy(&value, bytes_.data() + offset, sizeof value);
    return value;
  }
  std::string text(uint64_t offset) const {
    const auto end = offset < bytes_.size() ? bytes_.find('\0', offset) : std::string::npos;
    if (end == std::string::npos) damaged();
    return bytes_.substr(offset, end - offset);
  }

 private:
  [[noreturn]] void damaged() const {
    fail(ErrorKind::plugin, file_.string() + ": has a damaged table of symbols", "build it again");
  }
  std::filesystem::path file_;
  std::string bytes_;
};

}  // namespace

std::vector<std::string> exported_symbols(const std::filesystem::path& file) {
  const Bytes bytes(file);
  const auto header = bytes.at<Elf64_Ehdr>(0);
  const auto section = [&](uint64_t index) {
    return bytes.at<Elf64_Shdr>(header.e_shoff + index * sizeof(Elf64_Shdr));
  };
  std::vector<std::string> names;
  for (uint64_t i = 0; i < header.e_shnum; ++i) {
    const auto table = section(i);
    if (table.sh_type != SHT_DYNSYM) continue;
    const auto strings = section(table.sh_link);
    for (uint64_t offset = 0; offset + sizeof(Elf64_Sym) <= table.sh_size; offset += sizeof(Elf64_Sym)) {
      const auto symbol = bytes.at<Elf64_Sym>(table.sh_offset + offset);
      if (symbol.st_shndx == SHN_UNDEF || ELF64_ST_BIND(symbol.st_info) == STB_LOCAL) continue;
      names.push_back(bytes.text(strings.sh_offset + symbol.st_name));
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace antiphon::apps::conformance
