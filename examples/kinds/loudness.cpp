// A voice activity detector: how loud it has been of late.
#include <ATen/ATen.h>

#include <antiphon/base/error.h>
#include <antiphon/component/register.h>
#include <antiphon/component/voice_activity.h>
#include <antiphon/nn/linear/linear.h>
#include <antiphon/plugin/manifest.h>

using namespace antiphon;

class Loudness : public VoiceActivity, private Module {
 public:
  Loudness() {
    add("slope", slope_, {1}, Init::ones, Role::vector);
    add("threshold", threshold_, {1}, Init::zeros, Role::vector);
  }
  int64_t sample_rate() const override { return 16000; }
  int64_t window() const override { return 512; }
  at::Tensor forward(const at::Tensor& x, at::Tensor& state) override {
    if (x.dim() != 2 || x.size(1) != window()) fail(ErrorKind::data, "loudness: expected windows of 512 samples");
    const auto level = (x.square().mean(1) + 1e-6).log();
    state = state.defined() ? state * 0.7 + level * 0.3 : level;
    return at::sigmoid((state + 9) * nn::like(slope_, x) - nn::like(threshold_, x));
  }
  Module& module() override { return *this; }
  NameMap name_map() const override { return {{{"{}", "{}"}}, {}, {}}; }

 private:
  at::Tensor slope_, threshold_;
};

ANTIPHON_PLUGIN(loudness, "0.1.0") {
  register_component<VoiceActivity, Loudness>(registrar, "loudness", "how loud it has been of late");
}
