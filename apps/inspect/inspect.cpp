// antiphon inspect [NAME] [--json]
#include <fmt/format.h>

#include <algorithm>

#include <antiphon/base/error.h>
#include <antiphon/base/fail_lines.h>
#include <antiphon/base/log.h>
#include <antiphon/base/shown.h>
#include <antiphon/base/strings.h>
#include <antiphon/plugin/loader.h>
#include <antiphon/plugin/registry.h>
#include <antiphon/run/run_config.h>
#include <common/command.h>
#include <inspect/facts.h>
#include <inspect/files.h>
#include <inspect/list.h>
#include <inspect/print_options.h>

namespace antiphon::apps {
namespace {

using config::Value;

struct InspectFlags {
  std::string name;
  bool json = false;
};

// The components that a name means: all of the plugin of that name; without one, those so called.
std::vector<const plugin::Entry*> entries_of(const std::string& name) {
  std::vector<const plugin::Entry*> entries;
  const auto all = plugin::discover();
  const bool plugin =
      std::ranges::any_of(all, [&](const auto& found) { return found.name == name && found.refusal.empty(); });
  for (const auto& found : all) {
    if (!found.refusal.empty()) continue;
    for (const auto& item : found.provides) {
      const auto kind = item.substr(0, item.find(':')), component = item.substr(item.find(':') + 1);
      if (plugin ? found.name == name : component == name)
        entries.push_back(&plugin::Registry::instance().find(kind, component));
    }
  }
  return entries;
}

// A refusal is an error's text: its lines, and its fix.
[[noreturn]] void refuse(const std::string& refusal) {
  const auto end = refusal.find("\n  fix: ");
  const auto fix = end == std::string::npos ? "" : refusal.substr(end + std::string_view("\n  fix: ").size());
  fail_lines(ErrorKind::plugin, split(refusal.substr(0, end), '\n'), fix);
}

[[noreturn]] void fail_unknown(const std::string& name) {
  std::vector<std::string> known{"config"};
  for (const auto& found : plugin::discover()) {
    if (found.name == name && !found.refusal.empty()) refuse(found.refusal);
    known.push_back(found.name);
  }
  const auto near = nearest(name, known);
  fail(ErrorKind::plugin,
       fmt::format("no plugin or component is called '{}'{}; there are: {}", name,
                   near.empty() ? "" : "; did you mean '" + near + "'?", join(known, ", ")),
       "`antiphon inspect` lists them; ANTIPHON_PLUGIN_PATH adds folders");
}

void show_text(const plugin::Entry& entry) {
  fmt::print("{} {} (plugin {} {})\n  {}\n  file: {}\n", entry.kind, entry.name, entry.plugin, entry.version, entry.doc,
             entry.file.string());
  for (const auto& fact : facts_of(entry)) fmt::print("  {}\n", fact);
  fmt::print("\noptions{}\n", entry.schema->fields().empty() ? ": none" : ", with their defaults:");
  print_options(*entry.schema);
}

int show_config(bool json) {
  if (json)
    fmt::print("{}\n", config::to_json(run::run_table().describe()));
  else
    print_options(run::run_table());
  return 0;
}

int show(const std::string& name, bool json) {
  if (name == "config") return show_config(json);
  const auto entries = entries_of(name);
  if (entries.empty() && is_model_place(name)) return show_model_place(name, json);
  if (entries.empty()) fail_unknown(name);
  if (!json) {
    for (const auto* entry : entries) show_text(*entry);
    return 0;
  }
  Value::Array all;
  for (const auto* entry : entries)
    all.push_back(Value::Table{{"kind", entry->kind},
                               {"name", entry->name},
                               {"doc", entry->doc},
                               {"plugin", entry->plugin},
                               {"version", entry->version},
                               {"options", entry->schema->describe()}});
  fmt::print("{}\n", config::to_json(all));
  return 0;
}

}  // namespace

void add_inspect(CLI::App& program, Action& action) {
  auto* command = program.add_subcommand("inspect", "list the plugins, or show the options of one");
  auto flags = std::make_shared<InspectFlags>();
  command->add_option(
      "name", flags->name,
      "a plugin or a component, a model's directory or .gguf file; `config` shows the keys of a whole file");
  command->add_flag("--json", flags->json,
                    "print JSON: a list of plugins, of components with their options, or of keys");
  command->callback([flags, &action] {
    action = [flags] { return flags->name.empty() ? list_plugins(flags->json) : show(flags->name, flags->json); };
  });
}

}  // namespace antiphon::apps
