#include <antiphon/component/record/joined.h>

#include <antiphon/base/files.h>

#include <algorithm>

namespace antiphon::records {

Joined::Joined(std::vector<std::unique_ptr<Records>> parts) {
  ContentHash hash;
  int64_t numbers = 0;
  for (auto& part : parts) {
    hash.add(part->fingerprint() + "\n");
    const auto count = part->size().value_or(0);
    const auto last = part->number(count - 1);
    parts_.push_back({std::move(part), size_, numbers});
    size_ += count, numbers += last;
  }
  fingerprint_ = hash.digits();
}

const Joined::Part& Joined::part_of(int64_t index) const {
  return *(std::ranges::upper_bound(parts_, index, {}, &Part::first) - 1);
}

DataRecord Joined::record(int64_t index) const {
  const auto& part = part_of(index);
  auto record = part.records->record(index - part.first);
  record.number += part.numbers;
  return record;
}

int64_t Joined::number(int64_t index) const {
  const auto& part = part_of(index);
  return part.numbers + part.records->number(index - part.first);
}

}  // namespace antiphon::records
