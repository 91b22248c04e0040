// Threads that prepare samples, and batches packed from them in an order that depends only on the seed.
#pragma once
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <set>
#include <thread>

#include <antiphon/data/options.h>
#include <antiphon/data/order.h>
#include <antiphon/data/prepare.h>
#include <antiphon/data/record_set.h>
#include <antiphon/data/unread_keys.h>

namespace antiphon::data {

// A sample that was skipped.
struct BadSample {
  std::string file, id, reason;
  int64_t line = 0;
};

struct LoaderCounts {
  int64_t good = 0, bad = 0, consecutive_bad = 0;
  bool operator==(const LoaderCounts&) const = default;
};

// What resuming needs: the next batch is the same as it would have been.
struct LoaderState {
  OrderState order;
  LoaderCounts counts;
};

class Loader {
 public:
  using OnBad = std::function<void(const BadSample&)>;

  // `tokens_per_batch` is the budget of one packed batch. `on_bad` is called once for each bad line of the data: one
  // without as many answers as the objective compares (`candidates`) is bad, too.
  Loader(const DataOptions& options, const Preparer& preparer, int64_t tokens_per_batch, uint64_t seed, OnBad on_bad,
         int64_t candidates = 1);
  ~Loader();

  // Call before the first next_batch(). `changed`: sizes or weights of the sources are others than those of the state;
  // from here on they hold. If their number is another one, the order begins anew; without `changed` that is an
  // Error(weights).
  void restore(const LoaderState& state, bool changed = false);
  // Blocks until the batch is ready. Error(data) if too many samples are bad; Error(preempted) if a stop is requested
  // meanwhile, after which the loader cannot be used.
  model::Batch next_batch();
  // After an error from next_batch() that is not in the data: sets state() back to what it was, for a checkpoint.
  void give_back(const LoaderState& state) { next_order_ = state.order, counts_ = state.counts; }
  // The state after the batches handed out so far.
  LoaderState state() const { return {next_order_, counts_}; }
  const LoaderCounts& counts() const { return counts_; }
  int64_t rows() const;  // samples in all sources
  size_t sources() const { return sets_.size(); }
  int64_t epoch_size() const { return order_.epoch_size(); }
  // Names and hashes of the sources, and what else their order depends on; a resumed run must find the same.
  std::string fingerprint() const;
  // What else decides which samples come into which batch: "weights 1, 2; 2048 tokens a batch".
  std::string draw_settings() const;
  // Seconds that next_batch() has waited for samples.
  double waited_seconds() const { return waited_; }

 private:
  struct Result {
    Draw draw;
    std::optional<PreparedGroup> prepared;
    BadSample bad;  // its place and id are set for a good sample, too
    std::set<std::string> unread;
    bool ready = false;
    std::exception_ptr failure;  // of a kind that is not the sample's fault
  };
  void start();
  void work();
  void prepare_into(Result& result) const;
  std::optional<PreparedGroup> take_next();
  void note_bad(const BadSample& bad);

  DataOptions options_;
  const Preparer& preparer_;
  int64_t budget_;
  uint64_t seed_;
  OnBad on_bad_;
  int64_t candidates_;
  std::vector<RecordSet> sets_;
  SampleOrder order_;
  OrderState next_order_;  // draws the first sample that is not in a batch yet
  LoaderCounts counts_;
  std::optional<PreparedGroup> pending_;  // did not fit into the batch before
  std::set<std::pair<std::string, int64_t>> reported_;
  UnreadKeys unread_;
  double waited_ = 0;

  std::mutex mutex_;
  std::condition_variable room_, ready_;
  std::deque<std::shared_ptr<Result>> window_;  // in order; some ready, some being worked on
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace antiphon::data
