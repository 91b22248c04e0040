#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <map>
#include <mutex>
#include <set>

#include <antiphon/base/error.h>
#include <antiphon/base/paths.h>
#include <antiphon/base/strings.h>
#include <antiphon/plugin/elf.h>
#include <antiphon/plugin/loader.h>
#include <antiphon/plugin/registry.h>
#include <antiphon/plugin/sidecar.h>
#include <antiphon/plugin/trust.h>

#include <fmt/format.h>

namespace antiphon::plugin {
namespace {

namespace fs = std::filesystem;

// A folder that is named twice would make its plugins conflict with themselves.
std::vector<fs::path> without_repeats(const std::vector<fs::path>& folders) {
  std::vector<fs::path> kept;
  for (const auto& folder : folders) {
    std::error_code ignored;
    const auto is_this = [&](const fs::path& other) {
      return other == folder || fs::equivalent(other, folder, ignored);
    };
    if (std::none_of(kept.begin(), kept.end(), is_this)) kept.push_back(folder);
  }
  return kept;
}

// None if there is no such folder, as with PATH; one that cannot be looked into is another thing.
std::vector<fs::path> plugin_files(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (it->path().extension() == ".so") files.push_back(it->path());
  }
  if (error && error != std::errc::no_such_file_or_directory)
    fail_path(ErrorKind::plugin, "look for plugins in", folder, error.value());
  std::sort(files.begin(), files.end());
  return files;
}

Description describe(const fs::path& file) {
  try {
    check_elf(file);
    auto doubt = check_trust(file);
    auto plugin = read_sidecar(file);
    plugin.doubt = std::move(doubt);
    return plugin;
  } catch (const Error& error) {
    Description refused;
    refused.name = file.stem().string();
    refused.file = file;
    refused.refusal = error.what();
    return refused;
  }
}

struct Contents {
  fs::file_time_type changed;  // the folder, when it was read
  std::string trusted;         // $ANTIPHON_TRUST_PLUGINS then
  std::vector<Description> plugins;
};

// Read once for as long as the folder stays as it is, since a start asks some twenty times. A folder that has just
// changed is not kept: the next change may get the same time. load() checks a file again whatever is kept here.
std::vector<Description> plugins_of(const fs::path& folder) {
  static std::mutex mutex;
  static auto* kept = new std::map<fs::path, Contents>;
  const char* given = std::getenv("ANTIPHON_TRUST_PLUGINS");
  const std::string trusted = given ? given : "";
  std::error_code error;
  const auto changed = fs::last_write_time(folder, error);
  std::scoped_lock lock(mutex);
  const auto known = kept->find(folder);
  if (known != kept->end() && !error && known->second.changed == changed && known->second.trusted == trusted)
    return known->second.plugins;
  Contents contents{changed, trusted, {}};
  for (const auto& file : plugin_files(folder)) contents.plugins.push_back(describe(file));
  if (error || fs::file_time_type::clock::now() - changed < std::chrono::seconds(2)) return contents.plugins;
  return kept->insert_or_assign(folder, std::move(contents)).first->second.plugins;
}

bool provides(const Description& plugin, const std::string& kind, const std::string& component) {
  if (!plugin.refusal.empty() && plugin.provides.empty()) return plugin.name == component;
  return std::find(plugin.provides.begin(), plugin.provides.end(), kind + ":" + component) != plugin.provides.end();
}

}  // namespace

std::vector<fs::path> search_path() {
  std::vector<fs::path> folders;
  const char* given = std::getenv("ANTIPHON_PLUGIN_PATH");
  for (const auto& folder : split(given ? given : "", ':'))
    if (!folder.empty()) folders.emplace_back(folder);
  const fs::path library = library_file().parent_path();
  std::error_code ignored;
  for (const auto& folder : {library / "antiphon" / "plugins", library.parent_path() / "plugins"})
    if (fs::is_directory(folder, ignored)) folders.push_back(folder);
  return without_repeats(folders);
}

std::vector<Description> discover() {
  std::vector<Description> found;
  std::map<std::string, fs::path> names;
  for (const auto& folder : search_path()) {
    for (auto& plugin : plugins_of(folder)) {
      const auto [first, added] = names.try_emplace(plugin.name, plugin.file);
      if (!added)
        plugin.refusal = fmt::format("{}: the plugin '{}' is found earlier in the search path, as {}",
                                     plugin.file.string(), plugin.name, first->second.string());
      found.push_back(std::move(plugin));
    }
  }
  return found;
}

bool load_providing(const std::string& kind, const std::string& component) {
  std::vector<fs::path> providers;
  std::map<std::string, bool> seen;
  for (const auto& plugin : discover())
    if (provides(plugin, kind, component) && seen.emplace(plugin.name, true).second) providers.push_back(plugin.file);
  if (providers.size() > 1) {
    fail(ErrorKind::plugin,
         fmt::format("the {} '{}' is provided by {} and by {}", kind, component, providers[0].string(),
                     providers[1].string()),
         "take one of them out of the search path");
  }
  if (providers.empty()) return false;
  load(providers.front());
  return true;
}

std::vector<std::string> component_names(const std::string& kind) {
  std::set<std::string> names;
  for (const auto& entry : Registry::instance().entries())
    if (entry.kind == kind) names.insert(entry.name);
  for (const auto& plugin : discover())
    for (const auto& provided : plugin.provides)
      if (plugin.refusal.empty() && provided.starts_with(kind + ":")) names.insert(provided.substr(kind.size() + 1));
  return {names.begin(), names.end()};
}

std::string component_reading(const std::string& kind, const std::string& model_type) {
  for (const auto& plugin : discover()) {
    if (!plugin.refusal.empty()) continue;
    for (const auto& entry : plugin.reads)
      if (entry.starts_with(kind + ":") && entry.ends_with(":" + model_type))
        return entry.substr(kind.size() + 1, entry.size() - kind.size() - model_type.size() - 2);
  }
  return {};
}

}  // namespace antiphon::plugin
