// Beam search over one text. Source: transformers, generation/utils.py, _beam_search with its defaults: the same ids.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <vector>

#include <antiphon/engine/sampling.h>
#include <antiphon/engine/stop_strings.h>

namespace antiphon::engine {

class BeamSearch {
 public:
  // An answer, finished or not. `score`: the sum of what the processed log-probabilities of its tokens are; of a
  // finished one divided by (tokens ^ length_penalty), its stop token included.
  struct Answer {
    std::vector<int32_t> ids = {};
    std::vector<TokenScores> scores = {};  // if options.logprobs asks for them
    float score = 0;
    bool stopped = false;  // by a stop token, which ids does not have, or a stop string
  };
  // How a beam goes on: by which earlier one, with which token.
  struct Step {
    size_t parent = 0;
    int64_t id = 0;
  };

  // `prompt`: its tokens, negative at media positions. `room`: tokens that an answer may have, at least 1.
  BeamSearch(const GenerateOptions& options, std::vector<int64_t> prompt, std::vector<int32_t> stop_ids, int64_t room,
             const StopStrings* stops);
  // logits [beams, vocab_size] of any floating dtype: of one beam at first, then of those that the last call gave, in
  // their order. The beams from now on; none once the search is over. Error(data) if no logit is finite, but
  // with remove_invalid_values, or if no token may come and no answer has ended.
  std::vector<Step> next(const at::Tensor& logits);
  // What the beams have written so far, in the order of the last call's steps.
  const std::vector<Answer>& running() const { return running_; }
  // The best answer, once the search is over.
  Answer best() &&;

 private:
  struct Candidate {
    Step step;
    float score = 0;
    bool ends = false, by_stop = false;
  };
  at::Tensor scores_of_all(const at::Tensor& logp) const;
  std::vector<Candidate> candidates(const at::Tensor& totals) const;
  Answer grown(const Candidate& candidate, const at::Tensor& logits) const;
  void finish_some(const std::vector<Candidate>& candidates, const at::Tensor& logits);
  std::vector<Step> go_on(std::vector<Candidate> candidates, const at::Tensor& logits);
  std::vector<Step> over_without_token() const;
  bool may_improve() const;
  bool full() const { return static_cast<int64_t>(finished_.size()) == options_.beams(); }

  GenerateOptions options_;
  std::vector<int64_t> prompt_;
  std::vector<int32_t> stop_ids_;
  int64_t room_;
  const StopStrings* stops_;
  int64_t length_ = 0;                                // tokens of each running answer
  std::vector<Answer> running_{Answer()}, finished_;  // best first
};

}  // namespace antiphon::engine
