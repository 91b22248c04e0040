#include <antiphon/train/progress.h>

#include <antiphon/base/error.h>

#include <catch2/catch_test_macros.hpp>
#include <nlohmann/json.hpp>

using namespace antiphon;
using namespace antiphon::train;

namespace {

Progress made() {
  Progress progress;
  progress.loader.order = {{7, 5}, {4, 5}};
  progress.loader.counts = {10, 2, 1};
  return progress;
}

// As it stands in a file.
nlohmann::json written() { return nlohmann::json::parse(to_json(made()).dump()); }

}  // namespace

TEST_CASE("progress: the order of samples is kept, with what had been drawn at its last change") {
  const auto progress = progress_of(written(), "progress.json");
  CHECK(progress.loader.order == made().loader.order);
  CHECK(progress.loader.counts == made().loader.counts);
}

TEST_CASE("progress: that of runs from before such changes were kept is read") {
  auto json = written();
  json["loader"].erase("base");
  CHECK(progress_of(json, "progress.json").loader.order.base.empty());
}

TEST_CASE("progress: what cannot have been drawn is refused") {
  for (const auto& base : {nlohmann::json{8, 5}, nlohmann::json{4}, nlohmann::json{4, -1}, nlohmann::json("x")}) {
    auto json = written();
    json["loader"]["base"] = base;
    try {
      progress_of(json, "progress.json");
      FAIL("it was read");
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::weights);
      CHECK(error.message().find("base") != std::string::npos);
    }
  }
}
