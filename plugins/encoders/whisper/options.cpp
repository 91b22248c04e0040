#include <fmt/format.h>

#include "whisper.h"

namespace antiphon::whisper {
void WhisperOptions::read_pretrained(const PretrainedConfig& pretrained) {
  const auto& json = pretrained.config;
  std::string type;
  take(json, "model_type", type);
  if (type == "qwen2_audio_encoder")
    length = "masked", pool = 2;
  else
    expect_model_type(pretrained, "whisper", "whisper");
  take(json, "d_model", hidden_size);
  take(json, "encoder_layers", num_layers);
  take(json, "encoder_attention_heads", num_heads);
  take(json, "encoder_ffn_dim", intermediate_size);
  take(json, "num_mel_bins", num_mels);
  take(json, "max_source_positions", max_positions);
  take(json, "activation_function", activation);
}

const config::Table<WhisperOptions>& whisper_table() {
  using O = WhisperOptions;
  static const auto* table = new config::Table<O>(
      config::Table<O>("whisper")
          .field("hidden_size", &O::hidden_size, "width", {.min = 1})
          .field("num_layers", &O::num_layers, "blocks of the checkpoint's encoder", {.min = 1, .max = 1000})
          .field("num_heads", &O::num_heads, "attention heads", {.min = 1})
          .field("intermediate_size", &O::intermediate_size, "width of the MLP", {.min = 1})
          .field("num_mels", &O::num_mels, "mel bands: 80, or 128 from large-v3 on", {.min = 1, .max = 512})
          .field("max_positions", &O::max_positions, "vectors of a full window; 1500 are 30 s", {.min = 1})
          .field("activation", &O::activation, "of the MLP and the convolutions")
          .field(
              "length", &O::length,
              "window: each window is filled up with silence, as the model was trained; clip: the clip's own "
              "length, about ten times cheaper for short clips; masked: the mel spectrogram is that of a window, and "
              "only the clip's own frames are encoded, as in Qwen2-Audio",
              {.choices = {"window", "clip", "masked"}})
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

}  // namespace antiphon::whisper
