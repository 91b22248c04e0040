// A sliding window in the upper layers, as the config.json of Qwen2 and its successors describes it
// (transformers: models/qwen2/configuration_qwen2.py).
#pragma once
#include <antiphon/backbone/decoder_lm.h>

namespace antiphon::backbone {

struct UpperWindowOptions : DecoderLmOptions {
  int64_t sliding_window = 0, max_window_layers = 0;
};

template <class Options>
config::Table<Options> upper_window_table(const std::string& name) {
  using W = UpperWindowOptions;
  auto of = []<class M>(M W::*member) -> M Options::* { return member; };
  return decoder_lm_table<Options>(name)
      .field("sliding_window", of(&W::sliding_window),
             "tokens that a layer with a window sees, the query's own included; 0: no window",
             {.min = 0, .max = 1 << 30})
      .field("max_window_layers", of(&W::max_window_layers), "first layer with the window; those before see all",
             {.min = 0, .max = 1000});
}

// Whether use_sliding_window is on; then `sliding_window` becomes what holds without the key of that name: 0 if it is
// null, else 4096.
bool uses_window(const JsonTable& json, int64_t& sliding_window);
// The keys of the window; sets the family's defaults if the window is on: it is then in layers max_window_layers and
// up.
ForeignKeys window_keys(const JsonTable& json, UpperWindowOptions& options);
// Newer files list the kind of each layer as well: Error(weights) unless that says the same. After the keys are read.
void check_layer_types(const JsonTable& json, const UpperWindowOptions& options);
// The decoder with the window.
nn::DecoderOptions windowed_decoder(const UpperWindowOptions& options);

}  // namespace antiphon::backbone
