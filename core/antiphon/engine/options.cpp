#include <antiphon/engine/options.h>

namespace antiphon::engine {

const config::Table<GenerateOptions>& generate_table() {
  using O = GenerateOptions;
  static const auto* table = new config::Table<O>(
      config::Table<O>("generate")
          .field(
              "max_tokens", &O::max_tokens,
              "tokens of an answer, at most; unset, here and below: as the model's generation_config.json says; where "
              "it does not, 128",
              {.min = 1})
          .field("temperature", &O::temperature,
                 "of sampling; 0: the likeliest token each time; unset: that of generation_config.json if it has "
                 "do_sample = true, else 0",
                 {.min = 0, .max = 100})
          .field("top_k", &O::top_k, "sample from the k likeliest tokens; 0, as where nothing says it: all", {.min = 0})
          .field("top_p", &O::top_p, "sample from the likeliest tokens that hold this share (nucleus); 1: all",
                 {.min = 0, .max = 1, .above_min = true})
          .field("min_p", &O::min_p, "sample from tokens at least this share as likely as the likeliest; 0: all",
                 {.min = 0, .max = 1})
          .field("repetition_penalty", &O::repetition_penalty,
                 "divides the logits of tokens that were there before, prompt and answer (multiplies negative ones)",
                 {.min = 0.001, .max = 1000})
          .field("no_repeat_ngram_size", &O::no_repeat_ngram_size, "no run of so many tokens comes twice; 0: it may",
                 {.min = 0, .max = 1000000})
          .field("suppress_tokens", &O::suppress_tokens, "ids that never come; empty: those of generation_config.json",
                 {.min = 0})
          .field("seed", &O::seed, "of the sampling", {.min = 0})
          .field("weights", &O::weights,
                 "the language model's weights in 8 or 4 bits (eval, generate and chat on the CPU, adapters merged); "
                 "empty: as precision.compute. nf4: what precision.weights = \"nf4\" trained over, slower than int4",
                 {.choices = {"", "int8", "int4", "nf4"}}));
  return *table;
}

}  // namespace antiphon::engine
