// antiphon train FILE [--resume]
#include <antiphon/base/signals.h>
#include <antiphon/run/train_file.h>
#include <common/profile.h>
#include <train/flags.h>

namespace antiphon::apps {
namespace {

int run(const TrainFlags& flags) {
  run::Processes processes;
  const auto profiler = [&](const run::LoadedModel& loaded, const std::filesystem::path& folder) {
    return open_profiler(flags.profile, loaded, folder);
  };
  const auto end =
      run::train_file({flags.open, flags.resume, flags.accept_changes, profiler, flags.profile.on}, processes);
  return end == train::RunEnd::too_few_steps ? kTooFewSteps : 0;
}

}  // namespace

void add_train(CLI::App& program, Action& action) {
  auto* command = program.add_subcommand("train", "train what the configuration composes");
  auto flags = std::make_shared<TrainFlags>();
  add_train_flags(*command, *flags);
  command->callback([flags, &action] {
    install_stop_signals();  // before libraries of plugins and weights are loaded
    action = [flags] { return run(*flags); };
  });
}

}  // namespace antiphon::apps
