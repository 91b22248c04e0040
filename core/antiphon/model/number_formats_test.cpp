// What precision.compute means on this processor.
#include <antiphon/kernels/onednn.h>
#include <antiphon/model/number_formats.h>

#include <catch2/catch_test_macros.hpp>

using namespace antiphon;
using model::number_formats;

TEST_CASE("fp32 is fp32 everywhere") {
  const auto formats = number_formats("fp32", at::kCPU);
  CHECK(formats.compute == at::kFloat);
  CHECK(formats.matrices == at::kFloat);
  CHECK(model::name_of(formats) == "fp32");
}

TEST_CASE("fp16 is fp16 everywhere, and auto does not take it on a CPU") {
  for (const at::Device device : {at::kCPU, at::kMeta, at::kCUDA}) {
    const auto formats = number_formats("fp16", device);
    CHECK(formats.compute == at::kHalf);
    CHECK(formats.matrices == at::kHalf);
    CHECK(model::name_of(formats) == "fp16");
  }
  CHECK(number_formats("auto", at::kCPU).compute != at::kHalf);
}

TEST_CASE("auto on a GPU: bf16, or fp16 where it has no bf16 products, which the reason says") {
  CHECK(model::gpu_formats(true).compute == at::kBFloat16);
  const auto formats = model::gpu_formats(false);
  CHECK(formats.compute == at::kHalf);
  CHECK(formats.matrices == at::kHalf);
  CHECK(formats.reason.find("compute capability below 8.0") != std::string::npos);
}

TEST_CASE(
    "bf16 and auto on a CPU: bf16 products if it has them, else bf16 matrices in fp32 products, with the reason") {
  for (const auto* compute : {"auto", "bf16"}) {
    const auto formats = number_formats(compute, at::kCPU);
    CHECK(formats.matrices == at::kBFloat16);
    CHECK(formats.compute == (kernels::onednn::has_bfloat16() ? at::kBFloat16 : at::kFloat));
    CHECK(model::name_of(formats) == (kernels::onednn::has_bfloat16() ? "bf16" : "bf16 matrices, fp32 products"));
    CHECK(formats.reason.find("this processor") == 0);
  }
}
