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

void check(ScheduleKind kind, const Pipeline& pipeline, int most_at(const Pipeline&, int stage)) {
  CAPTURE(kind, pipeline.stages, pipeline.chunks, pipeline.batches);
  const auto got = simulated(stages_of(kind, pipeline), pipeline);
  REQUIRE(got.failure == "");
  for (int stage = 0; stage < pipeline.stages; ++stage)
    REQUIRE(got.most_waiting[static_cast<size_t>(stage)] <= most_at(pipeline, stage));
}

int all_batches(const Pipeline& p, int) { return p.batches * p.chunks; }
int stages_after(const Pipeline& p, int stage) { return std::min(p.stages - stage, p.batches); }
int of_chunks(const Pipeline& p, int stage) {
  return std::min(2 * (p.stages - 1 - stage) + (p.chunks - 1) * p.stages + 1, p.batches * p.chunks);
}

int64_t idle_of(ScheduleKind kind, const Pipeline& pipeline) {
  return simulated(stages_of(kind, pipeline), pipeline).idle / pipeline.stages;
}

}  // namespace

TEST_CASE("schedules of 1 to 16 stages and 1 to 64 batches: complete, within their memory, and nobody waits for ever") {
  for (int stages = 1; stages <= 16; ++stages)
    for (int batches = 1; batches <= 64; ++batches) {
      check(ScheduleKind::gpipe, {stages, 1, batches}, all_batches);
      check(ScheduleKind::one_f_one_b, {stages, 1, batches}, stages_after);
      check(ScheduleKind::zero_bubble, {stages, 1, batches}, stages_after);
      for (int chunks = 2; chunks <= 4 && stages > 1 && batches % stages == 0; ++chunks)
        check(ScheduleKind::interleaved, {stages, chunks, batches}, of_chunks);
    }
}

// With a forward pass of 1 and a backward pass of 2, half of it for the weights.
TEST_CASE("how long a stage waits is what is published of each schedule") {
  for (int stages = 2; stages <= 8; ++stages) {
    const Pipeline p{stages, 1, 4 * stages};
    CAPTURE(stages);
    CHECK(idle_of(ScheduleKind::gpipe, p) == 3 * (stages - 1));
    CHECK(idle_of(ScheduleKind::one_f_one_b, p) == 3 * (stages - 1));
    CHECK(idle_of(ScheduleKind::zero_bubble, p) == stages - 1);
    // Of half the blocks each pass costs half.
    CHECK(idle_of(ScheduleKind::interleaved, {stages, 2, 4 * stages}) == 3 * (stages - 1));
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
