#include <antiphon/base/error.h>
#include <antiphon/base/files.h>
#include <antiphon/config/value.h>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>
#include <catch2/catch_test_macros.hpp>

using namespace antiphon;
using namespace antiphon::config;
namespace fs = std::filesystem;

namespace {

// A folder of files, with the working directory in it.
class Folder {
 public:
  Folder()
      : before_(fs::current_path()), path_(fs::temp_directory_path() / fmt::format("antiphon-extends-{}", ::getpid())) {
    fs::create_directories(path_);
    fs::current_path(path_);
  }
  ~Folder() {
    fs::current_path(before_);
    fs::remove_all(path_);
  }
  void write(const fs::path& name, std::string_view text) const {
    if (name.has_parent_path()) fs::create_directories(name.parent_path());
    write_file_atomic(name, text, ErrorKind::config);
  }

 private:
  fs::path before_, path_;
};

std::string refusal(const fs::path& path) {
  try {
    load_toml(path);
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::config);
    return error.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("a file extends others, and the last word is its own") {
  Folder folder;
  folder.write("models/base.toml", "a = 1\nb = 1\nc = 1\nd = [1, 2]\n[t]\nx = 1\ny = 1\n");
  folder.write("models/other.toml", "b = 2\nc = 2\n");
  folder.write(
      "recipes/a.toml",
      "extends = ['../models/base.toml', '../models/other.toml']\nc = 3\nd = [9]\n[t]\ny = 3\nextends = 'kept'\n");
  const Value tree = load_toml("recipes/a.toml");
  CHECK(same(tree, parse_toml("a = 1\nb = 2\nc = 3\nd = [9]\n[t]\nx = 1\ny = 3\nextends = 'kept'\n", "")));
  CHECK(tree.find("a")->where.str() == "models/base.toml:1:1");
  CHECK(tree.find("b")->where.str() == "models/other.toml:1:1");
  CHECK(tree.find("c")->where.str() == "recipes/a.toml:2:1");

  folder.write("recipes/b.toml", "extends = 'a.toml'\nc = 4\n");
  CHECK(same(*load_toml(fs::current_path() / "recipes/b.toml").find("c"), Value(4)));
  CHECK(load_toml(fs::current_path() / "recipes/b.toml").find("a")->where.str() == "models/base.toml:1:1");
  CHECK(load_toml("./recipes/../recipes/b.toml").find("c")->where.str() == "./recipes/../recipes/b.toml:2:1");
}

TEST_CASE("the same file may be reached twice, however often") {
  Folder folder;
  folder.write("0.toml", "x = 1\n");
  for (int i = 1; i < 30; ++i)
    folder.write(fmt::format("{}.toml", i), fmt::format("extends = ['{0}.toml', '{0}.toml']\n", i - 1));
  CHECK(same(load_toml("29.toml"), parse_toml("x = 1", "")));
}

TEST_CASE("an open file that has no name any more is read, as /dev/stdin may be one") {
  Folder folder;
  folder.write("gone.toml", "a = 1\n");
  const int file = ::open("gone.toml", O_RDONLY | O_CLOEXEC);
  REQUIRE(file >= 0);
  fs::remove("gone.toml");
  CHECK(same(load_toml(fmt::format("/proc/self/fd/{}", file)), parse_toml("a = 1\n", "")));
  ::close(file);
}

TEST_CASE("bad extends are refused") {
  Folder folder;
  folder.write("a.toml", "\nextends = 'sub/b.toml'\n");
  folder.write("sub/b.toml", "extends = ['c.toml']\n");
  folder.write("sub/c.toml", "x = 1\nextends = '../a.toml'\n");
  CHECK(refusal("a.toml") ==
        "sub/c.toml:2:1: 'extends' goes in a circle: a.toml -> sub/b.toml -> sub/c.toml -> a.toml");
  folder.write("self.toml", "extends = 'self.toml'");
  CHECK(refusal("self.toml") == "self.toml:1:1: 'extends' goes in a circle: self.toml -> self.toml");
  folder.write("missing.toml", "extends = [\n'sub/c2.toml']\n");
  CHECK(refusal("missing.toml") ==
        "missing.toml:2:1: extends \"sub/c2.toml\", but there is no file sub/c2.toml\n"
        "  fix: paths in 'extends' are relative to the file that holds them");
  folder.write("number.toml", "extends = 3\n");
  CHECK(refusal("number.toml") == "number.toml:1:1: 'extends' must be a file name or a list of them, got integer 3");
  folder.write("numbers.toml", "extends = [3]\n");
  CHECK(refusal("numbers.toml") == "numbers.toml:1:12: 'extends' lists files as strings, got integer 3");
  folder.write("bad.toml", "x = \n");
  folder.write("to_bad.toml", "extends = 'bad.toml'");
  CHECK(refusal("to_bad.toml").starts_with("bad.toml:1:"));
  folder.write("to_folder.toml", "extends = 'sub'");
  CHECK(refusal("to_folder.toml") == "sub is not a regular file");
  fs::create_symlink("loop.toml", "loop.toml");
  CHECK(refusal("loop.toml") == "cannot open loop.toml: Too many levels of symbolic links");
  folder.write("to_loop.toml", "extends = 'loop.toml'");
  CHECK(refusal("to_loop.toml") == "cannot look at loop.toml: Too many levels of symbolic links");
  folder.write("to_long.toml", fmt::format("extends = '{}'", std::string(5000, 'x')));
  CHECK(refusal("to_long.toml").ends_with("xx: File name too long"));
  CHECK(refusal("nowhere.toml") == "cannot open nowhere.toml: No such file or directory");
  for (int i = 0; i < 40; ++i) folder.write(fmt::format("n{}.toml", i), fmt::format("extends = 'n{}.toml'\n", i + 1));
  CHECK(refusal("n0.toml").starts_with("n31.toml:1:1: more than 32 files extend one another: n0.toml -> n1.toml"));
}
