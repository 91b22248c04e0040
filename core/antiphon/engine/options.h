// The [generate] part of a configuration.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include <antiphon/config/schema.h>

namespace antiphon::engine {

struct GenerateOptions {
  // Unset or empty: what the model's directory says (generation_config.h), else 128 tokens and the likeliest each time.
  std::optional<int64_t> max_tokens = std::nullopt;
  std::optional<double> temperature = std::nullopt;
  std::optional<int64_t> top_k = std::nullopt;
  std::optional<double> top_p = std::nullopt, min_p = std::nullopt, repetition_penalty = std::nullopt;
  std::optional<double> presence_penalty = std::nullopt, frequency_penalty = std::nullopt;
  std::optional<int64_t> no_repeat_ngram_size = std::nullopt, min_new_tokens = std::nullopt;
  std::vector<int64_t> suppress_tokens = {}, begin_suppress_tokens = {};
  std::vector<std::vector<int64_t>> bad_words_ids = {};  // of the model's directory alone
  std::vector<std::string> stop = {};
  std::optional<int64_t> num_beams = std::nullopt;
  std::optional<double> length_penalty = std::nullopt;
  std::string early_stopping = {};
  std::optional<int64_t> logprobs = std::nullopt;
  int64_t seed = 0;
  std::string weights = {};

  int64_t limit() const { return max_tokens.value_or(128); }
  bool greedy() const { return temperature.value_or(0) == 0; }
  int64_t beams() const { return num_beams.value_or(1); }
};

// Error(config) for what does not go together: beams with sampling.
void check_options(const GenerateOptions& options);

const config::Table<GenerateOptions>& generate_table();

}  // namespace antiphon::engine
