#include <antiphon/text/prompt.h>

#include <algorithm>
#include <array>
#include <charconv>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <antiphon/base/error.h>
#include <antiphon/base/shown.h>
#include <antiphon/text/unicode.h>

namespace antiphon::text {
namespace {

using Json = nlohmann::ordered_json;

// Templates write roles between the parts of control tokens, so that no other name may come in.
constexpr std::array<std::string_view, 5> roles = {"system", "developer", "user", "assistant", "tool"};

void check_role(const std::string& role) {
  if (std::find(roles.begin(), roles.end(), role) == roles.end())
    fail(ErrorKind::data, fmt::format("a turn has the role \"{}\"", shown(role)),
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

// Text and media of a turn as a list; media without a placeholder are marks within the text.
Json content_of(const Turn& turn, const DataGuard& guard) {
  auto list = Json::array();
  std::string text, content;
  const auto flush = [&] {
    content += guard(text);
    if (!content.empty()) list.push_back({{"type", "text"}, {"text", content}});
    text.clear(), content.clear();
  };
  for (const auto& part : turn.parts) {
    if (part.media < 0) {
      text += part.text;
    } else if (part.placeholder.empty()) {
      content += guard(text) + fmt::format("{}{}{}", media_open, part.media, media_close);
      text.clear();
    } else {
      flush();
      list.push_back({{"type", part.type}});
    }
  }
  flush();
  if (list.empty()) list.push_back({{"type", "text"}, {"text", ""}});
  return list;
}

Json joined(const Json& list) {
  std::string text;
  for (const auto& part : list) text += part.at("text").get_ref<const std::string&>();
  return text;
}

}  // namespace

PromptBuilder::PromptBuilder(Tokenizer tokenizer, ChatTemplate chat_template, bool as_processor)
    : tokenizer_(std::move(tokenizer)),
      template_(std::move(chat_template)),
      guard_(tokenizer_),
      as_processor_(as_processor) {}

Prompt PromptBuilder::training(const std::vector<Turn>& turns, Time now) const { return build(turns, false, now); }

Prompt PromptBuilder::generation(const std::vector<Turn>& turns, Time now) const {
  if (turns.empty() || turns.back().role == "assistant")
    fail(ErrorKind::data, "there is no turn to answer: the conversation is empty or ends with the assistant",
         "end it with a user turn");
  return build(turns, true, now);
}

bool PromptBuilder::ends_with_eos(const Prompt& prompt) const {
  const auto last = std::find(prompt.supervised.rbegin(), prompt.supervised.rend(), true);
  const auto& eos = tokenizer_.eos_ids();
  return last != prompt.supervised.rend() &&
         std::find(eos.begin(), eos.end(), prompt.ids[static_cast<size_t>(prompt.supervised.rend() - last) - 1]) !=
             eos.end();
}

bool PromptBuilder::ends_answers() const {
  const std::vector<Turn> system{{"system", {{"s"}}}, {"user", {{"a"}}}, {"assistant", {{"b"}}}},
      bare(system.begin() + 1, system.end());
  for (const auto& turns : {bare, system}) {
    try {
      return ends_with_eos(training(turns));
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::data) throw;
    }
  }
  return true;
}

PromptBuilder::Waiting PromptBuilder::waiting(const std::vector<Turn>& turns) const {
  Waiting waiting;
  for (const auto& turn : turns)
    for (const auto& part : turn.parts) {
      if (part.media < 0 || part.placeholder.empty()) continue;
      const auto id = tokenizer_.id_of(part.placeholder);
      if (!id || !tokenizer_.is_control(*id))
        fail(ErrorKind::config,
             fmt::format("the placeholder '{}' is no control token of the tokenizer", part.placeholder),
             "correct `placeholder` of the stream, or leave it out: embeddings then stand where the item stands");
      waiting[*id].push_back(part.media);
    }
  return waiting;
}

Prompt PromptBuilder::build(const std::vector<Turn>& turns, bool answer, Time now) const {
  auto waiting = this->waiting(turns);
  auto messages = Json::array();
  for (const auto& turn : turns) {
    check_role(turn.role);
    auto list = content_of(turn, guard_);
    const bool plain = waiting.empty() && !template_.wants_lists();
    messages.push_back({{"role", turn.role}, {"content", plain ? joined(list) : std::move(list)}});
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
    append(std::string_view(whole).substr(done, before.size() - done), false, waiting, prompt);
    done = before.size() + end_of_turn(std::string_view(with).substr(before.size()));
    append(std::string_view(whole).substr(before.size(), done - before.size()), true, waiting, prompt);
  }
  append(std::string_view(whole).substr(done), false, waiting, prompt);
  check_media(turns, prompt);
  if (const auto bos = tokenizer_.bos_id(); as_processor_ && !(bos && whole.starts_with(tokenizer_.token_of(*bos)))) {
    const auto& prefix = tokenizer_.prefix_ids();
    prompt.ids.insert(prompt.ids.begin(), prefix.begin(), prefix.end());
    prompt.supervised.insert(prompt.supervised.begin(), prefix.size(), false);
  }
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

// An answer goes on from the words that open it.
Before PromptBuilder::before(const Prompt& prompt) const {
  if (prompt.ids.empty()) return Before::nothing;
  return prompt.ids.back() < 0 || tokenizer_.is_control(prompt.ids.back()) ? Before::token : Before::text;
}

void PromptBuilder::append(std::string_view text, bool supervised, Waiting& waiting, Prompt& prompt) const {
  while (!text.empty()) {
    const size_t open = text.find(media_open);
    const EncodeOptions options{Control::guarded, false, before(prompt)};
    for (const int32_t id : tokenizer_.encode(text.substr(0, open), options)) {
      const auto media = waiting.find(id);
      if (media != waiting.end() && media->second.empty())
        fail(ErrorKind::data, fmt::format("the chat template writes '{}' more often than there are media for it",
                                          tokenizer_.token_of(id)));
      prompt.ids.push_back(media == waiting.end() ? id : -1 - media->second.front());
      prompt.supervised.push_back(supervised && media == waiting.end());
      if (media != waiting.end()) media->second.pop_front();
    }
    if (open == std::string_view::npos) return;
    text.remove_prefix(open + media_open.size());
    const size_t close = text.find(media_close);
    prompt.ids.push_back(-1 - media_number(text.substr(0, close)));
    prompt.supervised.push_back(false);
    text.remove_prefix(close == std::string_view::npos ? text.size() : close + media_close.size());
  }
}

}  // namespace antiphon::text
