#include <antiphon/model/number_formats.h>

#include <ATen/Context.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <fmt/format.h>

#include <antiphon/kernels/isa.h>
#include <antiphon/kernels/onednn.h>

namespace antiphon::model {
namespace {

NumberFormats on_cpu() {
  const auto* isa = kernels::name_of(kernels::isa());
  if (kernels::onednn::has_bfloat16())
    return {at::kBFloat16, at::kBFloat16, fmt::format("this processor multiplies bf16 ({})", isa)};
  return {at::kFloat, at::kBFloat16,
          fmt::format("this processor ({}) has no bf16 products, so bf16 is for storage and products are fp32", isa)};
}

// What LibTorch's hooks report of it: compute capability 8.0 or more.
bool gpu_has_bf16() { return at::detail::getCUDAHooks().supportsBFloat16ConvolutionWithCuDNNv8(); }

}  // namespace

NumberFormats gpu_formats(bool has_bf16) {
  if (has_bf16) return {at::kBFloat16, at::kBFloat16, "this GPU multiplies bf16"};
  return {at::kHalf, at::kHalf, "this GPU has no bf16 products (compute capability below 8.0)"};
}

NumberFormats number_formats(const std::string& compute, at::Device device) {
  if (compute == "fp32") return {at::kFloat, at::kFloat, "as precision.compute says"};
  if (compute == "fp16") return {at::kHalf, at::kHalf, "as precision.compute says"};
  if (device.is_cpu()) return on_cpu();
  if (device.is_meta()) return {at::kBFloat16, at::kBFloat16, "as on a GPU"};
  if (compute == "bf16") return {at::kBFloat16, at::kBFloat16, "as precision.compute says"};
  return gpu_formats(gpu_has_bf16());
}

std::string name_of(const NumberFormats& formats) {
  if (formats.compute == at::kBFloat16) return "bf16";
  if (formats.compute == at::kHalf) return "fp16";
  return formats.matrices == at::kBFloat16 ? "bf16 matrices, fp32 products" : "fp32";
}

}  // namespace antiphon::model
