#include <antiphon/run/precision.h>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/log.h>
#include <antiphon/base/strings.h>
#include <antiphon/kernels/decode.h>
#include <antiphon/kernels/float8.h>
#include <antiphon/nn/linear/linear.h>
#include <antiphon/nn/linear/nf4_weight.h>

namespace antiphon::run {
namespace {

// Error(config) if this process's part of a matrix has other sides than multiples of these, and the whole one does not:
// another number of processes would compute something else.
void check_part(const std::string& name, const Parameter& part, const char* key, int64_t out, int64_t in) {
  const auto fits = [&](at::IntArrayRef sizes) { return sizes[0] % out == 0 && sizes[1] % in == 0; };
  const auto sizes = part.tensor->sizes();
  if (part.tensor->numel() == 0 || fits(sizes) == fits(part.whole_sizes())) return;
  fail(ErrorKind::config,
       fmt::format(
           "{}: the part of {} that parallel.tensor gives to a process is {} x {}; expected multiples of {} and {}",
           key, name, sizes[0], sizes[1], out, in),
       fmt::format("use another parallel.tensor, or leave {} out", key));
}

void keep_as(model::MultimodalLm& model, const std::string& format, const char* key, const std::string& also) {
  if (!model.device().is_cpu() && format != "nf4")
    fail(ErrorKind::config,
         fmt::format("{} = \"{}\" is for the CPU, and the device is {}", key, format, model.device().str()),
         fmt::format("use {} = \"nf4\" or none, or --device cpu", key));
  for (const auto& parameter : model.llm().module().parameters())
    if (parameter.tensor->dim() == 2 && (parameter.role == Role::matrix || parameter.role == Role::embedding))
      check_part(parameter.name, parameter, key, format == "nf4" ? 1 : kernels::kPanel,
                 format == "nf4" ? nn::Nf4Weight::kBlock : kernels::kGroup);
  const auto sum = model.llm().quantize(format);
  if (sum.applied == 0 && sum.total > 0)
    fail(ErrorKind::config,
         fmt::format("none of the language model's {} matrices can be kept as {}: their {}", sum.total, format,
                     format == "nf4" ? "rows are not multiples of 64" : "sides are not multiples of 16 and 32"),
         fmt::format("leave {} empty", key));
  log::info(fmt::format("  llm: {}/{} matrices as {}{}, {:.1f} -> {:.1f} MiB", sum.applied, sum.total, format, also,
                        static_cast<double>(sum.bytes_before) / (1 << 20), static_cast<double>(sum.bytes) / (1 << 20)));
}

// Those of the language model that can be merged, up to the first that cannot: what follows changes what it gives.
bool merge_adapters(model::MultimodalLm& model) {
  bool merged = false;
  model.fold_in();
  for (size_t i = 0; i < model.pefts().size(); ++i) {
    const auto& peft = model.pefts()[i];
    if (peft.owner_kind != model::PartKind::llm || !model.in_use(i)) continue;
    const auto why = peft.why_not_merged();
    if (!why.empty() && peft.sites > 0) {
      log::info(fmt::format("  [model.{}.peft.{}] and what follows it stay beside the weights: {}", peft.owner,
                            peft.index, why));
      break;
    }
    if (why.empty()) peft.method->merge(), merged = true;
  }
  return merged;
}

}  // namespace

void use_linear_format(model::MultimodalLm& model, const std::string& linear, const train::ParallelOptions& parallel) {
  if (linear != "fp8") return;
  if (const auto why = kernels::float8_missing(model.device()); !why.empty())
    fail(ErrorKind::config, fmt::format("precision.linear = \"fp8\": {} cannot do it: {}", model.device().str(), why),
         "leave precision.linear out, or use a GPU of compute capability 8.9 or more");
  int64_t applied = 0, total = 0;
  for (const auto& site : model.llm().module().sites()) {
    if (site.linear->weight.numel() == 0) continue;  // another process has it
    const bool trained = site.linear->weight.requires_grad();
    const bool cut = parallel.fsdp > 1 && parallel.reshard && (parallel.shard_frozen || trained),
               on_host = trained ? parallel.offload_optimizer && parallel.reshard : parallel.offload_frozen;
    check_part(site.path, site.linear->parameters().front(), "precision.linear", kernels::kFloat8Tile,
               kernels::kFloat8Tile);
    ++total, applied += site.linear->use_float8(!cut && !on_host);
  }
  if (applied == 0 && total > 0)
    fail(ErrorKind::config,
         fmt::format("precision.linear = \"fp8\" fits none of the language model's {} linear layers: their sides are "
                     "no multiples of {}",
                     total, kernels::kFloat8Tile),
         "leave precision.linear out");
  log::info(fmt::format("  llm: {}/{} linear layers in fp8", applied, total));
  if (model.device().is_cpu())
    log::warning("fp8 on a CPU is slower than without: products are computed from what the 8 bits stand for");
}

std::vector<Parameter> narrow_when_trained(model::MultimodalLm& model, const train::PrecisionOptions& precision) {
  std::vector<Parameter> narrow;
  if (precision.trained != "bf16") return narrow;
  for (const auto& parameter : model.llm().module().parameters())
    if (parameter.tensor->requires_grad() && (parameter.role == Role::matrix || parameter.role == Role::embedding))
      narrow.push_back(parameter);
  return narrow;
}

void keep_trained_as(model::MultimodalLm& model, const train::PrecisionOptions& precision) {
  int64_t values = 0;
  const auto narrow = narrow_when_trained(model, precision);
  for (const auto& parameter : narrow) {
    *parameter.tensor = parameter.tensor->detach().to(at::kBFloat16).set_requires_grad(true);
    values += parameter.tensor->numel();
  }
  if (!narrow.empty())
    log::info(fmt::format("  llm: {} trained matrices of {} values in bf16, rounded by chance", narrow.size(),
                          human_count(static_cast<double>(values))));
}

void check_precision(model::MultimodalLm& model, const train::PrecisionOptions& precision) {
  if (precision.trained == "bf16" && !model.spec().llm.trainable)
    fail(ErrorKind::config, "precision.trained = \"bf16\" is for a language model that is trained itself",
         "set model.llm.trainable = true, or leave precision.trained at fp32");
  if (precision.weights.empty()) return;
  const auto key = fmt::format("precision.weights = \"{}\"", precision.weights);
  if (model.spec().llm.trainable)
    fail(ErrorKind::config, key + " keeps the language model as it is, and model.llm.trainable is true",
         "set model.llm.trainable = false and add [[model.llm.peft]], or leave precision.weights out");
  if (model.llm().module().trainable_count() > 0)
    fail(ErrorKind::config, key + " keeps the language model as it is, and one of [[model.llm.peft]] trains some of it",
         "leave `bias`, `modules_to_save` or the method `selective` out, or precision.weights");
  if (!precision.linear.empty())
    fail(ErrorKind::config, fmt::format("{} beside precision.linear = \"{}\"", key, precision.linear),
         "choose one of them");
}

void keep_frozen_as(model::MultimodalLm& model, const train::PrecisionOptions& precision) {
  check_precision(model, precision);
  if (!precision.weights.empty()) keep_as(model, precision.weights, "precision.weights", "");
}

void quantize(model::MultimodalLm& model, const std::string& format) {
  const bool merged = merge_adapters(model);
  keep_as(model, format, "generate.weights", merged ? ", adapters merged" : "");
}

}  // namespace antiphon::run
