#include <antiphon/text/template/turn_marks.h>

#include <charconv>

#include <fmt/format.h>

#include <antiphon/text/jinja/words.h>
#include <antiphon/text/unicode.h>

namespace antiphon::text {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view mark = "\xEF\xB7\x93";    // U+FDD3, before a turn number
constexpr std::string_view opens = "\xEF\xB7\x94";   // U+FDD4, after the number
constexpr std::string_view closes = "\xEF\xB7\x95";  // U+FDD5

bool blank(std::string_view text) {
  for (size_t at = 0; at < text.size(); at += code_point_at(text, at).length)
    if (!jinja::python_space(code_point_at(text, at).value)) return false;
  return true;
}

void mark_end(std::string& text, size_t turn) {
  size_t at = text.size();
  while (jinja::python_space(code_point_at(text, previous_start(text, at)).value)) at = previous_start(text, at);
  text.insert(at, fmt::format("{}{}{}", mark, turn, closes));
}

void mark_begin(std::string& text, size_t turn) {
  size_t at = 0;
  while (jinja::python_space(code_point_at(text, at).value)) at += code_point_at(text, at).length;
  text.insert(at, fmt::format("{}{}{}", mark, turn, opens));
}

// The non-empty texts of a turn.
std::vector<std::string*> texts_of(Json& content) {
  std::vector<std::string*> texts;
  if (content.is_string()) texts.push_back(content.get_ptr<std::string*>());
  for (auto& part : content)
    if (part.is_object() && part.contains("text")) texts.push_back(part["text"].get_ptr<std::string*>());
  std::erase_if(texts, [](const auto* text) { return blank(*text); });
  return texts;
}

}  // namespace

Json marked(const Json& messages) {
  auto copy = messages;
  for (size_t turn = 0; turn < copy.size(); ++turn) {
    const auto texts = texts_of(copy[turn]["content"]);
    if (texts.empty()) continue;
    mark_end(*texts.back(), turn);
    if (copy[turn]["role"] == "assistant") mark_begin(*texts.front(), turn);
  }
  return copy;
}

Unmarked unmarked(std::string_view rendered, size_t turns) {
  Unmarked out;
  out.open.resize(turns), out.close.resize(turns);
  std::vector<bool> open_twice(turns), close_twice(turns);
  const auto note = [&](auto& places, auto& twice, size_t turn) {
    if (places[turn]) twice[turn] = true;
    places[turn] = out.text.size();
  };
  for (size_t at = rendered.find(mark); at != std::string_view::npos; at = rendered.find(mark)) {
    out.text += rendered.substr(0, at);
    rendered.remove_prefix(at + mark.size());
    size_t turn = turns;
    const auto* end = std::from_chars(rendered.data(), rendered.data() + rendered.size(), turn).ptr;
    rendered.remove_prefix(static_cast<size_t>(end - rendered.data()));
    const bool opening = rendered.starts_with(opens);
    if (turn >= turns || (!opening && !rendered.starts_with(closes))) continue;  // then the text differs, too
    rendered.remove_prefix(opens.size());
    opening ? note(out.open, open_twice, turn) : note(out.close, close_twice, turn);
  }
  out.text += rendered;
  for (size_t turn = 0; turn < turns; ++turn) {
    if (open_twice[turn]) out.open[turn].reset();
    if (close_twice[turn]) out.close[turn].reset();
  }
  return out;
}

}  // namespace antiphon::text
