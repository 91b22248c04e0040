#include <antiphon/engine/generation_keys.h>

#include <algorithm>
#include <set>

namespace antiphon::engine {

const std::vector<std::pair<std::string, nlohmann::json>>& absent_generation_keys() {
  static const auto* keys = new std::vector<std::pair<std::string, nlohmann::json>>{
      {"max_time", nullptr},    {"num_beam_groups", 1},           {"diversity_penalty", 0},
      {"constraints", nullptr}, {"force_words_ids", nullptr},     {"penalty_alpha", 0},
      {"dola_layers", nullptr}, {"forced_decoder_ids", nullptr},  {"token_healing", false},
      {"guidance_scale", 1},    {"watermarking_config", nullptr}, {"num_return_sequences", 1}};
  return *keys;
}

bool is_generation_key(const std::string& key) {
  static const auto* others = new std::set<std::string>{
      "max_new_tokens", "max_length", "repetition_penalty", "no_repeat_ngram_size", "suppress_tokens",
      "begin_suppress_tokens", "min_length", "encoder_no_repeat_ngram_size", "bad_words_ids", "do_sample",
      "temperature", "top_k", "top_p", "min_p", "min_new_tokens", "stop_strings", "num_beams", "early_stopping",
      "length_penalty", "renormalize_logits", "top_h", "typical_p", "epsilon_cutoff", "eta_cutoff",
      "encoder_repetition_penalty", "sequence_bias", "forced_bos_token_id", "forced_eos_token_id",
      "exponential_decay_length_penalty", "remove_invalid_values",
      // without effect from here on
      "eos_token_id", "pad_token_id", "bos_token_id", "decoder_start_token_id",
      // ways to the same answer in less time
      "use_mtp", "is_assistant", "num_assistant_tokens", "num_assistant_tokens_schedule",
      "assistant_confidence_threshold", "prompt_lookup_num_tokens", "max_matching_ngram_size", "assistant_early_exit",
      "assistant_lookbehind", "target_lookbehind", "assistant_ensemble_weight", "speculation_type", "use_cache",
      "cache_implementation", "cache_config", "max_cache_len", "compile_config", "disable_compile",
      "continuous_batching_config", "low_memory", "prefill_chunk_size",
      // what generate() returns besides
      "output_attentions", "output_hidden_states", "output_scores", "output_logits", "return_dict_in_generate",
      // about the file
      "transformers_version", "_from_model_config", "_commit_hash"};
  return others->contains(key) ||
         std::ranges::any_of(absent_generation_keys(), [&](const auto& absent) { return absent.first == key; });
}

}  // namespace antiphon::engine
