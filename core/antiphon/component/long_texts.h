// Beside LanguageModel, for decoders that turn every token of a text otherwise once it is longer than what they were
// trained with at first (LongRoPE, Ding et al. 2024; dynamic NTK).
#pragma once
#include <antiphon/component/language_model.h>

#include <optional>

namespace antiphon {

// How long a text is counts from where its last token is. DecoderInput has all tokens of a text, or a row of the cache
// has the others. If long texts are alike, those were computed on the same side of the limit: whoever decodes computes
// a row anew that grows beyond it, as transformers does (models/phi3, prepare_inputs_for_generation). If they are not,
// what is written goes on from keys of when the text was shorter, as there (models/llama), and no prompt beyond the
// limit does.
class LongTexts {
 public:
  virtual ~LongTexts() = default;
  // The longest text, in positions, that is computed as a short one; nullopt: all are.
  virtual std::optional<int64_t> longest_short() const = 0;
  // Whether long texts turn alike, however long they are.
  virtual bool long_are_alike() const { return true; }
};

inline std::optional<int64_t> longest_short(const LanguageModel& model) {
  const auto* own = dynamic_cast<const LongTexts*>(&model);
  return own ? own->longest_short() : std::nullopt;
}

inline bool long_are_alike(const LanguageModel& model) {
  const auto* own = dynamic_cast<const LongTexts*>(&model);
  return !own || own->long_are_alike();
}

}  // namespace antiphon
