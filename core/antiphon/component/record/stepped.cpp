#include <antiphon/component/record/stepped.h>

#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/shown.h>
#include <antiphon/base/signals.h>
#include <antiphon/base/strings.h>

namespace antiphon::records {
namespace {

constexpr size_t kMostRecent = 64;  // more than threads that read

}  // namespace

Stepped::Stepped(std::unique_ptr<Records> stream, const std::string& name, size_t most_kept)
    : stream_(std::move(stream)), kept_(most_kept, 1) {
  std::string position;
  while (auto step = stream_->step(position)) {
    stop_if_requested();
    kept_.add({size_, last_number_, std::move(position)});
    ++size_, last_number_ = step->record.number;
    position = std::move(step->next);
  }
  if (size_ == 0)
    fail(ErrorKind::data, fmt::format("{} holds no samples", shown(name)), "see docs/data.md for what is read");
}

Stepped::Place Stepped::nearest(int64_t index) const {
  const Place* best = &kept_[kept_.before(index)];
  const std::scoped_lock lock(mutex_);
  for (const auto& place : recent_)
    if (place.index <= index && place.index > best->index) best = &place;
  return *best;
}

void Stepped::remember(Place place) const {
  const std::scoped_lock lock(mutex_);
  recent_.push_front(std::move(place));
  if (recent_.size() > kMostRecent) recent_.pop_back();
}

// Of any length. What went well once and does not now is not the fault of a single record.
DataRecord Stepped::reached(int64_t index) const {
  auto place = nearest(index);
  try {
    auto step = stream_->step(place.position);
    for (; step && place.index < index; ++place.index) step = stream_->step(step->next);
    if (!step) fail(ErrorKind::data, fmt::format("record {} is not there any more", index + 1));
    remember({index + 1, step->record.number, std::move(step->next)});
    return std::move(step->record);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::data) throw;
    fail(ErrorKind::preempted, error.message(), "the data were changed while they were read: go on with --resume");
  }
}

DataRecord Stepped::record(int64_t index) const {
  auto record = reached(index);
  if (record.bytes.size() > kMaxRecordBytes)
    fail(ErrorKind::data,
         fmt::format("the record has more than {}, which is not allowed", human_bytes(kMaxRecordBytes)));
  return record;
}

// Without a step if numbers follow one another here.
int64_t Stepped::number(int64_t index) const {
  const auto at = kept_.before(index);
  const auto& before = kept_[at];
  const bool last = at + 1 == kept_.size();
  const auto records = (last ? size_ : kept_[at + 1].index) - before.index;
  const auto numbers = (last ? last_number_ : kept_[at + 1].number) - before.number;
  return records == numbers ? before.number + index - before.index + 1 : reached(index).number;
}

std::unique_ptr<Records> with_size(std::unique_ptr<Records> records, const std::string& name, size_t most_kept) {
  if (records->size()) return records;
  return std::make_unique<Stepped>(std::move(records), name, most_kept);
}

}  // namespace antiphon::records
