#include <antiphon/base/error.h>
#include <antiphon/base/files.h>
#include <antiphon/data/options.h>
#include <antiphon/data/test_records.h>
#include <antiphon/weights/test_folder.h>

#include <catch2/catch_test_macros.hpp>

using namespace antiphon;
using namespace antiphon::data;
using namespace antiphon::data::testing;
using weights::TestFolder;
using namespace std::string_literals;

namespace {

std::string record_line(const std::string& text, const std::string& more = "") {
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
  for (const auto& bytes :
       {record_line("a") + "\n\n \t\n" + record_line("b") + "\n" + record_line("c"),
        record_line("a") + "\r\n\r\n  \r\n" + record_line("b") + "\r\n" + record_line("c") + "\r\n",
        "\xEF\xBB\xBF" + record_line("a") + "\n\n\n" + record_line("b") + "\n" + record_line("c") + "\n"}) {
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
       {"[" + record_line("a") + "," + record_line("b, [\\\"") + "," + bad + "]",
        "\xEF\xBB\xBF\n [\n  " + record_line("a") + ",\n  " + record_line("b, [\\\"") + "\n,\n" + bad + "\n]\n\n"}) {
    INFO(bytes);
    const auto set = opened(folder, bytes);
    REQUIRE(set.size() == 3);
    CHECK(text_of(set, 0) == "a");
    CHECK(text_of(set, 1) == "b, [\"");
    CHECK_THROWS_AS(set.sample(2), Error);
    CHECK((set.line(0) == 1 && set.line(2) == 3));
    CHECK(set.sample(1).id == "set.jsonl:2");
  }
  CHECK_THROWS_AS(opened(folder, "[" + record_line("a") + ","), Error);
  CHECK_THROWS_AS(opened(folder, "[" + record_line("a") + ", {\"x"), Error);
  CHECK(opened(folder, "[{}]\n" + record_line("a") + "\n").size() == 2);  // lines, of which one is bad
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
  const auto set =
      opened(folder, record_line("a") + "\nnonsense\n" + record_line("b") + "\n{\"messages\": \"\xff\"}\n\0\n"s);
  REQUIRE(set.size() == 5);
  CHECK(text_of(set, 2) == "b");
  for (const int64_t bad : {1, 3, 4}) CHECK_THROWS_AS(set.sample(bad), Error);
}

TEST_CASE("record set: a line of 16 MiB is read, a longer one refused") {
  TestFolder folder;
  const size_t limit = 16u << 20, frame = record_line("").size();
  const auto set =
      opened(folder, record_line(std::string(limit - frame, 'x')) + "\n" +
                         record_line(std::string(limit - frame + 1, 'x')) + "\n" + record_line("after") + "\n");
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
  const auto first = opened(folder, record_line("a") + "\n").fingerprint();
  CHECK(opened(folder, record_line("b") + "\n").fingerprint() != first);
  CHECK(opened(folder, record_line("a") + "\n").fingerprint() == first);
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
  folder.write("set", record_line("a"));
  CHECK(holds(refusal(source_of(path, "json_lnes")), "did you mean 'json_lines'?"));
  CHECK(holds(refusal(source_of(path, "auto", "mesages")), "did you mean 'messages'?"));
  CHECK(holds(refusal(source_of(path, "json_list")), "is not one JSON list"));
  CHECK(RecordSet(source_of(path, "json_lines", "messages")).size() == 1);
  CHECK_THROWS_AS(RecordSet(source_of(path, "json_lines", "conversations")).sample(0), Error);
}

TEST_CASE("record set: layouts may take turns, each record is read by its own keys") {
  TestFolder folder;
  const auto set =
      opened(folder, record_line("a") + "\n" + R"({"conversations": [{"from": "human", "value": "b"}]})" + "\n");
  CHECK(text_of(set, 0) == "a");
  CHECK(text_of(set, 1) == "b");
}

TEST_CASE("record set: the fingerprint is that of earlier versions, and of a format that is named") {
  TestFolder folder;
  const auto bytes = "\xEF\xBB\xBF" + record_line("a") + "\n";
  CHECK(opened(folder, bytes).fingerprint() == content_hash(bytes));
  CHECK(RecordSet(source_of(folder / "set.jsonl", "auto", "messages")).fingerprint() != content_hash(bytes));
}

namespace {

const std::string kHeard = R"({"audio_path": "a.wav", "text": "good morning"})",
                  kSeen = R"({"image_path": "a.png", "question": "q", "answer": "a", "image_url": "http://x/a.png"})";

SourceOptions named_source(const std::filesystem::path& path, config::Value rename,
                           std::vector<std::string> ignore = {}) {
  auto source = source_of(path);
  source.rename = std::move(rename), source.ignore = std::move(ignore);
  return source;
}

// How the only record of a file is spelt.
std::string medium_and_answer(const SourceOptions& source) {
  const RecordSet set(source);
  const auto sample = set.sample(0);
  return sample.media.at(0).bytes.name() + ": " + sample.turns.back().parts.at(0).text;
}

// What is told of a source before its file is opened.
std::string problems_of(const SourceOptions& source) {
  DataOptions options;
  options.train.sources = {source};
  config::Problems problems;
  check_sources(options, problems);
  try {
    problems.throw_if_any();
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::config);
    return error.what();
  }
  return {};
}

}  // namespace

TEST_CASE("record set: keys by other names, and without those that are ignored, are of a layout") {
  TestFolder folder;
  const auto lines = folder / "set.jsonl", list = folder / "set.json";
  folder.write("set.jsonl", kHeard + "\n");
  CHECK(holds(refusal(source_of(lines)), R"(rename = { KEY = "image" })"));
  CHECK(holds(refusal(source_of(lines)), R"(ignore = ["KEY"])"));
  CHECK(medium_and_answer(named_source(lines, config::Value::Table{{"audio_path", "audio"}})) ==
        (folder / "a.wav").string() + ": good morning");
  folder.write("set.json", "[" + kSeen + "]");
  const config::Value image = config::Value::Table{{"image_path", "image"}};
  CHECK_THROWS_AS(RecordSet(named_source(list, image)).sample(0), Error);  // image_url may name a picture
  CHECK(medium_and_answer(named_source(list, image, {"image_url"})) == (folder / "a.png").string() + ": a");
  // The other way round: each takes the name of the other. The id of a record and its tags are those of the new names.
  folder.write("set.json", R"([{"image": "a.png", "question": "a", "answer": "q", "uid": "seven", "topic": "x"}])");
  const RecordSet turned(named_source(
      list, config::Value::Table{{"question", "answer"}, {"answer", "question"}, {"uid", "id"}, {"topic", "task"}}));
  CHECK(turned.sample(0).turns.back().parts.at(0).text == "a");
  CHECK(turned.sample(0).id == "seven");
  CHECK(turned.sample(0).tags.at("task") == "x");
  CHECK(turned.sample(0).tags.count("topic") == 0);
}

TEST_CASE("record set: a record with two keys of one name is bad, and says how to mend it") {
  TestFolder folder;
  folder.write("set.jsonl", kHeard + "\n" + R"({"audio": "b.wav", "audio_path": "a.wav", "text": "x"})" + "\n");
  const config::Value rename = config::Value::Table{{"audio_path", "audio"}};
  const RecordSet set(named_source(folder / "set.jsonl", rename));
  CHECK_NOTHROW(set.sample(0));
  try {
    set.sample(1);
    FAIL("it was read");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::data);
    CHECK(holds(error.message(), "two values for 'audio'"));
    CHECK(holds(error.fix(), R"(ignore = ["audio"])"));
  }
  const RecordSet without(named_source(folder / "set.jsonl", rename, {"audio"}));
  CHECK(without.sample(1).media.at(0).bytes == folder / "a.wav");
}

TEST_CASE("record set: a key that no record has cannot be renamed or ignored") {
  TestFolder folder;
  const auto path = folder / "set.jsonl";
  std::string many;
  for (int i = 0; i < 150; ++i) many += record_line("a") + "\n";
  folder.write("set.jsonl", many + record_line("b", R"(, "image_url": "x.png")") + "\n");
  CHECK(refusal(named_source(path, config::Value::Table{}, {"image_url"})).empty());  // the last one has it
  for (const auto& source : {named_source(path, config::Value::Table{{"image_uri", "image"}}),
                             named_source(path, config::Value::Table{}, {"image_url", "image_uri"})}) {
    const auto text = refusal(source);
    CHECK(holds(text, "set.jsonl: no record has the key 'image_uri', which"));
    CHECK(holds(text, "name one that is there: 'messages'"));
  }
  auto first = named_source(path, config::Value::Table{}, {"image_url"});
  first.max_samples = 100;
  CHECK(holds(refusal(first), "no record has the key 'image_url'"));
  folder.write("set.jsonl", "{nonsense\n");
  auto nonsense = named_source(path, config::Value::Table{}, {"x"});
  nonsense.source = "json_lines";
  CHECK(holds(refusal(nonsense), "none can be read"));
}

TEST_CASE("record set: other names of keys are other data") {
  TestFolder folder;
  const auto path = folder / "set.jsonl";
  folder.write("set.jsonl", record_line("a", R"(, "x": 1, "y": 2)") + "\n");
  std::set<std::string> all{RecordSet(source_of(path)).fingerprint()};
  const auto none = config::Value::Table{};
  for (const auto& source :
       {named_source(path, none, {"x"}), named_source(path, none, {"x", "y"}),
        named_source(path, config::Value::Table{{"x", "z"}}), named_source(path, config::Value::Table{{"x", "w"}})})
    CHECK(all.insert(RecordSet(source).fingerprint()).second);
  CHECK_FALSE(all.insert(RecordSet(named_source(path, none, {"y", "x"})).fingerprint()).second);
}

TEST_CASE("record set: options of keys that are wrong are told before a file is opened") {
  const auto with = [](config::Value rename, std::vector<std::string> ignore = {}) {
    return problems_of(named_source("nowhere.jsonl", std::move(rename), std::move(ignore)));
  };
  CHECK(with(config::Value::Table{{"a", "b"}}, {"c"}).empty());
  CHECK(holds(with("audio"), "'rename' in [data.train.sources.0] is a string; expected a table"));
  CHECK(holds(with(config::Value::Table{{"a", 3}}), "'rename.a' in [data.train.sources.0] is 3; expected the name"));
  CHECK(holds(with(config::Value::Table{{"a", ""}}), "expected the name of a key"));
  CHECK(holds(with(config::Value::Table{{"a", "b"}}, {"a"}), "both renames and ignores the key 'a'"));
  auto old = source_of("nowhere.jsonl", "json_list");
  old.source_options = config::Value::Table{{"rename", config::Value::Table{{"image", "jpg"}}}};
  CHECK(holds(problems_of(old), "`rename` is an option of every source now"));
  CHECK(holds(problems_of(old), "rename = { COLUMN = \"KEY\" }"));
}
