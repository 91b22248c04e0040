#include <antiphon/nn/activation.h>

#include "omni_audio.h"

namespace antiphon::qwen2_5_omni_audio {
namespace {

const ForeignKeys& tower_keys() {
  static const auto* keys = new ForeignKeys(
      common_keys().with({.options = {{"d_model", "hidden_size"},
                                      {"encoder_layers", "num_layers"},
                                      {"encoder_attention_heads", "num_heads"},
                                      {"encoder_ffn_dim", "intermediate_size"},
                                      {"num_mel_bins", "num_mels"},
                                      {"n_window", "n_window"},
                                      {"activation_function", "activation"}},
                          .training = {"dropout", "attention_dropout", "activation_dropout", "encoder_layerdrop"},
                          // output_dim: of the projection; max_source_positions: positions begin again in each chunk;
                          // scale_embedding: set aside by the model
                          .other = {"output_dim", "max_source_positions", "scale_embedding", "num_hidden_layers",
                                    "tie_word_embeddings"}}));
  return *keys;
}

// WhisperFeatureExtractor's keys; those of the image processor may stand in the same file.
void read_features(const JsonTable& json, OmniAudioOptions* options) {
  const ForeignKeys::Option length{"chunk_length", "max_seconds"};
  foreign::read_options(json, {length}, omni_audio_table(), options);
  for (const ForeignKeys::Fixed& key : {ForeignKeys::Fixed{"feature_size", {options->num_mels}},
                                        {"sampling_rate", {16000}},
                                        {"hop_length", {160}},
                                        {"n_fft", {400}},
                                        {"padding_value", {0}},
                                        {"padding_side", {"right"}},
                                        {"dither", {0}},
                                        {"feature_extractor_type", {"WhisperFeatureExtractor"}}})
    check_fixed(json, key);
}

}  // namespace

const config::Table<OmniAudioOptions>& omni_audio_table() {
  using O = OmniAudioOptions;
  static const auto* table = new config::Table<O>(
      config::Table<O>("qwen2_5_omni_audio")
          .field("hidden_size", &O::hidden_size, "width", {.min = 4, .max = 1 << 20})
          .field("num_layers", &O::num_layers, "blocks", {.min = 1, .max = 1000})
          .field("num_heads", &O::num_heads, "attention heads", {.min = 1, .max = 1 << 16})
          .field("intermediate_size", &O::intermediate_size, "width of the MLP", {.min = 1, .max = 1 << 22})
          .field("num_mels", &O::num_mels, "mel bands", {.min = 1, .max = 512})
          .field("n_window", &O::n_window,
                 "half of the frames of 10 ms that are encoded together, without sight of the others",
                 {.min = 1, .max = 1500})
          .field("max_seconds", &O::max_seconds, "a longer sound becomes several parts", {.min = 1, .max = 3600})
          .field("activation", &O::activation, "of the MLP", {.choices = nn::activation_names()}));
  return *table;
}

void OmniAudioOptions::read_pretrained(const PretrainedConfig& pretrained) {
  expect_model_type(pretrained, "qwen2_5_omni_audio", "qwen2_5_omni_audio_encoder");
  read_keys(pretrained.config, tower_keys(), omni_audio_table(), *this);
  if (pretrained.preprocessor.exists()) read_features(pretrained.preprocessor, this);
}

}  // namespace antiphon::qwen2_5_omni_audio
