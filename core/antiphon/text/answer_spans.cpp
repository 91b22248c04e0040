#include <antiphon/text/answer_spans.h>

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/shown.h>
#include <antiphon/text/template/turn_marks.h>
#include <antiphon/text/unicode.h>

namespace antiphon::text {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t nowhere = std::string_view::npos, max_openings = 64;

class SpanFinder {
 public:
  SpanFinder(const ChatTemplate& chat, const Tokenizer& tokenizer, const Json& messages,
             const ChatTemplate::Options& options)
      : chat_(chat), tokenizer_(tokenizer), messages_(messages), options_(options), marked_(marked(messages)) {}

  RenderedConversation find() {
    whole_ = chat_.render(messages_, options_);
    RenderedConversation out;
    if (whole_.empty()) return out;
    const bool any =
        std::any_of(messages_.begin(), messages_.end(), [](const Json& m) { return m["role"] == "assistant"; });
    if (any) places_ = unmarked(chat_.render(marked_, options_), messages_.size());
    by_marks_ = places_.text == whole_;
    for (size_t i = 0; i < messages_.size() && any; ++i) {
      if (messages_[i]["role"] != "assistant") continue;
      const size_t begin = begin_of(i), end = end_of(i, begin);
      if (begin < done_) refuse(i, "the turns are not written one after the other");
      out.answers.push_back({begin, done_ = end});
    }
    out.text = std::move(whole_);
    return out;
  }

 private:
  [[noreturn]] void refuse(size_t turn, const std::string& why) const {
    fail(ErrorKind::config, fmt::format("{} cannot be split into turns: of turn {}, {}", chat_.name(), turn, why),
         "take a template that writes finished answers as it opens new ones");
  }

  Unmarked prefix(size_t count, bool opening) const {
    const auto& from = by_marks_ ? marked_ : messages_;
    const Json part(from.begin(), from.begin() + static_cast<ptrdiff_t>(count));
    return unmarked(chat_.render(part, {opening, options_.now, options_.tools}), count);
  }

  // The last turn before this one whose end is marked, in the whole and after `count` turns; -1: the very beginning.
  ptrdiff_t anchor(size_t turn) const {
    for (size_t i = turn; by_marks_ && i > 0; --i)
      if (places_.close[i - 1]) return static_cast<ptrdiff_t>(i - 1);
    return -1;
  }

  // How the template opens an answer there, after the anchor; the same for all turns with the same predecessor.
  struct Opening {
    std::string with, without;
    size_t first;
    bool checked = false;  // at another turn, with the same result
  };
  Opening opening(size_t turn, ptrdiff_t from) const {
    const auto after = [&](bool asked) -> std::string {
      const auto made = prefix(turn, asked);
      if (from < 0) return made.text;
      const auto at = made.close[static_cast<size_t>(from)];
      if (!at) refuse(turn, "what precedes is written in another way when no answer follows");
      return made.text.substr(*at);
    };
    if (++openings_ > max_openings)
      refuse(turn, fmt::format("and of more than {} others, the opening depends on the conversation", max_openings));
    return {after(true), after(false), turn};
  }

  Opening& opening_of(size_t turn, ptrdiff_t from) {
    std::string key =
        from < 0 ? fmt::format("at {}", turn) : messages_[static_cast<size_t>(from)]["role"].get<std::string>();
    for (auto i = static_cast<size_t>(from + 1); i < turn && from >= 0; ++i) key += messages_[i].dump();
    const auto known = opened_.find(key);
    if (known == opened_.end()) return opened_.emplace(key, opening(turn, from)).first->second;
    return known->second;
  }

  size_t begin_of(size_t turn) {
    const auto from = anchor(turn);
    const size_t base = from < 0 ? 0 : *places_.close[static_cast<size_t>(from)];
    const auto rest = std::string_view(whole_).substr(base);
    const auto limit =
        by_marks_ && places_.open[turn] && *places_.open[turn] >= base ? *places_.open[turn] - base : nowhere;
    auto& known = opening_of(turn, from);
    auto open = known;
    size_t shared = std::min(common(open.with, rest), limit);
    if (shared < open.with.size() && open.first != turn && !open.checked) {
      // Unlike the first of its kind: what the template writes here decides.
      open = opening(turn, from);
      known.checked = open.with == known.with;
      shared = std::min(common(open.with, rest), limit);
    }
    if (shared < open.with.size() && shared <= open.without.size() && open.with.size() > open.without.size())
      refuse(turn, fmt::format("the opening '{}' is not what the finished answer begins with: '{}'",
                               shown(std::string_view(open.with).substr(std::min(shared, open.without.size())), 80),
                               shown(rest.substr(std::min(shared, rest.size())), 80)));
    return base + shared;
  }

  // The length of the common prefix, with no control token and no character cut.
  size_t common(std::string_view a, std::string_view b) const {
    size_t length = static_cast<size_t>(std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin());
    if (length == a.size()) return length;
    const auto within = [&](std::string_view text, const std::string& token) {
      for (size_t back = 1; back < token.size() && back <= length; ++back)
        if (text.substr(length - back).starts_with(token)) return back;
      return size_t{0};
    };
    for (const auto& token : tokenizer_.added_tokens())
      if (tokenizer_.is_control(token.id)) length -= std::max(within(a, token.content), within(b, token.content));
    while (length > 0 && length < b.size() && (static_cast<unsigned char>(b[length]) & 0xC0) == 0x80) --length;
    return length;
  }

  size_t end_of(size_t turn, size_t begin) {
    const bool shows = by_marks_ && places_.close[turn];
    if (by_marks_ && !shows && !texts_lost(turn)) refuse(turn, "the text is left out or written twice");
    const size_t from = shows ? std::max(begin, *places_.close[turn]) : begin;
    const size_t limit = next_mark(turn, from);
    const auto rest = std::string_view(whole_).substr(from, limit - from);
    if (turn + 1 == messages_.size() && !options_.add_generation_prompt)
      return from + end_of_turn(rest).value_or(rest.size());
    const auto tail = tail_of(turn, from);
    const auto stop = end_of_turn(tail);
    if (rest.starts_with(tail)) return from + stop.value_or(tail.size());
    // A turn that is followed by another is closed by a different token than the last one.
    if (const auto end = end_of_turn(rest)) return from + *end;
    // What the last turn alone is followed by (Phi-3's <|endoftext|>) comes after what closes every turn.
    const auto closed = first_control(rest), alone = first_control(tail);
    if (closed && (closed->begin == 0 || (alone && closed->id == alone->id))) return from + closed->end;
    refuse(turn, "later turns change what is written for it");
  }

  // Nothing to mark: an empty answer.
  bool texts_lost(size_t turn) const { return marked_[turn] == messages_[turn]; }

  size_t next_mark(size_t turn, size_t from) const {
    for (size_t i = turn + 1; by_marks_ && i < messages_.size(); ++i)
      for (const auto& place : {places_.open[i], places_.close[i]})
        if (place && *place >= from) return *place;
    return whole_.size();
  }

  // What is written after an answer that is the last turn; taken from the first one, as all are alike.
  std::string tail_of(size_t turn, size_t from) {
    const bool shows = by_marks_ && places_.close[turn];
    if (shows && tail_) return *tail_;
    const auto made = prefix(turn + 1, false);
    if (!shows) {
      if (!made.text.starts_with(std::string_view(whole_).substr(0, from)))
        refuse(turn, "later turns change what is written before it");
      return made.text.substr(from);
    }
    const auto at = made.close[turn];
    tail_ = made.text.substr(at.value_or(made.text.size()));
    return *tail_;
  }

  struct Control {
    int32_t id;
    size_t begin, end;
  };
  // The first in the text. Data holds none any more, so it is the template's.
  std::optional<Control> first_control(std::string_view text, const std::vector<int32_t>* among = nullptr) const {
    std::optional<Control> first;
    for (const auto& token : tokenizer_.added_tokens()) {
      if (!tokenizer_.is_control(token.id) || (among && std::ranges::find(*among, token.id) == among->end())) continue;
      const size_t begin = text.find(token.content);
      if (begin < (first ? first->begin : nowhere)) first = {token.id, begin, behind(text, token, begin)};
    }
    return first;
  }

  // The end of the first one that ends a turn.
  std::optional<size_t> end_of_turn(std::string_view text) const {
    const auto control = first_control(text, &tokenizer_.eos_ids());
    return control ? std::optional(control->end) : std::nullopt;
  }

  static size_t behind(std::string_view text, const AddedToken& token, size_t at) {
    size_t end = at + token.content.size();
    while (token.rstrip && end < text.size() && is_space(code_point_at(text, end).value))
      end += code_point_at(text, end).length;
    return end;
  }

  const ChatTemplate& chat_;
  const Tokenizer& tokenizer_;
  const Json& messages_;
  const ChatTemplate::Options& options_;
  Json marked_;
  std::string whole_;
  Unmarked places_;
  bool by_marks_ = false;
  std::map<std::string, Opening> opened_;
  mutable size_t openings_ = 0;
  std::optional<std::string> tail_;
  size_t done_ = 0;
};

}  // namespace

RenderedConversation render_conversation(const ChatTemplate& chat_template, const Tokenizer& tokenizer,
                                         const Json& messages, const ChatTemplate::Options& options) {
  return SpanFinder(chat_template, tokenizer, messages, options).find();
}

}  // namespace antiphon::text
