#include <antiphon/kernels/cuda_table.h>

#include <antiphon/base/own_library.h>

namespace antiphon::kernels {
namespace {

const CudaTable* opened = nullptr;

}  // namespace

const CudaTable* cuda_table() { return opened; }

void use_table(const CudaTable& table) { opened = &table; }

std::string open_cuda_kernels() {
  if (opened) return {};
  const auto [table, problem] = open_own_library("libantiphon_cuda.so", "antiphon_cuda_table");
  const auto* found = static_cast<const CudaTable*>(table);
  if (!found) return problem;
  if (found->version != kCudaTableVersion) return "libantiphon_cuda.so belongs to another version of Antiphon";
  opened = found;
  return {};
}

}  // namespace antiphon::kernels
