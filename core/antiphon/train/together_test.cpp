#include <antiphon/train/together.h>

#include <ATen/ATen.h>
#include <catch2/catch_test_macros.hpp>

#include <antiphon/base/error.h>
#include <antiphon/comm/test_group.h>

#include <string>

using namespace antiphon;
using comm::testing::my_place, comm::testing::run_group;

namespace {

train::EndedRecord record(double seconds) { return {0, seconds, {}, {{seconds, 0, 0}}}; }

std::string refusal(train::Together& together) {
  try {
    together.agree(record(1));
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::distributed);
    return error.message();
  }
  return "";
}

}  // namespace

TEST_CASE("processes that have called different things in one of their groups learn which") {
  CHECK(run_group(4, "member calls something else") == 0);
}

TEST_CASE("member calls something else", "[.]") {
  comm::Group all(my_place());
  parallel::Mesh mesh;
  mesh.copies = 4;
  train::Together together(all, mesh);
  const bool low = all.rank() < 2;
  const auto pair = all.subgroup("pair1", low ? std::vector<int>{0, 1} : std::vector<int>{2, 3});
  const auto turned = all.subgroup("turned1", all.rank() % 2 ? std::vector<int>{3, 1} : std::vector<int>{0, 2});
  const auto x = at::ones({4});
  // What the two pairs do is their own matter, and who sends is not who receives.
  for (int i = 0; i < (low ? 3 : 5); ++i) pair->sum(x);
  if (turned->rank() == 0)
    turned->begin_send(x, 1, 0, 0)();
  else
    turned->receive(x, 0, 0, 0);
  CHECK(together.agree(record(all.rank())).seconds == 3);
  CHECK(refusal(together).empty());
  // c10d pairs a sum with a largest value: nobody waits, and one of them is wrong.
  all.rank() == 3 ? pair->largest(x) : pair->sum(x);
  const auto text = refusal(together);
  CHECK(text.find("of the group ") != std::string::npos);
  CHECK(text.find("pair1/2, call 6 is 'sum of 4 Float' in process 2 and 'largest of 4 Float' in process 3") !=
        std::string::npos);
  INFO(text);
  CHECK(!text.empty());
  all.wait_for_all();
}
