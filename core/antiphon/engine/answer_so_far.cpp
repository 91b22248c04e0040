#include <antiphon/engine/answer_so_far.h>

#include <antiphon/base/error.h>

#include <algorithm>

namespace antiphon::engine {

std::exception_ptr failure(const std::string& message, const std::string& remedy) {
  return std::make_exception_ptr(Error(ErrorKind::data, message, remedy));
}

AnswerSoFar::AnswerSoFar(const GenerateOptions& given, std::vector<int32_t> ends, std::vector<int64_t> prompt,
                         int64_t room, const std::optional<text::Tokenizer>& tokenizer, OnToken called)
    : sampler(given),
      options(given),
      stop_ids(std::move(ends)),
      on_token(std::move(called)),
      left(room),
      seen(std::move(prompt)) {
  if (options.stop.empty()) return;
  if (!tokenizer) fail(ErrorKind::internal, "generate.stop is set, and there is no tokenizer");
  stops.emplace(*tokenizer, options.stop);
}

std::optional<Finish> AnswerSoFar::take(const std::optional<int64_t>& token, const at::Tensor& logits_v) {
  if (!token) return Finish::failed;
  const auto id = static_cast<int32_t>(*token);
  if (std::ranges::find(stop_ids, id) != stop_ids.end()) {
    stop_id = id;
    if (options.logprobs) stop_scores = scores_of(logits_v, id, options);
    return Finish::stop;
  }
  ids.push_back(id), seen.push_back(id), --left;
  if (options.logprobs) scores.push_back(scores_of(logits_v, id, options));
  if (on_token && !on_token(id)) return Finish::ended;
  if (stops && stops->completed_by_last(ids)) return Finish::stop;
  return left == 0 ? std::optional(Finish::length) : std::nullopt;
}

Finish AnswerSoFar::take(BeamSearch::Answer best) {
  for (size_t i = 0; i < best.ids.size(); ++i) {
    ids.push_back(best.ids[i]);
    if (!best.scores.empty()) scores.push_back(std::move(best.scores[i]));
    if (on_token && !on_token(best.ids[i])) return Finish::ended;
  }
  return best.stopped ? Finish::stop : Finish::length;
}

Answer AnswerSoFar::ended(Finish how, std::exception_ptr why) && {
  if (how == Finish::failed && !why) why = lost ? lost : failure(kNotFinite, kNotFiniteRemedy);
  return {std::move(ids), how, std::move(why), std::move(scores), stop_id, std::move(stop_scores)};
}

}  // namespace antiphon::engine
