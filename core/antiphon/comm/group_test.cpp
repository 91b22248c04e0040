#include <antiphon/comm/group.h>

#include <ATen/ATen.h>

#include <antiphon/base/error.h>
#include <catch2/catch_test_macros.hpp>

#include <atomic>
#include <cstdlib>
#include <exception>
#include <functional>
#include <thread>

using namespace antiphon;
using namespace antiphon::comm;

namespace {

Place place_of(int rank, int size, int port, int listener) {
  Place place;
  place.rank = rank, place.size = size, place.port = port, place.timeout = std::chrono::seconds(20);
  if (rank == 0) place.listener = listener;
  return place;
}

// Each member of a group in a thread of its own. What one throws is thrown when all have ended.
void together(int size, const std::function<void(Group&)>& body) {
  int port = 0;
  const int listener = listen_at("127.0.0.1", port);
  std::vector<std::exception_ptr> failures(static_cast<size_t>(size));
  std::vector<std::thread> threads;
  for (int rank = 0; rank < size; ++rank)
    threads.emplace_back([&, rank] {
      try {
        Group group(place_of(rank, size, port, listener));
        body(group);
        group.wait_for_all();
      } catch (...) {
        failures[static_cast<size_t>(rank)] = std::current_exception();
      }
    });
  for (auto& thread : threads) thread.join();
  for (const auto& failure : failures)
    if (failure) std::rethrow_exception(failure);
}

at::Tensor numbers(int rank, int64_t n, at::ScalarType dtype) {
  return (at::arange(n, at::kDouble) * 0.5 + rank * 100).to(dtype);
}

}  // namespace

TEST_CASE("sums, largest values and broadcasts") {
  for (const int size : {1, 2, 3}) {
    std::atomic<int> wrong = 0;
    together(size, [&](Group& group) {
      for (const auto dtype : {at::kFloat, at::kDouble, at::kLong}) {
        auto expected = at::zeros({5}, dtype);
        for (int rank = 0; rank < size; ++rank) expected += numbers(rank, 5, dtype);
        const auto x = numbers(group.rank(), 5, dtype);
        group.sum(x);
        wrong += !at::equal(x, expected);
        const auto y = numbers(group.rank(), 5, dtype);
        group.largest(y);
        wrong += !at::equal(y, numbers(size - 1, 5, dtype));
        const auto z = numbers(group.rank(), 5, dtype);
        group.broadcast(z, size - 1);
        wrong += !at::equal(z, numbers(size - 1, 5, dtype));
      }
    });
    CHECK(wrong == 0);
  }
}

TEST_CASE("gathered in the order of ranks, and summed back in that order") {
  for (const int size : {1, 2, 4})
    for (const auto dtype : {at::kFloat, at::kBFloat16, at::kLong}) {
      std::atomic<int> wrong = 0;
      together(size, [&](Group& group) {
        const auto own = numbers(group.rank(), 6, dtype).view({2, 3});
        const auto all = at::empty({size, 2, 3}, own.options());
        group.gather(own, all);
        for (int rank = 0; rank < size; ++rank) wrong += !at::equal(all[rank], numbers(rank, 6, dtype).view({2, 3}));
        const auto back = at::empty_like(own);
        group.scatter_sum(all, back);
        const auto wide = at::isFloatingType(dtype) ? at::kFloat : at::kLong;
        wrong += !at::equal(back, (own.to(wide) * size).to(dtype));
      });
      CHECK(wrong == 0);
    }
}

TEST_CASE("the sum of pieces does not depend on who is first") {
  std::vector<at::Tensor> results(2);
  for (auto& result : results)
    together(3, [&](Group& group) {
      const auto all = at::stack({at::tensor({1e8f, 1.0f}), at::tensor({-1e8f, 2.0f}), at::tensor({0.25f, 3.0f})}) *
                       (group.rank() == 1 ? -1 : 1);
      const auto own = at::empty({2}, at::kFloat);
      group.scatter_sum(all, own);
      if (group.rank() == 2) result = own;
    });
  CHECK(at::equal(results[0], results[1]));
  CHECK(at::equal(results[0], at::tensor({0.25f, 3.0f})));
}

TEST_CASE("rows go to the process that they are for, also none") {
  // From rank r to rank s: counts[r][s] rows of the value 10 r + s.
  const std::vector<std::vector<int64_t>> counts{{1, 0, 4}, {2, 3, 0}, {0, 0, 0}};
  std::atomic<int> wrong = 0;
  std::vector<uint64_t> ledgers(3);
  together(3, [&](Group& group) {
    const auto rank = static_cast<size_t>(group.rank());
    std::vector<at::Tensor> rows{at::zeros({0, 2})}, expected{at::zeros({0, 2})};
    std::vector<int64_t> from;
    for (size_t other = 0; other < 3; ++other) {
      rows.push_back(at::full({counts[rank][other], 2}, static_cast<double>(10 * rank + other), at::kFloat));
      expected.push_back(at::full({counts[other][rank], 2}, static_cast<double>(10 * other + rank), at::kFloat));
      from.push_back(counts[other][rank]);
    }
    wrong += !at::equal(group.exchange(at::cat(rows), counts[rank], from), at::cat(expected));
    ledgers[rank] = group.ledger();
  });
  CHECK(wrong == 0);
  CHECK(ledgers[0] == ledgers[1]);
  CHECK(ledgers[1] == ledgers[2]);
}

TEST_CASE("the ledger tells what was called, and in which order") {
  std::vector<uint64_t> ledgers;
  const auto of = [&](const std::function<void(Group&)>& body) {
    together(1, [&](Group& group) {
      body(group);
      ledgers.push_back(group.ledger());
    });
  };
  const auto x = at::zeros({4}), y = at::zeros({5});
  of([&](Group& group) { group.sum(x), group.largest(y); });
  of([&](Group& group) { group.largest(y), group.sum(x); });
  of([&](Group& group) { group.sum(y), group.largest(y); });
  of([&](Group& group) { group.sum(x.to(at::kDouble)), group.largest(y); });
  of([&](Group& group) { group.sum(x), group.largest(y); });
  CHECK(ledgers.front() == ledgers.back());
  for (size_t i = 1; i + 1 < ledgers.size(); ++i) CHECK(ledgers[i] != ledgers.front());
}

TEST_CASE("a process that is gone, or never comes, is an error that says so") {
  int port = 0;
  const int listener = listen_at("127.0.0.1", port);
  auto alone = place_of(0, 2, port, listener);
  alone.timeout = std::chrono::milliseconds(300);
  try {
    Group group(alone);
    FAIL("expected an error");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::distributed);
    CHECK(error.message().find("process 0 of 2") != std::string::npos);
  }
  std::atomic<int> told = 0;
  const auto leaving = [&](Group& group) {
    group.wait_for_all();
    if (group.rank() == 1) throw 0;  // and with it its connections
    try {
      group.sum(at::zeros({4}));
    } catch (const Error& error) {
      told += error.kind() == ErrorKind::distributed && error.message().find("sum") != std::string::npos;
    }
    throw 0;
  };
  CHECK_THROWS_AS(together(2, leaving), int);
  CHECK(told == 1);
}

TEST_CASE("the place as torchrun says it") {
  const auto with = [](const char* rank, const char* size, const char* address, const char* port) {
    setenv("RANK", rank, 1), setenv("WORLD_SIZE", size, 1), setenv("MASTER_ADDR", address, 1);
    setenv("MASTER_PORT", port, 1);
  };
  const auto refused = [](const std::string& word) {
    try {
      place_from_environment();
    } catch (const Error& error) {
      return error.kind() == ErrorKind::config && std::string(error.what()).find(word) != std::string::npos;
    }
    return false;
  };
  CHECK(place_from_environment().size == 1);
  with("2", "4", "10.0.0.7", "29500");
  const auto place = place_from_environment();
  CHECK(std::pair(place.rank, place.size) == std::pair(2, 4));
  CHECK(std::pair(place.address, place.port) == std::pair(std::string("10.0.0.7"), 29500));
  with("4", "4", "10.0.0.7", "29500");
  CHECK(refused("RANK is '4'; expected a whole number from 0 to 3"));
  with("0", "many", "10.0.0.7", "29500");
  CHECK(refused("WORLD_SIZE is 'many'"));
  with("0", "2", "localhost", "29500");
  CHECK(refused("'localhost'"));
  with("0", "2", "127.0.0.1", "");
  CHECK(refused("and not MASTER_PORT"));
  for (const char* name : {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"}) unsetenv(name);
}
