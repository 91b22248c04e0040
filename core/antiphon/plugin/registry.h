// What plugins have registered. It knows neither plugins nor interfaces by name: a factory is kept under the type
// of its function, and component/register.h gives the typed view.
#pragma once
#include <any>
#include <filesystem>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include <antiphon/config/schema.h>

namespace antiphon::plugin {

// One registered component.
struct Entry {
  std::string kind;                        // "encoder", "connector", "language_model", "objective", "peft", …
  std::string name;                        // what TOML says in `plugin = "…"`
  std::string doc;                         // one line
  const config::Schema* schema = nullptr;  // lives for ever: plugins are never unloaded
  std::any factory;                        // std::function<…> of the kind
  std::string plugin, version;
  std::filesystem::path file;
};

// Handed to a plugin's entry function.
class Registrar {
 public:
  explicit Registrar(Entry origin) : origin_(std::move(origin)) {}
  void add(std::string kind, std::string name, std::string doc, const config::Schema& schema, std::any factory);
  const std::vector<Entry>& entries() const { return entries_; }

 private:
  Entry origin_;
  std::vector<Entry> entries_;
};

class Registry {
 public:
  // The process-wide registry; never destroyed.
  static Registry& instance();
  // All or none: a name that is taken is an Error(plugin) that names both files.
  void add(const std::vector<Entry>& entries);
  // Error(plugin) with the known names and "did you mean" if it is missing. Loads the plugin if needed. The reference
  // stays valid for ever.
  const Entry& find(const std::string& kind, const std::string& name);
  std::vector<Entry> entries() const;

 private:
  const Entry* lookup(const std::string& kind, const std::string& name) const;

  mutable std::mutex mutex_;
  std::map<std::pair<std::string, std::string>, Entry> entries_;
};

}  // namespace antiphon::plugin
