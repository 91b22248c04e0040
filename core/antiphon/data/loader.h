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

// One of the rows of batches that a step is made of: it packs the samples whose number among all draws is its own
// modulo the number of rows. So the samples of a step do not depend on how many processes share its rows.
struct RowState {
  OrderState order;
  LoaderCounts counts;
};

// What resuming needs: the next batches are the same as they would have been.
struct LoaderState {
  std::vector<RowState> rows;
  LoaderCounts counts() const;  // of all
};

// The rows of this process: `count` of `all`, from `first` on.
struct RowShare {
  int64_t all = 1, first = 0, count = 1;
};

class Loader {
 public:
  using OnBad = std::function<void(const BadSample&)>;

  // `tokens_per_batch` is the budget of one packed batch. `on_bad` is called once for each bad line of the data: one
  // without as many answers as the objective compares (`candidates`) is bad, too.
  Loader(const DataOptions& options, const Preparer& preparer, int64_t tokens_per_batch, uint64_t seed, OnBad on_bad,
         int64_t candidates = 1, const RowShare& share = {});
  ~Loader();

  // Of all rows; call before the first next_batch(). `changed`: the number of rows, or sizes or weights of the sources,
  // are others than those of the state; from here on they hold, and all rows go on at the earliest of their places. If
  // the number of sources is another one, the order begins anew; without `changed` that is an Error(weights).
  void restore(const LoaderState& state, bool changed = false);
  // Of this process's rows in turn. Blocks until the batch is ready. Error(data) if too many samples are bad;
  // Error(preempted) if a stop is requested meanwhile, after which the loader cannot be used.
  model::Batch next_batch();
  // Of this process's rows, after the batches handed out so far.
  LoaderState state() const;
  LoaderCounts counts() const { return state().counts(); }
  int64_t samples() const;  // in all sources
  size_t sources() const { return sets_.size(); }
  const RowShare& share() const { return share_; }
  int64_t epoch_size() const { return rows_.front().order.epoch_size(); }
  // Names and hashes of the sources, and what else their order depends on; a resumed run must find the same.
  std::string fingerprint() const;
  // What else decides which samples come into which batch: "weights 1, 2; 2048 tokens a batch; 1 batches a step".
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
  struct Row {
    SampleOrder order;
    RowState state;                              // its order draws the first sample that is not in a batch yet
    std::optional<PreparedGroup> pending;        // did not fit into the batch before
    std::deque<std::shared_ptr<Result>> window;  // in order; some ready, some being worked on
  };
  void begin_rows(const OrderState& state, bool changed);
  void start();
  void work();
  Row* row_with_room();
  void prepare_into(Result& result) const;
  std::shared_ptr<Result> wait_for(Row& row);
  std::optional<PreparedGroup> take_next(Row& row);
  void note_bad(Row& row, const BadSample& bad);

  DataOptions options_;
  const Preparer& preparer_;
  int64_t budget_;
  uint64_t seed_;
  OnBad on_bad_;
  int64_t candidates_;
  std::vector<RecordSet> sets_;
  RowShare share_;
  std::shared_ptr<Permutations> permutations_;
  std::vector<Row> rows_;  // of this process
  size_t turn_ = 0;        // the one of the next batch
  std::set<std::pair<std::string, int64_t>> reported_;
  UnreadKeys unread_;
  double waited_ = 0;

  std::mutex mutex_;
  std::condition_variable room_, ready_;
  size_t awaited_ = 0;  // the row whose next sample is waited for, or was
  int64_t ahead_ = 0;   // samples in all windows
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace antiphon::data
