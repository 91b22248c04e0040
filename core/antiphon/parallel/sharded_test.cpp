// Parameters that are cut up give the gradients of those that are whole.
#include <antiphon/parallel/sharded.h>

#include <ATen/ATen.h>

#include <antiphon/base/error.h>
#include <antiphon/comm/test_group.h>
#include <antiphon/nn/blocks/recompute.h>
#include <antiphon/parallel/test_net.h>

#include <catch2/catch_test_macros.hpp>

using namespace antiphon;
using namespace antiphon::parallel;
using namespace antiphon::parallel::testing;
using comm::testing::my_place;
using comm::testing::run_group;
using comm::testing::same_ledger;

namespace {

at::Tensor rows_of(const at::Tensor& whole, const Parameter& own) {
  return whole.narrow(0, own.box->begin[0], own.tensor->size(0));
}

void check(const std::vector<Parameter>& own, const std::vector<Parameter>& expected) {
  REQUIRE(own.size() == expected.size());
  for (size_t i = 0; i < own.size(); ++i) {
    INFO(own[i].name);
    const auto& got = own[i].tensor->grad();
    const auto& wanted = expected[i].tensor->grad();
    REQUIRE(got.defined() == wanted.defined());
    CHECK(own[i].whole_sizes() == expected[i].tensor->sizes());
    if (wanted.defined()) CHECK(at::allclose(got, rows_of(wanted, own[i]), 1e-12, 1e-14));
  }
}

struct Mesh {
  explicit Mesh(int fsdp) : all(my_place()) {
    const int copies = all.size() / fsdp, copy = all.rank() / fsdp, shard = all.rank() % fsdp;
    std::vector<int> own, same;
    for (int i = 0; i < fsdp; ++i) own.push_back(copy * fsdp + i);
    for (int i = 0; i < copies; ++i) same.push_back(i * fsdp + shard);
    shards = all.subgroup("shards", own);
    if (copies > 1) replicas = all.subgroup("replicas", same);
  }
  comm::Group all;
  std::unique_ptr<comm::Group> shards, replicas;
};

// Two steps of two batches in each process.
void compare(Mesh& mesh, bool reshard, bool frozen, bool recompute) {
  CAPTURE(reshard, frozen, recompute);
  Net net(frozen), one(frozen);
  ShardedModel model{net.trained(), reshard ? net.blocks() : std::vector<Module*>(), /*frozen_too=*/true, at::kDouble};
  Sharded sharded(model, mesh.shards.get(), mesh.replicas.get());
  nn::Recompute again(1 << 20);
  const int64_t size = mesh.all.size(), rank = mesh.all.rank();
  const auto own = sharded.own(net.trained());
  most_with_memory = 0;
  for (int step = 0; step < 2; ++step) {
    counted = &sharded;
    train(net, sharded, recompute ? &again : nullptr, {rank, size + rank});
    counted = nullptr;
    const auto expected = whole_gradients(one, 2 * size);
    check(own, expected);
    c10::AutoGradMode no_grad(false);
    for (size_t i = 0; i < own.size(); ++i) {
      if (!own[i].tensor->grad().defined()) continue;
      own[i].tensor->sub_(own[i].tensor->grad());
      expected[i].tensor->sub_(expected[i].tensor->grad());
      own[i].tensor->mutable_grad().reset(), expected[i].tensor->mutable_grad().reset();
    }
  }
  CHECK(sharded.blocks_with_memory() == 0);
  CHECK(most_with_memory == (reshard ? 2 : 0));
  CHECK(same_ledger(*mesh.shards));
}

}  // namespace

TEST_CASE("gradients of a model that is cut up are those of a whole one") {
  CHECK(run_group(2, "member cuts up among all") == 0);
  CHECK(run_group(3, "member cuts up among all") == 0);
  CHECK(run_group(4, "member cuts up in pairs") == 0);
}

TEST_CASE("member cuts up among all", "[.]") {
  Mesh mesh(std::atoi(std::getenv("WORLD_SIZE")));
  for (const bool reshard : {true, false})
    for (const bool frozen : {false, true})
      for (const bool recompute : {false, true}) compare(mesh, reshard, frozen, recompute);
  mesh.all.wait_for_all();
}

TEST_CASE("member cuts up in pairs", "[.]") {
  Mesh mesh(2);
  for (const bool reshard : {true, false}) compare(mesh, reshard, /*frozen=*/false, /*recompute=*/false);
  mesh.all.wait_for_all();
}

TEST_CASE("what is exchanged does not depend on which process has which media") {
  CHECK(run_group(2, "member has any media") == 0);
}

// An even number stands for a batch with media. All 16 ways to give them to two processes with two batches each.
TEST_CASE("member has any media", "[.]") {
  comm::Group all(my_place());
  for (const bool frozen : {false, true}) {
    std::optional<uint64_t> ledger;
    for (int64_t assignment = 0; assignment < 16; ++assignment) {
      CAPTURE(frozen, assignment);
      const auto shards = all.subgroup(std::to_string(assignment) + (frozen ? "frozen" : "trained"), {0, 1});
      Net net(frozen), one(frozen);
      Sharded sharded({net.trained(), net.blocks(), /*frozen_too=*/true, at::kDouble}, shards.get(), nullptr);
      std::vector<int64_t> batches;
      for (int64_t i = 0; i < 4; ++i) batches.push_back(2 * i + (assignment >> i & 1));
      const auto own = sharded.own(net.trained());
      const auto first = batches.begin() + 2 * all.rank();
      train(net, sharded, nullptr, {first, first + 2});
      Replicated replicated(one.trained());
      train(one, replicated, nullptr, batches);
      check(own, one.trained());
      if (!ledger) ledger = shards->ledger().hash();
      CHECK(shards->ledger().hash() == *ledger);
    }
  }
  all.wait_for_all();
}

TEST_CASE("what is cut up has no memory until it is used, and its values come back") {
  CHECK(run_group(2, "member releases") == 0);
}

TEST_CASE("member releases", "[.]") {
  comm::Group group(my_place());
  UnitMemory memory;
  Net net(false, 1);
  const auto weight = net.layers[0]->weight.detach().clone();
  std::vector<UnitMember> members;
  for (const auto& parameter : net.layers[0]->parameters()) members.push_back({parameter, at::kDouble});
  Unit unit(members, &group, memory);
  const auto& cut = net.layers[0]->weight;
  CHECK(cut.sizes() == weight.sizes());
  CHECK_THROWS(at::mm(cut, cut));
  const auto version = cut._version();
  for (int i = 0; i < 2; ++i) {
    unit.begin_fill();
    unit.wait_until_filled();
    CHECK(at::equal(cut, weight));
    CHECK(cut._version() == version);  // what autograd has saved stays valid
    unit.release();
  }
  unit.values_change();
  CHECK(cut._version() > version);
  int64_t rows = 0;
  for (const auto& own : unit.own()) rows += own.tensor->numel();
  CHECK(rows < kWidth * kWidth + 2 * kWidth);
  group.wait_for_all();
}

TEST_CASE("processes do as many passes as they want to if no gradient is wanted") {
  CHECK(run_group(3, "member runs uneven passes") == 0);
}

TEST_CASE("member runs uneven passes", "[.]") {
  comm::Group group(my_place());
  Net net(false), one(false);
  Sharded sharded({net.trained(), net.blocks(), /*frozen_too=*/false, at::kDouble}, &group, nullptr);
  const auto expected = one.loss(1).item<double>();
  for (const int most : {0, 3, 1}) {
    sharded.make_usable();
    const nn::BlockPolicyScope policy(sharded.around(nullptr));
    c10::AutoGradMode no_grad(false);
    const auto passes = [&] {
      for (int i = 0; i < group.rank() * most; ++i) CHECK(net.loss(1).item<double>() == expected);
      if (group.rank() == 1) fail(ErrorKind::data, "a sample that cannot be measured");
    };
    if (group.rank() == 1)
      CHECK_THROWS_AS(sharded.run_uneven(passes), Error);
    else
      sharded.run_uneven(passes);
    CHECK(same_ledger(group));
  }
  group.wait_for_all();
}
