#include <antiphon/run/processes.h>

#include <fmt/format.h>

#include <antiphon/base/beacon.h>
#include <antiphon/base/log.h>
#include <antiphon/data/feature_cache.h>
#include <antiphon/model/model.h>
#include <antiphon/parallel/same_run.h>
#include <antiphon/plugin/registry.h>
#include <antiphon/train/together.h>

namespace antiphon::run {

Processes::Processes() : place_(comm::place_from_environment()) {
  if (place_.rank > 0) log::set_level(log::Level::warning);
  beacon::open_from_environment();
}

Processes::~Processes() = default;

void Processes::meet(const RunConfig& config, at::Device device) {
  const auto& parallel = config.parallel;
  if (parallel.replicate != 0 && parallel.replicate != place_.size)
    fail(ErrorKind::config,
         fmt::format("parallel.replicate is {} and there are {} processes", parallel.replicate, place_.size),
         "start as many, or set it to 0");
  share_ = train::share_of(place_.rank, place_.size, config.train.accumulate);
  agreement_ = std::make_unique<train::Alone>();
  if (!several()) return;
  if (!device.is_cpu())
    fail(ErrorKind::config, "several processes train on the CPU only: they exchange tensors of the CPU",
         "use --device cpu, or one process");
  place_.interface = parallel.interface, place_.timeout = std::chrono::seconds(parallel.timeout_seconds);
  if (!group_) group_ = std::make_unique<comm::Group>(place_);
  agreement_ = std::make_unique<train::Together>(*group_);
  log::info(fmt::format("{} processes share the {} batches of a step", place_.size, share_.all));
}

void check_same(comm::Group& group, const RunConfig& config, const data::Loader& loader, int64_t step,
                model::Model& model) {
  auto common = config;
  common.parallel.interface.clear();  // a machine's own names
  const auto resolved = config::to_toml(run_table().dump(&common));
  std::string plugins, parameters;
  for (const auto& entry : plugin::Registry::instance().entries()) plugins += entry.plugin + " " + entry.version + "\n";
  for (const auto& parameter : model.saved_parameters()) parameters += data::hash_of(*parameter.tensor);
  parallel::check_same(group, {{"version of the program", ANTIPHON_VERSION},
                               {"configuration", resolved},
                               {"set of plugins", plugins},
                               {"step to go on from", std::to_string(step)},
                               {"training data", loader.fingerprint() + loader.draw_settings()},
                               {"value of a trained parameter", parameters}});
}

}  // namespace antiphon::run
