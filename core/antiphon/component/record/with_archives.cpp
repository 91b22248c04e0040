#include <antiphon/component/record/with_archives.h>

#include <nlohmann/json.hpp>

#include <antiphon/base/json.h>
#include <antiphon/component/record/shards.h>

#include <algorithm>
#include <cctype>

namespace antiphon::records {
namespace {

constexpr size_t kMostMemberName = 4096;

// "a.wav" of "a-sub2.wav"; the name itself if it has no such part.
std::string whole_name(const std::string& name) {
  const auto at = name.rfind("-sub"), end = std::min(name.find('.', at), name.size());
  if (at == std::string::npos || end <= at + 4) return name;
  const bool numbered = std::all_of(name.begin() + static_cast<long>(at) + 4, name.begin() + static_cast<long>(end),
                                    [](unsigned char c) { return std::isdigit(c); });
  return numbered ? name.substr(0, at) + name.substr(end) : name;
}

void find_media(const nlohmann::ordered_json& value, const TarIndex& index, DataRecord& record) {
  if (value.is_structured())
    for (const auto& inner : value) find_media(inner, index, record);
  if (!value.is_string() || value.get_ref<const std::string&>().size() > kMostMemberName) return;
  const auto& name = value.get_ref<const std::string&>();
  auto found = index.find(name);
  if (!found) found = index.find(whole_name(name));
  if (found) record.media.emplace(name, std::move(*found));
}

}  // namespace

WithArchives::WithArchives(std::unique_ptr<Records> records, TarIndex index)
    : records_(std::move(records)), index_(std::move(index)) {}

DataRecord WithArchives::record(int64_t index) const {
  auto record = records_->record(index);
  JsonProblem told_later;  // by who reads the record
  find_media(parse_ordered_json(record.bytes, told_later), index_, record);
  return record;
}

std::unique_ptr<Records> with_archives(std::unique_ptr<Records> records, const std::string& archives) {
  if (archives.empty()) return records;
  return std::make_unique<WithArchives>(std::move(records), TarIndex(files_of(archives)));
}

std::string WithArchives::fingerprint() const { return content_hash(records_->fingerprint() + index_.fingerprint()); }

}  // namespace antiphon::records
