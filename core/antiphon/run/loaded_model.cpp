#include <antiphon/run/loaded_model.h>
#include <antiphon/train/average.h>

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <antiphon/base/log.h>
#include <antiphon/base/paths.h>
#include <antiphon/base/shown.h>
#include <antiphon/base/strings.h>
#include <antiphon/checkpoint/checkpoint.h>
#include <antiphon/checkpoint/restore.h>
#include <antiphon/early/cpu_quota.h>
#include <antiphon/engine/generation_config.h>
#include <antiphon/model/combine_adapters.h>
#include <antiphon/model/part_slot.h>
#include <antiphon/model/slot.h>
#include <antiphon/run/composition.h>
#include <antiphon/run/device.h>
#include <antiphon/run/precision.h>

#include <charconv>
#include <cmath>

namespace antiphon::run {
namespace {

// More threads than processors take turns in the middle of each product, and none may go on until all are there.
void use_threads(int threads) {
  if (threads > 0) at::set_num_threads(threads);
  if (const int used = at::get_num_threads(), have = early::processors(); used > have)
    log::warning(
        fmt::format("{}: {} threads on {} processor(s), which is slower than a thread for each\n  fix: leave it out",
                    threads > 0 ? "--threads" : "OMP_NUM_THREADS", used, have));
}

RunConfig configured(const OpenOptions& flags) {
  use_threads(flags.threads);
  return read_config(flags.file, flags.sets, flags.stage);
}

std::unique_ptr<model::Model> loaded(RunConfig& config, at::Device device, const SharedBy* by) {
  auto model = model::build(config.model);
  if (by) model->share(*by);
  const auto formats = model::number_formats(config.precision.compute, device);
  log::info(fmt::format("model: {} on {}, in {}: {}", config.model.llm.plugin, device.str(), model::name_of(formats),
                        formats.reason));
  model->load({device, formats, static_cast<uint64_t>(config.train.seed)});
  for (const auto& part : model->parts()) {
    const int64_t all = part.module->parameter_count(), trained = part.module->trainable_count();
    log::info(fmt::format("  {} ({}): {} parameters, {} trained", part.path, part.plugin,
                          human_count(static_cast<double>(all)), human_count(static_cast<double>(trained))));
  }
  return model;
}

// What the features of a stream depend on besides the media: options, weights by content, number format.
std::map<std::string, std::string> cache_settings(const RunConfig& config, const model::MultimodalLm& model) {
  std::map<std::string, std::string> settings;
  if (model.device().is_meta()) return settings;
  for (const auto& [name, stream] : model.streams()) {
    if (!stream->encoders_frozen()) continue;
    std::string text = stream->settings() + model::name_of(model.formats()) + std::string(model.device().str());
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

std::filesystem::path checkpoint_of(const std::filesystem::path& run_or_checkpoint) {
  if (path_exists(run_or_checkpoint / "manifest.json", ErrorKind::weights)) return run_or_checkpoint;
  const auto latest = checkpoint::latest_checkpoint(run_or_checkpoint / "checkpoints");
  if (!latest)
    fail(ErrorKind::weights, fmt::format("{} holds no complete checkpoint", run_or_checkpoint.string()),
         "name a run folder of `antiphon train`, or one of its checkpoints");
  return *latest;
}

// Where trained parameters come from: --checkpoint, else FILE if it is a run.
std::optional<std::filesystem::path> trained_checkpoint(const OpenOptions& flags) {
  if (flags.checkpoint.empty() && !is_run_folder(flags.file)) return std::nullopt;
  return checkpoint_of(flags.checkpoint.empty() ? flags.file : flags.checkpoint);
}

}  // namespace

LoadedModel::LoadedModel(const OpenOptions& flags, const SharedBy* by)
    : config(configured(flags)),
      device(flags.shapes_only ? at::Device(at::kMeta) : open_device(flags.device)),
      model(loaded(config, device, by)),
      prompts(open_prompts(config, *model)),
      cache(config.data.feature_cache, cache_settings(config, lm())),
      augmenter(config.data.augment, lm()),
      attributes(config.data.attributes, config.generate.attributes),
      preparer(lm(), prompts, cache, media::MediaLimits{}, model->longest_sequence(), config.data.video,
               config.data.image, config.data.audio, &augmenter, &attributes) {
  if (prompts.tokenizer().vocab_size() > lm().llm().vocab_size())
    fail(ErrorKind::config,
         fmt::format("the tokenizer has {} tokens and the language model an embedding of {} rows",
                     prompts.tokenizer().vocab_size(), lm().llm().vocab_size()),
         "use the tokenizer of that model");
}

model::MultimodalLm& LoadedModel::writer() const {
  if (model->scores() > 0)
    fail(ErrorKind::config, fmt::format("model.graph = \"{}\" gives scores and writes no answers", config.model.graph),
         "measure it with `antiphon eval`, or compose the language model alone");
  return lm();
}

std::string LoadedModel::resolved() const { return config::to_toml(run_table().dump(&config)); }

std::unique_ptr<checkpoint::Reference> open_reference(model::Model& model, const OpenOptions& flags) {
  const auto trained = trained_checkpoint(flags);
  if (!trained) return nullptr;
  const auto read = checkpoint::load_checkpoint(*trained, false);
  const auto digest = read.progress.value("reference", "");
  if (digest.empty())
    fail(ErrorKind::weights, fmt::format("{} was trained without a reference to compare with", trained->string()),
         "choose the [objective] that it was trained with");
  std::error_code ignored;
  const auto run = std::filesystem::absolute(*trained, ignored).parent_path().parent_path();
  return std::make_unique<checkpoint::Reference>(model.saved_parameters(), run, digest);
}

void load_trained(model::Model& model, const OpenOptions& flags, const train::EmaOptions& ema) {
  const auto found = trained_checkpoint(flags);
  if (!found) return;
  const auto& checkpoint = *found;
  const bool averages = ema.decay > 0 && ema.use;
  auto content = checkpoint::load_checkpoint(checkpoint, averages);
  with_context("loading " + checkpoint.string(), [&] {
    if (averages) content.parameters = train::averaged(std::move(content.parameters), content.state);
    checkpoint::restore_parameters(model.saved_parameters(), content.parameters);
  });
  log::info(fmt::format("  checkpoint {}: applied {}/{} tensors{}", checkpoint.string(), content.parameters.size(),
                        content.parameters.size(), averages ? ", averages of train.ema" : ""));
}

void choose_adapters(model::MultimodalLm& model, const std::string& words) {
  auto names = words == "all" ? model.adapter_names() : split(words, ',');
  if (words == "none") names.clear();
  model.use_adapters(names);
  const auto used = model.adapter_names(/*in_use=*/true);
  log::info(fmt::format("adapters in use: {}", used.empty() ? "none" : join(used, ", ")));
}

namespace {

// NAME or NAME=WEIGHT
model::WeightedAdapter weighted(const std::string& word) {
  const auto equals = word.find('=');
  model::WeightedAdapter adapter{word.substr(0, equals)};
  if (equals == std::string::npos) return adapter;
  const auto* begin = word.data() + equals + 1;
  const auto* end = word.data() + word.size();
  const auto read = std::from_chars(begin, end, adapter.weight);
  if (read.ec != std::errc() || read.ptr != end || !std::isfinite(adapter.weight))
    fail(ErrorKind::config, fmt::format("--adapter {}: the weight is not a number", shown(word)),
         "write NAME=WEIGHT, e.g. french=0.7");
  return adapter;
}

}  // namespace

void choose_adapters(model::MultimodalLm& model, const OpenOptions& flags) {
  if (!flags.weighs_adapters()) {
    if (!flags.adapters.empty()) choose_adapters(model, flags.adapters);
    return;
  }
  std::vector<model::WeightedAdapter> adapters;
  const bool all = flags.adapters.empty() || flags.adapters == "all";
  for (const auto& word : all ? model.adapter_names() : split(flags.adapters, ',')) adapters.push_back(weighted(word));
  model::combine_adapters(model, adapters, model::combination_of(flags.combine));
  std::vector<std::string> used;
  for (const auto& [name, weight] : adapters) used.push_back(fmt::format("{} x {:g}", name, weight));
  log::info(fmt::format("adapters in use: {}, combined: {}", join(used, ", "),
                        flags.combine.empty() ? "cat" : flags.combine));
}

void LoadedModel::load_for_inference(const OpenOptions& flags) {
  if (!trained_checkpoint(flags)) model::start_methods(*model, static_cast<uint64_t>(config.train.seed));
  load_trained(*model, flags, config.train.ema);
  choose_adapters(lm(), flags);
  engine::read_generation_config(config.model.llm.weights, lm().llm().vocab_size(), config.generate);
  engine::check_options(config.generate);
  if (!config.generate.weights.empty()) quantize(lm(), config.generate.weights);
}

}  // namespace antiphon::run
