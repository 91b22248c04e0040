// Python's ways to format values into a string.
#pragma once
#include <antiphon/text/jinja/object.h>

namespace antiphon::text::jinja {

// "%s is %d" % (…): tuples give several values, dicts give named ones.
Value percent_format(Run& run, const Value& text, const Value& values);
// "{} is {:>5}".format(…)
Value brace_format(Run& run, const Value& text, const Arguments& given);
// To `width` characters; side is '<', '>' or '^', as str.center divides odd padding.
std::string padded(Heap& heap, std::string_view text, int64_t width, std::string_view fill, char side);
// & < > " ' as markupsafe.escape writes them.
std::string escaped(Heap& heap, std::string_view text);

struct Spec {  // [[fill]align][sign][#][0][width][,][.precision][type]
  std::string fill = " ";
  char align = 0, sign = '-', group = 0, type = 0;
  bool alternate = false;
  int64_t width = 0, precision = -1;
};
std::string format_number(Heap& heap, const Value& value, const Spec& spec);

}  // namespace antiphon::text::jinja
