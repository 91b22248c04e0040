#include <antiphon/data/loader.h>

#include <fmt/format.h>

#include <antiphon/base/beacon.h>
#include <antiphon/base/error.h>
#include <antiphon/base/log.h>
#include <antiphon/base/shown.h>
#include <antiphon/base/signals.h>
#include <antiphon/base/strings.h>
#include <antiphon/base/trace.h>
#include <antiphon/profile/tensor_memory.h>

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
  std::vector<double> weights;
  for (const auto& set : sets) sources.sizes.push_back(set.size());
  for (const auto& source : options.train.sources)
    weights.push_back(source.weight), sources.epochs.push_back(source.epochs);
  const auto kind = options.blend == "round_robin" ? Blend::Kind::in_turn
                    : options.blend == "by_weight" ? Blend::Kind::by_weight
                                                   : Blend::Kind::by_size;
  sources.rates = rates_of(sources.sizes, weights, {kind, options.temperature});
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
    std::ranges::transform(all.filtered, row.counts.filtered, all.filtered.begin(), std::plus<>());
  }
  return all;
}

Loader::Loader(const DataOptions& options, const Preparer& preparer, int64_t tokens_per_batch, uint64_t seed,
               OnBad on_bad, int64_t candidates, const RowShare& share, const std::optional<AnswerRoom>& written)
    : options_(options),
      preparer_(preparer),
      budget_(tokens_per_batch),
      seed_(seed),
      on_bad_(std::move(on_bad)),
      candidates_(candidates),
      written_(written),
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
    auto& row = rows_.emplace_back(std::move(orders[static_cast<size_t>(share_.first + i)]));
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
  for (const auto& row : rows_) {
    auto& held = state.rows.emplace_back(row.state).held;
    for (const auto& waiting : row.pool) held.push_back(waiting.draw);
    held.insert(held.end(), row.again.begin(), row.again.end());
  }
  state.most_held = most_restored_ + (options_.packing.looks_ahead() ? options_.packing.look_ahead : 1);
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
  auto text = fmt::format("weights {}; {} tokens a batch; {} {} a step", join(weights, ", "), budget_, share_.all,
                          share_.all > 1 ? "rows of batches" : "batches");
  const DataOptions plain;  // what is as it always was is not said, so that older runs go on
  if (options_.blend != plain.blend) text += "; " + options_.blend;
  if (options_.temperature != plain.temperature) text += fmt::format("; temperature {}", options_.temperature);
  std::vector<std::string> epochs;
  for (const auto& source : options_.train.sources) epochs.push_back(std::to_string(source.epochs));
  if (std::ranges::any_of(epochs, [](const auto& count) { return count != "0"; }))
    text += "; epochs " + join(epochs, ", ");
  if (options_.packing.looks_ahead()) text += "; packed " + options_.packing.describe();
  if (options_.filter.any()) text += "; filter " + options_.filter.describe();
  if (const auto channel = options_.audio.chosen()) text += fmt::format("; channel {} of sounds", *channel);
  if (written_) text += fmt::format("; {} answers of up to {} tokens", written_->answers, written_->tokens);
  if (const auto attributes = preparer_.attributes(); !attributes.empty()) text += "; " + attributes;
  if (written_ && !preparer_.asked().empty()) text += "; answers asked for " + preparer_.asked();
  return text + (preparer_.augments().empty() ? "" : "; " + preparer_.augments());
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
  hold(state, changed);
}

// After a change, what the rows draw again is not held, and the rest is dealt out; sources may have become shorter.
void Loader::hold(const LoaderState& state, bool changed) {
  std::vector<HeldSample> dealt;
  const int64_t from = earliest(state).draws();
  for (size_t r = 0; r < state.rows.size(); ++r) {
    const auto& held = state.rows[r].held;
    most_restored_ = std::max(most_restored_, std::ssize(held));
    const auto own = static_cast<int64_t>(r) - share_.first;
    if (!changed && own >= 0 && own < share_.count)
      rows_[static_cast<size_t>(own)].again.assign(held.begin(), held.end());
    for (const auto& sample : held) {
      const bool known =
          sample.source < std::ssize(sets_) && sample.index < sets_[static_cast<size_t>(sample.source)].size();
      if (!known && !changed)
        fail(ErrorKind::weights,
             fmt::format("the run held sample {} of source {}, which there is not", sample.index, sample.source),
             "restore the [[data.train.sources]] of that run, or give --accept-changes");
      if (known && sample.number < from) dealt.push_back(sample);
    }
  }
  std::ranges::sort(dealt, {}, &HeldSample::number);
  // The same in all processes, which agree on as many places for them.
  if (changed) most_restored_ = std::max(most_restored_, (std::ssize(dealt) + share_.all - 1) / share_.all);
  for (size_t i = 0; changed && i < dealt.size(); ++i) {
    const auto own = static_cast<int64_t>(i) % share_.all - share_.first;
    if (own >= 0 && own < share_.count) rows_[static_cast<size_t>(own)].again.push_back(dealt[i]);
  }
}

void Loader::start() {
  for (int64_t i = 0; i < options_.threads; ++i) threads_.emplace_back([this] { work(); });
}

// The one that is waited for if it has none; else, if there is room at all, that with the fewest samples ready or on
// their way, of these the one that is next. nullptr: no room, or nothing to draw.
Loader::Row* Loader::row_with_room() {
  if (rows_[awaited_].window.empty() && !rows_[awaited_].ended) return &rows_[awaited_];
  if (ahead_ >= options_.prefetch) return nullptr;
  Row* fewest = nullptr;
  for (size_t i = 0; i < rows_.size(); ++i) {
    auto& row = rows_[(awaited_ + i) % rows_.size()];
    if (!row.ended && (!fewest || row.window.size() < fewest->window.size())) fewest = &row;
  }
  return fewest;
}

// What was held comes first. False if there is nothing more.
bool Loader::draw_into(Row& row, Result& result) {
  if (row.begun < row.again.size()) return result.draw = row.again[row.begun++], true;
  auto draw = row.order.next();
  if (!draw) return false;
  result.draw = {static_cast<int64_t>(draw->source), draw->index, draw->epoch, draw->before.draws()};
  result.after = std::move(draw->after);
  return true;
}

void Loader::work() {
  trace::name_thread("loader");
  const profile::NotCounted not_counted;
  std::unique_lock lock(mutex_);
  while (true) {
    room_.wait(lock, [&] { return stopping_ || row_with_room(); });
    if (stopping_) return;
    auto& row = *row_with_room();
    auto result = std::make_shared<Result>();
    if (!draw_into(row, *result)) {
      row.ended = true;
      ready_.notify_all();
      continue;
    }
    row.window.push_back(result);
    ++ahead_;
    lock.unlock();
    prepare_into(*result);
    lock.lock();
    result->ready = true;
    ready_.notify_all();
  }
}

// Filters come before limits: what is left out is not bad.
void Loader::prepare_into(Result& result) const {
  const auto& [source, index, epoch, number] = result.draw;
  const auto& set = sets_[static_cast<size_t>(source)];
  try {
    result.bad = {set.path().string(), "", "", set.line(index)};
    const auto seed = augment_seed(seed_, static_cast<size_t>(source), index, epoch);
    const auto sample = set.sample(index, seed);
    result.bad.id = sample.id, result.unread = preparer_.unread(sample);
    check_answers(sample, candidates_);
    auto group =
        written_ ? preparer_.prepare_prompt(sample, *written_, seed) : preparer_.prepare_any_length(sample, seed);
    result.filtered = left_out_by(options_.filter, group.measures());
    if (result.filtered) return;
    preparer_.check_length(group);
    check_fits(group, budget_);
    result.prepared = std::move(group);
  } catch (const Error& error) {
    result.prepared.reset();
    result.bad.reason = error.what();
    if (error.kind() != ErrorKind::data) result.failure = std::current_exception();
  } catch (...) {
    result.failure = std::current_exception();
  }
}

// A row may come past the same samples only, if its number and theirs have a common divisor.
void Loader::note_filtered(Row& row, size_t reason) {
  ++row.state.counts.filtered[reason];
  constexpr int64_t kLeast = 1000;
  if (++row.left_out < 2 * samples() + kLeast) return;
  fail(ErrorKind::data,
       fmt::format("data.filter left out the last {} samples; of all so far: {}", row.left_out,
                   describe(row.state.counts.filtered)),
       "widen the limits of [data.filter]; `antiphon data check` counts what they leave out");
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
                   own.consecutive_bad, shown(bad.file), bad.line, bad.reason.substr(0, bad.reason.find('\n'))),
       "mend the data (bad_samples.jsonl lists them), or raise data.max_bad_fraction and data.max_consecutive_bad");
}

// By the sample's number, since asking for its line may take as long.
void Loader::tell_waits_for(const Result& result) const {
  const auto& [source, index, epoch, number] = result.draw;
  beacon::doing(fmt::format("waiting for sample {} of {}", index + 1,
                            sets_[static_cast<size_t>(source)].path().filename().string()));
}

std::shared_ptr<Loader::Result> Loader::wait_for(Row& row) {
  const TraceScope scope("data wait");
  std::unique_lock lock(mutex_);
  awaited_ = static_cast<size_t>(&row - rows_.data());
  room_.notify_one();
  const auto begin = std::chrono::steady_clock::now();
  const auto there = [&] { return row.window.empty() ? row.ended : row.window.front()->ready; };
  bool told = false;
  for (; !ready_.wait_for(lock, kLook, there); told = true) {
    stop_if_requested();
    if (!told && !row.window.empty()) tell_waits_for(*row.window.front());
  }
  if (told) beacon::doing("drawing batches");
  waited_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  if (row.window.empty()) return nullptr;
  auto result = std::move(row.window.front());
  row.window.pop_front();
  --ahead_;
  if (!result->after) row.again.pop_front(), --row.begun;
  lock.unlock();
  room_.notify_one();
  return result;
}

// The next good sample, into the pool; false if there is none. What the state counts of a sample that was held was
// counted when it was drawn first.
bool Loader::take_next(Row& row) {
  if (threads_.empty()) start();
  while (true) {
    stop_if_requested();
    const auto result = wait_for(row);
    if (!result) return false;
    if (result->failure) std::rethrow_exception(result->failure);
    if (result->after) row.state.order = *result->after;
    if (result->prepared) {
      unread_.tell(result->bad.file, result->bad.line, result->unread);
      row.left_out = 0;
      if (result->after) row.state.counts.consecutive_bad = 0;
      row.pool.push_back({std::move(*result->prepared), result->draw});
      return true;
    }
    result->filtered ? note_filtered(row, *result->filtered) : note_bad(row, result->bad);
  }
}

// Whether there are as many in the pool, or all that there still are.
bool Loader::fill(Row& row, size_t count) {
  while (row.pool.size() < count && take_next(row)) continue;
  return !row.pool.empty();
}

PreparedGroup Loader::put(Row& row, Waiting waiting) {
  ++row.state.counts.good;
  return std::move(waiting.group);
}

std::vector<PreparedGroup> Loader::in_order(Row& row) {
  std::vector<PreparedGroup> groups;
  for (int64_t tokens = 0; fill(row, 1);) {
    tokens += row.pool.front().group.tokens();
    if (tokens > budget_) break;
    groups.push_back(put(row, std::move(row.pool.front())));
    row.pool.pop_front();
  }
  return groups;
}

std::vector<PreparedGroup> Loader::looking_ahead(Row& row) {
  std::vector<PreparedGroup> groups;
  if (!fill(row, static_cast<size_t>(options_.packing.look_ahead))) return groups;
  std::vector<int64_t> tokens;
  for (const auto& waiting : row.pool) tokens.push_back(waiting.group.tokens());
  auto places = chosen(options_.packing, tokens, budget_);
  for (const auto place : places) groups.push_back(put(row, std::move(row.pool[place])));
  std::ranges::sort(places, std::greater<>());
  for (const auto place : places) row.pool.erase(row.pool.begin() + static_cast<int64_t>(place));
  return groups;
}

model::Batch Loader::next_batch() {
  return next_batch(static_cast<int64_t>(std::exchange(turn_, (turn_ + 1) % rows_.size())));
}

model::Batch Loader::next_batch(int64_t row) { return pack(next_groups(row), kPackMultiple); }

std::vector<PreparedGroup> Loader::next_groups(int64_t of_row) {
  auto& row = rows_.at(static_cast<size_t>(of_row));
  return options_.packing.looks_ahead() ? looking_ahead(row) : in_order(row);
}

}  // namespace antiphon::data
