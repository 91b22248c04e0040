// Builds the component of one slot: pretrained configuration, options, factory.
#pragma once
#include <antiphon/component/register.h>
#include <antiphon/weights/load.h>

namespace antiphon::graph {

// On the meta device. `options` receives the options in force. nullptr where `problems` got errors.
template <class Interface, class... Extra>
std::unique_ptr<Interface> build_slot(const std::string& kind, const std::string& plugin, const std::string& weights,
                                      config::Value& options, const std::string& section, config::Problems& problems,
                                      Extra... extra) {
  const auto where = options.where;
  try {
    const auto pretrained = weights.empty() ? PretrainedConfig{} : weights::read_pretrained_config(weights);
    config::Value resolved = options;
    const BuildContext context{options, section, pretrained, problems, resolved};
    auto component = create<Interface>(kind, plugin, context, extra...);
    options = std::move(resolved);
    return component;
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::internal) throw;
    problems.add(where, "[" + section + "] " + error.message(), error.fix(), error.kind());
    return nullptr;
  }
}

}  // namespace antiphon::graph
