#include <antiphon/base/trace_log.h>
#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace antiphon::trace {
namespace {

// Names come from configurations, so they may contain anything.
std::string quoted(const std::string& text) {
  return nlohmann::json(text).dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
}

std::string metadata(const char* what, int64_t thread, const std::string& name) {
  return fmt::format(R"({{"name":"{}","ph":"M","pid":1,"tid":{},"args":{{"name":{}}}}})", what, thread, quoted(name));
}

std::string event_json(const Event& event, int64_t thread, int64_t began) {
  return fmt::format(R"({{"name":{},"ph":"X","pid":1,"tid":{},"ts":{:.3f},"dur":{:.3f},"args":{{"gflop":{:.6f}}}}})",
                     quoted(event.name), thread, 1e-3 * static_cast<double>(event.begin - began),
                     1e-3 * static_cast<double>(event.lasted), 1e-9 * event.flops);
}

}  // namespace

std::string chrome_json() {
  std::string out = R"({"displayTimeUnit":"ms","traceEvents":[)" + metadata("process_name", 0, "antiphon");
  std::scoped_lock lock(logs().mutex);
  for (const auto& log : logs().threads) {
    std::scoped_lock own(log->mutex);
    if (log->events.empty()) continue;
    const auto name = log->main ? "main" : log->name.empty() ? "thread" : log->name;
    out += ",\n" + metadata("thread_name", log->number, name);
    for (const auto& event : log->events) out += ",\n" + event_json(event, log->number, logs().began);
  }
  return out + "]}\n";
}

}  // namespace antiphon::trace
