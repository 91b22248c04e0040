// antiphon export FILE --output DIR: a composed model as a Hugging Face directory that transformers loads, as a GGUF
// file, or what was trained beside it as an adapter of PEFT.
#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/gguf.h>
#include <antiphon/base/log.h>
#include <antiphon/base/paths.h>
#include <antiphon/base/shown.h>
#include <antiphon/base/temporaries.h>
#include <antiphon/base/writable.h>
#include <antiphon/model/export.h>
#include <antiphon/model/export_adapter.h>
#include <antiphon/model/part_slot.h>
#include <antiphon/run/export_check.h>
#include <antiphon/run/loaded_model.h>
#include <common/command.h>

namespace antiphon::apps {
namespace {

struct ExportFlags {
  run::OpenOptions open;
  std::string output, dtype, format = "huggingface";
  bool check = false, replace = false;
  std::optional<double> bound;
};

std::optional<at::ScalarType> dtype_of(const std::string& name) {
  const std::map<std::string, at::ScalarType> known{{"fp32", at::kFloat}, {"bf16", at::kBFloat16}, {"fp16", at::kHalf}};
  return name.empty() ? std::nullopt : std::optional(known.at(name));
}

// Of the matrices of a GGUF file.
GgmlType gguf_type_of(const std::string& name) {
  const std::map<std::string, GgmlType> known{{"fp32", GgmlType::F32},
                                              {"bf16", GgmlType::BF16},
                                              {"fp16", GgmlType::F16},
                                              {"q8_0", GgmlType::Q8_0},
                                              {"q4_0", GgmlType::Q4_0}};
  return name.empty() ? GgmlType::F16 : known.at(name);
}

model::ExportOptions options_of(const ExportFlags& flags) {
  if (flags.format == "gguf") {
    if (!is_gguf(flags.output))
      fail(ErrorKind::config, fmt::format("--output {} is not the name of a GGUF file", flags.output),
           "let it end in .gguf: --output model.gguf");
    return {{}, gguf_type_of(flags.dtype)};
  }
  if (flags.dtype.starts_with("q"))
    fail(ErrorKind::config, fmt::format("--dtype {} is a format of GGUF files", flags.dtype),
         "add --format gguf, or take fp32, bf16 or fp16");
  if (flags.format == "peft" && (flags.check || !flags.dtype.empty()))
    fail(ErrorKind::config, "--format peft has neither --check nor --dtype", "leave them out");
  return {dtype_of(flags.dtype), {}};
}

void warn_of(const std::vector<std::string>& unsaid, const std::string& output) {
  for (const auto& option : unsaid)
    log::warning(fmt::format("{}: {}: give what loads it the same, or it is another model", output, option));
}

void write_adapter(model::Model& model, const std::string& output) {
  const auto report = model::export_adapter(model, output);
  log::info(fmt::format("an adapter for {} in {}: {} tensors, LoRA of {} layers{}", report.base, output, report.tensors,
                        report.sites, report.modules ? fmt::format(", {} modules whole", report.modules) : ""));
  warn_of(report.unsaid, output);
}

// Whether `outer` is `inner`, or a folder around it.
bool holds(const std::filesystem::path& outer, const std::filesystem::path& inner) {
  std::error_code unknown;
  for (auto at = std::filesystem::weakly_canonical(inner, unknown); !at.empty(); at = at.parent_path()) {
    if (std::filesystem::equivalent(outer, at, unknown)) return true;
    if (at == at.root_path()) break;
  }
  return false;
}

// What is there is written over if that is asked for, but never what the model is made of.
void check_target(const std::filesystem::path& output, const ExportFlags& flags, model::Model& model) {
  const auto refuse = [&](const std::string& what) {
    fail(ErrorKind::config, fmt::format("--output {} is {}", shown(flags.output), what), "name another place");
  };
  if (holds(output, flags.open.file)) refuse("what is to be exported, or holds it");
  for (const auto& slot : model::slots_of(model))
    for (const auto& from : {slot.weights, slot.origin.weights})
      if (!from.empty() && holds(output, from)) refuse("where the model has its weights, as " + slot.section());
  std::error_code unknown;
  if (flags.replace || !path_exists(output, ErrorKind::config) ||
      (is_folder(output, ErrorKind::config) && std::filesystem::is_empty(output, unknown)))
    return;
  fail(ErrorKind::config, shown(flags.output) + " is there already",
       "name another place, or give --replace to write over it");
}

int run(const ExportFlags& flags) {
  const auto options = options_of(flags);
  const std::filesystem::path output = flags.output;
  check_can_write(options.gguf ? output : output / "config.json", ErrorKind::config);
  auto config = run::read_config(flags.open.file, flags.open.sets);
  const auto model = model::build(config.model);
  if (is_folder(output, ErrorKind::config)) remove_abandoned(output);  // of an export that was killed
  check_target(output, flags, *model);
  model::load_own(*model, static_cast<uint64_t>(config.train.seed));
  run::load_trained(*model, flags.open, config.train.ema);
  run::choose_adapters(model->lm(), flags.open);
  if (flags.format == "peft") return write_adapter(*model, flags.output), 0;
  const auto report = model::export_model(*model, flags.output, options);
  log::info(fmt::format("{} in {}: {} tensors, {} of them changed{}", report.what, flags.output, report.tensors,
                        report.changed, report.beside.empty() ? "" : "\n  " + report.beside));
  warn_of(report.unsaid, flags.output);
  if (!flags.check) return 0;
  const auto check = run::check_export(flags.open, flags.output, flags.bound);
  log::info(
      fmt::format("checked: of {} logits of a probe none differs by more than {:.2g} from the model with its "
                  "adapters; the largest is {:.3g}",
                  check.logits, check.difference, check.largest));
  return 0;
}

void add_to(CLI::App& program, Action& action, const std::string& name, const std::string& doc) {
  auto* command = program.add_subcommand(name, doc);
  auto flags = std::make_shared<ExportFlags>();
  command->add_option("file", flags->open.file, "a TOML configuration, or the folder of a run")->required();
  command->add_option("--set", flags->open.sets, "override one value: --set train.steps=10 (may be repeated)")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  command->add_option("--output", flags->output, "directory or .gguf file to write")->required();
  command->add_flag("--replace", flags->replace, "write over what is there already");
  command
      ->add_option(
          "--format", flags->format,
          "huggingface: a directory; gguf: the language model for llama.cpp; peft: LoRA and trained connectors "
          "as one adapter for the whole model of transformers")
      ->check(CLI::IsMember({"huggingface", "gguf", "peft"}));
  command
      ->add_option(
          "--dtype", flags->dtype,
          "number format of all tensors; default: each keeps its source's. For a GGUF file, that of its matrices, "
          "which may be q8_0 or q4_0, too; default there: fp16")
      ->check(CLI::IsMember({"fp32", "bf16", "fp16", "q8_0", "q4_0"}));
  command
      ->add_option_function<std::string>(
          "--check",
          [f = flags.get()](const std::string& text) {
            f->check = true;
            double bound = 0;
            if (text.empty()) return;
            if (!CLI::detail::lexical_cast(text, bound) || !(bound >= 0))
              throw CLI::ValidationError("--check", "must be a number of 0 or more, got '" + text + "'");
            f->bound = bound;
          },
          "compute what was written and the model with its adapters on a probe; fail if a logit differs by more than "
          "BOUND of the largest (default: 1e-3, in rounded formats 0.05)")
      ->expected(0, 1)
      ->type_name("[BOUND]");
  add_checkpoint_flag(*command, flags->open);
  add_adapter_flag(*command, flags->open);
  command->callback([flags, &action] { action = [flags] { return run(*flags); }; });
}

}  // namespace

void add_export(CLI::App& program, Action& action) {
  add_to(program, action, "export",
         "write the model as a Hugging Face directory that transformers loads, or as a GGUF file, adapters folded in; "
         "or its adapters alone for PEFT");
}

void add_merge(CLI::App& program, Action& action) {
  add_to(program, action, "merge", "the name that `antiphon export` had for language models; the same");
}

}  // namespace antiphon::apps
