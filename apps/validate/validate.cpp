// antiphon validate FILE…: everything that can be known without loading a weight.
#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/log.h>
#include <antiphon/base/paths.h>
#include <antiphon/base/shown.h>
#include <antiphon/base/strings.h>
#include <antiphon/config/path.h>
#include <antiphon/model/compose_adapter.h>
#include <antiphon/model/part_slot.h>
#include <antiphon/run/composition.h>
#include <antiphon/run/memory.h>
#include <antiphon/run/mesh_of.h>
#include <antiphon/run/training_slots.h>
#include <antiphon/run/voice_activity.h>
#include <antiphon/weights/checkpoint.h>
#include <common/command.h>

namespace antiphon::apps {
namespace {

struct ValidateFlags {
  std::vector<std::string> files, sets;
  bool resolved = false;
};

void describe(const run::RunConfig& config, model::Model& model, const UpdateRule& rule, const Objective& objective) {
  const auto row = [](const std::string& path, const std::string& plugin, double trained, double frozen) {
    fmt::print("  {:<28} {:<14} {:>12} {:>12}\n", path, plugin, human_count(trained), human_count(frozen));
  };
  fmt::print("  {:<28} {:<14} {:>12} {:>12}\n", "PART", "PLUGIN", "TRAINED", "FROZEN");
  double all_trained = 0, all_frozen = 0;
  for (const auto& part : model.parts()) {
    const auto all = static_cast<double>(part.module->parameter_count()),
               trained = static_cast<double>(part.module->trainable_count());
    row(part.path, part.plugin, trained, all - trained);
    all_trained += trained, all_frozen += all - trained;
  }
  row("all", "", all_trained, all_frozen);
  for (const auto& [name, stream] : model.lm().streams()) {
    const auto& encoder = *stream->encoders().front().encoder;
    fmt::print("  stream {}: smallest part of {} [{}] -> {} vectors of {} -> {} embeddings of {}\n", name,
               to_string(stream->modality()), fmt::join(encoder.example_shape(), ", "),
               encoder.output_grid(encoder.example_shape()).count(), encoder.output_size(), stream->example_tokens(),
               model.lm().llm().hidden_size());
  }
  const auto memory = run::estimate_memory(config, model, rule, objective);
  fmt::print(
      "  memory for training on the CPU, estimated: {} (program {}, parameters {}, optimizer {}, {}checkpoints {}, "
      "samples kept ready {}, and the largest of: encoding {}, activations of {} tokens {}, gradients {})\n",
      human_bytes(memory.peak()), human_bytes(memory.program), human_bytes(memory.parameters),
      human_bytes(memory.optimizer),
      memory.reference > 0 ? fmt::format("reference {}, ", human_bytes(memory.reference)) : "",
      human_bytes(memory.checkpoint), human_bytes(memory.data), human_bytes(memory.encoding),
      config.train.tokens_per_batch, human_bytes(memory.activations), human_bytes(memory.gradients));
  if (const auto& weights = config.precision.weights; !weights.empty() && weights != "nf4") {
    fmt::print("  on a GPU: precision.weights = \"{}\" is for the CPU; \"nf4\" is for both\n", weights);
    return;
  }
  const auto gpu = run::estimate_memory(config, model, rule, objective, at::kCUDA);
  fmt::print(
      "  memory for training on a GPU, estimated: {} (parameters {}, optimizer {}, and the largest of: encoding {}, "
      "activations {}, gradients {}; or {} while it is loaded{})\n",
      human_bytes(gpu.peak_on_gpu()), human_bytes(gpu.parameters), human_bytes(gpu.optimizer),
      human_bytes(gpu.encoding), human_bytes(gpu.activations), human_bytes(gpu.gradients), human_bytes(gpu.loading),
      gpu.host > 0 ? fmt::format("; {} in its host's memory", human_bytes(gpu.host)) : "");
}

// False, too, of a file that is not for training, or not yet right.
bool trains_into(const std::filesystem::path& file, const std::string& run) try {
  return config::text_at(config::load_toml(file), "train.output") == run;
} catch (const Error&) {
  return false;
}

// The file beside `file` that trains into `run`, for a note; empty if there is none, or the folder cannot be listed.
std::string trained_by(const std::filesystem::path& file, const std::string& run) try {
  const auto folder = file.has_parent_path() ? file.parent_path() : std::filesystem::path(".");
  for (const auto& path : entries_of(folder, ErrorKind::config))
    if (path.extension() == ".toml" && trains_into(path, run)) return (file.parent_path() / path.filename()).string();
  return {};
} catch (const Error&) {
  return {};
}

void warn_missing(const std::string& file, const std::string& path, const std::string& source) {
  if (source.empty()) return;
  if (path_exists(source, ErrorKind::config)) {
    const bool folder = is_folder(source, ErrorKind::config) && !model::is_run(source);
    if (folder && !model::is_adapter_folder(source) && !weights::has_checkpoint(source))
      fmt::print("  note: {}: {} has no model.safetensors yet\n", path, shown(source));
    return;
  }
  const auto recipe = trained_by(file, source);
  fmt::print("  note: {}: {} is not there yet; {}\n", path, shown(source),
             recipe.empty() ? "its shapes are those of the file and the plugin's defaults"
                            : fmt::format("`antiphon train {}` makes it", shown(recipe)));
}

// A path with brackets or stars may stand for many.
void note_missing(const std::string& section, const data::SplitOptions& split) {
  for (const auto& source : split.sources)
    if (source.path.find_first_of("{*[(") == std::string::npos && !path_exists(source.path, ErrorKind::config))
      fmt::print("  note: {}: {} is not there yet\n", section, shown(source.path));
}

void validate(const std::string& file, const std::string& stage, const ValidateFlags& flags) {
  auto config = run::read_config(file, flags.sets, stage);
  auto model = model::build(config.model);
  const auto [objective, rule, rewards] = run::slots_of_training(config, *model);
  run::check_text_end(config, *model);
  const auto processes = run::check_parallel(config);
  run::build_voice_activity(config.session.vad);
  if (flags.resolved) {
    if (!stage.empty()) fmt::print("# stage {}\n", stage);
    fmt::print("{}", config::to_toml(run::run_table().dump(&config)));
    return;
  }
  const auto taken = model::check_runs(*model);
  fmt::print("{}{}: good\n", shown(file), stage.empty() ? "" : ", stage " + stage);
  describe(config, *model, *rule, *objective);
  if (!processes.empty()) fmt::print("  {}\n", processes);
  for (const auto& line : taken) fmt::print("  {}\n", line);
  for (const auto& slot : model::slots_of(*model)) warn_missing(file, slot.path, slot.weights);
  note_missing("data.train", config.data.train);
  for (const auto& [name, split] : config.data.eval) note_missing("data.eval." + name, split);
  warn_missing(file, "session.vad", config.session.vad.weights);
}

int run(const ValidateFlags& flags) {
  int code = 0;
  for (const auto& file : flags.files) {
    try {
      auto stages = run::stages_of_file(file);
      if (stages.empty()) stages.emplace_back();
      for (const auto& stage : stages) validate(file, stage, flags);
    } catch (const Error& error) {
      const std::string text = error.what();
      const bool placed = text.find(std::filesystem::path(file).filename().string()) != std::string::npos;
      log::error(fmt::format("{}: {}{}", to_string(error.kind()), placed ? "" : file + ": ", text));
      if (code == 0) code = static_cast<int>(error.kind());
    }
  }
  return code;
}

}  // namespace

void add_validate(CLI::App& program, Action& action) {
  auto* command =
      program.add_subcommand("validate", "check configurations and show shapes, counts and memory; loads no weight");
  auto flags = std::make_shared<ValidateFlags>();
  command->add_option("files", flags->files, "TOML configurations")->required();
  command->add_option("--set", flags->sets, "override one value: --set train.steps=10 (may be repeated)")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  command->add_flag("--resolved", flags->resolved, "print the configuration with every option in force");
  command->callback([flags, &action] { action = [flags] { return run(*flags); }; });
}

}  // namespace antiphon::apps
