// Builds the component of one slot: pretrained configuration, options, factory.
#pragma once
#include <antiphon/component/register.h>
#include <antiphon/graph/whole_model.h>

namespace antiphon::graph {

// Where a component's configuration comes from; see ComponentSpec.
struct Source {
  std::string weights, part;
};

// On the meta device. `options` receives the options in force. nullptr where `problems` got errors.
template <class Interface, class... Extra>
std::unique_ptr<Interface> build_slot(const std::string& kind, const std::string& plugin, const Source& source,
                                      config::Value& options, const std::string& section, config::Problems& problems,
                                      Extra... extra) {
  const auto where = options.where;
  try {
    const auto pretrained = pretrained_for(source.weights, source.part);
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
