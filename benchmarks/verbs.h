// What `antiphon_bench` measures: a function a verb, each prints one JSON line.
#pragma once
#include <string>
#include <vector>

#include "measure.h"

namespace antiphon::bench {

struct Flags {
  std::string model, dtype = "fp32", what, path, weights;
  int threads = 0;
  int64_t batch = 4, rows = 1, sequence = 256, budget = 2048;
  int64_t layers = 6, blocks = 6;  // of a language model and of a tower
  bool full = false, recompute = false;
  std::vector<int64_t> lengths;
  Repeats repeats;
};

// Steps of training, with random weights: LoRA, or all parameters (`full`), on samples of one length, with or without
// activations computed again (`recompute`); LoRA on packed samples of `lengths`; a picture and text in each sample
// (`what`: connector, full or lora).
void train(const Flags& flags);
void mixed(const Flags& flags);
void llava(const Flags& flags);

// Qwen3-VL with so many `layers` and `blocks`, a picture in each sample; Qwen2.5-Omni's thinker, a picture and a sound
// in each; `what`: train (LoRA and the connectors) or decode.
void vision(const Flags& flags);
void omni(const Flags& flags);

// Greedy, KV cache, `rows` answers at once; `weights`: int8, int4, or as computed.
void decode(const Flags& flags);

// An encoder's forward pass; `what`: whisper, clip or siglip.
void encode(const Flags& flags);

// What loader threads do: a log-mel spectrogram, pictures to pixels, the frames of the video `path`.
void mel(const Flags& flags);
void pictures(const Flags& flags);
void video(const Flags& flags);

// Text to ids: the lines of the file `text` in the folder `path`, by the tokenizer there.
void tokenize(const Flags& flags);

// 512 MB of tensors below the folder `path`: a checkpoint of a run, and a file of weights into a module.
void checkpoint(const Flags& flags);
void load(const Flags& flags);

}  // namespace antiphon::bench
