// Places of what is gone through from its beginning to its end, so that any other is reached from the one before it:
// few of them, about evenly apart, whatever its length.
#pragma once
#include <algorithm>
#include <cstddef>
#include <type_traits>
#include <utility>
#include <vector>

namespace antiphon::records {

// `At`: the member of a place that says how far it is. Places come in this order.
template <class Place, auto At>
class ThinnedPlaces {
 public:
  using Distance = std::remove_cvref_t<decltype(std::declval<Place&>().*At)>;

  // Keeps the first place and those that are `apart` or more behind the last one that it keeps. If there are more than
  // `most`, at least 1, every second one is forgotten, and they are twice as far apart from then on.
  ThinnedPlaces(size_t most, Distance apart) : most_(most), apart_(apart) {}

  // Whether a place there is kept.
  bool is_due(Distance at) const { return kept_.empty() || at >= kept_.back().*At + apart_; }
  void add(Place place) {
    if (!is_due(place.*At)) return;
    kept_.push_back(std::move(place));
    if (kept_.size() > most_) thin();
  }

  size_t size() const { return kept_.size(); }
  const Place& operator[](size_t i) const { return kept_[i]; }
  // The number of the last one that is there or before it; the first one must be.
  size_t before(Distance at) const {
    return static_cast<size_t>(std::ranges::upper_bound(kept_, at, {}, At) - kept_.begin()) - 1;
  }

 private:
  void thin() {
    for (size_t i = 1; 2 * i < kept_.size(); ++i) kept_[i] = std::move(kept_[2 * i]);
    kept_.resize((kept_.size() + 1) / 2);
    apart_ *= 2;
  }

  size_t most_;
  Distance apart_;
  std::vector<Place> kept_;
};

}  // namespace antiphon::records
