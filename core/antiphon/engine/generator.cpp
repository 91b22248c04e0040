#include <antiphon/engine/generator.h>

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/engine/step.h>

#include <algorithm>
#include <numeric>

namespace antiphon::engine {
namespace {

// Hidden states of the last token of each prompt.
at::Tensor prefill(model::MultimodalLm& model, std::vector<data::Prepared> prompts, KvCache& cache) {
  auto batch = data::pack(std::move(prompts));
  model.encode(batch);
  std::vector<int64_t> rows(batch.lengths.size()), last;
  std::iota(rows.begin(), rows.end(), 0);
  int64_t end = 0;
  for (const int64_t length : batch.lengths) last.push_back((end += length) - 1);
  return model.forward(batch, &cache, rows).index_select(0, at::tensor(last, at::kLong).to(model.device()));
}

// The tokens of each row so far; -1 at media positions.
std::vector<std::vector<int64_t>> texts_of(const std::vector<data::Prepared>& prompts) {
  std::vector<std::vector<int64_t>> texts;
  for (const auto& prompt : prompts) {
    auto& ids = texts.emplace_back(prompt.ids);
    for (const auto& media : prompt.media) std::fill_n(ids.begin() + media.position, media.item.tokens, -1);
  }
  return texts;
}

}  // namespace

int64_t room_for_answer(model::MultimodalLm& model, int64_t prompt_tokens, int64_t max_tokens) {
  const int64_t context = model.llm().max_positions();
  if (prompt_tokens >= context)
    fail(ErrorKind::data,
         fmt::format("a prompt of {} tokens leaves no room for an answer in the model's context of {}", prompt_tokens,
                     context),
         "shorten the prompt");
  return std::min(max_tokens, context - prompt_tokens);
}

std::vector<std::vector<int32_t>> generate(model::MultimodalLm& model, std::vector<data::Prepared> prompts,
                                           const GenerateOptions& options, const std::vector<int32_t>& stop_ids,
                                           const OnToken& on_token) {
  c10::InferenceMode inference;
  std::vector<int64_t> room;
  int64_t capacity = 0;
  for (const auto& prompt : prompts) {
    room.push_back(room_for_answer(model, prompt.tokens(), options.limit()));
    capacity = std::max(capacity, prompt.tokens() + room.back());
  }
  auto cache = model.llm().make_cache(static_cast<int64_t>(prompts.size()), capacity);
  std::vector<std::vector<int32_t>> answers(prompts.size());
  std::vector<int64_t> rows(prompts.size());
  std::iota(rows.begin(), rows.end(), 0);
  auto texts = texts_of(prompts);
  auto hidden = prefill(model, std::move(prompts), cache);
  Sampler sampler(options);
  for (int64_t step = 0; !rows.empty(); ++step) {
    std::vector<std::span<const int64_t>> seen;
    for (const int64_t row : rows) seen.emplace_back(texts[static_cast<size_t>(row)]);
    const auto ids = sampler.next(logits_of(model, hidden), seen);
    std::vector<int64_t> open_rows, open_ids;
    for (size_t i = 0; i < rows.size(); ++i) {
      const auto row = static_cast<size_t>(rows[i]);
      const auto id = static_cast<int32_t>(ids[i]);
      if (std::find(stop_ids.begin(), stop_ids.end(), id) != stop_ids.end()) continue;
      answers[row].push_back(id), texts[row].push_back(id);
      const bool wanted = !on_token || on_token(row, id);
      if (wanted && step + 1 < room[row]) open_rows.push_back(rows[i]), open_ids.push_back(ids[i]);
    }
    rows = std::move(open_rows);
    if (!rows.empty()) hidden = decode_step(model, open_ids, rows, cache);
  }
  return answers;
}

}  // namespace antiphon::engine
