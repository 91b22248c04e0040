#include <antiphon/infer/options.h>

#include <antiphon/graph/slot.h>

namespace antiphon::infer {

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
                 "empty: as precision.compute",
                 {.choices = {"", "int8", "int4"}}));
  return *table;
}

const config::Table<SessionOptions>& session_table() {
  using O = SessionOptions;
  static const auto* table = new config::Table<O>(
      config::Table<O>("session")
          .table("vad", &O::vad, graph::voice_activity_slot(), "hears when somebody speaks")
          .field("threshold", &O::threshold, "probability from which a window is speech; silence is 0.15 below",
                 {.min = 0, .max = 1})
          .field("min_speech", &O::min_speech, "seconds of speech that begin a turn", {.min = 0, .max = 10})
          .field("end_silence", &O::end_silence, "seconds of silence that end it", {.min = 0, .max = 60})
          .field("pad", &O::pad, "seconds before and after the speech that belong to it", {.min = 0, .max = 10})
          .field("barge_in", &O::barge_in, "speech stops an answer; else what is said meanwhile is not heard")
          .field("system", &O::system, "a system message")
          .field("instruction", &O::instruction, "text after each spoken turn")
          .field("context", &O::context, "tokens that a conversation may have, at most the model's own",
                 {.min = 16, .max = 1 << 20}));
  return *table;
}

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
          .field("resamples", &O::resamples, "of the bootstrap intervals and the sign-flip test",
                 {.min = 100, .max = 10000000})
          .field("seed", &O::seed, "of the shuffling and the resamples", {.min = 0}));
  return *table;
}

}  // namespace antiphon::infer
