#include <antiphon/comm/ledger.h>

#include <fmt/format.h>

#include <antiphon/base/mixed.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <sstream>

namespace antiphon::comm {

void Ledger::note(const char* operation, const char* type, const std::vector<int64_t>& numbers) {
  for (const std::string_view word : {operation, type}) hash_ = mixed(hash_, word);
  for (const int64_t number : numbers) hash_ = mixed(hash_, static_cast<uint64_t>(number));
  const Call call{operation, type, std::accumulate(numbers.begin(), numbers.end(), int64_t{0}), hash_};
  if (std::ssize(calls_) < kKept)
    calls_.push_back(call);
  else
    calls_[static_cast<size_t>(count_ % kKept)] = call;
  ++count_;
}

std::string Ledger::lines() const {
  std::string text;
  for (int64_t number = count_ - std::ssize(calls_); number < count_; ++number) {
    const auto& call = calls_[static_cast<size_t>(number % kKept)];
    text += fmt::format("{} {:016x}: {} of {} {}\n", number + 1, call.hash, call.operation, call.numbers, call.type);
  }
  return text;
}

namespace {

// Number of each call -> its hash and words.
std::map<int64_t, std::string> calls_of(const std::string& lines) {
  std::map<int64_t, std::string> calls;
  std::istringstream in(lines);
  for (std::string line; std::getline(in, line);) calls[std::stoll(line)] = line.substr(line.find(' ') + 1);
  return calls;
}

std::string words_of(const std::map<int64_t, std::string>& calls, int64_t number) {
  const auto found = calls.find(number);
  return found == calls.end() ? "none" : "'" + found->second.substr(found->second.find(": ") + 2) + "'";
}

}  // namespace

std::string first_difference(const std::string& one, const std::string& lines, const std::string& other,
                             const std::string& other_lines) {
  const auto calls = calls_of(lines), others = calls_of(other_lines);
  if (calls.empty() || others.empty()) return one + " or " + other + " has called nothing";
  // Of what both still know; a difference from before then is in all hashes.
  int64_t number = std::max(calls.begin()->first, others.begin()->first);
  const int64_t first = number, last = std::max(calls.rbegin()->first, others.rbegin()->first);
  while (number < last && calls.contains(number) && others.contains(number) && calls.at(number) == others.at(number))
    ++number;
  return fmt::format("call {}{} is {} in {} and {} in {}", number,
                     number == first && first > 1 ? " or one before it" : "", words_of(calls, number), one,
                     words_of(others, number), other);
}

}  // namespace antiphon::comm
