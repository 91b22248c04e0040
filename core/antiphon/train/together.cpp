#include <antiphon/train/together.h>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/mixed.h>
#include <antiphon/comm/ledger.h>
#include <antiphon/parallel/agreed.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <map>
#include <optional>
#include <sstream>

namespace antiphon::train {
namespace {

using Numbers = std::vector<int64_t>;

int64_t bits(double x) { return std::bit_cast<int64_t>(x); }
double real(int64_t x) { return std::bit_cast<double>(x); }

constexpr size_t kCountsOfRow = 6 + data::kFilterReasons, kCountsOfSample = 4;

// As many numbers for each row: those of samples that it does not hold are 0.
size_t numbers_of_row(size_t sources, int64_t most_held) {
  return kCountsOfRow + 2 * sources + kCountsOfSample * static_cast<size_t>(most_held);
}

void put(Numbers& numbers, const data::RowState& row, int64_t most_held) {
  const auto& [order, counts, held] = row;
  const auto end = numbers.size() + numbers_of_row(order.drawn.size(), most_held);
  numbers.insert(numbers.end(), {counts.good, counts.bad, counts.consecutive_bad, !order.base.empty(), order.over,
                                 static_cast<int64_t>(held.size())});
  numbers.insert(numbers.end(), counts.filtered.begin(), counts.filtered.end());
  numbers.insert(numbers.end(), order.drawn.begin(), order.drawn.end());
  numbers.insert(numbers.end(), order.drawn.size() - order.base.size(), 0);
  numbers.insert(numbers.end(), order.base.begin(), order.base.end());
  for (const auto& one : held) numbers.insert(numbers.end(), {one.source, one.index, one.epoch, one.number});
  if (numbers.size() > end) fail(ErrorKind::internal, "a row holds more samples than it says it may");
  numbers.resize(end);
}

data::RowState row_of(const int64_t* at, size_t sources) {
  data::RowState row;
  row.counts = {at[0], at[1], at[2]};
  const bool has_base = at[3] != 0;
  row.order.over = at[4];
  const auto held = static_cast<size_t>(at[5]);
  std::copy_n(at + 6, data::kFilterReasons, row.counts.filtered.begin());
  at += kCountsOfRow;
  row.order.drawn.assign(at, at + sources);
  if (has_base) row.order.base.assign(at + sources, at + 2 * sources);
  at += 2 * sources;
  for (size_t i = 0; i < held; ++i, at += kCountsOfSample) row.held.push_back({at[0], at[1], at[2], at[3]});
  return row;
}

}  // namespace

DrawnRecord Together::agree(const DrawnRecord& own) {
  const auto& t = own.totals;
  Numbers mine{t.tokens, t.sequences, t.groups, t.preferred_tokens, own.tokens, own.bad, own.stop, own.content};
  for (const auto& [name, items] : own.items) mine.push_back(items);
  Numbers sum(mine.size());
  std::optional<int> differs;
  int64_t stop = 0;
  const auto of_all = parallel::gathered(mine, group_);
  for (int rank = 0; rank < group_.size(); ++rank) {
    const auto& numbers = of_all[static_cast<size_t>(rank)];
    const int first = mesh_.first_of(mesh_.cell_of(rank));
    stop = std::max(stop, numbers[6]);
    if (rank == first) std::ranges::transform(sum, numbers, sum.begin(), std::plus<>());
    if (numbers != of_all[static_cast<size_t>(first)]) differs = rank;
  }
  if (differs && stop == 0)
    fail(ErrorKind::distributed,
         fmt::format("processes {} and {} compute a batch together and have drawn different ones",
                     mesh_.first_of(mesh_.cell_of(*differs)), *differs),
         "all must read the same files without errors");
  DrawnRecord all{{sum[0], sum[1], sum[2], sum[3]}, sum[4], sum[5], own.items, own.content, stop};
  size_t next = 8;
  for (auto& [name, items] : all.items) items = sum[next++];
  return all;
}

// Of a pipeline's stages only the last one knows what the metrics are called.
std::map<std::string, StepMetrics::Sum> Together::named(const StepMetrics& own) {
  if (mesh_.stages == 1) return own.sums();
  std::string names;
  for (const auto& [name, sum] : own.sums()) names += name + "\n";
  std::map<std::string, StepMetrics::Sum> all;
  std::istringstream lines(parallel::said_by(mesh_.last_of(0), names, group_));
  for (std::string name; std::getline(lines, name);)
    all[name] = own.sums().contains(name) ? own.sums().at(name) : StepMetrics::Sum();
  return all;
}

ComputedRecord Together::agree(const ComputedRecord& own) {
  Numbers mine{bits(own.loss), own.finite};
  const auto metrics = named(own.metrics);
  for (const auto& [name, sum] : metrics) mine.insert(mine.end(), {bits(sum.sum), bits(sum.count)});
  ComputedRecord all;
  std::vector<StepMetrics::Sum> sums(metrics.size());
  const auto of_all = parallel::gathered(mine, group_);
  for (int rank = 0; rank < group_.size(); ++rank) {
    const auto& numbers = of_all[static_cast<size_t>(rank)];
    all.finite &= numbers[1] != 0;
    if (!std::isfinite(real(numbers[0]))) all.not_finite.push_back(rank);
  }
  for (int cell = 0; cell < mesh_.cells(); ++cell) {
    const auto& numbers = of_all[static_cast<size_t>(mesh_.last_of(cell))];
    all.loss += real(numbers[0]);
    for (size_t i = 0; i < sums.size(); ++i)
      sums[i].sum += real(numbers[2 + 2 * i]), sums[i].count += real(numbers[3 + 2 * i]);
  }
  size_t next = 0;
  for (const auto& [name, sum] : metrics) all.metrics.set(name, sums[next++]);
  return all;
}

namespace {

constexpr size_t kMostGroups = 16;  // that a process is in

int64_t number_of(const comm::Group& group) { return static_cast<int64_t>(mixed(0, group.id())); }

// Of each group with a ledger its number and its ledger's hash.
Numbers ledgers_of(const comm::Group& group) {
  Numbers numbers;
  for (const auto* each : group.with_ledgers())
    numbers.insert(numbers.end(), {number_of(*each), static_cast<int64_t>(each->ledger().hash())});
  if (numbers.size() > 2 * kMostGroups)
    fail(ErrorKind::internal, fmt::format("a process is in {} groups", numbers.size() / 2));
  numbers.resize(2 * kMostGroups);
  return numbers;
}

// Null if this process is not in it.
const comm::Group* numbered(const comm::Group& group, int64_t number) {
  for (const auto* each : group.with_ledgers())
    if (number_of(*each) == number) return each;
  return nullptr;
}

// Two processes whose calls in a group that both are in are not the same.
struct Parted {
  int one = 0, other = 0;
  int64_t group = 0;
};

std::optional<Parted> parted(const std::vector<Numbers>& of_all, size_t first) {
  std::map<int64_t, std::pair<int, int64_t>> seen;
  for (int rank = 0; rank < std::ssize(of_all); ++rank)
    for (size_t i = 0; i < kMostGroups; ++i) {
      const auto* pair = &of_all[static_cast<size_t>(rank)][first + 2 * i];
      if (pair[0] == 0) break;
      const auto [at, is_new] = seen.try_emplace(pair[0], rank, pair[1]);
      if (!is_new && at->second.second != pair[1]) return Parted{at->second.first, rank, pair[0]};
    }
  return std::nullopt;
}

// All processes know of it, and all say the same.
[[noreturn]] void fail_parted(const Parted& two, comm::Group& group) {
  const auto* of = numbered(group, two.group);
  const auto lines = of ? of->ledger().lines() : std::string();  // before what follows is called
  const auto one = parallel::said_by(two.one, lines, group), other = parallel::said_by(two.other, lines, group),
             name = parallel::said_by(two.one, of ? of->id() : std::string(), group);
  fail(
      ErrorKind::distributed,
      fmt::format(
          "processes have exchanged different things in this step, or in another order: of the group {}, {}", name,
          comm::first_difference(fmt::format("process {}", two.one), one, fmt::format("process {}", two.other), other)),
      "start all of them with the same program and the same files; if that is so, report it");
}

}  // namespace

EndedRecord Together::agree(const EndedRecord& own) {
  constexpr size_t kLedgers = 5, kOfStep = kLedgers + 2 * kMostGroups;
  Numbers mine{own.stop, bits(own.seconds), bits(own.work.empty() ? 0 : own.work.front().seconds),
               own.work.empty() ? 0 : own.work.front().memory, own.work.empty() ? 0 : own.work.front().held};
  const auto ledgers = ledgers_of(group_);
  mine.insert(mine.end(), ledgers.begin(), ledgers.end());
  const int64_t most_held = own.rows.most_held;
  for (const auto& row : own.rows.rows) put(mine, row, most_held);
  const size_t sources = own.rows.rows.empty() ? 0 : own.rows.rows.front().order.drawn.size();
  EndedRecord all;
  all.rows.most_held = most_held;
  const auto of_all = parallel::gathered(mine, group_);
  for (const auto& numbers : of_all) {
    all.stop = std::max(all.stop, static_cast<int>(numbers[0])), all.seconds = std::max(all.seconds, real(numbers[1]));
    all.work.push_back({real(numbers[2]), mesh_.stage_of(static_cast<int>(all.work.size())), numbers[3], numbers[4]});
  }
  if (const auto two = parted(of_all, kLedgers)) fail_parted(*two, group_);
  for (int cell = 0; cell < mesh_.cells(); ++cell) {
    const auto& numbers = of_all[static_cast<size_t>(mesh_.first_of(cell))];
    for (size_t at = kOfStep; at < numbers.size(); at += numbers_of_row(sources, most_held))
      all.rows.rows.push_back(row_of(&numbers[at], sources));
  }
  return all;
}

data::RowShare share_of(int rank, int size, int64_t rows, int processes) {
  const int64_t each = rows / size;
  const auto who =
      processes == 1 ? fmt::format("{} processes", size) : fmt::format("{} groups of {} processes", size, processes);
  if (rows % size != 0)
    fail(
        ErrorKind::config, fmt::format("{} cannot share {} batches a step (train.accumulate)", who, rows),
        fmt::format("give --set train.accumulate={}; each batch has train.tokens_per_batch tokens", (each + 1) * size));
  return {rows, rank * each, each};
}

}  // namespace antiphon::train
