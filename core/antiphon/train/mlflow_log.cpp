#include <antiphon/train/mlflow_log.h>

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>

#include <antiphon/base/base64.h>
#include <antiphon/base/error.h>
#include <antiphon/base/files.h>
#include <antiphon/base/json.h>
#include <antiphon/base/log.h>
#include <antiphon/base/paths.h>
#include <antiphon/base/shown.h>

namespace antiphon::train {
namespace {

using nlohmann::json;
using Seconds = std::chrono::duration<double>;

// Of a request to runs/log-batch, as documented; and what waits for a server that is away.
constexpr size_t kMetricsAtOnce = 1000, kParamsAtOnce = 100, kWaitingAtMost = 200000;
constexpr size_t kLongestValue = 500;
constexpr int kSecondsOfRequest = 5;
constexpr double kShortestPause = 0.2, kLongestPause = 30;

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

std::string authorization_of_environment() {
  if (const auto token = environment("MLFLOW_TRACKING_TOKEN"); !token.empty()) return "Bearer " + token;
  const auto user = environment("MLFLOW_TRACKING_USERNAME"), password = environment("MLFLOW_TRACKING_PASSWORD");
  return user.empty() && password.empty() ? "" : "Basic " + to_base64(user + ":" + password);
}

int64_t now_ms() {
  using namespace std::chrono;
  return duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
}

// Letters, digits and _ - . / and spaces are allowed.
std::string mlflow_name(std::string name) {
  for (char& c : name) {
    const bool allowed = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                         std::string_view("_-./ ").find(c) != std::string_view::npos;
    if (!allowed) c = '_';
  }
  return name;
}

}  // namespace

MlflowLog::MlflowLog(const MlflowOptions& options, const std::filesystem::path& folder,
                     std::map<std::string, std::string> params)
    : options_(options), folder_(folder), params_(std::move(params)), authorization_(authorization_of_environment()) {
  const auto uri = options.uri.empty() ? environment("MLFLOW_TRACKING_URI") : options.uri;
  if (uri.empty())
    fail(ErrorKind::config, "train.loggers has \"mlflow\", and there is no address of a server",
         "set train.mlflow.uri, or MLFLOW_TRACKING_URI");
  address_ = http_address(uri, options.uri.empty() ? "MLFLOW_TRACKING_URI" : "train.mlflow.uri");
  if (options_.run_name.empty()) options_.run_name = absolute_path(folder, ErrorKind::config).filename().string();
  const auto file = folder_ / "mlflow.json";
  if (path_exists(file, ErrorKind::config)) {
    const auto known = parse_json(read_file(file, ErrorKind::config));
    if (known.is_object() && known.contains("run_id") && known["run_id"].is_string()) run_id_ = known["run_id"];
  }
  thread_ = std::thread([this] { work(); });
}

MlflowLog::~MlflowLog() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
  }
  changed_.notify_all();
  thread_.join();
  if (lost_ > 0)
    log::warning(
        fmt::format("mlflow: {} values of metrics could not be sent to {}:{}", lost_, address_.host, address_.port));
}

void MlflowLog::metrics(int64_t step, const std::map<std::string, double>& values) {
  const auto time = now_ms();
  const std::lock_guard lock(mutex_);
  for (const auto& [name, value] : values)
    if (std::isfinite(value))
      waiting_.push_back({{"key", mlflow_name(name)}, {"value", value}, {"timestamp", time}, {"step", step}});
  while (waiting_.size() > kWaitingAtMost) waiting_.pop_front(), ++lost_;
  changed_.notify_all();
}

// Until all is sent and the run is over. After a failure it waits, twice as long each time.
void MlflowLog::work() {
  double pause = kShortestPause;
  std::optional<std::chrono::steady_clock::time_point> end;
  for (;;) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return closing_ || !waiting_.empty(); });
    if (closing_ && !end) end = std::chrono::steady_clock::now() + std::chrono::seconds(kLastSeconds);
    const bool over = end && std::chrono::steady_clock::now() > *end, done = closing_ && waiting_.empty();
    if (over || refused_) lost_ += static_cast<int64_t>(std::exchange(waiting_, {}).size());
    if ((over || refused_ || done) && closing_) break;
    lock.unlock();
    if (refused_ || guarded([&] { return send_some(); })) {
      pause = kShortestPause;
      continue;
    }
    lock.lock();
    changed_.wait_for(lock, Seconds(closing_ ? kShortestPause : pause), [&] { return closing_ && !end; });
    pause = std::min(2 * pause, kLongestPause);
  }
  if (opened_)
    guarded([&] {
      ask("runs/update", {{"run_id", run_id_}, {"status", finished_ ? "FINISHED" : "KILLED"}, {"end_time", now_ms()}});
      return true;
    });
}

// A server may answer anything, and the training does not end by it.
bool MlflowLog::guarded(const std::function<bool()>& body) {
  try {
    return body();
  } catch (const std::exception& error) {
    log::warning(fmt::format("mlflow: an answer of {}:{} is not understood ({}); nothing more is sent", address_.host,
                             address_.port, shown(error.what())));
    refused_ = true;
    return true;
  }
}

bool MlflowLog::send_some() {
  if (!opened_ && !open_run()) return false;
  json some = json::array();
  {
    const std::lock_guard lock(mutex_);
    const auto n = static_cast<long>(std::min(waiting_.size(), kMetricsAtOnce));
    for (auto one = waiting_.begin(); one != waiting_.begin() + n; ++one) some.push_back(*one);
  }
  if (some.empty()) return true;
  const auto answer = ask("runs/log-batch", {{"run_id", run_id_}, {"metrics", some}});
  if (answer.is_null() && !refused_) return false;
  const std::lock_guard lock(mutex_);  // what has been dropped meanwhile was at the front, too
  const auto n = std::min(some.size(), waiting_.size());
  waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<long>(n));
  if (answer.is_null()) lost_ += static_cast<int64_t>(n);
  return true;
}

// The run that mlflow.json names, if the server has it; else a new one.
bool MlflowLog::open_run() {
  if (!run_id_.empty()) {
    const auto answer = ask("runs/update", {{"run_id", run_id_}, {"status", "RUNNING"}}, /*may_be_missing=*/true);
    if (answer.is_null()) return false;
    opened_ = !answer.contains("error_code");
    if (opened_) return true;
    log::warning(fmt::format("mlflow: the server does not know the run {}; a new one is begun", shown(run_id_)));
  }
  return opened_ = create_run();
}

std::string MlflowLog::experiment() {
  const auto found = ask("experiments/get-by-name?experiment_name=" + url_encoded(options_.experiment), nullptr, true);
  if (found.is_null()) return {};
  if (found.contains("experiment")) return found["experiment"].value("experiment_id", "");
  const auto made = ask("experiments/create", {{"name", options_.experiment}});
  return made.is_object() ? made.value("experiment_id", "") : "";
}

bool MlflowLog::create_run() {
  const auto id = experiment();
  if (id.empty()) return false;
  const auto made =
      ask("runs/create", {{"experiment_id", id}, {"run_name", options_.run_name}, {"start_time", now_ms()}});
  if (!made.is_object() || !made.contains("run")) return false;
  run_id_ = made["run"].value("info", json::object()).value("run_id", "");
  if (run_id_.empty()) return false;
  try {
    write_file_atomic(folder_ / "mlflow.json", json{{"run_id", run_id_}}.dump() + "\n", ErrorKind::config);
  } catch (const Error& error) {
    log::warning(fmt::format("mlflow: {}; a resumed run will be another one there", error.message()));
  }
  json params = json::array();
  for (auto entry = params_.begin(); entry != params_.end();) {
    params.push_back({{"key", mlflow_name(entry->first)}, {"value", entry->second.substr(0, kLongestValue)}});
    if (++entry != params_.end() && params.size() < kParamsAtOnce) continue;
    ask("runs/log-batch", {{"run_id", run_id_}, {"params", std::exchange(params, json::array())}});
  }
  return true;
}

// The answer as JSON; null if none is good. What the server refuses is not asked again: refused_.
json MlflowLog::ask(const std::string& path, const json& body, bool may_be_missing) {
  const auto text = body.is_null() ? "" : body.dump(-1, ' ', false, json::error_handler_t::replace);
  const auto answer = http_request(address_, "/api/2.0/mlflow/" + path, text, authorization_, kSecondsOfRequest);
  auto found = parse_json(answer.body);
  if (answer.status >= 200 && answer.status < 300) return found.is_object() ? found : json::object();
  if (may_be_missing && answer.status == 404) return {{"error_code", "RESOURCE_DOES_NOT_EXIST"}};
  const auto why = found.is_object() ? found.value("message", "") : answer.problem;
  tell(answer.status == 0 ? why : fmt::format("HTTP status {} for {}: {}", answer.status, path, shown(why)));
  const bool for_good = answer.status >= 400 && answer.status < 500 && answer.status != 408 && answer.status != 429;
  refused_ = refused_ || for_good;
  return nullptr;
}

void MlflowLog::tell(const std::string& problem) {
  if (std::exchange(told_, true)) return;
  log::warning(fmt::format("mlflow: {}:{}: {}; the training goes on", address_.host, address_.port, problem));
}

}  // namespace antiphon::train
