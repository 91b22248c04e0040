// The only code that sees Boost.DLL.
#include <antiphon/plugin/loader.h>

#include <cxxabi.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <new>

#include <boost/dll/shared_library.hpp>

#include <antiphon/base/error.h>
#include <antiphon/base/log.h>
#include <antiphon/base/paths.h>
#include <antiphon/base/strings.h>
#include <antiphon/plugin/elf.h>
#include <antiphon/plugin/linker_words.h>
#include <antiphon/plugin/manifest.h>
#include <antiphon/plugin/sidecar.h>
#include <antiphon/plugin/trust.h>

#include <fmt/format.h>

namespace antiphon::plugin {
namespace {

namespace fs = std::filesystem;
namespace dll = boost::dll;
using EntryFunction = void(Registrar&);
constexpr const char* manifest_symbol = "antiphon_plugin_manifest";
constexpr const char* entry_symbol = "antiphon_plugin_entry";
constexpr const char* export_fix =
    "a plugin holds ANTIPHON_PLUGIN(name, version) { … } once, and is built by antiphon_add_plugin";

// Plugins by name. Never destroyed, so that no plugin's code is unloaded while in use.
struct Loaded {
  std::mutex mutex;
  std::map<std::string, fs::path> files;
  std::vector<std::string> contents;  // loaded_contents()
  std::vector<dll::shared_library*> libraries;
};

Loaded& loaded() {
  static auto* all = new Loaded;
  return *all;
}

[[noreturn]] void refuse(const fs::path& file, const std::string& why, std::string fix) {
  fail(ErrorKind::plugin, fmt::format("{}: {}", file.string(), why), std::move(fix));
}

// Boost wraps dlerror's text: "… (dlerror system message: TEXT): …".
std::string linker_text(const std::string& what) {
  constexpr std::string_view mark = "dlerror system message: ";
  const size_t begin = what.find(mark);
  if (begin == std::string::npos) return what;
  const std::string rest = what.substr(begin + mark.size());
  return rest.substr(0, rest.rfind("): "));
}

dll::shared_library& open(const fs::path& file, const fs::path& absolute) {
  auto* library = new dll::shared_library;
  loaded().libraries.push_back(library);  // a refused one stays mapped too: its static objects exist
  try {
    library->load(absolute.string(), dll::load_mode::rtld_now | dll::load_mode::rtld_local);
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception& error) {
    auto [why, fix] = in_words(linker_text(error.what()), absolute.string());
    refuse(file, why, std::move(fix));
  }
  return *library;
}

// Only the first two members can be trusted before they are checked.
Description read_manifest(const dll::shared_library& library, const fs::path& file) {
  if (!library.has(manifest_symbol)) refuse(file, fmt::format("exports no {}", manifest_symbol), export_fix);
  const auto& manifest = library.get<const antiphon_plugin_manifest_t>(manifest_symbol);
  Description out = this_build();
  out.file = file;
  out.abi = manifest.abi;
  if (manifest.struct_size != sizeof manifest) {
    check_build(out);
    refuse(file, fmt::format("its manifest has {} bytes, not {}", manifest.struct_size, sizeof manifest),
           "build it again against this antiphon");
  }
  const char* texts[] = {manifest.name,     manifest.version, manifest.torch,
                         manifest.compiler, manifest.cxx_abi, manifest.build};
  if (std::find(std::begin(texts), std::end(texts), nullptr) != std::end(texts))
    refuse(file, "its manifest has an empty member", export_fix);
  out.name = manifest.name, out.version = manifest.version, out.torch = manifest.torch;
  out.compiler = manifest.compiler, out.cxx_abi = manifest.cxx_abi, out.build = manifest.build;
  return out;
}

void run_entry(const dll::shared_library& library, Registrar& registrar, const fs::path& file) {
  const auto failed = [&](const std::string& text) {
    refuse(file, fmt::format("its entry function failed: {}", text), "this is a mistake in the plugin");
  };
  try {
    library.get<EntryFunction>(entry_symbol)(registrar);
  } catch (const std::bad_alloc&) {  // no mistake of the plugin's
    throw;
  } catch (const Error& error) {
    failed(error.what());
  } catch (const std::exception& error) {
    failed(fmt::format("{}: {}", demangled(typeid(error).name()), error.what()));
  } catch (...) {
    failed(fmt::format("it threw a value of type {}", demangled(abi::__cxa_current_exception_type()->name())));
  }
}

void check_provided(const std::vector<Entry>& entries, const Description& sidecar) {
  std::vector<std::string> registered, promised = sidecar.provides;
  for (const auto& entry : entries) registered.push_back(entry.kind + ":" + entry.name);
  std::sort(registered.begin(), registered.end());
  std::sort(promised.begin(), promised.end());
  if (registered == promised) return;
  refuse(sidecar.file,
         fmt::format("it registers [{}], but its sidecar promises [{}]", join(registered, ", "), join(promised, ", ")),
         "say what it registers in antiphon_add_plugin(… PROVIDES kind:name …)");
}

void load_locked(const fs::path& file) {
  check_elf(file);
  std::error_code error;
  const fs::path absolute = fs::canonical(file, error);
  if (error) fail_path(ErrorKind::plugin, "look at", file, error.value());
  auto& files = loaded().files;
  const auto is_this = [&](const auto& item) { return item.second == absolute; };
  if (std::any_of(files.begin(), files.end(), is_this)) return;
  const auto doubt = check_trust(file);
  const Description sidecar = read_sidecar(file);
  check_content(sidecar);
  if (!doubt.empty())
    log::warning(fmt::format("{}: {}; it is taken all the same, by ANTIPHON_TRUST_PLUGINS", file.string(), doubt));

  const auto& library = open(file, absolute);
  const Description binary = read_manifest(library, file);
  if (!library.has(entry_symbol)) refuse(file, fmt::format("exports no {}", entry_symbol), export_fix);
  check_build(binary);
  check_name(binary);
  check_agreement(sidecar, binary);
  if (const auto other = files.find(binary.name); other != files.end()) {
    refuse(file, fmt::format("the plugin '{}' is already loaded from {}", binary.name, other->second.string()),
           "take one of them out of the search path");
  }

  Entry origin;
  origin.plugin = binary.name, origin.version = binary.version, origin.file = absolute;
  Registrar registrar(std::move(origin));
  run_entry(library, registrar, file);
  check_provided(registrar.entries(), sidecar);
  Registry::instance().add(registrar.entries());
  files.emplace(binary.name, absolute);
  loaded().contents.push_back(fmt::format("{} {} {}", binary.name, binary.version, sidecar.xxh3));
}

}  // namespace

void load(const fs::path& file) {
  std::scoped_lock lock(loaded().mutex);
  load_locked(file);
}

std::vector<std::string> loaded_contents() {
  std::scoped_lock lock(loaded().mutex);
  auto all = loaded().contents;
  std::ranges::sort(all);
  return all;
}

}  // namespace antiphon::plugin
