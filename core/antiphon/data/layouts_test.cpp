// Layouts that other programs write, as samples.
#include <antiphon/base/error.h>
#include <antiphon/data/test_records.h>

#include <catch2/catch_test_macros.hpp>

using namespace antiphon;
using namespace antiphon::data;
using namespace antiphon::data::testing;

namespace {

// "user: text [/d/a.png]|assistant*: text {calls}|…"; * stands where nothing is learnt.
std::string told(const Sample& sample) {
  std::string out;
  for (const auto& turn : sample.turns) {
    out += (out.empty() ? "" : "|") + turn.role + (turn.trained ? ": " : "*: ");
    for (const auto& part : turn.parts)
      out += part.media < 0 ? part.text : "[" + sample.media.at(static_cast<size_t>(part.media)).bytes.name() + "]";
    out += turn.tool_calls + turn.more;
  }
  return out;
}

std::string told(const std::string& record) { return told(parse_sample(record, "/d")); }

std::string talk(const std::string& turns, const std::string& more = "") {
  return R"({"conversations": [)" + turns + "]" + more + "}";
}

std::string said(const std::string& from, const std::string& value, const std::string& more = "") {
  return R"({"from": ")" + from + R"(", "value": ")" + value + "\"" + more + "}";
}

std::string call(const std::string& name, const std::string& arguments = "{}") {
  return R"({"type":"function","function":{"name":")" + name + R"(","arguments":)" + arguments + "}}";
}

}  // namespace

TEST_CASE("layouts: the names of speakers in conversations") {
  for (const auto* user : {"human", "user", "User"})
    for (const auto* assistant : {"gpt", "assistant", "Assistant", "chatgpt", "bing", "bard", "model"})
      CHECK(told(talk(said("system", "s") + "," + said(user, "q") + "," + said(assistant, "a"))) ==
            "system: s|user: q|assistant: a");
  for (const auto* tool : {"observation", "function_response", "tool"})
    CHECK(told(talk(said("human", "q") + "," + said(tool, "3"))) == "user: q|tool: 3");
  CHECK(says(refused_as(talk(said("Human ", "q"))), "role 'Human ' is unknown"));
}

TEST_CASE("layouts: calls of tools in conversations") {
  const auto one = said("function_call", R"({\"name\": \"f\", \"arguments\": {\"a\": 1}})");
  const auto two =
      said("function_call", R"([{\"name\": \"g\", \"arguments\": \"{}\"}, {\"name\": \"h\", \"arguments\": {}}])");
  const auto tools = R"(, "tools": "[{\"name\": \"f\"}]")";
  const auto record =
      talk(said("human", "q") + "," + one + "," + said("observation", "3") + "," + said("gpt", "a"), tools);
  CHECK(told(record) == "user: q|assistant: [" + call("f", R"({"a":1})") + "]|tool: 3|assistant: a");
  CHECK(parse_sample(record, "/d").tools == R"([{"name":"f"}])");
  CHECK(parse_sample(record, "/d").tags.empty());
  // What is said before a call, and calls that follow each other, are one answer.
  CHECK(told(talk(said("human", "q") + "," + said("gpt", "hm") + "," + one + "," + two)) ==
        "user: q|assistant: hm[" + call("f", R"({"a":1})") + "," + call("g") + "," + call("h") + "]");
  const auto labelled = said("function_call", R"({\"name\": \"f\", \"arguments\": {}})", R"(, "label": "quality:4")");
  CHECK(parse_sample(talk(said("gpt", "hm") + "," + labelled), "/d").turns.front().label == "quality:4");
  for (const auto* text :
       {"", "f()", "{}", "[]", "[1]", "3", R"({\"name\": \"f\"})", R"({\"name\": 1, \"arguments\": {}})",
        R"({\"name\": \"f\", \"arguments\": \"x\"})", R"({\"name\": \"f\", \"arguments\": [1]})"}) {
    INFO(text);
    CHECK_FALSE(refused_as(talk(said("function_call", text))).empty());
  }
  CHECK(says(refused_as(talk(said("human", "q"), R"(, "functions": [{"name": "f"}])")), "'functions' changes"));
}

TEST_CASE("layouts: calls of tools in messages, as ms-swift and as OpenAI had them first") {
  const auto swift = told(
      R"({"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "hm"},
          {"role": "tool_call", "content": "{\"name\": \"f\", \"arguments\": {}}"}, {"role": "tool_call", "content": "{\"name\": \"g\", \"arguments\": {}}"},
          {"role": "tool_response", "content": "1"}, {"role": "tool_response", "content": "2"}, {"role": "assistant", "content": "a"}]})");
  CHECK(swift == "user: q|assistant: hm[" + call("f") + "," + call("g") + "]|tool: 1|tool: 2|assistant: a");
  const auto first = told(
      R"({"messages": [{"role": "assistant", "content": null, "function_call": {"name": "f", "arguments": "{\"a\": 1}"}}, {"role": "function", "name": "f", "content": "1"}]})");
  CHECK(first == "assistant: [" + call("f", R"({"a":1})") + R"(]|tool: 1{"name":"f"})");
  CHECK(says(
      refused_as(
          R"({"messages": [{"role": "assistant", "content": "", "function_call": {"name": "f", "arguments": "{}"}, "tool_calls": [{}]}]})"),
      "both 'tool_calls' and 'function_call'"));
  CHECK(says(refused_as(R"({"messages": [{"role": "tool_call", "content": "f"}]})"), "the text of a call is not JSON"));
  // Two answers in a row stay two: only calls with a role of their own are joined.
  CHECK(told(R"({"messages": [{"role": "assistant", "content": "a"}, {"role": "assistant", "content": "b"}]})") ==
        "assistant: a|assistant: b");
}

TEST_CASE("layouts: answers that are not to be learnt") {
  CHECK(told(talk(said("human", "q") + "," + said("gpt", "a", R"(, "weight": 0)") + "," +
                  said("gpt", "b", R"(, "weight": 1)"))) == "user: q|assistant*: a|assistant: b");
  CHECK(
      told(
          R"({"messages": [{"role": "assistant", "content": "a", "loss": false}, {"role": "assistant", "content": "b", "loss": true, "weight": null}]})") ==
      "assistant*: a|assistant: b");
  for (const auto* value : {"0.5", "2", "-1", R"("no")", "[0]", "{}"}) {
    INFO(value);
    CHECK(says(refused_as(talk(said("gpt", "a", std::string(R"(, "weight": )") + value))), "expected 0 or 1"));
  }
  const auto calls = said("function_call", R"({\"name\": \"f\", \"arguments\": {}})");
  CHECK(says(refused_as(talk(said("gpt", "a", R"(, "loss": false)") + "," + calls)), "the calls that belong to it"));
}

TEST_CASE("layouts: NeMo's chats") {
  const auto chat = [](const std::string& label, const std::string& more) {
    return talk(said("User", "q", R"(, "label": null)") + "," + said("Assistant", "a", R"(, "label": )" + label), more);
  };
  const auto* both = R"(, "system": "s", "mask": "User", "type": "VALUE_TO_TEXT")";
  CHECK(told(chat("null", both)) == "system: s|user: q|assistant: a");
  CHECK(told(chat(R"("quality:4")", R"(, "mask": "User", "type": null)")) == "user: q|assistant: a");
  CHECK(told(chat("null", R"(, "mask": "car", "type": "chat")")) == "user: q|assistant: a");
  CHECK(says(refused_as(chat("null", R"(, "mask": "Assistant")")), "'mask' is \"Assistant\""));
  const auto labelled = parse_sample(chat(R"("quality:4")", both), "/d").turns;
  CHECK((labelled[2].label == "quality:4" && labelled[1].label.empty()));
  CHECK(parse_sample(chat(R"({"quality": 4})", ""), "/d").turns[1].label == R"({"quality":4})");
  const auto* why = "a turn has a 'label', which belongs to its text";
  for (const auto* label : {R"("quality:4")", R"({"quality": 4})"})
    CHECK(says(refused_as(chat(label, R"(, "mask": "User", "type": "TEXT_TO_VALUE")")), why));
  CHECK(
      says(refused_as(talk(said("User", "q", R"(, "label": "quality:4")") + "," + said("Assistant", "a"), both)), why));
}

TEST_CASE("layouts: Alpaca, and a query with its response") {
  CHECK(told(R"({"instruction": "Add.", "input": "2 3", "output": "5"})") == "user: Add.\n2 3|assistant: 5");
  CHECK(told(R"({"instruction": "Add 2 3.", "input": "", "output": "5"})") == "user: Add 2 3.|assistant: 5");
  CHECK(told(R"({"instruction": "", "input": "2 3", "output": "5", "system": ""})") == "user: 2 3|assistant: 5");
  CHECK(
      told(
          R"({"instruction": "b", "output": "c", "system": "s", "history": [["<image>a", "A"], ["<image>", "B"]], "images": ["1.png", "2.png"]})") ==
      "system: s|user: [/d/1.png]a|assistant: A|user: [/d/2.png]|assistant: B|user: b|assistant: c");
  CHECK(told(R"({"query": "What?", "response": "A <image>", "images": "1.png", "task": "x"})") ==
        "user: [/d/1.png]What?|assistant: A <image>");
  CHECK(told(R"({"input": "2 3", "output": "5", "system": "s"})") == "system: s|user: 2 3|assistant: 5");
  CHECK(told(R"({"input": "<image>What?", "output": "5", "history": [["a", "b"]], "images": ["1.png"]})") ==
        "user: a|assistant: b|user: [/d/1.png]What?|assistant: 5");
  CHECK(
      told(
          R"({"input": "x", "output": "y", "messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]})") ==
      "user: q|assistant: a");
  const auto sample = parse_sample(
      R"({"instruction": "a", "output": "b", "task": "x", "text": "all of it", "tools": [{"name": "f"}]})", "/d");
  CHECK(sample.tags == std::map<std::string, std::string>{{"task", "x"}, {"text", "all of it"}});
  CHECK(sample.tools == R"([{"name":"f"}])");
}

TEST_CASE("layouts: a prompt and its completion as messages") {
  const auto record = [](const std::string& more = "") {
    return R"({"prompt": [{"role": "user", "content": "<image>a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}],
               "completion": [{"role": "assistant", "content": "d"}], "images": ["1.png"])" +
           more + "}";
  };
  CHECK(told(record()) == "user: [/d/1.png]a|assistant*: b|user: c|assistant: d");
  CHECK(told(record(R"(, "system": "s")")) == "system: s|user: [/d/1.png]a|assistant*: b|user: c|assistant: d");
  CHECK(says(refused_as(record(R"(, "label": false)")), "is of no layout that is known"));
  CHECK(says(refused_as(R"({"prompt": [{"role": "user", "content": "a"}], "completion": ["b"]})"),
             "an element of 'completion' is not an object"));
}

TEST_CASE("layouts: what is wrong with Alpaca's records is told") {
  const auto with = [](const std::string& more) {
    return refused_as(R"({"instruction": "a", "output": "b", )" + more + "}");
  };
  CHECK(says(with(R"("input": 3)"), "'input'; expected a string"));
  CHECK(says(with(R"("history": "a")"), "'history' is not a list of pairs"));
  for (const auto* pair : {"[1]", R"([["a"]])", R"([["a", "b", "c"]])", R"([["a", 1]])", R"([{"user": "a"}])"}) {
    INFO(pair);
    CHECK(says(with(R"("history": )" + std::string(pair)), "not a pair of texts"));
  }
  CHECK(says(with(R"("images": ["a", "b"], "history": [["<image>", "c"]])"), "2 paths are named"));
  CHECK(says(with(R"("query": "a", "response": "b")"), "both texts 'instruction' and 'output', and 'query'"));
  CHECK(says(with(R"("messages": [{"role": "user", "content": "x"}])"), "both texts 'instruction' and 'output'"));
  CHECK(says(refused_as(R"({"instruction": "a", "output": 3})"), "of no layout that is known"));
  CHECK(says(refused_as(R"({"input": 3, "output": "a"})"), "of no layout that is known"));
  CHECK(says(refused_as(R"({"instruction": 3, "input": "a", "output": "a"})"), "of no layout that is known"));
  CHECK(says(refused_as("{}", "alpaca"),
             "no texts 'instruction' and 'output', 'query' and 'response', 'prompt' and 'completion', or 'input' and "
             "'output'"));
}

TEST_CASE("layouts: pictures and sounds with what is asked and said of them, as data sets on the hub have it") {
  const std::string seen = "user: [/d/a.png]q|assistant: a";
  CHECK(told(R"({"image": "a.png", "question": "q", "answer": "a"})") == seen);
  CHECK(told(R"({"image": "a.png", "question": "q", "answers": ["b", "a", "a"]})") == seen);
  CHECK(told(R"({"images": ["a.png"], "texts": [{"user": "q", "assistant": "a", "source": "s"}]})") == seen);
  CHECK(
      told(
          R"({"images": ["a.png", "b.png"], "texts": [{"user": "q", "assistant": "a"}, {"user": "r", "assistant": "b"}]})") ==
      "user: [/d/a.png][/d/b.png]q|assistant: a|user: r|assistant: b");
  CHECK(told(R"({"file_name": "a.png", "text": "a"})") == "user: [/d/a.png]|assistant: a");
  for (const auto* key : {"sentence", "transcription", "transcript"}) {
    CHECK(told(std::string(R"({"audio": "a.wav", ")") + key + R"(": "a"})") == "user: [/d/a.wav]|assistant: a");
    CHECK(told(std::string(R"({"file_name": "a.FLAC", ")") + key + R"(": "a"})") == "user: [/d/a.FLAC]|assistant: a");
  }
  CHECK(says(refused_as(R"({"file_name": "a.xyz", "text": "a"})"), "with the keys 'file_name', 'text'"));
  CHECK(says(refused_as(R"({"images": ["a.png"], "texts": [{"user": "q"}]})"), "is of no layout that is known"));
}

TEST_CASE("layouts: a prompt and its completion, a text alone, and parts with a path or a URL") {
  CHECK(told(R"({"prompt": "q", "completion": "a"})") == "user: q|assistant: a");
  CHECK(told(parse_sample(R"({"text": "once", "url": "u"})", "/d", "interleaved")) == "document: once");
  CHECK(says(refused_as(R"({"text": "once"})"), "or, if the format is named, a 'text' alone"));
  CHECK(says(refused_as(R"({"prompt": "q", "completion": "a", "label": false})"), "is of no layout that is known"));
  CHECK(told(R"({"input": "q", "output": "a", "prompt": "p"})") == "user: q|assistant: a");
  CHECK(told(R"({"image": "a.png", "caption": "a", "prompt": "p"})") == "user: [/d/a.png]|assistant: a");
  const std::string placed =
      R"({"text_list": ["s"], "image_info": [{"image_name": "a.png", "matched_text_index": 0}], "text": "x"})";
  CHECK(told(placed) == "document: [/d/a.png]s");
  CHECK(told(R"({"text": "all of it", "instruction": "q", "output": "a"})") == "user: q|assistant: a");
  for (const auto* key : {"path", "url", "image"})
    CHECK(told(std::string(R"({"messages": [{"role": "user", "content": [{"type": "image", ")") + key +
               R"(": "a.png"}, {"type": "text", "text": "q"}]}, {"role": "assistant", "content": "a"}]})") ==
          "user: [/d/a.png]q|assistant: a");
  CHECK(says(refused_as(R"({"a": 1, "b": 2})"), "the record, with the keys 'a', 'b', is of no layout that is known"));
  CHECK(says(refused_as(R"({"text": "x", "score": NaN})"), "NaN is not a number there"));
}
