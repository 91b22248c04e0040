// The options of Phi-3's decoder.
#pragma once
#include <antiphon/backbone/decoder_lm.h>

namespace antiphon::phi3 {

struct Phi3Options : backbone::DecoderLmOptions {
  int64_t sliding_window = 0;
  double partial_rotary_factor = 1;
  std::vector<double> rope_short_factors, rope_long_factors;

  Phi3Options() {
    vocab_size = 32064, hidden_size = 3072, intermediate_size = 8192, max_positions = 4096, norm_eps = 1e-5;
    rope_original_max_positions = 4096;
  }
  void read_pretrained(const PretrainedConfig& pretrained);
  bool has_long_texts() const { return !rope_short_factors.empty() || !rope_long_factors.empty(); }
};

const config::Table<Phi3Options>& phi3_table();

// LongRoPE of a rope table of type "longrope", or "su" or "yarn" as early files of Phi-3 call it, as options; what is
// left of config.json is as without scaling. Source: transformers, models/phi3, Phi3Config, and modeling_rope_utils.py,
// _compute_longrope_parameters. Error(weights) for lists that are none.
JsonTable read_long_rope(const JsonTable& config, Phi3Options& options);

// rotary_size and, if there are factors, "longrope". Error(config) for a share of a head that cannot be turned, or
// lists of another length than there are frequencies.
void set_rope(const Phi3Options& options, nn::DecoderOptions& decoder);

}  // namespace antiphon::phi3
