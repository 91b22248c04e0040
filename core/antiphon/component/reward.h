// What an answer is worth that the model wrote.
#pragma once
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include <antiphon/component/kind.h>
#include <antiphon/component/sample.h>

namespace antiphon {

struct WrittenAnswer {
  const Sample& sample;       // the record whose prompt was answered
  std::string_view expected;  // the answer that it has, as text; empty: none
  std::string_view text;      // the one that was written, without its thought and the token that ends it
  int64_t tokens = 0;         // that were written, the thought and the token that ends it among them
  bool ended = true;          // false: it was cut at train.rollout.max_tokens
};

class Reward {
 public:
  virtual ~Reward() = default;
  // One number an answer, in their order; NaN: it cannot be judged. Each answer is judged by itself.
  virtual std::vector<double> score(std::span<const WrittenAnswer> answers) = 0;
};

template <>
struct KindOf<Reward> : Kind<> {
  static constexpr const char* name = "reward";
};

}  // namespace antiphon
