// tekken.json and the layout of conversations that belongs to it.
#include <antiphon/text/tokenizer/tekken_file.h>

#include <functional>

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <nlohmann/json.hpp>

#include <antiphon/base/base64.h>
#include <antiphon/base/error.h>
#include <antiphon/text/prompt.h>
#include <antiphon/text/tokenizer/tokenizer.h>

using namespace antiphon;
using namespace antiphon::text;
using Catch::Matchers::ContainsSubstring;
using TekkenIds = std::vector<int32_t>;

namespace {

nlohmann::json tekken_document() {
  auto vocab = nlohmann::json::array(), special = nlohmann::json::array();
  const auto add = [&](const std::string& token) {
    vocab.push_back({{"rank", vocab.size()}, {"token_bytes", to_base64(token)}, {"token_str", nullptr}});
  };
  for (int byte = 0; byte < 256; ++byte) add(std::string(1, static_cast<char>(byte)));
  for (const auto* token : {"bc", "ab", "abc", "<s", "<s>", "beyond"}) add(token);
  for (const auto* token : {"<unk>", "<s>", "</s>", "[INST]", "[/INST]"})
    special.push_back({{"rank", special.size()}, {"token_str", token}, {"is_control", true}});
  return {{"config",
           {{"pattern", "[a-z]+|[^a-z]"},
            {"default_vocab_size", 269},
            {"default_num_special_tokens", 8},
            {"version", "v7"}}},
          {"vocab", vocab},
          {"special_tokens", special}};
}

Tokenizer tekken_of(const nlohmann::json& document) {
  return Tokenizer::from_files({.other = document.dump(), .other_name = kTekkenName});
}

std::string tekken_refused(const std::function<void(nlohmann::json&)>& change) {
  auto document = tekken_document();
  change(document);
  try {
    tekken_of(document);
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::config);
    return error.what();
  }
  return "it was taken";
}

}  // namespace

TEST_CASE("ids of tekken.json: control tokens, then ranks") {
  const auto tokenizer = tekken_of(tekken_document());
  CHECK(tokenizer.encode("abc") == TekkenIds{8 + 258});
  CHECK(tokenizer.encode("xbc") == TekkenIds{8 + 'x', 8 + 256});
  CHECK(tokenizer.encode("<s>[INST]abc") == TekkenIds{1, 3, 8 + 258});
  CHECK(tokenizer.encode("<SPECIAL_6>") == TekkenIds{6});
  // What spells a control token is text if it comes from data, and may be a token of its own.
  CHECK(tokenizer.encode("<s>", {.control = Control::never}) == TekkenIds{8 + '<', 8 + 's', 8 + '>'});
  auto words = tekken_document();
  words["config"]["pattern"] = "[^ ]+| ";
  const auto joined = tekken_of(words);
  CHECK(joined.encode("<s>", {.control = Control::never}) == TekkenIds{8 + 260});
  CHECK(joined.decode(TekkenIds{8 + 260}) == "<s>");
  CHECK(joined.encode("<s>") == TekkenIds{1});
  CHECK(tokenizer.vocab_size() == 269);  // the rank beyond is left out
  CHECK(tokenizer.bos_id() == 1);
  CHECK(tokenizer.eos_ids() == TekkenIds{2});
  CHECK_FALSE(tokenizer.pad_id().has_value());
  CHECK(tokenizer.decode(TekkenIds{1, 3, 8 + 258, 2}) == "abc");
  CHECK_THAT(tokenizer.summary(), ContainsSubstring("BPE over bytes, 269 tokens, from tekken.json (v7)"));
}

TEST_CASE("up to v7 tekken.json need not list its control tokens") {
  auto document = tekken_document();
  document.erase("special_tokens");
  document["config"]["default_num_special_tokens"] = 30;
  const auto tokenizer = tekken_of(document);
  CHECK(tokenizer.id_of("[TOOL_CONTENT]") == 19);
  CHECK(tokenizer.id_of("<SPECIAL_20>") == 20);
  CHECK(tokenizer.pad_id() == 11);
  CHECK_THAT(tekken_refused([](auto& d) { d.erase("special_tokens"), d["config"]["version"] = "v11"; }),
             ContainsSubstring("special_tokens"));
}

TEST_CASE("a tekken.json that is damaged is refused") {
  const auto set = [](const char* key, const nlohmann::json& value) {
    return tekken_refused([&](auto& d) { d["config"][key] = value; });
  };
  CHECK_THAT(set("default_vocab_size", 271), ContainsSubstring("vocab has 262 entries, expected 263"));
  CHECK_THAT(set("default_vocab_size", 1e18), ContainsSubstring("config.default_vocab_size"));
  CHECK_THAT(set("default_vocab_size", 8), ContainsSubstring("all tokens are 8"));
  CHECK_THAT(set("default_num_special_tokens", 0), ContainsSubstring("is 0, expected 1 to 16384"));
  CHECK_THAT(set("default_num_special_tokens", 1 << 20), ContainsSubstring("expected 1 to 16384"));
  CHECK_THAT(set("default_num_special_tokens", 4), ContainsSubstring("special_tokens has 5 entries"));
  CHECK_THAT(set("pattern", "(["), ContainsSubstring("not closed"));
  CHECK_THAT(set("pattern", 7), ContainsSubstring("pattern"));
  CHECK_THAT(tekken_refused([](auto& d) { d["config"].erase("version"); }), ContainsSubstring("version"));
  CHECK_THAT(tekken_refused([](auto& d) { d.erase("config"); }), ContainsSubstring("config"));
  CHECK_THAT(tekken_refused([](auto& d) { d["vocab"] = 3; }), ContainsSubstring("vocab"));
  CHECK_THAT(tekken_refused([](auto& d) { d["vocab"][9] = 3; }), ContainsSubstring("vocab[9]"));
  CHECK_THAT(tekken_refused([](auto& d) { d["vocab"][9]["rank"] = 3; }), ContainsSubstring("vocab[9].rank is 3"));
  CHECK_THAT(tekken_refused([](auto& d) { d["vocab"][9]["token_bytes"] = "A*"; }), ContainsSubstring("base64"));
  CHECK_THAT(tekken_refused([](auto& d) { d["vocab"][9]["token_bytes"] = ""; }), ContainsSubstring("base64"));
  CHECK_THAT(tekken_refused([](auto& d) { d["vocab"][9] = d["vocab"][8], d["vocab"][9]["rank"] = 9; }),
             ContainsSubstring("there twice"));
  CHECK_THAT(tekken_refused([](auto& d) { d["special_tokens"][1]["rank"] = 0; }), ContainsSubstring("is 0, expected"));
  CHECK_THAT(tekken_refused([](auto& d) { d["special_tokens"][1]["rank"] = -1; }), ContainsSubstring("is -1"));
  CHECK_THAT(tekken_refused([](auto& d) { d["special_tokens"][1]["token_str"] = "<unk>"; }),
             ContainsSubstring("\"<unk>\" is there twice"));
  CHECK_THAT(tekken_refused([](auto& d) { d["special_tokens"][1]["token_str"] = ""; }),
             ContainsSubstring("special_tokens"));
  const auto whole = tekken_document().dump();
  for (size_t length = 0; length < whole.size(); length += 997)
    CHECK_THROWS_AS(Tokenizer::from_files({.other = whole.substr(0, length), .other_name = kTekkenName}), Error);
}
