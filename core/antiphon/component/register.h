// Typed registration and creation of components.
//
// Options of a component are read in this order, later ones winning: the struct's defaults, config.json (and
// preprocessor_config.json) of the weights directory, the keys in TOML. All are held against the same rules.
#pragma once
#include <functional>
#include <memory>

#include <antiphon/base/error.h>
#include <antiphon/component/connector.h>
#include <antiphon/component/encoder.h>
#include <antiphon/component/language_model.h>
#include <antiphon/component/limits.h>
#include <antiphon/component/loss.h>
#include <antiphon/component/model_family.h>
#include <antiphon/component/peft.h>
#include <antiphon/component/pretrained.h>
#include <antiphon/component/voice_activity.h>
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

template <class Interface, class... Extra>
using Factory = std::function<std::unique_ptr<Interface>(const BuildContext&, Extra...)>;

using EncoderFactory = Factory<Encoder>;
using ConnectorFactory = Factory<Connector, ConnectorShape>;
using LanguageModelFactory = Factory<LanguageModel>;
using LossFactory = Factory<Loss>;
using PeftFactory = Factory<Peft>;
using VoiceActivityFactory = Factory<VoiceActivity>;
using ModelFamilyFactory = Factory<ModelFamily>;

namespace detail {

// Defaults < pretrained < TOML. Returns nullopt where TOML had problems (they are in context.problems).
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

// Where the directory's values go wrong without those in TOML too, the directory is at fault. Error(weights) then.
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
Factory<Interface, Extra...> make_factory(const config::Table<Options>& table) {
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

// Component has a constructor (const Options&) — connectors: (const Options&, ConnectorShape). Options may have
// `void read_pretrained(const PretrainedConfig&)`.
template <class Component, class Options>
void register_encoder(plugin::Registrar& registrar, std::string name, std::string doc,
                      const config::Table<Options>& table) {
  registrar.add("encoder", std::move(name), std::move(doc), table,
                EncoderFactory(detail::make_factory<Encoder, Component>(table)));
}
template <class Component, class Options>
void register_connector(plugin::Registrar& registrar, std::string name, std::string doc,
                        const config::Table<Options>& table) {
  registrar.add("connector", std::move(name), std::move(doc), table,
                ConnectorFactory(detail::make_factory<Connector, Component, Options, ConnectorShape>(table)));
}
template <class Component, class Options>
void register_language_model(plugin::Registrar& registrar, std::string name, std::string doc,
                             const config::Table<Options>& table) {
  registrar.add("language_model", std::move(name), std::move(doc), table,
                LanguageModelFactory(detail::make_factory<LanguageModel, Component>(table)));
}
template <class Component, class Options>
void register_loss(plugin::Registrar& registrar, std::string name, std::string doc,
                   const config::Table<Options>& table) {
  registrar.add("loss", std::move(name), std::move(doc), table,
                LossFactory(detail::make_factory<Loss, Component>(table)));
}
template <class Component, class Options>
void register_peft(plugin::Registrar& registrar, std::string name, std::string doc,
                   const config::Table<Options>& table) {
  registrar.add("peft", std::move(name), std::move(doc), table,
                PeftFactory(detail::make_factory<Peft, Component>(table)));
}

template <class Component, class Options>
void register_voice_activity(plugin::Registrar& registrar, std::string name, std::string doc,
                             const config::Table<Options>& table) {
  registrar.add("voice_activity", std::move(name), std::move(doc), table,
                VoiceActivityFactory(detail::make_factory<VoiceActivity, Component>(table)));
}

// A family has a default constructor and no options.
template <class Component>
void register_model_family(plugin::Registrar& registrar, std::string name, std::string doc) {
  struct None {};
  static const auto* table = new config::Table<None>("model_family");
  registrar.add("model_family", std::move(name), std::move(doc), *table,
                ModelFamilyFactory([](const BuildContext&) { return std::make_unique<Component>(); }));
}

// Builds component `name` of `kind`; loads its plugin where needed. nullptr where context.problems got errors.
template <class Interface, class... Extra>
std::unique_ptr<Interface> create(const std::string& kind, const std::string& name, const BuildContext& context,
                                  Extra... extra) {
  const auto& entry = plugin::Registry::instance().find(kind, name);
  const auto* factory = std::any_cast<Factory<Interface, Extra...>>(&entry.factory);
  if (!factory) fail(ErrorKind::internal, "factory of " + kind + " '" + name + "' has another type");
  return (*factory)(context, extra...);
}

}  // namespace antiphon
