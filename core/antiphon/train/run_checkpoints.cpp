#include <antiphon/train/run_checkpoints.h>

#include <ATen/ATen.h>

#include <antiphon/base/error.h>

#include <functional>
#include <utility>

namespace antiphon::train {
namespace {

using checkpoint::CheckpointContent;
using Path = std::filesystem::path;

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
  std::optional<Path> outcome(bool wait) override { return wait ? writer_.wait() : writer_.poll(); }
  void save_now(int64_t step, const CheckpointContent& content) override {
    if (writes_) checkpoint::save_checkpoint(place_.folder, step, content, place_.keep);
  }

 private:
  CheckpointPlace place_;
  bool writes_;
  checkpoint::CheckpointWriter writer_;
};

class OfAll : public RunCheckpoints {
 public:
  OfAll(const CheckpointPlace& place, comm::Group& group, std::optional<checkpoint::Share> share, int count)
      : place_(place), group_(group), share_(share), count_(count), writer_([this](int64_t step, const auto& content) {
          write(step, content);
          return place_.folder;
        }) {}
  bool writes() const override { return share_.has_value(); }
  void prepare(const CheckpointContent& content) override {
    if (share_) writer_.prepare(content);
  }

  void save(int64_t step, const CheckpointContent& content) override {
    together([&] {
      if (first()) checkpoint::prepare_checkpoint(place_.folder, step);
    });
    under_way_ = step;
    try {
      if (share_) writer_.save(step, content);
    } catch (const Error&) {
      failure_ = std::current_exception(), written_ = true;
    }
  }

  // Whether somebody still writes is asked while something is under way only, which all know.
  std::optional<Path> outcome(bool wait) override {
    if (!under_way_) return std::nullopt;
    try {
      if (wait ? writer_.wait() : writer_.poll()) written_ = true;
    } catch (const Error&) {
      failure_ = std::current_exception(), written_ = true;
    }
    if (any(share_ && !written_)) return std::nullopt;
    const auto step = *std::exchange(under_way_, std::nullopt);
    written_ = false;
    return finish(step, std::exchange(failure_, nullptr));
  }

  void save_now(int64_t step, const CheckpointContent& content) override {
    together([&] {
      if (first()) checkpoint::prepare_checkpoint(place_.folder, step);
    });
    std::exception_ptr failure;
    try {
      write(step, content);
    } catch (const Error&) {
      failure = std::current_exception();
    }
    finish(step, failure);
  }

 private:
  bool first() const { return group_.rank() == 0; }
  void write(int64_t step, const CheckpointContent& content) const {
    if (share_) checkpoint::write_share(place_.folder, step, content, *share_);
  }

  bool any(bool own) {
    const auto flag = at::tensor({static_cast<int64_t>(own)}, at::kLong);
    group_.largest(flag);
    return flag.item<int64_t>() != 0;
  }

  // What fails in one process fails in all.
  void together(const std::function<void()>& body) {
    std::exception_ptr failure;
    try {
      body();
    } catch (const Error&) {
      failure = std::current_exception();
    }
    agree(failure);
  }

  void agree(const std::exception_ptr& failure) {
    const bool failed = any(failure != nullptr);
    if (failure) std::rethrow_exception(failure);
    if (failed)
      fail(ErrorKind::weights, "another process could not write its share of the checkpoint", "see what it says");
  }

  Path finish(int64_t step, const std::exception_ptr& failure) {
    const bool failed = any(failure != nullptr);
    if (failed && first()) checkpoint::abandon_checkpoint(place_.folder, step);
    Path path;
    together([&] {
      if (failure) std::rethrow_exception(failure);
      if (!failed && first()) path = checkpoint::finish_checkpoint(place_.folder, step, count_, place_.keep);
    });
    return path;
  }

  CheckpointPlace place_;
  comm::Group& group_;
  std::optional<checkpoint::Share> share_;
  int count_;
  std::optional<int64_t> under_way_;
  bool written_ = false;
  std::exception_ptr failure_;
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
