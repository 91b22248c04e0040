#include <antiphon/base/json.h>

#include <fmt/format.h>
#include <catch2/catch_test_macros.hpp>
#include <nlohmann/json.hpp>

using namespace antiphon;
using namespace std::string_literals;

namespace {

std::string problem_of(std::string_view text, bool unique_keys = false) {
  JsonProblem problem;
  const auto value = parse_json(text, problem, unique_keys);
  CHECK(value.is_discarded() == !problem.problem.empty());
  return problem.problem;
}

std::string nested(int levels, const std::string& open = "[", const std::string& close = "]") {
  std::string text;
  for (int i = 0; i < levels; ++i) text += open;
  text += "1";
  for (int i = 0; i < levels; ++i) text += close;
  return text;
}

}  // namespace

TEST_CASE("json: 64 levels are read, 65 and eight million are not") {
  CHECK(problem_of(nested(64)).empty());
  CHECK(problem_of(nested(64, "{\"a\":", "}")).empty());
  CHECK(problem_of(nested(65)) == "nested more than 64 levels deep");
  CHECK(problem_of(nested(65, "{\"a\":", "}"), true) == "nested more than 64 levels deep");
  CHECK(problem_of(nested(8'000'000)) == "nested more than 64 levels deep");
  CHECK(problem_of(std::string(100000, '[')) == "nested more than 64 levels deep");
}

TEST_CASE("json: brackets inside strings are not levels") {
  const auto brackets = std::string(1000, '[');
  CHECK(problem_of("[\"" + brackets + "\"]").empty());
  CHECK(problem_of("[\"\\\"" + brackets + "\\\\\"]").empty());
  CHECK(problem_of("[\"\\\\\", " + nested(64) + "]") == "nested more than 64 levels deep");
}

TEST_CASE("json: what is not JSON is told with its place") {
  for (const auto& text : {""s, "{"s, "{} {}"s, "{'a': 1}"s, "[1,]"s, "\"\\ud800\""s, "\"\xff\""s, "]"s})
    CHECK(problem_of(text) == "not valid JSON");
  for (const auto& word : {"NaN"s, "Infinity"s, "-Infinity"s})
    for (const auto& text : {word, "{\"a\": " + word + "}", "[1, " + word + ", 2]"})
      CHECK(problem_of(text).starts_with("not valid JSON: " + word + " is not a number there"));
  CHECK(problem_of("{\"NaN\": 1, }") == "not valid JSON");
  CHECK(problem_of("[1e999]") == "not valid JSON: a number is out of range");
  CHECK(problem_of("{}\0x"s) == "not valid JSON: it holds a NUL byte");
  try {
    parse_json("{\n  \"a\": ?}", {"some/file.json", ErrorKind::weights, "mend it"});
    FAIL("it was read");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::weights);
    CHECK(error.message() == "some/file.json:2:8: the file is not valid JSON");
    CHECK(error.fix() == "mend it");
  }
}

TEST_CASE("json: objects whose order is kept have a bound, since each key is searched for in all before it") {
  const auto object = [](int keys, const std::string& before) {
    std::string text = "{";
    for (int i = 0; i < keys; ++i) text += fmt::format("{}\"{}{}\": [{{\"b:\": 1}}]", i ? ", " : "", before, i);
    return text + "}";
  };
  const auto problem = [](const std::string& text) {
    JsonProblem found;
    const bool read = !parse_ordered_json(text, found).is_discarded();
    CHECK(read == found.problem.empty());
    return found.problem;
  };
  CHECK(problem(object(14'000, "a")).empty());
  CHECK(problem("[" + object(900, "a") + ", " + object(900, "b") + "]").empty());
  CHECK(problem("{\"x\": {\"y\": " + object(200'000, "k") + "}}") == "of objects with too many keys");
  std::string many = "[";
  for (int i = 0; i < 300; ++i) many += (i ? ", " : "") + object(1000, "a");
  CHECK(problem(many + "]") == "of objects with too many keys");
  CHECK(problem("{\"text\": \"" + std::string(5000, ':') + "\"}").empty());
  CHECK(parse_json(object(5000, "a")).size() == 5000);
}

TEST_CASE("json: keys that stand twice") {
  const auto text = R"({"a": {"b": 1, "c": [{"d": 1}, {"d": 2, "d": 3}], "b": 2}, "x": 1})";
  CHECK(problem_of(text).empty());
  CHECK(parse_json(text)["a"]["b"] == 2);
  CHECK(problem_of(text, true) == "ambiguous: the key 'a.c.d' stands twice");
  CHECK(problem_of(R"({"a": 1, "b": {"a": 2}, "c": [{"a": 3}, {"a": 4}]})", true).empty());
}
