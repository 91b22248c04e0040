#include <antiphon/data/sample_test.h>

#include <fmt/format.h>
#include <catch2/catch_test_macros.hpp>

#include <random>

using namespace antiphon;
using namespace antiphon::data;
using namespace antiphon::data::testing;
using namespace std::string_literals;

namespace {

const std::string kMessages =
    R"({"id": 7, "task": "caption", "n": 3, "messages": [{"role": "system", "content": "be brief"},
 {"role": "user", "content": [{"type": "image", "image": "a.png"}, {"type": "text", "text": "What? <image>"}, {"type": "audio", "audio": "/x/b.wav", "stream": "speech"}]},
 {"role": "assistant", "content": "A bird."}]})";
const std::string kLlava =
    R"({"id": "x", "image": ["a.png", "b.png"], "audio": "c.wav", "conversations": [{"from": "human", "value": "<image>\nand <image><audio> what?"},
 {"from": "gpt", "value": "An <image> of a bird"}, {"from": "human", "value": "sure?"}, {"from": "gpt", "value": ""}]})";

}  // namespace

TEST_CASE("sample: the layout with messages") {
  const auto sample = parse_sample(kMessages, "/data");
  CHECK(sample.id == "7");
  CHECK(sample.tags == std::map<std::string, std::string>{{"task", "caption"}});
  REQUIRE(sample.turns.size() == 3);
  CHECK(sample.turns[0].role == "system");
  CHECK(sample.turns[0].parts[0].text == "be brief");
  const auto& parts = sample.turns[1].parts;
  REQUIRE(parts.size() == 3);
  CHECK((parts[0].media == 0 && parts[1].media == -1 && parts[2].media == 1));
  CHECK(parts[1].text == "What? <image>");  // text, not a place
  REQUIRE(sample.media.size() == 2);
  CHECK(sample.media[0].bytes == "/data/a.png");
  CHECK(sample.media[1].bytes == "/x/b.wav");
  CHECK(sample.media[1].modality == Modality::audio);
  CHECK(sample.media[1].stream == "speech");
}

TEST_CASE("sample: a thought of an assistant's turn") {
  const auto with = [](std::string_view role, std::string_view thought) {
    return fmt::format(R"({{"messages": [{{"role": "user", "content": "a"}}, {{"role": "{}", "content": "b", )"
                       R"("reasoning_content": {}}}]}})",
                       role, thought);
  };
  CHECK(parse_sample(with("assistant", R"("hm")"), "/data").turns[1].reasoning == "hm");
  CHECK(parse_sample(with("assistant", "null"), "/data").turns[1].reasoning.empty());
  CHECK(why_not(with("assistant", "7")).find("'reasoning_content'; expected a string") != std::string::npos);
  CHECK(why_not(with("user", R"("hm")")).find("only an assistant's") != std::string::npos);
}

TEST_CASE("sample: the layout with conversations") {
  const auto sample = parse_sample(kLlava, "/data");
  REQUIRE(sample.turns.size() == 4);
  CHECK(sample.turns[1].role == "assistant");
  CHECK(sample.turns[1].parts[0].text == "An <image> of a bird");  // an answer's text is text
  const auto& parts = sample.turns[0].parts;
  REQUIRE(parts.size() == 5);
  CHECK(parts[0].media == 0);
  CHECK(parts[1].text == "and ");
  CHECK(parts[2].media == 1);
  CHECK(parts[3].media == 2);
  CHECK(parts[4].text == " what?");
  CHECK(sample.media[1].bytes == "/data/b.png");
  CHECK(sample.media[2].modality == Modality::audio);
  CHECK(sample.turns[3].parts.size() == 1);
}

TEST_CASE("sample: keys that nothing reads are noted") {
  const auto sample =
      parse_sample(messages_with("\"What?\"", R"(, "bbox": [1, 2], "task": "x", "weight": 0.5, "score": 1)"), "/");
  CHECK(sample.unread == std::set<std::string>{"bbox", "weight"});
  CHECK(sample.tags.at("task") == "x");
  const auto inside = parse_sample(R"({"messages": [{"role": "user", "content": "x", "loss": false}]})", "/");
  CHECK(inside.unread == std::set<std::string>{"messages: loss"});
}

TEST_CASE("sample: calls of tools, their results and their descriptions") {
  const auto sample = parse_sample(
      R"({"tools": "[{\"type\": \"function\", \"function\": {\"name\": \"f\", \"a\": 1}}]", "messages": [{"role": "user", "content": "x"},
          {"role": "assistant", "content": null, "tool_calls": [{"type": "function", "function": {"name": "f", "arguments": "{\"z\": 1, \"b\": [2]}"}}]},
          {"role": "tool", "tool_call_id": "c1", "name": "f", "content": "3"}, {"role": "assistant", "content": "y", "tool_calls": []}]})",
      "/");
  CHECK(sample.tools == R"([{"type":"function","function":{"name":"f","a":1}}])");
  REQUIRE(sample.turns.size() == 4);
  CHECK(sample.turns[1].tool_calls == R"([{"type":"function","function":{"name":"f","arguments":{"z":1,"b":[2]}}}])");
  CHECK(sample.turns[1].parts.empty());
  CHECK((sample.turns[2].role == "tool" && sample.turns[2].more == R"({"tool_call_id":"c1","name":"f"})"));
  CHECK(sample.turns[3].tool_calls.empty());
  CHECK(sample.tags.empty());
  const auto called = [](const std::string& calls) {
    return why_not(R"({"messages": [{"role": "assistant", "content": "", "tool_calls": )" + calls + "}]}");
  };
  CHECK(called("7").find("'tool_calls' is not a list of objects") != std::string::npos);
  CHECK(called("[{}]").find("does not name a function and its arguments") != std::string::npos);
  CHECK(called(R"([{"name": "f", "arguments": "x"}])").find("neither an object nor a text") != std::string::npos);
  CHECK(called(R"([{"name": "f", "arguments": {}}])").empty());
  CHECK(why_not(messages_with("\"x\"", R"(, "tools": {"name": "f"})")).find("'tools' is not a list of objects") !=
        std::string::npos);
  const auto user =
      R"({"messages": [{"role": "user", "content": "x", "tool_calls": [{"name": "f", "arguments": {}}]}]})";
  CHECK(why_not(user).find("'messages: tool_calls' changes") != std::string::npos);
}

TEST_CASE("sample: a system text beside the turns is the first turn") {
  const auto sample = parse_sample(messages_with("\"What?\"", R"(, "system": "Be brief.")"), "/");
  CHECK((sample.turns.at(0).role == "system" && sample.turns.at(0).parts.at(0).text == "Be brief."));
  CHECK(why_not(R"({"messages": [{"role": "system", "content": "x"}], "system": "y"})").find("both a key 'system'") !=
        std::string::npos);
}

TEST_CASE("sample: what only a template knows of a turn goes to it, and other words on learning are not passed over") {
  const auto sample = parse_sample(
      R"({"messages": [{"role": "user", "name": "Ann", "content": "x"}, {"role": "assistant", "content": "y", "thinking": "hm", "reasoning": "so"}]})",
      "/");
  CHECK(sample.turns.at(0).more == R"({"name":"Ann"})");
  CHECK(sample.turns.at(1).more == R"({"reasoning":"so","thinking":"hm"})");
  CHECK(sample.unread.empty());
  const auto talk = parse_sample(
      R"({"conversations": [{"from": "human", "value": "x", "name": "Ann"}, {"from": "gpt", "value": "y", "reasoning_content": "hm"}]})",
      "/");
  CHECK((talk.turns.at(0).more == R"({"name":"Ann"})" && talk.turns.at(1).reasoning == "hm"));
  const auto turn = [](const std::string& role, const std::string& more) {
    return why_not(R"({"messages": [{"role": "user", "content": "x"}, {"role": ")" + role + R"(", "content": "y", )" +
                   more + "}]}");
  };
  for (const auto* more : {R"("train": false)", R"("train": 0)", R"("loss_scale": 0.5)", R"("loss_scale": 2)"}) {
    INFO(more);
    CHECK(says(turn("assistant", more), "which is not followed"));
  }
  CHECK(says(turn("user", R"("train": true)"), "'train' of a turn of role 'user' is true"));
  CHECK(turn("assistant", R"("train": true, "loss_scale": 1.0, "weight": 1)").empty());
  CHECK(turn("user", R"("train": false)").empty());
  const auto beside = [](const std::string& rest) { return why_not(messages_with("\"x\"", rest)); };
  CHECK(says(beside(R"(, "label": false)"), "'label' changes what the sample says or teaches"));
  CHECK(says(beside(R"(, "history": [["a", "b"]])"), "'history' changes"));
  CHECK(beside(R"(, "label": true, "history": [])").empty());
  CHECK(beside(R"(, "label": 3, "history": null)").empty());
  const auto calls = R"({"conversations": [{"from": "human", "value": "x"}, {"from": "gpt", "value": "y"},
      {"from": "function_call", "value": "{\"name\": \"f\", \"arguments\": {}}", "thinking": "hm"}]})";
  CHECK(says(why_not(calls), "have a thought or a name of their own"));
}

TEST_CASE("sample: a developer is the system, and paths may stand as Hugging Face writes them") {
  const auto told = parse_sample(
      R"({"messages": [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "x"}]})", "/");
  CHECK(told.turns.at(0).role == "system");
  const auto* path = R"({"path": "a.png", "bytes": null})";
  CHECK(parts_of(messages_with("\"x\"", std::string(R"(, "images": [)") + path + "]")) == "[/d/a.png]x");
  CHECK(parts_of(messages_with("\"x\"", std::string(R"(, "image": )") + path)) == "[/d/a.png]x");
  CHECK(parts_of(messages_with(std::string(R"([{"type": "image", "image": )") + path + "}]", "")) == "[/d/a.png]");
  CHECK(says(why_not(messages_with("\"x\"", R"(, "images": [{"path": "a.png", "bytes": "Zm9v"}])")), "not a path"));
}

TEST_CASE("sample: everything malformed is refused, with what was wrong") {
  const auto user = [](const std::string& content) {
    return R"({"messages": [{"role": "user", "content": )" + content + "}]}";
  };
  const auto llava = [](const std::string& rest) {
    return R"({"conversations": [{"from": "human", "value": "<image>"}])" + rest + "}";
  };
  const std::vector<std::pair<std::string, std::string>> cases{
      {"", "not valid JSON"},
      {"{", "not valid JSON"},
      {"{} {}", "not valid JSON"},
      {"{'messages': []}", "not valid JSON"},
      {R"({"messages": [],})", "not valid JSON"},
      {R"({"messages": NaN})", "not valid JSON"},
      {"\0"s, "not valid JSON"},
      {R"({"a": "\ud800"})", "not valid JSON"},
      {std::string(100000, '['), "nested more than 64 levels deep"},
      {"{\"id\": " + std::string(60000, '[') + std::string(60000, ']') + "}", "nested more than 64 levels deep"},
      {"{\"messages\": \"\xff\"}", "UTF-8"},
      {"{\"messages\": \"\xc0\xaf\"}", "UTF-8"},
      {"\xed\xa0\x80", "UTF-8"},
      {"null", "null"},
      {"3", "number"},
      {"\"text\"", "string"},
      {"[]", "array"},
      {"{}",
       "or a 'recording' with 'supervisions', or a MixedCut's 'tracks' (lhotse_cut), or a list 'messages' (messages), "
       "or"},
      {R"({"messages": {}})", "or a list 'messages'"},
      {R"({"messages": null, "conversations": 3})", "or a list 'messages'"},
      {R"({"messages": []})", "the conversation is empty"},
      {R"({"messages": [3]})", "an element of 'messages'"},
      {R"({"messages": [{}]})", "'role'"},
      {R"({"messages": [{"role": 3, "content": "x"}]})", "'role'"},
      {R"({"messages": [{"role": "user"}]})", "'content'"},
      {R"({"messages": [{"role": "robot", "content": "x"}]})", "role 'robot' is unknown"},
      {R"({"messages": [{"role": "", "content": "x"}]})", "role '' is unknown"},
      {user("null"), "'content' is neither"},
      {user("{}"), "'content' is neither"},
      {user("[3]"), "an element of 'content'"},
      {user("[{}]"), "'type'"},
      {user(R"([{"type": "smell", "smell": "x"}])"), "type 'smell'"},
      {user(R"([{"type": "video"}])"), "'video'"},
      {user(R"([{"type": "text"}])"), "'text'"},
      {user(R"([{"type": "text", "text": 3}])"), "'text'"},
      {user(R"([{"type": "image"}])"), "'image'"},
      {user(R"([{"type": "image", "image": ""}])"), "path is empty"},
      {user(R"([{"type": "image", "image": ["a"]}])"), "'image'"},
      {user(R"([{"type": "image", "image": "a\u0000.png"}])"), "NUL"},
      {user(R"([{"type": "audio", "audio": "a", "stream": 3}])"), "'stream'"},
      {R"({"messages": [{"role": "assistant", "content": [{"type": "image", "image": "a"}]}]})",
       "assistant turn holds media"},
      {R"({"messages": [{"role": "system", "content": [{"type": "audio", "audio": "a"}]}]})",
       "system turn holds media"},
      {R"({"conversations": []})", "the conversation is empty"},
      {R"({"conversations": [{"from": "human", "value": "<video>"}], "videos": []})", "more <video> marks"},
      {R"({"conversations": ["x"]})", "an element of 'conversations'"},
      {R"({"conversations": [{"value": "x"}]})", "'from'"},
      {R"({"conversations": [{"from": "human"}]})", "'value'"},
      {R"({"conversations": [{"from": "robot", "value": "x"}]})", "role 'robot'"},
      {llava(R"(, "images": ["a"], "image": "b")"), "both 'image' and 'images'"},
      {llava(R"(, "image": [])"), "more <image> marks"},
      {llava(R"(, "image": ["a", "b"])"), "2 paths are named under 'image' but the text marks 1"},
      {llava(R"(, "image": "a", "audio": "b")"), "1 paths are named under 'audio' but the text marks 0"},
      {llava(R"(, "image": {})"), "neither a path nor a list"},
      {llava(R"(, "image": ["a", 3])"), "not a path"},
      {llava(R"(, "image": "")"), "path is empty"},
  };
  CHECK(cases.size() >= 30);
  for (const auto& [line, words] : cases) {
    INFO(line.substr(0, 200));
    const auto message = why_not(line);
    INFO(message);
    CHECK(message.find(words) != std::string::npos);
  }
}

TEST_CASE("sample: mutated lines are read or refused, never more") {
  std::mt19937 random(11);
  const std::string alphabet = "{}[]\",:\\<>imageudo0123456789 \n\t\xff\xc3\x80" + "\0"s;
  int read = 0;
  for (int round = 0; round < 6000; ++round) {
    std::string line = round % 2 ? kMessages : kLlava;
    for (int edits = 1 + static_cast<int>(random() % 4); edits > 0; --edits) {
      const size_t at = random() % line.size(), n = std::min<size_t>(random() % 12, line.size() - at);
      switch (random() % 4) {
        case 0: line[at] = alphabet[random() % alphabet.size()]; break;
        case 1: line.erase(at, n); break;
        case 2: line.insert(at, 1, alphabet[random() % alphabet.size()]); break;
        default: line.insert(random() % line.size(), line.substr(at, n));
      }
      if (line.empty()) line = "{";
    }
    if (!why_not(line).empty()) continue;
    ++read;
    const auto sample = parse_sample(line, "/data");
    for (const auto& turn : sample.turns)
      for (const auto& part : turn.parts) CHECK(part.media < static_cast<int64_t>(sample.media.size()));
  }
  CHECK(read > 100);
}
