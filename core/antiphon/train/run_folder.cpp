#include <antiphon/train/run_folder.h>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <torch/headeronly/version.h>
#include <unistd.h>

#include <antiphon/base/files.h>
#include <antiphon/base/json.h>
#include <antiphon/base/log.h>
#include <antiphon/base/paths.h>
#include <antiphon/base/shown.h>
#include <antiphon/base/strings.h>
#include <antiphon/base/temporaries.h>
#include <antiphon/checkpoint/checkpoint.h>
#include <antiphon/early/cpu_quota.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace antiphon::train {
namespace {

constexpr const char *kAnswersFile = "answers.jsonl", *kRolloutsFile = "rollouts.jsonl";

namespace fs = std::filesystem;
using nlohmann::json;

// The records of a file, one per line; a kill may have cut the last one.
template <class Keep>
std::string kept_lines(const fs::path& path, Keep&& keep) {
  if (!path_exists(path, ErrorKind::config)) return {};
  std::string kept;
  for (const auto& line : split(read_file(path, ErrorKind::config), '\n'))
    if (const auto record = parse_json(line); record.is_object() && keep(record)) kept += line + "\n";
  return kept;
}

int64_t number_in(const json& record, const char* key) {
  const auto found = record.find(key);
  return found != record.end() && found->is_number_integer() ? found->get<int64_t>() : 0;
}

std::string text_in(const json& record, const char* key) {
  const auto found = record.find(key);
  return found != record.end() && found->is_string() ? found->get<std::string>() : "";
}

// What the run itself writes; an evaluation, which may be on its way, writes into eval.
bool is_own(const fs::path& path) {
  const auto name = path.filename().string();
  std::error_code ignored;
  return !fs::is_directory(path, ignored) || name.starts_with("adapter") || name == "connectors" || name == "profile";
}

}  // namespace

RunFolder::RunFolder(fs::path path, int rank) : path_(std::move(path)), rank_(rank) {
  make_folder(path_, ErrorKind::config);
  if (writes()) lock();
}

void RunFolder::lock() {
  const auto lock_path = path_ / "run.lock";
  lock_ = ::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (lock_ < 0)
    fail(ErrorKind::config, fmt::format("cannot create {}: {}", shown(lock_path.string()), std::strerror(errno)),
         "check who may write there, or choose another train.output");
  if (::flock(lock_, LOCK_EX | LOCK_NB) != 0) {
    const auto holder = read_file(lock_path, ErrorKind::config, 1 << 10);
    ::close(std::exchange(lock_, -1));
    fail(ErrorKind::config, fmt::format("{} is in use by another run ({})", shown(path_.string()), holder),
         "wait for it, or choose another train.output");
  }
  const auto holder = fmt::format("process {}", ::getpid());
  if (::ftruncate(lock_, 0) != 0 || ::write(lock_, holder.data(), holder.size()) < 0)
    fail(ErrorKind::config, fmt::format("cannot write {}: {}", shown(lock_path.string()), std::strerror(errno)));
}

RunFolder::~RunFolder() {
  if (lock_ >= 0) ::close(lock_);
}

void RunFolder::remove_leftovers() const {
  if (!writes()) return;
  for (const auto& folder : {checkpoints(), path_ / "kept", path_ / "best"}) checkpoint::remove_unfinished(folder);
  size_t removed = 0;
  for (const auto& path : entries_of(path_, ErrorKind::config))
    if (is_own(path)) removed += remove_temporaries(path, std::chrono::seconds(0), ErrorKind::config);
  if (removed > 0)
    log::info(fmt::format("{} temporary files of a killed process removed from {}", removed, shown(path_.string())));
}

void RunFolder::write_config(const std::string& toml) {
  if (writes()) write_file_atomic(path_ / "config.toml", toml, ErrorKind::config);
}

void RunFolder::write_environment(const std::string& device, const std::string& formats) {
  if (!writes()) return;
  const auto path = path_ / "env.json";
  constexpr uint64_t kMostBytes = 1 << 20;
  const auto before = path_exists(path, ErrorKind::config) ? parse_json(read_file(path, ErrorKind::config, kMostBytes))
                                                           : nlohmann::json();
  const auto begun = before.is_object() ? before.value("formats", nlohmann::json()) : nlohmann::json();
  if (begun.is_string() && begun != formats)
    log::warning(
        fmt::format("this run was begun in {} and goes on in {}: it is not what it would have been to the bit\n"
                    "  fix: give --set precision.compute=…, or go on on the machine where it was begun",
                    begun.get<std::string>(), formats));
  const nlohmann::json environment{{"antiphon", ANTIPHON_VERSION},
                                   {"torch", TORCH_VERSION},
                                   {"device", device},
                                   {"formats", formats},
                                   {"cores", early::processors()}};
  write_file_atomic(path, environment.dump(2) + "\n", ErrorKind::config);
}

void RunFolder::open(std::ofstream& stream, const std::string& name) {
  stream.open(path_ / name, std::ios::app);
  if (!stream)
    fail(ErrorKind::config, fmt::format("cannot open {}: {}", shown((path_ / name).string()), std::strerror(errno)),
         "check who may write there");
}

std::string RunFolder::own_bad_samples() const {
  return writes() ? "bad_samples.jsonl" : fmt::format("bad_samples.{}.jsonl", rank_);
}

void RunFolder::open_logs(int64_t step, const TrainOptions& options, const std::map<std::string, std::string>& params) {
  if (!writes()) return open(bad_samples_, own_bad_samples());
  const auto metrics = path_ / "metrics.jsonl", bad_samples = path_ / "bad_samples.jsonl";
  const auto past = [&](const json& record) { return number_in(record, "step") <= step; };
  const auto once = [&](const json& record) {
    return step > 0 && listed_.emplace(text_in(record, "file"), number_in(record, "line")).second;
  };
  write_file_atomic(metrics, kept_lines(metrics, past), ErrorKind::config);
  open(metrics_, "metrics.jsonl");
  for (const auto* name : {kAnswersFile, kRolloutsFile})
    if (const auto file = path_ / name; path_exists(file, ErrorKind::config))
      write_file_atomic(file, kept_lines(file, past), ErrorKind::config);
  write_file_atomic(bad_samples, kept_lines(bad_samples, once), ErrorKind::config);
  open(bad_samples_, own_bad_samples());
  take_over_bad_samples(/*keep=*/step > 0);
  const auto wanted = [&](const char* name) {
    return std::ranges::find(options.loggers, name) != options.loggers.end();
  };
  if (wanted("tensorboard")) events_ = std::make_unique<EventFile>(path_);
  if (wanted("mlflow")) mlflow_ = std::make_unique<MlflowLog>(options.mlflow, path_, params);
  if (wanted("csv")) csv_ = std::make_unique<CsvFile>(path_ / "metrics.csv", metrics);
}

void RunFolder::take_over_bad_samples(bool keep) {
  for (const auto& file : entries_of(path_, ErrorKind::config)) {
    const auto name = file.filename().string();
    if (name == own_bad_samples() || !name.starts_with("bad_samples.") || !name.ends_with(".jsonl")) continue;
    for (const auto& line : keep ? split(read_file(file, ErrorKind::config), '\n') : std::vector<std::string>())
      if (const auto record = parse_json(line); record.is_object()) list(record);
    remove_file(file, ErrorKind::config);
  }
}

// A full disk must not end the training.
void RunFolder::append(std::ofstream& stream, const std::string& name, const std::string& line) {
  stream << line << std::endl;
  if (!stream) tell_of_loss(name);
  stream.clear();
}

void RunFolder::tell_of_loss(const std::string& name) {
  if (told_.insert(name).second)
    log::warning(fmt::format("{} cannot be written, so lines of it are lost: {}", shown((path_ / name).string()),
                             std::strerror(errno)));
}

void RunFolder::metrics(int64_t step, const std::map<std::string, double>& values) {
  if (!writes()) return;
  json record(values);
  record["step"] = step;
  append(metrics_, "metrics.jsonl", record.dump());
  if (events_) events_->scalars(step, values);
  if (mlflow_) mlflow_->metrics(step, values);
  if (csv_ && !csv_->add(step, values)) tell_of_loss("metrics.csv");
}

void RunFolder::finished() {
  if (mlflow_) mlflow_->set_finished();
}

void RunFolder::append_all(std::ofstream& stream, const char* name, int64_t step, const std::vector<json>& records) {
  if (!writes() || records.empty()) return;
  if (!stream.is_open()) stream.open(path_ / name, std::ios::app);
  for (auto record : records) {
    record["step"] = step;
    append(stream, name, record.dump(-1, ' ', false, json::error_handler_t::replace));
  }
}

void RunFolder::answers(int64_t step, const std::vector<json>& answers) {
  append_all(answers_, kAnswersFile, step, answers);
}

void RunFolder::rollouts(int64_t step, const std::vector<json>& answers) {
  append_all(rollouts_, kRolloutsFile, step, answers);
}

void RunFolder::list(const json& record) {
  if (!listed_.emplace(text_in(record, "file"), number_in(record, "line")).second) return;
  append(bad_samples_, own_bad_samples(), record.dump(-1, ' ', false, json::error_handler_t::replace));
}

void RunFolder::bad_sample(const data::BadSample& bad) {
  list({{"file", bad.file}, {"line", bad.line}, {"id", shown(bad.id)}, {"reason", bad.reason}});
}

}  // namespace antiphon::train
