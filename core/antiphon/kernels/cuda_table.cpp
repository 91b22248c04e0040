#include <antiphon/kernels/cuda_table.h>

#include <dlfcn.h>

#include <filesystem>

namespace antiphon::kernels {
namespace {

const CudaTable* opened = nullptr;

std::filesystem::path own_folder() {
  Dl_info info{};
  if (!dladdr(reinterpret_cast<const void*>(&open_cuda_kernels), &info) || !info.dli_fname) return {};
  return std::filesystem::absolute(info.dli_fname).parent_path();
}

}  // namespace

const CudaTable* cuda_table() { return opened; }

std::string open_cuda_kernels() {
  if (opened) return {};
  const auto file = own_folder() / "libantiphon_cuda.so";
  if (!std::filesystem::exists(file)) return "this build has none (ANTIPHON_CUDA is off: no nvcc was found)";
  // Never closed: its kernels are registered with the driver until the process ends.
  void* library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) return dlerror();
  using Table = const CudaTable* (*)();
  const auto table_of = reinterpret_cast<Table>(dlsym(library, "antiphon_cuda_table"));
  const auto* table = table_of ? table_of() : nullptr;
  if (!table || table->version != kCudaTableVersion) return file.string() + " belongs to another version of Antiphon";
  opened = table;
  return {};
}

}  // namespace antiphon::kernels
