#include <inspect/facts.h>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <antiphon/base/strings.h>
#include <antiphon/component/encoder.h>
#include <antiphon/component/language_model.h>
#include <antiphon/component/register.h>

namespace antiphon::apps {
namespace {

template <class Interface>
std::unique_ptr<Interface> with_defaults(const plugin::Entry& entry) {
  config::Problems problems;
  config::Value resolved;
  const config::Value options = config::Value::Table{};
  const PretrainedConfig none;
  return create<Interface>(entry.name, BuildContext{options, entry.name, none, problems, resolved});
}

std::string size_of(Module& module) {
  return fmt::format("{} parameters with the defaults", human_count(static_cast<double>(module.parameter_count())));
}

std::vector<std::string> of_encoder(Encoder& encoder) {
  const auto shape = encoder.example_shape();
  const std::string rate = encoder.sample_rate() ? fmt::format(" of {} Hz", encoder.sample_rate()) : "";
  return {fmt::format("takes {}{}; its smallest part [{}] -> {} vectors of {}", to_string(encoder.modality()), rate,
                      fmt::join(shape, ", "), encoder.output_grid(shape).count(), encoder.output_size()),
          size_of(encoder.module())};
}

}  // namespace

std::vector<std::string> facts_of(const plugin::Entry& entry) {
  try {
    if (entry.kind == "encoder")
      if (const auto encoder = with_defaults<Encoder>(entry)) return of_encoder(*encoder);
    if (entry.kind == "language_model")
      if (const auto model = with_defaults<LanguageModel>(entry)) return {size_of(model->module())};
  } catch (const Error&) {
    // a component whose defaults make no model, since some options are required
  }
  return {};
}

}  // namespace antiphon::apps
