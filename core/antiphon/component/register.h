// Typed registration and creation of components.
//
// Options of a component are read in this order, later ones winning: the struct's defaults, config.json (and
// preprocessor_config.json) of the weights directory, the keys in TOML. All are checked against the same rules.
#pragma once
#include <functional>
#include <memory>

#include <antiphon/base/error.h>
#include <antiphon/component/kind.h>
#include <antiphon/component/limits.h>
#include <antiphon/component/pretrained.h>
#include <antiphon/plugin/registry.h>

namespace antiphon {

// What one slot of a composition gives to a factory. `resolved` receives the options in force.
struct BuildContext {
  const config::Value& options;
  std::string section;  // for messages: "model.streams.image.encoder"
  const PretrainedConfig& pretrained;
  config::Problems& problems;
  config::Value& resolved;
};

namespace detail {

// Defaults < pretrained < TOML. Returns nullopt if TOML had problems (they are in context.problems).
template <class Options>
std::optional<Options> read_options(const config::Table<Options>& table, const BuildContext& context) {
  Options options{};
  if constexpr (requires { options.read_pretrained(context.pretrained); }) {
    if (!context.pretrained.empty()) {
      options.read_pretrained(context.pretrained);
      check_options(table, options, context.pretrained.config.file());
    }
  }
  const size_t before = context.problems.size();
  table.read(&options, context.options, context.section, context.problems);
  if (context.problems.size() != before) return std::nullopt;
  context.resolved = table.dump(&options);
  return options;
}

// Error(config) for more parameters than any machine holds: products of widths and layers are refused here.
template <class Component>
std::unique_ptr<Component> within_limits(std::unique_ptr<Component> component) {
  if constexpr (requires { component->module(); }) check_parameter_count(component->module());
  return component;
}

// If the directory's values are wrong even without those in TOML, the directory is at fault: Error(weights).
template <class Component, class Options, class... Extra>
void blame(const config::Table<Options>& table, const BuildContext& context, Extra... extra) {
  const config::Value none = config::Value::Table{};
  config::Value resolved;
  const BuildContext alone{none, context.section, context.pretrained, context.problems, resolved};
  try {
    within_limits(std::make_unique<Component>(*read_options(table, alone), extra...));
  } catch (const Error& error) {
    fail(ErrorKind::weights, context.pretrained.config.file() + ": " + error.message(), error.fix());
  }
}

template <class Interface, class Component, class Options, class... Extra>
FactoryOf<Interface> make_factory(const config::Table<Options>& table, Kind<Extra...>) {
  return [&table](const BuildContext& context, Extra... extra) -> std::unique_ptr<Interface> {
    auto options = read_options(table, context);
    if (!options) return nullptr;
    try {
      return within_limits(std::make_unique<Component>(*options, extra...));
    } catch (const Error& error) {
      if (error.kind() == ErrorKind::config && !context.pretrained.empty()) blame<Component>(table, context, extra...);
      throw;
    }
  };
}

}  // namespace detail

// Component has a constructor (const Options&), followed by what its kind adds (connectors: ConnectorShape). Options
// may have `void read_pretrained(const PretrainedConfig&)`.
template <class Interface, class Component, class Options>
void register_component(plugin::Registrar& registrar, std::string name, std::string doc,
                        const config::Table<Options>& table) {
  registrar.add(KindOf<Interface>::name, std::move(name), std::move(doc), table,
                detail::make_factory<Interface, Component>(table, KindOf<Interface>()));
}

// One without options; its constructor takes what its kind adds.
template <class Interface, class Component>
void register_component(plugin::Registrar& registrar, std::string name, std::string doc) {
  struct None {};
  static const auto* table = new config::Table<None>(KindOf<Interface>::name);
  const FactoryOf<Interface> factory = [](const BuildContext& context, auto... extra) -> std::unique_ptr<Interface> {
    if (!detail::read_options(*table, context)) return nullptr;
    return std::make_unique<Component>(extra...);
  };
  registrar.add(KindOf<Interface>::name, std::move(name), std::move(doc), *table, factory);
}

// Builds the component `name` of the interface's kind; loads its plugin if needed. nullptr if context.problems got
// errors.
template <class Interface, class... Extra>
std::unique_ptr<Interface> create(const std::string& name, const BuildContext& context, Extra... extra) {
  const auto& entry = plugin::Registry::instance().find(KindOf<Interface>::name, name);
  const auto* factory = std::any_cast<FactoryOf<Interface>>(&entry.factory);
  if (!factory)
    fail(ErrorKind::internal,
         std::string("factory of ") + KindOf<Interface>::name + " '" + name + "' has another type");
  return (*factory)(context, extra...);
}

}  // namespace antiphon
