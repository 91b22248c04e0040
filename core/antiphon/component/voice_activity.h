// A voice activity detector says how likely it is that somebody speaks. Sessions use it to detect the end of a turn.
#pragma once
#include <antiphon/component/kind.h>
#include <antiphon/component/module.h>
#include <antiphon/component/name_map.h>

namespace antiphon {

class VoiceActivity {
 public:
  virtual ~VoiceActivity() = default;
  virtual int64_t sample_rate() const = 0;       // Hz
  virtual int64_t window() const = 0;            // samples that one probability covers
  virtual int64_t context() const { return 0; }  // preceding samples that it sees too; zeros before the first window
  // Windows of n clips, x [n, context() + window()] in [-1, 1], in the module's dtype -> [n] probabilities of speech.
  // `state` is undefined before a clip's first window, and replaced by the state for the next window.
  virtual at::Tensor forward(const at::Tensor& x, at::Tensor& state) = 0;
  virtual Module& module() = 0;
  virtual NameMap name_map() const = 0;
};

template <>
struct KindOf<VoiceActivity> : Kind<> {
  static constexpr const char* name = "voice_activity";
};

}  // namespace antiphon
