// The dynamic linker's errors in words that a person can act on.
#pragma once
#include <string>

namespace antiphon::plugin {

struct LinkerRefusal {
  std::string message, fix;
};

// `text` is what dlerror() gave for `file`.
LinkerRefusal in_words(const std::string& text, const std::string& file);
// The C++ name of a symbol or type, or `name` itself if it has none.
std::string demangled(const std::string& name);

}  // namespace antiphon::plugin
