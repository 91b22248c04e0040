#include <data/check.h>

#include <fmt/format.h>

#include <antiphon/base/progress.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <map>
#include <set>
#include <thread>

namespace antiphon::apps {
namespace {

struct Job {
  const Examiner* examine;
  const data::RecordSet* records;
  int64_t index;
  Examined* result;
};

// The first error that is not a sample's fault ends the others' work and is thrown.
class Workers {
 public:
  explicit Workers(const std::vector<Job>& jobs) : jobs_(jobs) {}

  void run(int threads) {
    std::vector<std::thread> pool;
    for (int i = 0; i < threads; ++i) pool.emplace_back([this] { work(); });
    while (finished_ < pool.size()) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      tell(false);
    }
    for (auto& thread : pool) thread.join();
    tell(true);
    finish_progress();
    if (failure_) std::rethrow_exception(failure_);
  }

 private:
  void tell(bool last) {
    show_progress(fmt::format("{}/{} samples, {} bad", done_.load(), jobs_.size(), bad_.load()), last);
  }

  void work() {
    try {
      for (size_t i = next_++; i < jobs_.size(); i = next_++) {
        const auto& job = jobs_[i];
        *job.result = (*job.examine)(*job.records, job.index);
        ++done_, bad_ += !job.result->reason.empty();
      }
    } catch (...) {
      if (!failed_.exchange(true)) failure_ = std::current_exception();
      next_ = jobs_.size();
    }
    ++finished_;
  }

  const std::vector<Job>& jobs_;
  std::atomic<size_t> next_{0}, done_{0}, bad_{0}, finished_{0};
  std::atomic<bool> failed_{false};
  std::exception_ptr failure_;
};

std::unique_ptr<data::RecordSet> opened(const Source& source, SourceFindings& findings) {
  try {
    return std::make_unique<data::RecordSet>(source.source, source.examine.candidates);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::data) throw;
    findings.failure = error.what();
    return nullptr;
  }
}

std::string place(const SourceFindings& source, const Examined& sample) {
  return fmt::format("{}:{}", source.path, sample.line);
}

}  // namespace

std::vector<SourceFindings> check_sources(const std::vector<Source>& sources, int64_t limit, int threads) {
  std::vector<SourceFindings> findings(sources.size());
  std::vector<std::unique_ptr<data::RecordSet>> sets;
  std::vector<Job> jobs;
  for (size_t s = 0; s < sources.size(); ++s) {
    findings[s].set = sources[s].set, findings[s].path = sources[s].source.path;
    sets.push_back(opened(sources[s], findings[s]));
    if (!sets.back()) continue;
    sets.back()->tell();
    const int64_t size = sets.back()->size(), count = limit > 0 ? std::min(limit, size) : size;
    findings[s].samples.resize(static_cast<size_t>(count));
    for (int64_t i = 0; i < count; ++i)
      jobs.push_back({&sources[s].examine, sets.back().get(), i, &findings[s].samples[static_cast<size_t>(i)]});
  }
  Workers(jobs).run(threads);
  return findings;
}

std::vector<Leak> find_leaks(const std::vector<SourceFindings>& findings) {
  std::map<std::string, std::string> trained;  // content -> first place
  for (const auto& source : findings)
    for (const auto& sample : source.samples)
      for (const auto& media : sample.media)
        if (source.set == "train" && !media.content.empty()) trained.emplace(media.content, place(source, sample));
  std::map<std::string, Leak> leaks;
  std::set<std::pair<std::string, std::string>> seen;
  for (const auto& source : findings) {
    if (source.set == "train") continue;
    for (const auto& sample : source.samples) {
      bool counted = false;
      for (const auto& media : sample.media) {
        const auto found = trained.find(media.content);
        if (found == trained.end()) continue;
        auto& leak = leaks[source.set];
        if (leak.media == 0) leak = {source.set, 0, 0, found->second, place(source, sample)};
        leak.media += seen.emplace(source.set, media.content).second;
        leak.samples += !std::exchange(counted, true);
      }
    }
  }
  std::vector<Leak> list;
  for (const auto& [set, leak] : leaks) list.push_back(leak);
  return list;
}

int64_t count_bad(const SourceFindings& source) {
  return std::count_if(source.samples.begin(), source.samples.end(), [](const auto& s) { return !s.reason.empty(); }) +
         !source.failure.empty();
}

int64_t count_same_ids(const SourceFindings& source) {
  std::set<std::string> ids;
  return std::count_if(source.samples.begin(), source.samples.end(),
                       [&](const auto& s) { return !s.id.empty() && !ids.insert(s.id).second; });
}

}  // namespace antiphon::apps
