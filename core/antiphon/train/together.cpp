#include <antiphon/train/together.h>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/parallel/agreed.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <optional>

namespace antiphon::train {
namespace {

using Numbers = std::vector<int64_t>;

int64_t bits(double x) { return std::bit_cast<int64_t>(x); }
double real(int64_t x) { return std::bit_cast<double>(x); }

void put(Numbers& numbers, const data::RowState& row) {
  const auto& [order, counts] = row;
  numbers.insert(numbers.end(), {counts.good, counts.bad, counts.consecutive_bad, !order.base.empty()});
  numbers.insert(numbers.end(), order.drawn.begin(), order.drawn.end());
  numbers.insert(numbers.end(), order.drawn.size() - order.base.size(), 0);
  numbers.insert(numbers.end(), order.base.begin(), order.base.end());
}

constexpr size_t kCountsOfRow = 4;

data::RowState row_of(const int64_t* at, size_t sources) {
  data::RowState row;
  row.counts = {at[0], at[1], at[2]};
  const bool has_base = at[3] != 0;
  at += kCountsOfRow;
  row.order.drawn.assign(at, at + sources);
  if (has_base) row.order.base.assign(at + sources, at + 2 * sources);
  return row;
}

}  // namespace

DrawnRecord Together::agree(const DrawnRecord& own) {
  const auto& t = own.totals;
  Numbers mine{t.tokens, t.sequences, t.groups, t.preferred_tokens, own.tokens, own.bad, own.stop, own.content};
  for (const auto& [name, items] : own.items) mine.push_back(items);
  Numbers sum(mine.size());
  std::optional<size_t> differs;
  int64_t stop = 0;
  const auto all_numbers = parallel::gathered(mine, group_);
  for (size_t i = 0; i < all_numbers.size(); ++i) {
    const auto& numbers = all_numbers[i];
    stop = std::max(stop, numbers[6]);
    if (i % cell_ == 0) std::ranges::transform(sum, numbers, sum.begin(), std::plus<>());
    if (i % cell_ != 0 && numbers != all_numbers[i - i % cell_]) differs = i;
  }
  if (differs && stop == 0)
    fail(ErrorKind::distributed,
         fmt::format("processes {} and {} compute a batch together and have drawn different ones",
                     *differs - *differs % cell_, *differs),
         "all must read the same files without errors");
  DrawnRecord all{{sum[0], sum[1], sum[2], sum[3]}, sum[4], sum[5], own.items, own.content, stop};
  size_t next = 8;
  for (auto& [name, items] : all.items) items = sum[next++];
  return all;
}

ComputedRecord Together::agree(const ComputedRecord& own) {
  Numbers mine{bits(own.loss), own.finite};
  for (const auto& [name, sum] : own.metrics.sums()) mine.insert(mine.end(), {bits(sum.sum), bits(sum.count)});
  ComputedRecord all;
  std::vector<StepMetrics::Sum> sums(own.metrics.sums().size());
  size_t process = 0;
  for (const auto& numbers : parallel::gathered(mine, group_)) {
    all.finite &= numbers[1] != 0;
    if (process++ % cell_ != 0) continue;
    all.loss += real(numbers[0]);
    for (size_t i = 0; i < sums.size(); ++i)
      sums[i].sum += real(numbers[2 + 2 * i]), sums[i].count += real(numbers[3 + 2 * i]);
  }
  size_t next = 0;
  for (const auto& [name, sum] : own.metrics.sums()) all.metrics.set(name, sums[next++]);
  return all;
}

EndedRecord Together::agree(const EndedRecord& own) {
  Numbers mine{own.stop, bits(own.seconds)};
  for (const auto& row : own.rows.rows) put(mine, row);
  const size_t sources = own.rows.rows.empty() ? 0 : own.rows.rows.front().order.drawn.size();
  EndedRecord all;
  size_t process = 0;
  for (const auto& numbers : parallel::gathered(mine, group_)) {
    all.stop = std::max(all.stop, static_cast<int>(numbers[0])), all.seconds = std::max(all.seconds, real(numbers[1]));
    if (process++ % cell_ != 0) continue;
    for (size_t at = 2; at < numbers.size(); at += kCountsOfRow + 2 * sources)
      all.rows.rows.push_back(row_of(&numbers[at], sources));
  }
  return all;
}

data::RowShare share_of(int rank, int size, int64_t rows) {
  const int64_t each = rows / size;
  if (rows % size != 0)
    fail(
        ErrorKind::config, fmt::format("{} processes cannot share {} batches a step (train.accumulate)", size, rows),
        fmt::format("give --set train.accumulate={}; each batch has train.tokens_per_batch tokens", (each + 1) * size));
  return {rows, rank * each, each};
}

}  // namespace antiphon::train
