#include <antiphon/base/error.h>
#include <antiphon/base/files.h>
#include <antiphon/data/test_records.h>
#include <antiphon/weights/test_folder.h>

#include <catch2/catch_test_macros.hpp>

using namespace antiphon;
using namespace antiphon::data;
using namespace antiphon::data::testing;
using weights::TestFolder;
using namespace std::string_literals;

namespace {

std::string line(const std::string& text, const std::string& more = "") {
  return R"({"messages": [{"role": "user", "content": ")" + text + "\"}]" + more + "}";
}

RecordSet opened(const TestFolder& folder, const std::string& bytes) {
  folder.write("set.jsonl", bytes);
  return RecordSet(source_of(folder / "set.jsonl"));
}

std::string text_of(const RecordSet& set, int64_t index) { return set.sample(index).turns.at(0).parts.at(0).text; }

}  // namespace

TEST_CASE("record set: lines with their numbers, whatever ends them") {
  TestFolder folder;
  for (const auto& bytes : {line("a") + "\n\n \t\n" + line("b") + "\n" + line("c"),
                            line("a") + "\r\n\r\n  \r\n" + line("b") + "\r\n" + line("c") + "\r\n",
                            "\xEF\xBB\xBF" + line("a") + "\n\n\n" + line("b") + "\n" + line("c") + "\n"}) {
    const auto set = opened(folder, bytes);
    REQUIRE(set.size() == 3);
    CHECK((set.line(0) == 1 && set.line(1) == 4 && set.line(2) == 5));
    CHECK(text_of(set, 0) == "a");
    CHECK(text_of(set, 2) == "c");
    CHECK(set.sample(1).id == "set.jsonl:4");
    CHECK(set.sample(1).file == folder / "set.jsonl");
    CHECK(set.sample(1).line == 4);
  }
}

TEST_CASE("record set: a file that is one list") {
  TestFolder folder;
  const auto bad = R"({"messages": "[}]\"{,"})"s;
  for (const auto& bytes :
       {"[" + line("a") + "," + line("b, [\\\"") + "," + bad + "]",
        "\xEF\xBB\xBF\n [\n  " + line("a") + ",\n  " + line("b, [\\\"") + "\n,\n" + bad + "\n]\n\n"}) {
    INFO(bytes);
    const auto set = opened(folder, bytes);
    REQUIRE(set.size() == 3);
    CHECK(text_of(set, 0) == "a");
    CHECK(text_of(set, 1) == "b, [\"");
    CHECK_THROWS_AS(set.sample(2), Error);
    CHECK((set.line(0) == 1 && set.line(2) == 3));
    CHECK(set.sample(1).id == "set.jsonl:2");
  }
  CHECK_THROWS_AS(opened(folder, "[" + line("a") + ","), Error);
  CHECK_THROWS_AS(opened(folder, "[" + line("a") + ", {\"x"), Error);
  CHECK(opened(folder, "[{}]\n" + line("a") + "\n").size() == 2);  // lines, of which one is bad
}

TEST_CASE("record set: media are beside it, ids are the sample's own if it has one") {
  TestFolder folder;
  const auto set = opened(
      folder, R"({"id": "seven", "conversations": [{"from": "human", "value": "<image>"}], "image": "sub/a.png"})");
  CHECK(set.sample(0).id == "seven");
  CHECK(set.sample(0).media[0].bytes == folder / "sub/a.png");
}

TEST_CASE("record set: a bad line is bad alone") {
  TestFolder folder;
  const auto set = opened(folder, line("a") + "\nnonsense\n" + line("b") + "\n{\"messages\": \"\xff\"}\n\0\n"s);
  REQUIRE(set.size() == 5);
  CHECK(text_of(set, 2) == "b");
  for (const int64_t bad : {1, 3, 4}) CHECK_THROWS_AS(set.sample(bad), Error);
}

TEST_CASE("record set: a line of 16 MiB is read, a longer one refused") {
  TestFolder folder;
  const size_t limit = 16u << 20, frame = line("").size();
  const auto set = opened(folder, line(std::string(limit - frame, 'x')) + "\n" +
                                      line(std::string(limit - frame + 1, 'x')) + "\n" + line("after") + "\n");
  REQUIRE(set.size() == 3);
  CHECK(text_of(set, 0).size() == limit - frame);
  CHECK_THROWS_AS(set.sample(1), Error);
  CHECK(text_of(set, 2) == "after");
}

TEST_CASE("record set: missing, empty and odd files are errors") {
  TestFolder folder;
  CHECK_THROWS_AS(RecordSet(source_of(folder / "nowhere.jsonl")), Error);
  CHECK_THROWS_AS(RecordSet(source_of(folder.path())), Error);
  for (const auto* bytes : {"", "\n\r\n \n", "\xEF\xBB\xBF", "\xEF\xBB\xBF\n"})
    CHECK_THROWS_AS(opened(folder, bytes), Error);
}

TEST_CASE("record set: the fingerprint is of the content") {
  TestFolder folder;
  const auto first = opened(folder, line("a") + "\n").fingerprint();
  CHECK(opened(folder, line("b") + "\n").fingerprint() != first);
  CHECK(opened(folder, line("a") + "\n").fingerprint() == first);
}

namespace {

std::string refusal(const SourceOptions& source) {
  try {
    RecordSet set(source);
  } catch (const Error& error) {
    CHECK((error.kind() == ErrorKind::data || error.kind() == ErrorKind::plugin));
    return error.what();
  }
  return {};
}

bool holds(const std::string& text, const std::string& words) { return text.find(words) != std::string::npos; }

}  // namespace

TEST_CASE("record set: what nothing reads is refused, and what was tried is told") {
  TestFolder folder;
  const auto path = folder / "set";
  folder.write("set", "PK\x03\x04 and so on");
  CHECK(holds(refusal(source_of(path)), "tried: json_lines, json_list"));
  folder.write("set", R"({"question": "What?", "answer": "A cat."})");
  const auto text = refusal(source_of(path));
  for (const auto* words : {"of the first 1 records none can be read", "set:1:", "a list 'messages' (messages)",
                            "'chosen' and 'rejected'", "format = "})
    CHECK(holds(text, words));
  folder.write("set", line("a"));
  CHECK(holds(refusal(source_of(path, "json_lnes")), "did you mean 'json_lines'?"));
  CHECK(holds(refusal(source_of(path, "auto", "mesages")), "did you mean 'messages'?"));
  CHECK(holds(refusal(source_of(path, "json_list")), "is not one JSON list"));
  CHECK(RecordSet(source_of(path, "json_lines", "messages")).size() == 1);
  CHECK_THROWS_AS(RecordSet(source_of(path, "json_lines", "conversations")).sample(0), Error);
}

TEST_CASE("record set: layouts may take turns, each record is read by its own keys") {
  TestFolder folder;
  const auto set = opened(folder, line("a") + "\n" + R"({"conversations": [{"from": "human", "value": "b"}]})" + "\n");
  CHECK(text_of(set, 0) == "a");
  CHECK(text_of(set, 1) == "b");
}

TEST_CASE("record set: the fingerprint is that of earlier versions, and of a format that is named") {
  TestFolder folder;
  const auto bytes = "\xEF\xBB\xBF" + line("a") + "\n";
  CHECK(opened(folder, bytes).fingerprint() == content_hash(bytes));
  CHECK(RecordSet(source_of(folder / "set.jsonl", "auto", "messages")).fingerprint() != content_hash(bytes));
}
