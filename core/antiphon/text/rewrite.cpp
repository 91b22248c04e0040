#include <antiphon/text/rewrite.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <fmt/format.h>

#include <antiphon/base/error.h>

namespace antiphon::text {
namespace {

using Match = std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)>;

const auto* code_of(const std::shared_ptr<const void>& code) { return static_cast<const pcre2_code*>(code.get()); }
PCRE2_SPTR bytes(std::string_view text) { return reinterpret_cast<PCRE2_SPTR>(text.data()); }

[[noreturn]] void fail_match(int code) {
  PCRE2_UCHAR reason[256];
  pcre2_get_error_message(code, reason, sizeof reason);
  fail(ErrorKind::internal, fmt::format("a regular expression fails: {}", reinterpret_cast<const char*>(reason)));
}

// PCRE2's own classes differ: its \w may have marks, its \s lacks U+001C and has U+180E.
std::string as_python(std::string_view pattern) {
  constexpr std::string_view letters = R"(\p{L}\p{N}_)", word = R"([\p{L}\p{N}_])",
                             space = R"(\p{Z}\x09-\x0d\x1c-\x1f\x85)";
  std::string out;
  bool in_class = false;  // within [ ]
  size_t begin = 0;       // of its letters
  for (size_t i = 0; i < pattern.size(); ++i) {
    const char next = pattern[i] == '\\' && i + 1 < pattern.size() ? pattern[i + 1] : '\0';
    if (next == '\0') {
      const char letter = pattern[i];
      if (letter == '[' && in_class) out += '\\';
      out += letter;
      if (letter == '[' && !in_class)
        in_class = true, begin = out.size() + (pattern.substr(i + 1).starts_with('^') ? 1 : 0);
      else if (letter == ']' && out.size() - 1 > begin)  // one that comes first is a letter of the class
        in_class = false;
      continue;
    }
    ++i;
    if (next == 'b' && !in_class)
      out += fmt::format("(?:(?<={0})(?!{0})|(?<!{0})(?={0}))", word);
    else if (next == 's')
      out += in_class ? std::string(space) : fmt::format("[{}]", space);
    else if (next == 'w' || next == 'd')
      out += next == 'd' ? std::string_view(R"(\p{Nd})") : in_class ? letters : word;
    else
      out += '\\', out += next;
  }
  return out;
}

}  // namespace

Rewrite::Rewrite(std::string_view pattern, std::string replacement) : replacement_(std::move(replacement)) {
  int code = 0;
  PCRE2_SIZE offset = 0;
  const auto translated = as_python(pattern);
  auto* compiled = pcre2_compile(bytes(translated), translated.size(), PCRE2_UTF | PCRE2_UCP, &code, &offset, nullptr);
  if (!compiled) fail_match(code);
  pcre2_jit_compile(compiled, PCRE2_JIT_COMPLETE);
  code_ = std::shared_ptr<const void>(
      compiled, [](const void* p) { pcre2_code_free(static_cast<pcre2_code*>(const_cast<void*>(p))); });
}

std::string Rewrite::operator()(std::string_view text) const {
  std::string out(text.size() + 64, '\0');
  for (;;) {
    PCRE2_SIZE size = out.size();
    const int done = pcre2_substitute(
        code_of(code_), bytes(text), text.size(), 0,
        PCRE2_NO_UTF_CHECK | PCRE2_SUBSTITUTE_GLOBAL | PCRE2_SUBSTITUTE_OVERFLOW_LENGTH | PCRE2_SUBSTITUTE_UNSET_EMPTY,
        nullptr, nullptr, bytes(replacement_), replacement_.size(), reinterpret_cast<PCRE2_UCHAR*>(out.data()), &size);
    if (done < 0 && done != PCRE2_ERROR_NOMEMORY) fail_match(done);
    out.resize(size);
    if (done >= 0) return out;
  }
}

bool Rewrite::matches(std::string_view text) const {
  const Match match(pcre2_match_data_create_from_pattern(code_of(code_), nullptr), pcre2_match_data_free);
  const int found = pcre2_match(code_of(code_), bytes(text), text.size(), 0, 0, match.get(), nullptr);
  if (found < 0 && found != PCRE2_ERROR_NOMATCH) fail_match(found);
  return found >= 0;
}

std::vector<std::string> Rewrite::split(std::string_view text) const {
  const Match match(pcre2_match_data_create_from_pattern(code_of(code_), nullptr), pcre2_match_data_free);
  std::vector<std::string> parts;
  size_t from = 0;
  for (;;) {
    const int found =
        pcre2_match(code_of(code_), bytes(text), text.size(), from, PCRE2_NO_UTF_CHECK, match.get(), nullptr);
    if (found < 0 && found != PCRE2_ERROR_NOMATCH) fail_match(found);
    const auto* at = pcre2_get_ovector_pointer(match.get());
    parts.emplace_back(text.substr(from, found < 0 ? std::string_view::npos : at[0] - from));
    if (found < 0) return parts;
    from = at[1];
  }
}

}  // namespace antiphon::text
