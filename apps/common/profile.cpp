#include <common/profile.h>

namespace antiphon::apps {
namespace {

// What a run may spend its time on: a part without a call is shown too, such as encoders whose features are cached.
profile::ProfileOptions options_for(const run::LoadedModel& loaded, const std::filesystem::path& folder) {
  profile::ProfileOptions options;
  options.folder = folder;
  options.device = loaded.device;
  options.dtype = loaded.lm().compute_dtype();
  for (const auto& [name, stream] : loaded.lm().streams()) options.parts.push_back("encoders/" + name);
  for (const auto& [name, stream] : loaded.lm().streams()) options.parts.push_back("connectors/" + name);
  options.parts.emplace_back("decoder");
  return options;
}

}  // namespace

std::unique_ptr<profile::Profiler> open_profiler(const ProfileFlags& flags, const run::LoadedModel& loaded,
                                                 const std::filesystem::path& folder) {
  const auto steps = profile::parse_steps(flags.steps);
  if (!flags.on) return nullptr;
  auto options = options_for(loaded, folder);
  options.first = steps.first, options.last = steps.second;
  options.parts.insert(options.parts.begin(), "data wait");
  for (const char* part : {"loss", "backward", "optimizer", "checkpoint"}) options.parts.emplace_back(part);
  return std::make_unique<profile::Profiler>(std::move(options));
}

ProfiledRun::ProfiledRun(const ProfileFlags& flags, const run::LoadedModel& loaded, const std::filesystem::path& folder,
                         const std::string& name) {
  if (!flags.on) return;
  auto options = options_for(loaded, folder);
  options.first = options.last = 1, options.step = name;
  profiler_ = std::make_unique<profile::Profiler>(std::move(options));
  profiler_->begin_step();
}

ProfiledRun::~ProfiledRun() {
  if (profiler_) profiler_->end_step();
}

}  // namespace antiphon::apps
