#include <antiphon/base/names.h>

#include <antiphon/base/shown.h>

namespace antiphon {

bool is_readable_name(std::string_view name) {
  constexpr size_t kLongest = 100;
  return !name.empty() && name.size() <= kLongest && shown(name) == name;
}

bool is_file_name(std::string_view name) {
  return is_readable_name(name) && name.front() != '.' && name.find('/') == std::string_view::npos;
}

std::string name_rule() {
  return "at most 100 bytes, no control characters, and in names of files no '/' and no '.' in front";
}

}  // namespace antiphon
