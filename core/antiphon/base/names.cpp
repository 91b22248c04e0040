#include <antiphon/base/names.h>

#include <antiphon/base/shown.h>

namespace antiphon {

bool is_plain_name(std::string_view name) {
  constexpr size_t kLongest = 100;
  return !name.empty() && name.size() <= kLongest && name.front() != '.' && name.find('/') == std::string_view::npos &&
         shown(name) == name;
}

std::string plain_name_rule() { return "use at most 100 letters, digits, '_' and '-'"; }

}  // namespace antiphon
