#include <fmt/format.h>

#include <antiphon/nn/activation.h>

#include "fastconformer.h"

namespace antiphon::fastconformer {
namespace {

const ForeignKeys& fastconformer_keys() {
  static const auto* keys = new ForeignKeys(common_keys().with(
      {.options = {{"hidden_size", "hidden_size"},
                   {"num_hidden_layers", "num_layers"},
                   {"num_attention_heads", "num_heads"},
                   {"intermediate_size", "intermediate_size"},
                   {"conv_kernel_size", "kernel_size"},
                   {"num_mel_bins", "num_mels"},
                   {"subsampling_factor", "subsampling_factor"},
                   {"subsampling_conv_channels", "subsampling_channels"},
                   {"hidden_act", "activation"},
                   {"attention_bias", "attention_bias"},
                   {"convolution_bias", "convolution_bias"},
                   {"scale_input", "scale_input"}},
       .fixed = {{"subsampling_conv_kernel_size", {3}}, {"subsampling_conv_stride", {2}}},
       .training = {"dropout", "dropout_positions", "layerdrop", "activation_dropout", "attention_dropout"},
       .other = {"max_position_embeddings", "num_key_value_heads", "modality_adapter"}}));
  return *keys;
}

void check_features(const JsonTable& json, const FastConformerOptions& o) {
  check_keys(json,
             {.fixed = {{"feature_size", {o.num_mels}},
                        {"sampling_rate", {16000}},
                        {"hop_length", {160}},
                        {"n_fft", {512}},
                        {"win_length", {400}},
                        {"preemphasis", {0.97}},
                        {"padding_value", {0}},
                        {"padding_side", {"right"}},
                        {"feature_extractor_type", {"ParakeetFeatureExtractor"}}},
              .other = {"return_attention_mask", "processor_class", "_processor_class", "auto_map", "return_tensors"}});
}

}  // namespace

const config::Table<FastConformerOptions>& fastconformer_table() {
  using O = FastConformerOptions;
  static const auto* table = new config::Table<O>(
      config::Table<O>("fastconformer")
          .field("hidden_size", &O::hidden_size, "width", {.min = 2, .max = 1 << 20})
          .field("num_layers", &O::num_layers, "blocks of the checkpoint", {.min = 1, .max = 1000})
          .field("num_heads", &O::num_heads, "attention heads", {.min = 1, .max = 1 << 16})
          .field("intermediate_size", &O::intermediate_size, "width of the feed-forwards", {.min = 1, .max = 1 << 22})
          .field("kernel_size", &O::kernel_size, "frames that the depthwise convolution sees; odd",
                 {.min = 1, .max = 4095})
          .field("num_mels", &O::num_mels, "mel bands", {.min = 1, .max = 257})
          .field("subsampling_factor", &O::subsampling_factor, "mel frames a vector: 8 are 80 ms; a power of two",
                 {.min = 2, .max = 64})
          .field("subsampling_channels", &O::subsampling_channels, "of the convolutions at the start",
                 {.min = 1, .max = 1 << 16})
          .field("activation", &O::activation, "of the feed-forwards and convolutions",
                 {.choices = nn::activation_names()})
          .field("attention_bias", &O::attention_bias, "biases in attention and feed-forwards")
          .field("convolution_bias", &O::convolution_bias, "biases in the blocks' convolutions")
          .field("scale_input", &O::scale_input, "multiply what enters the blocks by sqrt(hidden_size)")
          .field("window", &O::window, "longer audio is encoded in parts of so many seconds", {.min = 1, .max = 3600})
          .field("layer", &O::layer,
                 "feature layer: -1 is the last, n the output of block n, 0 what enters the blocks"));
  return *table;
}

// A bare encoder, or one within a model with a head.
void FastConformerOptions::read_pretrained(const PretrainedConfig& pretrained) {
  auto json = pretrained.config.table("encoder_config");
  if (!json.exists()) {
    expect_model_type(pretrained, "fastconformer", "parakeet_encoder");
    json = pretrained.config;
  }
  read_keys(json, fastconformer_keys(), fastconformer_table(), *this);
  if (const auto heads = json.integer("num_key_value_heads", num_heads, 1, 1 << 16); heads != num_heads)
    json.refuse("num_key_value_heads", fmt::format("{}, as num_attention_heads", num_heads));
  check_features(pretrained.preprocessor, *this);
}

}  // namespace antiphon::fastconformer
