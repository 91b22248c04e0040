#include <algorithm>
#include <tuple>

#include <antiphon/base/error.h>
#include <antiphon/base/strings.h>
#include <antiphon/config/schema.h>

#include <fmt/format.h>

namespace antiphon::config {
namespace {
constexpr size_t most_shown = 100;
}

void Problems::add(const Location& where, std::string text, std::string fix) {
  add(where, std::move(text), std::move(fix), ErrorKind::config);
}

void Problems::add(const Location& where, std::string text, std::string fix, ErrorKind kind) {
  list_.push_back({where, std::move(text), std::move(fix), kind});
}

std::string Problems::Problem::message() const {
  const std::string place = where.str();
  return place.empty() ? text : place + ": " + text;
}

void Problems::throw_if_any() const {
  if (empty()) return;
  auto sorted = list_;
  const auto key = [](const Problem& p) {
    return std::tuple(p.where.source ? *p.where.source : "", p.where.line, p.where.column);
  };
  std::stable_sort(sorted.begin(), sorted.end(), [&](const auto& a, const auto& b) { return key(a) < key(b); });
  std::vector<std::string> lines;
  for (const auto& problem : sorted) {
    std::string line = problem.message();
    if (!problem.fix.empty()) line += "\n  fix: " + problem.fix;
    if (std::find(lines.begin(), lines.end(), line) == lines.end()) lines.push_back(std::move(line));
    if (lines.size() > most_shown) break;
  }
  if (lines.size() > most_shown) lines.back() = fmt::format("… and more: {} problems in all", sorted.size());
  const bool alike =
      std::all_of(list_.begin(), list_.end(), [&](const auto& problem) { return problem.kind == list_.front().kind; });
  fail(alike ? list_.front().kind : ErrorKind::config, join(lines, "\n"));
}

}  // namespace antiphon::config
