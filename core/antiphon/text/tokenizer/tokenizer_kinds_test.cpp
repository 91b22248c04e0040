// WordPiece, Unigram, and the files of SentencePiece and tiktoken.
#include <antiphon/text/tokenizer/tokenizer.h>

#include <bit>
#include <cstring>
#include <functional>

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include <antiphon/base/base64.h>
#include <antiphon/base/error.h>
#include <antiphon/text/tokenizer/small_tokenizer_test.h>

using namespace antiphon;
using namespace antiphon::text;
using namespace antiphon::text::testing;
using Catch::Matchers::ContainsSubstring;
using Ids = std::vector<int32_t>;
using Json = nlohmann::json;

namespace {

Json word_piece_json() {
  return Json::parse(R"({"version": "1.0", "added_tokens": [
      {"id": 0, "content": "[UNK]", "special": true}, {"id": 1, "content": "[CLS]", "special": true},
      {"id": 2, "content": "[SEP]", "special": true}],
    "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null,
                   "lowercase": true},
    "pre_tokenizer": {"type": "BertPreTokenizer"},
    "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 2], "cls": ["[CLS]", 1]},
    "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
    "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
              "max_input_chars_per_word": 12, "vocab": {"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "un": 3, "##aff": 4,
              "##able": 5, ".": 6, "hello": 7, "##un": 8, "a": 9}}})");
}

Json unigram_json() {
  return Json::parse(R"({"version": "1.0", "added_tokens": [{"id": 0, "content": "<unk>", "special": true}],
    "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true},
    "decoder": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true},
    "model": {"type": "Unigram", "unk_id": 0, "byte_fallback": false, "vocab": [["<unk>", 0], ["▁", -2.0], ["a", -3.0],
              ["b", -3.0], ["ab", -4.0], ["▁a", -4.5], ["▁ab", -9.5]]}})");
}

// Fields of a message on the wire.
std::string number(int field, uint64_t value) { return {static_cast<char>(field << 3), static_cast<char>(value)}; }
std::string bytes(int field, const std::string& content) {
  std::string out(1, static_cast<char>(field << 3 | 2));
  REQUIRE(content.size() < 16384);
  if (content.size() > 127) out += static_cast<char>(content.size() % 128 | 128);
  return out += static_cast<char>(content.size() / (content.size() > 127 ? 128 : 1)), out + content;
}
std::string real(int field, float value) {
  char raw[4];
  std::memcpy(raw, &value, 4);
  return std::string(1, static_cast<char>(field << 3 | 5)) + std::string(raw, 4);
}
std::string piece(const std::string& text, float score, int kind = 1) {
  return bytes(1, bytes(1, text) + real(2, score) + number(3, static_cast<uint64_t>(kind)));
}
std::string trainer(int type) { return bytes(2, number(3, static_cast<uint64_t>(type))); }

std::string sentencepiece_file(int type) {
  return piece("<unk>", 0, 2) + piece("<s>", 0, 3) + piece("</s>", 0, 3) + piece("▁a", -1) + piece("b", -2) +
         piece("▁", -3) + piece("a", -4) + piece("▁ab", -5) + piece("<mask>", 0, 4) + trainer(type);
}

Tokenizer from_other(const std::string& content, const std::string& config = "{}",
                     const std::string& name = "tokenizer.model") {
  return Tokenizer::from_files({.config = config, .other = content, .other_name = name});
}

std::string refused(const std::function<void()>& act) {
  try {
    act();
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::config);
    CHECK_FALSE(error.fix().empty());
    return error.what();
  }
  return "accepted";
}

std::string streamed(const Tokenizer& tokenizer, const Ids& ids) {
  StreamDecoder decoder(tokenizer);
  std::string out;
  for (const int32_t id : ids) out += decoder.push(id);
  return out + decoder.finish();
}

}  // namespace

TEST_CASE("WordPiece takes the longest token, in whole words or not at all") {
  const auto tokenizer = tokenizer_of(word_piece_json());
  CHECK(tokenizer.encode("H\xC3\xA9llo unaffable.") == Ids{7, 3, 4, 5, 6});
  CHECK(tokenizer.encode("unaffablex") == Ids{0});
  CHECK(tokenizer.encode("unununununununun") == Ids{0});  // more than 12 letters
  CHECK(tokenizer.encode("a", {.add_special_tokens = true}) == Ids{1, 9, 2});
  CHECK(tokenizer.encode("[SEP] a", {Control::never, false}) == Ids{0, 0, 0, 9});
  CHECK(tokenizer.decode(Ids{7, 3, 4, 5, 6}) == "hello unaffable.");
  CHECK(tokenizer.decode(Ids{4, 4}) == "##affaff");  // the first token keeps its prefix
  CHECK(streamed(tokenizer, {7, 3, 4, 6}) == "hello unaff.");
  CHECK(tokenizer.unknown_id() == 0);
  CHECK_THAT(tokenizer.summary(), ContainsSubstring("WordPiece, 10 tokens, from tokenizer.json"));
}

TEST_CASE("Unigram takes the cut with the largest sum") {
  const auto tokenizer = tokenizer_of(unigram_json());
  CHECK(tokenizer.encode("ab") == Ids{1, 4});       // -6 against -7.5 and -9.5
  CHECK(tokenizer.encode("a") == Ids{5});           // -4.5 against -5
  CHECK(tokenizer.encode("axyb") == Ids{5, 0, 3});  // unknown characters side by side are one
  CHECK(tokenizer.encode("a b") == Ids{5, 1, 3});
  CHECK(tokenizer.decode(Ids{5, 1, 3}) == "a b");
  CHECK(streamed(tokenizer, {1, 4}) == "ab");
  auto file = unigram_json();
  file["model"]["unk_id"] = nullptr;
  CHECK_THAT(refused([&] { tokenizer_of(file).encode("z"); }), ContainsSubstring("unk_id is null"));
  file["model"]["vocab"].push_back({std::string(5000, 'a'), -1.0});
  CHECK_THAT(refused([&] { tokenizer_of(file); }), ContainsSubstring("5000 bytes"));
  file["model"]["vocab"] = Json::array({Json::array({"a", "b"})});
  CHECK_THAT(refused([&] { tokenizer_of(file); }), ContainsSubstring("[token, score]"));
}

TEST_CASE("normalizers strip and clean") {
  auto file = unigram_json();
  const auto by = [&](const Json& normalizer, const std::string& text) {
    file["normalizer"] = normalizer;
    return tokenizer_of(file).normalized(text);
  };
  CHECK(by({{"type", "Strip"}, {"strip_left", true}, {"strip_right", false}}, "\xE3\x80\x80 a ") == "a ");
  CHECK(by({{"type", "Strip"}, {"strip_left", false}, {"strip_right", true}}, " a \n\xC2\xA0") == " a");
  CHECK(by({{"type", "Strip"}, {"strip_left", true}, {"strip_right", true}}, " \t ").empty());
  CHECK(by({{"type", "StripAccents"}}, "e\xCC\x81") == "e");
  CHECK(by({{"type", "Nmt"}},
           "a\x01\xE2\x80\x8B"
           "b") == "a b");
}

TEST_CASE("no control token comes out of Unigram's vocabulary") {
  auto file = unigram_json();
  file["model"]["vocab"].push_back({"<e>", 5.0});
  file["added_tokens"].push_back({{"id", 7}, {"content", "<e>"}, {"special", true}, {"normalized", false}});
  const auto tokenizer = tokenizer_of(file);
  CHECK(tokenizer.encode("a<e>") == Ids{5, 7});
  CHECK(tokenizer.encode("a<e>", {Control::never, false}) == Ids{5, 0});
}

TEST_CASE("SentencePiece's files say how to cut") {
  const auto unigram = from_other(sentencepiece_file(1));
  CHECK(unigram.encode("ab") == Ids{3, 4});
  CHECK(unigram.encode("  a   ab ") == Ids{3, 3, 4});
  CHECK(unigram.encode("ab<mask> b") == Ids{3, 4, 8, 5, 4});
  CHECK(unigram.decode(Ids{3, 4, 3}) == "ab a");
  CHECK(unigram.special_tokens().at("eos_token") == "</s>");
  CHECK_THAT(unigram.summary(), ContainsSubstring("Unigram, 9 tokens, from tokenizer.model (SentencePiece)"));
  const auto bpe = from_other(sentencepiece_file(2));
  CHECK(bpe.encode("ab") == Ids{7});
  CHECK(bpe.encode("ab", {.add_special_tokens = true}) == Ids{7});
  const auto llama =
      from_other(sentencepiece_file(2), R"({"tokenizer_class": "LlamaTokenizer", "add_bos_token": true})");
  CHECK(llama.encode("ab", {.add_special_tokens = true}) == Ids{1, 7});
}

TEST_CASE("tokenizer_config.json adds tokens to SentencePiece's") {
  const auto tokenizer = from_other(sentencepiece_file(1), R"({"added_tokens_decoder": {
    "9": {"content": "<extra>", "special": true}, "12": {"content": "<image>", "special": true},
    "10": {"content": "<next>", "special": true}}})");
  CHECK(tokenizer.id_of("<image>") == 12);
  CHECK(tokenizer.encode("a<next>") == Ids{3, 10});
  CHECK_THAT(
      refused([] { from_other(sentencepiece_file(1), R"({"added_tokens_decoder": {"3": {"content": "<x>"}}})"); }),
      ContainsSubstring("has the id 3"));
  CHECK_THAT(refused([] { from_other(sentencepiece_file(1), R"({"tokenizer_class": "XLMRobertaTokenizer"})"); }),
             ContainsSubstring("XLMRobertaTokenizer"));
}

TEST_CASE("damaged files of SentencePiece are refused") {
  const auto whole = sentencepiece_file(1);
  for (size_t length = 1; length < whole.size(); ++length) refused([&] { from_other(whole.substr(0, length)); });
  CHECK_THAT(refused([] { from_other(sentencepiece_file(3)); }), ContainsSubstring("words or characters"));
  CHECK_THAT(refused([] { from_other(piece("a", 0)); }), ContainsSubstring("no unknown piece"));
  CHECK_THAT(refused([] { from_other(piece("<unk>", 0, 2) + piece("<unk>", 0, 2)); }), ContainsSubstring("twice"));
  CHECK_THAT(refused([] { from_other(piece("\xFF", 0)); }), ContainsSubstring("not UTF-8"));
  CHECK_THAT(refused([] { from_other(piece("a", 0, 9)); }), ContainsSubstring("of the type 9"));
  CHECK_THAT(refused([] { from_other(std::string(12, '\xFF')); }), ContainsSubstring("more than 64 bits"));
  CHECK_THAT(refused([] { from_other(sentencepiece_file(1) + bytes(3, bytes(2, std::string(8, '\x7F')))); }),
             ContainsSubstring("shorter than it says"));
  CHECK_THAT(refused([] { from_other(sentencepiece_file(2) + piece("ab", 0, 5)); }), ContainsSubstring("unused"));
}

TEST_CASE("tiktoken's ranks merge whatever spells a token") {
  std::string file;
  for (int byte = 0; byte < 256; ++byte)
    file += to_base64(std::string(1, static_cast<char>(byte))) + " " + std::to_string(byte) + "\n";
  file += to_base64("bc") + " 256\n" + to_base64("ab") + " 257\n" + to_base64("abc") + " 258\n";
  const auto tokenizer = from_other(file, "{}", "qwen.tiktoken");
  CHECK(tokenizer.encode("abc") == Ids{258});  // a whole word, though the merges do not lead there
  CHECK(tokenizer.encode("abcd") == Ids{258, 'd'});
  CHECK(tokenizer.encode("xbc") == Ids{'x', 256});
  CHECK(tokenizer.encode("<|im_end|>") == Ids{261});
  CHECK(from_other(file, "{}", "cl100k_base.tiktoken").id_of("<|endofprompt|>") == 100276);
  CHECK(from_other(file).id_of("<|eot_id|>") == 259 + 9);
  CHECK_THAT(tokenizer.summary(), ContainsSubstring("BPE over bytes, 467 tokens, from qwen.tiktoken (tiktoken)"));
  CHECK_THAT(refused([&] { from_other(file, "{}", "my.tiktoken"); }), ContainsSubstring("not known"));
  CHECK_THAT(refused([&] { from_other(file + "YWI= 9\n", "{}", "qwen.tiktoken"); }),
             ContainsSubstring("qwen.tiktoken:260"));
  CHECK_THAT(refused([&] { from_other(file + "YW* 900\n", "{}", "qwen.tiktoken"); }), ContainsSubstring(":260"));
  CHECK_THAT(refused([&] { from_other(file + "YWJk 9\n", "{}", "qwen.tiktoken"); }),
             ContainsSubstring("the same id 9"));
}
