#include <antiphon/session/conversation.h>

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/engine/step.h>

#include <algorithm>

namespace antiphon::session {
namespace {

KvCache made_cache(model::MultimodalLm& model, int64_t capacity) {
  c10::InferenceMode inference;
  return model.llm().make_cache(1, std::min(capacity, model.llm().max_positions()));
}

// Where the parts of a medium begin, within it, and where the last one ends.
std::vector<int64_t> bounds_of(const model::BatchMedia& media) {
  std::vector<int64_t> bounds{0};
  for (const auto tokens : media.item.part_tokens) bounds.push_back(bounds.back() + tokens);
  return bounds;
}

std::string content_of(const model::BatchMedia& media, size_t part) {
  const bool by_part = part < media.part_contents.size();
  return media.stream + ":" + (by_part ? media.part_contents[part] : fmt::format("{}#{}", media.content, part));
}

constexpr uint64_t medium = uint64_t{1} << 63;

// Text by its id; a position within a medium by its part's content and its place in it.
std::vector<uint64_t> keys_of(const data::Prepared& prompt) {
  std::vector<uint64_t> keys(prompt.ids.begin(), prompt.ids.end());
  for (const auto& media : prompt.media) {
    const auto bounds = bounds_of(media);
    for (size_t part = 0; part + 1 < bounds.size(); ++part) {
      const auto content = std::hash<std::string>{}(content_of(media, part));
      for (int64_t i = bounds[part]; i < bounds[part + 1]; ++i)
        keys[static_cast<size_t>(media.position + i)] =
            medium | (content + static_cast<uint64_t>(i - bounds[part]) * 0x9E3779B97F4A7C15U);
    }
  }
  return keys;
}

// How much of the prompt the cache holds: not its last token, whose hidden state is wanted, and whole parts of media.
int64_t shared(const std::vector<uint64_t>& held, const std::vector<uint64_t>& keys, const data::Prepared& prompt) {
  const auto end = std::mismatch(held.begin(), held.end(), keys.begin(), keys.end()).second;
  auto common = std::min<int64_t>(end - keys.begin(), prompt.tokens() - 1);
  for (const auto& media : prompt.media)
    if (media.position < common && common < media.position + media.item.tokens) {
      const auto bounds = bounds_of(media);
      common = media.position + *std::prev(std::ranges::upper_bound(bounds, common - media.position));
    }
  return common;
}

// The medium without what lies before `begin` within it.
void drop_parts(model::BatchMedia& media, int64_t begin) {
  auto& item = media.item;
  const auto bounds = bounds_of(media);
  const auto parts = std::ranges::lower_bound(bounds, begin) - bounds.begin();
  const auto drop = [&](auto& list) {
    list.erase(list.begin(), list.begin() + std::min<long>(parts, static_cast<long>(list.size())));
  };
  for (auto& inputs : item.inputs) drop(inputs);
  drop(item.features), drop(item.part_tokens), drop(media.part_contents);
  item.tokens -= begin;
}

data::Prepared from(data::Prepared prompt, int64_t begin) {
  prompt.ids.erase(prompt.ids.begin(), prompt.ids.begin() + begin);
  prompt.supervised.erase(prompt.supervised.begin(), prompt.supervised.begin() + begin);
  std::erase_if(prompt.media, [&](const auto& media) { return media.position + media.item.tokens <= begin; });
  for (auto& media : prompt.media) {
    if (media.position < begin) drop_parts(media, begin - media.position);
    media.position = std::max<int64_t>(0, media.position - begin);
  }
  return prompt;
}

}  // namespace

Conversation::Conversation(model::MultimodalLm& model, int64_t capacity)
    : model_(model), cache_(made_cache(model, capacity)) {}

int64_t Conversation::prefill(data::Prepared prompt) {
  c10::InferenceMode inference;
  if (prompt.tokens() > capacity())
    fail(ErrorKind::data, fmt::format("the conversation has {} tokens; {} fit", prompt.tokens(), capacity()),
         "begin a new one, or raise the capacity");
  auto keys = keys_of(prompt);
  if (keys == held_ && hidden_.defined() && !unread_) return 0;
  const int64_t begin = shared(held_, keys, prompt);
  auto batch = data::pack({from(std::move(prompt), begin)});
  batch.positions_t = batch.positions_t + begin;
  model_.encode(batch);
  sampler_.reset(), unread_.reset();
  cache_.lengths[0] = begin;
  held_.resize(static_cast<size_t>(begin));
  const auto hidden = model_.forward(batch, &cache_, {0});
  hidden_ = hidden.narrow(0, hidden.size(0) - 1, 1);
  held_ = std::move(keys);
  return batch.tokens();
}

void Conversation::begin_answer(const engine::GenerateOptions& options, std::vector<int32_t> stop_ids) {
  if (!hidden_.defined()) fail(ErrorKind::data, "there is no prompt to answer", "call prefill() first");
  sampler_.emplace(options), stop_ids_ = std::move(stop_ids), unread_.reset(), left_ = options.limit();
  seen_.clear();
  for (const auto key : held_) seen_.push_back(key & medium ? -1 : static_cast<int64_t>(key));
}

std::optional<int32_t> Conversation::next() {
  c10::InferenceMode inference;
  if (!sampler_ || left_ == 0) return std::nullopt;
  if (unread_) {
    if (length() == capacity())
      fail(ErrorKind::data, fmt::format("the conversation is full: {} tokens", capacity()), "begin a new one");
    hidden_ = engine::decode_step(model_, {*unread_}, {0}, cache_);
    held_.push_back(static_cast<uint64_t>(*unread_));
    unread_.reset();
  }
  const auto id = static_cast<int32_t>(sampler_->next(engine::logits_of(model_, hidden_), {seen_}).front());
  if (std::ranges::find(stop_ids_, id) != stop_ids_.end()) {
    sampler_.reset();
    return std::nullopt;
  }
  unread_ = id, --left_;
  seen_.push_back(id);
  return id;
}

void Conversation::reset() {
  held_.clear();
  cache_.lengths[0] = 0;
  hidden_ = at::Tensor();
  sampler_.reset(), unread_.reset();
}

}  // namespace antiphon::session
