// Records by number out of a source that can only be read forwards.
#pragma once
#include <deque>
#include <memory>
#include <mutex>
#include <string>

#include <antiphon/component/data_source.h>
#include <antiphon/component/record/thinned_places.h>

namespace antiphon::records {

class Stepped : public Records {
 public:
  // Goes through `stream`, which has no size, once, and keeps at most `most_kept` of its positions: from the one before
  // it a record is reached in steps, as many as positions are apart at most. Error(data) if there is no record;
  // Error(preempted) if a stop is requested meanwhile.
  Stepped(std::unique_ptr<Records> stream, const std::string& name, size_t most_kept = 1 << 16);

  std::optional<int64_t> size() const override { return size_; }
  DataRecord record(int64_t index) const override;
  int64_t number(int64_t index) const override;
  std::string fingerprint() const override { return stream_->fingerprint(); }

 private:
  // Where record `index` begins; `number`: that of the record before it.
  struct Place {
    int64_t index = 0, number = 0;
    std::string position;
  };
  DataRecord reached(int64_t index) const;
  Place nearest(int64_t index) const;
  void remember(Place place) const;

  std::unique_ptr<Records> stream_;
  ThinnedPlaces<Place, &Place::index> kept_;
  int64_t size_ = 0, last_number_ = 0;
  mutable std::mutex mutex_;
  mutable std::deque<Place> recent_;  // where reads have ended: the next ones often go on there
};

// The source itself if it has a size.
std::unique_ptr<Records> with_size(std::unique_ptr<Records> records, const std::string& name,
                                   size_t most_kept = 1 << 16);

}  // namespace antiphon::records
