// Which tokens a video and its sound get, by the definition.
#include <antiphon/base/error.h>
#include <antiphon/model/sound_within.h>

#include <catch2/catch_test_macros.hpp>

using namespace antiphon;
using namespace antiphon::model;

namespace {

// Parts of two embeddings.
StreamItem video_of(size_t parts, double step) {
  StreamItem video;
  video.grids.assign(parts, {1, 2}), video.part_tokens.assign(parts, 2);
  video.tokens = static_cast<int64_t>(2 * parts), video.part_step = step;
  return video;
}

std::vector<int64_t> runs_of(StreamItem video, int64_t heard, int64_t chunk) {
  StreamItem sound;
  sound.tokens = heard;
  put_within(sound, video, chunk, {});
  return video.runs;
}

}  // namespace

TEST_CASE("what is seen in a chunk stands before what is heard in it, and what is left over at the end") {
  CHECK(runs_of(video_of(3, 2), 6, 4) == std::vector<int64_t>{4, 4, 2, 2});
  CHECK(runs_of(video_of(3, 2), 3, 4) == std::vector<int64_t>{4, 3, 2, 0});
  CHECK(runs_of(video_of(1, 2), 9, 4) == std::vector<int64_t>{2, 4, 0, 4, 0, 1});
  CHECK(runs_of(video_of(3, 1.9), 1, 4) == std::vector<int64_t>{6, 1});  // 3.8 is 3
}

TEST_CASE("an embedding ends one chunk at most") {
  CHECK(runs_of(video_of(2, 9), 12, 4) == std::vector<int64_t>{2, 4, 1, 4, 1, 4});
}

TEST_CASE("both have the same tokens, each its own embeddings among them, and the video the marks") {
  auto video = video_of(2, 4);
  StreamItem sound;
  sound.tokens = 5, sound.part_tokens = {3, 2};
  put_within(sound, video, 4, {7, 8});
  CHECK(video.ids == std::vector<int64_t>{7, -1, -1, -2, -2, -2, -2, -1, -1, -2, 8});
  CHECK(sound.ids == std::vector<int64_t>{-2, -2, -2, -1, -1, -1, -1, -2, -2, -1, -2});
  CHECK((video.tokens == 11 && sound.tokens == 11));
  CHECK((video.part_tokens == std::vector<int64_t>{11} && sound.part_tokens == std::vector<int64_t>{11}));
  CHECK((video.embeddings() == 4 && sound.embeddings() == 5));
  CHECK((video.own_tokens() == 6 && sound.own_tokens() == 5));
  CHECK_THROWS_AS(put_within(sound, video, 4, {7, 8}), Error);  // there they stand already
}

TEST_CASE("parts that are joined have no chunks") {
  auto video = video_of(2, 4);
  StreamItem sound;
  sound.tokens = 5;
  video.part_tokens = {3};
  CHECK_THROWS_AS(put_within(sound, video, 4, {7, 8}), Error);
}
