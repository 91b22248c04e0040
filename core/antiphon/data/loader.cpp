#include <antiphon/data/loader.h>

#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/log.h>
#include <antiphon/base/shown.h>
#include <antiphon/base/signals.h>
#include <antiphon/base/strings.h>
#include <antiphon/base/trace.h>

#include <chrono>

namespace antiphon::data {
namespace {

constexpr std::chrono::milliseconds kLook(100);  // how often a stop is looked for while samples are waited for

std::vector<RecordSet> open_all(const std::vector<SourceOptions>& sources, int64_t candidates) {
  std::vector<RecordSet> sets;
  for (const auto& source : sources) sets.emplace_back(source, candidates);
  return sets;
}

SampleOrder order_of(const std::vector<RecordSet>& sets, const DataOptions& options, uint64_t seed) {
  std::vector<int64_t> sizes;
  std::vector<double> weights;
  for (const auto& set : sets) sizes.push_back(set.size());
  for (const auto& source : options.train.sources) weights.push_back(source.weight);
  return SampleOrder(sizes, weights, seed, options.shuffle);
}

}  // namespace

Loader::Loader(const DataOptions& options, const Preparer& preparer, int64_t tokens_per_batch, uint64_t seed,
               OnBad on_bad, int64_t candidates)
    : options_(options),
      preparer_(preparer),
      budget_(tokens_per_batch),
      seed_(seed),
      on_bad_(std::move(on_bad)),
      candidates_(candidates),
      sets_(open_all(options.train.sources, candidates)),
      order_(order_of(sets_, options, seed)) {
  if (sets_.empty()) fail(ErrorKind::config, "there is nothing to train on", "add [[data.train.sources]] with a path");
  for (const auto& set : sets_) set.tell();
  next_order_ = order_.state();
}

Loader::~Loader() {
  {
    std::scoped_lock lock(mutex_);
    stopping_ = true;
  }
  room_.notify_all();
  for (auto& thread : threads_) thread.join();
}

int64_t Loader::rows() const {
  int64_t rows = 0;
  for (const auto& set : sets_) rows += set.size();
  return rows;
}

std::string Loader::fingerprint() const {
  std::string text;
  for (const auto& set : sets_) text += set.fingerprint() + " " + set.path().filename().string() + "\n";
  return text + fmt::format("seed {}, {}\n", seed_, options_.shuffle ? "shuffled" : "in order");
}

std::string Loader::draw_settings() const {
  std::vector<std::string> weights;
  for (const auto& source : options_.train.sources) weights.push_back(fmt::format("{}", source.weight));
  return fmt::format("weights {}; {} tokens a batch", join(weights, ", "), budget_);
}

void Loader::restore(const LoaderState& state, bool changed) {
  const auto before = state.order.drawn.size();
  const bool others = before != sets_.size();
  const auto words = fmt::format("the run drew from {} data sources; now there are {}", before, sets_.size());
  if (others && !changed)
    fail(ErrorKind::weights, words,
         "restore the [[data.train.sources]] of that run, or give --accept-changes to begin their order anew");
  if (others) return log::warning(words + "; all of them are drawn from the beginning");
  order_.restore(state.order, changed);
  next_order_ = order_.state();
  counts_ = state.counts;
}

void Loader::start() {
  for (int64_t i = 0; i < options_.threads; ++i) threads_.emplace_back([this] { work(); });
}

void Loader::work() {
  trace::name_thread("loader");
  std::unique_lock lock(mutex_);
  while (true) {
    room_.wait(lock, [&] { return stopping_ || static_cast<int64_t>(window_.size()) < options_.prefetch; });
    if (stopping_) return;
    auto result = std::make_shared<Result>();
    result->draw = order_.next();
    window_.push_back(result);
    lock.unlock();
    prepare_into(*result);
    lock.lock();
    result->ready = true;
    ready_.notify_all();
  }
}

void Loader::prepare_into(Result& result) const {
  const auto& set = sets_[result.draw.source];
  try {
    result.bad = {set.path().string(), "", "", set.line(result.draw.index)};
    const auto sample = set.sample(result.draw.index);
    result.bad.id = sample.id, result.unread = sample.unread;
    check_answers(sample, candidates_);
    result.prepared = preparer_.prepare_group(sample);
    check_fits(*result.prepared, budget_);
  } catch (const Error& error) {
    result.prepared.reset();
    result.bad.reason = error.what();
    if (error.kind() != ErrorKind::data) result.failure = std::current_exception();
  } catch (...) {
    result.failure = std::current_exception();
  }
}

void Loader::note_bad(const BadSample& bad) {
  ++counts_.bad, ++counts_.consecutive_bad;
  if (reported_.emplace(bad.file, bad.line).second) on_bad_(bad);
  const int64_t seen = counts_.good + counts_.bad;
  const bool all_bad = static_cast<int64_t>(reported_.size()) == rows() && counts_.consecutive_bad >= rows();
  const bool too_many = all_bad || (seen >= 200 && static_cast<double>(counts_.bad) >
                                                       options_.max_bad_fraction * static_cast<double>(seen));
  if (counts_.consecutive_bad < options_.max_consecutive_bad && !too_many) return;
  fail(ErrorKind::data,
       fmt::format("{} of {} samples are bad, the last {} in a row; the last one: {}:{}: {}", counts_.bad, seen,
                   counts_.consecutive_bad, shown(bad.file), bad.line, bad.reason),
       "mend the data (bad_samples.jsonl lists them), or raise data.max_bad_fraction and data.max_consecutive_bad");
}

// The next good sample; next_order_ is then the state that draws it again.
std::optional<PreparedGroup> Loader::take_next() {
  if (threads_.empty()) start();
  while (true) {
    stop_if_requested();
    std::shared_ptr<Result> result;
    {
      const TraceScope scope("data wait");
      std::unique_lock lock(mutex_);
      const auto begin = std::chrono::steady_clock::now();
      while (!ready_.wait_for(lock, kLook, [&] { return !window_.empty() && window_.front()->ready; }))
        stop_if_requested();
      waited_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
      result = std::move(window_.front());
      window_.pop_front();
    }
    room_.notify_one();
    if (result->failure) std::rethrow_exception(result->failure);
    if (result->prepared) {
      unread_.tell(result->bad.file, result->bad.line, result->unread);
      next_order_ = result->draw.before;
      return std::move(result->prepared);
    }
    note_bad(result->bad);
  }
}

model::Batch Loader::next_batch() {
  std::vector<PreparedGroup> groups;
  int64_t tokens = 0;
  while (true) {
    auto group = pending_ ? std::exchange(pending_, std::nullopt) : take_next();
    if (tokens + group->tokens() > budget_) {
      pending_ = std::move(group);
      return pack(std::move(groups), kPackMultiple);
    }
    tokens += group->tokens();
    ++counts_.good, counts_.consecutive_bad = 0;
    groups.push_back(std::move(*group));
  }
}

}  // namespace antiphon::data
