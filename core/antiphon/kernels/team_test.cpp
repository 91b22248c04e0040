#include <antiphon/kernels/team.h>

#include <ATen/Parallel.h>
#include <antiphon/kernels/for_rows.h>
#include <catch2/catch_test_macros.hpp>

#include <atomic>
#include <chrono>
#include <mutex>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>

using antiphon::kernels::run_by_team;
using antiphon::kernels::share_rows;
using antiphon::kernels::TeamScope;

namespace {

// Of so many threads, whatever the machine has.
struct Threads {
  explicit Threads(int count) { at::set_num_threads(count); }
  ~Threads() { at::set_num_threads(before); }
  const int before = at::get_num_threads();
};

constexpr int64_t kWide = 1 << 20;  // a row is work for a thread

void nothing(int64_t) {}

}  // namespace

TEST_CASE("a team does each row of each round once", "[team]") {
  const Threads threads(3);
  const TeamScope scope;
  for (int round = 0; round < 2000; ++round) {
    const int64_t rows = 1 + round % 7;
    std::vector<int> done(static_cast<size_t>(rows), 0);  // of different rows, by different threads
    share_rows(rows, kWide, [&](int64_t begin, int64_t end) {
      for (auto i = begin; i < end; ++i) ++done[static_cast<size_t>(i)];
    });
    REQUIRE(done == std::vector<int>(static_cast<size_t>(rows), 1));
  }
}

TEST_CASE("a team awakens threads that have fallen asleep", "[team]") {
  const Threads threads(2);
  const TeamScope scope;
  for (int round = 0; round < 3; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    std::atomic<int> parts = 0;
    CHECK(run_by_team(2, [&](int64_t) { ++parts; }));
    CHECK(parts == 2);
  }
}

TEST_CASE("a team works in its scope only, on threads of its own", "[team]") {
  const Threads threads(2);
  CHECK_FALSE(run_by_team(2, nothing));
  std::set<std::thread::id> seen;
  {
    const TeamScope scope;
    std::mutex mutex;
    CHECK(run_by_team(2, [&](int64_t) {
      const std::lock_guard lock(mutex);
      seen.insert(std::this_thread::get_id());
    }));
    bool by_another = true;
    std::thread([&] {
      const TeamScope other;  // while there is one already
      by_another = run_by_team(2, nothing);
    }).join();
    CHECK_FALSE(by_another);
    { const TeamScope inside; }
    CHECK(run_by_team(2, nothing));
  }
  CHECK(seen.size() == 2);
  CHECK_FALSE(run_by_team(2, nothing));
  const TeamScope unwanted(false);
  CHECK_FALSE(run_by_team(2, nothing));
}

TEST_CASE("a part of a team's work is not divided again", "[team]") {
  const Threads threads(2);
  const TeamScope scope;
  std::atomic<int64_t> sum = 0, calls = 0;
  std::atomic<bool> again = false;
  share_rows(2, kWide, [&](int64_t begin, int64_t end) {
    if (run_by_team(2, nothing)) again = true;
    for (auto i = begin; i < end; ++i)
      share_rows(10, kWide, [&](int64_t first, int64_t last) { sum += last - first, ++calls; });
  });
  CHECK(sum == 20);
  CHECK(calls == 2);
  CHECK_FALSE(again);
}

TEST_CASE("a team passes on what a part throws", "[team]") {
  const Threads threads(2);
  const TeamScope scope;
  for (const int64_t bad : {0, 1})
    CHECK_THROWS_AS(run_by_team(2,
                                [&](int64_t part) {
                                  if (part == bad) throw std::runtime_error("bad");
                                }),
                    std::runtime_error);
  CHECK(run_by_team(2, nothing));
}

TEST_CASE("one thread needs no team", "[team]") {
  const Threads threads(1);
  const TeamScope scope;
  CHECK_FALSE(run_by_team(1, nothing));
}
