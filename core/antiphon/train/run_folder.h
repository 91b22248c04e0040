// The folder of a run: one run at a time, and everything that the run leaves behind.
#pragma once
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <set>
#include <string>

#include <antiphon/data/loader.h>
#include <antiphon/train/csv_file.h>
#include <antiphon/train/event_file.h>
#include <antiphon/train/mlflow_log.h>
#include <antiphon/train/options.h>

namespace antiphon::train {

class RunFolder {
 public:
  // Creates it and takes its lock; Error(config) naming the holder if another process has it. `rank`: of several
  // processes of one run process 0 alone has the lock and writes; of the others' records only those of bad samples are
  // kept, in a file of their own, which process 0 takes over when it opens and when it closes the logs.
  explicit RunFolder(std::filesystem::path path, int rank = 0);
  ~RunFolder();
  RunFolder(const RunFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  bool writes() const { return rank_ == 0; }
  std::filesystem::path checkpoints() const { return path_ / "checkpoints"; }
  // Removes the temporary files of processes that were killed while they wrote into it.
  void remove_leftovers() const;
  // The resolved configuration (config.toml) and what it ran on (env.json).
  void write_config(const std::string& toml);
  // `formats`: what it computes in, e.g. "bf16". Warns if the run was begun in others: it goes on, but not bit for bit.
  void write_environment(const std::string& device, const std::string& formats);
  // Opens metrics.jsonl, bad_samples.jsonl and what options.loggers name ("csv", "tensorboard", "mlflow");
  // Error(config) naming the one that cannot be. Lines of steps beyond `step` are from a future that did not happen.
  // `params`: what the configuration says, by key, for those that want it.
  void open_logs(int64_t step, const TrainOptions& options, const std::map<std::string, std::string>& params = {});
  // The run has come to its end.
  void finished();
  // Once the other processes have written their last; only process 0. Not `keep`: they are an earlier run's.
  void take_over_bad_samples(bool keep = true);
  // A record that cannot be written is lost, and the first such loss is reported.
  void metrics(int64_t step, const std::map<std::string, double>& values);
  // JSON objects of one step, into answers.jsonl; as metrics() otherwise.
  void answers(int64_t step, const std::vector<nlohmann::json>& answers);
  // The same of answers that are learnt from, into rollouts.jsonl.
  void rollouts(int64_t step, const std::vector<nlohmann::json>& answers);
  // Listed once, even over several starts of a run.
  void bad_sample(const data::BadSample& bad);

 private:
  std::filesystem::path path_;
  int rank_ = 0;
  int lock_ = -1;
  void lock();
  void open(std::ofstream& stream, const std::string& name);
  void append(std::ofstream& stream, const std::string& name, const std::string& line);
  void list(const nlohmann::json& record);
  std::string own_bad_samples() const;

  void append_all(std::ofstream& stream, const char* name, int64_t step, const std::vector<nlohmann::json>& records);

  std::ofstream metrics_, bad_samples_, answers_, rollouts_;
  std::set<std::string> told_;  // files that have lost a line
  std::set<std::pair<std::string, int64_t>> listed_;
  void tell_of_loss(const std::string& name);
  std::unique_ptr<EventFile> events_;
  std::unique_ptr<CsvFile> csv_;
  std::unique_ptr<MlflowLog> mlflow_;
};

}  // namespace antiphon::train
