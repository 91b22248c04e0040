#include <antiphon/train/run_folder.h>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <torch/headeronly/version.h>
#include <unistd.h>

#include <antiphon/base/files.h>
#include <antiphon/base/json.h>
#include <antiphon/base/log.h>
#include <antiphon/base/shown.h>
#include <antiphon/early/cpu_quota.h>
#include <nlohmann/json.hpp>

namespace antiphon::train {
namespace {

std::string kept_lines(const std::filesystem::path& path, int64_t last_step) {
  std::ifstream in(path);
  std::string kept, line;
  while (std::getline(in, line)) {
    const auto record = parse_json(line);
    if (record.is_object() && record.value("step", int64_t{0}) <= last_step) kept += line + "\n";
  }
  return kept;
}

// The whole lines; a kill may have cut the last one.
std::string listed_lines(const std::filesystem::path& path, std::set<std::pair<std::string, int64_t>>& listed) {
  std::ifstream in(path);
  std::string kept, line;
  while (std::getline(in, line)) {
    const auto record = parse_json(line);
    if (!record.is_object()) continue;
    if (listed.emplace(record.value("file", ""), record.value("line", int64_t{0})).second) kept += line + "\n";
  }
  return kept;
}

}  // namespace

RunFolder::RunFolder(std::filesystem::path path) : path_(std::move(path)) {
  std::error_code error;
  std::filesystem::create_directories(path_, error);
  if (error)
    fail(ErrorKind::config, fmt::format("cannot create the run folder {}: {}", path_.string(), error.message()),
         "choose another train.output");
  const auto lock_path = path_ / "run.lock";
  lock_ = ::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (lock_ < 0)
    fail(ErrorKind::config, fmt::format("cannot create {}", lock_path.string()), "check who may write there");
  if (::flock(lock_, LOCK_EX | LOCK_NB) != 0) {
    const auto holder = read_file(lock_path, ErrorKind::config);
    ::close(std::exchange(lock_, -1));
    fail(ErrorKind::config, fmt::format("{} is in use by another run ({})", path_.string(), holder),
         "wait for it, or choose another train.output");
  }
  const auto holder = fmt::format("process {}", ::getpid());
  if (::ftruncate(lock_, 0) != 0 || ::write(lock_, holder.data(), holder.size()) < 0)
    fail(ErrorKind::config, fmt::format("cannot write {}", lock_path.string()));
}

RunFolder::~RunFolder() {
  if (lock_ >= 0) ::close(lock_);
}

void RunFolder::write_config(const std::string& toml) {
  write_file_atomic(path_ / "config.toml", toml, ErrorKind::config);
}

void RunFolder::write_environment(const std::string& device, const std::string& formats) {
  const auto path = path_ / "env.json";
  std::ifstream in(path);
  const auto before = nlohmann::json::parse(in, nullptr, false);
  const auto begun = before.is_object() ? before.value("formats", nlohmann::json()) : nlohmann::json();
  if (begun.is_string() && begun != formats)
    log::warning(
        fmt::format("this run was begun in {} and goes on in {}: it is not what it would have been to the bit\n"
                    "  fix: give --set precision.compute=…, or go on where it was begun",
                    begun.get<std::string>(), formats));
  const nlohmann::json environment{{"antiphon", ANTIPHON_VERSION},
                                   {"torch", TORCH_VERSION},
                                   {"device", device},
                                   {"formats", formats},
                                   {"cores", early::processors()}};
  write_file_atomic(path, environment.dump(2) + "\n", ErrorKind::config);
}

void RunFolder::open_logs(int64_t step) {
  const auto metrics = path_ / "metrics.jsonl";
  write_file_atomic(metrics, std::filesystem::exists(metrics) ? kept_lines(metrics, step) : "", ErrorKind::config);
  metrics_.open(metrics, std::ios::app);
  const auto bad_samples = path_ / "bad_samples.jsonl";
  write_file_atomic(bad_samples, step > 0 ? listed_lines(bad_samples, listed_) : "", ErrorKind::config);
  bad_samples_.open(bad_samples, std::ios::app);
  events_ = std::make_unique<EventFile>(path_);
}

void RunFolder::metrics(int64_t step, const std::map<std::string, double>& values) {
  nlohmann::json record(values);
  record["step"] = step;
  metrics_ << record.dump() << std::endl;
  metrics_.clear();  // a full disk must not end the training
  events_->scalars(step, values);
}

void RunFolder::bad_sample(const data::BadSample& bad) {
  if (!listed_.emplace(bad.file, bad.line).second) return;
  const nlohmann::json record{{"file", bad.file}, {"line", bad.line}, {"id", shown(bad.id)}, {"reason", bad.reason}};
  bad_samples_ << record.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) << std::endl;
  bad_samples_.clear();
}

}  // namespace antiphon::train
