#include <antiphon/plugin/registry.h>

#include <algorithm>

#include <antiphon/base/error.h>
#include <antiphon/base/strings.h>
#include <antiphon/plugin/loader.h>

#include <fmt/format.h>

namespace antiphon::plugin {
namespace {

[[noreturn]] void fail_unknown(const std::string& kind, const std::string& name) {
  const auto found = discover();
  const auto known = component_names(kind);
  const std::string near = nearest(name, known);
  std::string text = fmt::format("there is no {} '{}'", kind, name);
  if (!near.empty()) text += fmt::format("; did you mean '{}'?", near);
  text += known.empty() ? "; none is known;" : fmt::format("{} known: {};", near.empty() ? ";" : "", join(known, ", "));
  std::vector<std::string> folders;
  std::error_code ignored;
  for (const auto& folder : search_path())
    folders.push_back(std::filesystem::is_directory(folder, ignored) ? folder.string()
                                                                     : folder.string() + " (not there)");
  text += folders.empty() ? " no folder was searched" : fmt::format(" searched: {}", join(folders, ", "));
  const auto refused =
      std::count_if(found.begin(), found.end(), [](const auto& plugin) { return !plugin.refusal.empty(); });
  if (refused > 0) text += fmt::format("; {} plugin(s) there are refused, `antiphon doctor` says why", refused);
  fail(ErrorKind::plugin, text, "set ANTIPHON_PLUGIN_PATH to the folder of the plugin, or correct the name");
}

std::string labelled(const Entry& entry) { return fmt::format("{} '{}'", entry.kind, entry.name); }

}  // namespace

void Registrar::add(std::string kind, std::string name, std::string doc, const config::Schema& schema,
                    std::any factory) {
  if (kind.empty() || name.empty() || !factory.has_value()) {
    fail(ErrorKind::plugin,
         fmt::format("a component needs a kind, a name and a factory; got kind '{}', name '{}'", kind, name));
  }
  Entry entry = origin_;
  entry.kind = std::move(kind), entry.name = std::move(name), entry.doc = std::move(doc);
  entry.schema = &schema, entry.factory = std::move(factory);
  entries_.push_back(std::move(entry));
}

Registry& Registry::instance() {
  static auto* registry = new Registry;
  return *registry;
}

void Registry::add(const std::vector<Entry>& entries) {
  std::scoped_lock lock(mutex_);
  auto changed = entries_;
  for (const auto& entry : entries) {
    const auto [other, added] = changed.try_emplace({entry.kind, entry.name}, entry);
    if (added) continue;
    fail(ErrorKind::plugin,
         fmt::format("the {} is registered twice: by {} and by {}", labelled(entry), other->second.file.string(),
                     entry.file.string()),
         "take one of the two plugins out of the search path, or rename the component");
  }
  for (const auto& entry : entries)
    entries_.emplace(std::pair(entry.kind, entry.name), entry);  // others' addresses stay
}

const Entry* Registry::lookup(const std::string& kind, const std::string& name) const {
  std::scoped_lock lock(mutex_);
  const auto found = entries_.find({kind, name});
  return found == entries_.end() ? nullptr : &found->second;
}

const Entry& Registry::find(const std::string& kind, const std::string& name) {
  if (const Entry* entry = lookup(kind, name)) return *entry;
  if (load_providing(kind, name))
    if (const Entry* entry = lookup(kind, name)) return *entry;
  fail_unknown(kind, name);
}

std::vector<Entry> Registry::entries() const {
  std::scoped_lock lock(mutex_);
  std::vector<Entry> out;
  for (const auto& [key, entry] : entries_) out.push_back(entry);
  return out;
}

}  // namespace antiphon::plugin
