#include "fastconformer.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <antiphon/media/audio/log_mel.h>
#include <antiphon/media/audio/normalized_log_mel.h>
#include <antiphon/nn/blocks/encoder_layer.h>
#include <antiphon/nn/blocks/run_blocks.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <span>

namespace antiphon::fastconformer {
namespace {

constexpr int64_t kKernel = 3;

int64_t halved(int64_t length) { return (length - 1) / 2 + 1; }

void check(const FastConformerOptions& o) {
  if (o.hidden_size % o.num_heads != 0 || o.hidden_size % 2 != 0)
    fail(ErrorKind::config, fmt::format("fastconformer: hidden_size = {} must be even and a multiple of num_heads = {}",
                                        o.hidden_size, o.num_heads));
  if (!std::has_single_bit(static_cast<uint64_t>(o.subsampling_factor)))
    fail(ErrorKind::config,
         fmt::format("fastconformer: subsampling_factor = {} is not a power of two", o.subsampling_factor));
  if (o.kernel_size % 2 == 0)
    fail(ErrorKind::config, fmt::format("fastconformer: kernel_size = {} is not odd", o.kernel_size));
}

nn::ConformerOptions block(const FastConformerOptions& o) {
  return {o.hidden_size,    o.intermediate_size, o.num_heads, o.kernel_size,
          o.attention_bias, o.convolution_bias,  o.activation};
}

}  // namespace

Subsampling::Subsampling(const FastConformerOptions& o)
    : halvings_(std::countr_zero(static_cast<uint64_t>(o.subsampling_factor))) {
  const int64_t channels = o.subsampling_channels;
  add_conv(0, {channels, 1, kKernel, kKernel}, 2, 1);
  int64_t bands = halved(o.num_mels);
  for (int64_t i = 1; i < halvings_; ++i) {
    const auto place = static_cast<size_t>(3 * i - 1);
    add_conv(place, {channels, 1, kKernel, kKernel}, 2, channels);
    add_conv(place + 1, {channels, channels, 1, 1}, 1, 1);
    bands = halved(bands);
  }
  linear_ = std::make_unique<nn::Linear>(channels * bands, o.hidden_size, true);
  add("linear", *linear_);
}

Subsampling::Conv& Subsampling::add_conv(size_t place, at::IntArrayRef shape, int64_t stride, int64_t groups) {
  auto& conv = *convs_.emplace_back(std::make_unique<Conv>());
  conv.stride = stride, conv.groups = groups;
  add(fmt::format("layers.{}.weight", place), conv.weight, shape, Init::linear_uniform, Role::filter);
  add(fmt::format("layers.{}.bias", place), conv.bias, {shape[0]}, Init::zeros, Role::vector);
  return conv;
}

int64_t Subsampling::length(int64_t frames) const {
  for (int64_t i = 0; i < halvings_; ++i) frames = halved(frames);
  return frames;
}

// An activation follows the first convolution and each pointwise one.
at::Tensor Subsampling::forward(const at::Tensor& mels) const {
  auto x = mels.unsqueeze(1);
  for (const auto& conv : convs_) {
    const bool depthwise = conv->groups > 1;
    x = at::conv2d(x, nn::like(conv->weight, x), nn::like(conv->bias, x), conv->stride, conv->stride > 1 ? 1 : 0, 1,
                   conv->groups);
    if (!depthwise) x = at::relu(x);
  }
  return linear_->forward(x.transpose(1, 2).flatten(2));
}

FastConformer::FastConformer(const FastConformerOptions& options)
    : options_((check(options), options)), subsampling_(options) {
  add("subsampling", subsampling_);
  const int64_t used = nn::layers_used("fastconformer", options.layer, options.num_layers);
  for (int64_t i = 0; i < used; ++i) {
    layers_.push_back(std::make_unique<nn::ConformerBlock>(block(options)));
    add(fmt::format("layers.{}", i), *layers_.back());
  }
}

// Audio longer than a window becomes several parts; nothing is cut off but the rest of a frame. Less than two frames
// are filled up with silence.
std::vector<at::Tensor> FastConformer::process(const MediaItem& item) const {
  if (item.modality != Modality::audio)
    fail(ErrorKind::data, fmt::format("fastconformer takes audio and got {}", to_string(item.modality)));
  if (item.audio.sample_rate != sample_rate())
    fail(ErrorKind::data,
         fmt::format("fastconformer wants {} Hz and got {} Hz", sample_rate(), item.audio.sample_rate));
  if (item.audio.samples.empty()) fail(ErrorKind::data, "the audio has no samples");
  constexpr int64_t least = 2 * media::kLogMelHop;
  std::span<const float> samples = item.audio.samples;
  std::vector<float> filled;
  if (samples.size() < least) {
    filled = item.audio.samples;
    filled.resize(least, 0.0F);
    samples = filled;
  }
  const auto total = static_cast<int64_t>(samples.size());
  const auto window = std::max(static_cast<int64_t>(options_.window * static_cast<double>(sample_rate())), least);
  std::vector<at::Tensor> parts;
  for (int64_t begin = 0; begin < total;) {
    int64_t n = std::min(window, total - begin);
    if (total - begin - n < least) n = total - begin;  // a rest too short for a part of its own
    parts.push_back(media::normalized_log_mel(samples.subspan(static_cast<size_t>(begin), static_cast<size_t>(n)),
                                              options_.num_mels));
    begin += n;
  }
  return parts;
}

TokenGrid FastConformer::output_grid(at::IntArrayRef part_shape) const {
  if (part_shape.size() != 2 || part_shape[1] != options_.num_mels || part_shape[0] < 1)
    fail(ErrorKind::data, fmt::format("fastconformer: expected a part [frames, {}], got [{}]", options_.num_mels,
                                      fmt::join(part_shape, ", ")));
  return {1, subsampling_.length(part_shape[0])};
}

at::Tensor FastConformer::forward(const at::Tensor& parts) {
  auto x = subsampling_.forward(parts);
  if (options_.scale_input) x = x * std::sqrt(static_cast<double>(options_.hidden_size));
  // Never as in training: the checkpoint's statistics come from more speech than fine-tuning sees.
  const nn::ConformerPass pass{.positions = nn::relative_positions(x.size(1), options_.hidden_size, x)};
  return nn::run_blocks(layers_, x,
                        [pass](const auto& layer, const at::Tensor& in, size_t) { return layer.forward(in, pass); });
}

NameMap FastConformer::name_map() const {
  NameMap map;
  map.rules = {{"encoder.{}", "{}"}, {"{}", "{}"}};  // within a model with a head, or alone
  map.ignored = {"*num_batches_tracked", "ctc_head.*", "decoder.*", "joint.*", "modality_adapter.*", "proj.*"};
  for (int64_t i = static_cast<int64_t>(layers_.size()); i < options_.num_layers; ++i)
    for (const char* prefix : {"encoder.", ""}) map.ignored.push_back(fmt::format("{}layers.{}.*", prefix, i));
  return map;
}

}  // namespace antiphon::fastconformer
