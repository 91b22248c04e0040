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
          .field("metrics", &O::metrics,
                 "of answers: accuracy (exact match), f1 (of words), wer, cer, of normalized texts; chrf (mean of "
                 "sentences), bleu, corpus_chrf, corpus_chrf++, rouge1, rouge2, rougeL, rougeLsum of the texts as they "
                 "are",
                 {.choices = {"accuracy", "f1", "chrf", "wer", "cer", "bleu", "corpus_chrf", "corpus_chrf++", "rouge1",
                              "rouge2", "rougeL", "rougeLsum"}})
          .field("templates", &O::templates,
                 "of dual encoders: texts of a class, such as \"a photo of a {}.\", by whose vectors media are "
                 "classified; the classes are the different texts of the set")
          .field("probe", &O::probe,
                 "of dual encoders: the set of [data.eval] whose texts a linear probe learns to tell by the media's "
                 "vectors; empty: none")
          .field("probe_inverse_l2", &O::probe_inverse_l2, "C of scikit-learn's LogisticRegression",
                 {.min = 0, .max = 1e12, .above_min = true})
          .field("normalizer", &O::normalizer,
                 "how answers are compared: jiwer (lower case, no punctuation), whisper (its BasicTextNormalizer) or "
                 "whisper_english (its EnglishTextNormalizer)",
                 {.choices = {"jiwer", "whisper", "whisper_english"}})
          .field("spelling", &O::spelling,
                 "of whisper_english: a JSON file of British to American words; empty: normalizer.json of the first "
                 "model directory that has one")
          .field("bleu_tokenizer", &O::bleu_tokenizer, "of bleu, as sacrebleu names them",
                 {.choices = {"13a", "zh", "char", "none"}})
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
