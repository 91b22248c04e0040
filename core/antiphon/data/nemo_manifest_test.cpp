// NeMo's manifests as samples.
#include <antiphon/base/error.h>
#include <antiphon/data/augment/augmenter.h>
#include <antiphon/data/test_records.h>
#include <antiphon/weights/test_folder.h>

#include <fmt/format.h>
#include <catch2/catch_test_macros.hpp>

#include <cmath>
#include <random>
#include <set>

using namespace antiphon;
using namespace antiphon::data;
using namespace antiphon::data::testing;
using weights::TestFolder;

namespace {

Sample parsed(const std::string& record, config::Value::Table options = {}, uint64_t draw = 0) {
  SourceOptions source = source_of({}, "auto", options.empty() ? "auto" : "nemo_manifest");
  source.format_options = std::move(options);
  return RecordReader(source, 1).read({record}, "/d", draw);
}

// "user: [/d/a.wav 1.5+2]What?|assistant: text"
std::string told(const Sample& sample) {
  std::string out;
  for (const auto& turn : sample.turns) {
    out += (out.empty() ? "" : "|") + turn.role + ": ";
    for (const auto& part : turn.parts) {
      if (part.media < 0) {
        out += part.text;
        continue;
      }
      const auto& ref = sample.media.at(static_cast<size_t>(part.media));
      if (ref.modality != Modality::audio) {
        out += fmt::format("[{} {}]", to_string(ref.modality), ref.bytes.name());
        continue;
      }
      out += std::isfinite(ref.seconds) ? fmt::format("[{} {}+{}]", ref.bytes.name(), ref.begin, ref.seconds)
                                        : fmt::format("[{} {}]", ref.bytes.name(), ref.begin);
    }
  }
  return out;
}

std::string refused(const std::string& record, config::Value::Table options = {}) {
  try {
    parsed(record, std::move(options));
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::data);
    return error.message();
  }
  return {};
}

const std::string kTalk =
    R"({"id": "t", "conversations": [{"from": "User", "type": "text", "value": "Hear: "}, {"from": "User", "type": "audio", "value": "a.wav", "offset": 1, "duration": 2.5},
       {"from": "Assistant", "type": "text", "value": "I do."}, {"from": "User", "type": "audio", "value": "/b.wav", "duration": null}, {"from": "Assistant", "type": "text", "value": "Yes."}]})";

}  // namespace

TEST_CASE("nemo: transcripts, questions and answers") {
  const auto sample = parsed(
      R"({"audio_filepath": "sub/a.wav", "offset": 1.5, "duration": 2, "text": "hello", "lang": "en", "taskname": "asr"})");
  CHECK(told(sample) == "user: [/d/sub/a.wav 1.5+2]Transcribe the audio.|assistant: hello");
  CHECK(sample.tags == std::map<std::string, std::string>{{"lang", "en"}, {"taskname", "asr"}});
  CHECK(told(parsed(
            R"({"audio_filepath": "/a.wav", "duration": null, "text": "no", "context": "What?", "answer": "yes"})")) ==
        "user: [/a.wav 0]What?|assistant: yes");
  CHECK(told(parsed(R"({"audio_filepath": "a.wav", "question": "What?", "text": "", "system": "s"})")) ==
        "system: s|user: [/d/a.wav 0]What?|assistant: ");
}

TEST_CASE("nemo: several recordings, and their places in the question") {
  const auto record = [](const std::string& question, const std::string& more = "") {
    return R"({"audio_filepath": ["a.wav", "b.wav"], "context": ")" + question + R"(", "answer": "x")" + more + "}";
  };
  CHECK(told(parsed(record("Q", R"(, "offset": [0, 1.25], "duration": [2, null])"))) ==
        "user: [/d/a.wav 0+2][/d/b.wav 1.25]Q|assistant: x");
  CHECK(told(parsed(record("Q", R"(, "duration": 3)"))) == "user: [/d/a.wav 0+3][/d/b.wav 0+3]Q|assistant: x");
  const config::Value::Table marks{{"audio_mark", "<a>"}};
  CHECK(told(parsed(record("1 <a> 2 <a>?"), marks)) == "user: 1 [/d/a.wav 0] 2 [/d/b.wav 0]?|assistant: x");
  CHECK(told(parsed(record("Q"), marks)) == "user: [/d/a.wav 0][/d/b.wav 0]Q|assistant: x");
  CHECK(says(refused(record("<a>"), marks), "2 recordings are named but the question marks 1"));
  CHECK(says(refused(record("<a><a><a>"), marks), "more marks '<a>' than there are recordings (2)"));
  CHECK(says(refused(record("Q", R"(, "offset": [1])")), "'offset' lists 1 times for 2 recordings"));
}

TEST_CASE("nemo: keys of other names") {
  const config::Value::Table options{{"context_key", "ask"}, {"answer_key", "pred"}, {"context", "?"}};
  CHECK(told(parsed(R"({"audio_filepath": "a", "ask": "Q", "pred": "A", "text": "t", "context": "c"})", options)) ==
        "user: [/d/a 0]Q|assistant: A");
  CHECK(told(parsed(R"({"audio_filepath": "a", "pred": "A"})", options)) == "user: [/d/a 0]?|assistant: A");
  CHECK(says(refused(R"({"audio_filepath": "a", "text": "t"})", options), "no text under 'pred'"));
}

TEST_CASE("nemo: a file of questions, the same one for a record each time that nothing is drawn") {
  TestFolder folder;
  folder.write("q.txt", "One?\n\n  Two?  \r\nThree?");
  const config::Value::Table options{{"context_file", (folder / "q.txt").string()}};
  std::map<std::string, int> seen;
  for (int i = 0; i < 600; ++i) {
    const auto record = fmt::format(R"({{"audio_filepath": "{}.wav", "text": "x"}})", i);
    const auto question = parsed(record, options).turns.at(0).parts.at(1).text;
    CHECK(parsed(record, options).turns.at(0).parts.at(1).text == question);
    ++seen[question];
  }
  CHECK(seen.size() == 3);
  for (const auto& [question, times] : seen) {
    CHECK((question == "One?" || question == "Two?" || question == "Three?"));
    CHECK((times > 150 && times < 250));
  }
  CHECK(told(parsed(R"({"audio_filepath": "a", "text": "x", "context": "Own?"})", options)) ==
        "user: [/d/a 0]Own?|assistant: x");
  for (const auto* bytes : {"", "\n \n", "\xff\n"}) {
    folder.write("bad.txt", bytes);
    CHECK(says(refused("{}", {{"context_file", (folder / "bad.txt").string()}}), "bad.txt"));
  }
  CHECK(says(refused("{}", {{"context_file", (folder / "none.txt").string()}}), "none.txt"));
}

TEST_CASE("nemo: the question of a record follows from the draw, and all are drawn alike") {
  TestFolder folder;
  folder.write("q.txt", "One?\nTwo?\nThree?");
  const config::Value::Table options{{"context_file", (folder / "q.txt").string()}};
  const auto asked = [&](const std::string& name, uint64_t draw, const std::string& more = "") {
    const auto record = fmt::format(R"({{"audio_filepath": "{}.wav", "text": "x"{}}})", name, more);
    return parsed(record, options, draw).turns.at(0).parts.at(1).text;
  };
  std::map<std::string, int> seen;
  int differs = 0;
  for (int64_t epoch = 0; epoch < 600; ++epoch) {
    const auto draw = augment_seed(7, 0, 3, epoch);
    ++seen[asked("a", draw)];
    CHECK(asked("a", draw) == asked("a", draw));
    CHECK(asked("a", draw, R"(, "context": "Own?")") == "Own?");
    differs += asked("a", draw) != asked("b", augment_seed(7, 0, 4, epoch));
  }
  CHECK(seen.size() == 3);
  for (const auto& [question, times] : seen) CHECK((times > 150 && times < 250));
  CHECK((differs > 350 && differs < 450));
  CHECK(asked("a", 0) == parsed(R"({"audio_filepath": "a.wav", "text": "x"})", options).turns.at(0).parts.at(1).text);
}

TEST_CASE("nemo: talks of several turns") {
  const auto sample = parsed(kTalk);
  CHECK(told(sample) == "user: Hear: [/d/a.wav 1+2.5]|assistant: I do.|user: [/b.wav 0]|assistant: Yes.");
  CHECK(sample.id == "t");
  const auto spoken = R"({"conversations": [{"from": "Assistant", "type": "audio", "value": "a.wav"}]})";
  CHECK(says(refused(spoken), "assistant turn holds media"));
}

TEST_CASE("nemo: pictures and videos are turns of their own") {
  const auto talk = [](const std::string& type, const std::string& name, const std::string& more = "") {
    return R"({"conversations": [{"from": "User", "type": "text", "value": "See "}, {"from": "User", "type": ")" +
           type + R"(", "value": ")" + name + "\"" + more +
           R"(}, {"from": "Assistant", "type": "text", "value": "A cat."}]})";
  };
  CHECK(told(parsed(talk("image", "a.png"))) == "user: See [image /d/a.png]|assistant: A cat.");
  CHECK(told(parsed(talk("video", "v.mp4"))) == "user: See [video /d/v.mp4]|assistant: A cat.");
  CHECK(says(refused(talk("video", "v.mp4", R"(, "offset": 1)")), "names a piece of a video"));
  CHECK(says(refused(talk("smell", "a.png")), "the type 'smell'; expected text, audio, image or video"));
  // One turn with a type is enough: else the name of the file would be learnt as words.
  const auto mixed =
      R"({"conversations": [{"from": "User", "value": "x"}, {"from": "User", "type": "image", "value": "a.png"}]})";
  CHECK(says(refused(mixed), "has no key 'type'"));
}

TEST_CASE("nemo: what is wrong is told") {
  const auto with = [](const std::string& more) { return refused(R"({"audio_filepath": "a.wav", )" + more + "}"); };
  for (const auto* time : {"-1", "\"1\"", "true", "{}", "1e999"}) {
    INFO(time);
    CHECK_FALSE(with(R"("text": "x", "offset": )" + std::string(time)).empty());
    CHECK_FALSE(with(R"("text": "x", "duration": )" + std::string(time)).empty());
  }
  CHECK(says(with(R"("duration": 1)"), "no text under 'answer' or 'text'"));
  CHECK(says(with(R"("text": 3)"), "'text'; expected a string"));
  CHECK(says(with(R"("text": "x", "image_path": "b.png")"), "may name media"));
  CHECK(says(refused(R"({"audio_filepath": "a", "text": "x", "conversations": []})", {{"context", "?"}}),
             "both 'audio_filepath' and 'conversations'"));
  for (const auto* paths : {"7", "{}", "[]", "[7]", "\"\"", R"(["a", null])", R"("http://x/a.wav")"}) {
    INFO(paths);
    CHECK_FALSE(refused(R"({"text": "x", "audio_filepath": )" + std::string(paths) + "}").empty());
  }
  const auto turn = [](const std::string& text) {
    return refused(R"({"conversations": [)" + text + "]}", {{"context", "?"}});
  };
  CHECK(says(turn("3"), "not an object"));
  CHECK(says(turn(R"({"from": "User", "type": "smell", "value": "x"})"), "type 'smell'"));
  CHECK(says(turn(R"({"from": "Robot", "type": "text", "value": "x"})"), "role 'Robot'"));
  CHECK(says(turn(R"({"from": "User", "type": "audio", "value": 3})"), "'value'"));
  CHECK(says(turn(R"({"from": "User", "type": "audio", "value": "a", "offset": "x"})"), "'offset' is not a time"));
}

TEST_CASE("nemo: mutated records are read or refused, never more") {
  std::mt19937 random(5);
  const std::string alphabet = "{}[]\",:0-9.e nul";
  int read = 0;
  for (int round = 0; round < 3000; ++round) {
    std::string line =
        round % 2
            ? kTalk
            : R"({"audio_filepath": ["a.wav", "b.wav"], "offset": [0, 1.25], "duration": 2, "text": "hello", "context": "Q"})";
    for (int edits = 1 + static_cast<int>(random() % 3); edits > 0; --edits) {
      const size_t at = random() % line.size(), n = std::min<size_t>(random() % 9, line.size() - at);
      random() % 2 ? line.replace(at, 1, 1, alphabet[random() % alphabet.size()]) : line.erase(at, n);
    }
    if (!refused(line).empty()) continue;
    ++read;
    for (const auto& ref : parsed(line).media) CHECK((ref.begin >= 0 && ref.seconds >= 0));
  }
  CHECK(read > 50);
}

TEST_CASE("nemo: options are part of the fingerprint") {
  TestFolder folder;
  folder.write("set.jsonl", R"({"audio_filepath": "a.wav", "text": "x"})");
  auto source = source_of(folder / "set.jsonl", "auto", "nemo_manifest");
  const auto plain = RecordSet(source).fingerprint();
  source.format_options = config::Value::Table{{"context", "What?"}};
  CHECK(RecordSet(source).fingerprint() != plain);
}
