#include <common/answer.h>

#include <unistd.h>

#include <cstdio>

#include <antiphon/base/shown.h>
#include <antiphon/base/standard_streams.h>

namespace antiphon::apps {

void write_answer(const std::string& text) {
  static const bool terminal = isatty(STDOUT_FILENO) == 1;
  const auto steers = [](char32_t c) { return c != '\n' && c != '\t' && is_control(c); };
  const auto& out = terminal ? escaped(text, steers) : text;
  std::fwrite(out.data(), 1, out.size(), stdout);
  push_stdout();
}

}  // namespace antiphon::apps
