#include <antiphon/engine/generation_config.h>

#include <antiphon/base/error.h>
#include <antiphon/weights/test_folder.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

using namespace antiphon;
using namespace antiphon::engine;
using Catch::Matchers::ContainsSubstring;

namespace {

GenerateOptions read(const weights::TestFolder& folder, GenerateOptions options = {}) {
  read_generation_config(folder.path(), options);
  return options;
}

}  // namespace

TEST_CASE("what changes the likeliest token is taken from the model's directory, if [generate] does not say it") {
  const weights::TestFolder folder;
  CHECK_FALSE(read(folder).repetition_penalty);
  folder.write("config.json", R"({"model_type": "llama", "repetition_penalty": 1.5})");
  CHECK(read(folder).repetition_penalty == 1.5);
  folder.write("generation_config.json",
               R"({"repetition_penalty": 1.1, "no_repeat_ngram_size": 3, "suppress_tokens": [5, 7], "max_new_tokens": 9,
                   "temperature": 0.6, "bad_words_ids": [[1], [2, 3]], "begin_suppress_tokens": [4]})");
  const auto taken = read(folder);
  CHECK(taken.repetition_penalty == 1.1);
  CHECK(taken.no_repeat_ngram_size == 3);
  CHECK(taken.suppress_tokens == std::vector<int64_t>{5, 7});
  CHECK(taken.begin_suppress_tokens == std::vector<int64_t>{4});
  CHECK(taken.bad_words_ids == std::vector<std::vector<int64_t>>{{1}, {2, 3}});
  CHECK(taken.limit() == 9);
  CHECK(taken.greedy());
  const auto own =
      read(folder, {.max_tokens = 3, .repetition_penalty = 1, .no_repeat_ngram_size = 0, .suppress_tokens = {2}});
  CHECK(own.limit() == 3);
  CHECK(own.repetition_penalty == 1);
  CHECK(own.no_repeat_ngram_size == 0);
  CHECK(own.suppress_tokens == std::vector<int64_t>{2});
}

TEST_CASE("a directory that samples is sampled from, unless [generate] wants the likeliest token") {
  const weights::TestFolder folder;
  folder.write("generation_config.json", R"({"do_sample": true, "temperature": 0.6, "top_p": 0.9})");
  const auto taken = read(folder);
  CHECK(taken.temperature == 0.6);
  CHECK(taken.top_p == 0.9);
  CHECK(taken.top_k == 50);  // as transformers has it if nobody names one
  CHECK(read(folder, {.temperature = 0}).greedy());
  CHECK_FALSE(read(folder, {.temperature = 0}).top_p);
  const auto own = read(folder, {.temperature = 2, .top_k = 0});
  CHECK(own.temperature == 2);
  CHECK(own.top_k == 0);
  CHECK(own.top_p == 0.9);
}

TEST_CASE("beams are taken with their options, but not if answers are sampled; [generate] says otherwise") {
  const weights::TestFolder folder;
  folder.write(
      "generation_config.json",
      R"({"num_beams": 4, "length_penalty": 0.5, "early_stopping": true, "stop_strings": "x", "min_new_tokens": 3})");
  const auto taken = read(folder);
  CHECK((taken.beams() == 4 && taken.length_penalty == 0.5 && taken.early_stopping == "true"));
  CHECK((taken.stop == std::vector<std::string>{"x"} && taken.min_new_tokens == 3));
  CHECK(read(folder, {.temperature = 1}).beams() == 1);
  CHECK(read(folder, {.num_beams = 1}).length_penalty == std::nullopt);
  const auto own = read(folder, {.stop = {"y"}, .num_beams = 2, .length_penalty = 1, .early_stopping = "never"});
  CHECK((own.beams() == 2 && own.length_penalty == 1 && own.early_stopping == "never"));
  CHECK(own.stop == std::vector<std::string>{"y"});
  for (const char* value : {"\"maybe\"", "7", "[true]"}) {
    folder.write("generation_config.json", std::string(R"({"num_beams": 4, "early_stopping": )") + value + "}");
    CHECK_THROWS_AS(read(folder), Error);
  }
}

TEST_CASE("options that do not go together are refused") {
  CHECK_NOTHROW(check_options({.temperature = 0, .num_beams = 2}));
  CHECK_THROWS_AS(check_options({.temperature = 1, .num_beams = 2}), Error);
  CHECK_NOTHROW(check_options({.temperature = 1, .num_beams = 1}));
  CHECK_THROWS_AS(check_options({.stop = {"a", ""}}), Error);
}

TEST_CASE("what was taken, what is not done and what nobody knows is told by key and value") {
  const weights::TestFolder folder;
  GenerateOptions options;
  folder.write(
      "generation_config.json",
      R"({"eos_token_id": 2, "repetition_penalty": 1.1, "top_k": 50, "min_length": 4, "max_length": 20, "typo": 1})");
  const auto said = take_generation_config(folder.path(), options);
  CHECK_THAT(said.file, Catch::Matchers::EndsWith("generation_config.json"));
  CHECK(said.taken == "repetition_penalty = 1.1");
  CHECK(said.absent == "min_length = 4");
  CHECK(said.unknown == "typo = 1");
}

TEST_CASE("values of generation_config.json that are none are refused by key") {
  const weights::TestFolder folder;
  for (const auto& [key, value] : std::vector<std::pair<std::string, std::string>>{{"repetition_penalty", "0"},
                                                                                   {"repetition_penalty", "\"x\""},
                                                                                   {"repetition_penalty", "1e308"},
                                                                                   {"no_repeat_ngram_size", "-1"},
                                                                                   {"no_repeat_ngram_size", "0.5"},
                                                                                   {"max_new_tokens", "0"},
                                                                                   {"do_sample", "1"},
                                                                                   {"min_new_tokens", "-1"},
                                                                                   {"stop_strings", "7"},
                                                                                   {"stop_strings", "[\"\"]"},
                                                                                   {"stop_strings", "[1]"},
                                                                                   {"num_beams", "0"},
                                                                                   {"num_beams", "1e9"},
                                                                                   {"suppress_tokens", "[true]"},
                                                                                   {"suppress_tokens", "7"}}) {
    folder.write("generation_config.json", "{\"" + key + "\": " + value + "}");
    try {
      read(folder);
      FAIL(key << " = " << value << " was taken");
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::weights);
      CHECK_THAT(error.what(), ContainsSubstring("generation_config.json: " + key + " is "));
    }
  }
}
