// Each refusal of the loader, by a plugin that is broken in that way (tests/plugin_fixtures), with the text that a user
// reads.
#include <antiphon/plugin/loader.h>

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <new>
#include <random>
#include <set>

#include <antiphon/base/error.h>
#include <antiphon/base/files.h>
#include <antiphon/plugin/manifest.h>
#include <antiphon/plugin/registry.h>
#include <antiphon/plugin/trust.h>

#include <fmt/format.h>
#include <catch2/catch_test_macros.hpp>

using namespace antiphon;
using namespace antiphon::plugin;
namespace fs = std::filesystem;

namespace {

const std::string this_build = fmt::format("plugin ABI {}", ANTIPHON_PLUGIN_ABI);
const std::string rebuild = "\n  fix: build it again against this antiphon, or use the antiphon that it was built for";
const std::string build_again = "\n  fix: build it again with antiphon_add_plugin, or copy it again";
const std::string export_fix =
    "\n  fix: a plugin holds ANTIPHON_PLUGIN(name, version) { … } once, and is built by antiphon_add_plugin";
const std::string mistake = "\n  fix: this is a mistake in the plugin";

fs::path fixture(const std::string& name) { return fs::path(ANTIPHON_BINARY_DIR) / "fixtures" / name / (name + ".so"); }

// A folder of its own, gone at the end.
struct Scratch {
  fs::path path = fs::temp_directory_path() / fmt::format("antiphon-loader-{}-{}", ::getpid(), ++count);
  Scratch() { fs::create_directories(path); }
  ~Scratch() { fs::remove_all(path); }
  static inline int count = 0;

  void write(const std::string& name, std::string_view text) const {
    write_file_atomic(path / name, text, ErrorKind::data);
  }
  // A fixture and its sidecar, under another name if one is given.
  fs::path copy(const std::string& name, const std::string& as = "") const {
    const fs::path to = path / ((as.empty() ? name : as) + ".so");
    fs::copy_file(fixture(name), to);
    fs::copy_file(fs::path(fixture(name)).replace_extension(".toml"), fs::path(to).replace_extension(".toml"));
    return to;
  }
  void edit(const std::string& name, const std::string& from, const std::string& to) const {
    std::string text = read_file(path / name, ErrorKind::data);
    const size_t at = text.find(from);
    REQUIRE(at != std::string::npos);
    write(name, text.replace(at, from.size(), to));
  }
};

// What load() says about a file, without the file's name; the registry must be as it was.
std::string refusal(const fs::path& file) {
  const auto names = [] {
    std::vector<std::string> out;
    for (const auto& entry : Registry::instance().entries()) out.push_back(entry.kind + ":" + entry.name);
    return out;
  };
  const auto before = names();
  std::string text = "no error";
  try {
    load(file);
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::plugin);
    text = error.what();
    const std::string start = file.string() + ": ";
    if (text.starts_with(start)) text.erase(0, start.size());
  }
  CHECK(names() == before);
  return text;
}

}  // namespace

TEST_CASE("a good plugin is loaded once") {
  load(fixture("good"));
  const auto& entry = Registry::instance().find("encoder", "good");
  CHECK(entry.plugin == "good");
  CHECK(entry.version == "0.1.0");
  CHECK(entry.doc == "a fixture");
  CHECK(entry.file == fs::canonical(fixture("good")));
  const auto content = "good 0.1.0 " + content_hash(read_file(fixture("good"), ErrorKind::data));
  CHECK(std::ranges::count(loaded_contents(), content) == 1);
  CHECK(entry.schema->name() == "fixture");
  CHECK(std::any_cast<int>(entry.factory) == 42);
  const size_t count = Registry::instance().entries().size();
  load(fixture("good"));
  CHECK(Registry::instance().entries().size() == count);
  CHECK(std::ranges::count(loaded_contents(), content) == 1);
  CHECK(&Registry::instance().find("encoder", "good") == &entry);

  Scratch scratch;
  CHECK(refusal(scratch.copy("good")) ==
        fmt::format("the plugin 'good' is already loaded from {}\n  fix: take one of them out of the search path",
                    fs::canonical(fixture("good")).string()));
}

TEST_CASE("a binary of another build is refused, all differences at once") {
  CHECK(refusal(fixture("wrong_abi")) == fmt::format("built for plugin ABI 999; this is {}{}", this_build, rebuild));
  CHECK(refusal(fixture("wrong_torch")) ==
        fmt::format("built for LibTorch 1.9.1; this is LibTorch {}{}", ANTIPHON_TORCH_VERSION, rebuild));
  CHECK(refusal(fixture("wrong_several")) ==
        fmt::format("built for plugin ABI 998, LibTorch 1.9.1, compiler clang 99, C++ ABI 0, build type other; "
                    "this is {}, LibTorch {}, compiler {}, C++ ABI 1, build type {}{}",
                    this_build, ANTIPHON_TORCH_VERSION, ANTIPHON_COMPILER, ANTIPHON_BUILD_TYPE, rebuild));
  CHECK(refusal(fixture("wrong_size")) ==
        fmt::format("its manifest has 128 bytes, not {}\n  fix: build it again against this antiphon",
                    sizeof(antiphon_plugin_manifest_t)));
}

TEST_CASE("a sidecar of another build is refused before the file is opened") {
  Scratch scratch;
  const auto file = scratch.copy("throws_int");  // opening it and going on would say something else
  scratch.edit("throws_int.toml", fmt::format("abi = {}", ANTIPHON_PLUGIN_ABI), "abi = 997\nnew_key = 1");
  scratch.edit("throws_int.toml", ANTIPHON_TORCH_VERSION, "2.10.0");
  CHECK(refusal(file) == fmt::format("built for plugin ABI 997, LibTorch 2.10.0; this is {}, LibTorch {}{}", this_build,
                                     ANTIPHON_TORCH_VERSION, rebuild));
}

TEST_CASE("a file that is not a plugin is refused") {
  CHECK(refusal(fixture("no_manifest")) == "exports no antiphon_plugin_manifest" + export_fix);
  CHECK(refusal(fixture("no_entry")) == "exports no antiphon_plugin_entry" + export_fix);
  CHECK(refusal("nowhere/x.so") == "there is no such file\n  fix: check the path");
  Scratch scratch;
  scratch.write("text.so", "#!/bin/sh\necho hello\n");
  CHECK(refusal(scratch.path / "text.so") == "is not an ELF file, so it is not a plugin" + build_again);
  scratch.write("empty.so", "");
  CHECK(refusal(scratch.path / "empty.so") == "is empty" + build_again);
  fs::create_directory(scratch.path / "folder.so");
  CHECK(refusal(scratch.path / "folder.so") == "is not a file" + build_again);
  fs::create_symlink("loop.so", scratch.path / "loop.so");
  CHECK(refusal(scratch.path / "loop.so") ==
        fmt::format("cannot look at {}: Too many levels of symbolic links", (scratch.path / "loop.so").string()));
}

TEST_CASE("a damaged file is refused wherever it is cut") {
  const std::string whole = read_file(fixture("good"), ErrorKind::data);
  Scratch scratch;
  for (size_t size :
       {size_t{5}, size_t{63}, size_t{64}, size_t{200}, size_t{4096}, whole.size() / 2, whole.size() - 1}) {
    scratch.write("good.so", whole.substr(0, size));
    INFO(size);
    CHECK(refusal(scratch.path / "good.so").starts_with(fmt::format("is cut short: it has {} bytes", size)));
  }
  std::string other = whole;
  other[18] = 8, other[19] = 0;  // e_machine: MIPS
  scratch.write("good.so", other);
  CHECK(
      refusal(scratch.path / "good.so").starts_with("is built for another kind of processor (ELF machine 8; this is "));
  other = whole;
  other[16] = 1;  // e_type: an object file
  scratch.write("good.so", other);
  CHECK(refusal(scratch.path / "good.so") == "is not a shared object (ELF type 1)" + build_again);
}

TEST_CASE("every damage is seen before the file is opened") {
  const std::string whole = read_file(fixture("good"), ErrorKind::data);
  std::mt19937 random(7);
  const auto below = [&](size_t end) { return std::uniform_int_distribution<size_t>(0, end - 1)(random); };
  const auto flipped = [&](size_t begin, size_t size) {
    std::string copy = whole;
    for (size_t bits = 1 + below(3); bits > 0; --bits) {
      auto& byte = copy[begin + below(size)];
      byte = static_cast<char>(byte ^ (1 << below(8)));
    }
    return copy;
  };
  std::vector<std::string> damaged;
  for (int i = 0; i < 25; ++i) {
    damaged.push_back(flipped(0, 64));               // the ELF header
    damaged.push_back(flipped(64, size_t{56} * 8));  // program headers
    damaged.push_back(flipped(0, whole.size()));     // anywhere
    if (i < 15) {                                    // a page of zeros
      const size_t page = below(whole.size() / 4096) * 4096;
      damaged.push_back(std::string(whole).replace(page, 4096, std::string(4096, '\0')));
    }
  }
  Scratch scratch;
  const auto file = scratch.copy("good");
  int refused = 0;
  for (const auto& bytes : damaged) {
    if (bytes == whole) continue;  // two flips of one bit, or zeros already
    scratch.write("good.so", bytes);
    const auto text = refusal(file);
    INFO(text);
    CHECK(text != "no error");
    const bool opened =
        text.find("already loaded") != std::string::npos || text.find("cannot be opened") != std::string::npos;
    CHECK(!opened);
    ++refused;
  }
  CHECK(refused >= 80);
  scratch.write("good.so", whole + "x");
  CHECK(refusal(file).find("is not the file that its sidecar was written for (xxh3 ") != std::string::npos);
}

TEST_CASE("a sidecar without a hash is refused") {
  Scratch scratch;
  const auto file = scratch.copy("good");
  scratch.edit("good.toml", "xxh3", "# xxh3");
  CHECK(refusal(file).find("the required key 'xxh3' is missing") != std::string::npos);
}

TEST_CASE("a plugin that somebody else could have written is refused") {
  ::unsetenv("ANTIPHON_TRUST_PLUGINS");
  Scratch scratch;
  const auto file = scratch.copy("throws_int");
  const auto folder = scratch.path, sidecar = scratch.path / "throws_int.toml";
  const std::string trusted = "its entry function failed: it threw a value of type int" + mistake;
  const auto mode_of = [](const fs::path& path) { return fs::status(path).permissions(); };
  for (const auto& place : {folder, file, sidecar}) {
    const auto before = mode_of(place);
    fs::permissions(place, before | fs::perms::others_write);
    const auto said = refusal(file);
    CHECK(said.starts_with(fmt::format("everybody may write to {} (mode ", place.string())));
    CHECK(said.find(fmt::format("\n  fix: chmod o-w {}; or take it all the same: ANTIPHON_TRUST_PLUGINS={}",
                                place.string(), folder.string())) != std::string::npos);
    for (const auto& plugin : discover())  // a list says it too
      CHECK((plugin.file != file || plugin.refusal.find("everybody may write") != std::string::npos));
    ::setenv("ANTIPHON_TRUST_PLUGINS", ("/nowhere:" + folder.string()).c_str(), 1);
    CHECK(check_trust(file).starts_with("everybody may write to " + place.string()));
    CHECK(refusal(file) == trusted);
    ::setenv("ANTIPHON_TRUST_PLUGINS", fs::path(folder).parent_path().c_str(), 1);  // not what lies deeper
    CHECK(refusal(file) == said);
    ::unsetenv("ANTIPHON_TRUST_PLUGINS");
    fs::permissions(place, before);
  }
  CHECK(refusal(file) == trusted);
  fs::permissions(file, mode_of(file) | fs::perms::group_write);  // a group of ours: umask 002
  CHECK(refusal(file) == trusted);
}

TEST_CASE("a link leads to the places that count") {
  Scratch open, own;
  const auto file = open.copy("throws_int");
  fs::create_symlink(file, own.path / "throws_int.so");
  fs::create_symlink(open.path / "throws_int.toml", own.path / "throws_int.toml");
  fs::permissions(open.path, fs::perms::all);
  CHECK(refusal(own.path / "throws_int.so").starts_with("everybody may write to " + open.path.string()));
}

TEST_CASE("a plugin of a stranger is refused") {
  if (::geteuid() != 0) SKIP("only root can give files away");
  Scratch scratch;
  const auto file = scratch.copy("throws_int");
  for (const auto& place : {scratch.path, file, scratch.path / "throws_int.toml"}) {
    REQUIRE(::chown(place.c_str(), 54321, ::getegid()) == 0);
    CHECK(refusal(file).starts_with(place.string() + " belongs to user 54321, who is neither root nor you (user 0)"));
    REQUIRE(::chown(place.c_str(), 0, ::getegid()) == 0);
  }
  REQUIRE(::chown(file.c_str(), 0, 54321) == 0);
  fs::permissions(file, fs::perms(0664));
  CHECK(refusal(file).starts_with("group 54321, which you are not in, may write to " + file.string()));
}

TEST_CASE("what the dynamic linker refuses is said in words") {
  CHECK(
      refusal(fixture("undefined_symbol")) ==
      "needs the symbol elsewhere::function_of_nobody(int), which nothing provides\n"
      "  fix: build it again against this antiphon and LibTorch; link what it uses (antiphon_add_plugin … LIBRARIES)");
  CHECK(refusal(fixture("missing_dependency")) ==
        fmt::format("needs the library libantiphon_fixture_gone.so, which is not found\n"
                    "  fix: install libantiphon_fixture_gone.so, or put its folder into LD_LIBRARY_PATH; `ldd {}` "
                    "lists all that it needs",
                    fs::canonical(fixture("missing_dependency")).string()));
}

TEST_CASE("an entry function that throws is refused") {
  CHECK(refusal(fixture("throws_std")) == "its entry function failed: std::out_of_range: too far" + mistake);
  CHECK(refusal(fixture("throws_int")) == "its entry function failed: it threw a value of type int" + mistake);
  CHECK(refusal(fixture("throws_error")) == "its entry function failed: no table\\x0a  fix: write one" + mistake);
}

TEST_CASE("an entry function without memory is no mistake of its plugin") {
  CHECK_THROWS_AS(load(fixture("throws_bad_alloc")), std::bad_alloc);
}

TEST_CASE("a component is registered once") {
  load(fixture("twin_a"));
  CHECK(refusal(fixture("twin_b")) ==
        fmt::format("the encoder 'twin' is registered twice: by {} and by {}\n"
                    "  fix: take one of the two plugins out of the search path, or rename the component",
                    fs::canonical(fixture("twin_a")).string(), fs::canonical(fixture("twin_b")).string()));
  CHECK(refusal(fixture("twice_itself")).starts_with("the encoder 'twice_itself' is registered twice: by "));
}

TEST_CASE("names and promises must hold") {
  CHECK(refusal(fixture("other_name")) ==
        "the plugin is named 'some_name', but its file is named 'other_name'\n  fix: name the file some_name.so, or "
        "the plugin 'other_name'");
  CHECK(refusal(fixture("other_component")) ==
        "it registers [encoder:something_else], but its sidecar promises [encoder:other_component]\n"
        "  fix: say what it registers in antiphon_add_plugin(… PROVIDES kind:name …)");
  Scratch scratch;
  CHECK(refusal(scratch.copy("good", "better")) ==
        "the plugin is named 'good', but its file is named 'better'\n  fix: name the file good.so, or the plugin "
        "'better'");
  const auto file = scratch.copy("good");
  scratch.edit("good.toml", "version = \"0.1.0\"", "version = \"0.3.0\"");
  CHECK(refusal(file) ==
        "its sidecar says version 0.3.0, but the binary says version 0.1.0\n  fix: take both from the same build");
}

TEST_CASE("a sidecar that is missing or wrong is refused") {
  Scratch scratch;
  const auto file = scratch.copy("good");
  scratch.edit("good.toml", "version", "versoin");
  const std::string sidecar = (scratch.path / "good.toml").string();
  CHECK(refusal(file) ==
        fmt::format("its sidecar cannot be used:\n"
                    "{0}:2:1: unknown key 'versoin' at the top level; did you mean 'version'? "
                    "known: abi, build, compiler, cxx_abi, doc, name, provides, reads, torch, version, xxh3\n"
                    "  fix: take it from the build again",
                    sidecar));
  fs::remove(sidecar);
  CHECK(refusal(file) ==
        "its sidecar good.toml is missing\n  fix: antiphon_add_plugin writes both; keep them beside each other");
}

TEST_CASE("components are found and loaded on demand") {
  Scratch scratch, second;
  for (const char* name : {"wanted", "wrong_abi", "throws_std"}) scratch.copy(name);
  for (const char* name : {"wanted", "twin_a", "other_component"}) second.copy(name);
  second.edit("twin_a.toml", "encoder:twin", "encoder:rival");
  second.edit("other_component.toml", "encoder:other_component", "encoder:rival");
  scratch.write("broken.so", "text");
  ::setenv("ANTIPHON_PLUGIN_PATH", fmt::format("{}::{}:/nowhere", scratch.path.string(), second.path.string()).c_str(),
           1);
  auto& registry = Registry::instance();
  CHECK(search_path()[0] == scratch.path);
  CHECK(search_path()[2] == "/nowhere");

  std::vector<std::string> seen;
  for (const auto& plugin : discover())
    if (plugin.file.parent_path() == scratch.path || plugin.file.parent_path() == second.path)
      seen.push_back(plugin.name + (plugin.refusal.empty() ? "" : " refused"));
  CHECK(seen == std::vector<std::string>{"broken refused", "throws_std", "wanted", "wrong_abi", "other_component",
                                         "twin_a", "wanted refused"});
  const size_t before = registry.entries().size();
  CHECK(registry.find("encoder", "wanted").file == fs::canonical(scratch.path / "wanted.so"));
  CHECK(registry.entries().size() == before + 1);
  const auto message = [&](const std::string& kind, const std::string& name) {
    try {
      registry.find(kind, name);
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::plugin);
      return std::string(error.what());
    }
    return std::string("no error");
  };
  // There, but refused: its own error, not "unknown".
  CHECK(message("encoder", "wrong_abi").find("built for plugin ABI 999") != std::string::npos);
  CHECK(message("encoder", "throws_std").find("std::out_of_range: too far") != std::string::npos);
  CHECK(message("encoder", "broken").find("is not an ELF file") != std::string::npos);
  CHECK(message("encoder", "rival") ==
        fmt::format("the encoder 'rival' is provided by {} and by {}\n  fix: take one of them out of the search path",
                    (second.path / "other_component.so").string(), (second.path / "twin_a.so").string()));
  const std::string unknown = message("encoder", "wannted");
  CHECK(unknown.starts_with("there is no encoder 'wannted'; did you mean 'wanted'? known: "));
  CHECK(unknown.find("/nowhere (not there)") != std::string::npos);
  CHECK(unknown.find("; 2 plugin(s) there are refused, `antiphon doctor` says why\n") != std::string::npos);
  CHECK(message("codec", "x").starts_with("there is no codec 'x'; none is known; searched: "));
  CHECK_FALSE(load_providing("encoder", "unheard_of"));
}

TEST_CASE("a folder is read again when what it holds has changed") {
  Scratch scratch;
  const auto names = [] {
    std::set<std::string> found;
    for (const auto& plugin : discover()) found.insert(plugin.name);
    return found;
  };
  ::setenv("ANTIPHON_PLUGIN_PATH", scratch.path.c_str(), 1);
  scratch.copy("good");
  fs::last_write_time(scratch.path, fs::file_time_type::clock::now() - std::chrono::hours(1));
  CHECK(names().contains("good"));
  CHECK_FALSE(names().contains("throws_int"));
  scratch.copy("throws_int");
  CHECK(names().contains("throws_int"));
  fs::remove(scratch.path / "good.so");
  CHECK_FALSE(names().contains("good"));
  ::unsetenv("ANTIPHON_PLUGIN_PATH");
}

TEST_CASE("looking through many plugins is quick") {
  Scratch scratch;
  for (int i = 0; i < 20; ++i) {
    const std::string name = fmt::format("p{}", i);
    scratch.copy("good", name);
    scratch.edit(name + ".toml", "\"good\"", fmt::format("\"{}\"", name));
  }
  ::setenv("ANTIPHON_PLUGIN_PATH", scratch.path.c_str(), 1);
  double best = 1e9;
  for (int i = 0; i < 10; ++i) {
    const auto start = std::chrono::steady_clock::now();
    CHECK(discover().size() >= 20);
    best = std::min(best, std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
  }
  INFO("ms: " << best);
  CHECK(best < 20);
}

TEST_CASE("a registrar wants a whole component") {
  Entry origin;
  Registrar registrar(origin);
  const auto* schema = [] {
    struct Nothing {};
    return static_cast<const config::Schema*>(new config::Table<Nothing>("none"));
  }();
  CHECK_THROWS_AS(registrar.add("", "x", "", *schema, 1), Error);
  CHECK_THROWS_AS(registrar.add("encoder", "", "", *schema, 1), Error);
  CHECK_THROWS_AS(registrar.add("encoder", "x", "", *schema, {}), Error);
  CHECK(registrar.entries().empty());
}
