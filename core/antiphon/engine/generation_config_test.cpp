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

TEST_CASE("what changes the likeliest token is taken from the model's directory, where [generate] does not say it") {
  const weights::TestFolder folder;
  CHECK_FALSE(read(folder).repetition_penalty);
  folder.write("config.json", R"({"model_type": "llama", "repetition_penalty": 1.5})");
  CHECK(read(folder).repetition_penalty == 1.5);
  folder.write("generation_config.json",
               R"({"repetition_penalty": 1.1, "no_repeat_ngram_size": 3, "suppress_tokens": [5, 7], "max_new_tokens": 9,
                   "temperature": 0.6, "bad_words_ids": [[1]]})");
  const auto taken = read(folder);
  CHECK(taken.repetition_penalty == 1.1);
  CHECK(taken.no_repeat_ngram_size == 3);
  CHECK(taken.suppress_tokens == std::vector<int64_t>{5, 7});
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

TEST_CASE("what was taken, what is not done and what nobody knows is told by key and value") {
  const weights::TestFolder folder;
  GenerateOptions options;
  folder.write(
      "generation_config.json",
      R"({"eos_token_id": 2, "repetition_penalty": 1.1, "top_k": 50, "num_beams": 4, "max_length": 20, "typo": 1})");
  const auto said = take_generation_config(folder.path(), options);
  CHECK_THAT(said.file, Catch::Matchers::EndsWith("generation_config.json"));
  CHECK(said.taken == "repetition_penalty = 1.1");
  CHECK(said.absent == "num_beams = 4");
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
