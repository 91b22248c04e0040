#include <antiphon/run/precision.h>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/log.h>
#include <antiphon/kernels/float8.h>
#include <antiphon/nn/linear/linear.h>

namespace antiphon::run {

void use_linear_format(model::MultimodalLm& model, const std::string& linear) {
  if (linear != "fp8") return;
  if (const auto why = kernels::float8_missing(model.device()); !why.empty())
    fail(ErrorKind::config, fmt::format("precision.linear = \"fp8\": {} cannot do it: {}", model.device().str(), why),
         "leave precision.linear out, or use a GPU of compute capability 8.9 or more");
  int64_t applied = 0, total = 0;
  for (const auto& site : model.llm().module().sites()) ++total, applied += site.linear->use_float8();
  if (applied == 0)
    fail(ErrorKind::config,
         fmt::format("precision.linear = \"fp8\" fits none of the language model's {} linear layers: their sides are "
                     "no multiples of {}",
                     total, kernels::kFloat8Tile),
         "leave precision.linear out");
  log::info(fmt::format("  llm: {}/{} linear layers in fp8", applied, total));
  if (model.device().is_cpu())
    log::warning("fp8 on a CPU is slower than without: products are computed from what the 8 bits stand for");
}

void quantize(model::MultimodalLm& model, const std::string& format) {
  if (!model.device().is_cpu())
    fail(ErrorKind::config,
         fmt::format("generate.weights = \"{}\" is for the CPU, and the device is {}", format, model.device().str()),
         "leave generate.weights empty, or use --device cpu");
  for (const auto& peft : model.pefts()) peft->merge();
  const auto sum = model.llm().quantize(format);
  if (sum.applied == 0)
    fail(ErrorKind::config,
         fmt::format("none of the language model's {} matrices can be kept as {}: their sides are no "
                     "multiples of 16 and 32",
                     sum.total, format),
         "leave generate.weights empty");
  log::info(fmt::format("  llm: {}/{} matrices as {}{}, {:.1f} -> {:.1f} MiB", sum.applied, sum.total, format,
                        model.pefts().empty() ? "" : ", adapters merged",
                        static_cast<double>(sum.bytes_before) / (1 << 20), static_cast<double>(sum.bytes) / (1 << 20)));
}

}  // namespace antiphon::run
