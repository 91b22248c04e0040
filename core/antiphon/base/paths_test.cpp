#include <antiphon/base/paths.h>

#include <antiphon/base/files.h>
#include <antiphon/base/test_folder.h>

#include <sys/stat.h>

#include <fstream>

#include <catch2/catch_test_macros.hpp>

using namespace antiphon;
using testing::Folder;
using testing::refusal;
namespace fs = std::filesystem;

TEST_CASE("what is not there is told from what cannot be looked at") {
  const Folder folder;
  const auto loop = folder.path / "loop", file = folder.path / "file";
  fs::create_symlink("loop", loop);
  std::ofstream(file) << "x";
  CHECK_FALSE(path_exists(folder.path / "none", ErrorKind::weights));
  CHECK_FALSE(path_exists(file / "below", ErrorKind::weights));
  CHECK(path_exists(file, ErrorKind::weights));
  CHECK(is_folder(folder.path, ErrorKind::weights));
  CHECK_FALSE(is_folder(file, ErrorKind::weights));
  const auto said = refusal([&] { path_exists(loop, ErrorKind::weights); });
  CHECK(said.find(loop.string() + ": Too many levels of symbolic links") != std::string::npos);
  CHECK(refusal([&] { is_folder(std::string(5000, 'x'), ErrorKind::weights); }).find("File name too long") !=
        std::string::npos);
}

TEST_CASE("a folder that cannot be made is named with the reason") {
  const Folder folder;
  std::ofstream(folder.path / "file") << "x";
  make_folder(folder.path / "a/b", ErrorKind::weights);
  make_folder(folder.path / "a/b", ErrorKind::weights);
  CHECK(fs::is_directory(folder.path / "a/b"));
  const auto said = refusal([&] { make_folder(folder.path / "file/c", ErrorKind::weights); });
  CHECK(said.find("cannot create the folder " + (folder.path / "file/c").string() + ": Not a directory") !=
        std::string::npos);
}

TEST_CASE("a folder is listed in order, a file is removed, and what cannot be done is named with the reason") {
  const Folder folder;
  for (const char* name : {"b", "a", "c"}) std::ofstream(folder.path / name) << "x";
  remove_file(folder.path / "c", ErrorKind::weights);
  remove_file(folder.path / "c", ErrorKind::weights);
  CHECK(entries_of(folder.path, ErrorKind::weights) == std::vector{folder.path / "a", folder.path / "b"});
  CHECK(refusal([&] { entries_of(folder.path / "a", ErrorKind::weights); }).find("cannot list ") != std::string::npos);
  const auto said = refusal([&] { remove_file(folder.path, ErrorKind::weights); });
  CHECK(said.find("cannot remove " + folder.path.string() + ": Directory not empty") != std::string::npos);
}

TEST_CASE("a tree goes, a name changes, a path becomes whole, and what cannot be done is named with the reason") {
  const Folder folder;
  const auto file = folder.path / "file", full = folder.path / "full";
  std::ofstream(file) << "x";
  fs::create_directories(full / "a");
  fs::create_symlink("loop", full / "loop");
  rename_path(full, folder.path / "other", ErrorKind::weights);
  CHECK_FALSE(fs::exists(full));
  CHECK(fs::is_directory(folder.path / "other/a"));
  const auto said = refusal([&] { rename_path(file, folder.path / "other", ErrorKind::weights); });
  CHECK(said.find("cannot rename " + file.string() + " to " + (folder.path / "other").string() + ": Is a directory") !=
        std::string::npos);
  for (int i = 0; i < 2; ++i) remove_tree(folder.path / "other", ErrorKind::weights);
  CHECK(entries_of(folder.path, ErrorKind::weights) == std::vector{file});
  CHECK(refusal([&] { remove_tree(std::string(5000, 'x'), ErrorKind::weights); }).find("File name too long") !=
        std::string::npos);
  CHECK(absolute_path("a/b", ErrorKind::weights) == fs::current_path() / "a/b");
  CHECK(refusal([&] { absolute_path("", ErrorKind::weights); }).find("cannot find ") != std::string::npos);
  CHECK(path_text("a/\u00e4", ErrorKind::weights) == "a/\u00e4");
  CHECK(refusal([&] { path_text("a/\xff", ErrorKind::weights); }).starts_with("the path a/\\xff is not UTF-8"));
}

TEST_CASE("an atomic write leaves the file alone, or a whole one") {
  const Folder folder;
  const auto file = folder.path / "file";
  write_file_atomic(file, "one", ErrorKind::weights);
  write_file_atomic(file, "two", ErrorKind::weights);
  CHECK(read_file(file, ErrorKind::weights) == "two");
  fs::create_directory(folder.path / "taken");
  CHECK(refusal([&] { write_file_atomic(folder.path / "taken", "x", ErrorKind::weights); }) != "");
  const auto pipe = folder.path / "pipe";
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  CHECK(refusal([&] {
          write_file_atomic(pipe, "x", ErrorKind::weights);
        }).starts_with("cannot write " + pipe.string() + ": it is not a regular file, and would be replaced"));
  CHECK(fs::is_fifo(pipe));
  const auto stream = folder.path / "stream", link = folder.path / "link";
  fs::create_symlink("/proc/self/exe", stream);  // as /dev/stdout is, while it is a regular file
  CHECK(refusal([&] { write_file_atomic(stream, "x", ErrorKind::weights); }).find("would be replaced") !=
        std::string::npos);
  CHECK(fs::is_symlink(stream));
  fs::create_symlink("file", link);
  write_file_atomic(link, "three", ErrorKind::weights);
  CHECK_FALSE(fs::is_symlink(link));
  CHECK(read_file(file, ErrorKind::weights) == "two");
  CHECK(std::distance(fs::directory_iterator(folder.path), fs::directory_iterator()) == 5);
}
