#include <antiphon/engine/held_text.h>

#include <fmt/format.h>

#include <algorithm>

namespace antiphon::engine {
namespace {

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

// How far the position of each token lies from its place; on all axes by as much, as it is text.
std::vector<double> shifts_of(const data::Prepared& prompt) {
  if (!prompt.positions_at.defined()) return {};
  const auto shifts_t =
      (prompt.positions_at[0].to(at::kDouble) - at::arange(prompt.tokens(), at::kDouble)).contiguous();
  const auto* first = shifts_t.const_data_ptr<double>();
  return {first, first + shifts_t.numel()};
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
  drop(item.features), drop(item.grids), drop(item.part_tokens), drop(media.part_contents);
  item.tokens -= begin;
}

}  // namespace

PositionKey PositionKey::of_media(uint64_t content, int64_t place) {
  return {kMedia | (content + static_cast<uint64_t>(place) * 0x9E3779B97F4A7C15U), 0};
}

std::vector<PositionKey> keys_of(const data::Prepared& prompt) {
  std::vector<PositionKey> keys;
  const auto shifts = shifts_of(prompt);
  for (size_t i = 0; i < prompt.ids.size(); ++i)
    keys.push_back(PositionKey::of_token(prompt.ids[i], shifts.empty() ? 0 : shifts[i]));
  for (const auto& media : prompt.media) {
    const auto bounds = bounds_of(media);
    for (size_t part = 0; part + 1 < bounds.size(); ++part) {
      const auto content = std::hash<std::string>{}(content_of(media, part));
      for (int64_t i = bounds[part]; i < bounds[part + 1]; ++i)
        keys[static_cast<size_t>(media.position + i)] = PositionKey::of_media(content, i - bounds[part]);
    }
  }
  return keys;
}

int64_t shared_tokens(const std::vector<PositionKey>& held, const std::vector<PositionKey>& keys,
                      const data::Prepared& prompt) {
  const auto end = std::mismatch(held.begin(), held.end(), keys.begin(), keys.end()).second;
  auto common = std::min<int64_t>(end - keys.begin(), prompt.tokens() - 1);
  for (const auto& media : prompt.media)
    if (media.position < common && common < media.position + media.item.tokens) {
      const auto bounds = bounds_of(media);
      common = media.position + *std::prev(std::ranges::upper_bound(bounds, common - media.position));
    }
  return common;
}

data::Prepared from(data::Prepared prompt, int64_t begin) {
  prompt.positions_at = prompt.positions().narrow(1, begin, prompt.tokens() - begin);
  prompt.ids.erase(prompt.ids.begin(), prompt.ids.begin() + begin);
  prompt.supervised.erase(prompt.supervised.begin(), prompt.supervised.begin() + begin);
  std::erase_if(prompt.media, [&](const auto& media) { return media.position + media.item.tokens <= begin; });
  for (auto& media : prompt.media) {
    if (media.position < begin) drop_parts(media, begin - media.position);
    media.position = std::max<int64_t>(0, media.position - begin);
  }
  return prompt;
}

void append(data::Prepared& prompt, int64_t id) {
  if (prompt.positions_at.defined())
    prompt.positions_at =
        at::cat({prompt.positions_at,
                 at::full({prompt.positions_at.size(0), 1}, prompt.next_position(), prompt.positions_at.options())},
                1);
  prompt.ids.push_back(id), prompt.supervised.push_back(false);
}

}  // namespace antiphon::engine
