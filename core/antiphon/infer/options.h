// The [generate] and [eval] parts of a configuration.
#pragma once
#include <string>
#include <vector>

#include <antiphon/config/schema.h>
#include <antiphon/graph/model_spec.h>

namespace antiphon::infer {

struct GenerateOptions {
  int64_t max_tokens = 128;
  double temperature = 0;
  int64_t top_k = 0;
  double top_p = 1;
  int64_t seed = 0;
  std::string weights = {};
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
