#include <train/flags.h>

namespace antiphon::apps {

void add_train_flags(CLI::App& command, TrainFlags& flags) {
  add_open_options(command, flags.open);
  command.add_flag("--resume", flags.resume, "go on from the newest complete checkpoint of train.output");
  command
      .add_flag("--accept-changes", flags.accept_changes,
                "with --resume: go on though the data, the weights of sources or the sizes of batches are others now")
      ->needs("--resume");
  command.add_option("--stage", flags.open.stage, "only this one of the file's stages; without it all, one by one");
  add_profile_flags(command, flags.profile);
}

std::vector<std::string> words_of(const TrainFlags& flags) {
  std::vector<std::string> words{"train", flags.open.file};
  for (const auto& set : flags.open.sets) words.insert(words.end(), {"--set", set});
  words.insert(words.end(), {"--device", flags.open.device});
  words.insert(words.end(), {"--threads", std::to_string(flags.open.threads)});
  if (!flags.open.stage.empty()) words.insert(words.end(), {"--stage", flags.open.stage});
  if (flags.resume) words.push_back("--resume");
  if (flags.accept_changes) words.push_back("--accept-changes");
  if (flags.profile.on) words.insert(words.end(), {"--profile", "--profile-steps", flags.profile.steps});
  return words;
}

}  // namespace antiphon::apps
