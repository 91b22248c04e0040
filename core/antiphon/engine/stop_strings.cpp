#include <antiphon/engine/stop_strings.h>

#include <algorithm>

namespace antiphon::engine {
namespace {

// How many bytes at the end of `text` may be the beginning of a stop string.
size_t open_end(std::string_view text, const std::vector<std::string>& stops) {
  size_t open = 0;
  for (const auto& stop : stops)
    for (size_t n = std::min(stop.size() - 1, text.size()); n > open; --n)
      if (text.ends_with(std::string_view(stop).substr(0, n))) open = n;
  return open;
}

}  // namespace

size_t find_stop(std::string_view text, const std::vector<std::string>& stops) {
  size_t first = std::string::npos, end = std::string::npos;
  for (const auto& stop : stops) {
    const auto begin = text.find(stop);
    if (begin == std::string::npos || std::pair(begin + stop.size(), begin) >= std::pair(end, first)) continue;
    first = begin, end = begin + stop.size();
  }
  return first;
}

std::string before_stop(std::string text, const std::vector<std::string>& stops) {
  return text.substr(0, find_stop(text, stops));
}

StopStrings::StopStrings(text::Tokenizer tokenizer, std::vector<std::string> stops)
    : tokenizer_(std::move(tokenizer)), stops_(std::move(stops)) {
  for (const auto& stop : stops_) longest_ = std::max(longest_, stop.size());
}

bool StopStrings::completed_by_last(std::span<const int32_t> ids) const {
  if (stops_.empty() || ids.empty() || tokenizer_.is_special(ids.back())) return false;
  const auto last = tokenizer_.bytes_of(ids.back()).size();
  std::string tail;
  size_t i = ids.size();
  while (i > 0 && tail.size() < longest_ + last)
    if (const auto id = ids[--i]; !tokenizer_.is_special(id)) {
      const bool first =
          std::ranges::all_of(ids.first(i), [&](int32_t before) { return tokenizer_.is_special(before); });
      tail.insert(0, first ? tokenizer_.first_bytes_of(id) : tokenizer_.bytes_of(id));
    }
  // An earlier token would have ended the answer, so that what is found ends in the last one.
  return std::ranges::any_of(stops_, [&](const auto& stop) {
    const auto begin = tail.size() - std::min(tail.size(), stop.size() + last - (last > 0 ? 1 : 0));
    return last > 0 && std::string_view(tail).substr(begin).find(stop) != std::string_view::npos;
  });
}

AnswerText::AnswerText(text::Tokenizer tokenizer, std::vector<std::string> stops)
    : decoder_(std::move(tokenizer)), stops_(std::move(stops)) {}

std::string AnswerText::shown_of(std::string text) {
  if (stopped_) return {};
  waiting_ += text;
  const auto stop = find_stop(waiting_, stops_);
  stopped_ = stop != std::string::npos;
  const auto shown = waiting_.substr(0, stopped_ ? stop : waiting_.size() - open_end(waiting_, stops_));
  waiting_.erase(0, shown.size());
  return shown;
}

std::string AnswerText::push(int32_t id) { return shown_of(decoder_.push(id)); }

std::string AnswerText::finish() {
  auto rest = shown_of(decoder_.finish());
  return stopped_ ? rest : rest + std::exchange(waiting_, {});
}

}  // namespace antiphon::engine
