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
  read_generation_config(folder.path(), 100, options);
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
  CHECK(taken.limit(50) == 9);
  CHECK(taken.greedy());
  const auto own =
      read(folder, {.max_tokens = 3, .repetition_penalty = 1, .no_repeat_ngram_size = 0, .suppress_tokens = {2}});
  CHECK(own.limit(50) == 3);
  CHECK(own.repetition_penalty == 1);
  CHECK(own.no_repeat_ngram_size == 0);
  CHECK(own.suppress_tokens == std::vector<int64_t>{2});
}

TEST_CASE("of prompt and answer together: taken unless the same is said of the answer alone, or by [generate]") {
  const weights::TestFolder folder;
  folder.write("generation_config.json", R"({"max_length": 30, "min_length": 12, "encoder_no_repeat_ngram_size": 4})");
  const auto taken = read(folder);
  CHECK((taken.limit(9) == 21 && taken.limit(30) == 0));
  CHECK((taken.least(9) == 3 && taken.least(12) == 0));
  CHECK(taken.encoder_no_repeat_ngram_size == 4);
  for (const auto& options : {GenerateOptions{.max_tokens = 5, .min_new_tokens = 0},
                              GenerateOptions{.max_length = 14, .encoder_no_repeat_ngram_size = 0, .min_length = 9}}) {
    const auto own = read(folder, options);
    CHECK((own.limit(9) == 5 && own.least(9) == 0));
    CHECK(own.encoder_no_repeat_ngram_size == options.encoder_no_repeat_ngram_size.value_or(4));
  }
  folder.write("generation_config.json",
               R"({"max_length": 30, "max_new_tokens": 7, "min_length": 12, "min_new_tokens": 0})");
  CHECK((read(folder).limit(9) == 7 && read(folder).least(9) == 0));
  const auto own = read(folder, {.max_length = 14, .min_length = 11});
  CHECK((own.limit(9) == 5 && own.least(9) == 2));
  folder.write("generation_config.json", R"({"max_length": 20})");  // no default that stands there
  CHECK((read(folder).limit(9) == 11 && GenerateOptions().limit(9) == 128));
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

TEST_CASE("biases, forced tokens, the penalty of length and repairs are taken, if [generate] does not say them") {
  const weights::TestFolder folder;
  folder.write("generation_config.json",
               R"({"sequence_bias": [[[1], 2.0], [[3, 4], -1], [[1], 0.5]], "encoder_repetition_penalty": 1.2,
                   "forced_bos_token_id": 0, "forced_eos_token_id": 2, "remove_invalid_values": true,
                   "exponential_decay_length_penalty": [5, 1.1], "renormalize_logits": true})");
  const auto taken = read(folder);
  REQUIRE(taken.sequence_bias.size() == 2);  // the last of those of one run counts
  CHECK((taken.sequence_bias[0].ids == std::vector<int64_t>{1} && taken.sequence_bias[0].bias == 0.5));
  CHECK((taken.sequence_bias[1].ids == std::vector<int64_t>{3, 4} && taken.sequence_bias[1].bias == -1));
  CHECK(taken.encoder_repetition_penalty == 1.2);
  CHECK(taken.forced_bos_token_id == 0);
  CHECK(taken.forced_eos_token_id == std::vector<int64_t>{2});
  CHECK(taken.exponential_decay_length_penalty == std::vector<double>{5, 1.1});
  CHECK(taken.remove_invalid_values == true);
  CHECK_FALSE(taken.renormalize_logits);  // of beams
  CHECK(read(folder, {.num_beams = 2}).renormalize_logits == true);
  const auto own = read(folder, {.sequence_bias = {{{7}, 1}},
                                 .forced_bos_token_id = 5,
                                 .forced_eos_token_id = {6},
                                 .exponential_decay_length_penalty = {1, 2},
                                 .remove_invalid_values = false,
                                 .num_beams = 2,
                                 .renormalize_logits = false});
  CHECK((own.sequence_bias.size() == 1 && own.sequence_bias[0].ids == std::vector<int64_t>{7}));
  CHECK((own.forced_bos_token_id == 5 && own.forced_eos_token_id == std::vector<int64_t>{6}));
  CHECK(own.exponential_decay_length_penalty == std::vector<double>{1, 2});
  CHECK((own.remove_invalid_values == false && own.renormalize_logits == false));
  const auto none = read(folder, {.encoder_repetition_penalty = 1,
                                  .sequence_bias = {{{0}, 0}},
                                  .forced_bos_token_id = -1,
                                  .forced_eos_token_id = {-1},
                                  .exponential_decay_length_penalty = {0, 1},
                                  .remove_invalid_values = false});
  CHECK_NOTHROW(check_options(none));
  CHECK_FALSE((none.forces_first() || none.forces_last()));
  CHECK((none.sequence_bias.size() == 1 && none.exponential_decay_length_penalty == std::vector<double>{0, 1}));
  folder.write("generation_config.json", R"({"forced_eos_token_id": [2, 3]})");
  CHECK(read(folder).forced_eos_token_id == std::vector<int64_t>{2, 3});
}

TEST_CASE("what generate() runs is taken: forced tokens that are suppressed, suppressed ids of no vocabulary") {
  const weights::TestFolder folder;
  folder.write("generation_config.json", R"({"forced_bos_token_id": 5, "suppress_tokens": [5, 900]})");
  CHECK_NOTHROW(check_options(read(folder)));
}

TEST_CASE("ids that are not in the vocabulary are refused by who says them") {
  const weights::TestFolder folder;
  const auto said = [&](GenerateOptions options) {
    try {
      read(folder, std::move(options));
    } catch (const Error& error) {
      return std::pair(error.kind(), std::string(error.what()));
    }
    return std::pair(ErrorKind::internal, std::string("taken"));
  };
  for (const std::string text : {R"("forced_bos_token_id": 100)", R"("forced_eos_token_id": [3, 100])",
                                 R"("sequence_bias": [[[2, 100, 3], 1.0]])", R"("bad_words_ids": [[1], [100, 2]])"}) {
    folder.write("generation_config.json", "{" + text + "}");
    const auto [kind, words] = said({});
    CHECK(kind == ErrorKind::weights);
    CHECK_THAT(words, ContainsSubstring("generation_config.json: " + text.substr(1, text.find("\":") - 1) +
                                        " has the token id 100; the model's vocabulary has the ids 0 to 99"));
  }
  const auto [kind, words] = said({.forced_eos_token_id = {100}});
  CHECK(kind == ErrorKind::config);
  CHECK_THAT(words, ContainsSubstring("generate.forced_eos_token_id has the token id 100"));
}

TEST_CASE("filters of sampling are taken if answers are sampled") {
  const weights::TestFolder folder;
  folder.write("generation_config.json",
               R"({"do_sample": true, "top_h": 1, "typical_p": 0.9, "epsilon_cutoff": 3e-4, "eta_cutoff": 1e-3})");
  const auto taken = read(folder);
  CHECK((taken.top_h == 1 && taken.typical_p == 0.9 && taken.epsilon_cutoff == 3e-4 && taken.eta_cutoff == 1e-3));
  CHECK_FALSE(read(folder, {.temperature = 0}).typical_p);
  CHECK(read(folder, {.typical_p = 0.5}).typical_p == 0.5);
  folder.write("generation_config.json", R"({"do_sample": true})");
  CHECK_FALSE(read(folder).top_h);
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
  CHECK_THROWS_AS(check_options({.forced_eos_token_id = {4, -1}}), Error);
  CHECK_NOTHROW(check_options({.exponential_decay_length_penalty = {3, 1.1}}));
  for (const auto& decay : std::vector<std::vector<double>>{{3}, {3.5, 1.1}, {3, 1.1, 2}})
    CHECK_THROWS_AS(check_options({.exponential_decay_length_penalty = decay}), Error);
  CHECK_THROWS_AS(check_options({.sequence_bias = {{{}, 1}}}), Error);
  CHECK_THROWS_AS(check_options({.sequence_bias = {{{3, 4}, 1}, {{4}, 1}, {{3, 4}, 2}}}), Error);
  CHECK_NOTHROW(check_options({.sequence_bias = {{{3, 4}, 1}, {{4, 3}, 1}}}));
}

TEST_CASE("what was taken, what is not done and what nobody knows is told by key and value") {
  const weights::TestFolder folder;
  GenerateOptions options;
  folder.write(
      "generation_config.json",
      R"({"eos_token_id": 2, "repetition_penalty": 1.1, "top_k": 50, "guidance_scale": 1.5, "max_length": 20, "min_length": 0,
          "num_return_sequences": 1, "cache_implementation": "hybrid", "typo": 1})");
  const auto said = take_generation_config(folder.path(), options);
  CHECK_THAT(said.file, Catch::Matchers::EndsWith("generation_config.json"));
  CHECK(said.taken == "max_length = 20, repetition_penalty = 1.1");
  CHECK(said.absent == "guidance_scale = 1.5");
  CHECK(said.unknown == "typo = 1");
  folder.write("generation_config.json", R"({"cache_implementation": "quantized"})");
  CHECK(take_generation_config(folder.path(), options).absent == "cache_implementation = \"quantized\"");
}

TEST_CASE("values of generation_config.json that are none are refused by key") {
  const weights::TestFolder folder;
  for (const auto& [key, value] :
       std::vector<std::pair<std::string, std::string>>{{"repetition_penalty", "0"},
                                                        {"repetition_penalty", "\"x\""},
                                                        {"repetition_penalty", "1e308"},
                                                        {"no_repeat_ngram_size", "-1"},
                                                        {"no_repeat_ngram_size", "0.5"},
                                                        {"encoder_no_repeat_ngram_size", "-1"},
                                                        {"max_new_tokens", "0"},
                                                        {"max_length", "0"},
                                                        {"max_length", "20.5"},
                                                        {"do_sample", "1"},
                                                        {"min_new_tokens", "-1"},
                                                        {"min_length", "-1"},
                                                        {"stop_strings", "7"},
                                                        {"stop_strings", "[\"\"]"},
                                                        {"stop_strings", "[1]"},
                                                        {"num_beams", "0"},
                                                        {"num_beams", "1e9"},
                                                        {"suppress_tokens", "[true]"},
                                                        {"suppress_tokens", "7"},
                                                        {"sequence_bias", "[[[], 1.0]]"},
                                                        {"sequence_bias", "[[[1], \"x\"]]"},
                                                        {"sequence_bias", "[[[-1], 1.0]]"},
                                                        {"sequence_bias", "{\"1\": 1.0}"},
                                                        {"forced_bos_token_id", "-1"},
                                                        {"forced_eos_token_id", "-1"},
                                                        {"forced_eos_token_id", "[0.5]"},
                                                        {"exponential_decay_length_penalty", "[1]"},
                                                        {"exponential_decay_length_penalty", "[0.5, 2]"},
                                                        {"exponential_decay_length_penalty", "[1, -2]"},
                                                        {"encoder_repetition_penalty", "0"},
                                                        {"remove_invalid_values", "1"}}) {
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
