#include <antiphon/text/template/data_guard.h>

#include <algorithm>

#include <antiphon/base/error.h>
#include <antiphon/base/strings.h>
#include <antiphon/text/unicode.h>

namespace antiphon::text {
namespace {

std::string without_marks(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    const auto [c, length] = code_point_at(text, i);
    out += c >= 0xFDD0 && c <= 0xFDD5 ? std::string_view("\xEF\xBF\xBD") : text.substr(i, length);
    i += length;
  }
  return out;
}

std::string guarded_everywhere(std::string_view text) {
  std::string out(guard);
  for (size_t i = 0; i < text.size();) {
    const size_t length = code_point_at(text, i).length;
    out.append(text.substr(i, length)).append(guard);
    i += length;
  }
  return out;
}

std::string with_guards(std::string_view text, const std::set<size_t>& marks) {
  std::string out;
  size_t done = 0;
  for (size_t mark : marks) {
    out.append(text.substr(done, mark - done)).append(guard);
    done = mark;
  }
  return out.append(text.substr(done));
}

size_t leading_space(std::string_view text) {
  size_t at = 0;
  while (at < text.size() && is_space(code_point_at(text, at).value)) at += code_point_at(text, at).length;
  return at;
}

constexpr size_t kIndexed = 3;

uint32_t first_bytes(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint32_t>(static_cast<unsigned char>(text[i])); };
  return byte(0) | byte(1) << 8 | byte(2) << 16;
}

TokenFinder finder_of(const std::vector<std::string>& tokens) {
  std::vector<std::pair<std::string_view, int32_t>> strings;
  for (const auto& token : tokens) strings.emplace_back(token, 0);
  return TokenFinder(std::move(strings));
}

size_t trailing_start(std::string_view text) {
  size_t end = text.size();
  while (end > 0 && is_space(code_point_at(text, previous_start(text, end)).value)) end = previous_start(text, end);
  return end;
}

}  // namespace

DataGuard::DataGuard(Tokenizer tokenizer) : tokenizer_(std::move(tokenizer)) {
  std::vector<std::string> tokens;
  for (const auto& token : tokenizer_.added_tokens()) {
    if (!tokenizer_.is_control(token.id)) continue;
    tokens.push_back(token.content);
    if (!token.normalized) continue;
    tokens.push_back(tokenizer_.normalized(token.content));
    normalizes_ = true;
  }
  for (const auto& token : tokens) longest_ = std::max(longest_, token.size());
  finder_ = finder_of(tokens);
  inside_ = std::make_shared<const Inside>(inside_of(tokens));
  for (auto& token : tokens) std::reverse(token.begin(), token.end());
  backwards_ = finder_of(tokens);
}

DataGuard::Inside DataGuard::inside_of(const std::vector<std::string>& tokens) {
  Inside inside;
  for (const auto& token : tokens) {
    const auto begin = inside.joined.size();
    inside.joined += token + '\0';
    for (size_t i = 1; i + kIndexed <= token.size(); ++i)
      inside.at[first_bytes(std::string_view(token).substr(i))].push_back(static_cast<uint32_t>(begin + i));
  }
  return inside;
}

// Whether a token has the text behind its first byte.
bool DataGuard::is_inside(std::string_view text) const {
  const std::string_view joined = inside_->joined;
  if (text.find('\0') != std::string_view::npos) return false;
  if (text.size() >= kIndexed) {
    const auto places = inside_->at.find(first_bytes(text));
    return places != inside_->at.end() &&
           std::ranges::any_of(places->second, [&](uint32_t place) { return joined.substr(place).starts_with(text); });
  }
  for (auto at = joined.find(text); at != std::string_view::npos; at = joined.find(text, at + 1))
    if (at > 0 && joined[at - 1] != '\0') return true;
  return false;
}

std::string DataGuard::operator()(std::string_view text) const {
  if (!is_utf8(text))
    fail(ErrorKind::data, "a text of the conversation is not well-formed UTF-8", "convert the data to UTF-8");
  if (text.empty()) return {};
  const auto clean = without_marks(text);
  const auto out = guarded(clean);
  return hides_control(clean, out) ? guarded_everywhere(clean) : out;
}

// Whether only normalization makes a control token, or a part of one at an edge: such text is split up completely.
bool DataGuard::hides_control(std::string_view clean, std::string_view out) const {
  if (!normalizes_) return false;
  if (tokenizer_.has_control(out)) return true;
  const auto normal = tokenizer_.normalized(clean);
  return normal != clean && guarded(normal) != normal;
}

std::string DataGuard::guarded(std::string_view text) const {
  std::set<size_t> marks;
  for (auto match = finder_.search(text, 0); match.index >= 0; match = finder_.search(text, match.begin + 1))
    marks.insert(match.begin + code_point_at(text, match.begin).length);
  const size_t begin = leading_space(text), end = trailing_start(text);
  // Templates often trim.
  mark_edges(text, 0, marks);
  if (begin < end) {
    mark_edges(text.substr(begin), begin, marks);
    mark_edges(text.substr(0, end), 0, marks);
    mark_edges(text.substr(begin, end - begin), begin, marks);
  }
  return with_guards(text, marks);
}

void DataGuard::mark_edges(std::string_view text, size_t offset, std::set<size_t>& marks) const {
  const size_t reach = std::min(longest_, text.size());
  for (size_t length = 1; length <= reach; ++length) {
    const auto end = text.substr(text.size() - length);
    if (finder_.goes_on(end)) marks.insert(offset + text.size() - length + code_point_at(end, 0).length);
  }
  // A tail that begins with the whole text, or that the text begins with.
  bool touches = text.size() < longest_ && is_inside(text);
  for (size_t length = 1; length <= reach && !touches; ++length) {
    std::string tail(text.substr(0, length));
    std::reverse(tail.begin(), tail.end());
    touches = backwards_.goes_on(tail);
  }
  if (touches) marks.insert(offset);
}

}  // namespace antiphon::text
