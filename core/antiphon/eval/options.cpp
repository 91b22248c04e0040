#include <antiphon/eval/options.h>

namespace antiphon::eval {

const config::Table<EvalOptions>& eval_table() {
  using O = EvalOptions;
  static const auto* table = new config::Table<O>(
      config::Table<O>("eval")
          .field("batch_size", &O::batch_size, "samples at once", {.min = 1, .max = 4096})
          .field("max_tokens", &O::max_tokens, "tokens of an answer, at most", {.min = 1})
          .field("limit", &O::limit, "samples of each set; 0: all", {.min = 0})
          .field("controls", &O::controls, "each set again with its media shuffled between samples, or removed",
                 {.choices = {"shuffled", "removed"}})
          .field("generate", &O::generate, "write answers too, not only measure the loss of the expected ones")
          .field("normalizer", &O::normalizer,
                 "how answers are compared: jiwer (lower case, no punctuation) or whisper (its BasicTextNormalizer)",
                 {.choices = {"jiwer", "whisper"}})
          .field(
              "refusals", &O::refusals,
              "phrases by which an answer that begins with one is a refusal: of samples with task = \"refusal\" and, "
              "if there are such, of all others")
          .field("resamples", &O::resamples, "of the bootstrap intervals and the sign-flip test",
                 {.min = 100, .max = 10000000})
          .field("seed", &O::seed, "of the shuffling and the resamples", {.min = 0}));
  return *table;
}

}  // namespace antiphon::eval
