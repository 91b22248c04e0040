// Is a file a whole shared object for this machine? Read before dlopen, which is unkind to cut files.
#pragma once
#include <filesystem>

namespace antiphon::plugin {

// Error(plugin) where the file is missing, empty, no ELF file, for another machine, no shared object, or cut short.
void check_elf(const std::filesystem::path& file);

}  // namespace antiphon::plugin
