#include "yaml.h"

#include <antiphon/base/error.h>
#include <antiphon/weights/test_folder.h>

#include <catch2/catch_test_macros.hpp>

using namespace antiphon;
using nlohmann::json;

namespace {

json parsed(const std::string& text) {
  weights::TestFolder folder;
  folder.write("a.yaml", text);
  return webdataset::parse_yaml(folder / "a.yaml");
}

std::string refused(const std::string& text) {
  try {
    parsed(text);
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::data);
    return error.message();
  }
  return {};
}

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

TEST_CASE("yaml: values, maps in lists") {
  CHECK(parsed("a: 1\nb: true\nc: null\nd: 1.5\ne: a b\nf: 'x: y'\ng: http://x\nh: {}\n") ==
        json{{"a", 1},
             {"b", true},
             {"c", nullptr},
             {"d", 1.5},
             {"e", "a b"},
             {"f", "x: y"},
             {"g", "http://x"},
             {"h", json::object()}});
  CHECK(parsed("- a: 1\n  b: 2\n- c\n-\n  - d\n") == json{{{"a", 1}, {"b", 2}}, "c", {"d"}});
  CHECK(parsed("") == json::object());
}

TEST_CASE("yaml: what is beyond it is refused with its line") {
  for (const auto* text : {"a: 1\nb", "a: 1\n  b: 2\n", "a: &x 1\n", "a: |\n  text\n", "a: *x\n", "a: 1\na: 2\n",
                           "a: !tag 1\n", "a:\n    b: 1\n  c: 2\n", "a: \"x\n"}) {
    INFO(text);
    CHECK(refused(text).find("is not understood") != std::string::npos);
  }
  std::string deep;
  for (int i = 0; i < 200; ++i) deep += std::string(static_cast<size_t>(i), ' ') + "a:\n";
  CHECK_FALSE(refused(deep + std::string(200, ' ') + "b: 1\n").empty());
  CHECK_FALSE(refused("a: \xff\n").empty());
  CHECK_FALSE(refused("a: " + std::string(100'000, '[') + std::string(100'000, ']') + "\n").empty());
}
