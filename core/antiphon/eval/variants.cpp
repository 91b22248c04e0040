#include <antiphon/eval/variants.h>

#include <fmt/format.h>

#include <algorithm>

#include <antiphon/base/error.h>
#include <antiphon/base/log.h>
#include <antiphon/eval/controls.h>

namespace antiphon::eval {
namespace {

bool holds(const std::vector<Sample>& samples, Modality modality) {
  return std::ranges::any_of(samples, [&](const Sample& sample) {
    return std::ranges::any_of(sample.media, [&](const auto& media) { return media.modality == modality; });
  });
}

void add_shuffled(Variants& all, const std::string& name, const std::vector<Sample>& samples, uint64_t seed,
                  const std::vector<Modality>& kinds) {
  try {
    all.emplace_back(name, with_shuffled_media(samples, seed, kinds));
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::data) throw;
    log::warning(fmt::format("the control '{}' is left out: {}", name, error.what()));
  }
}

}  // namespace

Variants variants_of(const std::vector<Sample>& samples, const EvalOptions& options) {
  Variants all{{"right", samples}};
  std::vector<Modality> kinds;
  for (const auto modality : {Modality::image, Modality::audio, Modality::video})
    if (holds(samples, modality)) kinds.push_back(modality);
  const auto seed = static_cast<uint64_t>(options.seed);
  for (const auto& control : options.controls) {
    if (kinds.empty()) continue;
    if (control == "removed") all.emplace_back(control, without_media(samples));
    if (control != "shuffled") continue;
    add_shuffled(all, control, samples, seed, {});
    if (kinds.size() == 1) continue;
    for (const auto kind : kinds) add_shuffled(all, fmt::format("shuffled_{}", to_string(kind)), samples, seed, {kind});
  }
  return all;
}

}  // namespace antiphon::eval
