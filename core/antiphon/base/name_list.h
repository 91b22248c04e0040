// Names in messages.
#pragma once
#include <fmt/format.h>

#include <antiphon/base/shown.h>
#include <antiphon/base/strings.h>

#include <algorithm>
#include <string>
#include <vector>

namespace antiphon {

// The first eight names, and how many more there are.
inline std::string name_list(const std::vector<std::string>& names) {
  std::vector<std::string> first(names.begin(), names.begin() + static_cast<long>(std::min<size_t>(names.size(), 8)));
  for (auto& name : first) name = shown(name);
  return join(first, ", ") + (names.size() > 8 ? fmt::format(" and {} more", names.size() - 8) : "");
}

}  // namespace antiphon
