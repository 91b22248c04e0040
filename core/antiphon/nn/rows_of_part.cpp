#include <antiphon/nn/rows_of_part.h>

#include <ATen/ATen.h>

namespace antiphon::nn {

// What others have is looked up as row 0, and not kept.
at::Tensor rows_of_part(const at::Tensor& ids_n, const Part& own,
                        const std::function<at::Tensor(const at::Tensor&)>& rows) {
  const auto numbers = ids_n - own.begin;
  const auto is_own = numbers.ge(0).logical_and(numbers.lt(own.size));
  const auto x = rows(numbers * is_own);
  return x * is_own.unsqueeze(-1).to(x.scalar_type());
}

}  // namespace antiphon::nn
