#include <common/profile_flags.h>

#include <CLI/CLI.hpp>

namespace antiphon::apps {

void add_profile_flag(CLI::App& command, ProfileFlags& flags) {
  command.add_flag("--profile", flags.on,
                   "write where the time goes: profile/trace.json (Chrome) and profile/table.txt");
}

void add_profile_flags(CLI::App& command, ProfileFlags& flags) {
  add_profile_flag(command, flags);
  command.add_option("--profile-steps", flags.steps, "first and last step that is recorded, counted from this start")
      ->type_name("FIRST-LAST")
      ->capture_default_str();
}

}  // namespace antiphon::apps
