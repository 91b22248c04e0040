// `--profile` of train, eval and generate.
#pragma once
#include <filesystem>
#include <memory>
#include <string>

#include <antiphon/run/loaded_model.h>

#include <antiphon/profile/profiler.h>

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

// nullptr if no profile is asked for. Measures the machine, for a second. Error(config) if the steps are not valid.
std::unique_ptr<profile::Profiler> open_profiler(const ProfileFlags& flags, const run::LoadedModel& loaded,
                                                 const std::filesystem::path& folder);

// Records what happens while it lives, as one step called `name`.
class ProfiledRun {
 public:
  ProfiledRun(const ProfileFlags& flags, const run::LoadedModel& loaded, const std::filesystem::path& folder,
              const std::string& name);
  ~ProfiledRun();
  ProfiledRun(const ProfiledRun&) = delete;

 private:
  std::unique_ptr<profile::Profiler> profiler_;
};

}  // namespace antiphon::apps
