#include <antiphon/plugin/sidecar.h>

#include <antiphon/base/error.h>
#include <antiphon/base/fail_lines.h>
#include <antiphon/base/files.h>
#include <antiphon/base/strings.h>
#include <antiphon/config/schema.h>
#include <antiphon/plugin/manifest.h>

#include <fmt/format.h>

namespace antiphon::plugin {
namespace {

const config::Table<Description>& table() {
  using D = Description;
  static const auto* table =
      new config::Table<D>(config::Table<D>("plugin description")
                               .field("name", &D::name, "the plugin's name", {.required = true})
                               .field("version", &D::version, "its version", {.required = true})
                               .field("abi", &D::abi, "plugin ABI number", {.required = true})
                               .field("torch", &D::torch, "LibTorch it was built with", {.required = true})
                               .field("compiler", &D::compiler, "compiler and its major version", {.required = true})
                               .field("cxx_abi", &D::cxx_abi, "_GLIBCXX_USE_CXX11_ABI", {.required = true})
                               .field("build", &D::build, "release, debug or asan", {.required = true})
                               .field("provides", &D::provides, "its components, KIND:NAME", {.required = true})
                               .field("xxh3", &D::xxh3, "128-bit XXH3 of the .so", {.required = true})
                               .field("reads", &D::reads, "what config.json files they read, KIND:NAME:MODEL_TYPE")
                               .field("doc", &D::doc, "one line"));
  return *table;
}

struct Difference {
  std::string label, theirs, ours;
};

std::vector<Difference> differences(const Description& theirs, const Description& ours) {
  std::vector<Difference> out;
  const auto compare = [&](std::string label, const std::string& a, const std::string& b) {
    if (a != b) out.push_back({std::move(label), a, b});
  };
  compare("plugin ABI", std::to_string(theirs.abi), std::to_string(ours.abi));
  compare("LibTorch", theirs.torch, ours.torch);
  compare("compiler", theirs.compiler, ours.compiler);
  compare("C++ ABI", theirs.cxx_abi, ours.cxx_abi);
  compare("build type", theirs.build, ours.build);
  return out;
}

// "plugin ABI 3, LibTorch 2.10.0" of one side.
std::string listed(const std::vector<Difference>& all, std::string Difference::*side) {
  std::vector<std::string> parts;
  for (const auto& one : all) parts.push_back(one.label + " " + one.*side);
  return join(parts, ", ");
}

}  // namespace

const Description& this_build() {
  static const auto* ours = [] {
    auto* d = new Description;
    d->abi = ANTIPHON_PLUGIN_ABI;
    d->torch = ANTIPHON_TORCH_VERSION;
    d->compiler = ANTIPHON_COMPILER;
    d->cxx_abi = ANTIPHON_STRINGIFY(_GLIBCXX_USE_CXX11_ABI);
    d->build = ANTIPHON_BUILD_TYPE;
    return d;
  }();
  return *ours;
}

void check_build(const Description& theirs) {
  const auto found = differences(theirs, this_build());
  if (found.empty()) return;
  fail(ErrorKind::plugin,
       fmt::format("{}: built for {}; this is {}", theirs.file.string(), listed(found, &Difference::theirs),
                   listed(found, &Difference::ours)),
       "build it again against this antiphon, or use the antiphon that it was built for");
}

void check_content(const Description& sidecar) {
  const auto found = content_hash(read_file(sidecar.file, ErrorKind::plugin));
  if (found == sidecar.xxh3) return;
  fail(
      ErrorKind::plugin,
      fmt::format("{}: is not the file that its sidecar was written for (xxh3 {}, the sidecar says {}): it is damaged, "
                  "or was changed after it was built",
                  sidecar.file.string(), found, sidecar.xxh3),
      "build, install or copy both again; after a change of your own (strip, patchelf): antiphon_seal, see "
      "docs/plugin_author.md");
}

void check_name(const Description& theirs) {
  const std::string stem = theirs.file.stem().string();
  if (theirs.name == stem) return;
  fail(ErrorKind::plugin,
       fmt::format("{}: the plugin is named '{}', but its file is named '{}'", theirs.file.string(), theirs.name, stem),
       fmt::format("name the file {}.so, or the plugin '{}'", theirs.name, stem));
}

void check_agreement(const Description& sidecar, const Description& binary) {
  auto found = differences(sidecar, binary);
  if (sidecar.version != binary.version) found.push_back({"version", sidecar.version, binary.version});
  if (sidecar.name != binary.name) found.push_back({"name", sidecar.name, binary.name});
  if (found.empty()) return;
  fail(ErrorKind::plugin,
       fmt::format("{}: its sidecar says {}, but the binary says {}", binary.file.string(),
                   listed(found, &Difference::theirs), listed(found, &Difference::ours)),
       "take both from the same build");
}

Description read_sidecar(const std::filesystem::path& file) {
  auto path = file;
  path.replace_extension(".toml");
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) {
    fail(ErrorKind::plugin, fmt::format("{}: its sidecar {} is missing", file.string(), path.filename().string()),
         "antiphon_add_plugin writes both; keep them beside each other");
  }
  Description out;
  config::Problems problems;
  try {
    table().read(&out, config::parse_toml(read_file(path, ErrorKind::plugin, 1 << 20), path.string()), "", problems);
    out.file = file;
    // Another ABI may have other keys: report the ABI, not the keys.
    if (out.abi == this_build().abi || out.abi == 0) problems.throw_if_any();
  } catch (const Error& error) {
    auto lines = split(error.what(), '\n');
    lines.insert(lines.begin(), fmt::format("{}: its sidecar cannot be used:", file.string()));
    fail_lines(ErrorKind::plugin, lines, "take it from the build again");
  }
  check_build(out);
  check_name(out);
  return out;
}

}  // namespace antiphon::plugin
