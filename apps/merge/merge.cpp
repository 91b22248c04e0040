// antiphon merge FILE --output DIR: folds adapters into the language model and writes a Hugging Face directory.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <antiphon/base/log.h>
#include <antiphon/weights/export.h>
#include <antiphon/weights/json_file.h>
#include <common/command.h>

namespace antiphon::apps {
namespace {

struct MergeFlags {
  SessionFlags session;
  std::string output;
};

int run(const MergeFlags& flags) {
  Session session(flags.session);
  const auto& llm = session.config.model.llm;
  if (llm.weights.empty())
    fail(ErrorKind::config, "the language model has no weights to merge into: model.llm.weights is empty",
         "name the Hugging Face directory that the adapter was trained on");
  if (session.model->pefts().empty())
    fail(ErrorKind::config, "the model has no adapter to merge", "add [[model.llm.peft]]");
  session.load_trained(flags.session);
  for (const auto& peft : session.model->pefts()) peft->merge();
  const auto config = weights::read_json_object(std::filesystem::path(llm.weights) / "config.json");
  weights::save_pretrained(flags.output, session.model->llm().module(), session.model->llm().name_map(), config);
  weights::copy_tokenizer(llm.tokenizer.empty() ? llm.weights : llm.tokenizer, flags.output);
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
  add_checkpoint_flag(*command, flags->session);
  command->callback([flags, &action] { action = [flags] { return run(*flags); }; });
}

}  // namespace antiphon::apps
