#include <data/visible.h>

#include <antiphon/base/shown.h>

namespace antiphon::apps {

std::string visible(std::string_view bytes, bool break_lines) {
  const auto odd = [](char32_t c) { return c != '\n' && c != '\t' && is_hidden(c); };
  std::string out;
  for (const char c : escaped(bytes, odd)) {
    if (c == ' ') {
      out += "·";
    } else if (c == '\n') {
      out += break_lines ? "↵\n" : "↵";
    } else if (c == '\t') {
      out += "⇥";
    } else {
      out += c;
    }
  }
  return out;
}

}  // namespace antiphon::apps
