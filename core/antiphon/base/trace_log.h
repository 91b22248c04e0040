// The log of each thread: kept by trace.cpp, written by trace_json.cpp.
#pragma once
#include <map>
#include <memory>
#include <mutex>

#include <antiphon/base/trace.h>

namespace antiphon::trace {

struct OpenScope {
  std::string name;
  int64_t begin = 0, inside = 0;  // nanoseconds; inside: spent in nested scopes
  double flops = 0;
  bool part = false;
};

struct Event {
  std::string name;
  int64_t begin = 0, lasted = 0;
  double flops = 0;
};

// `open` and `recording` belong to the thread itself; the mutex guards the rest.
struct ThreadLog {
  std::vector<OpenScope> open;
  uint32_t recording = 0;
  std::mutex mutex;
  int64_t number = 0;
  std::string name;
  std::atomic<bool> main{false};
  std::vector<Event> events;
  std::map<std::string, Total> totals;
};

struct Logs {
  std::mutex mutex;
  std::vector<std::shared_ptr<ThreadLog>> threads;
  int64_t began = 0;
};
Logs& logs();

}  // namespace antiphon::trace
