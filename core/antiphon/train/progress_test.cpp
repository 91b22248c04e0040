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

TEST_CASE("progress: that of runs from before such changes were kept is read") {
  auto json = written();
  json["loader"] = nlohmann::json(json["loader"]["rows"][0]);  // nor were there rows
  json["loader"].erase("base");
  CHECK(progress_of(json, "progress.json").loader.rows.at(0).order.base.empty());
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
