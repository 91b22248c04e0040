// What a process has called in a group, so that several can see whether they have called the same.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace antiphon::comm {

class Ledger {
 public:
  // `numbers`: how many values each piece of the call has, by what all processes know of it. `operation` and `type` are
  // kept: they must stay where they are.
  void note(const char* operation, const char* type, const std::vector<int64_t>& numbers);
  // A hash of all calls so far, in their order.
  uint64_t hash() const { return hash_; }
  // The last kKept calls, oldest first, a line each: "17 9f3c…: sum of 4 Float".
  std::string lines() const;
  static constexpr int64_t kKept = 256;

 private:
  struct Call {
    const char* operation;
    const char* type;
    int64_t numbers;
    uint64_t hash;
  };
  uint64_t hash_ = 0;
  int64_t count_ = 0;
  std::vector<Call> calls_;  // the last ones, each at its number modulo kKept
};

// Where the lines() of two processes part: "call 17 is 'sum of 4 Float' in the one and 'gather of 8 Float' in the
// other". `one`, `other`: their names.
std::string first_difference(const std::string& one, const std::string& lines, const std::string& other,
                             const std::string& other_lines);

}  // namespace antiphon::comm
