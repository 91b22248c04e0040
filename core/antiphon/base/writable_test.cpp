#include <antiphon/base/test_folder.h>
#include <antiphon/base/writable.h>

#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include <catch2/catch_test_macros.hpp>

using namespace antiphon;
using testing::Folder;
using testing::refusal;
namespace fs = std::filesystem;

TEST_CASE("whether a file can be written is known before it is, and nothing is made") {
  const Folder folder;
  std::ofstream(folder.path / "file") << "x";
  const auto said = [&](const fs::path& path) { return refusal([&] { check_can_write(path, ErrorKind::weights); }); };
  for (const auto& path : {folder.path / "new", folder.path / "file", folder.path / "a/b/c", fs::path("new")})
    CHECK(said(path).empty());
  CHECK_FALSE(fs::exists(folder.path / "a"));
  CHECK(said(folder.path).starts_with("cannot write " + folder.path.string() + ": Is a directory"));
  REQUIRE(::mkfifo((folder.path / "pipe").c_str(), 0600) == 0);
  CHECK(said(folder.path / "pipe").find("pipe: it is not a regular file, and would be replaced") != std::string::npos);
  CHECK(said(folder.path / "file/a/b")
            .starts_with("cannot write " + (folder.path / "file/a/b").string() + " into " +
                         (folder.path / "file").string() + ": Not a directory"));
  if (::geteuid() == 0) return;  // who may write everywhere
  fs::permissions(folder.path, fs::perms::owner_write, fs::perm_options::remove);
  CHECK(said(folder.path / "a/b").find(": Permission denied") != std::string::npos);
  fs::permissions(folder.path, fs::perms::owner_write, fs::perm_options::add);
}
