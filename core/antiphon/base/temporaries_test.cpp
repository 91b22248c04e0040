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

TEST_CASE("temporaries that were abandoned") {
  const auto folder = fs::temp_directory_path() / ("antiphon-abandoned-" + std::to_string(::getpid()));
  fs::create_directories(folder / "below");
  const auto own = "x.tmp-" + std::to_string(::getpid()) + "-0";  // of one that is here
  for (const std::string name :
       {"x.tmp-99999999-0", "x.tmp-99999998-7", "xx.tmp-99999999-1", "x", "x.tmp-y", "below/x.tmp-99999999-0"})
    std::ofstream(folder / name) << "x";
  std::ofstream(folder / own) << "x";
  for (const auto& entry : fs::recursive_directory_iterator(folder))
    if (entry.path().filename() != "x.tmp-99999998-7")  // may be written at this moment, on another machine
      fs::last_write_time(entry.path(), fs::file_time_type::clock::now() - std::chrono::hours(2));
  const auto names = [&] {
    std::set<std::string> all;
    for (const auto& entry : fs::directory_iterator(folder)) all.insert(entry.path().filename());
    return all;
  };
  remove_abandoned(folder, "x.tmp-");
  CHECK(names() == std::set<std::string>{own, "x.tmp-99999998-7", "xx.tmp-99999999-1", "x", "x.tmp-y", "below"});
  remove_abandoned(folder);
  CHECK(names() == std::set<std::string>{own, "x.tmp-99999998-7", "x", "x.tmp-y", "below"});
  CHECK(fs::exists(folder / "below/x.tmp-99999999-0"));
  remove_abandoned(folder / "missing");
  fs::remove_all(folder);
}
