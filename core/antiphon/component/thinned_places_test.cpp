#include <antiphon/component/record/thinned_places.h>

#include <catch2/catch_test_macros.hpp>

#include <random>
#include <string>

using namespace antiphon::records;

namespace {

struct Place {
  int64_t at = 0;
  std::string name = {};
};
using Places = ThinnedPlaces<Place, &Place::at>;

std::vector<int64_t> kept_of(const Places& places) {
  std::vector<int64_t> all;
  for (size_t i = 0; i < places.size(); ++i) all.push_back(places[i].at);
  return all;
}

}  // namespace

TEST_CASE("thinned places: of numbers one after the other those of every first, second, fourth are kept") {
  Places places(4, 1);
  std::vector<std::vector<int64_t>> seen;
  for (int64_t at = 0; at <= 16; ++at) {
    places.add({at, std::to_string(at)});
    seen.push_back(kept_of(places));
  }
  CHECK(seen[3] == std::vector<int64_t>{0, 1, 2, 3});
  CHECK(seen[4] == std::vector<int64_t>{0, 2, 4});
  CHECK(seen[7] == std::vector<int64_t>{0, 2, 4, 6});
  CHECK(seen[16] == std::vector<int64_t>{0, 8, 16});
  for (size_t i = 0; i < places.size(); ++i) CHECK(places[i].name == std::to_string(places[i].at));
  CHECK_FALSE(places.is_due(23));
  CHECK(places.is_due(24));
}

TEST_CASE("thinned places: never more than allowed, the first one stays, and each place is near one before it") {
  std::mt19937 random(1);
  for (const size_t most : {1, 2, 3, 7, 64}) {
    Places places(most, 10);
    int64_t at = 5;
    for (int i = 0; i < 5000; ++i, at += random() % 20) {
      places.add({at, {}});
      REQUIRE(places.size() <= most);
    }
    REQUIRE(places[0].at == 5);
    for (size_t i = 0; i < places.size(); ++i) {
      CHECK(places.before(places[i].at) == i);
      CHECK(places.before(places[i].at + 1) == i);
      if (i > 0) CHECK(places.before(places[i].at - 1) == i - 1);
      // Before the last thinning there were more than `most`, 10 · 2^(t - 1) apart at least; now at most 29 · 2^t.
      const auto next = i + 1 < places.size() ? places[i + 1].at : at;
      CHECK(next - places[i].at <= 6 * (at - 5) / static_cast<int64_t>(most) + 40);
    }
  }
}
