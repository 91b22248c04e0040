#include <antiphon/engine/options.h>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <set>

namespace antiphon::engine {
namespace {

const config::Table<SequenceBias>& bias_table() {
  static const auto* table =
      new config::Table<SequenceBias>(config::Table<SequenceBias>("sequence_bias")
                                          .field("ids", &SequenceBias::ids, "of the run", {.required = true, .min = 0})
                                          .field("bias", &SequenceBias::bias, "added to the logit of its last token",
                                                 {.required = true, .min = -1e6, .max = 1e6}));
  return *table;
}

void check_last(const std::vector<int64_t>& forced) {
  if (forced.size() > 1 && std::ranges::count(forced, -1) > 0)
    fail(ErrorKind::config,
         fmt::format("generate.forced_eos_token_id is [{}]; -1, which says that none is forced, stands alone",
                     fmt::join(forced, ", ")),
         "take -1 or the others out");
}

void check_biases(const std::vector<SequenceBias>& biases) {
  std::set<std::vector<int64_t>> runs;
  for (const auto& [ids, bias] : biases) {
    if (ids.empty())
      fail(ErrorKind::config, fmt::format("generate.sequence_bias has a bias of {} for no ids", bias),
           "give it ids, or take it out");
    if (!runs.insert(ids).second)
      fail(ErrorKind::config,
           fmt::format("generate.sequence_bias has two biases of the ids [{}]", fmt::join(ids, ", ")),
           "say one of them");
  }
}

void check_decay(const std::vector<double>& decay) {
  if (decay.empty() || (decay.size() == 2 && decay[0] == std::floor(decay[0]))) return;
  fail(ErrorKind::config,
       fmt::format("generate.exponential_decay_length_penalty is [{}]; expected a whole number of tokens and a factor",
                   fmt::join(decay, ", ")),
       "write it as [20, 1.1]");
}

}  // namespace

const config::Table<GenerateOptions>& generate_table() {
  using O = GenerateOptions;
  static const auto* table = new config::Table<O>(
      config::Table<O>("generate")
          .field(
              "max_tokens", &O::max_tokens,
              "tokens of an answer, at most; unset, here and below: as the model's generation_config.json says; if it "
              "does not, 128",
              {.min = 1})
          .field("max_length", &O::max_length,
                 "tokens of a prompt and its answer together, at most; without effect beside max_tokens", {.min = 1})
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
          .field("top_h", &O::top_h,
                 "sample from the likeliest tokens that have this part of the entropy of the 100 likeliest; 0: all",
                 {.min = 0, .max = 1})
          .field("typical_p", &O::typical_p,
                 "sample from the tokens nearest to the mean surprise that hold this share; 1: all",
                 {.min = 0, .max = 1, .above_min = true})
          .field("epsilon_cutoff", &O::epsilon_cutoff, "sample from tokens that have at least this share; 0 or 1: all",
                 {.min = 0, .max = 1})
          .field("eta_cutoff", &O::eta_cutoff,
                 "the same with a cutoff that is lower if many tokens are likely, sqrt(eta) * exp(-entropy) at most; 0 "
                 "or 1: all",
                 {.min = 0, .max = 1})
          .field("repetition_penalty", &O::repetition_penalty,
                 "divides the logits of tokens that were there before, prompt and answer (multiplies negative ones)",
                 {.min = 0.001, .max = 1000})
          .field("encoder_repetition_penalty", &O::encoder_repetition_penalty,
                 "multiplies the logits of tokens of the prompt (divides negative ones)", {.min = 0.001, .max = 1000})
          .field("presence_penalty", &O::presence_penalty,
                 "taken off the logit of each token that the answer has already", {.min = -100, .max = 100})
          .field("frequency_penalty", &O::frequency_penalty,
                 "taken off the logit of a token for each time that the answer has it", {.min = -100, .max = 100})
          .field("no_repeat_ngram_size", &O::no_repeat_ngram_size, "no run of so many tokens comes twice; 0: it may",
                 {.min = 0, .max = 1000000})
          .field("encoder_no_repeat_ngram_size", &O::encoder_no_repeat_ngram_size,
                 "no run of so many tokens that the prompt has comes again; 0: it may", {.min = 0, .max = 1000000})
          .field("min_new_tokens", &O::min_new_tokens, "no stop token comes before the answer has so many tokens",
                 {.min = 0, .max = 1000000})
          .field("min_length", &O::min_length,
                 "no stop token comes before the prompt and its answer together have so many tokens; without effect "
                 "beside min_new_tokens",
                 {.min = 0, .max = 1000000})
          .field("suppress_tokens", &O::suppress_tokens, "ids that never come; empty: those of generation_config.json",
                 {.min = 0})
          .field("begin_suppress_tokens", &O::begin_suppress_tokens,
                 "ids that no answer begins with; empty: those of generation_config.json", {.min = 0})
          .tables(
              "sequence_bias", &O::sequence_bias, bias_table(),
              "added to logits of tokens that complete a run of ids; no table: those of generation_config.json; one of "
              "bias 0: none")
          .field("forced_bos_token_id", &O::forced_bos_token_id,
                 "the first token of an answer to a prompt of one token; -1: none; unset: as generation_config.json "
                 "says",
                 {.min = -1})
          .field("forced_eos_token_id", &O::forced_eos_token_id,
                 "ids of which one is the last token of an answer that is as long as it may be; [-1]: none; empty: as "
                 "generation_config.json says",
                 {.min = -1})
          .field(
              "exponential_decay_length_penalty", &O::exponential_decay_length_penalty,
              "[tokens, factor]: after so many tokens of an answer the logits of stop tokens grow by the factor with "
              "each token; [0, 1]: they do not; empty: as generation_config.json says",
              {.min = 0, .max = 1000000})
          .field("remove_invalid_values", &O::remove_invalid_values,
                 "logits that are not a number count as 0 and infinite ones as the largest number, where they are an "
                 "error without it")
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
          .field("renormalize_logits", &O::renormalize_logits,
                 "of beams: what penalties and bans leave is made a distribution again before it counts")
          .field("logprobs", &O::logprobs,
                 "log-probabilities of the answer's tokens and of so many of the likeliest at each place, in what "
                 "generate --json and eval write; unset: none",
                 {.min = 0, .max = 1000})
          .field("seed", &O::seed, "of the sampling", {.min = 0})
          .field("weights", &O::weights,
                 "the language model's weights in 8 or 4 bits (eval, generate and chat on the CPU, adapters merged); "
                 "empty: as precision.compute. nf4: what precision.weights = \"nf4\" trained over, slower than int4",
                 {.choices = {"", "int8", "int4", "nf4"}})
          .field("attributes", &O::attributes,
                 "a table: attribute of data.attributes = number that answers are asked to have, { quality = 4 }; eval "
                 "takes what a record says of its answer if there is none"));
  return *table;
}

void check_options(const GenerateOptions& o) {
  if (o.beams() > 1 && !o.greedy())
    fail(ErrorKind::config,
         fmt::format("generate.num_beams = {} with generate.temperature = {}: beams are not sampled", o.beams(),
                     *o.temperature),
         "set generate.temperature = 0, or generate.num_beams = 1");
  check_last(o.forced_eos_token_id);
  check_decay(o.exponential_decay_length_penalty);
  check_biases(o.sequence_bias);
  for (const auto& text : o.stop)
    if (text.empty())
      fail(ErrorKind::config, "generate.stop has an empty text, which would end every answer", "take it out");
}

void check_ids(const GenerateOptions& o, int64_t vocab_size, ErrorKind kind, const std::string& where) {
  const auto check = [&](const char* name, const std::vector<int64_t>& ids) {
    for (const int64_t id : ids)
      if (id >= vocab_size)
        fail(kind,
             fmt::format("{}{} has the token id {}; the model's vocabulary has the ids 0 to {}", where, name, id,
                         vocab_size - 1),
             fmt::format("take it out, or say generate.{} for this model", name));
  };
  check("forced_bos_token_id", {o.forced_bos_token_id.value_or(-1)});
  check("forced_eos_token_id", o.forced_eos_token_id);
  for (const auto& one : o.sequence_bias) check("sequence_bias", one.ids);
  for (const auto& word : o.bad_words_ids) check("bad_words_ids", word);
}

}  // namespace antiphon::engine
