#include <antiphon/base/error.h>
#include <antiphon/eval/controls.h>

#include <catch2/catch_test_macros.hpp>

#include <set>

using namespace antiphon;
using namespace antiphon::eval;

namespace {

Sample sample(const std::vector<std::string>& images, const std::vector<std::string>& audios) {
  Sample out;
  SampleTurn turn{"user", {{"look", -1}}};
  const auto add = [&](Modality modality, const std::string& path) {
    turn.parts.push_back({"", static_cast<int64_t>(out.media.size())});
    out.media.push_back({modality, path, ""});
  };
  for (const auto& path : images) add(Modality::image, path);
  for (const auto& path : audios) add(Modality::audio, path);
  out.turns = {turn, {"assistant", {{"answer", -1}}}};
  return out;
}

std::set<std::string> paths(const Sample& sample, Modality modality) {
  std::set<std::string> out;
  for (const auto& media : sample.media)
    if (media.modality == modality) out.insert(media.bytes.name());
  return out;
}

// Some share files, some hold several.
std::vector<Sample> some() {
  std::vector<Sample> all;
  for (int i = 0; i < 20; ++i)
    all.push_back(sample({"i" + std::to_string(i % 7)},
                         i % 2 ? std::vector<std::string>{"a" + std::to_string(i)} : std::vector<std::string>{}));
  all.push_back(sample({"i0", "i90", "i91"}, {}));
  all.push_back(sample({"i92", "i93"}, {"a1", "a90"}));
  return all;
}

bool overlap(const std::set<std::string>& a, const std::set<std::string>& b) {
  for (const auto& path : a)
    if (b.contains(path)) return true;
  return false;
}

}  // namespace

TEST_CASE("shuffled: no sample keeps a file of its own, and nothing but paths changes") {
  const auto right = some();
  for (uint64_t seed = 0; seed < 30; ++seed) {
    const auto shuffled = with_shuffled_media(right, seed);
    REQUIRE(shuffled.size() == right.size());
    for (size_t i = 0; i < right.size(); ++i) {
      REQUIRE(shuffled[i].media.size() == right[i].media.size());
      for (const auto modality : {Modality::image, Modality::audio}) {
        CHECK_FALSE(overlap(paths(right[i], modality), paths(shuffled[i], modality)));
        for (const auto& path : paths(shuffled[i], modality))
          CHECK(path.starts_with(modality == Modality::image ? "i" : "a"));
      }
      for (size_t m = 0; m < right[i].media.size(); ++m)
        CHECK(shuffled[i].media[m].modality == right[i].media[m].modality);
      CHECK(shuffled[i].turns.size() == 2);
      CHECK(shuffled[i].turns[0].parts.size() == right[i].turns[0].parts.size());
    }
  }
}

TEST_CASE("shuffled: only the modality that is named") {
  const auto right = some();
  const auto shuffled = with_shuffled_media(right, 3, {Modality::audio});
  for (size_t i = 0; i < right.size(); ++i) {
    CHECK(paths(shuffled[i], Modality::image) == paths(right[i], Modality::image));
    CHECK_FALSE(overlap(paths(right[i], Modality::audio), paths(shuffled[i], Modality::audio)));
  }
}

TEST_CASE("shuffled: the same seed gives the same, another one does not") {
  const auto order = [](uint64_t seed) {
    std::vector<std::string> out;
    for (const auto& sample : with_shuffled_media(some(), seed))
      for (const auto& media : sample.media) out.push_back(media.bytes.name());
    return out;
  };
  CHECK(order(1) == order(1));
  CHECK(order(1) != order(2));
}

TEST_CASE("shuffled: if there is nothing to shuffle with, it says so") {
  CHECK_THROWS_AS(with_shuffled_media({sample({"i0"}, {})}, 1), Error);
  CHECK_THROWS_AS(with_shuffled_media({sample({"i0"}, {}), sample({"i0"}, {})}, 1), Error);
  CHECK_THROWS_AS(with_shuffled_media({sample({"i0", "i1"}, {})}, 1), Error);
  CHECK_NOTHROW(with_shuffled_media({sample({}, {}), sample({}, {})}, 1));
  CHECK_NOTHROW(with_shuffled_media({sample({"i0"}, {}), sample({"i1"}, {})}, 1));
}

TEST_CASE("removed: no media is left, the text is") {
  for (const auto& sample : without_media(some())) {
    CHECK(sample.media.empty());
    REQUIRE(sample.turns[0].parts.size() == 1);
    CHECK(sample.turns[0].parts[0].text == "look");
    CHECK(sample.turns[1].parts[0].text == "answer");
  }
}
