// antiphon merge FILE --output DIR: folds adapters into the language model and writes a Hugging Face directory.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <antiphon/base/files.h>
#include <antiphon/base/log.h>
#include <antiphon/weights/export.h>
#include <common/command.h>

namespace antiphon::apps {
namespace {

struct MergeFlags {
  SessionFlags session;
  std::string checkpoint, output;
};

int run(const MergeFlags& flags) {
  Session session(flags.session);
  const auto& llm = session.config.model.llm;
  if (llm.weights.empty())
    fail(ErrorKind::config, "the language model has no weights to merge into: model.llm.weights is empty",
         "name the Hugging Face directory that the adapter was trained on");
  if (session.model->pefts().empty())
    fail(ErrorKind::config, "the model has no adapter to merge", "add [[model.llm.peft]]");
  if (std::filesystem::is_directory(flags.session.file) || !flags.checkpoint.empty())
    session.load_checkpoint(flags.checkpoint.empty() ? flags.session.file : flags.checkpoint);
  for (const auto& peft : session.model->pefts()) peft->merge();
  const auto config =
      nlohmann::json::parse(read_file(std::filesystem::path(llm.weights) / "config.json", ErrorKind::weights));
  weights::save_pretrained(flags.output, session.model->llm().module(), session.model->llm().name_map(), config);
  const std::filesystem::path source = llm.tokenizer.empty() ? llm.weights : llm.tokenizer;
  for (const char* name : {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
                           "generation_config.json", "chat_template.jinja"}) {
    const auto file = source / name;
    if (std::filesystem::exists(file))
      write_file_atomic(std::filesystem::path(flags.output) / name, read_file(file, ErrorKind::weights),
                        ErrorKind::weights);
  }
  log::info("merged model in " + flags.output);
  return 0;
}

}  // namespace

void add_merge(CLI::App& program, Action& action) {
  auto* command =
      program.add_subcommand("merge", "fold adapters into the language model and write a Hugging Face directory");
  auto flags = std::make_shared<MergeFlags>();
  add_session_flags(*command, flags->session);
  command->add_option("--output", flags->output, "directory to write")->required();
  command->add_option(
      "--checkpoint", flags->checkpoint,
      "trained parameters: a run folder or one checkpoint; default: those of the run, where FILE is one");
  command->callback([flags, &action] { action = [flags] { return run(*flags); }; });
}

}  // namespace antiphon::apps
