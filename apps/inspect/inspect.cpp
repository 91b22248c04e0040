// antiphon inspect [NAME] [--json]
#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/plugin/loader.h>
#include <antiphon/plugin/registry.h>
#include <common/command.h>

namespace antiphon::apps {
namespace {

struct InspectFlags {
  std::string name;
  bool json = false;
};

config::Value text(const std::string& value) { return config::Value(value); }

// Reads the sidecars: no plugin is loaded for a list.
int list(bool json) {
  config::Value::Array all;
  for (const auto& found : plugin::discover()) {
    if (json) {
      config::Value::Array provides;
      for (const auto& item : found.provides) provides.push_back(text(item));
      all.push_back(config::Value::Table{{"name", text(found.name)}, {"version", text(found.version)}, {"provides", provides}, {"doc", text(found.doc)}, {"file", text(found.file.string())}, {"refusal", text(found.refusal)}});
      continue;
    }
    fmt::print("{:<16} {:<8} {:<32} {}\n", found.name, found.version, fmt::join(found.provides, ", "), found.refusal.empty() ? found.doc : "refused: " + found.refusal);
  }
  if (json) fmt::print("{}\n", config::to_json(all));
  return 0;
}

std::string value_text(const config::Value* value) { return value ? config::to_json(*value, 0) : ""; }

void print_fields(const config::Value& fields, int indent) {
  for (const auto& field : *fields.get_if<config::Value::Array>()) {
    const auto string_of = [&](const char* key) { const auto* v = field.find(key); return v && v->get_if<std::string>() ? *v->get_if<std::string>() : std::string(); };
    std::string extra;
    if (const auto* value = field.find("default")) extra += " = " + value_text(value);
    if (field.find("required")) extra += " (required)";
    for (const char* key : {"min", "above", "max", "choices"})
      if (const auto* value = field.find(key)) extra += fmt::format(", {} {}", key, value_text(value));
    fmt::print("{:{}}{} ({}){}\n{:{}}    {}\n", "", indent, string_of("key"), string_of("type"), extra, "", indent, string_of("doc"));
    if (const auto* nested = field.find("fields")) print_fields(*nested, indent + 4);
  }
}

int show(const std::string& name, bool json) {
  bool found = false;
  for (const auto& description : plugin::discover()) {
    for (const auto& item : description.provides) {
      const auto kind = item.substr(0, item.find(':')), component = item.substr(item.find(':') + 1);
      if (description.name != name && component != name) continue;
      const auto& entry = plugin::Registry::instance().find(kind, component);
      found = true;
      const auto schema = entry.schema->describe();
      if (json) {
        fmt::print("{}\n", config::to_json(config::Value::Table{{"kind", text(kind)}, {"name", text(component)}, {"doc", text(entry.doc)}, {"version", text(entry.version)}, {"options", schema}}));
      } else {
        fmt::print("{} {} (plugin {} {}, {})\n  {}\n\noptions:\n", kind, component, entry.plugin, entry.version, entry.file.string(), entry.doc);
        print_fields(schema, 2);
      }
    }
  }
  if (name == "config") {
    found = true;
    const auto schema = run_table().describe();
    if (json) fmt::print("{}\n", config::to_json(schema));
    else print_fields(schema, 0);
  }
  if (found) return 0;
  std::vector<std::string> known;
  for (const auto& description : plugin::discover()) known.push_back(description.name);
  fail(ErrorKind::plugin, fmt::format("no plugin or component is called '{}'; there are: {}", name, fmt::join(known, ", ")), "`antiphon inspect` lists them; ANTIPHON_PLUGIN_PATH adds folders");
}

}  // namespace

void add_inspect(CLI::App& program, Action& action) {
  auto* command = program.add_subcommand("inspect", "list plugins, or show the options of one; `inspect config`: of a whole file");
  auto flags = std::make_shared<InspectFlags>();
  command->add_option("name", flags->name, "a plugin, a component, or config");
  command->add_flag("--json", flags->json, "as JSON");
  command->callback([flags, &action] { action = [flags] { return flags->name.empty() ? list(flags->json) : show(flags->name, flags->json); }; });
}

}  // namespace antiphon::apps
