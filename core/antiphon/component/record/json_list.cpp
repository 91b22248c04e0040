#include <antiphon/component/record/json_list.h>

#include <antiphon/base/json.h>
#include <antiphon/component/record/indexed_file.h>

namespace antiphon::records {

bool begins_list(const FileStart& start) {
  constexpr std::string_view white = " \t\r\n";
  const auto text = start.bytes.substr(byte_order_mark(start.bytes));
  const auto bracket = text.find_first_not_of(white);
  if (bracket == std::string_view::npos || text[bracket] != '[') return false;
  const auto next = text.find_first_not_of(white, bracket + 1);
  if (next == std::string_view::npos || text[next] != '{') return false;
  JsonDepth depth;
  for (size_t i = bracket; i < text.size(); ++i)
    if (depth.after(text[i]) == 0) return text.find_first_not_of(white, i + 1) == std::string_view::npos;
  return true;
}

}  // namespace antiphon::records
