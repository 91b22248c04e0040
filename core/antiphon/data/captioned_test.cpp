// Media with what is said of them.
#include <antiphon/base/error.h>
#include <antiphon/data/test_records.h>

#include <fmt/format.h>
#include <catch2/catch_test_macros.hpp>

using namespace antiphon;
using namespace antiphon::data;
using namespace antiphon::data::testing;

namespace {

std::string spelled(const Sample& sample) {
  std::string out;
  for (const auto& turn : sample.turns) {
    out += (out.empty() ? "" : "|") + turn.role + ": ";
    for (const auto& part : turn.parts)
      out += part.media < 0 ? part.text : "[" + sample.media.at(static_cast<size_t>(part.media)).bytes.name() + "]";
  }
  return out;
}

std::string read(const std::string& record) { return spelled(parse_sample(record, "/d")); }

}  // namespace

TEST_CASE("captioned: captions and texts") {
  CHECK(read(R"({"image": "a.png", "caption": "A cat.", "text": "other"})") == "user: [/d/a.png]|assistant: A cat.");
  CHECK(read(R"({"audios": ["a.wav"], "text": "good morning", "system": "s"})") ==
        "system: s|user: [/d/a.wav]|assistant: good morning");
  SourceOptions source = source_of({}, "auto", "captioned");
  source.format_options = config::Value::Table{{"question", "What is <image>?"}, {"answer_key", "alt"}};
  CHECK(spelled(RecordReader(source, 1).read({R"({"image": "a.png", "alt": "A cat.", "text": "x"})"}, "/d")) ==
        "user: What is [/d/a.png]?|assistant: A cat.");
}

TEST_CASE("captioned: pieces of sounds") {
  const auto pieces = [](const std::string& record) {
    std::string out;
    for (const auto& ref : parse_sample(record, "/d").media) out += fmt::format("{}+{} ", ref.begin, ref.seconds);
    return out;
  };
  CHECK(pieces(R"({"audio": "a.wav", "text": "x", "offset": 1, "duration": 2.5})") == "1+2.5 ");
  CHECK(pieces(R"({"audio": "a.wav", "text": "x", "start": 1, "end": 2.5})") == "1+1.5 ");
  CHECK(pieces(R"({"file_name": "a.wav", "text": "x", "start": 1})") == "1+inf ");
  CHECK(pieces(R"({"audios": ["a", "b"], "text": "x", "offset": [0, 1], "duration": [2, null]})") == "0+2 1+inf ");
  CHECK(says(refused_as(R"({"audios": ["a", "b"], "text": "x", "offset": [0]})"), "lists 1 times for 2 recordings"));
  CHECK(
      says(refused_as(R"({"audio": "a.wav", "text": "x", "start": 0, "duration": "2"})"), "'duration' is not a time"));
  CHECK(pieces(R"({"audio": "a.wav", "text": "x", "duration": 2})") == "0+inf ");  // how long it is, in many tables
  CHECK(says(refused_as(R"({"video": "v.mp4", "caption": "x", "start": 1})"), "names a piece of a video"));
  CHECK(pieces(R"({"video": "v.mp4", "caption": "x", "duration": 9})") == "0+inf ");
  CHECK(parse_sample(R"({"image": "a.png", "caption": "x", "start": 1, "duration": 2})", "/d").unread ==
        std::set<std::string>{"start"});
}

TEST_CASE("captioned: questions and answers") {
  CHECK(read(R"({"image": "a", "context": "What?", "answers": ["a", "b", "b", "c"]})") ==
        "user: [/d/a]What?|assistant: b");
  CHECK(read(R"({"image": "a", "question": "What?", "answers": ["a", "b"]})") == "user: [/d/a]What?|assistant: a");
  CHECK(read(R"({"images": ["a", "b"], "context": ["One <image>?", "Two <image>?"], "answers": ["1", "2"]})") ==
        "user: One [/d/a]?|assistant: 1|user: Two [/d/b]?|assistant: 2");
  CHECK(says(refused_as(R"({"image": "a", "context": ["1", "2"], "answers": ["3"]})"), "2 questions and 1 answers"));
  CHECK(says(refused_as(R"({"image": "a", "context": "1", "answers": []})"), "neither a text nor a list"));
  CHECK(says(refused_as(R"({"image": "a", "context": 7, "answers": "x"})"), "'context' is neither"));
}

TEST_CASE("captioned: records of other layouts are not its own") {
  CHECK(read(R"({"image": "a", "text": "<image>", "messages": [{"role": "user", "content": "<image>"}]})") ==
        "user: [/d/a]");
  CHECK(says(refused_as(R"({"image": "a", "text": 7})"), "of no layout that is known"));
  CHECK(says(refused_as(R"({"text": "x"})", "captioned"), "lists no media"));
  CHECK(says(refused_as(R"({"image": "a"})", "captioned"), "no answer, caption or text"));
}
