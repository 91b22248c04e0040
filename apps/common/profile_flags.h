// The options of common/profile.h, which `antiphon launch` has, too.
#pragma once
#include <string>

namespace CLI {
class App;
}

namespace antiphon::apps {

struct ProfileFlags {
  bool on = false;
  std::string steps = "3-12";
};

void add_profile_flags(CLI::App& command, ProfileFlags& flags);  // --profile and --profile-steps
void add_profile_flag(CLI::App& command, ProfileFlags& flags);   // of subcommands that are recorded as a whole

}  // namespace antiphon::apps
