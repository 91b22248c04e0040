#include <antiphon/engine/options.h>

#include <antiphon/base/error.h>

#include <fmt/format.h>

namespace antiphon::engine {

const config::Table<GenerateOptions>& generate_table() {
  using O = GenerateOptions;
  static const auto* table = new config::Table<O>(
      config::Table<O>("generate")
          .field(
              "max_tokens", &O::max_tokens,
              "tokens of an answer, at most; unset, here and below: as the model's generation_config.json says; if it "
              "does not, 128",
              {.min = 1})
          .field("temperature", &O::temperature,
                 "of sampling; 0: the likeliest token each time; unset: that of generation_config.json if it has "
                 "do_sample = true, else 0",
                 {.min = 0, .max = 100})
          .field("top_k", &O::top_k,
                 "sample from the k likeliest tokens; 0, the default if nothing says otherwise: all", {.min = 0})
          .field("top_p", &O::top_p, "sample from the likeliest tokens that hold this share (nucleus); 1: all",
                 {.min = 0, .max = 1, .above_min = true})
          .field("min_p", &O::min_p, "sample from tokens at least this share as likely as the likeliest; 0: all",
                 {.min = 0, .max = 1})
          .field("repetition_penalty", &O::repetition_penalty,
                 "divides the logits of tokens that were there before, prompt and answer (multiplies negative ones)",
                 {.min = 0.001, .max = 1000})
          .field("presence_penalty", &O::presence_penalty,
                 "taken off the logit of each token that the answer has already", {.min = -100, .max = 100})
          .field("frequency_penalty", &O::frequency_penalty,
                 "taken off the logit of a token for each time that the answer has it", {.min = -100, .max = 100})
          .field("no_repeat_ngram_size", &O::no_repeat_ngram_size, "no run of so many tokens comes twice; 0: it may",
                 {.min = 0, .max = 1000000})
          .field("min_new_tokens", &O::min_new_tokens, "no stop token comes before the answer has so many tokens",
                 {.min = 0, .max = 1000000})
          .field("suppress_tokens", &O::suppress_tokens, "ids that never come; empty: those of generation_config.json",
                 {.min = 0})
          .field("begin_suppress_tokens", &O::begin_suppress_tokens,
                 "ids that no answer begins with; empty: those of generation_config.json", {.min = 0})
          .field("stop", &O::stop, "texts that end an answer, which ends before them")
          .field("num_beams", &O::num_beams,
                 "beam search with so many beams, whose best answer counts; 1: none. Not with a temperature",
                 {.min = 1, .max = 1024})
          .field("length_penalty", &O::length_penalty,
                 "of beams: the score of an answer is divided by its length to this power; unset: 1",
                 {.min = -100, .max = 100})
          .field("early_stopping", &O::early_stopping,
                 "of beams: stop as soon as there are num_beams answers (true), when a better one is unlikely (false; "
                 "the same if empty), or cannot come (never)",
                 {.choices = {"", "true", "false", "never"}})
          .field("logprobs", &O::logprobs,
                 "log-probabilities of the answer's tokens and of so many of the likeliest at each place, in what "
                 "generate --json and eval write; unset: none",
                 {.min = 0, .max = 1000})
          .field("seed", &O::seed, "of the sampling", {.min = 0})
          .field("weights", &O::weights,
                 "the language model's weights in 8 or 4 bits (eval, generate and chat on the CPU, adapters merged); "
                 "empty: as precision.compute. nf4: what precision.weights = \"nf4\" trained over, slower than int4",
                 {.choices = {"", "int8", "int4", "nf4"}}));
  return *table;
}

void check_options(const GenerateOptions& o) {
  if (o.beams() > 1 && !o.greedy())
    fail(ErrorKind::config,
         fmt::format("generate.num_beams = {} with generate.temperature = {}: beams are not sampled", o.beams(),
                     *o.temperature),
         "set generate.temperature = 0, or generate.num_beams = 1");
  for (const auto& text : o.stop)
    if (text.empty())
      fail(ErrorKind::config, "generate.stop has an empty text, which would end every answer", "take it out");
}

}  // namespace antiphon::engine
