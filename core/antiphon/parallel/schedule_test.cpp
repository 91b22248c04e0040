// Every schedule can be carried out, whatever the numbers of stages and batches, and costs what is published of it.
#include <antiphon/parallel/schedule.h>

#include <catch2/catch_test_macros.hpp>

#include <algorithm>

using namespace antiphon::parallel;

namespace {

using Stages = std::vector<std::vector<Pass>>;

Stages stages_of(ScheduleKind kind, const Pipeline& pipeline) {
  Stages stages;
  for (int stage = 0; stage < pipeline.stages; ++stage) stages.push_back(passes_of(kind, pipeline, stage));
  return stages;
}

// What is published of each: forward passes that wait in a stage, and how long a stage has nothing to do in all, in
// units of a forward pass, if a backward pass takes two of them.
struct Published {
  int most_waiting(int stage) const {
    const int all = p.batches * p.chunks;
    if (kind == ScheduleKind::gpipe) return p.stages > 1 ? all : 1;
    if (kind == ScheduleKind::interleaved)
      return std::min(2 * (p.stages - 1 - stage) + (p.chunks - 1) * p.stages + 1, all);
    return std::min(p.stages - stage, all);
  }
  int64_t idle() const { return (kind == ScheduleKind::zero_bubble ? 1 : 3) * (p.stages - 1); }
  int most_deferred(int stage) const { return kind == ScheduleKind::zero_bubble ? std::min(stage + 1, p.batches) : 0; }
  ScheduleKind kind;
  Pipeline p;
};

void check(ScheduleKind kind, const Pipeline& pipeline) {
  CAPTURE(kind, pipeline.stages, pipeline.chunks, pipeline.batches);
  const auto got = simulated(stages_of(kind, pipeline), pipeline);
  const Published published{kind, pipeline};
  REQUIRE(got.failure == "");
  for (int stage = 0; stage < pipeline.stages; ++stage) {
    const auto s = static_cast<size_t>(stage);
    REQUIRE(got.most_waiting[s] == published.most_waiting(stage));
    REQUIRE(got.most_deferred[s] == published.most_deferred(stage));
  }
  // With fewer batches than stages the weights of a batch cannot fill all that is waited for.
  if (kind != ScheduleKind::zero_bubble || pipeline.batches >= pipeline.stages)
    REQUIRE(got.idle == pipeline.stages * published.idle());
}

}  // namespace

TEST_CASE(
    "schedules of 1 to 16 stages and 1 to 64 batches: complete, nobody waits for ever, memory and waiting as said") {
  for (int stages = 1; stages <= 16; ++stages)
    for (int batches = 1; batches <= 64; ++batches) {
      for (const auto kind : {ScheduleKind::gpipe, ScheduleKind::one_f_one_b, ScheduleKind::zero_bubble})
        check(kind, {stages, 1, batches});
      // Of a part of the blocks each pass takes a part of the time.
      for (int chunks = 2; chunks <= 4 && stages > 1 && batches % stages == 0; ++chunks)
        check(ScheduleKind::interleaved, {stages, chunks, batches});
    }
}

TEST_CASE("one stage computes each batch forward and backward, one after the other") {
  using enum Pass::Kind;
  const std::vector<Pass> expected{{forward, 0}, {backward, 0}, {forward, 1}, {backward, 1}};
  CHECK(passes_of(ScheduleKind::gpipe, {1, 1, 2}, 0) == expected);
  CHECK(passes_of(ScheduleKind::one_f_one_b, {1, 1, 2}, 0) == expected);
}

TEST_CASE("schedules that cannot be carried out are seen") {
  using enum Pass::Kind;
  const Pipeline two{2, 1, 2};
  const auto good = stages_of(ScheduleKind::one_f_one_b, two);
  const auto failure = [&](Stages stages) { return simulated(stages, two).failure; };
  CHECK(failure(good) == "");
  auto spoilt = good;
  spoilt[0].pop_back();
  CHECK(failure(spoilt).find("never done") != std::string::npos);
  spoilt = good;
  spoilt[0].push_back({forward, 1});
  CHECK(failure(spoilt).find("done twice") != std::string::npos);
  spoilt = good;
  spoilt[0].push_back({forward, 2});
  CHECK(failure(spoilt).find("none of the step") != std::string::npos);
  CHECK(failure({{{backward, 0}}, {}}).find("comes before") != std::string::npos);
  CHECK(failure({{{forward, 0}, {forward, 1}, {backward, 0}, {backward, 1}},
                 {{forward, 1}, {backward, 1}, {forward, 0}, {backward, 0}}})
            .find("another order") != std::string::npos);
  // Each waits for what the other sends only afterwards.
  CHECK(failure({{{forward, 0}, {backward, 0}, {forward, 1}, {backward, 1}},
                 {{forward, 0}, {forward, 1}, {backward, 0}, {backward, 1}}})
            .find("waits for ever") != std::string::npos);
}
