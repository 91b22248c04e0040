#include <antiphon/base/temporaries.h>

#include <catch2/catch_test_macros.hpp>

#include <fstream>
#include <set>
#include <string>

#include <unistd.h>

using namespace antiphon;
namespace fs = std::filesystem;

TEST_CASE("temporaries: those that are old enough go, at any depth, and nothing else") {
  const auto folder = fs::temp_directory_path() / ("antiphon-temporaries-" + std::to_string(::getpid()));
  fs::create_directories(folder / "a" / "b");
  for (const auto* name : {"x.tmp-1-0", "x.tmp-", "x.tmp-1a", "a/y.safetensors.tmp-12-3", "a/b/z.tmp-4-5", "a/b/z"})
    std::ofstream(folder / name) << "x";
  CHECK(remove_temporaries(folder, std::chrono::hours(1), ErrorKind::data) == 0);
  fs::last_write_time(folder / "a/b/z.tmp-4-5", fs::file_time_type::clock::now() - std::chrono::hours(2));
  CHECK(remove_temporaries(folder, std::chrono::hours(1), ErrorKind::data) == 1);
  CHECK(remove_temporaries(folder / "x.tmp-1a", std::chrono::seconds(0), ErrorKind::data) == 0);
  CHECK(remove_temporaries(folder / "x.tmp-1-0", std::chrono::seconds(0), ErrorKind::data) == 1);
  CHECK(remove_temporaries(folder, std::chrono::seconds(0), ErrorKind::data) == 1);
  std::set<std::string> left;
  for (const auto& entry : fs::recursive_directory_iterator(folder))
    if (entry.is_regular_file()) left.insert(entry.path().filename());
  CHECK(left == std::set<std::string>{"x.tmp-", "x.tmp-1a", "z"});
  fs::remove_all(folder);
  CHECK(remove_temporaries(folder, std::chrono::seconds(0), ErrorKind::data) == 0);
}
