#include <antiphon/text/prompt.h>

#include <algorithm>
#include <array>
#include <charconv>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <antiphon/base/error.h>
#include <antiphon/text/unicode.h>

namespace antiphon::text {
namespace {

using Json = nlohmann::ordered_json;

// Templates write roles between the parts of control tokens, so that no other name may come in.
constexpr std::array<std::string_view, 5> roles = {"system", "developer", "user", "assistant", "tool"};

void check_role(const std::string& role) {
  if (std::find(roles.begin(), roles.end(), role) == roles.end())
    fail(ErrorKind::data, fmt::format("a turn has the role \"{}\"", role),
         "use system, developer, user, assistant or tool");
}

[[noreturn]] void fail_split(size_t turn, std::string_view what) {
  fail(ErrorKind::config, fmt::format("the chat template cannot be split into turns: {} turn {}", what, turn),
       "take a template that writes each turn the same way whatever follows it");
}

std::vector<int32_t> media_of(const std::vector<Turn>& turns) {
  std::vector<int32_t> numbers;
  for (const auto& turn : turns)
    for (const auto& part : turn.parts)
      if (part.media >= 0) numbers.push_back(part.media);
  return numbers;
}

void check_media(const std::vector<Turn>& turns, const Prompt& prompt) {
  std::vector<int32_t> placed;
  for (int32_t id : prompt.ids)
    if (id < 0) placed.push_back(-1 - id);
  const auto given = media_of(turns);
  if (placed != given)
    fail(ErrorKind::data,
         fmt::format("the chat template drops, repeats or reorders media: {} given, {} placed", given.size(),
                     placed.size()),
         "put media only into turns whose text the template shows, such as user turns");
}

int32_t media_number(std::string_view digits) {
  int32_t number = -1;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (error != std::errc() || end != digits.data() + digits.size() || number < 0)
    fail(ErrorKind::data, "the chat template changes the place of a media item",
         "take a template that copies the text of a turn");
  return number;
}

}  // namespace

PromptBuilder::PromptBuilder(Tokenizer tokenizer, ChatTemplate chat_template)
    : tokenizer_(std::move(tokenizer)), template_(std::move(chat_template)), guard_(tokenizer_) {}

Prompt PromptBuilder::training(const std::vector<Turn>& turns, Time now) const { return build(turns, false, now); }

Prompt PromptBuilder::generation(const std::vector<Turn>& turns, Time now) const {
  if (turns.empty() || turns.back().role == "assistant")
    fail(ErrorKind::data, "there is no turn to answer: the conversation is empty or ends with the assistant",
         "end it with a user turn");
  return build(turns, true, now);
}

std::string PromptBuilder::content_of(const Turn& turn) const {
  std::string content, text;
  for (const auto& part : turn.parts) {
    if (part.media < 0) {
      text += part.text;
      continue;
    }
    content += guard_(text) + fmt::format("{}{}{}", media_open, part.media, media_close);
    text.clear();
  }
  return content + guard_(text);
}

Prompt PromptBuilder::build(const std::vector<Turn>& turns, bool answer, Time now) const {
  auto messages = Json::array();
  for (const auto& turn : turns) {
    check_role(turn.role);
    const auto content = content_of(turn);
    const auto list = Json::array({{{"type", "text"}, {"text", content}}});
    messages.push_back({{"role", turn.role}, {"content", template_.wants_lists() ? list : Json(content)}});
  }
  const auto render = [&](size_t count, bool opening) {
    const Json part(messages.begin(), messages.begin() + static_cast<ptrdiff_t>(count));
    return template_.render(part, {opening, now});
  };
  const auto whole = render(turns.size(), answer);
  Prompt prompt;
  size_t done = 0;
  for (size_t i = 0; i < turns.size(); ++i) {
    if (turns[i].role != "assistant") continue;
    const auto before = render(i, true), with = render(i + 1, false);
    if (before.size() < done || !with.starts_with(before))
      fail_split(i, "the opening of the answer is not what precedes");
    if (!whole.starts_with(with)) fail_split(i, "later turns change what is written for");
    append(std::string_view(whole).substr(done, before.size() - done), false, prompt);
    done = before.size() + end_of_turn(std::string_view(with).substr(before.size()));
    append(std::string_view(whole).substr(before.size(), done - before.size()), true, prompt);
  }
  append(std::string_view(whole).substr(done), false, prompt);
  check_media(turns, prompt);
  return prompt;
}

// Data holds no control token any more, so that the first one that ends a turn is the template's.
size_t PromptBuilder::end_of_turn(std::string_view turn) const {
  size_t first = std::string_view::npos, end = turn.size();
  for (const auto& token : tokenizer_.added_tokens()) {
    const auto& eos = tokenizer_.eos_ids();
    if (!tokenizer_.is_control(token.id) || std::find(eos.begin(), eos.end(), token.id) == eos.end()) continue;
    const size_t found = turn.find(token.content);
    if (found >= first) continue;
    first = found;
    end = found + token.content.size();
    while (token.rstrip && end < turn.size() && is_space(code_point_at(turn, end).value))
      end += code_point_at(turn, end).length;
  }
  return end;
}

void PromptBuilder::append(std::string_view text, bool supervised, Prompt& prompt) const {
  while (!text.empty()) {
    const size_t open = text.find(media_open);
    const auto ids = tokenizer_.encode(text.substr(0, open), {Control::guarded, false});
    prompt.ids.insert(prompt.ids.end(), ids.begin(), ids.end());
    prompt.supervised.resize(prompt.ids.size(), supervised);
    if (open == std::string_view::npos) return;
    text.remove_prefix(open + media_open.size());
    const size_t close = text.find(media_close);
    prompt.ids.push_back(-1 - media_number(text.substr(0, close)));
    prompt.supervised.push_back(false);
    text.remove_prefix(close == std::string_view::npos ? text.size() : close + media_close.size());
  }
}

}  // namespace antiphon::text
