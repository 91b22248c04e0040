// antiphon conformance PLUGIN.so [--options FILE.toml]: what every component of a kind must do.
#include <fmt/format.h>

#include <filesystem>
#include <map>

#include <antiphon/base/error.h>
#include <antiphon/base/strings.h>
#include <antiphon/plugin/loader.h>
#include <common/command.h>

#include "exports.h"
#include "network.h"

namespace antiphon::apps {
namespace conformance {
namespace {

std::map<std::string, CheckKind>& kinds() {
  static std::map<std::string, CheckKind> all;
  return all;
}

}  // namespace

KindChecks::KindChecks(const char* kind, CheckKind check) { kinds()[kind] = check; }

}  // namespace conformance

namespace {

using namespace conformance;

struct ConformanceFlags {
  std::string file, options, data;
};

std::vector<plugin::Entry> entries_of(const std::filesystem::path& file) {
  plugin::load(file);
  std::error_code unknown;  // it has just been read
  const auto path = std::filesystem::canonical(file, unknown);
  std::vector<plugin::Entry> own;
  for (const auto& entry : plugin::Registry::instance().entries())
    if (entry.file == path) own.push_back(entry);
  return own;
}

// [kind.name] tables, or [[kind.name]] for several sizes; each must belong to a component of the plugin.
config::Value read_options(const std::string& file, const std::vector<plugin::Entry>& entries) {
  if (file.empty()) return config::Value(config::Value::Table{});
  const auto root = config::load_toml(file);
  std::vector<std::string> known;
  for (const auto& entry : entries) known.push_back(entry.kind + "." + entry.name);
  config::Problems problems;
  for (const auto& [kind, components] : *root.get_if<config::Value::Table>()) {
    const auto* table = components.get_if<config::Value::Table>();
    if (!table)
      problems.add(components.where, fmt::format("'{}' must be a table [kind.name]", kind));
    else
      for (const auto& [name, options] : *table)
        if (std::find(known.begin(), known.end(), kind + "." + name) == known.end())
          problems.add(options.where, fmt::format("[{}.{}] is not a component of this plugin; it has: {}", kind, name,
                                                  join(known, ", ")));
  }
  problems.throw_if_any();
  return root;
}

std::vector<config::Value> options_for(const config::Value& root, const plugin::Entry& entry) {
  const auto* kind = root.find(entry.kind);
  const auto* found = kind ? kind->find(entry.name) : nullptr;
  if (!found) return {config::Value(config::Value::Table{})};
  if (const auto* list = found->get_if<config::Value::Array>()) return *list;
  return {*found};
}

void check_exports(Report& report, const std::string& file) {
  report.check("exports antiphon_plugin_entry and antiphon_plugin_manifest, nothing else", [&] {
    const auto names = exported_symbols(file);
    const std::vector<std::string> wanted{"antiphon_plugin_entry", "antiphon_plugin_manifest"};
    expect(names == wanted, "expected these two, got {}", join(names, ", "));
  });
}

std::string in_short(const config::Value& options) {
  const auto* table = options.get_if<config::Value::Table>();
  if (!table || table->empty()) return "its defaults";
  std::vector<std::string> items;
  for (const auto& [key, value] : *table) items.push_back(fmt::format("{} = {}", key, config::to_json(value, -1)));
  return join(items, ", ");
}

void check_component(Report& report, const plugin::Entry& entry, const config::Value& options,
                     const std::filesystem::path& data) {
  report.heading(fmt::format("{} {} with {}", entry.kind, entry.name, in_short(options)));
  const auto found = kinds().find(entry.kind);
  if (found == kinds().end()) {
    report.check("kind: one that antiphon knows", [&] {
      std::vector<std::string> known;
      for (const auto& [kind, check] : kinds()) known.push_back(kind);
      throw Unmet{fmt::format("expected one of {}, got {}", join(known, ", "), entry.kind)};
    });
    return;
  }
  const GlobalState state;
  const Subject subject{entry, options, data};
  try {
    found->second(report, subject);
  } catch (const std::exception&) {  // outside a check: what built a moment ago does not build again
    const auto error = std::current_exception();
    report.check("the checks run to their end", [&] { std::rethrow_exception(error); });
  } catch (const Unmet& unmet) {
    report.check("the checks run to their end", [&] { throw unmet; });
  }
  state.check_unchanged(report);
}

int run(const ConformanceFlags& flags) {
  const auto entries = entries_of(flags.file);
  if (entries.empty())
    fail(ErrorKind::plugin, flags.file + ": registers no component",
         "register one in ANTIPHON_PLUGIN(name, version) { … }");
  const auto options = read_options(flags.options, entries);
  Report report;
  report.heading(fmt::format("plugin {} {} ({})", entries.front().plugin, entries.front().version, flags.file));
  check_exports(report, flags.file);
  for (const auto& entry : entries)
    for (const auto& own : options_for(options, entry)) check_component(report, entry, own, flags.data);
  fmt::print("{} passed, {} failed\n", report.passed(), report.failed());
  return report.failed() ? static_cast<int>(ErrorKind::plugin) : 0;
}

}  // namespace

void add_conformance(CLI::App& program, Action& action) {
  auto* command =
      program.add_subcommand("conformance", "run the checks that every plugin must pass; exit code 5 if one fails");
  auto flags = std::make_shared<ConformanceFlags>();
  command->add_option("plugin", flags->file, "the plugin's .so file, with its .toml beside it")
      ->required()
      ->type_name("PLUGIN.so");
  command
      ->add_option("--options", flags->options,
                   "options that make the components small, as tables [kind.name]: [encoder.dinov2]; a list "
                   "[[kind.name]] is run one by one")
      ->type_name("FILE.toml");
  command
      ->add_option("--data", flags->data,
                   "for data sources: a file that they read; for record formats: JSON lines with records of theirs")
      ->type_name("FILE");
  command->callback([flags, &action] { action = [flags] { return run(*flags); }; });
}

}  // namespace antiphon::apps
