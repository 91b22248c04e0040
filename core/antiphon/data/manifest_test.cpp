#include <antiphon/base/error.h>
#include <antiphon/data/manifest.h>
#include <antiphon/weights/test_folder.h>

#include <catch2/catch_test_macros.hpp>

using namespace antiphon;
using namespace antiphon::data;
using weights::TestFolder;
using namespace std::string_literals;

namespace {

std::string line(const std::string& text, const std::string& more = "") {
  return R"({"messages": [{"role": "user", "content": ")" + text + "\"}]" + more + "}";
}

Manifest manifest(const TestFolder& folder, const std::string& bytes) {
  folder.write("set.jsonl", bytes);
  return Manifest(folder / "set.jsonl");
}

std::string text_of(const Manifest& manifest, int64_t index) {
  return manifest.sample(index).turns.at(0).parts.at(0).text;
}

}  // namespace

TEST_CASE("manifest: lines with their numbers, whatever ends them") {
  TestFolder folder;
  for (const auto& bytes : {line("a") + "\n\n \t\n" + line("b") + "\n" + line("c"),
                            line("a") + "\r\n\r\n  \r\n" + line("b") + "\r\n" + line("c") + "\r\n",
                            "\xEF\xBB\xBF" + line("a") + "\n\n\n" + line("b") + "\n" + line("c") + "\n"}) {
    const auto set = manifest(folder, bytes);
    REQUIRE(set.size() == 3);
    CHECK((set.line(0) == 1 && set.line(1) == 4 && set.line(2) == 5));
    CHECK(text_of(set, 0) == "a");
    CHECK(text_of(set, 2) == "c");
    CHECK(set.sample(1).id == "set.jsonl:4");
    CHECK(set.sample(1).file == folder / "set.jsonl");
    CHECK(set.sample(1).line == 4);
  }
}

TEST_CASE("manifest: a file that is one list") {
  TestFolder folder;
  const auto bad = R"({"messages": "[}]\"{,"})"s;
  for (const auto& bytes :
       {"[" + line("a") + "," + line("b, [\\\"") + "," + bad + "]",
        "\xEF\xBB\xBF\n [\n  " + line("a") + ",\n  " + line("b, [\\\"") + "\n,\n" + bad + "\n]\n\n"}) {
    INFO(bytes);
    const auto set = manifest(folder, bytes);
    REQUIRE(set.size() == 3);
    CHECK(text_of(set, 0) == "a");
    CHECK(text_of(set, 1) == "b, [\"");
    CHECK_THROWS_AS(set.sample(2), Error);
    CHECK((set.line(0) == 1 && set.line(2) == 3));
    CHECK(set.sample(1).id == "set.jsonl:2");
  }
  CHECK_THROWS_AS(manifest(folder, "[" + line("a") + ","), Error);
  CHECK_THROWS_AS(manifest(folder, "[" + line("a") + ", {\"x"), Error);
  CHECK(manifest(folder, "[{}]\n" + line("a") + "\n").size() == 2);  // lines, of which one is bad
}

TEST_CASE("manifest: media are beside it, ids are the sample's own where it has one") {
  TestFolder folder;
  const auto set = manifest(
      folder, R"({"id": "seven", "conversations": [{"from": "human", "value": "<image>"}], "image": "sub/a.png"})");
  CHECK(set.sample(0).id == "seven");
  CHECK(set.sample(0).media[0].path == folder / "sub/a.png");
}

TEST_CASE("manifest: a bad line is bad alone") {
  TestFolder folder;
  const auto set = manifest(folder, line("a") + "\nnonsense\n" + line("b") + "\n{\"messages\": \"\xff\"}\n\0\n"s);
  REQUIRE(set.size() == 5);
  CHECK(text_of(set, 2) == "b");
  for (const int64_t bad : {1, 3, 4}) CHECK_THROWS_AS(set.sample(bad), Error);
}

TEST_CASE("manifest: a line of 16 MiB is read, a longer one refused") {
  TestFolder folder;
  const size_t limit = 16u << 20, frame = line("").size();
  const auto set = manifest(folder, line(std::string(limit - frame, 'x')) + "\n" +
                                        line(std::string(limit - frame + 1, 'x')) + "\n" + line("after") + "\n");
  REQUIRE(set.size() == 3);
  CHECK(text_of(set, 0).size() == limit - frame);
  CHECK_THROWS_AS(set.sample(1), Error);
  CHECK(text_of(set, 2) == "after");
}

TEST_CASE("manifest: missing, empty and odd files are errors") {
  TestFolder folder;
  CHECK_THROWS_AS(Manifest(folder / "nowhere.jsonl"), Error);
  CHECK_THROWS_AS(Manifest(folder.path()), Error);
  for (const auto* bytes : {"", "\n\r\n \n", "\xEF\xBB\xBF", "\xEF\xBB\xBF\n"})
    CHECK_THROWS_AS(manifest(folder, bytes), Error);
}

TEST_CASE("manifest: the fingerprint is of the content") {
  TestFolder folder;
  const auto first = manifest(folder, line("a") + "\n").fingerprint();
  CHECK(manifest(folder, line("b") + "\n").fingerprint() != first);
  CHECK(manifest(folder, line("a") + "\n").fingerprint() == first);
}
