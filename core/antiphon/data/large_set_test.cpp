// Files of many records: the index is small, and gives what reading the whole file would.
#include <antiphon/base/error.h>
#include <antiphon/base/log.h>
#include <antiphon/data/test_records.h>
#include <antiphon/weights/test_folder.h>

#include <fmt/format.h>
#include <unistd.h>
#include <catch2/catch_test_macros.hpp>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>

using namespace antiphon;
using namespace antiphon::data;
using namespace antiphon::data::testing;
using weights::TestFolder;

namespace {

const bool quiet_sets = (log::set_level(log::Level::error), true);

// Bytes of memory that the process holds now.
int64_t resident() {
  int64_t all = 0, here = 0;
  std::ifstream("/proc/self/statm") >> all >> here;
  return here * ::sysconf(_SC_PAGESIZE);
}

std::string line(int64_t number, const std::string& more = "") {
  return fmt::format(R"({{"id": {}, "messages": [{{"role": "user", "content": "{}"}}]}})", number, more);
}

// Records of lengths that differ, with what stands between them.
std::string made(std::mt19937& random, const std::string& between, int count, bool list) {
  std::string out = list ? "[" : "";
  for (int i = 0; i < count; ++i) {
    for (auto blanks = list ? 0u : static_cast<unsigned>(random() % 16); blanks > 12; --blanks) out += " \n";
    const size_t size = random() % 200 == 0 ? 100'000 : random() % 300;
    out += line(i, std::string(size, 'x') + (random() % 3 ? "" : "[{\\\"]")) + (list && i + 1 == count ? "]" : between);
  }
  return out;
}

}  // namespace

TEST_CASE("large sets: any record, in any order, is what stands in the file; numbers too") {
  std::mt19937 random(5);
  TestFolder folder;
  for (const bool list : {false, true}) {
    const int count = 3000;
    folder.write("set.json", made(random, list ? ",\n" : "\n", count, list));
    const RecordSet set(source_of(folder / "set.json"));
    REQUIRE(set.size() == count);
    std::vector<int64_t> order(count), lines;
    for (int i = 0; i < count; ++i) order[static_cast<size_t>(i)] = i;
    std::shuffle(order.begin(), order.end(), random);
    for (const auto i : order) {
      const auto sample = set.sample(i);
      REQUIRE(sample.id == std::to_string(i));
      REQUIRE(sample.line == set.line(i));
      REQUIRE(set.at_line(sample.line) == i);
    }
    if (list) continue;
    std::ifstream file(folder / "set.json");
    std::string text;
    for (int64_t number = 1, i = 0; std::getline(file, text); ++number)
      if (!text.starts_with(' ')) REQUIRE(set.line(i++) == number);
    CHECK_FALSE(set.at_line(set.line(count - 1) + 1));
  }
}

// In a process of its own: what cases before have freed, and what their threads keep, counts for what a process holds.
TEST_CASE("large sets: ten million records are opened and read in little memory") {
  const auto program = std::filesystem::read_symlink("/proc/self/exe").string();
  for (const char* of : {"ten million lines", "ten million elements of a list"})
    CHECK(std::system(fmt::format("'{}' '{}'", program, of).c_str()) == 0);
}

namespace {

void check_ten_million(bool list) {
  const int64_t count = 10'000'000;
  TestFolder folder;
  {
    std::ofstream out(folder / "set.json");
    for (int64_t i = 0; i < count; ++i) out << (!list ? "" : i == 0 ? "[" : ",") << line(i) << '\n';
    if (list) out << "]\n";
  }
  folder.write("small.json", list ? "[" + line(0) + "]" : line(0) + "\n");
  CHECK(RecordSet(source_of(folder / "small.json")).size() == 1);  // the plugins are loaded now
  const auto before = resident();
  const RecordSet set(source_of(folder / "set.json"));
  REQUIRE(set.size() == count);
  CHECK(set.sample(count - 1).id == std::to_string(count - 1));
  CHECK(set.sample(count / 3).id == std::to_string(count / 3));
  CHECK(set.line(count / 2) == count / 2 + 1);
  CHECK(resident() - before < (16 << 20));
}

}  // namespace

TEST_CASE("ten million lines", "[.]") { check_ten_million(false); }

TEST_CASE("ten million elements of a list", "[.]") { check_ten_million(true); }

TEST_CASE("large sets: a file that changes while it is used is noticed, and no sample is to blame") {
  TestFolder folder;
  folder.write("set.jsonl", line(0) + "\n" + line(1) + "\n");
  const RecordSet set(source_of(folder / "set.jsonl"));
  CHECK(set.sample(1).id == "1");
  std::ofstream(folder / "set.jsonl", std::ios::app) << line(2) << "\n";
  try {
    set.sample(1);
    FAIL("it was read");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::preempted);
    CHECK(error.message().find("set.jsonl was changed while it was read") != std::string::npos);
  }
  CHECK(RecordSet(source_of(folder / "set.jsonl")).size() == 3);
}
