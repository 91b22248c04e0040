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
  FilterCounts filtered{};  // left out by data.filter
  bool operator==(const LoaderCounts&) const = default;
};

// A sample that was drawn and waits for a batch.
struct HeldSample {
  int64_t source = 0, index = 0, epoch = 0;
  int64_t number = 0;  // of the draw, among all
  bool operator==(const HeldSample&) const = default;
};

// One of the rows of batches that a step is made of: it packs the samples whose number among all draws is its own
// modulo the number of rows. So the samples of a step do not depend on how many processes share its rows.
struct RowState {
  OrderState order;  // that draws the row's next sample
  LoaderCounts counts;
  std::vector<HeldSample> held = {};  // what was drawn before and is in no batch yet, in order
};

// What resuming needs: the next batches are the same as they would have been.
struct LoaderState {
  std::vector<RowState> rows;
  int64_t most_held = 0;        // a row holds at most so many samples
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
  // without as many answers as the objective compares (`candidates`) is bad, too. `written`: the model writes the
  // answers, and only prompts are read; a batch has room for its answers at their longest.
  Loader(const DataOptions& options, const Preparer& preparer, int64_t tokens_per_batch, uint64_t seed, OnBad on_bad,
         int64_t candidates = 1, const RowShare& share = {}, const std::optional<AnswerRoom>& written = {});
  ~Loader();

  // Of all rows; call before the first next_batch(). `changed`: the number of rows, or sizes or weights of the sources,
  // are others than those of the state; from here on they hold, all rows go on at the earliest of their places, and the
  // samples held from before it are dealt out to them. If the number of sources is another one, the order begins anew;
  // without `changed` that is an Error(weights).
  void restore(const LoaderState& state, bool changed = false);
  // Of this process's rows in turn; without samples if all sources of the row have ended. Blocks until it is ready.
  // Error(data) if too many samples are bad; Error(preempted) if a stop is requested meanwhile, after which the loader
  // cannot be used.
  model::Batch next_batch();
  // Of one of them, counted from the first that this process has.
  model::Batch next_batch(int64_t row);
  // The same before it is packed.
  std::vector<PreparedGroup> next_groups(int64_t row);
  // Of this process's rows, after the batches handed out so far.
  LoaderState state() const;
  LoaderCounts counts() const { return state().counts(); }
  int64_t samples() const;  // in all sources
  size_t sources() const { return sets_.size(); }
  int64_t tokens_per_batch() const { return budget_; }
  const RowShare& share() const { return share_; }
  // Names and hashes of the sources, and what else their order depends on; a resumed run must find the same.
  std::string fingerprint() const;
  // What else decides which samples come into which batch: "weights 1, 2; 2048 tokens a batch; 1 batches a step".
  std::string draw_settings() const;
  // Seconds that next_batch() has waited for samples.
  double waited_seconds() const { return waited_; }

 private:
  struct Result {
    HeldSample draw;
    std::optional<OrderState> after;  // of the row; nothing: it was held when the run was resumed
    std::optional<PreparedGroup> prepared;
    std::optional<size_t> filtered;  // why data.filter leaves it out
    BadSample bad;                   // its place and id are set for a good sample, too
    std::set<std::string> unread;
    bool ready = false;
    std::exception_ptr failure;  // of a kind that is not the sample's fault
  };
  struct Waiting {
    PreparedGroup group;
    HeldSample draw;
  };
  struct Row {
    explicit Row(SampleOrder first) : order(std::move(first)) {}
    SampleOrder order;
    RowState state;                              // without what is held
    std::deque<HeldSample> again;                // held when the run was resumed, and not taken yet
    size_t begun = 0;                            // of these, in the window
    bool ended = false;                          // there is nothing more to draw
    std::deque<Waiting> pool;                    // taken, in no batch yet
    std::deque<std::shared_ptr<Result>> window;  // in order; some ready, some being worked on
    int64_t left_out = 0;                        // samples in a row that data.filter left out
  };
  void begin_rows(const OrderState& state, bool changed);
  void hold(const LoaderState& state, bool changed);
  void start();
  void work();
  Row* row_with_room();
  bool draw_into(Row& row, Result& result);
  void prepare_into(Result& result) const;
  void tell_waits_for(const Result& result) const;
  std::shared_ptr<Result> wait_for(Row& row);
  bool take_next(Row& row);
  bool fill(Row& row, size_t count);
  std::vector<PreparedGroup> in_order(Row& row);
  std::vector<PreparedGroup> looking_ahead(Row& row);
  PreparedGroup put(Row& row, Waiting waiting);
  void note_filtered(Row& row, size_t reason);
  void note_bad(Row& row, const BadSample& bad);

  DataOptions options_;
  const Preparer& preparer_;
  int64_t budget_;
  uint64_t seed_;
  OnBad on_bad_;
  int64_t candidates_;
  std::optional<AnswerRoom> written_;
  std::vector<RecordSet> sets_;
  RowShare share_;
  std::shared_ptr<Permutations> permutations_;
  std::vector<Row> rows_;  // of this process
  size_t turn_ = 0;        // the one of the next batch
  std::set<std::pair<std::string, int64_t>> reported_;
  UnreadKeys unread_;
  double waited_ = 0;
  int64_t most_restored_ = 0;  // samples that a row held when the run was resumed

  std::mutex mutex_;
  std::condition_variable room_, ready_;
  size_t awaited_ = 0;  // the row whose next sample is waited for, or was
  int64_t ahead_ = 0;   // samples in all windows
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace antiphon::data
