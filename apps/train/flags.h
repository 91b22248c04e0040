// The command line of `antiphon train`, which `antiphon launch` passes on.
#pragma once
#include <string>
#include <vector>

#include <common/command.h>
#include <common/profile_flags.h>

namespace antiphon::apps {

// The exit code of a run that stopped because fewer than train.min_steps fit; not an error, so not an ErrorKind.
constexpr int kTooFewSteps = 8;

struct TrainFlags {
  run::OpenOptions open;
  ProfileFlags profile;
  bool resume = false, accept_changes = false;
};

void add_train_flags(CLI::App& command, TrainFlags& flags);
// The words after the program's name that say the same.
std::vector<std::string> words_of(const TrainFlags& flags);

}  // namespace antiphon::apps
