#include <antiphon/plugin/linker_words.h>

#include <cxxabi.h>

#include <cstdlib>
#include <memory>

#include <antiphon/base/strings.h>

#include <fmt/format.h>

namespace antiphon::plugin {
namespace {

// The text after `mark`, up to `end`.
std::string after(const std::string& text, std::string_view mark, std::string_view end) {
  const size_t begin = text.find(mark) + mark.size();
  return text.substr(begin, text.find_first_of(end, begin) - begin);
}

bool says(const std::string& text, std::string_view mark) { return text.find(mark) != std::string::npos; }

}  // namespace

std::string demangled(const std::string& name) {
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> plain(abi::__cxa_demangle(name.c_str(), nullptr, nullptr, &status),
                                                          &std::free);
  return status == 0 ? plain.get() : name;
}

LinkerRefusal in_words(const std::string& text, const std::string& file) {
  if (says(text, ": cannot open shared object file") && !text.starts_with(file)) {
    const std::string library = text.substr(0, text.find(':'));
    return {fmt::format("needs the library {}, which is not found", library),
            fmt::format("install {}, or put its folder into LD_LIBRARY_PATH; `ldd {}` lists all that it needs", library,
                        file)};
  }
  if (says(text, "undefined symbol: ")) {
    return {fmt::format("needs the symbol {}, which nothing provides",
                        demangled(after(text, "undefined symbol: ", " \n,"))),
            "build it again against this antiphon and LibTorch; link what it uses (antiphon_add_plugin … LIBRARIES)"};
  }
  if (says(text, "version `")) {
    return {fmt::format("needs {}, which a library of this machine is too old for", after(text, "version `", "'")),
            "build it on this machine, or with a compiler as old as this machine's"};
  }
  return {fmt::format("cannot be opened: {}", text), ""};
}

}  // namespace antiphon::plugin
