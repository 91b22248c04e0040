#include <common/session.h>

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/core/Device.h>
#include <dlfcn.h>
#include <fmt/format.h>

#include <antiphon/base/files.h>
#include <antiphon/base/log.h>
#include <antiphon/base/strings.h>
#include <antiphon/component/register.h>
#include <antiphon/graph/slot.h>
#include <antiphon/train/trainer.h>

namespace antiphon::apps {
namespace {

RunConfig configured(const SessionFlags& flags) {
  if (flags.threads > 0) at::set_num_threads(flags.threads);
  return read_config(flags.file, flags.sets);
}

std::unique_ptr<graph::MultimodalLm> loaded(RunConfig& config, at::Device device) {
  auto model = graph::MultimodalLm::build(config.model);
  log::info(fmt::format("model: {} ({} on {})", config.model.llm.plugin, config.precision.compute, device.str()));
  model->load({device, config.precision.compute == "bf16" ? at::kBFloat16 : at::kFloat,
               static_cast<uint64_t>(config.train.seed)});
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

text::PromptBuilder opened_prompts(const RunConfig& config) {
  const auto& llm = config.model.llm;
  const auto folder = llm.tokenizer.empty() ? llm.weights : llm.tokenizer;
  if (folder.empty())
    fail(ErrorKind::config, "the language model has no tokenizer",
         "give model.llm.weights, or model.llm.tokenizer: a directory with tokenizer.json");
  auto tokenizer = text::Tokenizer::load(folder);
  auto chat_template =
      text::ChatTemplate::load(llm.chat_template.empty() ? folder : llm.chat_template, tokenizer.special_tokens());
  const auto& streams = config.model.streams;
  const bool as_processor = std::any_of(streams.begin(), streams.end(),
                                        [](const auto& stream) { return !stream.second.placeholder.empty(); });
  return {std::move(tokenizer), std::move(chat_template), as_processor};
}

std::string hash_of(const at::Tensor& tensor) {
  const auto bytes = tensor.detach().to(at::kCPU).contiguous();
  return content_hash({static_cast<const char*>(bytes.const_data_ptr()), static_cast<size_t>(bytes.nbytes())});
}

// What the features of a stream depend on besides the media: options, weights by content, number format.
std::map<std::string, std::string> cache_settings(const RunConfig& config, const graph::MultimodalLm& model) {
  std::map<std::string, std::string> settings;
  for (const auto& [name, stream] : model.streams()) {
    if (!stream->encoders_frozen()) continue;
    std::string text = stream->settings() + config.precision.compute + std::string(model.device().str());
    bool pretrained = true;
    for (const auto& slot : stream->encoders()) {
      pretrained &= !slot.spec.weights.empty();
      if (slot.spec.weights.empty()) continue;
      for (const auto& parameter : slot.encoder->module().parameters()) text += hash_of(*parameter.tensor);
    }
    if (pretrained) settings[name] = text;
  }
  return settings;
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
  return at::Device(name == "cuda" ? "cuda:0" : name);
}

Session::Session(const SessionFlags& flags)
    : config(configured(flags)),
      device(open_device(flags.device)),
      model(loaded(config, device)),
      loss(built_loss(config)),
      prompts(opened_prompts(config)),
      cache(config.data.feature_cache, cache_settings(config, *model)),
      preparer(*model, prompts, cache, media::MediaLimits{}, model->llm().max_positions()) {
  config.model = model->spec();
  if (prompts.tokenizer().vocab_size() > model->llm().vocab_size())
    fail(ErrorKind::config,
         fmt::format("the tokenizer has {} tokens and the language model an embedding of {} rows",
                     prompts.tokenizer().vocab_size(), model->llm().vocab_size()),
         "use the tokenizer of that model");
}

std::string Session::resolved() const { return config::to_toml(run_table().dump(&config)); }

void Session::load_checkpoint(const std::filesystem::path& run_or_checkpoint) {
  auto checkpoint = run_or_checkpoint;
  if (!std::filesystem::exists(checkpoint / "manifest.json")) {
    const auto latest = train::latest_checkpoint(run_or_checkpoint / "checkpoints");
    if (!latest)
      fail(ErrorKind::weights, fmt::format("{} holds no complete checkpoint", run_or_checkpoint.string()),
           "name a run folder of `antiphon train`, or one of its checkpoints");
    checkpoint = *latest;
  }
  const auto content = train::load_checkpoint(checkpoint, false);
  with_context("loading " + checkpoint.string(), [&] { train::restore_parameters(*model, content.parameters); });
  log::info(fmt::format("  checkpoint {}: applied {}/{} tensors", checkpoint.string(), content.parameters.size(),
                        content.parameters.size()));
}

}  // namespace antiphon::apps
