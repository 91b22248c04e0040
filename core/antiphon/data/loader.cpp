#include <antiphon/data/loader.h>

#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/log.h>
#include <antiphon/base/shown.h>
#include <antiphon/base/signals.h>
#include <antiphon/base/strings.h>
#include <antiphon/base/trace.h>

#include <algorithm>
#include <chrono>

namespace antiphon::data {
namespace {

constexpr std::chrono::milliseconds kLook(100);  // how often a stop is looked for while samples are waited for

std::vector<RecordSet> open_all(const std::vector<SourceOptions>& sources, int64_t candidates) {
  std::vector<RecordSet> sets;
  for (const auto& source : sources) sets.emplace_back(source, candidates);
  return sets;
}

std::shared_ptr<Permutations> permutations_of(const std::vector<RecordSet>& sets, const DataOptions& options,
                                              uint64_t seed) {
  Sources sources;
  sources.seed = seed, sources.shuffle = options.shuffle;
  for (const auto& set : sets) sources.sizes.push_back(set.size());
  for (const auto& source : options.train.sources) sources.weights.push_back(source.weight);
  return std::make_shared<Permutations>(std::move(sources));
}

const OrderState& earliest(const LoaderState& state) {
  return std::ranges::min_element(state.rows, {}, [](const RowState& row) { return row.order.draws(); })->order;
}

}  // namespace

LoaderCounts LoaderState::counts() const {
  LoaderCounts all;
  for (const auto& row : rows) {
    all.good += row.counts.good, all.bad += row.counts.bad;
    all.consecutive_bad = std::max(all.consecutive_bad, row.counts.consecutive_bad);
  }
  return all;
}

Loader::Loader(const DataOptions& options, const Preparer& preparer, int64_t tokens_per_batch, uint64_t seed,
               OnBad on_bad, int64_t candidates, const RowShare& share)
    : options_(options),
      preparer_(preparer),
      budget_(tokens_per_batch),
      seed_(seed),
      on_bad_(std::move(on_bad)),
      candidates_(candidates),
      sets_(open_all(options.train.sources, candidates)),
      share_(share) {
  if (sets_.empty()) fail(ErrorKind::config, "there is nothing to train on", "add [[data.train.sources]] with a path");
  for (const auto& set : sets_) set.tell();
  permutations_ = permutations_of(sets_, options, seed);
  OrderState begin;
  begin.drawn.assign(sets_.size(), 0);
  begin_rows(begin, false);
}

void Loader::begin_rows(const OrderState& state, bool changed) {
  auto orders = orders_from(permutations_, share_.all, state, changed);
  rows_.clear();
  for (int64_t i = 0; i < share_.count; ++i) {
    auto& row = rows_.emplace_back(Row{std::move(orders[static_cast<size_t>(share_.first + i)]), {}, {}, {}});
    row.state.order = row.order.state();
  }
}

Loader::~Loader() {
  {
    std::scoped_lock lock(mutex_);
    stopping_ = true;
  }
  room_.notify_all();
  for (auto& thread : threads_) thread.join();
}

int64_t Loader::samples() const {
  int64_t samples = 0;
  for (const auto& set : sets_) samples += set.size();
  return samples;
}

LoaderState Loader::state() const {
  LoaderState state;
  for (const auto& row : rows_) state.rows.push_back(row.state);
  return state;
}

std::string Loader::fingerprint() const {
  std::string text;
  for (const auto& set : sets_) text += set.fingerprint() + " " + set.path().filename().string() + "\n";
  return text + fmt::format("seed {}, {}\n", seed_, options_.shuffle ? "shuffled" : "in order");
}

std::string Loader::draw_settings() const {
  std::vector<std::string> weights;
  for (const auto& source : options_.train.sources) weights.push_back(fmt::format("{}", source.weight));
  // Before there were rows, the batches of a step were packed one after the other.
  return fmt::format("weights {}; {} tokens a batch; {} {} a step", join(weights, ", "), budget_, share_.all,
                     share_.all > 1 ? "rows of batches" : "batches");
}

void Loader::restore(const LoaderState& state, bool changed) {
  const auto before = state.rows.front().order.drawn.size();
  const bool others = before != sets_.size();
  const auto words = fmt::format("the run drew from {} data sources; now there are {}", before, sets_.size());
  if (others && !changed)
    fail(ErrorKind::weights, words,
         "restore the [[data.train.sources]] of that run, or give --accept-changes to begin their order anew");
  if (others) return log::warning(words + "; all of them are drawn from the beginning");
  const auto rows = static_cast<int64_t>(state.rows.size());
  if (rows != share_.all && !changed)
    fail(ErrorKind::weights, fmt::format("the run drew its samples in {} rows; now there are {}", rows, share_.all),
         "restore train.accumulate of that run, or give --accept-changes");
  if (changed) begin_rows(earliest(state), true);
  for (size_t i = 0; i < rows_.size() && rows == share_.all; ++i) {
    auto& row = rows_[i];
    const auto& before_now = state.rows[static_cast<size_t>(share_.first) + i];
    row.state.counts = before_now.counts;
    if (!changed) row.order.restore(before_now.order), row.state.order = row.order.state();
  }
}

void Loader::start() {
  for (int64_t i = 0; i < options_.threads; ++i) threads_.emplace_back([this] { work(); });
}

// The one that is waited for if it has none; else, if there is room at all, that with the fewest samples ready or on
// their way, of these the one that is next. nullptr: no room.
Loader::Row* Loader::row_with_room() {
  if (rows_[awaited_].window.empty()) return &rows_[awaited_];
  if (ahead_ >= options_.prefetch) return nullptr;
  Row* fewest = nullptr;
  for (size_t i = 0; i < rows_.size(); ++i) {
    auto& row = rows_[(awaited_ + i) % rows_.size()];
    if (!fewest || row.window.size() < fewest->window.size()) fewest = &row;
  }
  return fewest;
}

void Loader::work() {
  trace::name_thread("loader");
  std::unique_lock lock(mutex_);
  while (true) {
    room_.wait(lock, [&] { return stopping_ || row_with_room(); });
    if (stopping_) return;
    auto& row = *row_with_room();
    auto result = std::make_shared<Result>();
    result->draw = row.order.next();
    row.window.push_back(result);
    ++ahead_;
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

void Loader::note_bad(Row& row, const BadSample& bad) {
  auto& own = row.state.counts;
  ++own.bad, ++own.consecutive_bad;
  if (reported_.emplace(bad.file, bad.line).second) on_bad_(bad);
  const auto all = counts();
  const int64_t seen = all.good + all.bad;
  // In an unshuffled set a row may never draw some of the samples.
  constexpr int64_t kPassesOfRow = 64;
  const bool each_is_bad =
      static_cast<int64_t>(reported_.size()) == samples() || own.consecutive_bad >= kPassesOfRow * samples();
  const bool all_bad = each_is_bad && own.consecutive_bad >= samples();
  const bool too_many =
      all_bad || (seen >= 200 && static_cast<double>(all.bad) > options_.max_bad_fraction * static_cast<double>(seen));
  if (own.consecutive_bad < options_.max_consecutive_bad && !too_many) return;
  fail(ErrorKind::data,
       fmt::format("{} of {} samples are bad, the last {} in a row; the last one: {}:{}: {}", all.bad, seen,
                   own.consecutive_bad, shown(bad.file), bad.line, bad.reason),
       "mend the data (bad_samples.jsonl lists them), or raise data.max_bad_fraction and data.max_consecutive_bad");
}

std::shared_ptr<Loader::Result> Loader::wait_for(Row& row) {
  const TraceScope scope("data wait");
  std::unique_lock lock(mutex_);
  awaited_ = static_cast<size_t>(&row - rows_.data());
  room_.notify_one();
  const auto begin = std::chrono::steady_clock::now();
  while (!ready_.wait_for(lock, kLook, [&] { return !row.window.empty() && row.window.front()->ready; }))
    stop_if_requested();
  waited_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  auto result = std::move(row.window.front());
  row.window.pop_front();
  --ahead_;
  lock.unlock();
  room_.notify_one();
  return result;
}

// The next good sample; the row's state is then that which draws it again.
std::optional<PreparedGroup> Loader::take_next(Row& row) {
  if (threads_.empty()) start();
  while (true) {
    stop_if_requested();
    const auto result = wait_for(row);
    if (result->failure) std::rethrow_exception(result->failure);
    if (result->prepared) {
      unread_.tell(result->bad.file, result->bad.line, result->unread);
      row.state.order = result->draw.before;
      return std::move(result->prepared);
    }
    note_bad(row, result->bad);
  }
}

model::Batch Loader::next_batch() {
  auto& row = rows_[std::exchange(turn_, (turn_ + 1) % rows_.size())];
  std::vector<PreparedGroup> groups;
  int64_t tokens = 0;
  while (true) {
    auto group = row.pending ? std::exchange(row.pending, std::nullopt) : take_next(row);
    if (tokens + group->tokens() > budget_) {
      row.pending = std::move(group);
      return pack(std::move(groups), kPackMultiple);
    }
    tokens += group->tokens();
    ++row.state.counts.good, row.state.counts.consecutive_bad = 0;
    groups.push_back(std::move(*group));
  }
}

}  // namespace antiphon::data
