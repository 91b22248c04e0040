#include "whisper.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <antiphon/media/audio/log_mel.h>
#include <antiphon/nn/activation.h>
#include <antiphon/nn/blocks/run_blocks.h>
#include <antiphon/nn/convolution.h>
#include <antiphon/nn/linear/linear.h>

#include <algorithm>
#include <cmath>

namespace antiphon::whisper {
namespace {

// The second convolution has stride 2: one vector for two mel frames, 20 ms.
constexpr int64_t kSamplesPerVector = 2 * media::kLogMelHop;

int64_t samples_of(double seconds) { return std::llround(seconds * media::kLogMelSampleRate); }

}  // namespace

Whisper::Whisper(const WhisperOptions& options)
    : options_(options), layers_used_(nn::layers_used("whisper", options.layer, options.num_layers)) {
  const int64_t width = options.hidden_size;
  if (width % options.num_heads != 0)
    fail(ErrorKind::config,
         fmt::format("whisper: hidden_size = {} is not a multiple of num_heads = {}", width, options.num_heads));
  chunking_ = {samples_of(options.chunk), samples_of(options.left_context)};
  check_chunks();
  add("conv1.weight", conv1_weight_, {width, options.num_mels, 3}, Init::linear_uniform, Role::filter);
  add("conv1.bias", conv1_bias_, {width}, Init::zeros, Role::vector);
  add("conv2.weight", conv2_weight_, {width, width, 3}, Init::linear_uniform, Role::filter);
  add("conv2.bias", conv2_bias_, {width}, Init::zeros, Role::vector);
  add("embed_positions.weight", positions_, {options.max_positions, width}, Init::normal_002, Role::embedding);
  nn::EncoderLayerOptions layer;
  layer.hidden_size = width, layer.intermediate_size = options.intermediate_size, layer.num_heads = options.num_heads;
  layer.key_bias = false, layer.activation = options.activation;
  for (int64_t i = 0; i < layers_used_; ++i) {
    layers_.push_back(std::make_unique<nn::EncoderLayer>(layer));
    add(fmt::format("layers.{}", i), *layers_.back());
  }
  if (layers_used_ == options.num_layers && options.layer == -1) {
    norm_ = std::make_unique<nn::Norm>(nn::NormKind::layer, width, 1e-5);
    add("layer_norm", *norm_);
  }
}

void Whisper::check_chunks() const {
  const auto [chunk, context] = chunking_;
  const auto refuse = [&](const std::string& what, const std::string& fix) {
    fail(ErrorKind::config,
         fmt::format("whisper: chunk = {}, left_context = {}: {}", options_.chunk, options_.left_context, what), fix);
  };
  if (chunk == 0 && context > 0) refuse("there is no chunk to see a context", "set chunk too");
  if (chunk == 0) return;
  if (options_.length != "clip") refuse("the length is '" + options_.length + "'", "use length = \"clip\"");
  const int64_t step = kSamplesPerVector * options_.multiple;
  if (chunk % step != 0)
    refuse(fmt::format("a chunk of {} samples is not a multiple of {}", chunk, step),
           fmt::format("use multiples of {} s, which are {} vectors",
                       static_cast<double>(step) / media::kLogMelSampleRate, options_.multiple));
  if (context % chunk != 0) refuse("the context is not a number of whole chunks", "use a multiple of chunk");
  if (options_.multiple % options_.pool != 0)
    refuse(fmt::format("the end of a clip may not fill a run of {} vectors", options_.pool),
           "set multiple to that of pool");
  if (chunk + context > options_.max_positions * kSamplesPerVector)
    refuse(fmt::format("together they have more than {} vectors", options_.max_positions), "use shorter ones");
}

int64_t Whisper::sample_rate() const { return media::kLogMelSampleRate; }

Chunking Whisper::chunking() const { return chunking_; }

std::vector<int64_t> Whisper::example_shape() const {
  const bool full = options_.length == "window" || options_.length == "whole";
  return {options_.num_mels, full ? 2 * options_.max_positions : 4 * options_.pool};
}

int64_t Whisper::clip_vectors(int64_t samples) const {
  const int64_t step = kSamplesPerVector * options_.multiple;
  return std::min(options_.max_positions,
                  std::max<int64_t>(2 * options_.pool, (samples + step - 1) / step * options_.multiple));
}

// Of the vectors of a part, those that are not its context's. The context is whole chunks, so the rest tells.
int64_t Whisper::own_vectors(int64_t vectors) const {
  const int64_t chunk = chunking_.samples / kSamplesPerVector;
  return chunk ? (vectors - 1) % chunk + 1 : vectors;
}

// [mels, frames]. "masked": the clip's own frames, two per vector, and one more if there is one, since the convolutions
// see it: an odd last frame gives no vector.
at::Tensor Whisper::mel_of(std::span<const float> samples) const {
  const int64_t window = options_.max_positions * kSamplesPerVector, n = static_cast<int64_t>(samples.size());
  const media::LogMelOptions clip{options_.num_mels, clip_vectors(n) * kSamplesPerVector};
  if (options_.length == "clip") return media::log_mel(samples, clip);
  const auto mel = media::log_mel(samples, {options_.num_mels, window});
  if (options_.length == "window") return mel;
  const int64_t frames = (n + media::kLogMelHop - 1) / media::kLogMelHop;
  const int64_t vectors = std::max<int64_t>(2 * options_.pool, (frames + 1) / 2);
  return mel.narrow(1, 0, std::min(2 * vectors + 1, mel.size(1))).contiguous();
}

// Windows of one spectrogram: frames at their edges hear both sides, and the loudest band of all sets the floor.
std::vector<at::Tensor> Whisper::windows_of_whole(std::span<const float> samples) const {
  const int64_t window = options_.max_positions * kSamplesPerVector, frames = 2 * options_.max_positions;
  const int64_t count = (static_cast<int64_t>(samples.size()) + window - 1) / window;
  const auto mel = media::log_mel(samples, {options_.num_mels, count * window});
  std::vector<at::Tensor> parts;
  for (int64_t i = 0; i < count; ++i) parts.push_back(mel.narrow(1, i * frames, frames).contiguous());
  return parts;
}

// A clip becomes chunks with their context, or several parts if it is longer than a window; nothing is cut off.
std::vector<at::Tensor> Whisper::process(const MediaItem& item) const {
  if (item.modality != Modality::audio)
    fail(ErrorKind::data, fmt::format("whisper takes audio and got {}", to_string(item.modality)));
  if (item.audio.sample_rate != sample_rate())
    fail(ErrorKind::data, fmt::format("whisper wants {} Hz and got {} Hz", sample_rate(), item.audio.sample_rate));
  if (item.audio.samples.empty()) fail(ErrorKind::data, "the audio has no samples");
  if (options_.length == "whole") return windows_of_whole(item.audio.samples);
  const int64_t window = options_.max_positions * kSamplesPerVector,
                total = static_cast<int64_t>(item.audio.samples.size());
  const int64_t step = chunking_.samples ? chunking_.samples : window;
  std::vector<at::Tensor> parts;
  for (int64_t begin = 0; begin < total; begin += step) {
    const int64_t from = std::max<int64_t>(0, begin - chunking_.context), end = std::min(begin + step, total);
    parts.push_back(mel_of({item.audio.samples.data() + from, static_cast<size_t>(end - from)}));
  }
  return parts;
}

TokenGrid Whisper::output_grid(at::IntArrayRef part_shape) const {
  if (part_shape.size() != 2 || part_shape[0] != options_.num_mels || part_shape[1] > 2 * options_.max_positions)
    fail(ErrorKind::data, fmt::format("whisper: expected a part [{}, at most {}], got [{}]", options_.num_mels,
                                      2 * options_.max_positions, fmt::join(part_shape, ", ")));
  return {1, own_vectors(part_shape[1] / 2) / options_.pool};
}

at::Tensor Whisper::forward(const at::Tensor& parts) {
  auto convolve = [&](const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, int64_t stride) {
    return nn::activate("gelu", nn::convolve_rows(x, weight, bias, stride));
  };
  auto x = convolve(convolve(parts.transpose(1, 2), conv1_weight_, conv1_bias_, 1), conv2_weight_, conv2_bias_, 2);
  const int64_t vectors = parts.size(2) / 2;
  x = x.narrow(1, 0, vectors) + nn::like(positions_.narrow(0, 0, vectors), x);
  x = nn::run_blocks(layers_, x, [](const auto& layer, const at::Tensor& in, size_t) { return layer.forward(in); });
  const int64_t own = own_vectors(vectors);
  x = x.narrow(1, vectors - own, own);
  if (options_.pool > 1) x = at::avg_pool1d(x.transpose(1, 2), options_.pool).transpose(1, 2);
  return norm_ ? norm_->forward(x) : x;
}

NameMap Whisper::name_map() const {
  NameMap map;
  // WhisperForConditionalGeneration, then WhisperModel, then a bare encoder.
  for (const std::string prefix : {"model.encoder.", "encoder.", ""}) {
    const std::vector<NameRule> rules{{"conv1.{}", "conv1.{}"},
                                      {"conv2.{}", "conv2.{}"},
                                      {"embed_positions.weight", "embed_positions.weight"},
                                      {"layers.{}.self_attn_layer_norm.{}", "layers.{}.norm1.{}"},
                                      {"layers.{}.final_layer_norm.{}", "layers.{}.norm2.{}"},
                                      {"layers.{}.self_attn.out_proj.{}", "layers.{}.self_attn.o_proj.{}"},
                                      {"layers.{}.self_attn.{}", "layers.{}.self_attn.{}"},
                                      {"layers.{}.fc{}", "layers.{}.mlp.fc{}"},
                                      {"layer_norm.{}", "layer_norm.{}"}};
    for (const auto& rule : rules) map.rules.push_back({prefix + rule.checkpoint, rule.parameter});
    if (!norm_) map.ignored.push_back(prefix + "layer_norm.*");
    for (int64_t i = layers_used_; i < options_.num_layers; ++i)
      map.ignored.push_back(fmt::format("{}layers.{}.*", prefix, i));
  }
  map.ignored.insert(map.ignored.end(), {"model.decoder.*", "decoder.*", "proj_out.*"});
  return map;
}

}  // namespace antiphon::whisper
