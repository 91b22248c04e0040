// Texts that outgrow what a model computes as a short one (component/long_texts.h): what the cache holds of them is of
// no use then, and they are read again from their first token on; or answers alone go on from it.
#include <antiphon/engine/engine.h>

#include <ATen/ATen.h>

#include <utility>

namespace antiphon::engine {

bool Engine::is_long(double next_position) const {
  return longest_short_ && next_position > static_cast<double>(*longest_short_);
}

// The next token is the first that is read as one of a long text.
bool Engine::outgrows(const Text& text) const {
  if (!long_are_alike_) return false;
  const auto* beams = text.writing->beams.get();
  const double next = cache_.next_position(beams ? beams->rows.front() : text.row);
  return !is_long(next) && is_long(next + 1);
}

// Whether a prompt may take what the text's row has in common with it.
bool Engine::goes_on(const Text& text, double next_position) const {
  const bool is_now = is_long(cache_.next_position(text.row)), will_be = is_long(next_position);
  return is_now == will_be && (!will_be || long_are_alike_);
}

std::optional<data::Prepared> Engine::kept(const data::Prepared& prompt) const {
  const bool may_outgrow =
      longest_short_ && long_are_alike_ && !is_long(static_cast<double>(cache_.prefix()) + prompt.next_position());
  return may_outgrow ? std::optional(prompt) : std::nullopt;
}

void Engine::read_again(Text& text) {
  auto& writing = *text.writing;
  auto whole = *std::exchange(text.prompt, std::nullopt);
  for (auto i = static_cast<size_t>(whole.tokens()); i < text.held.size(); ++i) append(whole, text.held[i].token());
  if (writing.beams) return read_beams_again(text, whole);
  append(whole, *std::exchange(writing.unread, {}));
  auto keys = keys_of(whole);
  text.hidden = read_into(text.row, std::move(whole), 0);
  text.held = std::move(keys);
}

// The first beam all of it, the others what they do not have in common with it. What the text held before them makes
// room, so that it is to be read once more before another answer.
void Engine::read_beams_again(Text& text, const data::Prepared& before) {
  auto& beams = *text.writing->beams;
  text.held.clear(), text.hidden = at::Tensor();
  cache_.truncate(text.row, cache_.prefix());
  for (size_t i = 1; i < beams.rows.size(); ++i) cache_.drop_row(beams.rows[i]);
  std::vector<at::Tensor> hidden;
  for (size_t i = 0; i < beams.rows.size(); ++i) {
    auto whole = before;
    for (const auto id : beams.search.running()[i].ids) append(whole, id);
    if (i > 0) beams.rows[i] = cache_.fork(beams.rows.front());
    hidden.push_back(read_into(beams.rows[i], std::move(whole), i > 0 ? before.tokens() : 0));
  }
  beams.hidden = at::cat(hidden);
  beams.unread.clear();
}

// Puts the prompt from `begin` on into a row that has what comes before -> [1, hidden_size] after its last token.
at::Tensor Engine::read_into(int64_t row, data::Prepared prompt, int64_t begin) {
  const auto next = prompt.next_position();
  begin = reachable(row, begin);
  auto batch = data::pack({from(std::move(prompt), begin)});
  model_.encode(batch);
  cache_.truncate(row, cache_.prefix() + begin);
  const auto hidden = model_.forward(batch, &cache_, {row});
  cache_.set_next_position(row, static_cast<double>(cache_.prefix()) + next);
  cache_.keep_place(row);
  return hidden.narrow(0, hidden.size(0) - 1, 1);
}

}  // namespace antiphon::engine
