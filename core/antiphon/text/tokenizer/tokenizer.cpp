#include <antiphon/text/tokenizer/tokenizer.h>

#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/strings.h>
#include <antiphon/text/tokenizer/tokenizer_state.h>
#include <antiphon/text/unicode.h>

namespace antiphon::text {
namespace {

constexpr size_t max_text_bytes = 1 << 30;

void check(std::string_view text) {
  if (text.size() > max_text_bytes)
    fail(ErrorKind::data, fmt::format("a text of {} bytes is too long to tokenize", text.size()),
         "split it: at most 1 GiB at once");
  if (!is_utf8(text)) fail(ErrorKind::data, "a text to tokenize is not well-formed UTF-8", "convert the data to UTF-8");
}

std::string without_guards(std::string_view text) {
  std::string out;
  for (;;) {
    const auto found = text.find(guard);
    out += text.substr(0, found);
    if (found == std::string_view::npos) return out;
    text.remove_prefix(found + guard.size());
  }
}

}  // namespace

Tokenizer::Tokenizer(std::shared_ptr<const State> state) : state_(std::move(state)) {}

std::vector<int32_t> Tokenizer::encode(std::string_view text, EncodeOptions options) const {
  check(text);
  const auto& state = *state_;
  std::vector<int32_t> ids;
  if (options.add_special_tokens) ids = state.before;
  const auto* barred = options.control == Control::recognise || state.barred.empty() ? nullptr : &state.barred;
  const auto words = [&](std::string_view piece, Before before) {
    state.pre_tokenizer(piece, before, [&](std::string_view word) { state.model->encode(word, ids, barred); });
  };
  const auto on_text = [&](std::string_view piece, Before before) {
    const bool guarded = options.control == Control::guarded && piece.find(guard) != std::string_view::npos;
    guarded ? words(without_guards(piece), before) : words(piece, before);
  };
  state.split(
      text, options.control != Control::never, options.before, [&](int32_t id) { ids.push_back(id); }, on_text);
  if (options.add_special_tokens) ids.insert(ids.end(), state.after.begin(), state.after.end());
  return ids;
}

std::string Tokenizer::decode(std::span<const int32_t> ids, bool skip_special) const {
  std::string bytes;
  bool first = true;
  for (int32_t id : ids) {
    if (skip_special && is_special(id)) continue;
    bytes += first ? first_bytes_of(id) : bytes_of(id);
    first = first && starts_after(bytes);
  }
  return to_valid_utf8(bytes);
}

namespace {
const std::string nothing;
bool holds(const auto& list, int32_t id) { return id >= 0 && static_cast<size_t>(id) < list.size(); }
}  // namespace

const std::string& Tokenizer::bytes_of(int32_t id) const {
  return holds(state_->bytes, id) ? state_->bytes[id] : nothing;
}
const std::string& Tokenizer::token_of(int32_t id) const {
  return holds(state_->tokens, id) ? state_->tokens[id] : nothing;
}
bool Tokenizer::is_special(int32_t id) const { return holds(state_->special, id) && state_->special[id]; }
bool Tokenizer::is_control(int32_t id) const { return holds(state_->control, id) && state_->control[id]; }
int64_t Tokenizer::vocab_size() const { return static_cast<int64_t>(state_->tokens.size()); }

std::optional<int32_t> Tokenizer::id_of(std::string_view token) const {
  const auto id = state_->id_of(token);
  return id < 0 ? std::nullopt : std::optional<int32_t>(id);
}

const std::vector<AddedToken>& Tokenizer::added_tokens() const { return state_->added; }
const std::vector<int32_t>& Tokenizer::eos_ids() const { return state_->eos; }
std::optional<int32_t> Tokenizer::bos_id() const { return state_->bos; }
const std::vector<int32_t>& Tokenizer::prefix_ids() const { return state_->before; }
std::string Tokenizer::first_bytes_of(int32_t id) const {
  const auto respelled = state_->respelled.find(id);
  return state_->spelling.first_bytes_of(respelled == state_->respelled.end() ? token_of(id) : respelled->second);
}
bool Tokenizer::starts_after(std::string_view bytes) const {
  return bytes.empty() && state_->spelling.starts_until_text();
}
std::optional<int32_t> Tokenizer::unknown_id() const {
  const auto id = state_->model->unknown();
  return id < 0 ? std::nullopt : std::optional<int32_t>(id);
}
std::string Tokenizer::summary() const {
  return fmt::format("{}{}, {} tokens, from {}", state_->model->name(),
                     state_->pre_tokenizer.byte_level() ? " over bytes" : "", vocab_size(), state_->source);
}
std::optional<int32_t> Tokenizer::pad_id() const { return state_->pad; }
const std::map<std::string, std::string>& Tokenizer::special_tokens() const { return state_->named; }

bool Tokenizer::has_control(std::string_view text) const {
  bool found = false;
  state_->split(
      text, true, Before::nothing, [&](int32_t id) { found = found || state_->control[id]; },
      [](std::string_view, Before) {});
  return found;
}

std::string Tokenizer::normalized(std::string_view text) const { return state_->normalizer(text); }

StreamDecoder::StreamDecoder(Tokenizer tokenizer, bool skip_special)
    : tokenizer_(std::move(tokenizer)), skip_special_(skip_special) {}

std::string StreamDecoder::push(int32_t id) {
  if (skip_special_ && tokenizer_.is_special(id)) return {};
  pending_ += at_start_ ? tokenizer_.first_bytes_of(id) : tokenizer_.bytes_of(id);
  at_start_ = at_start_ && tokenizer_.starts_after(pending_);
  const size_t whole = pending_.size() - incomplete_tail(pending_);
  auto text = to_valid_utf8(std::string_view(pending_).substr(0, whole));
  pending_.erase(0, whole);
  return text;
}

std::string StreamDecoder::finish() {
  auto text = to_valid_utf8(pending_);
  pending_.clear();
  at_start_ = true;
  return text;
}

}  // namespace antiphon::text
