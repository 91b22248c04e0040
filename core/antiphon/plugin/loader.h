// Finds and opens plugin files. The only code that sees Boost.DLL.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace antiphon::plugin {

// The sidecar NAME.toml beside NAME.so: what the file says about itself, readable without loading it.
struct Description {
  std::string name, version, torch, compiler, cxx_abi, build;
  int64_t abi = 0;
  std::vector<std::string> provides;  // "encoder:dinov2"
  std::vector<std::string> reads;     // "encoder:dinov2:dinov2", a component and a model_type of config.json
  std::string doc;
  std::string xxh3;  // 128-bit XXH3 of the file, 32 hexadecimal digits
  std::filesystem::path file;
  std::string refusal;  // why it would not be loaded; empty if it is fine
  std::string doubt;    // why it is not trusted, if ANTIPHON_TRUST_PLUGINS accepts it anyway
};

// Folders searched, in order: $ANTIPHON_PLUGIN_PATH (colon-separated; kept if it does not exist), then beside
// libantiphon.so: `<lib>/antiphon/plugins` of an installation, `<lib>/../plugins` of a build tree.
std::vector<std::filesystem::path> search_path();

// Every plugin of the search path, read from the sidecars; nothing is loaded. Refused ones carry the reason, also if a
// plugin of the same name comes earlier in the path.
std::vector<Description> discover();

// Opens a file (rtld_now | rtld_local, never unloaded) and registers what it holds. Order of checks: file exists, whole
// ELF file for this machine, nobody else could have written it (trust.h), sidecar (exists, valid, same build, name
// equals file name), content matches the sidecar's hash, opens (missing dependency or symbol), manifest and entry
// symbol, struct size, then ABI number, LibTorch, compiler, C++ ABI and
// build type all reported together, name equals file name, sidecar agrees, not loaded from elsewhere, entry function
// does not throw, registers what the sidecar promises, no component twice. Every refusal is an Error(plugin) that names
// the file, both sides and the fix, and leaves the registry as it was. Loading the same file twice does nothing.
void load(const std::filesystem::path& file);

// content_hash() of each file that was loaded, as it was then, and its plugin's name and version: "lora 0.1.0 9f…", in
// alphabetical order.
std::vector<std::string> loaded_contents();

// The component of this kind that reads config.json files of this model_type, by the sidecars; empty if none does.
std::string component_reading(const std::string& kind, const std::string& model_type);

// The names of all components of a kind, registered or only on disk (by the sidecars), in alphabetical order.
std::vector<std::string> component_names(const std::string& kind);

// Loads the plugin of the search path that provides `kind:component`. Returns false if none does; Error if it exists
// but is refused, or if a second plugin of another name provides it too.
bool load_providing(const std::string& kind, const std::string& component);

}  // namespace antiphon::plugin
