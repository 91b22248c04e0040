// `--profile` of train, eval and generate.
#pragma once
#include <filesystem>
#include <memory>
#include <string>

#include <common/profile_flags.h>

#include <antiphon/run/loaded_model.h>

#include <antiphon/profile/profiler.h>

namespace antiphon::apps {

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
