#include <antiphon/plugin/elf.h>

#include <elf.h>

#include <cstring>
#include <fstream>

#include <antiphon/base/error.h>
#include <antiphon/base/paths.h>

#include <fmt/format.h>

namespace antiphon::plugin {
namespace {

#if defined(__x86_64__)
constexpr uint16_t this_machine = EM_X86_64;
#elif defined(__aarch64__)
constexpr uint16_t this_machine = EM_AARCH64;
#else
#error "add the ELF machine number of this processor"
#endif

[[noreturn]] void refuse(const std::filesystem::path& file, const std::string& why) {
  fail(ErrorKind::plugin, fmt::format("{}: {}", file.string(), why),
       "build it again with antiphon_add_plugin, or copy it again");
}

uint64_t size_of(const std::filesystem::path& file) {
  if (!path_exists(file, ErrorKind::plugin))
    fail(ErrorKind::plugin, fmt::format("{}: there is no such file", file.string()), "check the path");
  std::error_code error;
  if (!std::filesystem::is_regular_file(file, error)) refuse(file, "is not a file");
  const uint64_t size = std::filesystem::file_size(file, error);
  if (error) fail_path(ErrorKind::plugin, "look at", file, error.value());
  if (size == 0) refuse(file, "is empty");
  return size;
}

// The size of the file according to its headers.
uint64_t promised_size(const Elf64_Ehdr& header, std::ifstream& in) {
  uint64_t end = header.e_shoff + uint64_t{header.e_shnum} * header.e_shentsize;
  in.seekg(static_cast<std::streamoff>(header.e_phoff));
  for (int i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr segment;
    if (!in.read(reinterpret_cast<char*>(&segment), sizeof segment)) return UINT64_MAX;
    end = std::max(end, segment.p_offset + segment.p_filesz);
  }
  return end;
}

}  // namespace

void check_elf(const std::filesystem::path& file) {
  const uint64_t size = size_of(file);
  std::ifstream in(file, std::ios::binary);
  Elf64_Ehdr header{};
  in.read(reinterpret_cast<char*>(&header), sizeof header);
  if (in.bad() || in.gcount() == 0) refuse(file, "cannot be read");
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) refuse(file, "is not an ELF file, so it is not a plugin");
  if (in.gcount() < static_cast<std::streamsize>(sizeof header))
    refuse(file, fmt::format("is cut short: it has {} bytes", size));
  if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB ||
      header.e_machine != this_machine) {
    refuse(file, fmt::format("is built for another kind of processor (ELF machine {}; this is {})", header.e_machine,
                             this_machine));
  }
  if (header.e_type != ET_DYN) refuse(file, fmt::format("is not a shared object (ELF type {})", header.e_type));
  if (header.e_phentsize != sizeof(Elf64_Phdr)) refuse(file, "has a damaged ELF header");
  const uint64_t promised = promised_size(header, in);
  if (promised > size) refuse(file, fmt::format("is cut short: it has {} bytes and its headers speak of more", size));
}

}  // namespace antiphon::plugin
