#include <algorithm>
#include <set>
#include <tuple>

#include <antiphon/base/fail_lines.h>
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
  std::set<std::string> told;
  std::vector<std::string> lines;
  for (const auto& problem : sorted) {
    const auto message = problem.message();
    if (!told.insert(message + "\n" + problem.fix).second) continue;
    if (told.size() > most_shown) {
      lines.push_back(fmt::format("… and more: {} problems in all", sorted.size()));
      break;
    }
    for (auto& line : split(message, '\n')) lines.push_back(std::move(line));
    if (!problem.fix.empty()) lines.push_back((told.size() == 1 ? "  fix: " : "    fix: ") + problem.fix);
  }
  const bool alike =
      std::all_of(list_.begin(), list_.end(), [&](const auto& problem) { return problem.kind == list_.front().kind; });
  fail_lines(alike ? list_.front().kind : ErrorKind::config, lines);
}

}  // namespace antiphon::config
