#include <antiphon/train/progress.h>

#include <antiphon/base/error.h>

#include <catch2/catch_test_macros.hpp>
#include <nlohmann/json.hpp>

using namespace antiphon;
using namespace antiphon::train;

namespace {

Progress made() {
  Progress progress;
  progress.loader.rows = {{{{7, 5}, {4, 5}}, {10, 2, 1}}};
  return progress;
}

// As it stands in a file.
nlohmann::json written() { return nlohmann::json::parse(to_json(made()).dump()); }

}  // namespace

TEST_CASE("progress: the order of samples is kept, with what had been drawn at its last change") {
  const auto progress = progress_of(written(), "progress.json");
  CHECK(progress.loader.rows[0].order == made().loader.rows[0].order);
  CHECK(progress.loader.counts() == made().loader.counts());
}

TEST_CASE("progress: the loss scale of a run in fp16 is kept, and one that cannot be is refused") {
  CHECK_FALSE(progress_of(written(), "progress.json").loss_scale);
  auto progress = made();
  progress.loss_scale = LossScale::State{512, 7, 3};
  const auto json = nlohmann::json::parse(to_json(progress).dump());
  const auto read = progress_of(json, "progress.json").loss_scale.value();
  CHECK(read.scale == 512);
  CHECK(read.good_steps == 7);
  CHECK(read.overflows == 3);
  for (const auto& scale : {nlohmann::json(0), nlohmann::json(-1), nlohmann::json(1e39), nlohmann::json("x")}) {
    auto wrong = json;
    wrong["loss_scale"]["scale"] = scale;
    CHECK_THROWS_AS(progress_of(wrong, "progress.json"), Error);
  }
}

TEST_CASE("progress: how often the run went back is kept") {
  auto progress = made();
  progress.step = 30, progress.skipped = 21, progress.rollbacks = 2, progress.learnt_step = 8;
  auto json = nlohmann::json::parse(to_json(progress).dump());
  CHECK(progress_of(json, "progress.json").skipped == 21);
  CHECK(progress_of(json, "progress.json").rollbacks == 2);
  CHECK(progress_of(json, "progress.json").learnt_step == 8);
  json["rollbacks"] = -1;
  CHECK_THROWS_AS(progress_of(json, "progress.json"), Error);
}

TEST_CASE("progress: that of runs from before such changes were kept is read") {
  auto json = written();
  json["step"] = 30U, json.erase("skipped"), json.erase("rollbacks"), json.erase("learnt_step");
  json["loader"] = nlohmann::json(json["loader"]["rows"][0]);  // nor were there rows
  json["loader"].erase("base");
  CHECK(progress_of(json, "progress.json").loader.rows.at(0).order.base.empty());
  CHECK(progress_of(json, "progress.json").learnt_step == 30);  // what is trained was then of its last step
}

TEST_CASE("progress: what cannot have been drawn is refused") {
  for (const auto& base : {nlohmann::json{8, 5}, nlohmann::json{4}, nlohmann::json{4, -1}, nlohmann::json("x")}) {
    auto json = written();
    json["loader"]["rows"][0]["base"] = base;
    try {
      progress_of(json, "progress.json");
      FAIL("it was read");
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::weights);
      CHECK(error.message().find("base") != std::string::npos);
    }
  }
}

TEST_CASE("progress: each row has drawn every so-many-th sample") {
  auto progress = made();
  progress.loader.rows = {{{{6, 4}}, {4, 1, 0}}, {{{7, 6}}, {6, 0, 0}}};  // 10 = 0 + 2 * 5, 13 = 1 + 2 * 6
  const auto json = nlohmann::json::parse(to_json(progress).dump());
  CHECK(progress_of(json, "progress.json").loader.counts() == progress.loader.counts());
  auto wrong = json;
  wrong["loader"]["rows"][1]["good"] = 7;
  CHECK_THROWS_AS(progress_of(wrong, "progress.json"), Error);
  wrong = json, wrong["loader"]["rows"][1]["drawn"] = {7, 5, 1};
  CHECK_THROWS_AS(progress_of(wrong, "progress.json"), Error);
  wrong["loader"]["rows"] = nlohmann::json::array();
  CHECK_THROWS_AS(progress_of(wrong, "progress.json"), Error);
}

TEST_CASE("progress: after a change of the rows the counts begin anew") {
  auto progress = made();
  progress.loader.rows = {{{{7, 5}, {6, 5}}, {}}};  // one sample since then, of which the counts say nothing
  const auto json = nlohmann::json::parse(to_json(progress).dump());
  CHECK(progress_of(json, "progress.json").loader.rows[0].order == progress.loader.rows[0].order);
}

TEST_CASE("progress: samples that are held and that were filtered are kept, and count as drawn") {
  auto progress = made();
  auto& row = progress.loader.rows[0];
  row.counts = {6, 1, 0, {0, 2, 0, 0, 0, 1}};
  row.order = {{8, 5}, {}, 1};  // 14 in all, one of them beyond the end
  row.held = {{0, 3, 2, 9}, {1, 0, 0, 11}, {0, 7, 2, 12}, {0, 1, 2, 13}};
  const auto json = nlohmann::json::parse(to_json(progress).dump());
  const auto again = progress_of(json, "progress.json").loader;
  CHECK((again.rows[0].held == row.held));
  CHECK(again.rows[0].order == row.order);
  CHECK(again.counts() == progress.loader.counts());
  const auto refused = [&](const char* key, const nlohmann::json& value) {
    auto wrong = json;
    wrong["loader"]["rows"][0][key] = value;
    try {
      progress_of(wrong, "progress.json");
    } catch (const Error& error) {
      return error.kind() == ErrorKind::weights && error.message().find("progress.json") != std::string::npos;
    }
    return false;
  };
  CHECK(refused("held", nlohmann::json::array()));  // fewer were drawn than the counts say
  CHECK(refused("over", 2));
  CHECK(refused("filtered", {0, 2, 0, 0, 0, 0}));
  CHECK(refused("filtered", {0, 3}));
  CHECK(refused("filtered", "x"));
  CHECK(refused("filtered", {0, -1, 0, 0, 0, 4}));
  for (const auto& sample : {nlohmann::json{0, 3, 2}, nlohmann::json{2, 0, 0, 0}, nlohmann::json{0, -3, 2, 9},
                             nlohmann::json{0, 3.5, 2, 9}, nlohmann::json("x"), nlohmann::json(7)}) {
    auto held = json["loader"]["rows"][0]["held"];
    held[1] = sample;
    CHECK(refused("held", held));
  }
  CHECK(refused("held", 7));
  CHECK(refused("held", nlohmann::json(std::vector<int>(70000))));
}
