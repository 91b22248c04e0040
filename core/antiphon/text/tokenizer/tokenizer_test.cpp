#include <antiphon/text/template/data_guard.h>
#include <antiphon/text/tokenizer/tokenizer.h>

#include <ctime>
#include <functional>
#include <thread>

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include <antiphon/base/error.h>
#include <antiphon/text/tokenizer/pattern.h>
#include <antiphon/text/tokenizer/small_tokenizer_test.h>

using namespace antiphon;
using namespace antiphon::text;
using namespace antiphon::text::testing;
using Catch::Matchers::ContainsSubstring;
using Ids = std::vector<int32_t>;
using Json = nlohmann::json;

namespace {
constexpr int32_t he = 256, hello = 259, space_w = 260, start = 262, stop = 263;
}

TEST_CASE("merges go by rank, words by GPT-2's pattern") {
  const auto tokenizer = chat_tokenizer();
  CHECK(tokenizer.encode("hello world") == Ids{hello, space_w, 'o', 'r', 'l', 'd'});
  CHECK(tokenizer.encode("hell") == Ids{258});
  CHECK(tokenizer.encode("he'll") == Ids{he, '\'', 257});
  CHECK(tokenizer.encode("").empty());
  CHECK(tokenizer.encode("\xC3\xA9") == Ids{0xC3, 0xA9});
  CHECK(tokenizer.vocab_size() == 264);
}

TEST_CASE("control tokens are recognised, or never") {
  const auto tokenizer = chat_tokenizer();
  CHECK(tokenizer.encode("a<|im_end|>b") == Ids{'a', stop, 'b'});
  const auto text = tokenizer.encode("a<|im_end|>", {Control::never, false});
  CHECK(text == Ids{'a', '<', '|', 'i', 'm', '_', 'e', 'n', 'd', '|', '>'});
  CHECK(tokenizer.encode("<\xEF\xB7\x90|im_end|>he\xEF\xB7\x90llo", {Control::guarded, false}).back() == hello);
  CHECK(tokenizer.encode("<\xEF\xB7\x90|im_end|>", {Control::guarded, false}).front() == '<');
}

TEST_CASE("no control token comes out of the vocabulary either") {
  // "<e>" is a merge, and an added token of the same id; whole words are looked up first.
  for (const bool ignore_merges : {false, true}) {
    auto file = tokenizer_json({{"<", "e"}, {"<e", ">"}}, {});
    file["added_tokens"] = Json::array({{{"id", 257}, {"content", "<e>"}, {"special", true}, {"normalized", false}}});
    file["model"]["ignore_merges"] = ignore_merges;
    file["pre_tokenizer"]["use_regex"] = false;
    const auto tokenizer = tokenizer_of(file);
    CHECK(tokenizer.encode("<e>") == Ids{257});
    CHECK(tokenizer.encode("<e>", {Control::never, false}) == Ids{256, '>'});
  }
}

TEST_CASE("plain characters that were added stay text") {
  auto file = tokenizer_json({}, {"    ", "!", "<x>"});
  file["added_tokens"][1]["id"] = '!';
  file["added_tokens"][2]["id"] = 257;
  const auto tokenizer = tokenizer_of(file);
  CHECK(tokenizer.encode("a    b!<x>", {Control::never, false}) == Ids{'a', 256, 'b', '!', '<', 'x', '>'});
  CHECK_FALSE(tokenizer.is_control(256));
  CHECK(tokenizer.is_control(257));
}

TEST_CASE("added tokens strip, and stand alone where they must") {
  auto file = tokenizer_json({}, {"<l>", "<r>", "cat", "<r>s"});
  file["added_tokens"][0]["lstrip"] = true;
  file["added_tokens"][1]["rstrip"] = true;
  file["added_tokens"][2]["single_word"] = true;
  const auto tokenizer = tokenizer_of(file);
  CHECK(tokenizer.encode("a \n<l> b") == Ids{'a', 256, ' ', 'b'});
  CHECK(tokenizer.encode("a <r>\t\xE3\x80\x80"
                         "b") == Ids{'a', ' ', 257, 'b'});
  CHECK(tokenizer.encode("cat cats") == Ids{258, ' ', 'c', 'a', 't', 's'});
  CHECK(tokenizer.encode("<r>s") == Ids{259});  // the longest
}

TEST_CASE("special tokens around a text") {
  auto file = chat_tokenizer_json();
  file["post_processor"] =
      Json::parse(R"({"type": "Sequence", "processors": [{"type": "ByteLevel"}, {"type": "TemplateProcessing",
    "single": [{"SpecialToken": {"id": "<|im_start|>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}], "pair": [],
    "special_tokens": {"<|im_start|>": {"id": "<|im_start|>", "ids": [262], "tokens": ["<|im_start|>"]}}}]})");
  CHECK(tokenizer_of(file).encode("he", {.add_special_tokens = true}) == Ids{start, he});
  CHECK(tokenizer_of(file).encode("he") == Ids{he});
}

TEST_CASE("decoding gives well-formed text, whole or token by token") {
  const auto tokenizer = chat_tokenizer();
  const std::string text = "hello \xF0\x9F\x8E\xB5 w\xC3\xA9";
  const auto ids = tokenizer.encode(text);
  CHECK(tokenizer.decode(ids) == text);
  StreamDecoder stream(tokenizer);
  std::string streamed;
  for (int32_t id : ids) {
    const auto piece = stream.push(id);
    CHECK(to_valid_utf8(piece) == piece);
    streamed += piece;
  }
  CHECK(streamed + stream.finish() == text);
  CHECK(tokenizer.decode(Ids{start, 'a', stop}) == "a");
  CHECK(tokenizer.decode(Ids{start, 'a', 9999, -5}, false) == "<|im_start|>a");
  CHECK(tokenizer.decode(Ids{0xF0, 0x9F, 'a', 0xC3}) ==
        "\xEF\xBF\xBD"
        "a\xEF\xBF\xBD");
  CHECK(stream.push(0xF0).empty());
  CHECK(stream.push('a') ==
        "\xEF\xBF\xBD"
        "a");
  CHECK(stream.push(0xC3).empty());
  CHECK(stream.finish() == "\xEF\xBF\xBD");
}

TEST_CASE("special tokens by name, and all that end a turn") {
  const auto tokenizer =
      tokenizer_of(chat_tokenizer_json(),
                   R"({"bos_token": {"content": "<|im_start|>"}, "eos_token": "<|im_end|>", "pad_token": null})",
                   R"({"eos_token_id": [263, 262, 99999]})");
  CHECK(tokenizer.bos_id() == start);
  CHECK(tokenizer.eos_ids() == Ids{stop, start});
  CHECK_FALSE(tokenizer.pad_id().has_value());
  CHECK(tokenizer.id_of("<|im_end|>") == stop);
  CHECK_FALSE(tokenizer.id_of("nothing").has_value());
  CHECK(tokenizer.token_of(he) == "he");
  CHECK(tokenizer.special_tokens().at("eos_token") == "<|im_end|>");
}

TEST_CASE("the ids that end a turn may be those of a whole model's text half") {
  const auto ids = [](const std::string& generation) {
    return tokenizer_of(chat_tokenizer_json(), "{}", generation).eos_ids();
  };
  CHECK(ids(R"({"text_config": {"eos_token_id": 262}})") == Ids{262});
  CHECK(ids(R"({"eos_token_id": 263, "text_config": {"eos_token_id": 262}})") == Ids{263});
  CHECK(ids(R"({"eos_token_id": null})").empty());
}

TEST_CASE("many threads share a tokenizer") {
  const auto tokenizer = chat_tokenizer();
  std::vector<std::string> texts;
  for (int i = 0; i < 400; ++i)
    texts.push_back("hello world " + std::to_string(i * 7919) + " w\xC3\xA9ll hello" + std::string(i % 7, '!'));
  std::vector<Ids> expected;
  for (const auto& text : texts) expected.push_back(tokenizer.encode(text));
  std::vector<int> wrong(4);
  std::vector<std::thread> threads;
  for (size_t t = 0; t < wrong.size(); ++t)
    threads.emplace_back([&, t] {
      for (size_t i = 0; i < texts.size(); ++i) wrong[t] += tokenizer.encode(texts[i]) != expected[i];
    });
  for (auto& thread : threads) thread.join();
  CHECK(wrong == std::vector<int>(4));
}

TEST_CASE("texts that are hard on the patterns cost less than a second a megabyte") {
  auto file = chat_tokenizer_json();
  const char* llama3 =
      R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
  file["pre_tokenizer"] = {
      {"type", "Sequence"},
      {"pretokenizers",
       Json::array({{{"type", "Split"}, {"pattern", {{"Regex", llama3}}}, {"behavior", "Isolated"}, {"invert", false}},
                    {{"type", "ByteLevel"}, {"use_regex", false}, {"add_prefix_space", false}}})}};
  const auto tokenizer = tokenizer_of(file);
  constexpr size_t size = 1 << 20;
  std::string mixed;
  while (mixed.size() < size) mixed += " \n  \t x";
  for (const auto& text : {std::string(size, ' '), std::string(size, 'h'), std::string(size, '\n') + "x",
                           std::string(size, ' ') + "x", mixed, std::string(size, '<')}) {
    const auto begin = std::clock();
    const auto ids = tokenizer.encode(text);
    CHECK(static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC < 1.0);
    CHECK(tokenizer.decode(ids) == text);
  }
}

TEST_CASE("a pattern that explodes is an error, not a hang") {
  const std::string text(1 << 20, 'a');
  for (const auto* source : {"(?:a+)+[bc]", "(?:a|a)*[bc]", "(?:a?){30}[bc]"}) {
    INFO(source);
    const auto begin = std::clock();
    CHECK_THROWS_AS(Pattern::regex(source).for_each_match(text, [](size_t, size_t) {}), Error);
    CHECK(static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC < 6.0);
  }
}

TEST_CASE("patterns that mean something else to PCRE2 are rewritten or refused") {
  const auto matches = [](const char* source, std::string_view text) {
    std::string found;
    Pattern::regex(source).for_each_match(
        text, [&](size_t begin, size_t end) { found.append(text.substr(begin, end - begin)).append("|"); });
    return found;
  };
  CHECK(matches("\\s", "\xE1\xA0\x8E \xC2\xA0") == " |\xC2\xA0|");  // U+180E is not white space
  CHECK(matches("[^\\S]", "a b") == " |");
  CHECK(matches("\\p{L}", "\xF0\xB1\x8D\x90") == "\xF0\xB1\x8D\x90|");  // U+31350, a letter since Unicode 15
  CHECK(matches("x{,2}y", "xxxy") == "xxy|");
  CHECK(matches("^a", "a\na") == "a|a|");
  CHECK(matches("\\w+", "a\xCC\x81_1") == "a\xCC\x81_1|");
  CHECK(matches("b*", "ab") == "|b|");
  for (const auto* source : {"[a[bc]]", "[a&&b]", "\\h", "(?m:a)", "(?<n>a)", "\\p{Klingon}", "a{2}+", "\\1", "[", "\\",
                             "(", "[]", "(*COMMIT)a", "\\p{L", "\\xff", "\\x{110000}", "\\u12", "\\Ca"})
    CHECK_THROWS_AS(Pattern::regex(source), Error);
}

TEST_CASE("text that is not UTF-8 is refused") { CHECK_THROWS_AS(chat_tokenizer().encode("a\xFF"), Error); }

TEST_CASE("files that are malformed or not supported say what is wrong") {
  const auto refusal = [](const std::function<void(Json&)>& damage) {
    auto file = chat_tokenizer_json();
    damage(file);
    try {
      tokenizer_of(file);
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::config);
      CHECK_FALSE(error.fix().empty());
      return std::string(error.what());
    }
    return std::string("accepted");
  };
  CHECK_THAT(refusal([](Json& f) { f["model"]["type"] = "Unigram"; }), ContainsSubstring("Unigram"));
  CHECK_THAT(refusal([](Json& f) { f["model"]["byte_fallback"] = true; }), ContainsSubstring("byte_fallback"));
  CHECK_THAT(refusal([](Json& f) { f["model"]["dropout"] = 0.1; }), ContainsSubstring("dropout"));
  CHECK_THAT(refusal([](Json& f) { f["model"]["end_of_word_suffix"] = 5; }), ContainsSubstring("end_of_word_suffix"));
  CHECK_THAT(refusal([](Json& f) { f["model"]["continuing_subword_prefix"] = "##"; }),
             ContainsSubstring("continuing_subword_prefix"));
  CHECK_THAT(refusal([](Json& f) { f["model"]["magic"] = 1; }), ContainsSubstring("magic"));
  CHECK_THAT(refusal([](Json& f) { f["model"]["unk_token"] = "<unk>"; }), ContainsSubstring("<unk>"));
  CHECK_THAT(refusal([](Json& f) { f["model"]["merges"].push_back("he zz"); }), ContainsSubstring("merges[6]"));
  CHECK_THAT(refusal([](Json& f) { f["model"]["merges"].push_back("a b c"); }), ContainsSubstring("merges[6]"));
  CHECK_THAT(refusal([](Json& f) { f["model"]["merges"].push_back(7); }), ContainsSubstring("merges[6]"));
  CHECK_THAT(refusal([](Json& f) { f["model"]["vocab"]["zz"] = -1; }), ContainsSubstring("zz"));
  CHECK_THAT(refusal([](Json& f) { f["model"]["vocab"]["zz"] = 1e9; }), ContainsSubstring("zz"));
  CHECK_THAT(refusal([](Json& f) { f["model"]["vocab"]["zz"] = 3; }), ContainsSubstring("the same id 3"));
  CHECK_THAT(refusal([](Json& f) { f["model"]["vocab"] = Json::object(); }), ContainsSubstring("empty"));
  CHECK_THAT(refusal([](Json& f) { f["model"].erase("merges"); }), ContainsSubstring("merges"));
  CHECK_THAT(refusal([](Json& f) { f.erase("model"); }), ContainsSubstring("model"));
  CHECK_THAT(refusal([](Json& f) { f["extra"] = 1; }), ContainsSubstring("extra"));
  CHECK_THAT(refusal([](Json& f) { f["version"] = "2.0"; }), ContainsSubstring("2.0"));
  CHECK_THAT(refusal([](Json& f) { f["pre_tokenizer"] = nullptr; }), ContainsSubstring("without the other"));
  CHECK_THAT(refusal([](Json& f) { f["pre_tokenizer"] = {{"type", "Metaspace"}}; }), ContainsSubstring("replacement"));
  CHECK_THAT(refusal([](Json& f) {
               f["pre_tokenizer"] = {{"type", "Digits"}};
             }),
             ContainsSubstring("without the other"));
  CHECK_THAT(refusal([](Json& f) { f["pre_tokenizer"]["use_regex"] = "yes"; }), ContainsSubstring("use_regex"));
  CHECK_THAT(refusal([](Json& f) {
               f["pre_tokenizer"] = {{"type", "Split"}, {"pattern", {{"Regex", "(a"}}}, {"behavior", "Isolated"}};
             }),
             ContainsSubstring("(a"));
  CHECK_THAT(refusal([](Json& f) {
               f["pre_tokenizer"] = {{"type", "Split"}, {"pattern", {{"String", "a"}}}, {"behavior", "Sideways"}};
             }),
             ContainsSubstring("Sideways"));
  CHECK_THAT(refusal([](Json& f) {
               f["normalizer"] = {{"type", "Precompiled"}, {"precompiled_charsmap", "AAAA"}};
             }),
             ContainsSubstring("the table of replacements has no size"));
  CHECK_THAT(refusal([](Json& f) { f["normalizer"] = {{"type", "Rot13"}}; }), ContainsSubstring("Rot13"));
  CHECK_THAT(refusal([](Json& f) { f["normalizer"] = {{"type", "NFC"}, {"fast", true}}; }), ContainsSubstring("fast"));
  CHECK_THAT(refusal([](Json& f) { f["post_processor"] = {{"type", "BertProcessing"}}; }), ContainsSubstring("cls"));
  CHECK_THAT(refusal([](Json& f) { f["decoder"] = {{"type", "CTC"}}; }), ContainsSubstring("CTC"));
  CHECK_THAT(refusal([](Json& f) { f["decoder"] = nullptr; }), ContainsSubstring("decoder"));
  CHECK_THAT(refusal([](Json& f) { f["added_tokens"][0]["id"] = 400; }), ContainsSubstring("400"));
  CHECK_THAT(refusal([](Json& f) { f["added_tokens"][0]["content"] = ""; }), ContainsSubstring("content"));
  CHECK_THAT(refusal([](Json& f) { f["added_tokens"][1]["content"] = "<|im_start|>"; }), ContainsSubstring("twice"));
  CHECK_THAT(refusal([](Json& f) { f["added_tokens"] = 5; }), ContainsSubstring("added_tokens"));
  CHECK_THAT(refusal([](Json& f) { f["added_tokens"][1]["content"] = std::string(50000, 'a'); }),
             ContainsSubstring("added_tokens[1].content has 50000 letters; at most 1000 are allowed"));
  CHECK_THAT(refusal([](Json& f) {
               f["normalizer"] = {{"type", "Sequence"}, {"normalizers", Json(65, {{"type", "NFC"}})}};
             }),
             ContainsSubstring("more than 64 steps"));
  CHECK_THAT(refusal([](Json& f) { f = Json::array(); }), ContainsSubstring("object"));
  CHECK_THROWS_AS(tokenizer_of(chat_tokenizer_json(), R"({"eos_token": "<gone>"})"), Error);
  CHECK_THROWS_AS(tokenizer_of(chat_tokenizer_json(), "[]"), Error);
  CHECK_THROWS_AS(Tokenizer::load("/nonexistent"), Error);
}

TEST_CASE("added tokens have a bound together, and may be many") {
  const auto with = [](int count, int letters) {
    std::vector<std::string> tokens;
    for (int i = 0; i < count; ++i) tokens.push_back("<" + std::to_string(i) + std::string(letters, 'a') + ">");
    return tokenizer_of(tokenizer_json({}, tokens));
  };
  CHECK_THROWS_WITH(with(5000, 900), ContainsSubstring("have more than 4194304 bytes together"));
  const auto tokenizer = with(20'000, 2);
  CHECK(tokenizer.encode("<7aa><19999aa>x<20000aa>").size() == 2 + 1 + 9);
  CHECK(DataGuard(tokenizer)("19999aa>x<7aa><1") != "19999aa>x<7aa><1");
}

TEST_CASE("a key that stands twice in a tokenizer's file is refused") {
  const auto written = chat_tokenizer_json().dump();
  const auto twice = [&](const std::string& key, const std::string& member) {
    const auto at = written.find("\"" + key + "\":{");
    REQUIRE(at != std::string::npos);
    return std::string(written).insert(at + key.size() + 4, member);
  };
  const auto text = twice("vocab", "\"a\":1,");
  CHECK_THROWS_WITH(Tokenizer::from_files({text, "{}", "{}", "{}"}),
                    ContainsSubstring("the key 'model.vocab.a' stands twice"));
}

TEST_CASE("a post-processor adds a bounded number of ids") {
  auto file = chat_tokenizer_json();
  const Json piece = {{"SpecialToken", {{"id", "x"}, {"type_id", 0}}}},
             text = {{"Sequence", {{"id", "A"}, {"type_id", 0}}}};
  const auto with = [&](size_t pieces, size_t ids) {
    auto single = Json(pieces, piece);
    single.push_back(text);
    file["post_processor"] = {
        {"type", "TemplateProcessing"},
        {"single", single},
        {"pair", Json::array()},
        {"special_tokens", {{"x", {{"id", "x"}, {"ids", Json(ids, 262)}, {"tokens", Json::array()}}}}}};
    return tokenizer_of(file).encode("", {.add_special_tokens = true}).size();
  };
  CHECK(with(10, 100) == 1000);
  CHECK_THROWS_AS(with(10, 101), Error);
  CHECK_THROWS_AS(with(2000, 2000), Error);
}

TEST_CASE("normalizers that multiply a text are refused before they do") {
  auto file = chat_tokenizer_json();
  const Json replace = {{"type", "Replace"}, {"pattern", {{"String", "e"}}}, {"content", std::string(64, 'e')}};
  file["normalizer"] = {{"type", "Sequence"}, {"normalizers", Json(8, replace)}};
  const auto tokenizer = tokenizer_of(file);
  CHECK(tokenizer.normalized("not a") == "not a");
  CHECK_THROWS_AS(tokenizer.encode("eleven e e e"), Error);
  // U+FDFA grows the most of all characters, with its spaces replaced.
  file["normalizer"] = Json::parse(
      R"({"type": "Sequence", "normalizers": [{"type": "NFKD"}, {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}]})");
  std::string text;
  for (int i = 0; i < 10000; ++i) text += "\xEF\xB7\xBA";
  CHECK(tokenizer_of(file).normalized(text).size() > 10 * text.size());
}

TEST_CASE("the guard's memory is linear in the tokens") {
  std::vector<std::string> tokens;
  for (int i = 0; i < 200; ++i) tokens.push_back("<" + std::to_string(i) + std::string(990, 'a') + ">");
  const auto tokenizer = tokenizer_of(tokenizer_json({}, tokens));
  const DataGuard guard(tokenizer);  // 200 MB and more if each part were kept by itself
  for (const auto& text : {tokens[7], tokens[7].substr(0, 500), tokens[7].substr(400), std::string("aaa")})
    for (const auto& begin : {std::string(), tokens[7].substr(0, 400)})
      for (const auto id : tokenizer.encode(begin + guard(text), {.control = Control::guarded}))
        CHECK_FALSE(tokenizer.is_control(id));
}

TEST_CASE("no damage to a file makes more than an Error") {
  auto file = chat_tokenizer_json();
  file["normalizer"] = Json::parse(
      R"({"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Replace", "pattern": {"Regex": "a+"}, "content": "a"}]})");
  const auto flat = file.flatten();
  const std::vector<Json> values = {
      nullptr, true, -1, 1e300, "", "\xEF\xBF\xBF", Json::array(), Json::object(), Json::array({Json::array()})};
  size_t errors = 0, accepted = 0;
  const auto try_one = [&](const std::string& text) {
    try {
      Tokenizer::from_files({text}).encode("hello <|im_end|> a\xC3\xA9 12");
      ++accepted;
    } catch (const Error&) {
      ++errors;
    }
  };
  size_t index = 0;
  for (const auto& [path, value] : flat.items()) {
    if (path.starts_with("/model/vocab") && ++index % 60 != 0) continue;
    for (const auto& other : values) {
      auto damaged = file;
      damaged[Json::json_pointer(path)] = other;
      try_one(damaged.dump());
    }
  }
  const auto text = file.dump();
  for (size_t cut = 0; cut < text.size(); cut += 211) try_one(text.substr(0, cut));
  for (size_t at = 0; at < text.size(); at += 307) {
    auto flipped = text;
    flipped[at] = static_cast<char>(flipped[at] ^ 0xA5);
    try_one(flipped);
  }
  CHECK(errors > 250);
  CHECK(accepted > 0);
}
