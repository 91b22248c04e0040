#include <antiphon/nn/rows_of_part.h>

#include <ATen/ATen.h>

#include <catch2/catch_test_macros.hpp>

using namespace antiphon;
using namespace antiphon::nn;

TEST_CASE("rows of a table in parts: each id's row comes from the one part that has it") {
  const auto table = at::arange(11 * 3, at::kFloat).view({11, 3}) + 1, ids = at::tensor({10, 0, 5, 5, 3, 7});
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    const auto whole = table.to(dtype);
    auto sum = at::zeros({ids.size(0), 3}, dtype);
    for (int rank = 0; rank < 4; ++rank) {
      const auto own = part_of(11, rank, 4);
      const auto part = whole.narrow(0, own.begin, own.size);
      const auto rows = rows_of_part(ids, own, [&](const at::Tensor& numbers) { return at::embedding(part, numbers); });
      CHECK(rows.scalar_type() == dtype);
      const auto there = ids.ge(own.begin).logical_and(ids.lt(own.begin + own.size));
      CHECK(at::equal(rows.ne(0).all(1), there));
      sum += rows;
    }
    CHECK(at::equal(sum, at::embedding(whole, ids)));
  }
}
