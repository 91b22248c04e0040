#include <antiphon/data/unread_keys.h>

#include <fmt/format.h>

#include <antiphon/base/log.h>
#include <antiphon/base/shown.h>

namespace antiphon::data {

void UnreadKeys::tell(const std::filesystem::path& file, int64_t line, const std::set<std::string>& keys) {
  if (keys.empty()) return;
  constexpr size_t kMost = 16;
  auto& told = told_[file];
  for (const auto& key : keys)
    if (told.size() < kMost && told.insert(key).second)
      log::info(fmt::format("{}:{}: nothing reads the key '{}', here and in other records", shown(file.string()), line,
                            shown(key)));
}

}  // namespace antiphon::data
