#include <antiphon/component/record/yaml.h>

#include <catch2/catch_test_macros.hpp>
#include <nlohmann/json.hpp>

using namespace antiphon;
using nlohmann::json;

namespace {

json parsed(const std::string& text) { return records::parse_yaml(text, "a.yaml", ErrorKind::data); }

std::string refused(const std::string& text) {
  try {
    parsed(text);
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::data);
    return error.message();
  }
  return {};
}

bool says(const std::string& text, const std::string& words) { return text.find(words) != std::string::npos; }

}  // namespace

TEST_CASE("yaml: what Energon writes") {
  CHECK(
      parsed("__module__: megatron.energon\n__class__: VQASample\nfield_map:\n  image: jpg\n  context: json[0][q]\n") ==
      json{{"__module__", "megatron.energon"},
           {"__class__", "VQASample"},
           {"field_map", {{"image", "jpg"}, {"context", "json[0][q]"}}}});
  const json split{{"split_parts", {{"train", {"a_{0..5}.tar", "b.tar"}}, {"val", json::array()}, {"test", nullptr}}},
                   {"exclude", json::array({"c.tar"})}};
  CHECK(parsed("# made by a program\nexclude:\n- c.tar\nsplit_parts:\n  train:\n  - a_{0..5}.tar  # the most\n  - "
               "'b.tar'\n  val: []\n  test:\n") == split);
  CHECK(parsed("exclude:\n  - c.tar\nsplit_parts:\n    train: [\"a_{0..5}.tar\", b.tar]\n    val: []\n    test:\n") ==
        split);
}

TEST_CASE("yaml: what OmegaConf writes of a NeMo model") {
  const json expected{{"encoder", {{"d_model", 512}, {"dropout", 1e-5}, {"xscaling", true}, {"feat_out", -1}}},
                      {"labels", {"<unk>", "▁t", "'", "1"}},
                      {"ranges", {{-1, -1}, {70, 13}}},
                      {"text", "one line and another"}};
  CHECK(
      parsed("encoder:\n  d_model: 512\n  dropout: 1.0e-05\n  xscaling: true\n  feat_out: -1\nlabels:\n- <unk>\n- "
             "\"\\u2581t\"\n- ''''\n- '1'\nranges:\n- - -1\n  - -1\n- - 70\n  - 13\ntext: one line\n  and another\n") ==
      expected);
}

TEST_CASE("yaml: values, maps in lists") {
  CHECK(
      parsed(
          "a: 1\nb: true\nc: null\nd: 1.5\ne: a b\nf: 'x: y'\ng: http://x\nh: {}\ni: '5'\nj: yes\nk: 1.2.3\nl: e\n") ==
      json{{"a", 1},
           {"b", true},
           {"c", nullptr},
           {"d", 1.5},
           {"e", "a b"},
           {"f", "x: y"},
           {"g", "http://x"},
           {"h", json::object()},
           {"i", "5"},
           {"j", "yes"},
           {"k", "1.2.3"},
           {"l", "e"}});
  CHECK(parsed("- a: 1\n  b: 2\n- c\n-\n  - d\n") == json{{{"a", 1}, {"b", 2}}, "c", {"d"}});
  CHECK(parsed("a: |\n  text\nb: &x 1\nc: \"\\u00e4\"\n") == json{{"a", "text\n"}, {"b", 1}, {"c", "ä"}});
  CHECK(parsed("") == json::object());
}

TEST_CASE("yaml: what cannot be read is refused with its line") {
  for (const auto* text : {"a: 1\nb", "a: 1\n  b: 2\n", "a: *x\n", "a:\n    b: 1\n  c: 2\n", "a: \"x\n", "a: [1\n"}) {
    INFO(text);
    CHECK(says(refused(text), "a.yaml:"));
  }
  CHECK(says(refused("a: 1\na: 2\n"), "a.yaml:2: the key 'a' stands twice"));
  CHECK(says(refused("a: !tag 1\n"), "a.yaml:1: the tag '!tag'"));
  CHECK(says(refused("a: 1\n---\nb: 2\n"), "a second document"));
  CHECK(says(refused("[1]: 2\n"), "a key that is not text"));
  CHECK(says(refused("a: \xff\n"), "not UTF-8"));
  std::string deep;
  for (int i = 0; i < 200; ++i) deep += std::string(static_cast<size_t>(i), ' ') + "a:\n";
  CHECK(says(refused(deep + std::string(200, ' ') + "b: 1\n"), "more than 64 levels"));
  CHECK_FALSE(refused("a: " + std::string(100'000, '[') + std::string(100'000, ']') + "\n").empty());
  CHECK(says(refused("a: &x [1]\nb: *x\n"), "a.yaml:2: an alias"));  // which could stand for any amount
  std::string many = "a: [";
  for (int i = 0; i < 1'000'000; ++i) many += "1,";
  CHECK(says(refused(many + "]\n"), "more than 1000000 values"));
}
