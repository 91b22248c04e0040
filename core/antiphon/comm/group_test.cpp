#include <antiphon/comm/group.h>

#include <sched.h>

#include <ATen/ATen.h>

#include <antiphon/base/error.h>
#include <antiphon/comm/test_group.h>
#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <functional>

using namespace antiphon;
using namespace antiphon::comm;

using testing::my_place;
using testing::run_group;
using testing::test_device;

namespace {

at::Tensor numbers(int rank, int64_t n, at::ScalarType dtype) {
  return (at::arange(n, at::kDouble) * 0.5 + rank * 100).to(test_device(), dtype);
}

at::TensorOptions of(at::ScalarType dtype) { return at::TensorOptions(test_device()).dtype(dtype); }

}  // namespace

TEST_CASE("sums, largest values and broadcasts") {
  for (const int size : {1, 2, 3}) CHECK(run_group(size, "member sums") == 0);
}

TEST_CASE("member sums", "[.]") {
  Group group(my_place(), test_device());
  for (const auto dtype : {at::kFloat, at::kDouble, at::kLong}) {
    auto expected = at::zeros({5}, of(dtype));
    for (int rank = 0; rank < group.size(); ++rank) expected += numbers(rank, 5, dtype);
    const auto x = numbers(group.rank(), 5, dtype), y = x.clone(), z = x.clone();
    group.sum(x), group.largest(y), group.broadcast(z, group.size() - 1);
    CHECK(at::equal(x, expected));
    CHECK(at::equal(y, numbers(group.size() - 1, 5, dtype)));
    CHECK(at::equal(z, numbers(group.size() - 1, 5, dtype)));
  }
  group.wait_for_all();
}

TEST_CASE("a thread that takes what arrives does not take the processor of one that computes") {
  CHECK(run_group(2, "member has patient threads") == 0);
}

TEST_CASE("member has patient threads", "[.]") {
  const auto patient = [] {
    int64_t threads = 0;
    for (const auto& task : std::filesystem::directory_iterator("/proc/self/task"))
      threads += ::sched_getscheduler(std::stoi(task.path().filename())) == SCHED_BATCH;
    return threads;
  };
  CHECK(patient() == 0);
  Group group(my_place(), test_device());
  CHECK(patient() == 1);
  CHECK(::sched_getscheduler(0) == SCHED_OTHER);
  group.wait_for_all();
}

TEST_CASE("gathered in the order of ranks, and summed back in that order") {
  for (const int size : {1, 2, 4}) CHECK(run_group(size, "member gathers") == 0);
}

TEST_CASE("member gathers", "[.]") {
  Group group(my_place(), test_device());
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
  Group group(my_place(), test_device());
  const auto mine = at::tensor({1e8f, -1e8f, 0.25f})[group.rank()].to(test_device());
  const auto own = at::empty({2}, of(at::kFloat));
  group.scatter_sum(at::stack({mine, mine}).expand({3, 2}).contiguous(), own);
  CHECK(at::equal(own, at::full({2}, 0.25f, of(at::kFloat))));  // (1e8 - 1e8) + 0.25; any other order loses the last
  group.wait_for_all();
}

TEST_CASE("several tensors of other sizes in each process, some empty, and several exchanges at once") {
  for (const int size : {1, 2, 3}) CHECK(run_group(size, "member gathers pieces") == 0);
}

TEST_CASE("member gathers pieces", "[.]") {
  Group group(my_place(), test_device());
  const auto count = static_cast<size_t>(group.size());
  const auto rank = static_cast<size_t>(group.rank());
  // Process r has r rows of the first tensor, and one value of the second.
  const auto pieces_of = [&](size_t r) {
    return Pieces{at::full({static_cast<int64_t>(r), 2}, static_cast<double>(r), of(at::kFloat)),
                  at::full({1}, static_cast<double>(r) + 0.5, of(at::kDouble))};
  };
  std::vector<std::vector<Pieces>> places(2);
  std::vector<std::function<void()>> waits;
  for (auto& places_of : places) {
    for (size_t r = 0; r < count; ++r) {
      places_of.emplace_back();
      for (const auto& piece : pieces_of(r)) places_of.back().push_back(at::empty_like(piece));
    }
    waits.push_back(group.begin_gather(pieces_of(rank), places_of));
  }
  std::vector<Pieces> parts;
  for (size_t r = 0; r < count; ++r) {
    parts.push_back(pieces_of(r));
    for (auto& part : parts.back()) part.mul_(static_cast<double>(rank) + 1);
  }
  const auto own = pieces_of(rank);
  waits.push_back(group.begin_scatter_sum(parts, own));
  for (const auto& wait : waits) wait();
  for (size_t r = 0; r < count; ++r)
    for (size_t k = 0; k < 2; ++k)
      for (const auto& places_of : places) CHECK(at::equal(places_of[r][k], pieces_of(r)[k]));
  const double all = static_cast<double>(count * (count + 1)) / 2;
  for (size_t k = 0; k < 2; ++k) CHECK(at::equal(own[k], pieces_of(rank)[k] * all));
  CHECK(comm::testing::same_ledger(group));
  group.wait_for_all();
}

TEST_CASE("processes in parts of a group") { CHECK(run_group(4, "member of a part") == 0); }

TEST_CASE("member of a part", "[.]") {
  Group group(my_place(), test_device());
  const int rank = group.rank();
  const auto pair = group.subgroup("pairs", rank < 2 ? std::vector<int>{0, 1} : std::vector<int>{2, 3});
  const auto turned = group.subgroup("turned", rank % 2 ? std::vector<int>{3, 1} : std::vector<int>{0, 2});
  CHECK(std::pair(pair->rank(), pair->size()) == std::pair(rank % 2, 2));
  CHECK(turned->rank() == std::vector<int>{0, 1, 1, 0}[static_cast<size_t>(rank)]);
  const auto x = at::full({1}, rank, of(at::kLong)), y = x.clone();
  pair->sum(x), turned->sum(y);
  CHECK(x.item<int64_t>() == (rank < 2 ? 1 : 5));
  CHECK(y.item<int64_t>() == (rank % 2 ? 4 : 2));
  group.wait_for_all();
}

TEST_CASE("rows go to the process that they are for, also none") { CHECK(run_group(3, "member exchanges") == 0); }

TEST_CASE("member exchanges", "[.]") {
  Group group(my_place(), test_device());
  // From process r to process s: counts[r][s] rows of the value 10 r + s.
  const std::vector<std::vector<int64_t>> counts{{1, 0, 4}, {2, 3, 0}, {0, 0, 0}};
  const auto rank = static_cast<size_t>(group.rank());
  std::vector<at::Tensor> rows, expected;
  std::vector<int64_t> from;
  for (size_t other = 0; other < 3; ++other) {
    rows.push_back(at::full({counts[rank][other], 2}, static_cast<double>(10 * rank + other), of(at::kFloat)));
    expected.push_back(at::full({counts[other][rank], 2}, static_cast<double>(10 * other + rank), of(at::kFloat)));
    from.push_back(counts[other][rank]);
  }
  CHECK(at::equal(group.exchange(at::cat(rows), counts[rank], from), at::cat(expected)));
  CHECK(comm::testing::same_ledger(group));
  group.wait_for_all();
}

TEST_CASE("messages to each other at once, on two lanes") { CHECK(run_group(3, "member sends") == 0); }

TEST_CASE("member sends", "[.]") {
  Group group(my_place(), test_device());
  const int next = (group.rank() + 1) % 3, last = (group.rank() + 2) % 3;
  constexpr int64_t kMany = 1 << 20;
  const auto value = [&](int from, int lane, int tag) {
    return at::full({kMany}, static_cast<double>(100 * from + 10 * lane + tag), of(at::kFloat));
  };
  std::vector<std::function<void()>> waits;
  for (const int tag : {0, 1})
    for (const int lane : {0, 1})
      waits.push_back(group.begin_send(value(group.rank(), lane, tag), lane == 0 ? next : last, lane, 2 * tag + lane));
  for (const int lane : {1, 0})
    for (const int tag : {0, 1}) {
      const int from = lane == 0 ? last : next;
      const auto x = at::empty({kMany}, of(at::kFloat));
      group.receive(x, from, lane, 2 * tag + lane);
      CHECK(at::equal(x, value(from, lane, tag)));
    }
  for (const auto& wait : waits) wait();
  group.wait_for_all();
}

TEST_CASE("the ledger tells what was called, and in which order") { CHECK(run_group(1, "member keeps a ledger") == 0); }

TEST_CASE("member keeps a ledger", "[.]") {
  Group group(my_place(), test_device());
  const auto x = at::zeros({4}, of(at::kFloat)), y = at::zeros({5}, of(at::kFloat));
  std::vector<uint64_t> changes;
  uint64_t before = group.ledger().hash();
  for (const auto& call :
       std::vector<std::function<void()>>{[&] { group.sum(x); }, [&] { group.largest(x); }, [&] { group.sum(y); },
                                          [&] { group.sum(x.to(at::kDouble)); }}) {
    call();
    CHECK(group.ledger().hash() != before);
    before = group.ledger().hash();
    CHECK(std::ranges::find(changes, before) == changes.end());
    changes.push_back(before);
  }
}

TEST_CASE("a group without processes counts what would be sent, as one with them does") {
  CHECK(run_group(4, "member is counted") == 0);
}

TEST_CASE("member is counted", "[.]") {
  Group group(my_place(), test_device());
  const auto dry = Group::dry(group.rank(), group.size());
  for (auto* each : {&group, dry.get()}) {
    const auto part = each->subgroup("pair7", group.rank() < 2 ? std::vector<int>{0, 1} : std::vector<int>{2, 3});
    const auto x = at::ones({10}, of(at::kFloat)), all = at::empty({4, 10}, x.options());
    each->sum(x), each->gather(x, all), part->gather(x, all.narrow(0, 0, 2)), each->scatter_sum(all, x);
    CHECK(each->sent().at("all sum").bytes == 60);
    CHECK(each->sent().at("all gather").bytes == 120);
    CHECK(part->sent().at("pair gather").bytes == 40);  // counted together
    CHECK(each->sent().at("pair gather").calls == 1);
    CHECK(each->sent().at("all scatter_sum").bytes == 120);
  }
  CHECK(dry->is_dry());
  const auto mine = at::tensor({7}, at::kLong), all = at::zeros({4, 1}, at::kLong);
  dry->gather(mine, all);
  CHECK(at::equal(all, at::full({4, 1}, 7, at::kLong)));  // as if all had the same
  group.wait_for_all(), dry->wait_for_all();
}

TEST_CASE("a process that is gone is an error that says so") { CHECK(run_group(2, "member is left alone") == 0); }

TEST_CASE("member is left alone", "[.]") {
  Group group(my_place(), test_device());
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

namespace {

// The environment of a process, for as long as it lives.
class Environment {
 public:
  using Variables = std::vector<std::pair<std::string, std::string>>;
  explicit Environment(Variables variables) : variables_(std::move(variables)) {
    for (const auto& [name, value] : variables_) setenv(name.c_str(), value.c_str(), 1);
  }
  ~Environment() {
    for (const auto& [name, value] : variables_) unsetenv(name.c_str());
  }
  Environment(const Environment&) = delete;

 private:
  Variables variables_;
};

bool refused(const std::string& words) {
  try {
    place_from_environment();
  } catch (const Error& error) {
    return error.kind() == ErrorKind::config && std::string(error.what()).find(words) != std::string::npos;
  }
  return false;
}

}  // namespace

TEST_CASE("the place as torchrun says it") {
  const auto with = [](const char* rank, const char* size, const char* address, const char* port) {
    return Environment(
        Environment::Variables{{"RANK", rank}, {"WORLD_SIZE", size}, {"MASTER_ADDR", address}, {"MASTER_PORT", port}});
  };
  CHECK(place_from_environment().size == 1);
  {
    const auto set = with("2", "4", "10.0.0.7", "29500");
    const auto place = place_from_environment();
    CHECK(std::pair(place.rank, place.size) == std::pair(2, 4));
    CHECK(std::pair(place.address, place.port) == std::pair(std::string("10.0.0.7"), 29500));
    CHECK(place.serves);
    const Environment agent(Environment::Variables{{"TORCHELASTIC_USE_AGENT_STORE", "True"}});
    CHECK_FALSE(place_from_environment().serves);
  }
  {
    const auto set = with("4", "4", "10.0.0.7", "29500");
    CHECK(refused("RANK is '4'; expected a whole number from 0 to 3"));
  }
  {
    const auto set = with("0", "many", "10.0.0.7", "29500");
    CHECK(refused("WORLD_SIZE is 'many'"));
  }
  {
    const auto set = with("0", "2", "localhost", "29500");
    CHECK(place_from_environment().address == "127.0.0.1");
  }
  {
    const auto set = with("0", "2", "no such host", "29500");
    CHECK(refused("'no such host' is not an address that this machine knows"));
  }
  {
    const auto set = with("0", "2", "127.0.0.1", "");
    CHECK(refused("and not MASTER_PORT"));
  }
  {
    const auto set = with("0", "", "127.0.0.1", "29500");
    CHECK(refused("has RANK and not WORLD_SIZE"));
  }
}

TEST_CASE("the place as Slurm's srun says it") {
  CHECK(first_host("node[03-17,20],other") == "node03");
  CHECK(first_host("node[3,20]") == "node3");
  CHECK(first_host("one,two[1-2]") == "one");
  CHECK(first_host("single") == "single");
  const Environment batch(Environment::Variables{{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "4"}, {"SLURM_JOB_ID", "71"}});
  CHECK(place_from_environment().size == 1);  // in the batch script itself, which is not a task of a step
  const Environment step(Environment::Variables{{"SLURM_PROCID", "3"},
                                                {"SLURM_STEP_NUM_TASKS", "4"},
                                                {"SLURM_STEP_ID", "0"},
                                                {"SLURM_STEP_NODELIST", "localhost"}});
  const auto place = place_from_environment();
  CHECK(std::pair(place.rank, place.size) == std::pair(3, 4));
  CHECK(place.address == "127.0.0.1");
  CHECK(place.port >= 20000);
  const Environment port(Environment::Variables{{"MASTER_PORT", "1234"}});
  CHECK(place_from_environment().port == 1234);
}

TEST_CASE("the place as Open MPI's mpirun says it") {
  const Environment job(Environment::Variables{
      {"OMPI_COMM_WORLD_RANK", "1"}, {"OMPI_COMM_WORLD_SIZE", "2"}, {"PMIX_NAMESPACE", "job-1"}});
  CHECK(refused("and not MASTER_ADDR"));
  const Environment local(Environment::Variables{{"OMPI_COMM_WORLD_LOCAL_SIZE", "2"}});
  const auto place = place_from_environment();
  CHECK(std::pair(place.rank, place.size) == std::pair(1, 2));
  CHECK(place.address == "127.0.0.1");
  CHECK(place.port >= 20000);
}
