#include <fmt/format.h>

#include "fastconformer.h"

namespace antiphon::fastconformer {
namespace {

template <class T>
void expect_value(const nlohmann::json& json, const char* file, const char* key, T expected) {
  T value = expected;
  take(json, key, value);
  if (value != expected)
    fail(ErrorKind::weights,
         fmt::format("{} has {} = {}; the plugin fastconformer has {} only", file, key, value, expected));
}

}  // namespace

// A bare encoder, or one within a model with a head.
void FastConformerOptions::read_pretrained(const PretrainedConfig& pretrained) {
  auto json = pretrained.config;
  if (const auto own = pretrained.config.find("encoder_config"); own != pretrained.config.end())
    json = *own;
  else
    expect_model_type(pretrained, "fastconformer", "parakeet_encoder");
  expect_value(json, "config.json", "subsampling_conv_kernel_size", 3);
  expect_value(json, "config.json", "subsampling_conv_stride", 2);
  take(json, "hidden_size", hidden_size);
  take(json, "num_hidden_layers", num_layers);
  take(json, "num_attention_heads", num_heads);
  take(json, "intermediate_size", intermediate_size);
  take(json, "conv_kernel_size", kernel_size);
  take(json, "num_mel_bins", num_mels);
  take(json, "subsampling_factor", subsampling_factor);
  take(json, "subsampling_conv_channels", subsampling_channels);
  take(json, "hidden_act", activation);
  take(json, "attention_bias", attention_bias);
  take(json, "convolution_bias", convolution_bias);
  take(json, "scale_input", scale_input);
  const auto& mel = pretrained.preprocessor;
  if (mel.is_null()) return;
  using Expected = std::initializer_list<std::pair<const char*, int64_t>>;
  for (const auto& [key, value] : Expected{{"hop_length", 160}, {"n_fft", 512}, {"win_length", 400}})
    expect_value(mel, "preprocessor_config.json", key, value);
  expect_value(mel, "preprocessor_config.json", "sampling_rate", 16000);
  expect_value(mel, "preprocessor_config.json", "preemphasis", 0.97);
  expect_value(mel, "preprocessor_config.json", "feature_size", num_mels);
}

const config::Table<FastConformerOptions>& fastconformer_table() {
  using O = FastConformerOptions;
  static const auto* table = new config::Table<O>(
      config::Table<O>("fastconformer")
          .field("hidden_size", &O::hidden_size, "width", {.min = 2})
          .field("num_layers", &O::num_layers, "blocks of the checkpoint", {.min = 1, .max = 1000})
          .field("num_heads", &O::num_heads, "attention heads", {.min = 1})
          .field("intermediate_size", &O::intermediate_size, "width of the feed-forwards", {.min = 1})
          .field("kernel_size", &O::kernel_size, "frames that the depthwise convolution sees; odd", {.min = 1})
          .field("num_mels", &O::num_mels, "mel bands", {.min = 1, .max = 257})
          .field("subsampling_factor", &O::subsampling_factor, "mel frames a vector: 8 are 80 ms; a power of two",
                 {.min = 2, .max = 64})
          .field("subsampling_channels", &O::subsampling_channels, "of the convolutions at the start", {.min = 1})
          .field("activation", &O::activation, "of the feed-forwards and convolutions")
          .field("attention_bias", &O::attention_bias, "biases in attention and feed-forwards")
          .field("convolution_bias", &O::convolution_bias, "biases in the blocks' convolutions")
          .field("scale_input", &O::scale_input, "multiply what enters the blocks by sqrt(hidden_size)")
          .field("window", &O::window, "longer audio is encoded in parts of so many seconds", {.min = 1})
          .field("layer", &O::layer,
                 "feature layer: -1 is the last, n the output of block n, 0 what enters the blocks"));
  return *table;
}

}  // namespace antiphon::fastconformer
