#include <antiphon/text/prompt.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <antiphon/base/error.h>
#include <antiphon/base/sample_time.h>
#include <antiphon/base/shown.h>
#include <antiphon/base/strings.h>
#include <antiphon/text/answer_spans.h>
#include <antiphon/text/thought.h>

namespace antiphon::text {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t max_turns = 10'000;

// Templates write roles between the parts of control tokens, so no other name is allowed.
constexpr std::array<std::string_view, 5> roles = {"system", "developer", "user", "assistant", "tool"};

void check_role(const std::string& role) {
  if (std::find(roles.begin(), roles.end(), role) == roles.end())
    fail(ErrorKind::data, fmt::format("a turn has the role \"{}\"", shown(role)),
         "use system, developer, user, assistant or tool");
}

void check_reasoning(const Turn& turn, const ChatTemplate& chat) {
  if (turn.reasoning.empty()) return;
  if (turn.role != "assistant")
    fail(ErrorKind::data, fmt::format("a {} turn has a reasoning_content; only an assistant's may", turn.role),
         "take it out");
  if (!chat.mentions("reasoning_content"))
    fail(ErrorKind::data, chat.name() + " does not show reasoning_content",
         "take it out of the data, or begin the turn's content with <think>…</think> if the model is to learn it");
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

// The places of the assistant's turns.
std::vector<size_t> answers_of(const std::vector<Turn>& turns) {
  std::vector<size_t> places;
  for (size_t i = 0; i < turns.size(); ++i)
    if (turns[i].role == "assistant") places.push_back(i);
  return places;
}

bool is_surrounded(const Part& part) { return !part.begin.empty() || !part.end.empty(); }

// The place of an item within text.
std::string mark_of(const Part& part) {
  return fmt::format("{}{}{}{}{}", part.begin, media_open, part.media, media_close, part.end);
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

PromptBuilder::PromptBuilder(Tokenizer tokenizer, int64_t padded, int64_t pad_id)
    : tokenizer_(std::move(tokenizer)), guard_(tokenizer_), padded_(padded), pad_id_(pad_id) {}

std::vector<int32_t> caption_ids(const Tokenizer& tokenizer, const std::string& text) {
  return tokenizer.encode(text, {.control = Control::never, .add_special_tokens = true});
}

Prompt PromptBuilder::captioned(const std::vector<Turn>& turns) const {
  Prompt prompt;
  for (const auto& turn : turns)
    for (const auto& part : turn.parts)
      if (part.media >= 0) prompt.ids.push_back(-1 - part.media);
  const auto text = caption_of(turns);
  if (text.find_first_not_of(" \t\n\r") == std::string::npos)
    fail(ErrorKind::data, "the record has no text to compare its medium with",
         "give it an assistant turn, or a caption, with the text");
  if (prompt.ids.size() != 1)
    fail(ErrorKind::data, fmt::format("the record has {} media; one is compared with a text", prompt.ids.size()),
         "give every record one medium");
  prompt.supervised.resize(prompt.ids.size(), false);
  auto ids = caption_ids(tokenizer_, text);
  if (std::ssize(ids) < padded_) ids.resize(static_cast<size_t>(padded_), static_cast<int32_t>(pad_id_));
  prompt.ids.insert(prompt.ids.end(), ids.begin(), ids.end());
  prompt.supervised.resize(prompt.ids.size(), true);
  return prompt;
}

// The tokens that a model has around its media, which some templates write (Qwen's <|vision_start|>); just the
// placeholder if the template puts media elsewhere, such as before all text.
std::string PromptBuilder::between_texts(const Part& medium) const {
  constexpr std::string_view before = "left of it", behind = "right of it";
  const auto content = Json::array(
      {{{"type", "text"}, {"text", before}}, {{"type", medium.type}}, {{"type", "text"}, {"text", behind}}});
  try {
    const auto text = template_->render(Json::array({{{"role", "user"}, {"content", content}}}), {});
    const auto left = text.find(before), right = text.find(behind), place = text.find(medium.placeholder);
    const bool between = left < place && place < right && right != std::string::npos &&
                         text.find(medium.placeholder, place + 1) == std::string::npos;
    if (between) return text.substr(left + before.size(), right - left - before.size());
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::data) throw;
  }
  return medium.placeholder;
}

Prompt PromptBuilder::document(const Turn& turn) const {
  auto waiting = this->waiting({turn});
  Prompt prompt{tokenizer_.prefix_ids(), std::vector<bool>(tokenizer_.prefix_ids().size(), false)};
  std::string text;
  std::map<std::string, std::string> written;  // by what stands for a medium: the template is rendered once for each
  for (const auto& part : turn.parts) {
    if (part.media < 0)
      text += guard_(part.text);
    else if (part.placeholder.empty())
      text += mark_of(part);
    else if (const auto known = written.find(part.placeholder); known != written.end())
      text += known->second;
    else
      text += written[part.placeholder] = between_texts(part);
  }
  append(text, true, waiting, prompt);
  check_media({turn}, prompt);
  for (size_t i = 0; i < prompt.ids.size(); ++i)  // around media: texts have none
    if (prompt.ids[i] >= 0 && tokenizer_.is_control(prompt.ids[i])) prompt.supervised[i] = false;
  if (!tokenizer_.eos_ids().empty())
    prompt.ids.push_back(tokenizer_.eos_ids().front()), prompt.supervised.push_back(true);
  return prompt;
}

Prompt PromptBuilder::training(const std::vector<Turn>& turns, Time now, const std::string& tools) const {
  if (!template_) return captioned(turns);
  if (turns.size() == 1 && turns.front().role == document_role) return document(turns.front());
  return build(turns, false, now, tools);
}

Prompt PromptBuilder::generation(const std::vector<Turn>& turns, Time now, const std::string& tools,
                                 const std::string& given) const {
  if (!template_)
    fail(ErrorKind::config, "the model compares texts with media and writes no answers",
         "measure it with `antiphon eval`");
  if (turns.empty() || turns.back().role == "assistant")
    fail(ErrorKind::data, "there is no turn to answer: the conversation is empty or ends with the assistant",
         "end it with a user turn");
  return build(turns, true, now, tools, given);
}

bool PromptBuilder::ends_with_eos(const Prompt& prompt) const {
  const auto last = std::find(prompt.supervised.rbegin(), prompt.supervised.rend(), true);
  const auto& eos = tokenizer_.eos_ids();
  return last != prompt.supervised.rend() &&
         std::find(eos.begin(), eos.end(), prompt.ids[static_cast<size_t>(prompt.supervised.rend() - last) - 1]) !=
             eos.end();
}

bool PromptBuilder::ends_answers() const {
  if (!template_) return true;
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
             fmt::format("the placeholder '{}' is not a control token of the tokenizer", part.placeholder),
             "correct `placeholder` of the stream, or leave it out: embeddings then stand where the item stands");
      (is_surrounded(part) ? waiting.surrounded : waiting.alone)[*id].push_back(&part);
    }
  return waiting;
}

// A thought at the beginning of an assistant turn keeps its tags; all else is guarded.
std::string PromptBuilder::guarded(const Turn& turn, std::string_view text, bool first) const {
  const auto is_mark = [&](std::string_view mark) {
    const auto id = tokenizer_.id_of(mark);
    return id && !tokenizer_.is_special(*id);
  };
  const size_t begin = text.find_first_not_of(" \n"), end = text.find(thought_ends);
  const bool thinks = first && turn.role == "assistant" && begin != std::string_view::npos &&
                      text.substr(begin).starts_with(thought_begins) && end != std::string_view::npos;
  if (!thinks || !is_mark(thought_begins) || !is_mark(thought_ends)) return guard_(text);
  const size_t inside = begin + thought_begins.size();
  return fmt::format("{}{}{}{}{}", text.substr(0, begin), thought_begins, guard_(text.substr(inside, end - inside)),
                     thought_ends, guard_(text.substr(end + thought_ends.size())));
}

// A value whose texts and keys cannot become control tokens. Error(data) if the template does not show it.
Json PromptBuilder::guarded_json(const std::string& text, const char* name) const {
  if (!template_->mentions(name))
    fail(ErrorKind::data, fmt::format("{} does not show {}", template_->name(), name),
         "take a template that knows tools, or take them out of the data");
  return guarded_json(Json::parse(text));
}

Json PromptBuilder::guarded_json(const Json& value) const {
  if (value.is_string()) return guard_(value.get_ref<const std::string&>());
  if (!value.is_structured()) return value;
  Json out = value.is_array() ? Json::array() : Json::object();
  for (const auto& [key, member] : value.items()) {
    if (value.is_array())
      out.push_back(guarded_json(member));
    else
      out[guard_(key)] = guarded_json(member);
  }
  return out;
}

// Text and media of a turn as a list; media without a placeholder are marks within the text.
Json PromptBuilder::content_of(const Turn& turn) const {
  auto list = Json::array();
  std::string text, content = guard_(turn.given);
  const size_t given = content.size();
  const auto take = [&] {
    content += guarded(turn, text, list.empty() && content.size() == given);
    text.clear();
  };
  const auto flush = [&] {
    take();
    if (!content.empty()) list.push_back({{"type", "text"}, {"text", content}});
    content.clear();
  };
  for (const auto& part : turn.parts) {
    if (part.media < 0) {
      text += part.text;
    } else if (part.placeholder.empty()) {
      take();
      content += mark_of(part);
    } else {
      flush();
      list.push_back({{"type", part.type}});
    }
  }
  flush();
  if (list.empty()) list.push_back({{"type", "text"}, {"text", ""}});
  return list;
}

Json PromptBuilder::messages_of(const std::vector<Turn>& turns, bool lists) const {
  if (turns.size() > max_turns)
    fail(ErrorKind::data, fmt::format("the conversation has {} turns; at most {} are taken", turns.size(), max_turns),
         "divide it into several samples");
  auto messages = Json::array();
  for (const auto& turn : turns) {
    check_role(turn.role);
    check_reasoning(turn, *template_);
    auto list = content_of(turn);
    messages.push_back({{"role", turn.role}, {"content", lists ? std::move(list) : joined(list)}});
    if (!turn.reasoning.empty()) messages.back()["reasoning_content"] = guard_(turn.reasoning);
    if (!turn.tool_calls.empty()) messages.back()["tool_calls"] = guarded_json(turn.tool_calls, "tool_calls");
    if (!turn.more.empty()) messages.back().update(guarded_json(Json::parse(turn.more)));
  }
  return messages;
}

// A thought that is open would take the given text in, which finished answers have outside of it.
void PromptBuilder::check_opening(std::string_view opening, const std::string& given) const {
  if (given.empty() || !trim(opening).ends_with(thought_begins)) return;
  fail(ErrorKind::config,
       fmt::format("{} opens an answer with a thought, and '{}' is to open it", template_->name(), shown(given, 80)),
       "turn thoughts off by model.llm.template_variables, or give data.attributes.place = \"user\"");
}

// Of what a turn says; 0 without any.
size_t PromptBuilder::length_of_given(const Turn& turn, std::string_view said) const {
  const auto given = guard_(turn.given);
  if (said.starts_with(given)) return given.size();
  fail(ErrorKind::data,
       fmt::format("{} writes '{}' where the answer's given text '{}' is to stand", template_->name(), shown(said, 80),
                   shown(turn.given, 80)),
       "turn thoughts off by model.llm.template_variables, or give data.attributes.place = \"user\"");
}

Prompt PromptBuilder::build(const std::vector<Turn>& turns, bool answer, Time now, const std::string& tools,
                            const std::string& given) const {
  auto waiting = this->waiting(turns);
  const auto messages = messages_of(turns, !waiting.empty() || template_->wants_lists());
  const auto offered = tools.empty() ? Json() : guarded_json(tools, "tools");
  const auto whole =
      render_conversation(*template_, tokenizer_, messages, {answer, now, tools.empty() ? nullptr : &offered});
  const std::string_view text = whole.text;
  if (text.empty())
    fail(ErrorKind::data, template_->name() + " writes nothing for this conversation",
         "take the template of the original model");
  Prompt prompt;
  const auto answers = answers_of(turns);
  size_t done = 0;
  bool checked = false;
  for (size_t i = 0; i < whole.answers.size(); ++i) {
    const auto place = answers.at(i);
    const auto& turn = turns[place];
    if (!turn.given.empty() && !std::exchange(checked, true)) {
      const Json before(messages.begin(), messages.begin() + static_cast<ptrdiff_t>(place));
      check_opening(template_->render(before, {true, now, tools.empty() ? nullptr : &offered}), turn.given);
    }
    const auto [begin, end] = whole.answers[i];
    const size_t own = begin + length_of_given(turn, text.substr(begin, end - begin));
    append(text.substr(done, own - done), false, waiting, prompt);
    append(text.substr(own, end - own), turn.trained, waiting, prompt);
    done = end;
  }
  if (answer) check_opening(text.substr(done), given);
  append(std::string(text.substr(done)) + guard_(given), false, waiting, prompt);
  check_media(turns, prompt);
  if (const auto bos = tokenizer_.bos_id(); as_processor_ && !(bos && text.starts_with(tokenizer_.token_of(*bos)))) {
    const auto& prefix = tokenizer_.prefix_ids();
    prompt.ids.insert(prompt.ids.begin(), prefix.begin(), prefix.end());
    prompt.supervised.insert(prompt.supervised.begin(), prefix.size(), false);
  }
  return prompt;
}

// An answer continues the text that opens it.
Before PromptBuilder::before(const Prompt& prompt) const {
  if (prompt.ids.empty()) return Before::nothing;
  return prompt.ids.back() < 0 || tokenizer_.is_control(prompt.ids.back()) ? Before::token : Before::text;
}

// The next item that waits for a token.
const Part& PromptBuilder::taken(Places::value_type& waiting) const {
  auto& [id, parts] = waiting;
  if (parts.empty())
    fail(ErrorKind::data,
         fmt::format("the chat template writes '{}' more often than there are media for it", tokenizer_.token_of(id)));
  const auto* part = parts.front();
  parts.pop_front();
  return *part;
}

// With items that have text around them as marks in place of their placeholders: that text becomes tokens together with
// what is beside it.
std::string PromptBuilder::surrounded(std::string_view text, Places& waiting) const {
  std::string out;
  for (;;) {
    size_t place = std::string_view::npos;
    auto next = waiting.end();
    for (auto it = waiting.begin(); it != waiting.end(); ++it)
      if (const size_t found = text.find(tokenizer_.token_of(it->first)); found < place) place = found, next = it;
    if (next == waiting.end()) return out.append(text);
    out.append(text.substr(0, place)).append(mark_of(taken(*next)));
    text.remove_prefix(place + tokenizer_.token_of(next->first).size());
  }
}

void PromptBuilder::append(std::string_view written, bool supervised, Waiting& waiting, Prompt& prompt) const {
  SampleTime::check();
  const auto whole = surrounded(written, waiting.surrounded);
  std::string_view text = whole;
  while (!text.empty()) {
    const size_t open = text.find(media_open);
    const EncodeOptions options{Control::guarded, false, before(prompt)};
    for (const int32_t id : tokenizer_.encode(text.substr(0, open), options)) {
      const auto media = waiting.alone.find(id);
      const bool is_media = media != waiting.alone.end();
      prompt.ids.push_back(is_media ? -1 - taken(*media).media : id);
      prompt.supervised.push_back(supervised && !is_media);
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
