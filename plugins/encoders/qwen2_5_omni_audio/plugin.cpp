#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <antiphon/component/register.h>
#include <antiphon/nn/activation.h>
#include <antiphon/nn/blocks/run_blocks.h>
#include <antiphon/nn/convolution.h>
#include <antiphon/nn/linear/linear.h>
#include <antiphon/plugin/manifest.h>

#include <algorithm>
#include <cmath>

#include "omni_audio.h"

namespace antiphon::qwen2_5_omni_audio {
namespace {

constexpr int64_t kFewest = 3;  // frames that give a vector

// [length, width] float32: sines, then cosines (SinusoidsPositionEmbedding, as in Whisper).
at::Tensor sinusoids(int64_t length, int64_t width) {
  const auto step = -std::log(10000.0) / static_cast<double>(width / 2 - 1);
  const auto frequencies = at::exp(at::arange(width / 2).to(at::kFloat) * step);
  const auto angles = at::arange(length).to(at::kFloat).unsqueeze(1) * frequencies;
  return at::cat({at::sin(angles), at::cos(angles)}, 1);
}

int64_t checked_width(const OmniAudioOptions& o) {
  if (o.hidden_size % o.num_heads != 0 || o.hidden_size % 2 != 0)
    fail(ErrorKind::config,
         fmt::format("qwen2_5_omni_audio: hidden_size = {} is not an even multiple of num_heads = {}", o.hidden_size,
                     o.num_heads));
  return o.hidden_size;
}

int64_t vectors_of(int64_t frames) { return (frames + 1) / 2; }

}  // namespace

OmniAudio::OmniAudio(const OmniAudioOptions& options)
    : options_(options),
      positions_td_(sinusoids(options.n_window, checked_width(options))),
      norm_(nn::NormKind::layer, options.hidden_size, 1e-5) {
  const int64_t width = options.hidden_size;
  add("conv1.weight", conv1_weight_, {width, options.num_mels, 3}, Init::linear_uniform, Role::filter);
  add("conv1.bias", conv1_bias_, {width}, Init::zeros, Role::vector);
  add("conv2.weight", conv2_weight_, {width, width, 3}, Init::linear_uniform, Role::filter);
  add("conv2.bias", conv2_bias_, {width}, Init::zeros, Role::vector);
  nn::EncoderLayerOptions layer;
  layer.hidden_size = width, layer.intermediate_size = options.intermediate_size, layer.num_heads = options.num_heads;
  layer.key_bias = false, layer.activation = options.activation;
  for (int64_t i = 0; i < options.num_layers; ++i) {
    layers_.push_back(std::make_unique<nn::EncoderLayer>(layer));
    add(fmt::format("layers.{}", i), *layers_.back());
  }
  add("layer_norm", norm_);
}

std::vector<int64_t> OmniAudio::example_shape() const { return {options_.num_mels, kFewest}; }

// Frames whose middle is in the sound. What is heard in the silence after them counts for the loudest band, which the
// floor is below, as in the reference, which fills up to max_seconds.
at::Tensor OmniAudio::mel_of(std::span<const float> samples) const {
  const int64_t hop = media::kLogMelHop, longest = options_.max_seconds * sample_rate();
  const int64_t frames = std::max(kFewest, (static_cast<int64_t>(samples.size()) + hop - 1) / hop);
  const auto mel = media::log_mel(samples, {options_.num_mels, std::min((frames + 3) * hop, longest)});
  return mel.narrow(1, 0, frames).contiguous();
}

// Nothing is cut off.
std::vector<at::Tensor> OmniAudio::process(const MediaItem& item) const {
  if (item.modality != Modality::audio)
    fail(ErrorKind::data, fmt::format("qwen2_5_omni_audio takes audio and got {}", to_string(item.modality)));
  if (item.audio.sample_rate != sample_rate())
    fail(ErrorKind::data,
         fmt::format("qwen2_5_omni_audio wants {} Hz and got {} Hz", sample_rate(), item.audio.sample_rate));
  if (item.audio.samples.empty()) fail(ErrorKind::data, "the audio has no samples");
  const std::span<const float> all = item.audio.samples;
  const auto longest = static_cast<size_t>(options_.max_seconds * sample_rate());
  std::vector<at::Tensor> parts;
  for (size_t begin = 0; begin < all.size(); begin += longest)
    parts.push_back(mel_of(all.subspan(begin, std::min(longest, all.size() - begin))));
  return parts;
}

TokenGrid OmniAudio::output_grid(at::IntArrayRef shape) const {
  if (shape.size() != 2 || shape[0] != options_.num_mels || shape[1] < kFewest)
    fail(ErrorKind::data, fmt::format("qwen2_5_omni_audio: expected a part [{}, at least {}], got [{}]",
                                      options_.num_mels, kFewest, fmt::join(shape, ", ")));
  return {1, vectors_of(shape[1]) / 2};
}

// [n, mels, frames] of a chunk or less -> [n, vectors, hidden_size].
at::Tensor OmniAudio::embed(const at::Tensor& frames_nmt) const {
  const auto convolve = [](const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, int64_t stride) {
    return nn::activate("gelu", nn::convolve_rows(x, weight, bias, stride));
  };
  const auto rows = frames_nmt.transpose(1, 2);
  const auto y = convolve(convolve(rows, conv1_weight_, conv1_bias_, 1), conv2_weight_, conv2_bias_, 2);
  return y + positions_td_.narrow(0, 0, y.size(1)).to(y.options());
}

at::Tensor OmniAudio::forward(const at::Tensor& parts) {
  const int64_t count = parts.size(0), frames = parts.size(2), width = options_.hidden_size;
  const int64_t chunks = frames / options_.chunk(), rest = frames % options_.chunk(),
                whole = chunks * options_.n_window;
  // Full chunks are one batch, and what is left of each part another.
  const auto through = [&](const auto& of_chunks, const auto& of_rest) {
    std::vector<at::Tensor> both;
    if (chunks) both.push_back(of_chunks().reshape({count, whole, width}));
    if (rest) both.push_back(of_rest());
    return at::cat(both, 1);
  };
  const auto x = through(
      [&] {
        const auto full = parts.narrow(2, 0, chunks * options_.chunk());
        return embed(full.unflatten(2, {chunks, options_.chunk()}).transpose(1, 2).flatten(0, 1));
      },
      [&] { return embed(parts.narrow(2, frames - rest, rest)); });
  const int64_t n_window = options_.n_window, left = vectors_of(rest);
  const auto block = [=](const nn::EncoderLayer& layer, const at::Tensor& in, size_t) {
    std::vector<at::Tensor> both;
    if (chunks) {
      const auto full = in.narrow(1, 0, whole).reshape({count * chunks, n_window, width});
      both.push_back(layer.forward(full).view({count, whole, width}));
    }
    if (rest) both.push_back(layer.forward(in.narrow(1, whole, left)));
    return at::cat(both, 1);
  };
  const auto y = nn::run_blocks(layers_, x, block);
  return norm_.forward(at::avg_pool1d(y.transpose(1, 2), 2).transpose(1, 2));
}

NameMap OmniAudio::name_map() const {
  NameMap map;
  map.rules = {{"conv1.{}", "conv1.{}"},
               {"conv2.{}", "conv2.{}"},
               {"layers.{}.self_attn_layer_norm.{}", "layers.{}.norm1.{}"},
               {"layers.{}.final_layer_norm.{}", "layers.{}.norm2.{}"},
               {"layers.{}.self_attn.out_proj.{}", "layers.{}.self_attn.o_proj.{}"},
               {"layers.{}.self_attn.{}", "layers.{}.self_attn.{}"},
               {"layers.{}.fc{}", "layers.{}.mlp.fc{}"},
               {"ln_post.{}", "layer_norm.{}"}};
  map.ignored = {"proj.*", "audio_bos_eos_token.*"};
  return map;
}

}  // namespace antiphon::qwen2_5_omni_audio

ANTIPHON_PLUGIN(qwen2_5_omni_audio, "0.1.0") {
  using namespace antiphon::qwen2_5_omni_audio;
  antiphon::register_component<antiphon::Encoder, OmniAudio>(registrar, "qwen2_5_omni_audio",
                                                             "the audio tower of Qwen2.5-Omni", omni_audio_table());
}
