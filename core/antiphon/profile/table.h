// The table of a profile.
#pragma once
#include <string>
#include <vector>

#include <antiphon/base/trace.h>

namespace antiphon::profile {

struct Row {
  std::string part;
  int64_t calls = 0;
  double seconds = 0, flops = 0;
};

// The main thread's rows: `parts` in their order, then other scopes, then "other" (the rest of the steps), then the sum
// under the name `step`. Operations outside any scope belong to the backward pass: autograd has its own threads for a
// device.
std::vector<Row> rows_of(const std::vector<trace::Total>& totals, double flops_without_scope, const std::string& step,
                         const std::vector<std::string>& parts);

// Text, with shares of the last row's time and of the peak (operations a second), and a line for each kind of scope on
// other threads.
std::string table_of(const std::vector<Row>& rows, const std::vector<trace::Total>& totals, double peak);

}  // namespace antiphon::profile
