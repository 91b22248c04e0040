#include <antiphon/text/tokenizer/pattern.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <time.h>

#include <fmt/format.h>
#include <algorithm>

#include <antiphon/base/error.h>

namespace antiphon::text {
namespace {

constexpr uint32_t match_limit = 5'000'000;
constexpr size_t jit_stack_bytes = 8 << 20;
// This many start positions are tried before the clock is read again.
constexpr size_t window = 64;

template <auto Free>
struct Release {
  template <class T>
  void operator()(T* pointer) const {
    Free(pointer);
  }
};
using CodePtr = std::unique_ptr<pcre2_code, Release<pcre2_code_free>>;
using MatchData = std::unique_ptr<pcre2_match_data, Release<pcre2_match_data_free>>;
using MatchContext = std::unique_ptr<pcre2_match_context, Release<pcre2_match_context_free>>;
using CompileContext = std::unique_ptr<pcre2_compile_context, Release<pcre2_compile_context_free>>;
using JitStack = std::unique_ptr<pcre2_jit_stack, Release<pcre2_jit_stack_free>>;

// Per-thread search state.
struct Workspace {
  MatchData data{pcre2_match_data_create(1, nullptr)};
  MatchContext context{pcre2_match_context_create(nullptr)};
  JitStack stack{pcre2_jit_stack_create(32 << 10, jit_stack_bytes, nullptr)};
  Workspace() {
    if (!data || !context || !stack) fail(ErrorKind::memory, "no memory for a pattern search");
    pcre2_set_match_limit(context.get(), match_limit);
    pcre2_set_heap_limit(context.get(), 64 << 10);
    pcre2_jit_stack_assign(context.get(), nullptr, stack.get());
  }
};

double processor_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

[[noreturn]] void fail_cost(const std::string& source, size_t bytes) {
  fail(ErrorKind::data, fmt::format("the tokenizer's pattern {} takes too long on a text of {} bytes", source, bytes),
       "leave this text out, or take a tokenizer with a simpler pattern");
}

size_t character_length(std::string_view text, size_t position) {
  size_t end = position + 1;
  while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) ++end;
  return end - position;
}

}  // namespace

struct Pattern::Code {
  CodePtr compiled;

  // The first match that starts at or after `from`; false if there is none.
  bool search(std::string_view text, size_t from, double deadline, const std::string& source, size_t& begin,
              size_t& end) const {
    thread_local Workspace workspace;
    for (size_t start = from; start <= text.size();) {
      const size_t last = start + std::min(window, text.size() - start);
      pcre2_set_offset_limit(workspace.context.get(), last);
      const int found = pcre2_match(compiled.get(), reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), start,
                                    PCRE2_NO_UTF_CHECK, workspace.data.get(), workspace.context.get());
      if (found >= 0) {
        const PCRE2_SIZE* offsets = pcre2_get_ovector_pointer(workspace.data.get());
        begin = offsets[0], end = offsets[1];
        return true;
      }
      if (found != PCRE2_ERROR_NOMATCH || processor_seconds() > deadline) fail_cost(source, text.size());
      if (last == text.size()) return false;
      start = last + character_length(text, last);
    }
    return false;
  }
};

Pattern::Pattern(std::string source, std::string_view translated) : source_(std::move(source)) {
  int code = 0;
  PCRE2_SIZE offset = 0;
  const CompileContext context(pcre2_compile_context_create(nullptr));
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  auto compiled = std::make_shared<Code>();
  compiled->compiled.reset(
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                    PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_USE_OFFSET_LIMIT | PCRE2_NEVER_BACKSLASH_C, &code,
                    &offset, context.get()));
  if (!compiled->compiled) {
    PCRE2_UCHAR reason[256];
    pcre2_get_error_message(code, reason, sizeof reason);
    fail(ErrorKind::config,
         fmt::format("the pattern {} is malformed: {}", source_, reinterpret_cast<const char*>(reason)),
         "correct the pattern in tokenizer.json");
  }
  // Without a JIT for this machine the interpreter does the same, slower.
  pcre2_jit_compile(compiled->compiled.get(), PCRE2_JIT_COMPLETE);
  code_ = std::move(compiled);
}

Pattern Pattern::regex(std::string_view oniguruma) {
  if (oniguruma.size() > 64 << 10)
    fail(ErrorKind::config, fmt::format("a pattern of {} bytes is too long", oniguruma.size()),
         "at most 64 KiB are allowed");
  return Pattern(std::string(oniguruma), translate_pattern(oniguruma));
}

Pattern Pattern::literal(std::string_view text) {
  std::string escaped;
  for (unsigned char c : text) {
    if (c < 0x80) {
      escaped += fmt::format("\\x{{{:x}}}", c);
    } else {
      escaped += static_cast<char>(c);
    }
  }
  return Pattern(std::string(text), escaped);
}

void Pattern::for_each_match(std::string_view text, const std::function<void(size_t, size_t)>& visit) const {
  const double deadline = processor_seconds() + 1.0 + 2e-6 * static_cast<double>(text.size());
  size_t from = 0, begin = 0, end = 0, count = 0;
  size_t last_end = std::string_view::npos;
  while (from <= text.size() && code_->search(text, from, deadline, source_, begin, end)) {
    if ((++count & 1023) == 0 && processor_seconds() > deadline) fail_cost(source_, text.size());
    if (begin == end && end == last_end) {
      from = end + (end < text.size() ? character_length(text, end) : 1);
      continue;
    }
    visit(begin, end);
    from = last_end = end;
  }
}

}  // namespace antiphon::text
