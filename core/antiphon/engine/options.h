// The [generate] part of a configuration.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include <antiphon/base/error.h>
#include <antiphon/config/schema.h>

namespace antiphon::engine {

// What is added to the logit of the last of these ids if the text ends with the others.
struct SequenceBias {
  std::vector<int64_t> ids = {};
  double bias = 0;
};

struct GenerateOptions {
  // Unset or empty: what the model's directory says (generation_config.h), else 128 tokens and the likeliest each time.
  std::optional<int64_t> max_tokens = std::nullopt;
  std::optional<int64_t> max_length = std::nullopt;  // of the prompt and the answer
  std::optional<double> temperature = std::nullopt;
  std::optional<int64_t> top_k = std::nullopt;
  std::optional<double> top_p = std::nullopt, min_p = std::nullopt, repetition_penalty = std::nullopt;
  std::optional<double> top_h = std::nullopt, typical_p = std::nullopt, epsilon_cutoff = std::nullopt,
                        eta_cutoff = std::nullopt;
  std::optional<double> encoder_repetition_penalty = std::nullopt;  // of the prompt's tokens
  std::optional<double> presence_penalty = std::nullopt, frequency_penalty = std::nullopt;
  std::optional<int64_t> no_repeat_ngram_size = std::nullopt;
  std::optional<int64_t> encoder_no_repeat_ngram_size = std::nullopt;  // of runs of the prompt
  std::optional<int64_t> min_new_tokens = std::nullopt;
  std::optional<int64_t> min_length = std::nullopt;  // of the prompt and the answer
  std::vector<int64_t> suppress_tokens = {}, begin_suppress_tokens = {};
  std::vector<std::vector<int64_t>> bad_words_ids = {};  // of the model's directory alone
  std::vector<SequenceBias> sequence_bias = {};
  std::optional<int64_t> forced_bos_token_id = std::nullopt;  // -1: none
  std::vector<int64_t> forced_eos_token_id = {};              // -1 alone: none
  std::vector<double> exponential_decay_length_penalty = {};  // after how many tokens, by which factor
  std::optional<bool> remove_invalid_values = std::nullopt;
  std::vector<std::string> stop = {};
  std::optional<int64_t> num_beams = std::nullopt;
  std::optional<double> length_penalty = std::nullopt;
  std::string early_stopping = {};
  std::optional<bool> renormalize_logits = std::nullopt;  // of beams
  std::optional<int64_t> logprobs = std::nullopt;
  int64_t seed = 0;
  std::string weights = {};
  config::Value attributes = config::Value::Table{};  // names and numbers, see data/attributes.h

  // Tokens that an answer to a prompt of so many may have; below 1 if the prompt alone has max_length.
  int64_t limit(int64_t prompt_tokens) const {
    return max_length && !max_tokens ? *max_length - prompt_tokens : max_tokens.value_or(128);
  }
  // Tokens that it has before a stop token may come.
  int64_t least(int64_t prompt_tokens) const {
    return min_new_tokens ? *min_new_tokens : min_length.value_or(0) - prompt_tokens;
  }
  bool greedy() const { return temperature.value_or(0) == 0; }
  int64_t beams() const { return num_beams.value_or(1); }
  bool forces_first() const { return forced_bos_token_id.value_or(-1) >= 0; }
  bool forces_last() const { return !forced_eos_token_id.empty() && forced_eos_token_id.front() >= 0; }
};

// Error(config) for what does not go together or is incomplete: beams with sampling, -1 beside last tokens that are
// forced, an exponential_decay_length_penalty of other than a whole number and a factor, a bias of no ids, two biases
// of the same.
void check_options(const GenerateOptions& options);

// Error of this kind for ids that are forced, biased or part of a bad word and not in the vocabulary, which are an
// error in transformers' generate(), too. `where`: who says them, before the option's name: "generate.".
void check_ids(const GenerateOptions& options, int64_t vocab_size, ErrorKind kind, const std::string& where);

const config::Table<GenerateOptions>& generate_table();

}  // namespace antiphon::engine
