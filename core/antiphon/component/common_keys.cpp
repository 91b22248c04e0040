// What transformers puts into a config.json of any model: its own fields, and up to version 4 those of generation,
// which generation_config.json took over. Source: transformers, configuration_utils.py.
#include <antiphon/component/pretrained.h>

namespace antiphon {
namespace {

const std::vector<std::string> about_the_file{
    "model_type", "architectures",        "_name_or_path", "name_or_path",       "transformers_version",
    "dtype",      "torch_dtype",          "auto_map",      "_commit_hash",       "tokenizer_class",
    "prefix",     "task_specific_params", "problem_type",  "finetuning_task",    "id2label",
    "label2id",   "num_labels",           "_num_labels",   "is_encoder_decoder", "is_decoder",
    "sub_configs"};

// How transformers runs the model; the results are the same.
const std::vector<std::string> about_running{"use_cache",
                                             "return_dict",
                                             "use_return_dict",
                                             "output_attentions",
                                             "output_hidden_states",
                                             "torchscript",
                                             "attn_implementation",
                                             "_attn_implementation",
                                             "_attn_implementation_internal",
                                             "_attn_implementation_autoset",
                                             "experts_implementation",
                                             "_experts_implementation",
                                             "_experts_implementation_internal",
                                             "chunk_size_feed_forward",
                                             "gradient_checkpointing",
                                             "use_bfloat16",
                                             "tf_legacy_loss",
                                             "_flash_attn_2_enabled",
                                             "transformers.js_config",
                                             "unsloth_fixed",
                                             "unsloth_version",
                                             "pretraining_tp"};

// How weights are initialised if nothing is loaded; token ids, which the tokenizer or generation has.
const std::vector<std::string> without_use{"initializer_range",      "initializer_factor", "init_std",
                                           "logit_scale_init_value", "pad_token_id",       "bos_token_id",
                                           "eos_token_id",           "sep_token_id",       "decoder_start_token_id"};

const std::vector<std::string> about_generation{"max_length",
                                                "min_length",
                                                "do_sample",
                                                "early_stopping",
                                                "num_beams",
                                                "num_beam_groups",
                                                "diversity_penalty",
                                                "temperature",
                                                "top_k",
                                                "top_p",
                                                "typical_p",
                                                "repetition_penalty",
                                                "length_penalty",
                                                "no_repeat_ngram_size",
                                                "encoder_no_repeat_ngram_size",
                                                "bad_words_ids",
                                                "num_return_sequences",
                                                "output_scores",
                                                "return_dict_in_generate",
                                                "forced_bos_token_id",
                                                "forced_eos_token_id",
                                                "remove_invalid_values",
                                                "exponential_decay_length_penalty",
                                                "suppress_tokens",
                                                "begin_suppress_tokens",
                                                "forced_decoder_ids",
                                                "max_new_tokens"};

}  // namespace

const ForeignKeys& common_keys() {
  static const auto* keys = [] {
    auto* k = new ForeignKeys;
    for (const auto* list : {&about_the_file, &about_running, &without_use, &about_generation})
      k->other.insert(k->other.end(), list->begin(), list->end());
    k->other.emplace_back("quantization_config");  // see check_keys()
    k->fixed = {{"compression_config", {}, "quantised checkpoints are not read; take the model's original"},
                {"pruned_heads", {nlohmann::json::object(), nlohmann::json::array()}},
                {"add_cross_attention", {false}},
                {"cross_attention_hidden_size", {}},
                {"tie_encoder_decoder", {false}}};
    return k;
  }();
  return *keys;
}

}  // namespace antiphon
