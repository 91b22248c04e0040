// antiphon export FILE --output DIR: a composed model as one Hugging Face directory that transformers loads.
#include <fmt/format.h>

#include <antiphon/base/log.h>
#include <antiphon/graph/export_whole.h>
#include <common/command.h>

namespace antiphon::apps {
namespace {

struct ExportFlags {
  SessionFlags session;
  std::string output;
};

int run(const ExportFlags& flags) {
  Session session(flags.session);
  session.load_trained(flags.session);
  for (const auto& peft : session.model->pefts()) peft->merge();
  const auto report = graph::export_whole(*session.model, flags.output);
  log::info(fmt::format("{} tensors in {}, {} of them changed", report.tensors, flags.output, report.changed));
  return 0;
}

}  // namespace

void add_export(CLI::App& program, Action& action) {
  auto* command = program.add_subcommand(
      "export",
      "write a model that came out of a whole model's directory as such a directory again, adapters folded in");
  auto flags = std::make_shared<ExportFlags>();
  add_session_flags(*command, flags->session);
  command->add_option("--output", flags->output, "directory to write")->required();
  add_checkpoint_flag(*command, flags->session);
  command->callback([flags, &action] { action = [flags] { return run(*flags); }; });
}

}  // namespace antiphon::apps
