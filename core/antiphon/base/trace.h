// Where time goes: named scopes on every thread, for `--profile`. When not recording, a scope costs one relaxed load.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace antiphon::trace {

// What another tool's marks are made by: `push` with the name as a scope begins, `pop` as it ends, on its thread.
struct Marks {
  void (*push)(const char* name) = nullptr;
  void (*pop)() = nullptr;
};

// Drops what was recorded before and records from now on. `synchronize`, if given, is called as the scopes of the
// calling thread begin and end: it waits for an asynchronous device.
void start(std::function<void()> synchronize = {}, Marks marks = {});
// Scopes that are still open are left out.
void stop();

extern std::atomic<uint32_t> recording;  // which recording it is; 0: none
inline bool on() { return recording.load(std::memory_order_relaxed) != 0; }

// The name of this thread in the trace: "loader".
void name_thread(std::string_view name);
// Adds floating point operations to the innermost open scope of this thread; without one, to flops_without_scope().
// Does nothing when not recording.
void add_flops(double flops);

// All scopes of one name on one thread. Time and operations of nested scopes are not included.
struct Total {
  std::string name, thread;
  bool main = false;  // on the thread that called start()
  int64_t calls = 0;
  double seconds = 0, flops = 0;
};
std::vector<Total> totals();
// Operations on threads without a scope, such as autograd's device threads.
double flops_without_scope();

// Chrome's trace event format (a JSON object with traceEvents), for chrome://tracing and ui.perfetto.dev; times in
// microseconds from start(). Only the first 100 000 scopes of a thread are listed; the totals are complete.
std::string chrome_json();

}  // namespace antiphon::trace

namespace antiphon {

// Lives as long as what it measures. Scopes of a thread nest.
class TraceScope {
 public:
  // Its name is `name` + `detail`: "encoders/" + "image". Not recorded if `wanted` is false.
  explicit TraceScope(std::string_view name, std::string_view detail = {}, bool wanted = true) {
    if (trace::on() && wanted) begin(name, detail);
  }
  // One of several that make up what the scope around it measures: "block " + 7. In the trace and among other tools'
  // marks alone: its time and operations stay the outer one's, and it waits for no device.
  static TraceScope part(std::string_view name, size_t number) { return {name, number}; }
  ~TraceScope() {
    if (recording_ != 0) end();
  }
  TraceScope(const TraceScope&) = delete;

 private:
  TraceScope(std::string_view name, size_t number) {
    if (trace::on()) begin(name, std::to_string(number), /*part=*/true);
  }
  void begin(std::string_view name, std::string_view detail, bool part = false);
  void end();
  uint32_t recording_ = 0;
  void (*pop_)() = nullptr;  // the mark of another tool
};

}  // namespace antiphon
