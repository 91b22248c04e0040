#include <ATen/ATen.h>

#include <antiphon/component/voice_activity.h>
#include <antiphon/nn/linear/linear.h>

#include "faulty.h"

namespace antiphon::fixture {
namespace voice_activity {
namespace {

enum class Fault { none, gives_logits, forgets_past, any_window };

// How loud it has been of late.
template <Fault fault>
class Loudness : public VoiceActivity, private Module {
 public:
  Loudness() {
    add("slope", slope_, {1}, Init::ones, Role::vector);
    add("threshold", threshold_, {1}, Init::zeros, Role::vector);
  }
  int64_t sample_rate() const override { return 16000; }
  int64_t window() const override { return 512; }
  at::Tensor forward(const at::Tensor& x, at::Tensor& state) override {
    if (fault != Fault::any_window && x.size(1) != window()) fail(ErrorKind::data, "expected windows of 512 samples");
    const auto level = (x.square().mean(1) + 1e-6).log();
    state = state.defined() && fault != Fault::forgets_past ? state * 0.7 + level * 0.3 : level;
    const auto logits = (state + 9) * nn::like(slope_, x) - nn::like(threshold_, x);
    return fault == Fault::gives_logits ? logits : at::sigmoid(logits);
  }
  Module& module() override { return *this; }
  NameMap name_map() const override { return {{{"{}", "{}"}}, {}, {}}; }

 private:
  at::Tensor slope_, threshold_;
};

}  // namespace
}  // namespace voice_activity

void add_detectors(plugin::Registrar& registrar) {
  using namespace voice_activity;
  register_component<VoiceActivity, Loudness<Fault::none>>(registrar, "sound", "");
  register_component<VoiceActivity, Loudness<Fault::gives_logits>>(registrar, "gives_logits", "not probabilities");
  register_component<VoiceActivity, Loudness<Fault::forgets_past>>(registrar, "forgets_past", "sees a window alone");
  register_component<VoiceActivity, Loudness<Fault::any_window>>(registrar, "any_window", "takes other lengths");
}

}  // namespace antiphon::fixture
