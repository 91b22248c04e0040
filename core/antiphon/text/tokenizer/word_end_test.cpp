// BPE whose words end with a suffix, as CLIP's do.
#include <fstream>

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include <antiphon/base/error.h>
#include <antiphon/text/tokenizer/gguf_export.h>
#include <antiphon/text/tokenizer/small_tokenizer_test.h>

using namespace antiphon;
using namespace antiphon::text;
using namespace antiphon::text::testing;
using Catch::Matchers::ContainsSubstring;
using Ids = std::vector<int32_t>;
using Json = nlohmann::json;

namespace {

// Ids from 300 on: "o</w>", "b</w>", "lo</w>", "llo</w>", and "ll" for the middle of a word.
Json word_end_json() {
  auto file = tokenizer_json({}, {});
  auto& model = file["model"];
  model["end_of_word_suffix"] = "</w>";
  int next = 300;
  for (const auto* token : {"o</w>", "b</w>", "lo</w>", "llo</w>", "ll"}) model["vocab"][token] = next++;
  model["merges"] = Json::parse(R"([["l", "o</w>"], ["l", "l"], ["l", "lo</w>"]])");
  return file;
}

}  // namespace

TEST_CASE("the last letter of each word has the suffix before any merge") {
  const auto tokenizer = tokenizer_of(word_end_json());
  CHECK(tokenizer.encode("hello") == Ids{'h', 'e', 303});
  CHECK(tokenizer.encode("hellob") == Ids{'h', 'e', 304, 'o', 301});  // "o" amid a word has none
  CHECK(tokenizer.encode("o b") == Ids{300, 32, 301});                // GPT-2's pattern: "o", " b"
  CHECK(tokenizer.encode("o") == Ids{300});
  CHECK(tokenizer.decode(Ids{'h', 'e', 303}) == "hello</w>");
}

TEST_CASE("a last letter without a token is unknown, however known it is amid a word") {
  auto file = word_end_json();
  CHECK(tokenizer_of(file).encode("ol") == Ids{'o'});
  file["model"]["unk_token"] = "!";
  CHECK(tokenizer_of(file).encode("ol") == Ids{'o', '!'});
}

TEST_CASE("over characters a last letter has the suffix, too") {
  auto file = word_end_json();
  file["pre_tokenizer"] = {{"type", "Metaspace"}, {"replacement", "_"}, {"prepend_scheme", "never"}, {"split", true}};
  file["decoder"] = file["pre_tokenizer"];
  file["model"]["vocab"] = {{"l", 0}, {"é</w>", 1}, {"lé</w>", 2}, {"é", 3}};
  file["model"]["merges"] = Json::parse(R"([["l", "é</w>"]])");
  CHECK(tokenizer_of(file).encode("lé") == Ids{2});
  CHECK(tokenizer_of(file).encode("élé") == Ids{3, 2});
}

TEST_CASE("a tokenizer whose words end with a suffix has no GGUF form") {
  const auto folder = std::filesystem::path(ANTIPHON_BINARY_DIR) / "word_end_test";
  std::error_code failed;
  std::filesystem::create_directories(folder, failed);
  std::ofstream(folder / "tokenizer.json") << word_end_json().dump();
  CHECK_THROWS_WITH(gguf_vocabulary(folder, 305), ContainsSubstring("</w>"));
}
