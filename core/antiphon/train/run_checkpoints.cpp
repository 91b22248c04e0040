#include <antiphon/train/run_checkpoints.h>

#include <ATen/ATen.h>
#include <unistd.h>

#include <antiphon/base/error.h>
#include <antiphon/parallel/agreed.h>

#include <chrono>
#include <functional>
#include <future>
#include <utility>

namespace antiphon::train {
namespace {

using checkpoint::CheckpointContent;

class OfOne : public RunCheckpoints {
 public:
  OfOne(const CheckpointPlace& place, bool writes)
      : place_(place), writes_(writes), writer_(place.folder, place.keep) {}
  bool writes() const override { return writes_; }
  void prepare(const CheckpointContent& content) override {
    if (writes_) writer_.prepare(content);
  }
  void save(int64_t step, const CheckpointContent& content) override {
    if (writes_) writer_.save(step, content);
  }
  bool outcome(bool wait) override { return (wait ? writer_.wait() : writer_.poll()).has_value(); }
  void save_now(int64_t step, const CheckpointContent& content) override {
    if (writes_) checkpoint::save_checkpoint(place_.folder, step, content, place_.keep);
  }

 private:
  CheckpointPlace place_;
  bool writes_;
  checkpoint::CheckpointWriter writer_;
};

// First all write their shares; once all have, the first process finishes in a thread; then all know the outcome. What
// happens at which step depends on what all have said, so that nobody waits for what another does not do.
class OfAll : public RunCheckpoints {
 public:
  OfAll(const CheckpointPlace& place, comm::Group& group, std::optional<checkpoint::Share> share, int count)
      : place_(place), group_(group), share_(share), count_(count), writer_([this](int64_t step, const auto& content) {
          write(step, content);
          return place_.folder;
        }) {
    const auto attempt = at::tensor({static_cast<int64_t>(::getpid())}, at::kLong);
    group_.broadcast(attempt, 0);
    attempt_ = attempt.item<int64_t>();
  }
  bool writes() const override { return share_.has_value(); }
  void prepare(const CheckpointContent& content) override {
    if (share_) writer_.prepare(content);
  }

  void save(int64_t step, const CheckpointContent& content) override {
    make_room(step);
    under_way_ = step, phase_ = Phase::writing;
    try {
      if (share_) writer_.save(step, content);
    } catch (const Error&) {
      failure_ = std::current_exception();
    }
    written_ = !share_ || failure_;
  }

  bool outcome(bool wait) override {
    if (phase_ == Phase::writing) poll_writer(wait);
    if (phase_ == Phase::writing && !any(!written_)) begin_finishing();
    if (phase_ != Phase::finishing) return false;
    using namespace std::chrono_literals;
    if (any(finishing_.valid() && !wait && finishing_.wait_for(0s) != std::future_status::ready)) return false;
    phase_ = Phase::none;
    together([&] {
      if (finishing_.valid()) finishing_.get();
    });
    return true;
  }

  void save_now(int64_t step, const CheckpointContent& content) override {
    make_room(step);
    under_way_ = step, phase_ = Phase::writing, written_ = true;
    try {
      write(step, content);
    } catch (const Error&) {
      failure_ = std::current_exception();
    }
    outcome(/*wait=*/true);
  }

 private:
  enum class Phase { none, writing, finishing };
  bool first() const { return group_.rank() == 0; }

  void write(int64_t step, const CheckpointContent& content) const {
    if (share_) checkpoint::write_share({place_.folder, step, attempt_}, content, *share_);
  }

  void make_room(int64_t step) {
    together([&] {
      if (first()) checkpoint::prepare_checkpoint({place_.folder, step, attempt_});
    });
  }

  void poll_writer(bool wait) {
    try {
      if (wait ? writer_.wait() : writer_.poll()) written_ = true;
    } catch (const Error&) {
      failure_ = std::current_exception(), written_ = true;
    }
  }

  void begin_finishing() {
    phase_ = Phase::none;
    const checkpoint::SharedPlace place{place_.folder, under_way_, attempt_};
    const auto failure = std::exchange(failure_, nullptr);
    try {
      together([&] {
        if (failure) std::rethrow_exception(failure);
      });
    } catch (const Error&) {
      if (first()) checkpoint::abandon_checkpoint(place);
      throw;
    }
    phase_ = Phase::finishing;
    if (first())
      finishing_ = std::async(std::launch::async, [place, count = count_, keep = place_.keep] {
        checkpoint::finish_checkpoint(place, count, keep);
      });
  }

  bool any(bool own) { return parallel::largest(own ? 1 : 0, &group_) != 0; }

  // What fails in one process fails in all.
  void together(const std::function<void()>& body) {
    std::exception_ptr failure;
    try {
      body();
    } catch (const Error&) {
      failure = std::current_exception();
    }
    const bool failed = any(failure != nullptr);
    if (failure) std::rethrow_exception(failure);
    if (failed) fail(ErrorKind::weights, "another process could not do its part of the checkpoint", "see what it says");
  }

  CheckpointPlace place_;
  comm::Group& group_;
  std::optional<checkpoint::Share> share_;
  int count_;
  int64_t attempt_ = 0, under_way_ = -1;
  Phase phase_ = Phase::none;
  bool written_ = false;
  std::exception_ptr failure_;
  std::future<void> finishing_;
  checkpoint::CheckpointWriter writer_;  // last: its thread uses the others
};

}  // namespace

std::unique_ptr<RunCheckpoints> checkpoints_of_one(const CheckpointPlace& place, bool writes) {
  return std::make_unique<OfOne>(place, writes);
}

std::unique_ptr<RunCheckpoints> checkpoints_of_all(const CheckpointPlace& place, comm::Group& group,
                                                   std::optional<checkpoint::Share> share, int count) {
  return std::make_unique<OfAll>(place, group, share, count);
}

}  // namespace antiphon::train
