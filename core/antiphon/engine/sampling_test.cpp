#include <ATen/ATen.h>

#include <antiphon/base/error.h>
#include <antiphon/engine/beams.h>
#include <antiphon/engine/logits_process.h>
#include <antiphon/engine/sampling.h>
#include <antiphon/engine/sampling_filters.h>

#include <catch2/catch_test_macros.hpp>

#include <cmath>
#include <limits>
#include <map>

using namespace antiphon::engine;

namespace {

const std::vector<float> kLogits{1.0f, 3.0f, -2.0f, 2.0f, 0.5f};

std::map<int64_t, double> shares(GenerateOptions options, int draws = 20000) {
  Sampler sampler(options);
  const auto logits = at::tensor(kLogits).unsqueeze(0).expand({100, -1});
  std::map<int64_t, double> counts;
  for (int i = 0; i < draws / 100; ++i)
    for (const auto id : sampler.next(logits)) counts[id] += 1.0 / draws;
  return counts;
}

// Softmax at a temperature over some tokens.
std::map<int64_t, double> expected(double temperature, const std::vector<int64_t>& kept) {
  std::map<int64_t, double> out;
  double total = 0;
  for (const auto id : kept) total += out[id] = std::exp(kLogits[static_cast<size_t>(id)] / temperature);
  for (auto& [id, share] : out) share /= total;
  return out;
}

void check_alike(const std::map<int64_t, double>& got, const std::map<int64_t, double>& wanted) {
  for (const auto& [id, share] : got) CHECK(wanted.contains(id));
  for (const auto& [id, share] : wanted) {
    INFO("token " << id);
    const double seen = got.contains(id) ? got.at(id) : 0;
    CHECK(std::abs(seen - share) < 5 * std::sqrt(share * (1 - share) / 20000) + 1e-9);
  }
}

}  // namespace

TEST_CASE("temperature 0 takes the likeliest token of each row") {
  Sampler sampler(GenerateOptions{});
  CHECK(sampler.next(at::tensor(kLogits).unsqueeze(0)) == std::vector<int64_t>{1});
  const auto rows = at::stack({at::tensor(kLogits), at::tensor(kLogits).flip(0)});
  CHECK(sampler.next(rows) == std::vector<int64_t>{1, 3});
  CHECK(sampler.next(rows.to(at::kBFloat16)) == std::vector<int64_t>{1, 3});
}

TEST_CASE("sampling follows the softmax at the temperature") {
  for (const double temperature : {0.5, 1.0, 2.5})
    check_alike(shares({.temperature = temperature}), expected(temperature, {0, 1, 2, 3, 4}));
}

TEST_CASE("top-k keeps the k likeliest, top-p the smallest set of that mass, the temperature comes first") {
  check_alike(shares({.temperature = 1, .top_k = 2}), expected(1, {1, 3}));
  check_alike(shares({.temperature = 1, .top_k = 100}), expected(1, {0, 1, 2, 3, 4}));
  // At temperature 1 the shares in order are .631 .232 .085 .052 .004.
  check_alike(shares({.temperature = 1, .top_p = 0.6}), expected(1, {1}));
  check_alike(shares({.temperature = 1, .top_p = 0.8}), expected(1, {1, 3}));
  check_alike(shares({.temperature = 1, .top_p = 0.9}), expected(1, {1, 3, 0}));
  // At temperature 3 they are .357 .256 .183 .155 .067: 0.8 then takes four.
  check_alike(shares({.temperature = 3, .top_p = 0.8}), expected(3, {1, 3, 0, 4}));
  check_alike(shares({.temperature = 1, .top_k = 3, .top_p = 0.9}), expected(1, {1, 3}));  // of the three, two hold .91
}

// A vocabulary of which only a part is sorted at first: the shares of its tokens must be those of the softmax, whether
// they lie in that part or not.
TEST_CASE("a large vocabulary is drawn from as a whole") {
  const auto logits = at::sin(at::arange(2000, at::kFloat) * 12.9898) * 3;
  const auto p = at::softmax(logits.to(at::kDouble), 0);
  for (const double top_p : {1.0, 0.97}) {
    const auto [sorted, order] = p.sort(0, /*descending=*/true);
    const auto kept = (sorted.cumsum(0) - sorted).lt(top_p);
    const int64_t count = kept.sum().item<int64_t>();
    CHECK(count > 600);
    Sampler sampler({.temperature = 1, .top_p = top_p});
    const int draws = 4000;
    int among_first = 0;
    double first_mass = 0, mass = 0;
    std::map<int64_t, int64_t> rank;
    for (int64_t i = 0; i < 2000; ++i) rank[order[i].item<int64_t>()] = i;
    for (int64_t i = 0; i < count; ++i) (i < 512 ? first_mass : mass) += sorted[i].item<double>();
    for (const auto id : sampler.next(logits.unsqueeze(0).expand({draws, -1}))) {
      CHECK(rank.at(id) < count);
      among_first += rank.at(id) < 512;
    }
    const double expected = first_mass / (first_mass + mass);
    CHECK(std::abs(among_first / double(draws) - expected) < 4 * std::sqrt(expected * (1 - expected) / draws));
  }
}

TEST_CASE("the same seed draws the same, another one does not") {
  const auto draws = [](int64_t seed) {
    Sampler sampler({.temperature = 1, .seed = seed});
    std::vector<int64_t> ids;
    for (int i = 0; i < 50; ++i) ids.push_back(sampler.next(at::tensor(kLogits).unsqueeze(0))[0]);
    return ids;
  };
  CHECK(draws(1) == draws(1));
  CHECK(draws(1) != draws(2));
}

TEST_CASE("sampling: logits that are not finite are an error at any temperature; masked ones are not") {
  for (const double temperature : {0.0, 0.7}) {
    Sampler sampler({.temperature = temperature});
    for (const float bad : {std::nanf(""), HUGE_VALF}) {
      const auto logits = at::tensor({1.0F, bad, 2.0F, -HUGE_VALF}).unsqueeze(0);
      CHECK_THROWS_AS(sampler.next(logits), antiphon::Error);
      CHECK_THROWS_AS(sampler.next(at::cat({at::zeros({1, 4}), logits})), antiphon::Error);
    }
    CHECK_THROWS_AS(sampler.next(at::full({1, 3}, -HUGE_VAL)), antiphon::Error);
    CHECK(sampler.next(at::tensor({-HUGE_VALF, 1.0F, -HUGE_VALF}).unsqueeze(0)) == std::vector<int64_t>{1});
  }
}

TEST_CASE("min_p keeps what is likely enough beside the likeliest") {
  check_alike(shares({.temperature = 1, .min_p = 0.3}), expected(1, {1, 3}));  // exp(2 - 3) = 0.37, exp(1 - 3) = 0.14
  check_alike(shares({.temperature = 1, .min_p = 0.1}), expected(1, {0, 1, 3}));
}

// The sets are those that transformers' classes leave of the same logits.
TEST_CASE("top_h, typical_p, epsilon and eta keep what their entropies and cutoffs say, at least the likeliest") {
  check_alike(shares({.temperature = 1, .top_h = 0.5}), expected(1, {1}));
  check_alike(shares({.temperature = 1, .top_h = 0.8}), expected(1, {1, 3}));
  check_alike(shares({.temperature = 3, .top_h = 0.5}), expected(3, {1, 3}));
  check_alike(shares({.temperature = 1, .typical_p = 0.2}), expected(1, {3}));  // not the likeliest
  check_alike(shares({.temperature = 1, .typical_p = 0.3}), expected(1, {1, 3}));
  check_alike(shares({.temperature = 3, .typical_p = 0.5}), expected(3, {0, 3, 4}));
  check_alike(shares({.temperature = 1, .top_k = 3, .typical_p = 0.5}), expected(1, {1}));
  check_alike(shares({.temperature = 1, .epsilon_cutoff = 0.06}), expected(1, {0, 1, 3}));
  check_alike(shares({.temperature = 1, .epsilon_cutoff = 0.7}), expected(1, {1}));
  check_alike(shares({.temperature = 1, .eta_cutoff = 0.3}), expected(1, {1, 3}));
  check_alike(shares({.temperature = 1, .eta_cutoff = 0.7}), expected(1, {1}));
  for (const double none : {0.0, 1.0})
    CHECK_FALSE(has_entropy_filters({.top_h = 0, .typical_p = 1, .epsilon_cutoff = none, .eta_cutoff = none}));
  Sampler sampler({.temperature = 1, .typical_p = 0.5});
  CHECK(sampler.next(at::tensor({-HUGE_VALF, 1.0F, -HUGE_VALF}).unsqueeze(0)) == std::vector<int64_t>{1});
  CHECK_THROWS_AS(sampler.next(at::tensor({0.0F, std::nanf("")}).unsqueeze(0)), antiphon::Error);
}

TEST_CASE("tokens that were there before are penalised, repeats and unwanted ones are out") {
  const std::vector<int32_t> stop_ids{1, 99};
  const auto after = [&](std::vector<int64_t> seen, const GenerateOptions& options) {
    auto logits = kLogits;
    process_logits(logits, {seen, std::min<size_t>(2, seen.size()), stop_ids},
                   options);  // two tokens of prompt; 1 and 99 end an answer
    return logits;
  };
  CHECK(after({1, 2, 2, -1, 99}, {.repetition_penalty = 2}) == std::vector<float>{1.0f, 1.5f, -4.0f, 2.0f, 0.5f});
  CHECK(after({1, 3, 4, 1}, {.no_repeat_ngram_size = 2})[3] == -INFINITY);
  CHECK(after({1, 3, 4, 1}, {.no_repeat_ngram_size = 3}) == kLogits);
  CHECK(after({}, {.no_repeat_ngram_size = 3}) == kLogits);
  CHECK(after({1, 3, 4, 1}, {.encoder_no_repeat_ngram_size = 2})[3] == -INFINITY);
  CHECK(after({0, 1, 3, 4, 3}, {.encoder_no_repeat_ngram_size = 2}) == kLogits);  // a run of the answer
  CHECK(after({0, 2, 3}, {.encoder_no_repeat_ngram_size = 1}) ==
        std::vector<float>{-INFINITY, 3.0f, -INFINITY, 2.0f, 0.5f});
  CHECK(after({0, 1, 0}, {.encoder_no_repeat_ngram_size = 3}) == kLogits);  // the prompt has no run of three
  CHECK(after({}, {.suppress_tokens = {1, 99}})[1] == -INFINITY);
  CHECK(after({0, 3}, {.begin_suppress_tokens = {2}})[2] == -INFINITY);
  CHECK(after({0, 3, 1}, {.begin_suppress_tokens = {2}}) == kLogits);
  // 1 ends an answer.
  CHECK(after({0, 3}, {.bad_words_ids = {{1}, {2}, {3, 4}, {0, 3, 0}, {9, 3, 3}, {7, 0, 3, 3}}}) ==
        std::vector<float>{-INFINITY, kLogits[1], -INFINITY, kLogits[3], -INFINITY});
  CHECK(after({5, 0, 3}, {.bad_words_ids = {{0, 3, 0}, {3, 3, 1}}})[0] == -INFINITY);
  CHECK(after({0, 3, 1, -1, 1}, {.presence_penalty = 0.5, .frequency_penalty = 0.25}) ==
        std::vector<float>{1.0f, 2.0f, -2.0f, 2.0f, 0.5f});  // of the answer alone
  CHECK(after({1, 1, 4}, {.min_new_tokens = 2})[1] == -INFINITY);
  CHECK(after({1, 1, 4, 4}, {.min_new_tokens = 2}) == kLogits);
  CHECK(after({1, 1, 4}, {.min_length = 4})[1] == -INFINITY);
  CHECK(after({1, -1, 4, 4}, {.min_length = 4}) == kLogits);
  CHECK(after({1, 1, 4}, {.min_new_tokens = 1, .min_length = 9}) == kLogits);  // the first counts
  CHECK(after({1, 1, 4}, {.min_new_tokens = 0, .min_length = 9}) == kLogits);
  CHECK(after({0, 3, 1}, {.encoder_repetition_penalty = 2}) ==
        std::vector<float>{2.0f, 3.0f, -2.0f, 4.0f, 0.5f});  // of the prompt alone
  CHECK(after({0, 3}, {.sequence_bias = {{{2}, 5}, {{3, 2}, 1}, {{0, 3, 4}, -2}, {{3, 3, 1}, 9}, {{99}, 9}}}) ==
        std::vector<float>{1.0f, 3.0f, 4.0f, 2.0f, -1.5f});
  CHECK_FALSE(changes_logits({}));
  CHECK_FALSE(changes_logits({.forced_bos_token_id = -1, .forced_eos_token_id = {-1}}));
  for (const auto& options : std::vector<GenerateOptions>{{.presence_penalty = 1},
                                                          {.frequency_penalty = 1},
                                                          {.encoder_no_repeat_ngram_size = 1},
                                                          {.min_new_tokens = 1},
                                                          {.min_length = 1},
                                                          {.begin_suppress_tokens = {1}},
                                                          {.bad_words_ids = {{1}}},
                                                          {.encoder_repetition_penalty = 2},
                                                          {.sequence_bias = {{{1}, 1}}},
                                                          {.forced_bos_token_id = 1},
                                                          {.forced_eos_token_id = {1}},
                                                          {.exponential_decay_length_penalty = {1, 2}},
                                                          {.remove_invalid_values = true}})
    CHECK(changes_logits(options));
  const std::vector<int64_t> seen{1};
  const auto logits = at::tensor(kLogits).expand({2, -1});
  Sampler sampler({.repetition_penalty = 4});
  CHECK(sampler.next(logits, {{seen}, {}}) == std::vector<int64_t>{3, 1});  // each row by its own text
}

TEST_CASE("first and last tokens are forced, stop tokens rise, what is not finite becomes so") {
  const std::vector<int32_t> stop_ids{2, 3, 99};
  const auto of = [&](std::vector<float> logits, const std::vector<int64_t>& seen, int64_t left,
                      const GenerateOptions& options) {
    process_logits(logits, {seen, 1, stop_ids, left}, options);  // a prompt of one token
    return logits;
  };
  const float out = -INFINITY, most = std::numeric_limits<float>::max();
  const std::vector<float> second{out, out, 0.0f, out, out};
  CHECK(of(kLogits, {4}, 9, {.forced_bos_token_id = 2}) == second);
  CHECK(of(kLogits, {4, 2}, 8, {.forced_bos_token_id = 2}) == kLogits);
  CHECK(of(kLogits, {4, 1}, 1, {.forced_eos_token_id = {2}}) == second);
  CHECK(of(kLogits, {4, 1}, 1, {.forced_eos_token_id = {2, 4, 99}})[4] == 0);
  CHECK(of(kLogits, {4, 1}, 2, {.forced_eos_token_id = {2}}) == kLogits);
  // Behind a forced token an answer begins with the next.
  CHECK(of(kLogits, {4}, 9, {.begin_suppress_tokens = {1}, .forced_bos_token_id = 2}) == second);
  CHECK(of(kLogits, {4, 2}, 9, {.begin_suppress_tokens = {1}, .forced_bos_token_id = 2})[1] == out);
  const GenerateOptions decay{.exponential_decay_length_penalty = {1, 3}};
  CHECK(of(kLogits, {4, 1}, 9, decay) == kLogits);
  CHECK(of(kLogits, {4, 1, 1, 1}, 9, decay) == std::vector<float>{1.0f, 3.0f, 14.0f, 18.0f, 0.5f});  // by 3 * 3
  CHECK(std::isfinite(of(kLogits, std::vector<int64_t>(500, 1), 9, decay)[3]));
  CHECK(of({out, 0, out, 0, 0}, {4, 1, 1}, 9, decay)[2] == out);
  CHECK(of({std::nanf(""), INFINITY, out, 2, 1}, {4}, 9, {.suppress_tokens = {4}, .remove_invalid_values = true}) ==
        std::vector<float>{0.0f, most, -most, 2.0f, out});
}

namespace {

// Why no token is drawn of these logits, after a prompt of one token.
std::string refused(const std::vector<float>& logits, const GenerateOptions& options) {
  const std::vector<int64_t> seen{4};
  Sampler sampler(options);
  std::exception_ptr failure;
  const auto ids = next_tokens(at::tensor(logits).unsqueeze(0), {{&sampler, {seen, 1, {}, 9}, &failure}});
  if (ids.front()) return {};
  try {
    std::rethrow_exception(failure);
  } catch (const antiphon::Error& error) {
    return error.message();
  }
}

}  // namespace

TEST_CASE("a step at which no token is left says so, and not that the model's scores are not finite") {
  for (const double temperature : {0.0, 1.0}) {
    CHECK(refused(kLogits, {.temperature = temperature, .suppress_tokens = {0, 1, 2, 3, 4}}) == kNoToken);
    CHECK(refused(kLogits, {.temperature = temperature, .suppress_tokens = {2}, .forced_bos_token_id = 2}) == kNoToken);
    CHECK(refused(kLogits, {.temperature = temperature, .forced_bos_token_id = 99}) == kNoToken);
    CHECK(refused(kLogits, {.temperature = temperature, .suppress_tokens = {0, 1, 3, 4}}).empty());
  }
  const std::vector<float> none(5, -INFINITY);
  CHECK(refused(none, {.temperature = 1, .suppress_tokens = {0}}) == kNotFinite);
}

TEST_CASE("beams of which none may go on end with what has ended; if nothing has, that is said") {
  const std::vector<int32_t> stop_ids{1};
  BeamSearch none({.suppress_tokens = {0, 1, 2, 3, 4}, .num_beams = 2}, {4}, stop_ids, 9, nullptr);
  try {
    none.next(at::tensor(kLogits).unsqueeze(0));
    FAIL("there was a token");
  } catch (const antiphon::Error& error) {
    CHECK(error.message() == kNoToken);
  }
  for (const bool renormalize : {false, true}) {  // the first token may be any, the second none
    BeamSearch some({.bad_words_ids = {{0, 0}, {0, 1}, {0, 2}, {0, 3}, {0, 4}, {3, 0}, {3, 1}, {3, 2}, {3, 3}, {3, 4}},
                     .num_beams = 2,
                     .length_penalty = 0,
                     .renormalize_logits = renormalize},
                    {4}, stop_ids, 9, nullptr);
    const auto logits = at::tensor({2.0F, 3.0F, -9.0F, 1.0F, -9.0F}).unsqueeze(0);
    REQUIRE(some.next(logits).size() == 2);
    CHECK(some.next(logits.expand({2, -1})).empty());
    CHECK(std::move(some).best().ids.empty());  // the stop token alone
  }
}

TEST_CASE("remove_invalid_values: finite after the temperature, and so are log-probabilities") {
  const float most = std::numeric_limits<float>::max(), infinite = INFINITY;
  const auto logits = at::tensor({std::nanf(""), infinite, -infinite, 2.0F, most}).unsqueeze(0);
  Sampler sampler({.temperature = 0.5, .suppress_tokens = {4}, .remove_invalid_values = true});
  for (int i = 0; i < 20; ++i) CHECK(sampler.next(logits) == std::vector<int64_t>{1});
  Sampler typical({.temperature = 0.5, .typical_p = 0.9, .suppress_tokens = {4}, .remove_invalid_values = true});
  CHECK(typical.next(logits) == std::vector<int64_t>{1});
  const auto scores = scores_of(logits[0], 1, {.remove_invalid_values = true, .logprobs = 5});
  CHECK(std::abs(scores.logprob + std::log(2)) < 1e-6);  // beside the largest number
  REQUIRE(scores.top.size() == 5);
  for (const auto& [id, logprob] : scores.top) CHECK(std::isfinite(logprob));
  CHECK(std::isnan(scores_of(logits[0], 1, {.logprobs = 0}).logprob));
}
