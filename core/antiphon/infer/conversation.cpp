#include <antiphon/infer/conversation.h>

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/infer/step.h>

#include <algorithm>

namespace antiphon::infer {
namespace {

KvCache made_cache(graph::MultimodalLm& model, int64_t capacity) {
  c10::InferenceMode inference;
  return model.llm().make_cache(1, std::min(capacity, model.llm().max_positions()));
}

// Text by its id; a position within a medium by the medium's content and its place in it.
std::vector<uint64_t> keys_of(const data::Prepared& prompt) {
  constexpr uint64_t medium = uint64_t{1} << 63;
  std::vector<uint64_t> keys(prompt.ids.begin(), prompt.ids.end());
  for (const auto& media : prompt.media) {
    const auto content = std::hash<std::string>{}(media.stream + ":" + media.content);
    for (int64_t i = 0; i < media.item.tokens; ++i)
      keys[static_cast<size_t>(media.position + i)] = medium | (content + static_cast<uint64_t>(i) * 0x9E3779B97F4A7C15U);
  }
  return keys;
}

// How much of the prompt the cache holds: not its last token, whose hidden state is wanted, and no part of a medium.
int64_t shared(const std::vector<uint64_t>& held, const std::vector<uint64_t>& keys, const data::Prepared& prompt) {
  const auto end = std::mismatch(held.begin(), held.end(), keys.begin(), keys.end()).second;
  auto common = std::min<int64_t>(end - keys.begin(), prompt.tokens() - 1);
  for (const auto& media : prompt.media)
    if (media.position < common && common < media.position + media.item.tokens) common = media.position;
  return common;
}

data::Prepared from(data::Prepared prompt, int64_t begin) {
  prompt.ids.erase(prompt.ids.begin(), prompt.ids.begin() + begin);
  prompt.supervised.erase(prompt.supervised.begin(), prompt.supervised.begin() + begin);
  std::erase_if(prompt.media, [&](const auto& media) { return media.position < begin; });
  for (auto& media : prompt.media) media.position -= begin;
  return prompt;
}

}  // namespace

Conversation::Conversation(graph::MultimodalLm& model, int64_t capacity)
    : model_(model), cache_(made_cache(model, capacity)) {}

int64_t Conversation::prefill(data::Prepared prompt) {
  c10::InferenceMode inference;
  if (prompt.tokens() > capacity())
    fail(ErrorKind::data, fmt::format("the conversation has {} tokens; {} fit", prompt.tokens(), capacity()),
         "begin a new one, or raise the capacity");
  auto keys = keys_of(prompt);
  const int64_t begin = shared(held_, keys, prompt);
  auto batch = data::pack({from(std::move(prompt), begin)});
  batch.positions_t = batch.positions_t + begin;
  model_.encode(batch);
  cache_.lengths[0] = begin;
  held_.resize(static_cast<size_t>(begin));
  const auto hidden = model_.forward(batch, &cache_, {0});
  hidden_ = hidden.narrow(0, hidden.size(0) - 1, 1);
  held_ = std::move(keys);
  return batch.tokens();
}

std::vector<int32_t> Conversation::answer(const GenerateOptions& options, const std::vector<int32_t>& stop_ids,
                                          const std::function<bool(int32_t)>& on_token) {
  c10::InferenceMode inference;
  if (!hidden_.defined()) fail(ErrorKind::data, "there is no prompt to answer", "call prefill() first");
  Sampler sampler(options);
  std::vector<int32_t> answer;
  while (static_cast<int64_t>(answer.size()) < options.max_tokens) {
    const auto id = sampler.next(logits_of(model_, hidden_)).front();
    if (std::find(stop_ids.begin(), stop_ids.end(), static_cast<int32_t>(id)) != stop_ids.end()) break;
    answer.push_back(static_cast<int32_t>(id));
    if (on_token && !on_token(answer.back())) break;
    if (static_cast<int64_t>(answer.size()) == options.max_tokens) break;
    if (length() == capacity())
      fail(ErrorKind::data, fmt::format("the conversation is full: {} tokens", capacity()), "begin a new one");
    hidden_ = decode_step(model_, {id}, {0}, cache_);
    held_.push_back(static_cast<uint64_t>(id));
  }
  return answer;
}

void Conversation::reset() {
  held_.clear();
  cache_.lengths[0] = 0;
  hidden_ = at::Tensor();
}

}  // namespace antiphon::infer
