// Is a file a whole shared object for this machine? Checked before dlopen, which may crash on truncated files.
#pragma once
#include <filesystem>

namespace antiphon::plugin {

// Error(plugin) if the file is missing, empty, not an ELF file, for another machine, not a shared object, or truncated.
void check_elf(const std::filesystem::path& file);

}  // namespace antiphon::plugin
