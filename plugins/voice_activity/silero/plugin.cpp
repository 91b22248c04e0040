// Silero VAD 6 at 16 kHz (snakers4/silero-vad; its Python package holds the weights and
// src/silero_vad/tinygrad_model.py the architecture): a short-time spectrum, four convolutions and an LSTM cell over
// windows of 32 ms.
#include <ATen/ATen.h>

#include <antiphon/component/register.h>
#include <antiphon/component/voice_activity.h>
#include <antiphon/nn/linear/linear.h>
#include <antiphon/plugin/manifest.h>

#include <fmt/format.h>

namespace antiphon::silero {
namespace {

constexpr int64_t kWindow = 512, kContext = 64;
constexpr int64_t kBins = 129, kFrame = 256, kHop = 128;  // of the spectrum
constexpr int64_t kWidth = 128, kNarrow = 64;

}  // namespace

struct SileroOptions {
  void read_pretrained(const PretrainedConfig& pretrained) { expect_model_type(pretrained, "silero", "silero_vad"); }
};

const config::Table<SileroOptions>& silero_table() {
  static const auto* table = new config::Table<SileroOptions>("silero");
  return *table;
}

class Silero : public VoiceActivity, private Module {
 public:
  explicit Silero(const SileroOptions&) {
    add("stft_conv.weight", basis_, {2 * kBins, 1, kFrame}, Init::linear_uniform, Role::filter);
    const int64_t in[] = {kBins, kWidth, kNarrow, kNarrow}, out[] = {kWidth, kNarrow, kNarrow, kWidth};
    for (size_t i = 0; i < 4; ++i) {
      add(fmt::format("conv{}.weight", i + 1), convs_[i].weight, {out[i], in[i], 3}, Init::linear_uniform,
          Role::filter);
      add(fmt::format("conv{}.bias", i + 1), convs_[i].bias, {out[i]}, Init::zeros, Role::vector);
    }
    for (const bool input : {true, false}) {
      const std::string suffix = input ? "ih" : "hh";
      add("lstm_cell.weight_" + suffix, input ? weight_ih_ : weight_hh_, {4 * kWidth, kWidth}, Init::linear_uniform,
          Role::matrix);
      add("lstm_cell.bias_" + suffix, input ? bias_ih_ : bias_hh_, {4 * kWidth}, Init::zeros, Role::vector);
    }
    add("final_conv.weight", head_.weight, {1, kWidth, 1}, Init::linear_uniform, Role::filter);
    add("final_conv.bias", head_.bias, {1}, Init::zeros, Role::vector);
  }

  int64_t sample_rate() const override { return 16000; }
  int64_t window() const override { return kWindow; }
  int64_t context() const override { return kContext; }
  at::Tensor forward(const at::Tensor& x, at::Tensor& state) override;
  Module& module() override { return *this; }
  NameMap name_map() const override { return {{{"{}", "{}"}}, {}, {}}; }

 private:
  struct Conv {
    at::Tensor weight, bias;
    at::Tensor operator()(const at::Tensor& x, int64_t stride, int64_t padding) const {
      return at::conv1d(x, nn::like(weight, x), nn::like(bias, x), stride, padding);
    }
  };
  at::Tensor basis_, weight_ih_, weight_hh_, bias_ih_, bias_hh_;
  Conv convs_[4], head_;
};

at::Tensor Silero::forward(const at::Tensor& x, at::Tensor& state) {
  if (x.dim() != 2 || x.size(1) != kContext + kWindow)
    fail(ErrorKind::data, fmt::format("silero: expected windows [n, {}], got a tensor of {} axes and {} samples",
                                      kContext + kWindow, x.dim(), x.size(-1)));
  const auto padded = at::reflection_pad1d(x.unsqueeze(1), {0, kContext});
  const auto spectrum = at::conv1d(padded, nn::like(basis_, x), {}, kHop);
  const auto real = spectrum.narrow(1, 0, kBins), imaginary = spectrum.narrow(1, kBins, kBins);
  auto h = (real * real + imaginary * imaginary).sqrt();
  for (size_t i = 0; i < 4; ++i) h = convs_[i](h, i == 1 || i == 2 ? 2 : 1, 1).relu();
  if (!state.defined()) state = at::zeros({2, x.size(0), kWidth}, x.options());
  const auto [hidden, cell] = at::lstm_cell(h.squeeze(-1), {state[0], state[1]}, nn::like(weight_ih_, x),
                                            nn::like(weight_hh_, x), nn::like(bias_ih_, x), nn::like(bias_hh_, x));
  state = at::stack({hidden, cell});
  return head_(hidden.unsqueeze(-1).relu(), 1, 0).sigmoid().flatten();
}

}  // namespace antiphon::silero

ANTIPHON_PLUGIN(silero, "0.1.0") {
  using namespace antiphon::silero;
  antiphon::register_component<antiphon::VoiceActivity, Silero>(registrar, "silero", "Silero VAD 6 at 16 kHz",
                                                                silero_table());
}
