#include <antiphon/model/slot.h>

#include <fmt/format.h>

#include <antiphon/config/keys.h>

namespace antiphon::model {
namespace {

void check_pefts(const std::vector<ComponentSpec>& slots, const std::string& section, config::Problems& problems) {
  for (size_t i = 0; i < slots.size(); ++i)
    if (!slots[i].plugin.empty())
      check_keys("peft", slots[i].plugin, slots[i].options, fmt::format("{}.peft.{}", section, i), problems);
}

}  // namespace

std::optional<config::Value> check_keys(const std::string& kind, const std::string& plugin,
                                        const config::Value& options, const std::string& section,
                                        config::Problems& problems) {
  const auto* entry =
      in_slot(options.where, section, problems, [&] { return &plugin::Registry::instance().find(kind, plugin); });
  if (!entry) return std::nullopt;
  return config::without_unknown(*entry->schema, slot_keys(kind), options, section, problems);
}

void check_slots(const ModelSpec& spec, config::Problems& problems) {
  const auto& llm = spec.llm;
  if (!llm.plugin.empty()) check_keys("language_model", llm.plugin, llm.options, "model.llm", problems);
  check_pefts(llm.peft, "model.llm", problems);
  for (const auto& [name, stream] : spec.streams) check_slots(name, stream, problems);
  check_head(spec, problems);
}

void check_head(const ModelSpec& spec, config::Problems& problems) {
  const auto& head = spec.head;
  if (head.plugin.empty())
    config::without_unknown(head_slot(), {}, head.options, "model.head", problems);
  else
    check_keys("head", head.plugin, head.options, "model.head", problems);
}

void check_slots(const std::string& name, const StreamSpec& stream, config::Problems& problems) {
  const std::string section = "model.streams." + name;
  if (!stream.encoder.empty())
    for (const auto& slot : read_encoders(stream.encoder, section + ".encoder", problems)) {
      if (!slot.plugin.empty()) check_keys("encoder", slot.plugin, slot.options, section + ".encoder", problems);
      check_pefts(slot.peft, section + ".encoder", problems);
    }
  const auto& connector = stream.connector;
  if (!connector.plugin.empty())
    check_keys("connector", connector.plugin, connector.options, section + ".connector", problems);
  check_pefts(connector.peft, section + ".connector", problems);
}

std::vector<ComponentSpec> read_encoders(const config::Value& value, const std::string& section,
                                         config::Problems& problems) {
  const auto* list = value.get_if<config::Value::Array>();
  if (!list) return {frozen_slot().parse(value, section, problems)};
  std::vector<ComponentSpec> slots;
  for (size_t i = 0; i < list->size(); ++i)
    slots.push_back(frozen_slot().parse((*list)[i], fmt::format("{}.{}", section, i), problems));
  if (list->empty()) problems.add(value.where, fmt::format("[{}] lists no encoder", section), "name at least one");
  return slots;
}

}  // namespace antiphon::model
