#include "divide.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>

#include "file_keys.h"

namespace antiphon::lora {
namespace {

// Of all parts together; `largest` of their ranks.
struct SumsOfParts {
  int64_t rows = 0, rank = 0, largest = 0;

  explicit SumsOfParts(const std::vector<PartOfChange>& parts) {
    for (const auto& part : parts) rows += part.rows, rank += part.rank, largest = std::max(largest, part.rank);
  }
};

// Where in the change a part's rows and its own columns of B begin.
struct Corner {
  int64_t row = 0, column = 0;
};

std::string divide_part(const StackedFactors& change, const PartOfChange& part, const Corner& at, bool shared,
                        decltype(AdapterFile::tensors)& out) {
  const auto first = shared ? 0 : at.column;
  const auto rows = change.b.narrow(0, at.row, part.rows), own = rows.narrow(1, first, part.rank);
  if (own.count_nonzero().item<int64_t>() != rows.count_nonzero().item<int64_t>())
    return fmt::format("reaches {} by more than the rank {} of its adapter", part.site, part.rank);
  if (part.rank == 0) return change.lengths.defined() ? fmt::format("has DoRA's lengths of {}, too", part.site) : "";
  const auto key = kPeftPrefix + part.site;
  out.emplace_back(key + kFactorA, change.a.narrow(0, first, part.rank));
  out.emplace_back(key + kFactorB, own.contiguous());
  if (change.lengths.defined()) out.emplace_back(key + kLengths, change.lengths.narrow(0, at.row, part.rows));
  return {};
}

}  // namespace

std::string why_no_factors(const StackedFactors& change, const std::vector<PartOfChange>& parts) {
  const auto& [a, b, lengths] = change;
  const auto rows = SumsOfParts(parts).rows;
  const bool good = a.defined() && b.defined() && a.dim() == 2 && b.dim() == 2 && b.size(0) == rows &&
                    a.size(0) == b.size(1) && (!lengths.defined() || (lengths.dim() == 1 && lengths.size(0) == rows));
  return good ? "" : fmt::format("is not a pair of factors for {} rows", rows);
}

std::string divide(const StackedFactors& change, const std::vector<PartOfChange>& parts,
                   decltype(AdapterFile::tensors)& out) {
  const SumsOfParts all(parts);
  const auto rank = change.a.size(0);
  const bool shared = rank == all.largest && rank > 0;
  if (!shared && (rank != all.rank || rank == 0))
    return fmt::format("has rank {}, neither that of the attached adapters, {}, nor their sum, {}", rank, all.largest,
                       all.rank);
  Corner at;
  for (const auto& part : parts) {
    if (auto why = divide_part(change, part, at, shared, out); !why.empty()) return why;
    at.row += part.rows, at.column += part.rank;
  }
  return {};
}

}  // namespace antiphon::lora
