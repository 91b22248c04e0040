#include <antiphon/profile/table.h>

#include <fmt/format.h>

#include <algorithm>
#include <map>

namespace antiphon::profile {
namespace {

Row& row_named(std::vector<Row>& rows, const std::string& part) {
  const auto found = std::find_if(rows.begin(), rows.end(), [&](const Row& row) { return row.part == part; });
  return found != rows.end() ? *found : rows.emplace_back(Row{part});
}

std::string line(const Row& row, double seconds, double peak) {
  const double rate = row.seconds > 0 ? row.flops / row.seconds : 0;
  const auto speed = row.flops > 0 ? fmt::format("{:>9.1f} {:>8.1f} %", rate / 1e9, 100 * rate / peak)
                                   : fmt::format("{:>9} {:>10}", "-", "-");
  return fmt::format("{:<24} {:>7} {:>10.4f} {:>8.1f} % {:>12.3f} {}\n", row.part, row.calls, row.seconds,
                     seconds > 0 ? 100 * row.seconds / seconds : 0.0, row.flops / 1e9, speed);
}

std::string other_threads(const std::vector<trace::Total>& totals) {
  std::map<std::pair<std::string, std::string>, Row> rows;
  for (const auto& total : totals) {
    if (total.main) continue;
    auto& row = rows[{total.thread.empty() ? "other" : total.thread, total.name}];
    row.calls += total.calls, row.seconds += total.seconds;
  }
  std::string out;
  for (const auto& [key, row] : rows)
    out += fmt::format("{} threads, beside the steps: {} {} times, {:.4f} s\n", key.first, key.second, row.calls,
                       row.seconds);
  return out;
}

}  // namespace

std::vector<Row> rows_of(const std::vector<trace::Total>& totals, double flops_without_scope, const std::string& step,
                         const std::vector<std::string>& parts) {
  std::vector<Row> rows;
  Row other{"other"}, sum{step};
  for (const auto& part : parts) rows.push_back({part});
  for (const auto& total : totals) {
    if (!total.main) continue;
    auto& row = total.name == step ? other : row_named(rows, total.name);
    row.calls += total.calls, row.seconds += total.seconds, row.flops += total.flops;
  }
  if (flops_without_scope > 0) row_named(rows, "backward").flops += flops_without_scope;
  sum.calls = std::exchange(other.calls, 0);
  rows.push_back(other);
  for (const auto& row : rows) sum.seconds += row.seconds, sum.flops += row.flops;
  rows.push_back(sum);
  return rows;
}

std::string table_of(const std::vector<Row>& rows, const std::vector<trace::Total>& totals, double peak) {
  auto out = fmt::format("{:<24} {:>7} {:>10} {:>10} {:>12} {:>9} {:>10}\n", "part", "calls", "seconds", "of step",
                         "GFLOP", "GFLOP/s", "of peak");
  for (const auto& row : rows) out += line(row, rows.back().seconds, peak);
  return out + other_threads(totals);
}

}  // namespace antiphon::profile
