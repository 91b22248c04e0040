// Records by number out of a source that has steps alone.
#include <antiphon/base/error.h>
#include <antiphon/component/record/stepped.h>

#include <catch2/catch_test_macros.hpp>

#include <random>

using namespace antiphon;

namespace {

// `count` records, the n-th with the number 2 n + 1; counts its steps.
class Odd : public Records {
 public:
  Odd(int64_t count, int64_t& steps) : count_(count), steps_(steps) {}
  std::optional<int64_t> size() const override { return std::nullopt; }
  std::optional<Step> step(const std::string& position) const override {
    ++steps_;
    const int64_t index = position.empty() ? 0 : std::stoll(position);
    if (index == count_) return std::nullopt;
    return Step{{std::to_string(index), 2 * index + 1}, std::to_string(index + 1)};
  }
  std::string fingerprint() const override { return "odd"; }

 private:
  int64_t count_;
  int64_t& steps_;
};

}  // namespace

TEST_CASE("steps: a source without a size has records by number, reached from a position near them") {
  int64_t steps = 0;
  constexpr int64_t kCount = 300'000;  // more than positions are kept of
  const records::Stepped records(std::make_unique<Odd>(kCount, steps), "odd");
  CHECK(records.size() == kCount);
  CHECK(steps == kCount + 1);
  CHECK(records.fingerprint() == "odd");
  std::mt19937 random(1);
  for (int i = 0; i < 200; ++i) {
    const auto index = static_cast<int64_t>(random() % kCount);
    steps = 0;
    const auto record = records.record(index);
    REQUIRE(record.bytes == std::to_string(index));
    CHECK(record.number == 2 * index + 1);
    CHECK(records.number(index) == 2 * index + 1);
    CHECK(steps <= 2 * 16);
  }
}

TEST_CASE("steps: records one after the other take one step each") {
  int64_t steps = 0;
  constexpr int64_t kCount = 200'000;
  const records::Stepped records(std::make_unique<Odd>(kCount, steps), "odd");
  steps = 0;
  for (int64_t i = 0; i < 1000; ++i) records.record(i);
  CHECK(steps == 1000);
}

TEST_CASE("steps: a source without records is refused by its name") {
  int64_t steps = 0;
  try {
    records::Stepped(std::make_unique<Odd>(0, steps), "empty.data");
    FAIL("it was opened");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::data);
    CHECK(error.message().find("empty.data holds no samples") != std::string::npos);
  }
}
