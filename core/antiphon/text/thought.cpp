#include <antiphon/text/thought.h>

#include <antiphon/base/strings.h>

#include <algorithm>

namespace antiphon::text {

ThoughtAndAnswer split_thought(std::string_view text, bool opened) {
  const auto start = trim(text);
  if (!opened && !start.starts_with(thought_begins)) return {"", std::string(text)};
  const size_t begin = start.starts_with(thought_begins) ? thought_begins.size() : 0, end = start.find(thought_ends);
  if (end == std::string_view::npos) return {std::string(trim(start.substr(begin))), ""};
  const auto after = std::string_view(start).substr(end + thought_ends.size());
  return {std::string(trim(start.substr(begin, end - begin))), std::string(trim(after))};
}

ThoughtAndAnswer split_thought(std::span<const int32_t> ids, const Tokenizer& tokenizer, bool opened) {
  const auto begins = tokenizer.id_of(thought_begins), ends = tokenizer.id_of(thought_ends);
  if (!ends || !tokenizer.is_special(*ends)) return split_thought(tokenizer.decode(ids), opened);
  const auto end = std::ranges::find(ids, *ends);
  if (!opened && (ids.empty() || ids.front() != begins)) return {"", tokenizer.decode(ids)};
  const auto decoded = [&](auto from, auto to) { return std::string(trim(tokenizer.decode({from, to}))); };
  return {decoded(ids.begin(), end), end == ids.end() ? "" : decoded(end + 1, ids.end())};
}

bool opens_thought(std::span<const int32_t> prompt, const Tokenizer& tokenizer) {
  constexpr size_t kTail = 16;  // the mark may be spelled letter by letter, and a line may end after it
  const auto tail = prompt.last(std::min(kTail, prompt.size()));
  return trim(tokenizer.decode(tail, /*skip_special=*/false)).ends_with(thought_begins);
}

}  // namespace antiphon::text
