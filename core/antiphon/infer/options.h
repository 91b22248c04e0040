// The [generate] and [eval] parts of a configuration.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include <antiphon/config/schema.h>
#include <antiphon/graph/model_spec.h>

namespace antiphon::infer {

struct GenerateOptions {
  // Unset or empty: what the model's directory says (generation_config.h), else 128 tokens and the likeliest each time.
  std::optional<int64_t> max_tokens = std::nullopt;
  std::optional<double> temperature = std::nullopt;
  std::optional<int64_t> top_k = std::nullopt;
  std::optional<double> top_p = std::nullopt, min_p = std::nullopt, repetition_penalty = std::nullopt;
  std::optional<int64_t> no_repeat_ngram_size = std::nullopt;
  std::vector<int64_t> suppress_tokens = {};
  int64_t seed = 0;
  std::string weights = {};

  int64_t limit() const { return max_tokens.value_or(128); }
  bool greedy() const { return temperature.value_or(0) == 0; }
};

struct EvalOptions {
  int64_t batch_size = 16, max_tokens = 64, limit = 0;
  std::vector<std::string> controls = {"shuffled", "removed"};
  bool generate = true;
  std::string normalizer = "jiwer";
  int64_t resamples = 10000, seed = 0;
};

// How a session takes turns. Times in seconds.
struct SessionOptions {
  graph::ComponentSpec vad;  // without a plugin, turns end by command
  double threshold = 0.5, min_speech = 0.1, end_silence = 0.6, pad = 0.2;
  bool barge_in = true;
  std::string system, instruction;
  int64_t context = 4096;
};

const config::Table<GenerateOptions>& generate_table();
const config::Table<SessionOptions>& session_table();
const config::Table<EvalOptions>& eval_table();

}  // namespace antiphon::infer
