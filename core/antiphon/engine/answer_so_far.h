// An answer while it is written: what each token means for it, however the model computed what it was drawn from.
#pragma once
#include <exception>
#include <functional>
#include <optional>

#include <antiphon/engine/beams.h>
#include <antiphon/engine/sampling.h>
#include <antiphon/engine/stop_strings.h>

namespace antiphon::engine {

// Called with each new token; returning false ends the answer. Beams give all their tokens at the end.
using OnToken = std::function<bool(int32_t id)>;

enum class Finish { stop, length, ended, failed };

struct Answer {
  std::vector<int32_t> ids;  // without the stop token, but with those that make up a stop string
  Finish finish = Finish::stop;
  std::exception_ptr failure = {};       // Error(data): what the model computed of this text is not finite, …
  std::vector<TokenScores> scores = {};  // of each id, if options.logprobs asks for them
  std::optional<int32_t> stop_id = {};   // the stop token that ended it; none of beams
  TokenScores stop_scores = {};          // of it, as `scores`
};

std::exception_ptr failure(const std::string& message, const std::string& remedy);  // Error(data)

struct AnswerSoFar {
  // `prompt`: its tokens, -1 at media positions. `room`: tokens that the answer may have. Error(internal) if
  // options.stop is set and there is no tokenizer.
  AnswerSoFar(const GenerateOptions& options, std::vector<int32_t> stop_ids, std::vector<int64_t> prompt, int64_t room,
              const std::optional<text::Tokenizer>& tokenizer, OnToken on_token = {});

  size_t prompt() const { return seen.size() - ids.size(); }
  Draft draft() { return {&sampler, {seen, prompt(), stop_ids, left}, &lost}; }
  // Adds a token that was drawn from logits_v [vocab_size]; nullopt: none could be. How the answer ends with it;
  // nullopt: it goes on.
  std::optional<Finish> take(const std::optional<int64_t>& token, const at::Tensor& logits_v);
  // Adds all tokens of the best beam. How the answer ends.
  Finish take(BeamSearch::Answer best);
  // A failure that is not given is that of the last token, or of logits.
  Answer ended(Finish how, std::exception_ptr why = {}) &&;

  Sampler sampler;
  GenerateOptions options;
  std::vector<int32_t> stop_ids;
  std::optional<StopStrings> stops;
  OnToken on_token;
  int64_t left;               // tokens that the answer may still have
  std::vector<int64_t> seen;  // the prompt's tokens and the answer's; -1 at media positions
  std::vector<int32_t> ids = {};
  std::vector<TokenScores> scores = {};
  std::optional<int32_t> stop_id = {};
  TokenScores stop_scores = {};
  std::exception_ptr lost = {};  // why no token could be drawn
};

}  // namespace antiphon::engine
