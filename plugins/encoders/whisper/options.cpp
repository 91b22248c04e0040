#include <fmt/format.h>

#include <antiphon/nn/activation.h>

#include "whisper.h"

namespace antiphon::whisper {
namespace {

// What is about the decoder, heads, masks of training or token numbers has no effect on the encoder.
const ForeignKeys& whisper_keys() {
  static const auto* keys = new ForeignKeys(common_keys().with(
      {.options = {{"d_model", "hidden_size"},
                   {"encoder_layers", "num_layers"},
                   {"encoder_attention_heads", "num_heads"},
                   {"encoder_ffn_dim", "intermediate_size"},
                   {"num_mel_bins", "num_mels"},
                   {"max_source_positions", "max_positions"},
                   {"activation_function", "activation"}},
       .training = {"dropout", "attention_dropout", "activation_dropout", "encoder_layerdrop", "apply_spec_augment"},
       .other = {"vocab_size",
                 "num_hidden_layers",
                 "decoder_layers",
                 "decoder_attention_heads",
                 "decoder_ffn_dim",
                 "decoder_layerdrop",
                 "max_target_positions",
                 "scale_embedding",
                 "use_weighted_layer_sum",
                 "classifier_proj_size",
                 "mask_time_prob",
                 "mask_time_length",
                 "mask_time_min_masks",
                 "mask_feature_prob",
                 "mask_feature_length",
                 "mask_feature_min_masks",
                 "median_filter_width",
                 "tie_word_embeddings",
                 "alignment_heads",
                 "lang_ids",
                 "suppress_ids",
                 "suppress_ids_begin"}}));
  return *keys;
}

// VoxtralEncoderConfig, which names what Whisper's calls d_model, encoder_layers and so on as others do; its forward()
// reads no scale.
const ForeignKeys& voxtral_keys() {
  static const auto* keys = new ForeignKeys(
      common_keys().with({.options = {{"hidden_size", "hidden_size"},
                                      {"num_hidden_layers", "num_layers"},
                                      {"num_attention_heads", "num_heads"},
                                      {"intermediate_size", "intermediate_size"},
                                      {"num_mel_bins", "num_mels"},
                                      {"max_source_positions", "max_positions"},
                                      {"activation_function", "activation"}},
                          .training = {"dropout", "attention_dropout", "activation_dropout", "layerdrop"},
                          .other = {"vocab_size", "scale_embedding", "head_dim", "num_key_value_heads"}}));
  return *keys;
}

// WhisperFeatureExtractor: only these are computed here.
void check_features(const JsonTable& json, const WhisperOptions& o) {
  check_keys(json, {.fixed = {{"feature_size", {o.num_mels}},
                              {"sampling_rate", {16000}},
                              {"hop_length", {160}},
                              {"n_fft", {400}},
                              {"chunk_length", {o.max_positions / 50}, "one window of the encoder is 20 ms a vector"},
                              {"padding_value", {0}},
                              {"padding_side", {"right"}},
                              {"dither", {0}},
                              {"do_normalize", {false}},
                              {"feature_extractor_type", {"WhisperFeatureExtractor"}}},
                    .other = {"n_samples", "nb_max_frames", "mel_filters", "return_attention_mask", "processor_class",
                              "_processor_class", "auto_map", "return_tensors", "image_processor_type"}});
}

}  // namespace

const config::Table<WhisperOptions>& whisper_table() {
  using O = WhisperOptions;
  static const auto* table = new config::Table<O>(
      config::Table<O>("whisper")
          .field("hidden_size", &O::hidden_size, "width", {.min = 1, .max = 1 << 20})
          .field("num_layers", &O::num_layers, "blocks of the checkpoint's encoder", {.min = 1, .max = 1000})
          .field("num_heads", &O::num_heads, "attention heads", {.min = 1, .max = 1 << 16})
          .field("intermediate_size", &O::intermediate_size, "width of the MLP", {.min = 1, .max = 1 << 22})
          .field("num_mels", &O::num_mels, "mel bands: 80, or 128 from large-v3 on", {.min = 1, .max = 512})
          .field("max_positions", &O::max_positions, "vectors of a full window; 1500 are 30 s",
                 {.min = 1, .max = 1 << 16})
          .field("activation", &O::activation, "of the MLP and the convolutions", {.choices = nn::activation_names()})
          .field(
              "length", &O::length,
              "window: each window is filled up with silence, as the model was trained; clip: the clip's own "
              "length, about ten times cheaper for short clips; masked: the mel spectrogram is that of a window, and "
              "only the clip's own frames are encoded, as in Qwen2-Audio; whole: full windows out of one spectrogram "
              "of the whole clip, as in Voxtral",
              {.choices = {"window", "clip", "masked", "whole"}})
          .field("pool", &O::pool, "runs of so many vectors are averaged before the final norm; 2 in Qwen2-Audio",
                 {.min = 1, .max = 8})
          .field("multiple", &O::multiple,
                 "length = clip: vectors are filled up with silence to a multiple of this; few lengths are fast on a "
                 "CPU, which compiles for each",
                 {.min = 1, .max = 1500})
          .field("chunk", &O::chunk,
                 "length = clip: seconds that are encoded by themselves, so that a session listens while somebody "
                 "speaks; 0: the whole clip at once",
                 {.min = 0, .max = 30})
          .field("left_context", &O::left_context,
                 "seconds before a chunk that it sees, whole chunks; they are encoded again for it",
                 {.min = 0, .max = 30})
          .field("layer", &O::layer,
                 "feature layer: -1 is the last with the final norm, -2 the output of the block before, without it; 0 "
                 "the embedding, n block n"));
  return *table;
}

// Another start: encoders of whole models have defaults of their own.
void WhisperOptions::read_pretrained(const PretrainedConfig& pretrained) {
  const auto& json = pretrained.config;
  const auto type = json.text("model_type", "");
  const bool voxtral = type == "voxtral_encoder";
  if (voxtral || type == "qwen2_audio_encoder") {
    hidden_size = 1280, num_layers = 32, num_heads = 20, intermediate_size = 5120, num_mels = 128;
    length = voxtral ? "whole" : "masked", pool = voxtral ? 1 : 2;
  } else {
    expect_model_type(pretrained, "whisper", "whisper");
  }
  read_keys(json, voxtral ? voxtral_keys() : whisper_keys(), whisper_table(), *this);
  check_features(pretrained.preprocessor, *this);
}

}  // namespace antiphon::whisper
