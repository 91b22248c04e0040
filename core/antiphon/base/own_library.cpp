#include <antiphon/base/own_library.h>

#include <dlfcn.h>

#include <filesystem>

namespace antiphon {

OwnLibrary open_own_library(const std::string& name, const char* entry) {
  Dl_info own{};
  if (!dladdr(reinterpret_cast<const void*>(&open_own_library), &own) || !own.dli_fname)
    return {nullptr, "it is not known where this program lies"};
  std::error_code unknown;
  const auto file = std::filesystem::absolute(own.dli_fname, unknown).parent_path() / name;
  if (!std::filesystem::exists(file, unknown)) return {nullptr, "this build has no " + name};
  void* library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) return {nullptr, dlerror()};
  const auto table = reinterpret_cast<const void* (*)()>(dlsym(library, entry));
  return table ? OwnLibrary{table(), {}} : OwnLibrary{nullptr, file.string() + " has no " + entry};
}

}  // namespace antiphon
