#include <antiphon/engine/passes.h>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <antiphon/base/error.h>
#include <antiphon/component/training_pass.h>
#include <antiphon/engine/stop_strings.h>

#include <algorithm>

namespace antiphon::engine {
namespace {

// A prompt and its answer so far, or one for each beam.
struct Growing {
  std::vector<data::Prepared> rows;
  std::vector<int64_t> seen;  // the prompt's tokens and the answer's; -1 at media positions
  size_t prompt = 0;          // of these
  int64_t left = 0;           // tokens that the answer may still have
  Sampler sampler;
  std::unique_ptr<BeamSearch> beams = nullptr;
  Answer answer = {};
  bool done = false;
};

class ByPasses {
 public:
  ByPasses(model::MultimodalLm& model, const GenerateOptions& options, const std::vector<int32_t>& stop_ids,
           const std::optional<text::Tokenizer>& tokenizer, const TogetherWith& together)
      : model_(model), options_(options), stop_ids_(stop_ids), together_(together) {
    check_options(options);
    if (options.stop.empty()) return;
    if (!tokenizer) fail(ErrorKind::internal, "generate.stop is set, and there is no tokenizer");
    stops_.emplace(*tokenizer, options.stop);
  }

  std::vector<Answer> answers(std::vector<data::Prepared> prompts) {
    for (auto& prompt : prompts) begin(std::move(prompt));
    while (std::ranges::any_of(texts_, [](const Growing& text) { return !text.done; })) pass();
    std::vector<Answer> all;
    for (auto& text : texts_) all.push_back(std::move(text.answer));
    return all;
  }

 private:
  void begin(data::Prepared prompt) {
    std::vector<int64_t> seen;
    for (const auto key : keys_of(prompt)) seen.push_back(key.token());
    const auto left = room_for_answer(model_, prompt.tokens(), options_.limit());
    auto& text = texts_.emplace_back(Growing{{}, seen, seen.size(), left, Sampler(options_)});
    if (options_.beams() > 1)
      text.beams = std::make_unique<BeamSearch>(options_, seen, stop_ids_, left, stops_ ? &*stops_ : nullptr);
    text.rows.push_back(std::move(prompt));
  }

  // Every text gets its next token.
  void pass() {
    std::vector<data::Prepared> rows;
    for (const auto& text : texts_)
      if (!text.done) rows.insert(rows.end(), text.rows.begin(), text.rows.end());
    const auto logits = logits_of(std::move(rows));
    int64_t begin = 0;
    for (auto& text : texts_) {
      if (text.done) continue;
      const auto own = logits.narrow(0, begin, std::ssize(text.rows));
      begin += own.size(0);
      text.beams ? grow_beams(text, own) : grow(text, own);
    }
  }

  at::Tensor logits_of(std::vector<data::Prepared> rows) {
    const auto count = std::ssize(rows);
    auto batch = data::pack(std::move(rows), data::kPackMultiple);
    if (!encoded_) encode(batch);
    std::vector<int64_t> last;
    for (int64_t end = 0, i = 0; i < count; ++i) last.push_back((end += batch.lengths[static_cast<size_t>(i)]) - 1);
    auto logits = model_.next_logits(batch, at::tensor(last, at::kLong));
    if (logits.defined()) logits = logits.to(at::kFloat).contiguous();
    if (!together_.block) return logits;
    if (!logits.defined())
      logits = at::empty({count, model_.llm().vocab_size()}, at::TensorOptions(model_.device()).dtype(at::kFloat));
    together_.block->broadcast(logits, together_.root);
    return logits;
  }

  // Once: the texts, which are all in the first pass, keep what comes out.
  void encode(model::Batch& batch) {
    model_.encode(batch);
    encoded_ = true;
    size_t next = 0;
    for (auto& text : texts_)
      for (auto& media : text.rows.front().media) {
        const auto position = media.position;
        media = batch.media[next++];
        media.position = position;
      }
  }

  void grow(Growing& text, const at::Tensor& logits) {
    const auto id = next_tokens(logits, {Draft{&text.sampler, {text.seen, text.prompt, stop_ids_}}}).front();
    if (!id) {
      text.answer.failure = std::make_exception_ptr(Error(ErrorKind::data, kNotFinite, kNotFiniteRemedy));
      return finish(text, Finish::failed);
    }
    const auto token = static_cast<int32_t>(*id);
    if (std::ranges::find(stop_ids_, token) != stop_ids_.end()) return finish(text, Finish::stop);
    text.answer.ids.push_back(token), text.seen.push_back(token), --text.left;
    if (const auto& k = options_.logprobs) text.answer.scores.push_back(scores_of(logits[0], token, *k));
    append(text.rows.front(), token);
    if (stops_ && stops_->completed_by_last(text.answer.ids)) return finish(text, Finish::stop);
    if (text.left == 0) finish(text, Finish::length);
  }

  void grow_beams(Growing& text, const at::Tensor& logits) {
    try {
      const auto steps = text.beams->next(logits);
      if (steps.empty()) {
        auto best = std::move(*text.beams).best();
        text.answer.ids = std::move(best.ids), text.answer.scores = std::move(best.scores);
        return finish(text, best.stopped ? Finish::stop : Finish::length);
      }
      std::vector<data::Prepared> rows;
      for (const auto& [parent, id] : steps) append(rows.emplace_back(text.rows[parent]), id);
      text.rows = std::move(rows);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::data) throw;
      text.answer.failure = std::current_exception();
      finish(text, Finish::failed);
    }
  }

  static void finish(Growing& text, Finish how) { text.done = true, text.answer.finish = how; }

  model::MultimodalLm& model_;
  const GenerateOptions& options_;
  const std::vector<int32_t>& stop_ids_;
  TogetherWith together_;
  std::optional<StopStrings> stops_;
  std::vector<Growing> texts_;
  bool encoded_ = false;
};

}  // namespace

std::vector<Answer> answers_by_passes(model::MultimodalLm& model, std::vector<data::Prepared> prompts,
                                      const GenerateOptions& options, const std::vector<int32_t>& stop_ids,
                                      const std::optional<text::Tokenizer>& tokenizer, const TogetherWith& together) {
  c10::AutoGradMode no_grad(false);
  const TrainingPass training(false);
  return ByPasses(model, options, stop_ids, tokenizer, together).answers(std::move(prompts));
}

}  // namespace antiphon::engine
