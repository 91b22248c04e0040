// The metrics of a run in MLflow, through its REST interface (MLflow documentation, "REST API", version 2.0). A thread
// sends them; training never waits for it, and no failure ends the training.
#pragma once
#include <condition_variable>
#include <deque>
#include <filesystem>
#include <functional>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

#include <antiphon/train/http_client.h>
#include <antiphon/train/mlflow_options.h>

namespace antiphon::train {

class MlflowLog {
 public:
  // `params`: of the run, e.g. "train.steps" -> "1000". In `folder` the run's number there is kept (mlflow.json): a
  // resumed run goes on in it. The server is options.uri, else that of MLFLOW_TRACKING_URI; who asks is said by
  // MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD. Error(config) if there is no
  // address, or it is none.
  MlflowLog(const MlflowOptions& options, const std::filesystem::path& folder,
            std::map<std::string, std::string> params);
  // Sends what is left, for at most kLastSeconds, and says what could not be sent.
  ~MlflowLog();
  MlflowLog(const MlflowLog&) = delete;
  // What is not finite is left out.
  void metrics(int64_t step, const std::map<std::string, double>& values);
  // The run has come to its end; else it counts as killed.
  void set_finished() { finished_ = true; }
  static constexpr int kLastSeconds = 10;

 private:
  void work();
  bool guarded(const std::function<bool()>& body);
  bool send_some();
  bool open_run();
  bool create_run();
  std::string experiment();
  nlohmann::json ask(const std::string& path, const nlohmann::json& body, bool may_be_missing = false);
  void tell(const std::string& problem);

  MlflowOptions options_;
  std::filesystem::path folder_;
  std::map<std::string, std::string> params_;
  HttpAddress address_;
  std::string authorization_, run_id_;
  bool finished_ = false, opened_ = false, refused_ = false;
  int64_t lost_ = 0;
  bool told_ = false;
  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  std::deque<nlohmann::json> waiting_;
  bool closing_ = false;
  std::thread thread_;
};

}  // namespace antiphon::train
