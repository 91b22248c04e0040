#include <antiphon/base/trace.h>

#include <antiphon/base/trace_log.h>
#include <fmt/format.h>

#include <chrono>

namespace antiphon::trace {

std::atomic<uint32_t> recording{0};

namespace {

constexpr size_t kMaxEvents = 100'000;
uint32_t last_recording = 0;
std::function<void()> wait_for_device;
std::atomic<void (*)(const char*)> push_mark{nullptr};
std::atomic<void (*)()> pop_mark{nullptr};
std::atomic<double> orphan_flops{0};

int64_t now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

void synchronize(const ThreadLog& log) {
  if (log.main && wait_for_device) wait_for_device();
}

}  // namespace

Logs& logs() {
  static auto* logs = new Logs;  // threads may end after main
  return *logs;
}

// Kept when the thread ends, since its scopes are still to be reported.
ThreadLog& log_of_this_thread() {
  thread_local std::shared_ptr<ThreadLog> log = [] {
    auto log = std::make_shared<ThreadLog>();
    std::scoped_lock lock(logs().mutex);
    log->number = static_cast<int64_t>(logs().threads.size()) + 1;
    logs().threads.push_back(log);
    return log;
  }();
  return *log;
}

void start(std::function<void()> device, Marks marks) {
  stop();
  log_of_this_thread();
  std::scoped_lock lock(logs().mutex);
  for (const auto& log : logs().threads) {
    std::scoped_lock own(log->mutex);
    log->events.clear(), log->totals.clear();
    log->main = false;
  }
  log_of_this_thread().main = true;
  wait_for_device = std::move(device);
  push_mark = marks.push, pop_mark = marks.pop;
  orphan_flops = 0;
  logs().began = now();
  recording = ++last_recording;
}

void stop() { recording = 0; }

void name_thread(std::string_view name) {
  auto& log = log_of_this_thread();
  std::scoped_lock lock(log.mutex);
  log.name = name;
}

void add_flops(double flops) {
  if (recording.load(std::memory_order_relaxed) == 0) return;
  auto& log = log_of_this_thread();
  if (log.open.empty() || log.recording != recording.load(std::memory_order_relaxed)) {
    orphan_flops.fetch_add(flops);
  } else {
    log.open.back().flops += flops;
  }
}

double flops_without_scope() { return orphan_flops; }

std::vector<Total> totals() {
  std::vector<Total> all;
  std::scoped_lock lock(logs().mutex);
  for (const auto& log : logs().threads) {
    std::scoped_lock own(log->mutex);
    for (const auto& [name, total] : log->totals) {
      all.push_back(total);
      all.back().name = name, all.back().thread = log->name, all.back().main = log->main;
    }
  }
  return all;
}

}  // namespace antiphon::trace

namespace antiphon {

void TraceScope::begin(std::string_view name, std::string_view detail, bool part) {
  auto& log = trace::log_of_this_thread();
  recording_ = trace::recording;
  if (log.recording != recording_) log.open.clear();
  log.recording = recording_;
  if (!part) trace::synchronize(log);
  log.open.push_back({std::string(name).append(detail), trace::now(), 0, 0, part});
  if (const auto push = trace::push_mark.load()) push(log.open.back().name.c_str()), pop_ = trace::pop_mark.load();
}

void TraceScope::end() {
  auto& log = trace::log_of_this_thread();
  const bool counts = log.recording == recording_ && trace::recording == recording_ && !log.open.empty();
  if (counts && !log.open.back().part) trace::synchronize(log);
  if (pop_) pop_();
  if (!counts) return;
  const auto scope = std::move(log.open.back());
  log.open.pop_back();
  const int64_t lasted = trace::now() - scope.begin;
  const bool given = scope.part && !log.open.empty();  // to the outer one, with what is inside
  if (!log.open.empty()) log.open.back().inside += given ? scope.inside : lasted;
  if (given) log.open.back().flops += scope.flops;
  std::scoped_lock lock(log.mutex);
  if (!given) {
    auto& total = log.totals[scope.name];
    ++total.calls, total.flops += scope.flops, total.seconds += 1e-9 * static_cast<double>(lasted - scope.inside);
  }
  if (log.events.size() < trace::kMaxEvents) log.events.push_back({scope.name, scope.begin, lasted, scope.flops});
}

}  // namespace antiphon
