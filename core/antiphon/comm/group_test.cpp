// Groups of processes: a test starts this program once for each of them, which then runs the hidden case that it names.
#include <antiphon/comm/group.h>

#include <ATen/ATen.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <antiphon/base/error.h>
#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <cstdlib>
#include <functional>

using namespace antiphon;
using namespace antiphon::comm;

extern char** environ;

namespace {

// How many of these processes did not end well.
int run_group(int size, const std::string& name) {
  int port = 0;
  const int listener = listen_at("127.0.0.1", port);
  std::vector<pid_t> children;
  for (int rank = 0; rank < size; ++rank) {
    setenv("RANK", std::to_string(rank).c_str(), 1), setenv("WORLD_SIZE", std::to_string(size).c_str(), 1);
    setenv("MASTER_ADDR", "127.0.0.1", 1), setenv("MASTER_PORT", std::to_string(port).c_str(), 1);
    setenv("OMP_NUM_THREADS", "1", 1);
    std::string program = "test_comm", which = name;
    char* words[] = {program.data(), which.data(), nullptr};
    posix_spawn(&children.emplace_back(), "/proc/self/exe", nullptr, nullptr, words, environ);
    if (rank == 0) close(listener);  // it chose the port; rank 0 opens it again
  }
  for (const char* variable : {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"}) unsetenv(variable);
  int failed = 0;
  for (const auto child : children) {
    int status = 0;
    waitpid(child, &status, 0);
    failed += !(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  }
  return failed;
}

Place my_place() {
  auto place = place_from_environment();
  place.timeout = std::chrono::seconds(20);
  return place;
}

at::Tensor numbers(int rank, int64_t n, at::ScalarType dtype) {
  return (at::arange(n, at::kDouble) * 0.5 + rank * 100).to(dtype);
}

}  // namespace

TEST_CASE("sums, largest values and broadcasts") {
  for (const int size : {1, 2, 3}) CHECK(run_group(size, "member sums") == 0);
}

TEST_CASE("member sums", "[.]") {
  Group group(my_place());
  for (const auto dtype : {at::kFloat, at::kDouble, at::kLong}) {
    auto expected = at::zeros({5}, dtype);
    for (int rank = 0; rank < group.size(); ++rank) expected += numbers(rank, 5, dtype);
    const auto x = numbers(group.rank(), 5, dtype), y = x.clone(), z = x.clone();
    group.sum(x), group.largest(y), group.broadcast(z, group.size() - 1);
    CHECK(at::equal(x, expected));
    CHECK(at::equal(y, numbers(group.size() - 1, 5, dtype)));
    CHECK(at::equal(z, numbers(group.size() - 1, 5, dtype)));
  }
  group.wait_for_all();
}

TEST_CASE("gathered in the order of ranks, and summed back in that order") {
  for (const int size : {1, 2, 4}) CHECK(run_group(size, "member gathers") == 0);
}

TEST_CASE("member gathers", "[.]") {
  Group group(my_place());
  for (const auto dtype : {at::kFloat, at::kBFloat16, at::kLong}) {
    const auto own = numbers(group.rank(), 6, dtype).view({2, 3});
    const auto all = at::empty({group.size(), 2, 3}, own.options()), back = at::empty_like(own);
    group.gather(own, all);
    for (int rank = 0; rank < group.size(); ++rank) CHECK(at::equal(all[rank], numbers(rank, 6, dtype).view({2, 3})));
    group.scatter_sum(all, back);
    const auto wide = at::isFloatingType(dtype) ? at::kFloat : at::kLong;
    CHECK(at::equal(back, (own.to(wide) * group.size()).to(dtype)));
  }
  group.wait_for_all();
}

TEST_CASE("pieces are added up in the order of ranks") { CHECK(run_group(3, "member adds in order") == 0); }

TEST_CASE("member adds in order", "[.]") {
  Group group(my_place());
  const auto of = at::tensor({1e8f, -1e8f, 0.25f})[group.rank()];
  const auto own = at::empty({2}, at::kFloat);
  group.scatter_sum(at::stack({of, of}).expand({3, 2}).contiguous(), own);
  CHECK(at::equal(own, at::full({2}, 0.25f)));  // (1e8 - 1e8) + 0.25; any other order loses the last
  group.wait_for_all();
}

TEST_CASE("rows go to the process that they are for, also none") { CHECK(run_group(3, "member exchanges") == 0); }

TEST_CASE("member exchanges", "[.]") {
  Group group(my_place());
  // From process r to process s: counts[r][s] rows of the value 10 r + s.
  const std::vector<std::vector<int64_t>> counts{{1, 0, 4}, {2, 3, 0}, {0, 0, 0}};
  const auto rank = static_cast<size_t>(group.rank());
  std::vector<at::Tensor> rows, expected;
  std::vector<int64_t> from;
  for (size_t other = 0; other < 3; ++other) {
    rows.push_back(at::full({counts[rank][other], 2}, static_cast<double>(10 * rank + other), at::kFloat));
    expected.push_back(at::full({counts[other][rank], 2}, static_cast<double>(10 * other + rank), at::kFloat));
    from.push_back(counts[other][rank]);
  }
  CHECK(at::equal(group.exchange(at::cat(rows), counts[rank], from), at::cat(expected)));
  const auto ledger = at::tensor({static_cast<int64_t>(group.ledger())}, at::kLong), largest = ledger.clone();
  group.largest(largest);
  CHECK(at::equal(ledger, largest));
  group.wait_for_all();
}

TEST_CASE("the ledger tells what was called, and in which order") { CHECK(run_group(1, "member keeps a ledger") == 0); }

TEST_CASE("member keeps a ledger", "[.]") {
  Group group(my_place());
  const auto x = at::zeros({4}), y = at::zeros({5});
  std::vector<uint64_t> changes;
  uint64_t before = group.ledger();
  for (const auto& call :
       std::vector<std::function<void()>>{[&] { group.sum(x); }, [&] { group.largest(x); }, [&] { group.sum(y); },
                                          [&] { group.sum(x.to(at::kDouble)); }}) {
    call();
    CHECK(group.ledger() != before);
    before = group.ledger();
    CHECK(std::ranges::find(changes, before) == changes.end());
    changes.push_back(before);
  }
}

TEST_CASE("a process that is gone is an error that says so") { CHECK(run_group(2, "member is left alone") == 0); }

TEST_CASE("member is left alone", "[.]") {
  Group group(my_place());
  group.wait_for_all();
  if (group.rank() == 1) return;
  try {
    for (int i = 0; i < 1000; ++i) group.sum(at::zeros({4}));
    FAIL("expected an error");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::distributed);
    CHECK(error.message().find("process 0 of 2: sum: ") == 0);
  }
}

TEST_CASE("a process that never comes is an error that says so") {
  Place place;
  place.size = 2, place.timeout = std::chrono::milliseconds(300);
  try {
    Group group(place);
    FAIL("expected an error");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::distributed);
    CHECK(error.message().find("process 0 of 2: meeting the other processes") == 0);
  }
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
