#include <antiphon/engine/passes.h>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <antiphon/base/error.h>
#include <antiphon/component/training_pass.h>

#include <algorithm>
#include <deque>

namespace antiphon::engine {
namespace {

// A prompt with its answer so far, or one for each beam.
struct Growing {
  AnswerSoFar written;
  std::vector<data::Prepared> rows = {};
  std::unique_ptr<BeamSearch> beams = nullptr;
  std::optional<Answer> answer = {};  // once it has ended
};

class ByPasses {
 public:
  ByPasses(model::MultimodalLm& model, const GenerateOptions& options, const std::vector<int32_t>& stop_ids,
           const std::optional<text::Tokenizer>& tokenizer, const TogetherWith& together)
      : model_(model), options_(options), stop_ids_(stop_ids), tokenizer_(tokenizer), together_(together) {
    check_options(options);
  }

  std::vector<Answer> answers(std::vector<data::Prepared> prompts) {
    for (auto& prompt : prompts) begin(std::move(prompt));
    while (std::ranges::any_of(texts_, [](const Growing& text) { return !text.answer; })) pass();
    std::vector<Answer> all;
    for (auto& text : texts_) all.push_back(std::move(*text.answer));
    return all;
  }

 private:
  void begin(data::Prepared prompt) {
    std::vector<int64_t> seen;
    for (const auto key : keys_of(prompt)) seen.push_back(key.token());
    const auto left = room_for_answer(model_, prompt.tokens(), options_);
    auto& text = texts_.emplace_back(Growing{{options_, stop_ids_, seen, left, tokenizer_}});
    const auto* stops = text.written.stops ? &*text.written.stops : nullptr;
    if (options_.beams() > 1) text.beams = std::make_unique<BeamSearch>(options_, seen, stop_ids_, left, stops);
    text.rows.push_back(std::move(prompt));
  }

  // Every text gets its next token.
  void pass() {
    std::vector<data::Prepared> rows;
    for (const auto& text : texts_)
      if (!text.answer) rows.insert(rows.end(), text.rows.begin(), text.rows.end());
    const auto logits = logits_of(std::move(rows));
    int64_t begin = 0;
    for (auto& text : texts_) {
      if (text.answer) continue;
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
    const auto id = next_tokens(logits, {text.written.draft()}).front();
    if (const auto how = text.written.take(id, logits[0])) return finish(text, *how);
    append(text.rows.front(), *id);
  }

  void grow_beams(Growing& text, const at::Tensor& logits) {
    try {
      const auto steps = text.beams->next(logits);
      if (steps.empty()) return finish(text, text.written.take(std::move(*text.beams).best()));
      std::vector<data::Prepared> rows;
      for (const auto& [parent, id] : steps) append(rows.emplace_back(text.rows[parent]), id);
      text.rows = std::move(rows);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::data) throw;
      finish(text, Finish::failed, std::current_exception());
    }
  }

  static void finish(Growing& text, Finish how, std::exception_ptr why = {}) {
    text.answer = std::move(text.written).ended(how, std::move(why));
  }

  model::MultimodalLm& model_;
  const GenerateOptions& options_;
  const std::vector<int32_t>& stop_ids_;
  const std::optional<text::Tokenizer>& tokenizer_;
  TogetherWith together_;
  std::deque<Growing> texts_;  // beams point into them
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
