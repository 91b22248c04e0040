// Builds the component of one slot: pretrained configuration, options, factory.
#pragma once
#include <optional>

#include <antiphon/component/language_model.h>
#include <antiphon/component/register.h>
#include <antiphon/model/model_spec.h>
#include <antiphon/model/origin.h>
#include <antiphon/model/tied_head.h>
#include <antiphon/model/whole_model.h>

namespace antiphon::model {

// Where a component's configuration comes from; see ComponentSpec.
struct Source {
  std::string weights, part;
};

// A failure of `body` becomes a problem of the slot; errors in the program itself pass through.
template <class Body>
auto in_slot(const config::Location& where, const std::string& section, config::Problems& problems, Body&& body)
    -> decltype(body()) {
  try {
    return body();
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::internal) throw;
    problems.add(where, "[" + section + "] " + error.message(), error.fix(), error.kind());
    return {};
  }
}

const config::Table<ComponentSpec>& head_slot();  // without a plugin: none
const config::Table<ComponentSpec>& objective_slot();
const config::Table<ComponentSpec>& voice_activity_slot();  // without a plugin: none
// The slot's own keys for components of this kind.
std::vector<std::string> slot_keys(const std::string& kind);

// Reports the keys that neither the component nor its slot has, and returns the options without them; nothing if there
// is no such component. Builds nothing.
std::optional<config::Value> check_keys(const std::string& kind, const std::string& plugin,
                                        const config::Value& options, const std::string& section,
                                        config::Problems& problems);
// The same for all slots of a model, those of disabled streams too.
void check_slots(const ModelSpec& spec, config::Problems& problems);
// The same for the head, which may be none.
void check_head(const ModelSpec& spec, config::Problems& problems);
// The same for the slots of one stream.
void check_slots(const std::string& name, const StreamSpec& stream, config::Problems& problems);
// The slots of `encoder = {…}` or `encoder = [{…}, {…}]`.
std::vector<ComponentSpec> read_encoders(const config::Value& value, const std::string& section,
                                         config::Problems& problems);

// On the meta device. `options` receives the options in force. nullptr if `problems` got errors that leave nothing to
// build. `read`: gives the files of the component's directory.
template <class Interface, class Read, class... Extra>
std::unique_ptr<Interface> build_slot_from(const std::string& plugin, Read&& read, config::Value& options,
                                           const std::string& section, config::Problems& problems, Extra... extra) {
  const auto known = check_keys(KindOf<Interface>::name, plugin, options, section, problems);
  if (!known) return nullptr;
  return in_slot(options.where, section, problems, [&]() -> std::unique_ptr<Interface> {
    const PretrainedConfig pretrained = read();
    config::Value resolved = *known;
    const BuildContext context{*known, section, pretrained, problems, resolved};
    auto component = create<Interface>(plugin, context, extra...);
    options = std::move(resolved);
    return component;
  });
}

// The same of a Hugging Face directory.
template <class Interface, class... Extra>
std::unique_ptr<Interface> build_slot(const std::string& plugin, const Source& source, config::Value& options,
                                      const std::string& section, config::Problems& problems, Extra... extra) {
  const auto read = [&] {
    const auto origin = origin_of(plugin, source.weights, source.part, section);
    auto pretrained = pretrained_for(origin.weights, origin.part);
    if constexpr (std::is_same_v<Interface, LanguageModel>)
      untie_by_content(pretrained, origin.weights, whole_names(origin.weights, origin.part));
    return pretrained;
  };
  return build_slot_from<Interface>(plugin, read, options, section, problems, extra...);
}

}  // namespace antiphon::model
