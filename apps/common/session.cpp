#include <common/session.h>

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/core/Device.h>
#include <dlfcn.h>
#include <fmt/format.h>

#include <antiphon/base/log.h>
#include <antiphon/base/paths.h>
#include <antiphon/base/strings.h>
#include <antiphon/checkpoint/checkpoint.h>
#include <antiphon/component/register.h>
#include <antiphon/graph/slot.h>
#include <antiphon/infer/generation_config.h>
#include <antiphon/kernels/cuda_table.h>
#include <antiphon/train/trainer.h>
#include <common/composition.h>
#include <common/trained.h>

namespace antiphon::apps {
namespace {

RunConfig configured(const SessionFlags& flags) {
  if (flags.threads > 0) at::set_num_threads(flags.threads);
  return read_config(flags.file, flags.sets);
}

std::unique_ptr<graph::MultimodalLm> loaded(RunConfig& config, at::Device device) {
  auto model = graph::MultimodalLm::build(config.model);
  const auto formats = graph::number_formats(config.precision.compute, device);
  log::info(fmt::format("model: {} on {}, in {}: {}", config.model.llm.plugin, device.str(), graph::name_of(formats),
                        formats.reason));
  model->load({device, formats, static_cast<uint64_t>(config.train.seed)});
  for (const auto& part : model->parts()) {
    const int64_t all = part.module->parameter_count(), trained = part.module->trainable_count();
    log::info(fmt::format("  {} ({}): {} parameters, {} trained", part.path, part.plugin,
                          human_count(static_cast<double>(all)), human_count(static_cast<double>(trained))));
  }
  return model;
}

std::unique_ptr<Loss> built_loss(RunConfig& config) {
  config::Problems problems;
  auto loss = graph::build_slot<Loss>("loss", config.loss.plugin, {}, config.loss.options, "loss", problems);
  problems.throw_if_any();
  return loss;
}

// What the features of a stream depend on besides the media: options, weights by content, number format.
std::map<std::string, std::string> cache_settings(const RunConfig& config, const graph::MultimodalLm& model) {
  std::map<std::string, std::string> settings;
  for (const auto& [name, stream] : model.streams()) {
    if (!stream->encoders_frozen()) continue;
    std::string text = stream->settings() + graph::name_of(model.formats()) + std::string(model.device().str());
    constexpr int decoders = 2;  // raised when the same file gives other pixels or samples than before
    text += fmt::format("decoders {} {} {}", decoders, config.data.image.transparency, config.data.image.gray16);
    bool pretrained = true;
    for (const auto& slot : stream->encoders()) {
      pretrained &= !slot.spec.weights.empty();
      if (slot.spec.weights.empty()) continue;
      for (const auto& parameter : slot.encoder->module().parameters()) text += data::hash_of(*parameter.tensor);
    }
    if (pretrained) settings[name] = text;
  }
  return settings;
}

// Adapters become part of the weights, which are then rounded once.
void quantize(graph::MultimodalLm& model, const std::string& format) {
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

std::filesystem::path checkpoint_of(const std::filesystem::path& run_or_checkpoint) {
  if (path_exists(run_or_checkpoint / "manifest.json", ErrorKind::weights)) return run_or_checkpoint;
  const auto latest = checkpoint::latest_checkpoint(run_or_checkpoint / "checkpoints");
  if (!latest)
    fail(ErrorKind::weights, fmt::format("{} holds no complete checkpoint", run_or_checkpoint.string()),
         "name a run folder of `antiphon train`, or one of its checkpoints");
  return *latest;
}

}  // namespace

at::Device open_device(const std::string& name) {
  if (name == "cpu") return at::kCPU;
  if (!name.starts_with("cuda"))
    fail(ErrorKind::config, fmt::format("unknown device '{}'", name), "use cpu, cuda or cuda:N");
  if (!dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_GLOBAL))
    fail(ErrorKind::config, "this LibTorch has no CUDA library (libtorch_cuda.so)",
         "use --device cpu, or a LibTorch built with CUDA");
  if (!at::hasCUDA() || at::detail::getCUDAHooks().deviceCount() == 0)
    fail(ErrorKind::config, fmt::format("device '{}' was asked for and no CUDA device is there", name),
         "use --device cpu; `antiphon doctor` says more");
  if (const auto why = kernels::open_cuda_kernels(); !why.empty())
    log::warning("no CUDA kernels of Antiphon's own, LibTorch's operations take their place: " + why);
  return at::Device(name == "cuda" ? "cuda:0" : name);
}

Session::Session(const SessionFlags& flags)
    : config(configured(flags)),
      device(open_device(flags.device)),
      model(loaded(config, device)),
      loss(built_loss(config)),
      prompts(open_prompts(config)),
      cache(config.data.feature_cache, cache_settings(config, *model)),
      preparer(*model, prompts, cache, media::MediaLimits{}, model->llm().max_positions(), config.data.video,
               config.data.image) {
  config.model = model->spec();
  if (prompts.tokenizer().vocab_size() > model->llm().vocab_size())
    fail(ErrorKind::config,
         fmt::format("the tokenizer has {} tokens and the language model an embedding of {} rows",
                     prompts.tokenizer().vocab_size(), model->llm().vocab_size()),
         "use the tokenizer of that model");
}

std::string Session::resolved() const { return config::to_toml(run_table().dump(&config)); }

void load_trained(graph::MultimodalLm& model, const SessionFlags& flags) {
  if (flags.checkpoint.empty() && !is_folder(flags.file, ErrorKind::config)) return;
  const auto checkpoint = checkpoint_of(flags.checkpoint.empty() ? flags.file : flags.checkpoint);
  const auto content = checkpoint::load_checkpoint(checkpoint, false);
  with_context("loading " + checkpoint.string(), [&] { train::restore_parameters(model, content.parameters); });
  log::info(fmt::format("  checkpoint {}: applied {}/{} tensors", checkpoint.string(), content.parameters.size(),
                        content.parameters.size()));
}

void Session::load_trained(const SessionFlags& flags) { apps::load_trained(*model, flags); }

void Session::load_for_inference(const SessionFlags& flags) {
  load_trained(flags);
  infer::read_generation_config(config.model.llm.weights, config.generate);
  if (!config.generate.weights.empty()) quantize(*model, config.generate.weights);
}

}  // namespace antiphon::apps
