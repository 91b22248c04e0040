// From logits to the next token.
#pragma once
#include <ATen/core/Tensor.h>

#include <exception>
#include <optional>
#include <random>
#include <span>
#include <vector>

#include <antiphon/engine/logits_process.h>

namespace antiphon::engine {

inline constexpr const char* kNotFinite = "the model's scores for the next token are not finite";
inline constexpr const char* kNotFiniteRemedy = "check the weights, or try precision.compute = \"fp32\"";

// Of one text: its random numbers are its own.
class Sampler {
 public:
  explicit Sampler(const GenerateOptions& options) : options_(options), random_(static_cast<uint64_t>(options.seed)) {}
  // logits [rows, vocab_size] of any floating dtype -> one id per row. `texts`: that of each row. First what
  // process_logits() does; then greedy at temperature 0, otherwise softmax at the temperature over the top_k tokens, of
  // these the smallest set of mass top_p, of these what min_p leaves, and before and after that what the other filters
  // leave (sampling_filters.h; as transformers: the temperature first).
  // Error(data) if a row holds NaN, nothing finite is its largest value, or process_logits() leaves it no token.
  std::vector<int64_t> next(const at::Tensor& logits, const std::vector<TextSoFar>& texts = {});
  // Whether next() is the likeliest token and nothing else.
  bool takes_likeliest() const;

 private:
  int64_t draw(const at::Tensor& logits_v);
  std::optional<size_t> place_of(double share, std::span<const double> p, bool all) const;
  GenerateOptions options_;
  std::mt19937_64 random_;
};

// A text that waits for its next token.
struct Draft {
  Sampler* sampler = nullptr;
  TextSoFar text = {};
  std::exception_ptr* failure = nullptr;  // where it is said why no token can be drawn
};

// What the model said of one token, before anything but remove_invalid_values changes its logits: natural logarithms of
// probabilities.
struct TokenScores {
  double logprob = 0;
  std::vector<std::pair<int32_t, double>> top = {};  // the likeliest, likeliest first
};
// logits_v [vocab_size] of any floating dtype -> of token `id` and the likeliest, as many as options.logprobs says.
TokenScores scores_of(const at::Tensor& logits_v, int64_t id, const GenerateOptions& options);

// logits [drafts, vocab_size] -> the next token of each by its own sampler; nullopt if its logits are not finite
// or none may come.
std::vector<std::optional<int64_t>> next_tokens(const at::Tensor& logits, const std::vector<Draft>& drafts);

}  // namespace antiphon::engine
